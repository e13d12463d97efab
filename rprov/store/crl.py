"""CRLs as files: read for the CP, written for a test PKI. What makes a CRL believed is `crypto/x509_crl.py`'s affair.

ci.crl     what the CI revokes
eum.crl    what the EUM revokes, with the EUM's certificate after it: a CP has no other way to know it
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rprov.crypto import issue
from rprov.crypto.x509 import Role, check_chain, subject_key_id
from rprov.crypto.x509_crl import Revocations, read_revocations
from rprov.crypto.x509_path import describe, extension
from rprov.errors import ConfigError, EnvironmentLacks, Refused
from rprov.store.pki import Issuing, load_chain, load_key, read_file

ISSUERS = ("ci", "eum")
"""The authorities of a test PKI that say what of theirs is revoked."""

_KINDS = ("*.pem", "*.crl", "*.der")
_BEGIN_CRL, _END_CRL = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


class CrlFile(NamedTuple):
    """What a file holds: CRLs, and certificates of issuers beside them."""

    crls: tuple[x509.CertificateRevocationList, ...]
    issuers: tuple[x509.Certificate, ...]


def load_crl_file(path: Path) -> CrlFile:
    """Read one PEM or DER file; raises `ConfigError`."""
    octets = read_file(path)
    try:
        if b"-----BEGIN" not in octets:
            return CrlFile((x509.load_der_x509_crl(octets),), ())
        pieces = [_BEGIN_CRL + piece.partition(_END_CRL)[0] + _END_CRL for piece in octets.split(_BEGIN_CRL)[1:]]
        crls = tuple(x509.load_pem_x509_crl(piece) for piece in pieces)
        certified = b"-----BEGIN CERTIFICATE-----" in octets
        issuers = tuple(x509.load_pem_x509_certificates(octets)) if certified else ()
    except ValueError:
        raise ConfigError(f"{path}: there is a CRL or a certificate in this file that cannot be read") from None
    if not crls:
        raise ConfigError(f"{path}: there is no CRL in this file")
    return CrlFile(crls, issuers)


def load_revocations(
    paths: Sequence[Path], anchors: Sequence[x509.Certificate], at: datetime, *, required: bool = False
) -> Revocations:
    """Read all CRLs of these files and directories, and verify them; raises `ConfigError` for any that is wrong."""
    found = [(file, load_crl_file(file)) for path in paths for file in _files(path)]
    issuers = list(anchors)
    for file, (_, given) in found:
        with _naming(file):
            for issuer in given:
                if issuer not in anchors:
                    check_chain(issuer, [], anchors, Role.EUM, at)
        issuers += given
    for file, (crls, _) in found:
        with _naming(file):
            read_revocations(crls, issuers, at)
    return read_revocations([crl for _, (crls, _) in found for crl in crls], issuers, at, required=required)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turn a refusal into words about the file."""
    try:
        yield
    except Refused as error:
        raise ConfigError(f"{file}: {error}") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted({file for kind in _KINDS for file in path.glob(kind)})
    if not found:
        raise ConfigError(f"{path}: there is no {', '.join(_KINDS)} file in this directory")
    return found


# --- a test PKI -------------------------------------------------------------------------------------------------------


def revoke(place: Path, issuing: Issuing, certificates: Sequence[Path] = ()) -> list[Path]:
    """Revoke the first certificate of each file; write the CRLs of all authorities anew, and give their files.

    Raises `ConfigError` for a certificate that none of them has issued.
    """
    authorities = {name: load_chain(place / f"{name}.pem")[0] for name in ISSUERS}
    serials: dict[str, set[int]] = {name: set() for name in ISSUERS}
    for file in certificates:
        serials[_issuer_of(load_chain(file)[0], authorities, file)].add(load_chain(file)[0].serial_number)
    return [_rewrite(place, issuing, name, authorities[name], serials[name]) for name in ISSUERS]


def _issuer_of(certificate: x509.Certificate, authorities: dict[str, x509.Certificate], file: Path) -> str:
    authority = extension(certificate, x509.AuthorityKeyIdentifier)
    for name, issuer in authorities.items():
        if authority is not None and authority.key_identifier == subject_key_id(issuer) and certificate != issuer:
            return name
    raise ConfigError(f"{file}: no authority here has issued {describe(certificate)}")


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
    if name != ISSUERS[0]:
        octets += issuer.public_bytes(Encoding.PEM)
    _replace(path, octets)
    return path


def _replace(path: Path, octets: bytes) -> None:
    """Exchange a file at once: a CP may read it at any time."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(octets)
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from None
