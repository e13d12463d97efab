"""Transports under TLS between a CP and RANs of the test PKI."""

from collections.abc import Callable
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID
from doubles.pki import NOW, PLMN, Held, shared_pki

from rprov.crypto import issue
from rprov.crypto.tls_context import Side, TlsContext, TlsCredentials
from rprov.crypto.x509_crl import NO_REVOCATIONS, Revocations
from rprov.crypto.x509_nodes import check_cp, check_ran, ran_certificate_name
from rprov.transport.link import Transport
from rprov.transport.tcp import bare_tcp
from rprov.transport.tls import TlsTransport
from rprov.transport.tls_link import TlsParty


def ran_certificate(name: str = "ran", ca: Held | None = None, **over: Any) -> Held:
    """A RAN's certificate, or one that is wrong in a point."""
    pki = shared_pki()
    signer = ca or pki.network_ca
    key = pki.new_key()
    names = over.pop("names", [ran_certificate_name(name, PLMN)])
    usage = over.pop("extended_usage", (ExtendedKeyUsageOID.CLIENT_AUTH,))
    terms = pki.terms(**over)
    return Held(
        issue.make_network(signer.certificate, signer.key, key, names, extended_usage=usage, **terms),
        key,
        signer.issuers and signer.chain,
    )


def _context(side: Side, held: Held, anchors: list[Held] | None) -> TlsContext:
    trusted = [anchor.certificate for anchor in anchors or [shared_pki().network_ca]]
    return TlsContext(side, TlsCredentials(held.chain, held.key), trusted)


def cp_party(
    held: Held | None = None,
    anchors: list[Held] | None = None,
    revocations: Callable[[], Revocations] = lambda: NO_REVOCATIONS,
) -> Callable[[], TlsParty]:
    """The CP's end."""
    trusted = [anchor.certificate for anchor in anchors or [shared_pki().network_ca]]
    context = _context(Side.SERVER, held or shared_pki().network, anchors)
    return lambda: TlsParty(context, lambda leaf, others: check_ran(leaf, others, trusted, PLMN, revocations(), NOW))


def ran_party(held: Held | None = None, anchors: list[Held] | None = None) -> Callable[[], TlsParty]:
    """A RAN's end."""
    trusted = [anchor.certificate for anchor in anchors or [shared_pki().network_ca]]
    context = _context(Side.CLIENT, held or ran_certificate(), anchors)
    return lambda: TlsParty(
        context, lambda leaf, others: check_cp(leaf, others, trusted, PLMN.cp_name, NO_REVOCATIONS, NOW)
    )


def tls_over(below: Transport = bare_tcp, **options: Any) -> TlsTransport:
    """Both ends with good certificates, unless the options say otherwise."""
    return TlsTransport(below, **{"server": cp_party(), "client": ran_party(), **options})
