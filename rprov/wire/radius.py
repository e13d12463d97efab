"""RADIUS packets and what protects them (RFC 2865 3, RFC 3579 3.2): octets to values and back, sealed and checked.

 0      1            2        4               20
| code | identifier | length | authenticator | type, length, value | type, length, value | …

Every packet that is sent carries a Message-Authenticator, first of all attributes; every packet that is taken must
carry exactly one, wherever it stands. That, and not the Response Authenticator, is what keeps forged answers out
(CVE-2024-3596). Knows no attribute's meaning beyond that, no EAP and no socket.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import NamedTuple

from rprov.errors import DecodeError, EncodeError, MacMismatch, Unprotected
from rprov.model.secret import Secret

HEADER = 20
LARGEST_PACKET = 4096  # RFC 2865 3
LARGEST_VALUE = 253
AUTHENTICATOR = 16
"""Octets of an authenticator, of the header's and of the attribute's."""

_VALUE = HEADER + 2  # where the value of the first attribute begins


_MD5_BLOCK = 64
_md5 = partial(hashlib.md5, usedforsecurity=False)


class SharedSecret(Secret):
    """What a RADIUS client and its server share; over TLS it is the word `radsec` (RFC 6614 2.3)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        key = octets if len(octets) <= _MD5_BLOCK else _md5(octets).digest()
        padded = key.ljust(_MD5_BLOCK, b"\0")
        self._inner = _md5(bytes(octet ^ 0x36 for octet in padded))  # RFC 2104 2
        self._outer = _md5(bytes(octet ^ 0x5C for octet in padded))

    def hmac_md5(self, octets: bytes | bytearray) -> bytes:
        """HMAC-MD5 with this secret (RFC 2104), begun once and not for each packet."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(octets)
        outer.update(inner.digest())
        return outer.digest()


RADSEC_SECRET = SharedSecret(b"radsec")


class Code(IntEnum):
    """What a packet is (RFC 2865 3, RFC 5997)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12


class Kind(IntEnum):
    """Attributes that rprov knows (RFC 2865 5, RFC 2869 5, RFC 3579 3, RFC 4372 2.2, RFC 5176 3.5)."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    FRAMED_MTU = 12
    REPLY_MESSAGE = 18
    STATE = 24
    CLASS = 25
    VENDOR_SPECIFIC = 26
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    ARAP_PASSWORD = 70
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    CHARGEABLE_USER_IDENTITY = 89
    ERROR_CAUSE = 101


_CODES = {int(code): code for code in Code}
_MESSAGE_AUTHENTICATOR = int(Kind.MESSAGE_AUTHENTICATOR)


class Attribute(NamedTuple):
    """One attribute; which type it is may be unknown here."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet; `authenticator` is random in a request, and proves an answer."""

    code: Code
    identifier: int
    authenticator: bytes
    attributes: tuple[Attribute, ...]
    octets: bytes = field(default=b"", init=False, compare=False, repr=False)
    """As it was read, where it was; a packet that is made of another one has none."""

    @property
    def kinds(self) -> list[int]:
        """The types of all attributes, in their order."""
        return [kind for kind, _ in self.attributes]

    def values(self, kind: int) -> list[bytes]:
        """Give the values of all attributes of one type, in their order."""
        return [value for found, value in self.attributes if found == kind]

    def single(self, kind: int) -> bytes | None:
        """Give the value of an attribute that stands once or not at all; raises `DecodeError`."""
        found = self.values(kind)
        if len(found) > 1:
            raise DecodeError(f"RADIUS attribute {kind} stands {len(found)} times")
        return found[0] if found else None


def encode(packet: Packet) -> bytes:
    """Give the octets as they are, nothing computed; raises `EncodeError`."""
    return _encode(packet.code, packet.identifier, packet.authenticator, packet.attributes)


def _encode(code: Code, identifier: int, authenticator: bytes, attributes: Iterable[Attribute]) -> bytes:
    if not 0 <= identifier <= 255 or len(authenticator) != AUTHENTICATOR:
        raise EncodeError("a RADIUS identifier is one octet, and an authenticator sixteen")
    parts = [authenticator]
    for kind, value in attributes:
        if not 0 <= kind <= 255 or len(value) > LARGEST_VALUE:
            raise EncodeError(f"RADIUS attribute {kind} with {len(value)} octets")
        parts += bytes((kind, len(value) + 2)), value
    rest = b"".join(parts)
    length = len(rest) + 4
    if length > LARGEST_PACKET:
        raise EncodeError(f"a RADIUS packet of {length} octets")
    return bytes((code, identifier)) + length.to_bytes(2) + rest


def length_of(header: bytes) -> int:
    """Read how long the packet is that begins with these four octets; raises `DecodeError`."""
    length = int.from_bytes(header[2:4])
    if len(header) < 4 or not HEADER <= length <= LARGEST_PACKET:
        raise DecodeError(f"a RADIUS packet has {HEADER} to {LARGEST_PACKET} octets, not {length}")
    return length


def decode(octets: bytes) -> Packet:
    """Read one packet; raises `DecodeError`. What it says is not to be believed before a check."""
    length = length_of(octets[:4])
    if length > len(octets):
        raise DecodeError(f"a RADIUS packet says {length} octets and has {len(octets)}")
    code = _CODES.get(octets[0])
    if code is None:
        raise DecodeError(f"RADIUS code {octets[0]} is not spoken here")
    attributes = []
    at = HEADER
    while at < length:  # RFC 2865 3: octets beyond the length are padding
        end = at + (octets[at + 1] if at + 1 < length else 0)
        if not at + 2 <= end <= length:
            raise DecodeError(f"RADIUS attribute {octets[at]} is shorter than its header or longer than its packet")
        attributes.append(Attribute(octets[at], octets[at + 2 : end]))
        at = end
    packet = Packet(code, octets[1], octets[4:HEADER], tuple(attributes))
    object.__setattr__(packet, "octets", octets[:length])
    return packet


def seal_request(
    identifier: int,
    authenticator: bytes,
    attributes: Iterable[Attribute],
    secret: SharedSecret,
    code: Code = Code.ACCESS_REQUEST,
) -> bytes:
    """Give the octets of a request; `authenticator` is fresh and random (RFC 2865 3). Raises `EncodeError`."""
    return bytes(_sealed(code, identifier, authenticator, attributes, secret))


def seal_answer(code: Code, request: Packet, attributes: Iterable[Attribute], secret: SharedSecret) -> bytes:
    """Give the octets of the answer to `request`; raises `EncodeError`."""
    octets = _sealed(code, request.identifier, request.authenticator, attributes, secret)
    octets[4:HEADER] = _response_authenticator(octets, secret)
    return bytes(octets)


def check_request(packet: Packet, secret: SharedSecret) -> None:
    """Check who sent a request; raises `Unprotected` or `MacMismatch`: it is dropped without an answer then."""
    _check_message(packet, packet.authenticator, secret)


def check_answer(packet: Packet, request: Packet, secret: SharedSecret) -> None:
    """Check that this answers `request`. Raises `Unprotected` or `MacMismatch`; whoever waits must go on waiting then.

    An answer brings back the Proxy-State of its request, nothing else: more of it was put there by a stranger.
    """
    if packet.identifier != request.identifier or packet.code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
        raise MacMismatch("this RADIUS packet answers no request of ours")
    _check_message(packet, request.authenticator, secret)
    octets = packet.octets or encode(packet)
    expected = _response_authenticator(octets[:4] + request.authenticator + octets[HEADER:], secret)
    if not hmac.compare_digest(expected, packet.authenticator):
        raise MacMismatch("the Response Authenticator is wrong")
    if packet.values(Kind.PROXY_STATE) != request.values(Kind.PROXY_STATE):
        raise MacMismatch("an answer with a Proxy-State that was not sent")


def _sealed(
    code: Code, identifier: int, authenticator: bytes, attributes: Iterable[Attribute], secret: SharedSecret
) -> bytearray:
    """Put the Message-Authenticator first and compute it, with whatever stands in the header (RFC 3579 3.2)."""
    blank = Attribute(_MESSAGE_AUTHENTICATOR, bytes(AUTHENTICATOR))
    octets = bytearray(_encode(code, identifier, authenticator, (blank, *attributes)))
    octets[_VALUE : _VALUE + AUTHENTICATOR] = secret.hmac_md5(octets)
    return octets


def _check_message(packet: Packet, authenticator: bytes, secret: SharedSecret) -> None:
    kinds = packet.kinds
    found = kinds.count(_MESSAGE_AUTHENTICATOR)
    if found != 1:
        raise Unprotected(f"a RADIUS packet with {found} Message-Authenticators in place of one")
    place = kinds.index(_MESSAGE_AUTHENTICATOR)
    value = packet.attributes[place].value
    at = _VALUE + sum(len(before) + 2 for _, before in packet.attributes[:place])
    octets = bytearray(packet.octets or encode(packet))
    octets[at : at + len(value)] = bytes(len(value))
    octets[4:HEADER] = authenticator
    if not hmac.compare_digest(secret.hmac_md5(octets), value):
        raise MacMismatch("the Message-Authenticator is wrong")


def _response_authenticator(octets: bytes | bytearray, secret: SharedSecret) -> bytes:
    """MD5 over code, identifier, length, request authenticator, attributes, secret (RFC 2865 3)."""
    # Broken as a signature (CVE-2024-3596) but demanded by the format; what is trusted is the Message-Authenticator.
    return _md5(octets + secret.octets).digest()
