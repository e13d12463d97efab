"""EAP packets, RFC 3748 clause 4: octets to values and back. Knows no method and keeps no state.

 0        1            2       3     4
| code   | identifier | length      | type    | type data …                            Request, Response
| code   | identifier | length      | 254     | vendor (3) | vendor type (4) | data …   the same, expanded
| code   | identifier | 0004        |                                                  Success, Failure

A type of the IETF means the same in either form (RFC 3748 5.7): both are read to one value, which says how it came.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from rprov.errors import DecodeError, EncodeError

HEADER = 4
LARGEST_PACKET = 1500
"""An EAP message in NAS has at most 1,500 octets (TS 24.501 9.11.2.2)."""


class Code(IntEnum):
    """What a packet is (RFC 3748 4)."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(IntEnum):
    """Types that rprov knows (RFC 3748 5, IANA)."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    TLS = 13
    AKA = 23
    AKA_PRIME = 50
    EXPANDED = 254


_EXPANSION = 7  # vendor and vendor type
_IETF = bytes(6)
"""What stands before the last octet of an expanded type that has a short form too."""


@dataclass(frozen=True, slots=True)
class Request:
    """Server to peer. `expanded` says that the type stands in the long form; a type of a vendor stays in `data`."""

    identifier: int
    type: int
    data: bytes
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """Peer to server; echoes the identifier of the request. `expanded` as in `Request`."""

    identifier: int
    type: int
    data: bytes
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """Server to peer, the end; carries the identifier of the last response."""

    identifier: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Server to peer, the end; carries the identifier of the last response."""

    identifier: int


EapPacket = Request | Response | Success | Failure


def encode(packet: EapPacket) -> bytes:
    """Give the octets; raises `EncodeError`."""
    if not 0 <= packet.identifier <= 255:
        raise EncodeError("an EAP identifier is one octet")
    match packet:
        case Request():
            return _with_type(Code.REQUEST, packet)
        case Response():
            return _with_type(Code.RESPONSE, packet)
        case Success():
            return bytes((Code.SUCCESS, packet.identifier, 0, HEADER))
        case Failure():
            return bytes((Code.FAILURE, packet.identifier, 0, HEADER))
        case _:
            assert_never(packet)


def _with_type(code: Code, packet: Request | Response) -> bytes:
    if not 1 <= packet.type <= 255:
        raise EncodeError("an EAP type is 1 to 255")
    body = bytes((packet.type,)) + packet.data
    if packet.expanded:
        if packet.type >= EapType.EXPANDED:
            raise EncodeError("only a type of the IETF has a short form and a long one")
        body = bytes((EapType.EXPANDED,)) + _IETF + body
    length = HEADER + len(body)
    if length > LARGEST_PACKET:
        raise EncodeError(f"an EAP packet of {length} octets does not fit into NAS")
    return bytes((code, packet.identifier)) + length.to_bytes(2) + body


def nak(request: Request, wanted: int) -> Response:
    """Give the answer to a request whose type is not wanted, in the form of the request (RFC 3748 5.3.1, 5.3.2)."""
    if request.expanded or request.type == EapType.EXPANDED:
        return Response(request.identifier, EapType.NAK, bytes((EapType.EXPANDED,)) + _IETF + bytes((wanted,)), True)
    return Response(request.identifier, EapType.NAK, bytes((wanted,)))


def wanted_types(response: Response) -> tuple[int, ...]:
    """Give the types of the IETF that a Nak asks for; none where the peer has no other (RFC 3748 5.3)."""
    if not response.expanded:
        return tuple(kind for kind in response.data if kind)
    size = 1 + _EXPANSION
    ways = (response.data[at : at + size] for at in range(0, len(response.data), size))
    return tuple(way[-1] for way in ways if len(way) == size and way[1:-1] == _IETF and way[-1])


def decode(octets: bytes) -> EapPacket:
    """Read one packet; raises `DecodeError`."""
    if len(octets) < HEADER:
        raise DecodeError("an EAP packet has at least 4 octets")
    if len(octets) > LARGEST_PACKET:
        raise DecodeError(f"an EAP packet has at most {LARGEST_PACKET} octets")
    code, identifier, length = octets[0], octets[1], int.from_bytes(octets[2:HEADER])
    if length > len(octets):
        raise DecodeError(f"an EAP packet says {length} octets and has {len(octets)}")
    # RFC 3748 4.1: octets beyond the length are padding of the lower layer and are ignored
    body = octets[HEADER:length]
    match code:
        case Code.REQUEST | Code.RESPONSE if length > HEADER and body[0]:
            kind = Request if code == Code.REQUEST else Response
            if body[0] != EapType.EXPANDED:
                return kind(identifier, body[0], body[1:])
            if length <= HEADER + _EXPANSION:
                raise DecodeError("an EAP packet ends in its expanded type")
            if body[1:_EXPANSION] == _IETF and 0 < body[_EXPANSION] < EapType.EXPANDED:
                return kind(identifier, body[_EXPANSION], body[_EXPANSION + 1 :], True)
            return kind(identifier, EapType.EXPANDED, body[1:])
        case Code.REQUEST | Code.RESPONSE:
            raise DecodeError("an EAP request or response without a type")
        case Code.SUCCESS | Code.FAILURE if length == HEADER:
            return Success(identifier) if code == Code.SUCCESS else Failure(identifier)
        case Code.SUCCESS | Code.FAILURE:
            raise DecodeError(f"an EAP success or failure has 4 octets, not {length}")
        case _:
            raise DecodeError(f"unknown EAP code {code}")
