"""What a UE demands of a network: its own anchors, serverAuth, the name of the announced PLMN, no GSMA role.

All conditions together: any one alone can be met by somebody else. An eUICC's certificate, say, has no extended key
usage and stands under a CI, so a UE that checked the chain alone would take an eUICC for a network.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from rprov.causes import Cause
from rprov.crypto.x509 import GSMA_POLICIES, policies, roles
from rprov.crypto.x509_path import Verdicts, describe, extension, path_to_anchor, reading
from rprov.errors import Refused

_VERDICTS = Verdicts(
    unknown_anchor=Cause.NETWORK_ANCHOR_UNKNOWN,
    expired=Cause.NETWORK_CERTIFICATE_EXPIRED,
    not_yet_valid=Cause.NETWORK_CERTIFICATE_NOT_YET_VALID,
    invalid=Cause.NETWORK_CERTIFICATE_INVALID,
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
    path = path_to_anchor(leaf, intermediates, anchors, at, _VERDICTS)
    with reading(Cause.NETWORK_CERTIFICATE_INVALID):
        _refuse_gsma_roles(leaf)
        _check_usage(leaf)
        _check_name(leaf, name)
    return path


def _refuse_gsma_roles(leaf: x509.Certificate) -> None:
    if roles(leaf) or any(oid.startswith(GSMA_POLICIES) for oid in policies(leaf)):
        raise Refused(Cause.NETWORK_ROLE_FORBIDDEN, describe(leaf))


def _check_usage(leaf: x509.Certificate) -> None:
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    # RFC 5216 5.3: id-kp-serverAuth; anyExtendedKeyUsage is not enough here
    if purposes is None or ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, f"{describe(leaf)} is not for servers (no serverAuth)")
    usage = extension(leaf, x509.KeyUsage)
    constraints = extension(leaf, x509.BasicConstraints)
    if (usage is not None and not usage.digital_signature) or (constraints is not None and constraints.ca):
        raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, f"the key of {describe(leaf)} is not for TLS")


def _check_name(leaf: x509.Certificate, name: str) -> None:
    found = extension(leaf, x509.SubjectAlternativeName)
    names = found.get_values_for_type(x509.DNSName) if found else []
    # RFC 9190 2.2: match against SAN dNSName. No wildcard and no common name: each names more than one network.
    if name.lower() not in (item.lower() for item in names):
        named = ", ".join(names[:4]) or "nobody"
        raise Refused(Cause.NETWORK_NAME_MISMATCH, f"the certificate names {named}, not {name}")
