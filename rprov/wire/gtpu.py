"""GTP-U between RAN and UP: octets of TS 29.281 and of the PDU session container (TS 38.415). Knows no session.

    octet   1: version 001, PT 1, spare, E, S, PN | 2: type | 3-4: length after octet 8 | 5-8: TEID
            9-10: sequence | 11: N-PDU | 12: next extension header   (all four there if any of E, S, PN is set)
            then extension headers: length in units of 4 octets | content | next type

User packets take `encode_gpdu` and `read_gpdu`, which make no value; everything else is a message of `decode_gtpu`.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct
from typing import assert_never

from rprov.errors import DecodeError, EncodeError
from rprov.model.identifiers import Teid


class GtpuType(IntEnum):
    """Message types (TS 29.281 table 6.1-1)."""

    ECHO_REQUEST = 0x01
    ECHO_RESPONSE = 0x02
    ERROR_INDICATION = 0x1A
    END_MARKER = 0xFE
    G_PDU = 0xFF


class PduType(IntEnum):
    """Which way a user packet goes, in its PDU session container (TS 38.415 5.5.2)."""

    DOWNLINK = 0
    UPLINK = 1


@dataclass(frozen=True, slots=True)
class Gpdu:
    """A user packet in its tunnel; `pdu_type` and `qfi` are None without a PDU session container."""

    teid: Teid
    payload: bytes
    pdu_type: PduType | None = None
    qfi: int | None = None


@dataclass(frozen=True, slots=True)
class EchoRequest:
    """Asks whether the other node is there (TS 29.281 7.2.1)."""

    sequence: int


@dataclass(frozen=True, slots=True)
class EchoResponse:
    """Answers an Echo Request; its Recovery element is 0 and means nothing (TS 29.281 7.2.2)."""

    sequence: int


@dataclass(frozen=True, slots=True)
class ErrorIndication:
    """Says that a user packet came for an unknown TEID: that TEID, and the address it was sent to (7.3.1)."""

    teid: Teid
    peer: IPv4Address


@dataclass(frozen=True, slots=True)
class EndMarker:
    """Says that no more user packets come on this tunnel (7.3.2)."""

    teid: Teid


GtpuMessage = Gpdu | EchoRequest | EchoResponse | ErrorIndication | EndMarker

MAX_QFI = 63
_VERSION_1 = 0x30  # version 001 and protocol type 1; 0 would be GTP'
_EXTENSION, _SEQUENCE, _N_PDU = 0x04, 0x02, 0x01
_OPTIONAL = _EXTENSION | _SEQUENCE | _N_PDU
_PDU_SESSION_CONTAINER = 0x85
_COMPREHENSION_REQUIRED = 0x80  # TS 29.281 5.2.1: the two highest bits 10 or 11
_IE_RECOVERY, _IE_TEID_DATA_I, _IE_PEER_ADDRESS = 14, 16, 133
_IE_FIXED = {_IE_RECOVERY: 1, _IE_TEID_DATA_I: 4}  # elements below 128 have a fixed length, the others say theirs

_PLAIN = Struct(">BBHI")
_WITH_OPTIONS = Struct(">BBHIHBB")
_WITH_CONTAINER = Struct(">BBHIHBBBBBB")
_MAX_LENGTH = 0xFFFF


def encode_gpdu(teid: Teid, pdu_type: PduType, qfi: int, payload: bytes) -> bytes:
    """Put a user packet into its tunnel, with a PDU session container of 4 octets; `qfi` is 0 to 63."""
    length = len(payload) + 8
    if length > _MAX_LENGTH:
        raise EncodeError("a user packet is too long for GTP-U")
    header = _WITH_CONTAINER.pack(0x34, 0xFF, length, teid, 0, 0, 0x85, 1, pdu_type << 4, qfi, 0)
    return header + payload


def read_gpdu(packet: bytes, expected: PduType) -> tuple[int, bytes]:
    """Give TEID and user packet of a G-PDU; a container must be of the expected direction. Raises `DecodeError`."""
    if (
        packet[:2] == b"\x34\xff"
        and packet[11:13] == b"\x85\x01"
        and packet[15:16] == b"\x00"
        and packet[13] >> 4 == expected
        and int.from_bytes(packet[2:4]) + 8 == len(packet)
    ):  # what nearly every packet looks like: one container of 4 octets and nothing else
        return int.from_bytes(packet[4:8]), packet[16:]
    message = decode_gtpu(packet)
    if not isinstance(message, Gpdu):
        raise DecodeError("a GTP-U message that carries no user packet")
    if message.pdu_type not in (None, expected):
        raise DecodeError("a PDU session container of the wrong direction")
    return message.teid, message.payload


def encode_gtpu(message: GtpuMessage) -> bytes:
    """Give the octets of a message."""
    match message:
        case Gpdu(teid, payload, pdu_type, qfi):
            if pdu_type is not None:
                return encode_gpdu(teid, pdu_type, qfi or 0, payload)
            if len(payload) > _MAX_LENGTH:
                raise EncodeError("a user packet is too long for GTP-U")
            return _PLAIN.pack(_VERSION_1, GtpuType.G_PDU, len(payload), teid) + payload
        case EchoRequest(sequence):
            return _with_sequence(GtpuType.ECHO_REQUEST, sequence, b"")
        case EchoResponse(sequence):
            # "the Restart Counter value shall be set to zero by the sender" (TS 29.281 8.2)
            return _with_sequence(GtpuType.ECHO_RESPONSE, sequence, bytes((_IE_RECOVERY, 0)))
        case ErrorIndication(teid, peer):
            elements = bytes((_IE_TEID_DATA_I,)) + teid.to_bytes(4) + bytes((_IE_PEER_ADDRESS, 0, 4)) + peer.packed
            return _with_sequence(GtpuType.ERROR_INDICATION, 0, elements)  # TS 29.281 5.1: S is set in it
        case EndMarker(teid):
            return _PLAIN.pack(_VERSION_1, GtpuType.END_MARKER, 0, teid)
        case _:
            assert_never(message)


def _with_sequence(kind: GtpuType, sequence: int, elements: bytes) -> bytes:
    header = _WITH_OPTIONS.pack(_VERSION_1 | _SEQUENCE, kind, 4 + len(elements), 0, sequence, 0, 0)
    return header + elements


def decode_gtpu(packet: bytes) -> GtpuMessage:
    """Read one message; raises `DecodeError`, also for a type or a required extension that is not built."""
    if len(packet) < _PLAIN.size:
        raise DecodeError("a GTP-U message is shorter than its header")
    flags, kind, length, teid = _PLAIN.unpack_from(packet)
    if flags & 0xF0 != _VERSION_1:
        raise DecodeError("not GTP-U version 1")
    if length != len(packet) - _PLAIN.size:
        raise DecodeError("the length of a GTP-U message is wrong")
    offset, sequence, container = _PLAIN.size, None, None
    if flags & _OPTIONAL:
        offset, sequence, container = _options(packet, flags)
    body = packet[offset:]
    match kind:
        case GtpuType.G_PDU:
            pdu_type, qfi = container or (None, None)
            return Gpdu(Teid(teid), body, pdu_type, qfi)
        case GtpuType.ECHO_REQUEST:
            return EchoRequest(_sequence(sequence))
        case GtpuType.ECHO_RESPONSE:
            return EchoResponse(_sequence(sequence))
        case GtpuType.ERROR_INDICATION:
            return _error_indication(body)
        case GtpuType.END_MARKER:
            return EndMarker(Teid(teid))
        case _:
            raise DecodeError(f"GTP-U message type {kind} is not built")


def _sequence(sequence: int | None) -> int:
    if sequence is None:
        raise DecodeError("an echo message without a sequence number")  # TS 29.281 4.3.1
    return sequence


def _options(packet: bytes, flags: int) -> tuple[int, int | None, tuple[PduType, int] | None]:
    """Walk the optional part; give where the body begins, the sequence number, the container's type and QFI."""
    if len(packet) < _WITH_OPTIONS.size:
        raise DecodeError("a GTP-U message ends inside its optional octets")
    sequence = int.from_bytes(packet[8:10]) if flags & _SEQUENCE else None
    container: tuple[PduType, int] | None = None
    offset = _WITH_OPTIONS.size
    following = packet[11] if flags & _EXTENSION else 0
    while following:
        units = packet[offset] if offset < len(packet) else 0
        end = offset + 4 * units
        if not units or end > len(packet):
            raise DecodeError("a GTP-U extension header does not fit its message")
        if following == _PDU_SESSION_CONTAINER:
            if container is not None:
                raise DecodeError("two PDU session containers in one message")
            container = _container(packet[offset + 1 : end - 1])
        elif following & _COMPREHENSION_REQUIRED:
            raise DecodeError(f"GTP-U extension header 0x{following:02x} is required but not built")
        following = packet[end - 1]
        offset = end
    return offset, sequence, container


def _container(content: bytes) -> tuple[PduType, int]:
    kind = content[0] >> 4
    if kind not in (PduType.DOWNLINK, PduType.UPLINK):
        raise DecodeError(f"PDU session container of unknown type {kind}")
    return PduType(kind), content[1] & MAX_QFI


def _error_indication(body: bytes) -> ErrorIndication:
    teid: int | None = None
    peer: IPv4Address | None = None
    offset = 0
    while offset < len(body):
        element = body[offset]
        offset += 1
        if element < 128:
            size = _IE_FIXED.get(element)
            if size is None:
                raise DecodeError(f"GTP-U element {element} has no known length")
        else:
            size = int.from_bytes(body[offset : offset + 2])
            offset += 2
        value = body[offset : offset + size]
        if len(value) != size:
            raise DecodeError("a GTP-U element does not fit its message")
        offset += size
        if element == _IE_TEID_DATA_I:
            teid = int.from_bytes(value)
        elif element == _IE_PEER_ADDRESS:
            if size != 4:
                raise DecodeError("a peer address that is no IPv4 address")
            peer = IPv4Address(value)
    if teid is None or peer is None:
        raise DecodeError("an Error Indication lacks a mandatory element")
    return ErrorIndication(Teid(teid), peer)
