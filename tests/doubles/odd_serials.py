"""Certificates with serial numbers that no builder makes: zero and below (RFC 5280 4.1.2.2 forbids them)."""

import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from doubles.pki import Held, Pki

ZERO, MINUS_ONE = b"\x02\x01\x00", b"\x02\x01\xff"


def with_serial(held: Held, issuer: Held, serial: bytes) -> bytes:
    """The same certificate (DER) with another INTEGER for a serial number, well signed."""
    model = held.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(model.issuer)
        .public_key(model.public_key())
        .serial_number(1)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
    )
    for item in model.extensions:
        builder = builder.add_extension(item.value, item.critical)
    made = builder.sign(issuer.key, hashes.SHA256())
    words, whole = made.tbs_certificate_bytes, made.public_bytes(Encoding.DER)
    changed = words.replace(b"\x02\x01\x01", serial, 1)
    rest = whole[whole.index(words) + len(words) :]
    algorithm = rest[: 2 + rest[1]]
    signature = issuer.key.sign(changed, ec.ECDSA(hashes.SHA256()))
    return _element(0x30, changed + algorithm + _element(0x03, b"\x00" + signature))


def held_with_serial(pki: Pki, serial: bytes) -> Held:
    """A device whose certificate has it; `cryptography` warns of such a thing once it is told to read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        certificate = x509.load_der_x509_certificate(with_serial(pki.device, pki.eum, serial))
    return pki.device._replace(certificate=certificate)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 0x80 else bytes((0x82,)) + size.to_bytes(2)
    return bytes((tag,)) + length + content
