"""Packets of a capture file: pcapng in either byte order, and the older pcap, whoever wrote it. Knows no protocol.

Whatever cannot be read raises `DecodeError` with the place in the file. Blocks that nobody needs are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from rprov.errors import DecodeError
from rprov.trace.pcapng_write import (
    BYTE_ORDER,
    COMMENT,
    EPB_FLAGS,
    IF_NAME,
    IF_TSRESOL,
    INBOUND,
    INTERFACE,
    OUTBOUND,
    PACKET,
    SECRETS,
    SECTION,
    TLS_KEY_LOG,
)

SIMPLE_PACKET = 3
LARGEST_BLOCK = 16 * 1024 * 1024
MOST_INTERFACES = 1024
MOST_SECRETS = 64 * 1024 * 1024
"""Octets of decryption secrets in one file."""

_PCAP = {b"\xa1\xb2\xc3\xd4": 6, b"\xa1\xb2\x3c\x4d": 9}
"""The first octets of a pcap file, big endian, and the power of ten of its times."""

_OLDEST_MICROSECONDS = 6
_MOST_EXPONENT = 64

Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were seen; `units` of its times make a second."""

    link_type: int
    name: str = ""
    units: int = 10**_OLDEST_MICROSECONDS


class RawPacket(NamedTuple):
    """A packet as it stands in the file: `frame` counts from 1, `at` is nanoseconds since 1970."""

    frame: int
    at: int
    interface: Interface
    octets: bytes
    whole: bool
    """False where only the beginning of the packet was kept."""
    inbound: bool | None
    comments: tuple[str, ...]
    offset: int
    """Where its octets begin in the file."""


@dataclass(slots=True)
class CaptureHeads:
    """What a file says beside its packets; grows while they are read."""

    comments: list[str] = field(default_factory=list)
    """Those of its sections."""
    key_lines: list[str] = field(default_factory=list)
    """Keys that stand in it, as lines of a key log."""


def read_packets(path: Path, heads: CaptureHeads | None = None) -> Iterator[RawPacket]:
    """Give the packets of a file, one at a time; raises `DecodeError`, and `OSError` where it cannot be opened."""
    with path.open("rb") as file:
        first = file.read(4)
        if first == SECTION.to_bytes(4):
            file.seek(0)
            yield from _Pcapng(file, heads or CaptureHeads()).packets()
        elif first in _PCAP or first[::-1] in _PCAP:
            yield from _pcap(file, "big" if first in _PCAP else "little", _PCAP.get(first) or _PCAP[first[::-1]])
        else:
            raise DecodeError("is no capture: neither pcapng nor pcap")


def _pcap(file: BinaryIO, order: Order, exponent: int) -> Iterator[RawPacket]:
    head = _exactly(file, 20, "the header of a pcap file")
    interface = Interface(int.from_bytes(head[16:20], order) & 0x0FFFFFFF, "", 10**exponent)
    frame = 0
    while start := file.read(16):
        frame += 1
        if len(start) != 16:
            raise DecodeError(f"the file ends in the header of frame {frame}")
        seconds, fraction, kept, size = (int.from_bytes(start[at : at + 4], order) for at in (0, 4, 8, 12))
        if kept > LARGEST_BLOCK:
            raise DecodeError(f"frame {frame} says that it has {kept} octets")
        offset = file.tell()
        octets = _exactly(file, kept, f"frame {frame}")
        at = (seconds * interface.units + fraction) * (10**9 // interface.units)
        yield RawPacket(frame, at, interface, octets, kept >= size, None, (), offset)


class _Pcapng:
    def __init__(self, file: BinaryIO, heads: CaptureHeads) -> None:
        self._file = file
        self._heads = heads
        self._order: Order = "little"
        self._interfaces: list[Interface] = []
        self._frames = 0
        self._secrets = 0

    def packets(self) -> Iterator[RawPacket]:
        while (block := self._block()) is not None:
            kind, body, offset = block
            try:
                if kind == SECTION:
                    self._interfaces = []
                    self._heads.comments += self._texts(self._options(body, 16), COMMENT)
                elif kind == INTERFACE:
                    self._interfaces.append(self._interface(body))
                elif kind == SECRETS:
                    self._take_secrets(body)
                elif kind == PACKET:
                    yield self._packet(body, offset)
                elif kind == SIMPLE_PACKET:
                    yield self._simple(body, offset)
            except DecodeError as error:
                raise DecodeError(f"{error}, in the block at octet {offset - 8} of the file") from None

    def _block(self) -> tuple[int, bytes, int] | None:
        start = self._file.read(8)
        if not start:
            return None
        where = f"the block at octet {self._file.tell() - len(start)} of the file"
        if len(start) != 8:
            raise DecodeError(f"{where} has no head")
        if start[:4] == SECTION.to_bytes(4):  # the same in either order
            magic = _exactly(self._file, 4, where)
            if int.from_bytes(magic, "little") not in (BYTE_ORDER, int.from_bytes(BYTE_ORDER.to_bytes(4), "little")):
                raise DecodeError(f"{where} begins a section in no byte order")
            self._order = "little" if int.from_bytes(magic, "little") == BYTE_ORDER else "big"
            self._file.seek(-4, 1)
        length = int.from_bytes(start[4:], self._order)
        if length % 4 or not 12 <= length <= LARGEST_BLOCK:
            raise DecodeError(f"{where} says that it has {length} octets")
        offset = self._file.tell()
        rest = _exactly(self._file, length - 8, where)
        if int.from_bytes(rest[-4:], self._order) != length:
            raise DecodeError(f"{where} has two lengths")
        return int.from_bytes(start[:4], self._order), rest[:-4], offset

    def _number(self, body: bytes, at: int, size: int = 4) -> int:
        value = body[at : at + size]
        if len(value) != size:
            raise DecodeError("it ends too early")
        return int.from_bytes(value, self._order)

    def _options(self, body: bytes, at: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        while at < len(body):
            code, length = self._number(body, at, 2), self._number(body, at + 2, 2)
            if code == 0:
                return found
            value = body[at + 4 : at + 4 + length]
            if len(value) != length:
                raise DecodeError(f"its option {code} is longer than it")
            found.append((code, value))
            at += 4 + length + -length % 4
        return found

    def _texts(self, options: list[tuple[int, bytes]], wanted: int) -> list[str]:
        return [value.decode("utf-8", errors="replace") for code, value in options if code == wanted]

    def _interface(self, body: bytes) -> Interface:
        if len(self._interfaces) >= MOST_INTERFACES:
            raise DecodeError(f"more than {MOST_INTERFACES} interfaces")
        link_type = self._number(body, 0, 2)
        options = self._options(body, 8)
        names = self._texts(options, IF_NAME)
        units = 10**_OLDEST_MICROSECONDS
        for code, value in options:
            if code == IF_TSRESOL and value:
                exponent = value[0] & 0x7F
                if exponent > _MOST_EXPONENT:
                    raise DecodeError("times that are finer than anything")
                units = 2**exponent if value[0] & 0x80 else 10**exponent
        return Interface(link_type, names[0] if names else "", units)

    def _packet(self, body: bytes, offset: int) -> RawPacket:
        number, high, low, kept, size = (self._number(body, at) for at in range(0, 20, 4))
        if number >= len(self._interfaces):
            raise DecodeError(f"a packet of interface {number}, which the file does not describe")
        octets = body[20 : 20 + kept]
        if len(octets) != kept:
            raise DecodeError("a packet longer than its block")
        options = self._options(body, 20 + kept + -kept % 4)
        inbound: bool | None = None
        for code, value in options:
            if code == EPB_FLAGS and len(value) == 4:
                way = int.from_bytes(value, self._order) & 3
                inbound = {INBOUND: True, OUTBOUND: False}.get(way)
        interface = self._interfaces[number]
        at = ((high << 32) | low) * 10**9 // interface.units
        self._frames += 1
        comments = tuple(self._texts(options, COMMENT))
        return RawPacket(self._frames, at, interface, octets, kept >= size, inbound, comments, offset + 20)

    def _simple(self, body: bytes, offset: int) -> RawPacket:
        if not self._interfaces:
            raise DecodeError("a packet of an interface which the file does not describe")
        size = self._number(body, 0)
        octets = body[4 : 4 + size]
        self._frames += 1
        return RawPacket(self._frames, 0, self._interfaces[0], octets, len(octets) >= size, None, (), offset + 4)

    def _take_secrets(self, body: bytes) -> None:
        kind, length = self._number(body, 0), self._number(body, 4)
        self._secrets += length
        if self._secrets > MOST_SECRETS:
            raise DecodeError(f"more than {MOST_SECRETS} octets of secrets")
        lines = body[8 : 8 + length]
        if len(lines) != length:
            raise DecodeError("secrets longer than their block")
        if kind == TLS_KEY_LOG:
            self._heads.key_lines += lines.decode("ascii", errors="replace").splitlines()


def _exactly(file: BinaryIO, size: int, what: str) -> bytes:
    octets = file.read(size)
    if len(octets) != size:
        raise DecodeError(f"the file ends in {what}")
    return octets
