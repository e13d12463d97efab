"""One TCP connection (RFC 9293 3.10), driven by segments, calls of its user, and time. Knows no socket and no clock.

    PENDING (ours: a SYN came, the user has yet to accept or refuse it) -> SYN_RECEIVED -> ESTABLISHED …

Left out, and said so: simultaneous open, urgent data, SACK, timestamps, keep-alive.
"""

from rprov.session.ip.reassembly import Reassembly
from rprov.session.ip.segment import (
    HEADERS_OCTETS,
    Flag,
    Segment,
    SegmentWriter,
    decode_syn_options,
    encode_reset,
    encode_syn_options,
    unwrap,
)
from rprov.session.ip.sender import Sender
from rprov.session.ip.states import (
    ON_FIN_ACKNOWLEDGED,
    ON_PEER_FIN,
    OPENING,
    RECEIVES,
    SENDS,
    Failure,
    State,
    TcpLimits,
)

# Segments of one burst that one ACK may answer; the end of a burst is always acknowledged at once. RFC 9293 3.8.6.3
# "SHOULD" have one for every second: like receivers behind receive offload we take more, an ACK costs as much as data.
_ACK_EVERY = 8
_CHALLENGE_EVERY = 0.5  # seconds; RFC 5961 7 asks for a limit, Linux has this one
_MAX_WINDOW_FIELD = 0xFFFF

Flow = tuple[bytes, int, bytes, int]
"""Local address and port, remote address and port."""


class Outbox:
    """What the connections of one stack share: packets to send, connections whose ACK is due, changed ones."""

    __slots__ = ("acks_due", "changed", "packets")

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.acks_due: dict[Connection, None] = {}  # dictionaries for their order, which a set has not
        self.changed: dict[Connection, None] = {}


class Connection:
    """One connection. `flow`, `state` and `failure` are for reading; `TcpStack` makes it and feeds it."""

    __slots__ = (
        "_ack_due",
        "_challenged_at",
        "_close_by",
        "_incoming",
        "_limits",
        "_mss",
        "_orphan",
        "_out",
        "_receive_scale",
        "_send_scale",
        "_sender",
        "_writer",
        "failure",
        "flow",
        "state",
    )

    def __init__(self, flow: Flow, out: Outbox, limits: TcpLimits, mtu: int, initial: int) -> None:
        """`initial` is the initial sequence number, which nobody may guess (RFC 6528)."""
        self.flow = flow
        self.state = State.CLOSED
        self.failure: Failure | None = None
        self._out = out
        self._limits = limits
        self._mss = mtu - HEADERS_OCTETS
        self._writer = SegmentWriter(*flow)
        self._sender = Sender(initial, self._mss, limits.send_octets, self._emit)
        self._incoming = Reassembly(limits.receive_octets)
        self._send_scale = 0
        self._receive_scale: int | None = (limits.receive_octets // (_MAX_WINDOW_FIELD + 1)).bit_length()
        self._ack_due = 0
        self._challenged_at = float("-inf")
        self._close_by: float | None = None
        self._orphan = False

    # The user's calls

    @property
    def readable(self) -> bool:
        """Say whether `read` would give something."""
        return bool(self._incoming.ready)

    @property
    def ended(self) -> bool:
        """Say whether everything that the other side sent before its FIN was read."""
        return not self._incoming.ready and self.state not in RECEIVES and self.state not in OPENING

    @property
    def opening(self) -> bool:
        """Say whether the connection is still being opened."""
        return self.state in OPENING

    @property
    def sends(self) -> bool:
        """Say whether data may still be written."""
        return self.state in SENDS

    @property
    def room(self) -> int:
        """How many octets `write` takes now."""
        return self._sender.room if self.state in SENDS else 0

    @property
    def deadline(self) -> float | None:
        """When `expire` is to be called, in seconds of the same clock as every `now`."""
        return self._sender.deadline if self._close_by is None else self._close_by

    def begin(self, now: float) -> None:
        """Send the SYN."""
        self.state = State.SYN_SENT
        self._send_syn(now)

    def pend(self, syn: Segment) -> None:
        """Take the SYN of the other side; `accept` or `refuse` decides."""
        self.state = State.PENDING
        self._learn(syn)

    def accept(self, now: float) -> None:
        """Answer the SYN that is pending."""
        if self.state is State.PENDING:
            self.state = State.SYN_RECEIVED
            self._send_syn(now)

    def read(self, limit: int) -> bytes:
        """Give up to `limit` octets; empty if there are none now, or never again (`ended`)."""
        data = self._incoming.take(limit)
        # RFC 9293 3.8.6.2.2: tell of a window that was nearly closed when it has opened by two segments
        if data and self.state in RECEIVES:
            opened = min(self._limits.receive_octets // 2, 2 * self._mss)
            if self._incoming.promised < opened <= self._incoming.free:
                self._want_ack()
        return data

    def write(self, data: bytes | memoryview, now: float) -> int:
        """Take as much of `data` as there is room for; give how many octets."""
        if not self.room:
            return 0
        taken = self._sender.put(data)
        self._sender.transmit(now)
        return taken

    def shutdown(self, now: float) -> None:
        """Send FIN after all data; reading goes on (half close)."""
        if self.state in SENDS:
            self.state = State.FIN_WAIT_1 if self.state is State.ESTABLISHED else State.LAST_ACK
            self._sender.finish()
            self._sender.transmit(now)

    def close(self, now: float) -> None:
        """Be done with it: FIN after all data, or RST if the other side's data would be lost (RFC 2525 2.17)."""
        if self.state in OPENING or self._incoming.ready:
            self.abort()
            return
        self.shutdown(now)
        self._orphan = True
        if self.state is State.FIN_WAIT_2:
            self._close_by = now + self._limits.orphan

    def abort(self) -> None:
        """Send RST and forget everything; what is pending is refused by that."""
        match self.state:
            case State.CLOSED:
                return
            case State.SYN_SENT | State.TIME_WAIT:
                pass
            case State.PENDING:
                self._out.packets.append(self._writer.write(0, self._incoming.next, Flag.RST | Flag.ACK, 0))
            case _:
                packet = self._writer.write(self._sender.position, self._incoming.next, Flag.RST | Flag.ACK, 0)
                self._out.packets.append(packet)
        self._end(Failure.ABORTED)

    # What comes from outside

    def unreachable(self, sequence: int, failure: Failure) -> None:
        """Take an ICMP error about a segment of ours: hard while opening, without effect later (RFC 5927 5.2)."""
        if self.state is State.SYN_SENT and unwrap(sequence, self._sender.una) == self._sender.una:
            self._end(failure)

    def receive(self, segment: Segment, now: float) -> None:
        """Take a segment of this flow."""
        match self.state:
            case State.CLOSED:
                return
            case State.PENDING:
                self._receive_pending(segment)
            case State.SYN_SENT:
                self._receive_syn_sent(segment, now)
            case _:
                self._receive_synchronised(segment, now)

    def flush(self) -> None:
        """Send the ACK that is due."""
        if self._ack_due and self.state is not State.CLOSED:
            self._send_ack()

    def expire(self, now: float) -> None:
        """Do what is due, if anything is."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return
        limit = self._limits.give_up_opening if self.state in OPENING else self._limits.give_up
        if self._close_by is not None:
            self._end(None)
        elif now - self._sender.progress_at >= limit:
            self._end(Failure.TIMED_OUT)
        elif self.state in OPENING:
            self._sender.backed_off()
            self._send_syn(now)
        else:
            self._sender.expired(now)

    # Receiving

    def _learn(self, syn: Segment) -> None:
        """Take what the other side's SYN says."""
        self._incoming.begin(syn.sequence + 1)
        options = decode_syn_options(syn.options)
        self._sender.limit_segment(options.mss)
        if options.scale is None:
            self._receive_scale = None
        else:
            self._send_scale = options.scale
        # "The window field in a segment where the SYN bit is set MUST NOT be scaled" (RFC 7323 2.2)
        self._sender.take_window(syn.sequence, self._sender.una, syn.window)

    def _receive_pending(self, segment: Segment) -> None:
        if segment.flags & Flag.RST and unwrap(segment.sequence, self._incoming.next) == self._incoming.next:
            self._end(Failure.RESET)

    def _receive_syn_sent(self, segment: Segment, now: float) -> None:
        flags = segment.flags
        if not flags & Flag.ACK:
            return  # a SYN alone is a simultaneous open, which a UE and a server never come to
        if unwrap(segment.acknowledgment, self._sender.nxt) != self._sender.nxt:
            if not flags & Flag.RST:
                self._out.packets.append(encode_reset(segment))
        elif flags & Flag.RST:
            self._end(Failure.REFUSED)
        elif flags & Flag.SYN:
            self._learn(segment)
            self.state = State.ESTABLISHED
            self._sender.acknowledged(self._sender.nxt, now)
            self._want_ack()
            self._changed()

    def _receive_synchronised(self, segment: Segment, now: float) -> None:
        flags = segment.flags
        begin = unwrap(segment.sequence, self._incoming.next)
        length = segment.length
        if flags & Flag.SYN and self.state is State.SYN_RECEIVED and begin == self._incoming.next - 1:
            self._send_syn(now)  # our SYN-ACK was lost
        elif not self._incoming.accepts(begin, length):
            if flags & Flag.RST:
                return
            if flags & Flag.FIN and self.state is State.TIME_WAIT:
                self._close_by = now + self._limits.time_wait  # our ACK was lost; the wait begins again (3.10.7.4)
            if length and not flags & Flag.SYN:
                self._send_ack()  # it is late, or probes our window: its sender wants to know where we are
            else:
                self._challenge(now)
        elif flags & Flag.RST and self.state is State.TIME_WAIT:
            return  # RFC 1337: a late segment of ours met a side that has already forgotten
        elif flags & Flag.RST and begin == self._incoming.next:
            self._end(Failure.RESET)
        elif flags & (Flag.RST | Flag.SYN):
            self._challenge(now)  # RFC 5961 3.2, 4.2: whoever means it answers with a RST that fits
        elif flags & Flag.ACK and self._receive_ack(segment, begin, now):
            self._receive_text(segment, begin, now)

    def _receive_ack(self, segment: Segment, begin: int, now: float) -> bool:
        """Take the acknowledgment and the window; says whether the rest of the segment counts."""
        sender = self._sender
        acknowledgment = unwrap(segment.acknowledgment, sender.una)
        if self.state is State.SYN_RECEIVED:
            if acknowledgment != sender.top:
                self._out.packets.append(encode_reset(segment))
                return False
            self.state = State.ESTABLISHED
        if acknowledgment > sender.top or acknowledgment < sender.una - self._limits.send_octets:
            self._challenge(now)  # RFC 5961 5.2
            return False
        window = segment.window << self._send_scale
        if acknowledgment > sender.una:
            sender.take_window(begin, acknowledgment, window)
            sender.acknowledged(acknowledgment, now)
            if sender.fin_acknowledged:
                self._become(ON_FIN_ACKNOWLEDGED.get(self.state, self.state), now)
            self._changed()
        elif acknowledgment == sender.una:
            sender.not_acknowledged(window, not segment.length, now)
            sender.take_window(begin, acknowledgment, window)
            sender.transmit(now)
        return self.state is not State.CLOSED

    def _receive_text(self, segment: Segment, begin: int, now: float) -> None:
        incoming = self._incoming
        if not segment.payload and not segment.flags & Flag.FIN:
            return
        gaps = incoming.gaps
        advanced = incoming.put(begin, segment.payload, bool(segment.flags & Flag.FIN))
        if incoming.ready and self._orphan:
            self.abort()  # nobody will ever read it (RFC 9293 3.6.1)
            return
        self._want_ack()
        # at once for what leaves or fills a gap (RFC 5681 4.2), and inside a long burst
        if gaps or incoming.gaps or not advanced or incoming.finished or self._ack_due >= _ACK_EVERY:
            self._send_ack()
        if incoming.finished and self.state in ON_PEER_FIN:
            self._become(ON_PEER_FIN[self.state], now)
        if advanced:
            self._changed()

    def _become(self, state: State, now: float) -> None:
        self.state = state
        if state is State.TIME_WAIT:
            self._close_by = now + self._limits.time_wait
        elif state is State.FIN_WAIT_2 and self._orphan:
            self._close_by = now + self._limits.orphan
        elif state is State.CLOSED:
            self._end(None)
        self._changed()

    def _changed(self) -> None:
        self._out.changed[self] = None

    def _end(self, failure: Failure | None) -> None:
        self.state = State.CLOSED
        self.failure = failure
        self._close_by = None
        self._ack_due = 0
        self._sender.drop()
        self._changed()

    # Sending

    def _emit(self, sequence: int, flags: int, payload: bytes) -> None:
        self._ack_due = 0
        incoming = self._incoming
        window = incoming.advertise(self._receive_scale or 0)
        self._out.packets.append(self._writer.write(sequence, incoming.next, flags | Flag.ACK, window, payload))

    def _send_ack(self) -> None:
        self._emit(self._sender.position, 0, b"")

    def _send_syn(self, now: float) -> None:
        flags = Flag.SYN if self.state is State.SYN_SENT else Flag.SYN | Flag.ACK
        options = encode_syn_options(self._mss, self._receive_scale)
        window = self._incoming.advertise(0)
        sequence = self._sender.una
        self._out.packets.append(self._writer.write(sequence, self._incoming.next, flags, window, b"", options))
        self._sender.sent_syn(now)

    def _want_ack(self) -> None:
        self._ack_due += 1
        self._out.acks_due[self] = None

    def _challenge(self, now: float) -> None:
        """Tell where we are, but not so often that two confused ends could keep each other busy."""
        if now - self._challenged_at >= _CHALLENGE_EVERY:
            self._challenged_at = now
            self._send_ack()
