"""Which packets may go into libusrsctp at all: those whose chunks and parameters lie in each other as they should.

libusrsctp 0.9.5, the last release, walks an INIT from the address of an existing association without looking at the
lengths of its parameters: one of zero octets, and it walks for ever. Such a packet needs no verification tag, so that
anybody can send it in the peer's name. What is refused here never reaches the library. Chunks of extensions that we
never offer (AUTH, ASCONF, RE-CONFIG, …) are refused, too, and with them goes the code that would have parsed them.

Knows nothing of associations; checks no checksum, which the library does.
"""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum

COMMON_HEADER = 12
"""Octets before the first chunk: source port, destination port, verification tag, CRC32c (RFC 9260 3.1)."""

MAX_PARAMETERS = 64
"""Parameters or error causes in one chunk; an INIT of Linux with a dozen addresses has 20."""


class Chunk(IntEnum):
    """Chunk types (RFC 9260 3.2) that may come in."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    ECNE = 12
    CWR = 13
    SHUTDOWN_COMPLETE = 14
    PAD = 0x84
    """RFC 4820; anybody may send it, unasked."""


Packet = bytes | bytearray | memoryview

_CHUNK = struct.Struct(">BxH")
_TAG = struct.Struct(">4xI").unpack_from
_PARAMETER = struct.Struct(">HH")
_GAPS = struct.Struct(">HH")

_LEAST_DATA = 17  # with at least one octet of user data (RFC 9260 3.3.1)

_SIZES: dict[int, tuple[int, int]] = {
    Chunk.DATA: (_LEAST_DATA, 0xFFFF),
    Chunk.INIT: (20, 0xFFFF),
    Chunk.INIT_ACK: (20, 0xFFFF),
    Chunk.SACK: (16, 0xFFFF),
    Chunk.HEARTBEAT: (8, 0xFFFF),
    Chunk.HEARTBEAT_ACK: (8, 0xFFFF),
    Chunk.ABORT: (4, 0xFFFF),
    Chunk.SHUTDOWN: (8, 8),
    Chunk.SHUTDOWN_ACK: (4, 4),
    Chunk.ERROR: (4, 0xFFFF),
    Chunk.COOKIE_ECHO: (8, 0xFFFF),
    Chunk.COOKIE_ACK: (4, 4),
    Chunk.ECNE: (8, 8),
    Chunk.CWR: (8, 8),
    Chunk.SHUTDOWN_COMPLETE: (4, 4),
    Chunk.PAD: (4, 0xFFFF),
}
_NEVER = (0x10000, 0)
_LEAST = tuple(_SIZES.get(kind, _NEVER)[0] for kind in range(256))
_MOST = tuple(_SIZES.get(kind, _NEVER)[1] for kind in range(256))

_PARAMETER_SIZES: dict[int, int] = {
    5: 8,  # IPv4 address (RFC 9260 3.3.2.1)
    6: 20,  # IPv6 address
    9: 8,  # cookie preservative
    0x8000: 4,  # ECN capable
    0xC000: 4,  # forward TSN supported (RFC 3758)
    0xC006: 8,  # adaptation layer indication (RFC 5061)
}


def sane(packet: Packet) -> bool:
    """Say whether a packet may be given to the library; one that is all DATA and SACK takes a microsecond or two."""
    size = len(packet)
    if size < COMMON_HEADER + _CHUNK.size or size & 3:  # chunks are padded to 4 octets (RFC 9260 3.2)
        return False
    if _TAG(packet)[0] == 0 and packet[COMMON_HEADER] != Chunk.INIT:  # no other has the tag 0 (RFC 9260 8.5.1)
        return False
    at, unpack = COMMON_HEADER, _CHUNK.unpack_from
    while at < size:
        kind, length = unpack(packet, at)
        end = at + length
        if kind:
            if not _LEAST[kind] <= length <= _MOST[kind] or end > size:
                return False
            if kind in _INSIDE and not _INSIDE[kind](packet, at, end):
                return False
        elif length < _LEAST_DATA or end > size:
            return False
        at = end + 3 & -4
    return True


def _init(packet: Packet, at: int, end: int) -> bool:
    alone = at == COMMON_HEADER and end + 3 & -4 == len(packet)  # neither is ever bundled (RFC 9260 6.10)
    tagged = _TAG(packet)[0] != 0
    return alone and tagged == (packet[at] == Chunk.INIT_ACK) and _items(packet, at + 20, end, _PARAMETER_SIZES)


def _sack(packet: Packet, at: int, end: int) -> bool:
    gaps, duplicates = _GAPS.unpack_from(packet, at + 12)
    return bool(end - at == 16 + 4 * (gaps + duplicates))


def _cookie_echo(_packet: Packet, at: int, _end: int) -> bool:
    return at == COMMON_HEADER  # the first of its packet (RFC 9260 5.1)


def _items(packet: Packet, at: int, end: int, sizes: Mapping[int, int]) -> bool:
    """Walk parameters or error causes, which have one form (RFC 9260 3.2.1, 3.3.10)."""
    for _ in range(MAX_PARAMETERS):
        if at >= end:
            return True
        if end - at < _PARAMETER.size:
            return False
        kind, length = _PARAMETER.unpack_from(packet, at)
        if length < _PARAMETER.size or at + length > end or sizes.get(kind, length) != length:
            return False
        at += length + 3 & -4
    return at >= end


def _causes(packet: Packet, at: int, end: int) -> bool:
    return _items(packet, at + 4, end, {})


_INSIDE: dict[int, Callable[[Packet, int, int], bool]] = {
    Chunk.INIT: _init,
    Chunk.INIT_ACK: _init,
    Chunk.SACK: _sack,
    Chunk.HEARTBEAT: _causes,
    Chunk.HEARTBEAT_ACK: _causes,
    Chunk.ABORT: _causes,
    Chunk.ERROR: _causes,
    Chunk.COOKIE_ECHO: _cookie_echo,
}
