"""The way from a certificate to an anchor: AKI and SKI, signatures, dates, what a CA may sign.

Owns what every PKI of this project has in common. Knows neither the GSMA roles (`x509`) nor what a network's
certificate must name (`x509_network`); those say, through `Verdicts`, which cause each refusal has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID, ObjectIdentifier

from rprov.causes import Cause
from rprov.crypto.x509_subject import keep_octets, plain, written
from rprov.errors import DecodeError, Refused

LARGEST_CERTIFICATE = 8192
"""Octets of one certificate; those of SGP.22 have about 600, and what a stranger may make us parse has a bound."""

LONGEST_PATH = 5
"""Certificates of a path, leaf and anchor included; SGP.22 v2 needs 3."""

MOST_INTERMEDIATES = 8
"""Certificates that a peer may offer beside its own."""

EUM_PERMITTED_EIDS = ObjectIdentifier("2.23.146.1.2.2.0")
"""GSMA extension of an EUM certificate: SEQUENCE OF PrintableString, prefixes of the EIDs that it may issue."""

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        EUM_PERMITTED_EIDS,
    }
)
"""What may be critical; RFC 5280 4.2: a critical extension that is not understood ends the validation."""

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,  # a serial number that is not positive, where warnings are errors
)
"""What the parser of `cryptography` raises, late, for a certificate that is none."""

Extension = TypeVar("Extension", bound=x509.ExtensionType)


class Verified(tuple[x509.Certificate, ...]):
    """The issuers of a leaf, the nearest first, where each has been verified to have signed the one before it.

    OpenSSL has done so when it hands a chain to a judge without complaint, and verifying the leaf again would be a
    tenth of a handshake. Nothing else makes one of these, but who remembers that this was so (`auth/resumable.py`).
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which cause each kind of refusal has; the two sides of an attach name them apart."""

    unknown_anchor: Cause
    expired: Cause
    not_yet_valid: Cause
    invalid: Cause


def parse_certificate(der: bytes) -> x509.Certificate:
    """Read one DER certificate; raises `DecodeError` whatever the octets."""
    if len(der) > LARGEST_CERTIFICATE:
        raise DecodeError(f"a certificate of more than {LARGEST_CERTIFICATE} octets")
    if not _serial_is_positive(der):
        # RFC 5280 4.1.2.2. Looked at before `cryptography` does, which would write a warning to stderr for each.
        raise DecodeError("a certificate whose serial number is not positive")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except UNREADABLE:
        raise DecodeError("octets that are no X.509 certificate") from None
    keep_octets(certificate, der)
    return certificate


def _serial_is_positive(der: bytes) -> bool:
    """Look at the first INTEGER of the tbsCertificate; what is no certificate at all is left to the parser."""
    at = 0
    for _ in range(2):
        if der[at : at + 1] != b"\x30":
            return True
        at = _content_at(der, at)
    if der[at : at + 1] == b"\xa0":  # the version
        at = _content_at(der, at) + 3
    if der[at : at + 1] != b"\x02" or at + 1 >= len(der):
        return True
    serial = der[_content_at(der, at) :][: der[at + 1]]
    return int.from_bytes(serial, signed=True) > 0


def _content_at(der: bytes, at: int) -> int:
    """Where the content of an element begins, by the form of its length."""
    form = der[at + 1] if at + 1 < len(der) else 0
    return at + 2 + (form & 0x7F if form & 0x80 else 0)


class reading:  # noqa: N801 - it reads as the statement that it is
    """Turns what the parser raises for a broken certificate into `Refused(cause)`."""

    __slots__ = ("_cause",)

    def __init__(self, cause: Cause) -> None:
        self._cause = cause

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if isinstance(error, UNREADABLE):
            raise Refused(self._cause, f"a certificate that cannot be read ({type(error).__name__})") from None


def extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    """Give an extension's value, or None where the certificate has none."""
    for item in certificate.extensions:
        value = item.value
        if type(value) is kind:  # these classes have no subclasses, and `isinstance` asks each of their bases
            return value
    return None


def key_id(certificate: x509.Certificate) -> bytes | None:
    """The subjectKeyIdentifier, if there is one."""
    found = extension(certificate, x509.SubjectKeyIdentifier)
    return found.digest if found else None


def describe(certificate: x509.Certificate) -> str:
    """Subject and serial number, for people and audits."""
    try:
        attributes = plain(certificate).attributes
        subject = written(attributes) if attributes else None
        if subject is None:
            subject = certificate.subject.rfc4514_string({NameOID.SERIAL_NUMBER: "serialNumber"})
        return f"{subject} (serial {certificate.serial_number:x})"
    except UNREADABLE:
        return "a certificate whose names cannot be read"


def organization(certificate: x509.Certificate) -> tuple[str, ...]:
    """The O attributes of the subject."""
    return tuple(str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))


def path_to_anchor(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
    verdicts: Verdicts,
) -> tuple[x509.Certificate, ...]:
    """Find and verify the path, leaf first, anchor last; raises `Refused`.

    Issuers are found by AKI and SKI, not by name: the same CI key exists under several subject names. Checked here:
    every signature, every date at `at`, CA flags, key usage of the CAs, path lengths, critical extensions. What the
    leaf must be is the caller's affair.
    """
    if len(intermediates) > MOST_INTERMEDIATES:
        raise Refused(verdicts.invalid, f"more than {MOST_INTERMEDIATES} certificates beside the peer's own")
    with reading(verdicts.invalid):
        path = _walk(leaf, intermediates, anchors, at, verdicts)
        for depth, certificate in enumerate(path):
            check_dates(certificate, at, verdicts)
            check_form(certificate, verdicts)
            if depth:
                _check_ca(certificate, depth, certificate is path[-1], verdicts)
    return path


def _walk(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
    verdicts: Verdicts,
) -> tuple[x509.Certificate, ...]:
    path = [leaf]
    while len(path) < LONGEST_PATH:
        verify = partial(prove_leaf, intermediates) if path[-1] is leaf else _verify_once
        if anchor := _issuer(path[-1], anchors, at, verify, verdicts):
            return (*path, anchor)
        issuer = _issuer(path[-1], intermediates, at, verify, verdicts)
        if issuer is None or issuer in path:
            break
        path.append(issuer)
    raise Refused(verdicts.unknown_anchor, f"issuer of {describe(path[-1])} is not trusted")


def _issuer(
    child: x509.Certificate,
    pool: Sequence[x509.Certificate],
    at: datetime,
    verify: Callable[[x509.Certificate, x509.Certificate], None],
    verdicts: Verdicts,
) -> x509.Certificate | None:
    authority = extension(child, x509.AuthorityKeyIdentifier)
    wanted = authority.key_identifier if authority else None
    if wanted is None:
        candidates = [other for other in pool if other.subject == child.issuer]
    else:
        candidates = [other for other in pool if key_id(other) == wanted]
    # A CA renewed with the same key: the one that is valid now comes first.
    candidates.sort(key=lambda other: not other.not_valid_before_utc <= at <= other.not_valid_after_utc)
    for candidate in candidates:
        try:
            verify(child, candidate)
        except InvalidSignature:
            continue
        return candidate
    if candidates:
        raise Refused(verdicts.invalid, f"the signature of {describe(child)} is wrong")
    return None


def prove_leaf(issuers: Sequence[x509.Certificate], leaf: x509.Certificate, issuer: x509.Certificate) -> None:
    """Verify the signature of a leaf, unless it has been; raises `InvalidSignature`. What is too weak stays too weak.

    `issuers` says so by its type, and then only of its first.
    """
    if not (isinstance(issuers, Verified) and issuers and (issuers[0] is issuer or issuers[0] == issuer)):
        verify_issued(leaf, issuer)
    elif not _is_strong(leaf, issuer.public_key()):
        raise InvalidSignature


def verify_issued(child: x509.Certificate, issuer: x509.Certificate) -> None:
    """Verify one signature, and nothing else; raises `InvalidSignature`, for hashes and keys that are too weak too."""
    key = issuer.public_key()
    signature, signed, algorithm = child.signature, child.tbs_certificate_bytes, child.signature_hash_algorithm
    if not _is_strong(child, key):
        raise InvalidSignature
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        key.verify(signature, signed, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
        how = child.signature_algorithm_parameters
        if not isinstance(how, padding.PKCS1v15 | padding.PSS):
            raise InvalidSignature
        key.verify(signature, signed, how, algorithm)
    else:
        raise InvalidSignature


def _is_strong(child: x509.Certificate, key: object) -> bool:
    """Whether a signature by this key, were it right, would prove anything."""
    algorithm = child.signature_hash_algorithm
    if isinstance(key, ed25519.Ed25519PublicKey):
        return algorithm is None
    known = isinstance(key, ec.EllipticCurvePublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
    return known and isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)


_verify_once = lru_cache(maxsize=256)(verify_issued)
"""Good signatures over CA certificates are remembered (failures are not): one ECDSA verification less an attach."""


def check_dates(certificate: x509.Certificate, at: datetime, verdicts: Verdicts) -> None:
    """Check that a certificate is valid now; raises `Refused`."""
    if at < certificate.not_valid_before_utc:
        raise Refused(verdicts.not_yet_valid, describe(certificate))
    if at > certificate.not_valid_after_utc:
        raise Refused(verdicts.expired, describe(certificate))


def check_form(certificate: x509.Certificate, verdicts: Verdicts) -> None:
    """Check what no certificate of a path may have; raises `Refused`."""
    if certificate.serial_number <= 0:  # RFC 5280 4.1.2.2
        raise Refused(verdicts.invalid, f"{describe(certificate)} has no positive serial number")
    for item in certificate.extensions:
        if item.critical and item.oid not in _UNDERSTOOD:
            raise Refused(verdicts.invalid, f"critical extension {item.oid.dotted_string} is unknown")


def _check_ca(certificate: x509.Certificate, depth: int, is_anchor: bool, verdicts: Verdicts) -> None:
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise Refused(verdicts.invalid, f"{describe(certificate)} is no CA")
    # RFC 5280 4.2.1.9: how many CA certificates may stand below this one, the leaf not counted
    if constraints.path_length is not None and constraints.path_length < depth - 1:
        raise Refused(verdicts.invalid, f"the path below {describe(certificate)} is too long")
    usage = extension(certificate, x509.KeyUsage)
    # Roots are trusted by configuration, and some carry no key usage at all.
    if usage.key_cert_sign is False if usage else not is_anchor:
        raise Refused(verdicts.invalid, f"{describe(certificate)} may not sign certificates")
