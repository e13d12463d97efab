"""EUMs that are remembered: every verdict is that of the whole check, and a wrong signature never passes."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.odd_serials import MINUS_ONE, held_with_serial
from doubles.pki import EID_PREFIX, FOREIGN_EID, NOW, ORGANIZATION, PLMN, Held, Pki, shared_pki

from rprov.causes import Cause
from rprov.crypto import issue, x509_path, x509_trust
from rprov.crypto.tls import TlsEngine, TlsFailed
from rprov.crypto.tls_context import Side, TlsContext, TlsCredentials
from rprov.crypto.x509 import Role, check_chain, subject_key_id
from rprov.crypto.x509_network import check_network
from rprov.crypto.x509_path import Verified, parse_certificate
from rprov.crypto.x509_trust import DeviceAnchors
from rprov.errors import Refused

PKI = shared_pki()
DEVICES = frozenset({Role.DEVICE, Role.EUICC})
WRONG = (
    "device_of_other_ci",
    "expired_device",
    "expired_eum_device",
    "future_device",
    "foreign_device",
    "unvouched_device",
    "roleless_device",
    "two_faced_device",
    "eum_with_wrong_role",
    "dp_tls",
    "dp_auth",
    "network",
)


def warm() -> DeviceAnchors:
    """Anchors that have seen a good device."""
    made = DeviceAnchors([PKI.ci.certificate])
    made.check(PKI.other_device.certificate, PKI.other_device.issuers, NOW)
    return made


def verdict(check: Callable[[], object]) -> tuple[Cause, str]:
    with pytest.raises(Refused) as caught:
        check()
    return caught.value.cause, caught.value.detail


def broken(held: Held) -> Held:
    """The same certificate with one bit of its signature changed."""
    der = bytearray(held.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return held._replace(certificate=parse_certificate(bytes(der)))


def forged(held: Held) -> Held:
    """The same words, the same key identifiers, signed by somebody else."""
    return resigned(held, PKI.other_ci, hashes.SHA256())


def resigned(held: Held, by: Held, digest: hashes.SHA224 | hashes.SHA256) -> Held:
    model = held.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(model.issuer)
        .public_key(model.public_key())
        .serial_number(model.serial_number)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
    )
    for item in model.extensions:
        builder = builder.add_extension(item.value, item.critical)
    return held._replace(certificate=builder.sign(by.key, digest))


@pytest.mark.parametrize("make", [warm, lambda: DeviceAnchors([PKI.ci.certificate])], ids=["warm", "cold"])
@pytest.mark.parametrize("name", WRONG)
def test_refusals_are_those_of_the_whole_check(name, make):
    held, trusted = getattr(PKI, name), make()
    whole = verdict(lambda: check_chain(held.certificate, held.issuers, [PKI.ci.certificate], DEVICES, NOW))
    assert verdict(lambda: trusted.check(held.certificate, held.issuers, NOW)) == whole
    good = PKI.device
    assert trusted.check(good.certificate, good.issuers, NOW) == (*good.chain, PKI.ci.certificate)


@pytest.mark.parametrize("make", [broken, forged])
def test_a_wrong_signature_is_refused_in_either_order(make):
    bad = make(PKI.device)
    for trusted in (warm(), DeviceAnchors([PKI.ci.certificate])):
        for _ in range(2):
            cause, _ = verdict(lambda trusted=trusted: trusted.check(bad.certificate, bad.issuers, NOW))
            assert cause is Cause.CERTIFICATE_INVALID
            trusted.check(PKI.device.certificate, PKI.device.issuers, NOW)


def test_who_is_expected_is_not_who_comes():
    """An EUM that is remembered vouches for nobody who does not bring it."""
    trusted = warm()
    assert verdict(lambda: trusted.check(PKI.device.certificate, [], NOW))[0] is Cause.UNKNOWN_CI


def test_time_passes_for_what_is_remembered_too():
    soon = NOW + timedelta(days=30)
    device = PKI.make_device(eum=PKI.make_eum(not_after=soon))
    trusted = DeviceAnchors([PKI.ci.certificate])
    trusted.check(device.certificate, device.issuers, NOW)
    trusted.check(device.certificate, device.issuers, soon)
    later = soon + timedelta(seconds=1)
    assert verdict(lambda: trusted.check(device.certificate, device.issuers, later))[0] is Cause.CERTIFICATE_EXPIRED
    short = PKI.make_device(not_after=soon)
    trusted.check(short.certificate, short.issuers, NOW)
    assert verdict(lambda: trusted.check(short.certificate, short.issuers, later))[0] is Cause.CERTIFICATE_EXPIRED


def test_a_renewed_eum_with_its_key_takes_the_place_of_the_old_one():
    renewed = PKI.eum._replace(
        certificate=(again := _renewed(PKI.eum)),
        issuers=(again,),
    )
    device = PKI.make_device(eum=renewed)
    trusted = warm()
    for held in (device, PKI.device, device):
        assert trusted.check(held.certificate, held.issuers, NOW)[1] == held.issuers[0]


def _renewed(eum: Held) -> x509.Certificate:
    ci = PKI.ci
    return issue.make_eum(ci.certificate, ci.key, eum.key.public_key(), ORGANIZATION, EID_PREFIX, **PKI.terms())


def test_the_operators_table_counts_for_what_is_remembered():
    eum = PKI.make_eum(form="none")
    device, foreign = PKI.make_device(eum=eum), PKI.make_device(FOREIGN_EID, eum=eum)
    trusted = DeviceAnchors([PKI.ci.certificate], DEVICES, {subject_key_id(eum.certificate): (EID_PREFIX,)})
    for _ in range(2):
        trusted.check(device.certificate, device.issuers, NOW)
        cause, _ = verdict(lambda: trusted.check(foreign.certificate, foreign.issuers, NOW))
        assert cause is Cause.EUM_NOT_AUTHORISED


def test_roles_that_are_not_wanted_stay_unwanted():
    trusted = DeviceAnchors([PKI.ci.certificate], frozenset({Role.DEVICE}))
    trusted.check(PKI.device.certificate, PKI.device.issuers, NOW)
    cause, _ = verdict(lambda: trusted.check(PKI.euicc.certificate, PKI.euicc.issuers, NOW))
    assert cause is Cause.WRONG_CERTIFICATE_ROLE


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(x509_trust, "MOST_EUMS", 2)
    trusted = DeviceAnchors([PKI.ci.certificate])
    devices = [PKI.make_device(eum=PKI.make_eum()) for _ in range(4)]
    for _ in range(2):
        for held in devices:
            trusted.check(held.certificate, held.issuers, NOW)
            assert len(trusted._known) <= 2


# --- what is verified, by counting --------------------------------------------------------------------------------


@pytest.fixture
def verified(monkeypatch) -> list[x509.Certificate]:
    """Whose signatures we have verified ourselves."""
    found: list[x509.Certificate] = []
    real = x509_path.verify_issued

    def counted(child: x509.Certificate, issuer: x509.Certificate) -> None:
        found.append(child)
        real(child, issuer)

    monkeypatch.setattr(x509_path, "verify_issued", counted)
    return found


def test_a_leaf_is_verified_once_and_nobody_else(verified):
    trusted = warm()
    verified.clear()
    held = PKI.device
    trusted.check(held.certificate, held.issuers, NOW)
    assert verified == [held.certificate]
    trusted.check(held.certificate, Verified(held.issuers), NOW)
    assert verified == [held.certificate]
    trusted.check(held.certificate, Verified((PKI.make_eum().certificate, *held.issuers)), NOW)
    assert verified == [held.certificate] * 2  # another one is said to have signed it


def test_what_is_too_weak_stays_so_though_openssl_has_verified_it():
    weak = resigned(PKI.device, PKI.eum, hashes.SHA224())
    for trusted in (warm(), DeviceAnchors([PKI.ci.certificate])):
        cause, _ = verdict(lambda trusted=trusted: trusted.check(weak.certificate, Verified(weak.issuers), NOW))
        assert cause is Cause.CERTIFICATE_INVALID


# --- in the handshake ---------------------------------------------------------------------------------------------


class Server:
    """One context, as a server has it, and handshakes with it."""

    def __init__(self, pki: Pki = PKI) -> None:
        self.pki = pki
        network = pki.network
        self.context = TlsContext(Side.SERVER, TlsCredentials(network.chain, network.key), [pki.ci.certificate])
        self.trusted = DeviceAnchors([pki.ci.certificate])
        self.seen: list[type] = []

    def judge(self, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
        self.seen.append(type(intermediates))
        self.trusted.check(leaf, intermediates, NOW)

    def meet(self, device: Held) -> None:
        """Shake hands; raises `TlsFailed`."""
        for eum in self.trusted.take_new():
            self.context.know(eum)

        def believe(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
            check_network(leaf, intermediates, [self.pki.network_ca.certificate], PLMN.cp_name, NOW)

        credentials = TlsCredentials(device.chain, device.key)
        client = TlsEngine(TlsContext(Side.CLIENT, credentials, [self.pki.network_ca.certificate]), believe)
        server = TlsEngine(self.context, self.judge)
        server.feed(client.feed(server.feed(client.start()).flight).flight)
        assert server.done


@pytest.mark.parametrize("make", [broken, forged])
def test_a_wrong_signature_never_passes_a_handshake_before_or_after_a_right_one(make, verified):
    for curve in ("P-256", "brainpoolP256r1"):
        server = Server(shared_pki(curve))
        good = server.pki.device
        for _ in range(2):
            server.seen.clear()
            with pytest.raises(TlsFailed) as caught:
                server.meet(make(good))
            assert caught.value.cause is Cause.CERTIFICATE_INVALID
            assert server.seen == [list]  # OpenSSL has complained: nothing counts as verified
            verified.clear()
            server.meet(good)
            assert server.seen == [list, Verified]
            assert good.certificate not in verified  # OpenSSL has done it


def test_every_refusal_is_the_same_once_openssl_knows_the_eum():
    server = Server()
    server.meet(PKI.other_device)
    server.meet(PKI.other_device)
    for name in WRONG:
        held = getattr(PKI, name)
        whole = verdict(
            lambda held=held: check_chain(held.certificate, held.issuers, [PKI.ci.certificate], DEVICES, NOW)
        )
        with pytest.raises(TlsFailed) as caught:
            server.meet(held)
        assert caught.value.cause is whole[0], name


def test_a_serial_number_that_is_not_positive_ends_the_handshake():
    server = Server()
    with pytest.raises(TlsFailed, match="serial number is not positive") as caught:
        server.meet(held_with_serial(PKI, MINUS_ONE))
    assert caught.value.cause is Cause.CERTIFICATE_INVALID
    assert caught.value.flight
