"""What a TCP connection sends: data that is not acknowledged, both windows, the timer (RFC 9293 3.8, RFC 6298).

Knows no state of a connection and no header: it says which octets go out by calling `emit`. Sequence numbers are
unwrapped; the SYN is the first of them, the FIN the last.
"""

from collections.abc import Callable

from rprov.session.ip.congestion import NewReno, RetransmissionTimer
from rprov.session.ip.segment import Flag

Emit = Callable[[int, int, bytes], None]
"""Send a segment: sequence number, flags besides ACK, payload."""


class Sender:
    """The sending half. `una`, `nxt` and `top` are SND.UNA, SND.NXT and the highest that was ever sent.

    `position` is the number for segments that carry nothing: the highest that was sent into an open window. `nxt`
    would not do: after a time-out it goes back, and the other side drops what lies before its window, with the
    acknowledgment in it, so that two sides that both went back would never hear each other again.
    """

    __slots__ = (
        "_congestion",
        "_data",
        "_emit",
        "_fin",
        "_limit",
        "_mss",
        "_peer_window",
        "_rto",
        "_start",
        "_timed",
        "_window_from",
        "deadline",
        "nxt",
        "position",
        "progress_at",
        "top",
        "una",
    )

    def __init__(self, initial: int, mss: int, limit: int, emit: Emit) -> None:
        self.una = self.nxt = self.top = self.position = initial
        self.deadline: float | None = None
        self.progress_at = 0.0
        """When the other side last showed that it gets something."""
        self._start = initial + 1  # the sequence number of the first octet of `_data`
        self._data = bytearray()
        self._fin = False
        self._emit = emit
        self._limit = limit
        self._mss = mss
        self._congestion = NewReno(mss, limit, initial)
        self._rto = RetransmissionTimer()
        self._timed: tuple[int, float] | None = None
        self._peer_window = 0
        self._window_from = (0, 0)

    @property
    def room(self) -> int:
        """How many octets `put` takes."""
        return self._limit - len(self._data)

    @property
    def end(self) -> int:
        """The sequence number after all data; the FIN's."""
        return self._start + len(self._data)

    @property
    def fin_acknowledged(self) -> bool:
        """Say whether everything and the FIN was acknowledged."""
        return self._fin and self.una > self.end

    @property
    def in_flight(self) -> int:
        """How many sequence numbers were sent and not acknowledged."""
        return self.top - self.una

    def limit_segment(self, mss: int) -> None:
        """Take the largest segment that the other side wants; nothing but the SYN was sent yet."""
        self._mss = max(64, min(self._mss, mss))  # below 64 each segment would be header
        self._congestion = NewReno(self._mss, self._limit, self.una)

    def put(self, data: bytes | memoryview) -> int:
        """Take as much data as there is room for."""
        taken = min(len(data), self.room)
        self._data += data[:taken]
        return taken

    def finish(self) -> None:
        """Put the FIN after all data."""
        self._fin = True

    def drop(self) -> None:
        """Forget everything."""
        self._data.clear()
        self.deadline = None

    def sent_syn(self, now: float) -> None:
        """Start the timer for a SYN; its round trip counts if it was sent once."""
        if self.top == self.una:
            self.nxt = self.top = self.position = self.una + 1
            self._timed = (self.top, now)
            self.progress_at = now
        else:
            self._timed = None
        self.deadline = now + self._rto.rto

    def take_window(self, begin: int, acknowledgment: int, window: int) -> None:
        """Take the window of a segment unless a later one was taken (RFC 9293 3.10.7.4: SND.WL1, SND.WL2)."""
        if self._window_from <= (begin, acknowledgment):
            self._window_from = (begin, acknowledgment)
            self._peer_window = window

    def acknowledged(self, upto: int, now: float) -> None:
        """Take an acknowledgment of something new."""
        octets = upto - self.una
        self.una = upto
        self.nxt = max(self.nxt, upto)
        self.position = max(self.position, upto)
        data = min(upto - self._start, len(self._data))
        if data > 0:
            del self._data[:data]
            self._start += data
        self.progress_at = now
        if self._timed is not None and upto >= self._timed[0]:
            self._rto.measured(now - self._timed[1])
            self._timed = None
        self.deadline = None
        if self._congestion.acknowledged(octets, upto, self.in_flight):
            self._send_again(now)
        self.transmit(now)

    def not_acknowledged(self, window: int, empty: bool, now: float) -> None:
        """Take an acknowledgment of nothing new, before its window is taken; `empty` if the segment carried nothing."""
        if self._peer_window == 0:
            self.progress_at = now  # it answers probes: a closed window is no failure (RFC 9293 3.8.6.1)
        elif (
            empty
            and self.in_flight
            and window == self._peer_window
            and self._congestion.duplicate(self.una, self.top)  # RFC 5681 2: what a duplicate is
        ):
            self._send_again(now)

    def expired(self, now: float) -> None:
        """Do what is due at `deadline`: send again, or probe a closed window."""
        self.deadline = None
        self._rto.expired()
        self._timed = None
        if self.in_flight and self._peer_window:
            self._congestion.expired(self.una, self.top)
        self.nxt = self.una
        self.transmit(now, probe=True)

    def backed_off(self) -> None:
        """Double the time-out; what is sent again is not ours to know (a SYN)."""
        self._rto.expired()

    def transmit(self, now: float, *, probe: bool = False) -> None:
        """Send what the windows allow; with `probe` at least one octet, should there be any."""
        end = self.end
        edge = self.una + min(self._congestion.window, self._peer_window)
        final = end + self._fin
        while self.nxt < final:
            size = min(self._mss, end - self.nxt)
            allowed = edge - self.nxt
            if size > allowed or not size:
                if self.nxt > self.una and allowed < (size or 1):
                    break  # wait for a whole segment's worth of window (RFC 9293 3.8.6.2.1)
                if allowed <= 0:
                    if probe:
                        self._probe(size)
                    break
                size = min(size, allowed)
            if self._timed is None and self.nxt == self.top:
                self._timed = (self.nxt + max(size, 1), now)
            self.nxt += self._emit_at(self.nxt, size, room_for_fin=allowed > size)
            self.position = max(self.position, self.nxt)
            self.top = max(self.top, self.nxt)
        if self.deadline is None and (self.in_flight or self.nxt < final):
            self.deadline = now + self._rto.rto

    def _probe(self, size: int) -> None:
        """Send one octet into a closed window; it is not counted on, so `nxt` and `position` stay."""
        self.top = max(self.top, self.nxt + self._emit_at(self.nxt, min(size, 1), room_for_fin=not size))

    def _send_again(self, now: float) -> None:
        """Send the first segment that is not acknowledged once more."""
        self._timed = None
        size = min(self._mss, self.end - self.una, self.in_flight)
        self._emit_at(self.una, size, room_for_fin=self.top > self.end)
        self.deadline = now + self._rto.rto

    def _emit_at(self, sequence: int, size: int, *, room_for_fin: bool) -> int:
        begin = sequence - self._start
        last = sequence + size == self.end
        fin = self._fin and last and room_for_fin
        flags = (Flag.PSH if last and size else 0) | (Flag.FIN if fin else 0)
        self._emit(sequence, flags, bytes(self._data[begin : begin + size]))
        return size + fin
