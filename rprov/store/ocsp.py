"""OCSP responses as files, DER: read for networks, written for a test PKI. Which is believed says `crypto/ocsp.py`.

cp.ocsp        what the network staples about its own certificate
device.ocsp    what an EUM says of a device, with the EUM's certificate inside: a CP has no other way to know it
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponse

from rprov.causes import Cause
from rprov.crypto.issue_ocsp import make_ocsp
from rprov.crypto.ocsp import (
    CertificateStatus,
    Staple,
    is_about,
    names_issuer,
    parse_response,
    read_status,
    unproved_status,
)
from rprov.crypto.x509 import Role, check_chain, roles, subject_key_id
from rprov.crypto.x509_path import describe, extension
from rprov.errors import ConfigError, DecodeError, EnvironmentLacks, Refused
from rprov.store.pki import Issuing, load_chain, load_tls_key, read_file

OCSP_KINDS = ("*.ocsp", "*.der")

AUTHORITIES = ("ci", "eum", "network-ca")
"""The authorities of a test PKI, each of which answers for what it has issued."""


def load_response(path: Path) -> OCSPResponse:
    """Read one DER file; raises `ConfigError`."""
    try:
        return parse_response(read_file(path))
    except DecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_staple(path: Path, chain: Sequence[x509.Certificate], at: datetime) -> Staple:
    """Read what is stapled about the first certificate of `chain`; raises `ConfigError`.

    It is verified where its issuer stands in the chain, too. Under a root it cannot be: that is the devices' affair.
    """
    response = load_response(path)
    leaf = chain[0]
    with naming(path):
        if not is_about(response, leaf):
            raise Refused(Cause.REVOCATION_UNKNOWN, f"this OCSP response is not about {describe(leaf)}")
        issuer = next((one for one in chain[1:] if one.subject == leaf.issuer), None)
        status = unproved_status(response, at) if issuer is None else read_status(response, issuer, leaf.issuer, at)
    if status.revoked:
        raise ConfigError(f"{path}: {describe(leaf)} is revoked: no device would believe this network")
    return Staple(response.public_bytes(Encoding.DER), status.until)


def read_device_status(
    response: OCSPResponse, issuers: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], at: datetime
) -> tuple[bytes, CertificateStatus]:
    """Give the key identifier of the issuer, and what it says of one certificate; raises `Refused`."""
    brought = [one for one in response.certificates if Role.EUM in roles(one)]
    for issuer in (*issuers, *brought):
        if names_issuer(response, issuer, issuer.subject):
            if issuer in brought:
                check_chain(issuer, [], anchors, Role.EUM, at)
            return subject_key_id(issuer), read_status(response, issuer, issuer.subject, at)
    raise Refused(Cause.UNKNOWN_CI, "the issuer of the certificate that it speaks of is not known here")


def files_below(path: Path, kinds: Sequence[str]) -> list[Path]:
    """Give a file itself, or the files of these kinds in a directory; raises `ConfigError` where there is none."""
    if not path.is_dir():
        return [path]
    found = sorted({file for kind in kinds for file in path.glob(kind)})
    if not found:
        raise ConfigError(f"{path}: there is no {', '.join(kinds)} file in this directory")
    return found


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Turn a refusal into words about the file."""
    try:
        yield
    except Refused as error:
        raise ConfigError(f"{file}: {error}") from error


# --- a test PKI -------------------------------------------------------------------------------------------------------


def write_responses(
    place: Path, issuing: Issuing, certificates: Sequence[Path], revoked: frozenset[int] = frozenset()
) -> list[Path]:
    """Write, beside each certificate file, the response of its issuer about the first certificate in it.

    `revoked` are the serial numbers that are. Raises `ConfigError` for a certificate that nobody here has issued.
    """
    authorities = {name: load_chain(place / f"{name}.pem")[0] for name in AUTHORITIES}
    written = []
    for file in certificates:
        certificate = load_chain(file)[0]
        name = issuer_name(certificate, authorities, file)
        issuer = authorities[name]
        since = issuing.now if certificate.serial_number in revoked else None
        bring = [issuer] if Role.EUM in roles(issuer) else []
        key = load_tls_key(place / f"{name}.key")
        made = make_ocsp(certificate, issuer, key, issuing.now, issuing.days, revoked=since, bring=bring)
        written.append(file.with_suffix(".ocsp"))
        replace_file(written[-1], made.public_bytes(Encoding.DER))
    return written


def issuer_name(certificate: x509.Certificate, authorities: dict[str, x509.Certificate], file: Path) -> str:
    """Find which of the authorities has issued a certificate, by key identifier; raises `ConfigError`."""
    authority = extension(certificate, x509.AuthorityKeyIdentifier)
    for name, issuer in authorities.items():
        if authority is not None and authority.key_identifier == subject_key_id(issuer) and certificate != issuer:
            return name
    raise ConfigError(f"{file}: no authority here has issued {describe(certificate)}")


def replace_file(path: Path, octets: bytes) -> None:
    """Exchange a file at once: a CP may read it at any time."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(octets)
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from None
