"""What a UE demands of a network: its own anchors, serverAuth, the name of the announced PLMN, no GSMA role.

All conditions together: any one alone can be met by somebody else. An eUICC's certificate, say, has no extended key
usage and stands under a CI, so a UE that checked the chain alone would take an eUICC for a network.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from rprov.causes import Cause
from rprov.crypto.ocsp import is_about, parse_response, read_status
from rprov.crypto.x509 import GSMA_POLICIES, policies, roles
from rprov.crypto.x509_path import Verdicts, describe, extension, path_to_anchor, reading
from rprov.errors import DecodeError, Refused

VERDICTS = Verdicts(
    unknown_anchor=Cause.NETWORK_ANCHOR_UNKNOWN,
    expired=Cause.NETWORK_CERTIFICATE_EXPIRED,
    not_yet_valid=Cause.NETWORK_CERTIFICATE_NOT_YET_VALID,
    invalid=Cause.NETWORK_CERTIFICATE_INVALID,
)
"""How refusals are called where the certificate is a network's."""

_PURPOSES: Mapping[ObjectIdentifier, str] = MappingProxyType(
    {
        ExtendedKeyUsageOID.SERVER_AUTH: "servers (no serverAuth)",
        ExtendedKeyUsageOID.CLIENT_AUTH: "clients (no clientAuth)",
    }
)


def check_network(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    name: str,
    at: datetime,
) -> tuple[x509.Certificate, ...]:
    """Check a network's certificate for the dNSName `name`; give leaf, …, anchor.

    Raises `Refused` with NETWORK_ANCHOR_UNKNOWN, NETWORK_CERTIFICATE_EXPIRED, NETWORK_CERTIFICATE_NOT_YET_VALID,
    NETWORK_CERTIFICATE_INVALID, NETWORK_ROLE_FORBIDDEN or NETWORK_NAME_MISMATCH.
    """
    path = path_to_anchor(leaf, intermediates, anchors, at, VERDICTS)
    check_leaf(leaf, ExtendedKeyUsageOID.SERVER_AUTH)
    with reading(Cause.NETWORK_CERTIFICATE_INVALID):
        _check_name(leaf, name)
    return path


def check_leaf(leaf: x509.Certificate, purpose: ObjectIdentifier) -> None:
    """Check what a node's certificate is for: TLS in this purpose, and no role of the GSMA. Raises `Refused`."""
    with reading(Cause.NETWORK_CERTIFICATE_INVALID):
        _refuse_gsma_roles(leaf)
        _check_usage(leaf, purpose)


def dns_names(leaf: x509.Certificate) -> list[str]:
    """The dNSNames of a certificate."""
    found = extension(leaf, x509.SubjectAlternativeName)
    return found.get_values_for_type(x509.DNSName) if found else []


def check_staple(path: Sequence[x509.Certificate], staple: bytes, at: datetime, *, required: bool) -> None:
    """Check what the network has stapled about the first certificate of `path` (RFC 9190 5.4); b"" is nothing.

    Something that is stapled must be good, `required` or not. Only the leaf's status travels in a handshake, so a CA
    between it and the anchor is never asked about. Raises `Refused` with NETWORK_CERTIFICATE_REVOKED or
    NETWORK_REVOCATION_UNKNOWN.
    """
    leaf, issuer = path[0], path[1]
    if not staple:
        if required:
            raise Refused(Cause.NETWORK_REVOCATION_UNKNOWN, "the network staples no OCSP response")
        return
    try:
        response = parse_response(staple)
        status = read_status(response, issuer, leaf.issuer, at)
    except (DecodeError, Refused) as error:
        raise Refused(Cause.NETWORK_REVOCATION_UNKNOWN, str(error)) from error
    if not is_about(response, leaf):
        raise Refused(Cause.NETWORK_REVOCATION_UNKNOWN, "the OCSP response is about another certificate")
    if status.revoked:
        raise Refused(Cause.NETWORK_CERTIFICATE_REVOKED, describe(leaf))
    if at > status.until:
        raise Refused(
            Cause.NETWORK_REVOCATION_UNKNOWN, f"the OCSP response was good until {status.until:%Y-%m-%d %H:%M}"
        )


def _refuse_gsma_roles(leaf: x509.Certificate) -> None:
    if roles(leaf) or any(oid.startswith(GSMA_POLICIES) for oid in policies(leaf)):
        raise Refused(Cause.NETWORK_ROLE_FORBIDDEN, describe(leaf))


def _check_usage(leaf: x509.Certificate, purpose: ObjectIdentifier) -> None:
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    # RFC 5216 5.3: id-kp-serverAuth; anyExtendedKeyUsage is not enough here
    if purposes is None or purpose not in purposes:
        raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, f"{describe(leaf)} is not for {_PURPOSES[purpose]}")
    usage = extension(leaf, x509.KeyUsage)
    constraints = extension(leaf, x509.BasicConstraints)
    if (usage is not None and not usage.digital_signature) or (constraints is not None and constraints.ca):
        raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, f"the key of {describe(leaf)} is not for TLS")


def _check_name(leaf: x509.Certificate, name: str) -> None:
    names = dns_names(leaf)
    # RFC 9190 2.2: match against SAN dNSName. No wildcard and no common name: each names more than one network.
    if name.lower() not in (item.lower() for item in names):
        named = ", ".join(names[:4]) or "nobody"
        raise Refused(Cause.NETWORK_NAME_MISMATCH, f"the certificate names {named}, not {name}")
