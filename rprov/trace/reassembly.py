"""Messages that captures of others hold in pieces: frames on TCP connections, and DATA chunks of SCTP associations.

What is no link of ours is told by the payload protocol identifier, which stands in every frame and every chunk. Memory
is bounded: a direction that cannot go on is forgotten.
"""

from collections import OrderedDict
from typing import NamedTuple

from rprov.errors import DecodeError
from rprov.model.numbers import Ppid
from rprov.model.tap import End
from rprov.trace.network_layers import FIN, RST, SYN, DataChunk, Transported
from rprov.wire.framing import HEADER_SIZE, MAX_PAYLOAD, FrameReader

MOST_DIRECTIONS = 65_536
MOST_PENDING = 4 * 1024 * 1024
"""Octets that may wait for a segment which the capture has not."""

_MODULUS = 1 << 32
_OURS = frozenset({Ppid.RADIO, Ppid.N2, Ppid.HEARTBEAT})

Direction = tuple[End, End]


class Piece(NamedTuple):
    """A whole message."""

    stream: int
    ppid: int
    octets: bytes


class _TcpDirection:
    def __init__(self, expected: int | None) -> None:
        self._expected = expected
        self._pending: dict[int, bytes] = {}
        self._waiting = 0
        self._head = b""
        self._reader: FrameReader | None = None
        self.other = False
        """Whether this is nothing of ours."""

    def feed(self, sequence: int, octets: bytes) -> list[Piece]:
        if self._expected is None:
            self._expected = sequence
        self._pending[sequence] = max(octets, self._pending.get(sequence, b""), key=len)
        self._waiting += len(octets)
        if self._waiting > MOST_PENDING:
            self.other = True
            return []
        found: list[Piece] = []
        while not self.other and (following := self._following()):
            self._expected = (self._expected + len(following)) % _MODULUS
            found += self._take(following)
        return found

    def _following(self) -> bytes:
        """Give the octets that come next, without what was there already (a segment that was sent again)."""
        if self._expected is None:
            return b""
        for sequence in list(self._pending):
            behind = (self._expected - sequence) % _MODULUS
            if behind >= _MODULUS // 2:
                continue  # it comes later
            octets = self._pending.pop(sequence)
            self._waiting -= len(octets)
            if behind < len(octets):
                return octets[behind:]
        return b""

    def _take(self, octets: bytes) -> list[Piece]:
        if self._reader is None:
            self._head += octets
            if len(self._head) < HEADER_SIZE:
                return []
            length, ppid = int.from_bytes(self._head[:4]), int.from_bytes(self._head[6:10])
            if not 1 <= length <= MAX_PAYLOAD or ppid not in _OURS:
                self.other = True
                return []
            octets, self._reader = self._head, FrameReader()
        try:
            return [Piece(*frame_parts) for frame_parts in _frames(self._reader, octets)]
        except DecodeError:
            self.other = True
            return []


def _frames(reader: FrameReader, octets: bytes) -> list[tuple[int, int, bytes]]:
    return [(frame.stream, frame.ppid, frame.payload) for frame in reader.feed(octets)]


class TcpStreams:
    """Our frames on TCP connections, whatever their ports."""

    def __init__(self) -> None:
        self._directions: OrderedDict[Direction, _TcpDirection] = OrderedDict()

    def feed(self, segment: Transported) -> list[Piece]:
        """Take a segment and give the messages that it completes."""
        key = segment.source, segment.destination
        if segment.flags & SYN:
            self._directions[key] = _TcpDirection((segment.sequence + 1) % _MODULUS)
        direction = self._directions.get(key)
        found: list[Piece] = []
        if segment.payload and not segment.flags & SYN:
            if direction is None:  # the capture began later than the connection
                direction = self._directions[key] = _TcpDirection(None)
                if len(self._directions) > MOST_DIRECTIONS:
                    self._directions.popitem(last=False)
            if not direction.other:
                found = direction.feed(segment.sequence, segment.payload)
        if segment.flags & (FIN | RST):
            self._directions.pop(key, None)
        return found


class SctpMessages:
    """Whole messages of SCTP associations, each once."""

    def __init__(self) -> None:
        self._parts: OrderedDict[tuple[Direction, int, int], DataChunk] = OrderedDict()
        self._done: OrderedDict[tuple[Direction, int, int], None] = OrderedDict()
        self._octets = 0

    def feed(self, direction: Direction, chunk: DataChunk) -> Piece | None:
        """Take a chunk and give the message that it completes."""
        key = direction, chunk.tag, chunk.tsn
        if key in self._done or key in self._parts:
            return None  # sent again
        self._parts[key] = chunk
        self._octets += len(chunk.octets)
        run = self._run_around(key)
        if run is None:
            while self._octets > MOST_PENDING:
                self._octets -= len(self._parts.popitem(last=False)[1].octets)
            return None
        chunks = [self._parts.pop(part) for part in run]
        self._octets -= sum(len(part.octets) for part in chunks)
        for part in run:
            self._done[part] = None
        while len(self._done) > MOST_DIRECTIONS:
            self._done.popitem(last=False)
        return Piece(chunk.stream, chunk.ppid, b"".join(part.octets for part in chunks))

    def _run_around(self, key: tuple[Direction, int, int]) -> list[tuple[Direction, int, int]] | None:
        """Give the keys of all parts of a chunk's message, in order, if all are there."""
        direction, tag, tsn = key
        first = tsn
        while not self._parts[direction, tag, first].first:
            first = (first - 1) % _MODULUS
            if (direction, tag, first) not in self._parts:
                return None
        run = []
        number = first
        while True:
            part = self._parts.get((direction, tag, number))
            if part is None:
                return None
            run.append((direction, tag, number))
            if part.last:
                return run
            number = (number + 1) % _MODULUS
