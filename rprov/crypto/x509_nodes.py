"""What RAN and CP demand of each other's certificate on N2: the network's own anchors, and a name of the other's role.

    a CP      cp.mnc<MNC>.mcc<MCC>.3gppnetwork.org           serverAuth
    a RAN     <name>.ran.mnc<MNC>.mcc<MCC>.3gppnetwork.org   clientAuth

Both are certificates of the network: `x509_network` says what those must never be. Knows no TLS.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from rprov.causes import Cause
from rprov.crypto.x509_crl import Revocations
from rprov.crypto.x509_network import VERDICTS, check_leaf, check_network, dns_names
from rprov.crypto.x509_path import describe, path_to_anchor, reading
from rprov.errors import Refused
from rprov.model.identifiers import Plmn


def is_label(name: str) -> bool:
    """Say whether a name can stand in a dNSName (RFC 5280 4.2.1.6): letters, digits and hyphens, at most 63."""
    return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", name) is not None


def ran_certificate_name(ran_name: str, plmn: Plmn) -> str:
    """The dNSName of a RAN's certificate."""
    return f"{ran_name}{_ending(plmn)}".lower()


def ran_names(leaf: x509.Certificate, plmn: Plmn) -> tuple[str, ...]:
    """Which RANs of a network a certificate names, as they call themselves on N2, in small letters."""
    ending = _ending(plmn)
    with reading(Cause.NETWORK_CERTIFICATE_INVALID):
        names = [name.lower() for name in dns_names(leaf)]
    return tuple(name.removesuffix(ending) for name in names if name.endswith(ending) and "*" not in name)


def check_ran(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    plmn: Plmn,
    revocations: Revocations,
    at: datetime,
) -> None:
    """Check that a certificate is of some RAN of this network; raises `Refused` with a cause of `check_network`.

    Which RAN it is, `ran_names` says; that it is the one that N2 speaks of is the caller's to check.
    """
    path = path_to_anchor(leaf, intermediates, anchors, at, VERDICTS)
    check_leaf(leaf, ExtendedKeyUsageOID.CLIENT_AUTH)
    if not ran_names(leaf, plmn):
        raise Refused(Cause.WRONG_CERTIFICATE_ROLE, f"{describe(leaf)} names no RAN of {plmn}")
    revocations.check(path, at)


def check_cp(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    name: str,
    revocations: Revocations,
    at: datetime,
) -> None:
    """Check that a certificate is of the CP of that name; raises `Refused` with a cause of `check_network`."""
    revocations.check(check_network(leaf, intermediates, anchors, name, at), at)


def _ending(plmn: Plmn) -> str:
    return f".ran.{plmn.domain}"
