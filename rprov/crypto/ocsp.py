"""OCSP responses (RFC 6960): who signed one, of which certificate it speaks, what it says, and until when.

A response is judged alone: somebody brought it, in a handshake or in a file, and nothing is ever asked over a network.
Knows no file, no TLS, and not what follows from what a response says.

    parse_response(octets)                     DecodeError
    read_status(response, issuer, name, at)    Refused: not its issuer's, not signed as it must be, not of now
    unproved_status(response, at)              what it claims, for its owner, who only passes it on
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from rprov.causes import Cause
from rprov.crypto.x509_path import UNREADABLE, describe, extension, reading, verify_issued
from rprov.errors import DecodeError, Refused

LARGEST_RESPONSE = 16384
"""Octets of one response; one with the certificate of its responder has about 1,000."""

MOST_CERTIFICATES = 4
"""Certificates that a response may bring along."""

_HASHES = hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
"""What may name an issuer. SHA-1 too: it names, and proves nothing; RFC 5019 2.1.1 has everybody use it."""

_STRONG = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_RSA = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """What a response says of one certificate, which its issuer and this serial number name."""

    serial: int
    revoked: bool
    said: datetime
    """thisUpdate: of two responses the newer one counts."""
    until: datetime
    """nextUpdate; after it the response vouches for nothing."""


@dataclass(frozen=True, slots=True)
class Staple:
    """A response that a network passes on to its peers, DER, and its nextUpdate."""

    octets: bytes
    until: datetime

    def current(self, at: datetime) -> bytes:
        """Give it as long as it is good; after that b"", which is no staple."""
        return self.octets if at <= self.until else b""


def parse_response(octets: bytes) -> ocsp.OCSPResponse:
    """Read one DER response that is successful and of one certificate; raises `DecodeError` whatever the octets."""
    if len(octets) > LARGEST_RESPONSE:
        raise DecodeError(f"an OCSP response of more than {LARGEST_RESPONSE} octets")
    try:
        response = ocsp.load_der_ocsp_response(octets)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise DecodeError(f"an OCSP response that says {response.response_status.name} and nothing else")
        if len(list(response.responses)) != 1:
            raise DecodeError("an OCSP response about more than one certificate, or none")
        if len(response.certificates) > MOST_CERTIFICATES:
            raise DecodeError(f"an OCSP response with more than {MOST_CERTIFICATES} certificates")
        critical = [item for given in (response.extensions, response.single_extensions) for item in given]
    except UNREADABLE:
        raise DecodeError("octets that are no OCSP response") from None
    for item in critical:
        if item.critical and not isinstance(item.value, x509.OCSPNonce):
            raise DecodeError(f"an OCSP response with the unknown critical extension {item.oid.dotted_string}")
    return response


def names_issuer(response: ocsp.OCSPResponse, issuer: x509.Certificate, name: x509.Name) -> bool:
    """Whether a response speaks of certificates of this issuer under this name (CertID of RFC 6960 4.1.1)."""
    with reading(Cause.REVOCATION_UNKNOWN):
        algorithm = response.hash_algorithm
        if not isinstance(algorithm, _HASHES):
            return False
        return (
            _digest(algorithm, name.public_bytes()) == response.issuer_name_hash
            and _digest(algorithm, _key_bits(issuer)) == response.issuer_key_hash
        )


def read_status(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, name: x509.Name, at: datetime
) -> CertificateStatus:
    """Check a parsed response for certificates that `issuer` has issued as `name`; `at` is now.

    The issuer has signed it, or somebody whom the issuer itself certified for that (RFC 6960 4.2.2.2). What is past
    its nextUpdate is given back all the same: whether the old word counts, its reader knows. Raises `Refused` with
    REVOCATION_UNKNOWN for everything that makes it no answer.
    """
    with reading(Cause.REVOCATION_UNKNOWN):
        if not names_issuer(response, issuer, name):
            raise _useless(f"it speaks of no certificate of {describe(issuer)}")
        _check_signature(response, _responder(response, issuer, at))
    return unproved_status(response, at)


def is_about(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    """Whether a response names this certificate, as far as that can be told without its issuer's key."""
    with reading(Cause.REVOCATION_UNKNOWN):
        algorithm = response.hash_algorithm
        return (
            response.serial_number == certificate.serial_number
            and isinstance(algorithm, _HASHES)
            and _digest(algorithm, certificate.issuer.public_bytes()) == response.issuer_name_hash
        )


def unproved_status(response: ocsp.OCSPResponse, at: datetime) -> CertificateStatus:
    """Read what a response claims, whoever has signed it; raises `Refused` where it claims nothing for now."""
    with reading(Cause.REVOCATION_UNKNOWN):
        status, said, until = response.certificate_status, response.this_update_utc, response.next_update_utc
        if status is ocsp.OCSPCertStatus.UNKNOWN:
            raise _useless("its responder does not know the certificate")
        if until is None:
            raise _useless("it does not say how long it is good (nextUpdate)")
        if said > at:
            raise _useless(f"it is of {said:%Y-%m-%d %H:%M:%S}, which is yet to come")
        return CertificateStatus(response.serial_number, status is ocsp.OCSPCertStatus.REVOKED, said, until)


def _useless(why: str) -> Refused:
    return Refused(Cause.REVOCATION_UNKNOWN, f"the OCSP response says nothing: {why}")


def _digest(algorithm: hashes.HashAlgorithm, octets: bytes) -> bytes:
    made = hashes.Hash(algorithm)
    made.update(octets)
    return made.finalize()


def _key_bits(issuer: x509.Certificate) -> bytes:
    """The subjectPublicKey without its tag, length and unused bits: what issuerKeyHash is made of."""
    key = issuer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    raise _useless(f"the key of {describe(issuer)} is of no kind that is known here")


def _responder(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> x509.Certificate:
    """Find who has signed: the issuer, or its delegate, whose certificate the response brings."""
    if _is_responder(response, issuer):
        return issuer
    for delegate in response.certificates:
        if _is_responder(response, delegate):
            _check_delegate(delegate, issuer, at)
            return delegate
    raise _useless("neither the issuer of the certificate nor somebody whose certificate is there has signed it")


def _is_responder(response: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == candidate.subject
    # RFC 6960 4.2.1: KeyHash is always SHA-1; it says whose signature to try, and proves nothing.
    return response.responder_key_hash == _digest(hashes.SHA1(), _key_bits(candidate))  # noqa: S303


def _check_delegate(delegate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> None:
    """RFC 6960 4.2.2.2: certified directly by the issuer, for this purpose, in time, and not to be revoked itself."""
    try:
        verify_issued(delegate, issuer)
    except InvalidSignature:
        raise _useless(f"the issuer has not certified {describe(delegate)}, who has signed it") from None
    purposes, usage = extension(delegate, x509.ExtendedKeyUsage), extension(delegate, x509.KeyUsage)
    if delegate.issuer != issuer.subject or purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        raise _useless(f"{describe(delegate)} may not sign it (id-kp-OCSPSigning)")
    if usage is not None and not usage.digital_signature:
        raise _useless(f"the key of {describe(delegate)} is for something else")
    if not delegate.not_valid_before_utc <= at <= delegate.not_valid_after_utc:
        raise _useless(f"{describe(delegate)}, who has signed it, is not valid now")
    # RFC 6960 4.2.2.2.1 leaves it to us what to do without: nobody here could ask whether the delegate is revoked.
    if not any(item.oid == ExtensionOID.OCSP_NO_CHECK for item in delegate.extensions):
        raise _useless(f"nobody can tell whether {describe(delegate)} is revoked (id-pkix-ocsp-nocheck)")


def _check_signature(response: ocsp.OCSPResponse, responder: x509.Certificate) -> None:
    try:
        _verify(response, responder.public_key())
    except InvalidSignature:
        raise _useless(f"the signature of {describe(responder)} is wrong or too weak") from None


def _verify(response: ocsp.OCSPResponse, key: object) -> None:
    algorithm, signature, signed = response.signature_hash_algorithm, response.signature, response.tbs_response_bytes
    if isinstance(key, ed25519.Ed25519PublicKey) and algorithm is None:
        key.verify(signature, signed)
    elif not isinstance(algorithm, _STRONG):
        raise InvalidSignature
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048 and response.signature_algorithm_oid in _RSA:
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    else:
        raise InvalidSignature
