"""CRLs as files: read for the CP, written for a test PKI. What makes a CRL believed is `crypto/x509_crl.py`'s affair.

ci.crl          what the CI revokes
eum.crl         what the EUM revokes, with the EUM's certificate after it: a CP has no other way to know it
network-ca.crl  what the network revokes: RANs and CPs
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rprov.crypto import issue
from rprov.crypto.x509 import Role, check_chain
from rprov.crypto.x509_crl import Revocations, judge_crl, revocations
from rprov.errors import ConfigError
from rprov.store.ocsp import (
    OCSP_KINDS,
    files_below,
    issuer_name,
    load_response,
    naming,
    read_device_status,
    replace_file,
)
from rprov.store.pki import Issuing, certificates_in, load_chain, load_key, read_file

ISSUERS = ("ci", "eum", "network-ca")
"""The authorities of a test PKI that say what of theirs is revoked."""

LARGEST_FILE = 1 << 26
"""Octets of a file of CRLs; a million entries in PEM have 48 MB."""

_KINDS = ("*.pem", "*.crl", "*.der")
_BEGIN_CRL, _END_CRL = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


class CrlFile(NamedTuple):
    """What a file holds: CRLs, and certificates of issuers beside them."""

    crls: tuple[x509.CertificateRevocationList, ...]
    issuers: tuple[x509.Certificate, ...]


def load_crl_file(path: Path) -> CrlFile:
    """Read one PEM or DER file; raises `ConfigError`."""
    octets = read_file(path, most=LARGEST_FILE)
    try:
        if b"-----BEGIN" not in octets:
            return CrlFile((x509.load_der_x509_crl(octets),), ())
        pieces = [_BEGIN_CRL + piece.partition(_END_CRL)[0] + _END_CRL for piece in octets.split(_BEGIN_CRL)[1:]]
        crls = tuple(x509.load_pem_x509_crl(piece) for piece in pieces)
    except ValueError:
        raise ConfigError(f"{path}: there is a CRL in this file that cannot be read") from None
    if not crls:
        raise ConfigError(f"{path}: there is no CRL in this file")
    return CrlFile(crls, certificates_in(path, octets))


def load_revocations(
    paths: Sequence[Path],
    anchors: Sequence[x509.Certificate],
    at: datetime,
    *,
    required: bool = False,
    ocsp: Sequence[Path] = (),
) -> Revocations:
    """Read all CRLs, and the OCSP responses of `ocsp`, and verify them; raises `ConfigError` for any that is wrong.

    Both may be files or directories. A response is believed if an anchor has signed it, an EUM whose certificate it
    or a CRL file brings, or a delegate of these.
    """
    found = [(file, load_crl_file(file)) for path in paths for file in files_below(path, _KINDS)]
    responses = [(file, load_response(file)) for path in ocsp for file in files_below(path, OCSP_KINDS)]
    issuers = list(anchors)
    for file, (_, given) in found:
        with naming(file):
            for issuer in given:
                if issuer not in anchors:
                    check_chain(issuer, [], anchors, Role.EUM, at)
        issuers += given
    judged = []
    for file, (crls, _) in found:
        with naming(file):
            judged += [judge_crl(crl, issuers, at) for crl in crls]
    statuses = []
    for file, response in responses:
        with naming(file):
            statuses.append(read_device_status(response, issuers, anchors, at))
    return revocations(judged, required=required).with_responses(statuses)


# --- a test PKI -------------------------------------------------------------------------------------------------------


def revoke(place: Path, issuing: Issuing, certificates: Sequence[Path] = ()) -> list[Path]:
    """Revoke the first certificate of each file; write the CRLs of all authorities anew, and give their files.

    Raises `ConfigError` for a certificate that none of them has issued.
    """
    authorities = {name: load_chain(place / f"{name}.pem")[0] for name in ISSUERS}
    serials: dict[str, set[int]] = {name: set() for name in ISSUERS}
    for file in certificates:
        serials[issuer_name(load_chain(file)[0], authorities, file)].add(load_chain(file)[0].serial_number)
    return [_rewrite(place, issuing, name, authorities[name], serials[name]) for name in ISSUERS]


def revoked_serials(place: Path) -> frozenset[int]:
    """Read which serial numbers the CRLs of a test PKI name, if it has any; raises `ConfigError`."""
    paths = [path for path in (place / f"{name}.crl" for name in ISSUERS) if path.exists()]
    return frozenset(entry.serial_number for path in paths for crl in load_crl_file(path).crls for entry in crl)


def _rewrite(place: Path, issuing: Issuing, name: str, issuer: x509.Certificate, serials: set[int]) -> Path:
    path = place / f"{name}.crl"
    revoked = dict.fromkeys(serials, issuing.now)
    number = 1
    if path.exists():
        older = load_crl_file(path).crls[0]
        revoked |= {entry.serial_number: entry.revocation_date_utc for entry in older}
        number = older.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    crl = issue.make_crl(issuer, load_key(place / f"{name}.key"), revoked, number, issuing.now, issuing.days)
    octets = crl.public_bytes(Encoding.PEM)
    if issuer.issuer != issuer.subject:  # no anchor of anybody
        octets += issuer.public_bytes(Encoding.PEM)
    replace_file(path, octets)
    return path
