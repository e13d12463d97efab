"""Signatures and one-time keys of SGP.22. Knows octets and keys, no message.

Every RSP signature is r and s side by side, 64 octets (BSI TR-03111 5.2.1); public one-time keys are uncompressed
points. Both curves of SGP.22 2.6.7.1 are 256 bits wide.
"""

from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rprov.crypto.issue import private_key
from rprov.errors import DecodeError, PeerError
from rprov.provision.sgp22.tlv import fixed, tlv

Entropy = Callable[[int], bytes]

SIGNATURE_TAG = 0x5F37
POINT_TAG = 0x5F49

_SIDE = 32
_CURVES = {"secp256r1": "P-256", "brainpoolP256r1": "brainpoolP256r1"}  # SGP.22 2.6.7.1


class BadSignature(PeerError):
    """A signature that does not verify."""


class UnsupportedCurve(PeerError):
    """A key on a curve that SGP.22 does not use."""


def sign(key: ec.EllipticCurvePrivateKey, *parts: bytes) -> bytes:
    """Sign the parts in their order; gives 64 octets."""
    data = b"".join(parts)
    try:
        der = key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))  # RFC 6979
    except UnsupportedAlgorithm:
        der = key.sign(data, ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(der)
    return r.to_bytes(_SIDE, "big") + s.to_bytes(_SIDE, "big")


def verify(key: ec.EllipticCurvePublicKey, signature: bytes, *parts: bytes) -> None:
    """Check 64 octets of signature over the parts; raises BadSignature."""
    if len(signature) != 2 * _SIDE:
        raise BadSignature("a signature has 64 octets")
    r = int.from_bytes(signature[:_SIDE], "big")
    s = int.from_bytes(signature[_SIDE:], "big")
    try:
        key.verify(encode_dss_signature(r, s), b"".join(parts), ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise BadSignature("the signature does not verify") from error


def signature_do(signature: bytes) -> bytes:
    """The data object that carries a signature."""
    return tlv(SIGNATURE_TAG, signature)


def public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The certificate's key; raises UnsupportedCurve unless it is on one of the two curves."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedCurve("the certificate's key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise UnsupportedCurve("the certificate's key is not on P-256 or brainpoolP256r1")
    return key


def certificate_octets(certificate: x509.Certificate) -> bytes:
    """The certificate as it was received or made."""
    return certificate.public_bytes(Encoding.DER)


def one_time_key(curve: ec.EllipticCurve, entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    """Make a one-time key pair on `curve`."""
    name = _CURVES.get(curve.name)
    if name is None:
        raise UnsupportedCurve(f"no one-time key on {curve.name}")
    return private_key(entropy, name)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as an uncompressed point, 65 octets."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def load_point(octets: bytes, curve: ec.EllipticCurve, what: str) -> ec.EllipticCurvePublicKey:
    """Read an uncompressed point; one that is not on `curve` is refused (it would leak the private key)."""
    fixed(octets, 65, what)
    if octets[0] != 4:
        raise DecodeError(f"{what}: not an uncompressed point")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, octets)
    except ValueError as error:
        raise DecodeError(f"{what}: the point is not on the curve") from error


def agree(private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> bytes:
    """ECKA-EG's shared secret: the x coordinate, 32 octets, no hash (BSI TR-03111 4.3.1)."""
    return private.exchange(ec.ECDH(), public)
