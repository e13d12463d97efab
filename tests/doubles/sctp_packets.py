"""SCTP packets by hand (RFC 9260 3): what no honest stack would send."""

import struct
from collections.abc import Iterable

INIT, COOKIE_ECHO = 1, 10


def _table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        rest = octet
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        table.append(rest)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC32c (RFC 9260 Appendix A), octet by octet."""
    rest = 0xFFFFFFFF
    for octet in data:
        rest = rest >> 8 ^ _TABLE[(rest ^ octet) & 0xFF]
    return rest ^ 0xFFFFFFFF


def chunk(kind: int, value: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """One chunk, padded; `length` is what it claims to have."""
    head = struct.pack(">BBH", kind, flags, 4 + len(value) if length is None else length)
    return head + value + bytes(-len(value) % 4)


def parameter(kind: int, value: bytes = b"", length: int | None = None) -> bytes:
    """One parameter or error cause, padded; `length` is what it claims to have."""
    return struct.pack(">HH", kind, 4 + len(value) if length is None else length) + value + bytes(-len(value) % 4)


def init(parameters: Iterable[bytes] = (), tag: int = 1, kind: int = INIT) -> bytes:
    """An INIT or INIT ACK."""
    return chunk(kind, struct.pack(">IIHHI", tag, 65536, 10, 10, 1) + b"".join(parameters))


def packet(chunks: bytes, source: int = 5000, destination: int = 5001, tag: int = 0) -> bytes:
    """A packet with the right checksum."""
    head = struct.pack(">HHI", source, destination, tag)
    return head + crc32c(head + bytes(4) + chunks).to_bytes(4, "little") + chunks


def read_init_ack(data: bytes) -> tuple[int, bytes]:
    """The tag and the cookie of a packet with an INIT ACK."""
    at = 32
    while data[at : at + 2] != b"\0\7":
        at += int.from_bytes(data[at + 2 : at + 4]) + 3 & -4
    return int.from_bytes(data[16:20]), data[at + 4 : at + int.from_bytes(data[at + 2 : at + 4])]


HANGING = init([parameter(0x8000, length=0)])
"""An INIT whose parameter has no octets, not even those of its own header: whoever walks it by lengths never ends."""
