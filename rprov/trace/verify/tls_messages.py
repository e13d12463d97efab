"""Handshake messages and records of TLS 1.2 and 1.3, as far as whoever checks a capture must read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from rprov.crypto.x509_path import UNREADABLE, parse_certificate
from rprov.errors import DecodeError

MAX_RECORD = 16_384 + 256
HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random by which a ServerHello says that it is a HelloRetryRequest (RFC 8446 4.1.3)."""

TLS_1_2, TLS_1_3 = 0x0303, 0x0304


class Content(IntEnum):
    """Content types of records (RFC 8446 B.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION = 23


class Shake(IntEnum):
    """Types of handshake messages (RFC 8446 B.3, RFC 5246 7.4)."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its content type, its five octets of header, and what it carries."""

    content: int
    header: bytes
    payload: bytes


def records(flight: bytes) -> Iterator[Record]:
    """Cut a flight into records; raises `DecodeError`."""
    position = 0
    while position < len(flight):
        header = flight[position : position + 5]
        if len(header) < 5 or header[1] != 3:
            raise DecodeError("octets that are no TLS record")
        length = int.from_bytes(header[3:5])
        payload = flight[position + 5 : position + 5 + length]
        if length > MAX_RECORD or len(payload) < length:
            raise DecodeError("a TLS record that is cut off or too long")
        yield Record(header[0], header, payload)
        position += 5 + length


class Taker:
    """Takes octets one after the other; raises `DecodeError` where there are too few."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 0

    @property
    def left(self) -> int:
        """How many octets have not been taken."""
        return len(self._octets) - self._position

    def take(self, count: int) -> bytes:
        """Take so many."""
        if count > self.left:
            raise DecodeError("a TLS message is cut off")
        self._position += count
        return self._octets[self._position - count : self._position]

    def number(self, size: int) -> int:
        """Take a number of so many octets."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Take octets with their length before them, which has so many octets."""
        return self.take(self.number(size))

    def end(self) -> None:
        """Insist that nothing is left."""
        if self.left:
            raise DecodeError("a TLS message has octets behind its end")


@dataclass(frozen=True, slots=True)
class Hello:
    """What matters of a ClientHello or ServerHello."""

    random: bytes
    suites: tuple[int, ...]
    extensions: dict[int, bytes]

    @property
    def server_version(self) -> int:
        """The version that a ServerHello has chosen."""
        return int.from_bytes(self.extensions.get(43, TLS_1_2.to_bytes(2)))

    @property
    def resumes(self) -> bool:
        """Whether a ServerHello of TLS 1.3 takes a ticket."""
        return 41 in self.extensions


def read_hello(body: bytes, *, client: bool) -> Hello:
    """Read a hello."""
    taker = Taker(body)
    taker.take(2)
    random = taker.take(32)
    taker.vector(1)
    if client:
        offered = taker.vector(2)
        suites = tuple(int.from_bytes(offered[place : place + 2]) for place in range(0, len(offered), 2))
        taker.vector(1)
    else:
        suites = (taker.number(2),)
        taker.take(1)
    extensions: dict[int, bytes] = {}
    if taker.left:
        inner = Taker(taker.vector(2))
        while inner.left:
            kind = inner.number(2)
            extensions[kind] = inner.vector(2)
    taker.end()
    return Hello(random, suites, extensions)


def read_certificates(body: bytes, *, tls_1_3: bool) -> tuple[x509.Certificate, ...]:
    """Read a Certificate message; an empty one has no certificate."""
    taker = Taker(body)
    if tls_1_3:
        taker.vector(1)
    inner = Taker(taker.vector(3))
    taker.end()
    found = []
    while inner.left:
        octets = inner.vector(3)
        if tls_1_3:
            inner.vector(2)
        found.append(parse_certificate(octets))
    return tuple(found)


_ECDSA: dict[int, type[hashes.HashAlgorithm]] = {
    0x0403: hashes.SHA256,
    0x0503: hashes.SHA384,
    0x0603: hashes.SHA512,
    0x081A: hashes.SHA256,
    0x081B: hashes.SHA384,
    0x081C: hashes.SHA512,
}
_PSS: dict[int, type[hashes.HashAlgorithm]] = {
    0x0804: hashes.SHA256,
    0x0805: hashes.SHA384,
    0x0806: hashes.SHA512,
    0x0809: hashes.SHA256,
    0x080A: hashes.SHA384,
    0x080B: hashes.SHA512,
}
_PKCS1: dict[int, type[hashes.HashAlgorithm]] = {0x0401: hashes.SHA256, 0x0501: hashes.SHA384, 0x0601: hashes.SHA512}


def signature_is_right(certificate: x509.Certificate, scheme: int, signature: bytes, signed: bytes) -> bool:
    """Say whether the key of a certificate has made a signature (RFC 8446 4.2.3 names the schemes)."""
    try:
        key = certificate.public_key()
        match key:
            case ec.EllipticCurvePublicKey() if scheme in _ECDSA:
                key.verify(signature, signed, ec.ECDSA(_ECDSA[scheme]()))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() if scheme in (0x0807, 0x0808):
                key.verify(signature, signed)
            case rsa.RSAPublicKey() if scheme in _PSS:
                hashed = _PSS[scheme]()
                key.verify(signature, signed, padding.PSS(padding.MGF1(hashed), hashed.digest_size), hashed)
            case rsa.RSAPublicKey() if scheme in _PKCS1:
                key.verify(signature, signed, padding.PKCS1v15(), _PKCS1[scheme]())
            case _:
                return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
