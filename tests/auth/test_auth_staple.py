"""OCSP stapling in EAP-TLS: what a network staples and what a device demands, in both versions of TLS."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.pki import EID, NOW, PLMN, Held, shared_pki
from OpenSSL import SSL

from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Authenticated, Challenge, Failed, NetworkOutcome, PeerProved, Refusal
from rprov.causes import Cause
from rprov.crypto.issue_ocsp import make_ocsp
from rprov.crypto.ocsp import Staple
from rprov.crypto.tls_context import TlsCredentials
from rprov.model.revocation import RevocationCheck
from rprov.model.tls import TlsChoices, TlsVersion
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap

PKI = shared_pki()
OFF, PRESENT, REQUIRED = RevocationCheck
SINCE = NOW - timedelta(days=1)
VERSIONS = pytest.mark.parametrize("version", TlsVersion)


def staple(leaf: Held = PKI.network, ca: Held = PKI.network_ca, **over) -> Staple:
    made = make_ocsp(leaf.certificate, ca.certificate, ca.key, over.pop("now", SINCE), **over)
    return Staple(made.public_bytes(Encoding.DER), made.next_update_utc or SINCE)


@lru_cache
def server(version: TlsVersion, network: Held = PKI.network) -> EapTlsServerEngines:
    credentials = TlsCredentials(network.chain, network.key)
    return EapTlsServerEngines(credentials, [PKI.ci.certificate], choices=TlsChoices(tls_versions=(version,)))


@lru_cache
def peer(version: TlsVersion, check: RevocationCheck) -> EapTlsPeerEngines:
    credentials, chosen = TlsCredentials(PKI.device.chain, PKI.device.key), TlsChoices(tls_versions=(version,))
    return EapTlsPeerEngines(credentials, [PKI.network_ca.certificate], choices=chosen, revocation=check)


@dataclass
class Ended:
    outcome: NetworkOutcome
    refusal: Refusal | None
    to_ue: bytes

    @property
    def cause(self) -> Cause | None:
        return self.refusal.message.cause if self.refusal else None


def run(version, check, given: Staple | None, network: Held = PKI.network, at: datetime = NOW) -> Ended:
    engines = server(version, network)
    engines.staple = given
    cp, ue = engines.scheme(EID, PLMN.serving_network_name, at), peer(version, check).scheme(PLMN, at)
    outcome, refusal, sent = cp.begin(), None, b""
    while not isinstance(outcome, Authenticated | Failed):
        if isinstance(outcome, PeerProved):
            outcome = cp.authorise()
            continue
        assert isinstance(outcome, Challenge)
        sent += outcome.challenge.packet
        answer = ue.on_request(AuthenticationRequest(0, b"\x00\x00", outcome.challenge))
        if isinstance(answer, Refusal):
            refusal = answer
            outcome = cp.on_failure(answer.message)
        else:
            outcome = cp.on_response(AuthenticationResponse(Eap(answer.message.answer.packet)))
    return Ended(outcome, refusal, sent)


@VERSIONS
@pytest.mark.parametrize(
    ("check", "given", "cause"),
    [
        (OFF, None, None),
        (OFF, staple(revoked=SINCE), None),
        (PRESENT, None, None),
        (PRESENT, staple(), None),
        (PRESENT, staple(revoked=SINCE), Cause.NETWORK_CERTIFICATE_REVOKED),
        (PRESENT, staple(PKI.make_network()), None),  # about another certificate: OpenSSL does not send it at all
        (PRESENT, Staple(staple().octets[:-1] + b"\x00", NOW), Cause.NETWORK_REVOCATION_UNKNOWN),
        (PRESENT, Staple(staple(days=0).octets, NOW), Cause.NETWORK_REVOCATION_UNKNOWN),  # stapled though too old
        (REQUIRED, staple(), None),
        (REQUIRED, None, Cause.NETWORK_REVOCATION_UNKNOWN),
        (REQUIRED, staple(days=0), Cause.NETWORK_REVOCATION_UNKNOWN),  # too old to be stapled
        (REQUIRED, staple(revoked=SINCE), Cause.NETWORK_CERTIFICATE_REVOKED),
        (REQUIRED, staple(PKI.network_of_other_anchor, PKI.other_network_ca), Cause.NETWORK_REVOCATION_UNKNOWN),
    ],
)
def test_what_a_device_makes_of_a_staple(version, check, given, cause):
    ended = run(version, check, given)
    assert ended.cause is cause
    assert isinstance(ended.outcome, Authenticated if cause is None else Failed)
    if cause is not None:
        assert ended.outcome.cause is cause  # the device told the network


def test_a_staple_crosses_the_radio_only_for_a_device_that_asks():
    """TLS 1.2 shows it; nothing is stapled to a device that does not ask."""
    given = staple()
    assert given.octets in run(TlsVersion.TLS_1_2, PRESENT, given).to_ue
    assert given.octets not in run(TlsVersion.TLS_1_2, OFF, given).to_ue


@VERSIONS
def test_a_certificate_that_is_refused_anyway_has_its_own_cause(version):
    """The certificate is judged first: a staple about a certificate of nobody's makes nothing better."""
    network = PKI.network_of_other_plmn
    ended = run(version, REQUIRED, staple(network), network)
    assert ended.cause is Cause.NETWORK_NAME_MISMATCH
    network = PKI.network_of_other_anchor
    ended = run(version, REQUIRED, staple(network, PKI.other_network_ca), network)
    assert ended.cause is Cause.NETWORK_ANCHOR_UNKNOWN


@VERSIONS
def test_below_a_sub_ca_the_sub_ca_answers(version):
    network = PKI.network_below_sub_ca
    below = staple(network, PKI.network_sub_ca)
    assert run(version, REQUIRED, below, network).cause is None
    above = staple(network, PKI.network_ca)
    assert run(version, REQUIRED, above, network).cause is Cause.NETWORK_REVOCATION_UNKNOWN


@pytest.mark.parametrize("method", [SSL.TLS_SERVER_METHOD, SSL.TLS_CLIENT_METHOD])
def test_the_library_lets_nobody_staple_for_a_client(method):
    """RFC 8446 4.4.2.1 would let a network ask its devices; the day this changes, rprov can, too."""
    context, nothing = SSL.Context(method), SSL._ffi.NULL
    for add in (SSL._lib.SSL_CTX_add_client_custom_ext, SSL._lib.SSL_CTX_add_server_custom_ext):
        assert add(context._context, 5, *[nothing] * 5) == 0  # status_request is OpenSSL's own
    assert not hasattr(SSL._lib, "SSL_CTX_add_custom_ext")  # the one that reaches a CertificateRequest
