"""What a TCP connection has received: octets in order, pieces that came too early, the window that was promised.

Knows no segment and no connection; sequence numbers are unwrapped. Holds at most `limit` octets of each kind.
"""

from bisect import bisect_left

_MAX_PIECES = 512  # what comes too early in the smallest pieces must not cost more than its octets
_MAX_WINDOW_FIELD = 0xFFFF


class Reassembly:
    """The receiving half. `next` is the sequence number that is expected next (RCV.NXT)."""

    __slots__ = ("_edge", "_fin", "_held", "_limit", "_pieces", "finished", "next", "ready")

    def __init__(self, limit: int) -> None:
        self.next = 0
        self.ready = bytearray()
        self.finished = False
        """Whether the other side's FIN and all before it are here."""
        self._limit = limit
        self._edge = 0
        self._pieces: list[tuple[int, bytes]] = []
        self._held = 0
        self._fin: int | None = None

    def begin(self, sequence: int) -> None:
        """Say which octet comes first; a window that was promised before stays as wide."""
        self._edge += sequence - self.next
        self.next = sequence

    @property
    def gaps(self) -> bool:
        """Say whether something came too early."""
        return bool(self._pieces)

    @property
    def promised(self) -> int:
        """How many octets the other side may still send as far as it knows."""
        return self._edge - self.next

    @property
    def free(self) -> int:
        """How many octets there is room for."""
        return max(0, self._limit - len(self.ready))

    def advertise(self, scale: int) -> int:
        """Give the window field. The right edge of the window never moves back (RFC 9293 3.8.6)."""
        field = min(_MAX_WINDOW_FIELD, max(self.free, self.promised) >> scale)
        self._edge = max(self._edge, self.next + (field << scale))
        return field

    def accepts(self, begin: int, length: int) -> bool:
        """Say whether a segment touches the window (RFC 9293 3.10.7.4, first)."""
        if not length:
            return self.next <= begin <= self._edge
        return begin < self._edge and begin + length > self.next

    def put(self, begin: int, payload: bytes, fin: bool) -> bool:
        """Take the text of an acceptable segment; says whether there is more to read, or the end was reached."""
        if self.finished:
            return False
        end = begin + len(payload)
        if fin and self._fin is None and end <= self._edge:
            self._fin = end
        last = self._edge if self._fin is None else min(self._edge, self._fin)
        if end > last or begin < self.next:
            payload = payload[max(0, self.next - begin) : max(0, last - begin)]
            begin = max(begin, self.next)
        was = self.next
        if payload:
            if begin == self.next:
                self._append(payload)
            else:
                self._keep(begin, payload)
            self._join()
        if self.next == self._fin:
            self.next += 1  # the FIN itself
            self.finished = True
        return self.next != was

    def take(self, limit: int) -> bytes:
        """Give up to `limit` octets."""
        data = bytes(self.ready[:limit])
        del self.ready[:limit]
        return data

    def _append(self, payload: bytes) -> None:
        self.ready += payload
        self.next += len(payload)

    def _keep(self, begin: int, payload: bytes) -> None:
        if len(self._pieces) >= _MAX_PIECES or self._held + len(payload) > self._limit:
            return  # not acknowledged, so it will come again
        place = bisect_left(self._pieces, begin, key=lambda piece: piece[0])
        if place < len(self._pieces):
            other, held = self._pieces[place]
            if other == begin and len(held) >= len(payload):
                return
        self._pieces.insert(place, (begin, payload))
        self._held += len(payload)

    def _join(self) -> None:
        while self._pieces and self._pieces[0][0] <= self.next:
            begin, payload = self._pieces.pop(0)
            self._held -= len(payload)
            self._append(payload[self.next - begin :])
