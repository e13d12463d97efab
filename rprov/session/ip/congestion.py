"""How much a TCP sender may have on its way, and how long it waits: NewReno (RFC 5681, 6582) and RFC 6298.

Knows no segment: it is told what was acknowledged, what was lost, and when. Sequence numbers are unwrapped.
"""

INITIAL_SEGMENTS = 10  # RFC 6928
DUPLICATES = 3  # RFC 5681 3.2
_GROWTH_SEGMENTS = 8  # RFC 3465 has 2, for one ACK in two segments; our receivers send one for up to 8
INITIAL_RTO = 1.0  # seconds, RFC 6298 2.1
MIN_RTO = 0.2  # seconds. RFC 6298 2.4 says 1 s "SHOULD"; like Linux we take less: our round trips are milliseconds
MAX_RTO = 60.0  # seconds, RFC 6298 2.5
_GRANULARITY = 0.001


class RetransmissionTimer:
    """The time after which an unacknowledged segment is sent again, in seconds."""

    __slots__ = ("_variation", "rto", "smoothed")

    def __init__(self) -> None:
        self.rto = INITIAL_RTO
        self.smoothed: float | None = None
        self._variation = 0.0

    def measured(self, seconds: float) -> None:
        """Take a round trip of a segment that was sent once only (Karn's algorithm, RFC 6298 3)."""
        if self.smoothed is None:
            self.smoothed, self._variation = seconds, seconds / 2
        else:
            self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
            self.smoothed += (seconds - self.smoothed) / 8
        self.rto = min(MAX_RTO, max(MIN_RTO, self.smoothed + max(_GRANULARITY, 4 * self._variation)))

    def expired(self) -> None:
        """Back off (RFC 6298 5.5)."""
        self.rto = min(MAX_RTO, self.rto * 2)


class NewReno:
    """The congestion window, in octets."""

    __slots__ = ("_duplicates", "_limit", "_mss", "_recover", "_threshold", "recovering", "window")

    def __init__(self, mss: int, limit: int, start: int) -> None:
        """`limit` is the most that can ever be on its way; `start` the first sequence number."""
        self._mss = mss
        self._limit = limit
        self._threshold = limit
        self._recover = start
        self._duplicates = 0
        self.recovering = False
        self.window = INITIAL_SEGMENTS * mss

    def acknowledged(self, octets: int, upto: int, in_flight: int) -> bool:
        """Take an acknowledgment of new data; says whether the segment at `upto` is to be sent again."""
        self._duplicates = 0
        if not self.recovering:
            if self.window < self._threshold:
                grown = min(octets, _GROWTH_SEGMENTS * self._mss)
            else:
                grown = max(1, self._mss * min(octets, self._mss) // self.window)
            self.window = min(self._limit, self.window + grown)
            return False
        if upto >= self._recover:  # a full acknowledgment, RFC 6582 3.2 step 3
            self.window = min(self._threshold, max(in_flight, self._mss) + self._mss)
            self.recovering = False
            return False
        self.window = max(self._mss, self.window - octets + (self._mss if octets >= self._mss else 0))
        return True

    def duplicate(self, una: int, sent: int) -> bool:
        """Take a duplicate acknowledgment of `una`; says whether the segment there is to be sent again."""
        if self.recovering:
            self.window = min(self._limit, self.window + self._mss)
            return False
        self._duplicates += 1
        if self._duplicates != DUPLICATES or una < self._recover:
            return False  # RFC 6582 3.2 step 1: what was sent before the last loss tells nothing new
        self._threshold = max((sent - una) // 2, 2 * self._mss)
        self._recover = sent
        self.recovering = True
        self.window = self._threshold + DUPLICATES * self._mss
        return True

    def expired(self, una: int, sent: int) -> None:
        """Take a time-out: begin again with one segment (RFC 5681 3.1)."""
        self._threshold = max((sent - una) // 2, 2 * self._mss)
        self._recover = sent
        self._duplicates = 0
        self.recovering = False
        self.window = self._mss
