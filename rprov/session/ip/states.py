"""The states of a TCP connection, the ways it may end early, and its bounds. Values only."""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Bounds of a stack and of each of its connections."""

    connections: int = 64
    """Connections at a time, of all states; one more is answered with RST."""
    half_open: int = 16
    """Connections at a time that the other side has begun to open."""
    send_octets: int = 128 * 1024
    receive_octets: int = 128 * 1024
    give_up: float = 100.0
    """Seconds without any progress after which a connection fails (RFC 9293 3.8.3, R2)."""
    give_up_opening: float = 30.0
    """The same while opening. RFC 9293 says 3 minutes; whoever opens here waits less, and half-open ones cost."""
    time_wait: float = 1.0
    """Seconds in TIME_WAIT. Not 2 MSL: within a session nobody else uses its ports again."""
    orphan: float = 5.0
    """Seconds that a closed connection waits in FIN_WAIT_2 for the other side's FIN."""


class State(Enum):
    """States of RFC 9293 3.3.2, and PENDING."""

    PENDING = auto()
    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    ESTABLISHED = auto()
    FIN_WAIT_1 = auto()
    FIN_WAIT_2 = auto()
    CLOSE_WAIT = auto()
    CLOSING = auto()
    LAST_ACK = auto()
    TIME_WAIT = auto()
    CLOSED = auto()


class Failure(Enum):
    """Why a connection ended before its time."""

    REFUSED = "connection refused"
    RESET = "connection reset by peer"
    TIMED_OUT = "no answer"
    PROHIBITED = "administratively prohibited (ICMP 3/13)"
    UNREACHABLE = "destination unreachable"
    ABORTED = "closed by its own side"


HALF_OPEN = frozenset({State.PENDING, State.SYN_RECEIVED})
OPENING = frozenset({State.PENDING, State.SYN_SENT, State.SYN_RECEIVED})
SENDS = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})  # takes data of the user
RECEIVES = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
ON_PEER_FIN = {
    State.ESTABLISHED: State.CLOSE_WAIT,
    State.FIN_WAIT_1: State.CLOSING,
    State.FIN_WAIT_2: State.TIME_WAIT,
}
ON_FIN_ACKNOWLEDGED = {
    State.FIN_WAIT_1: State.FIN_WAIT_2,
    State.CLOSING: State.TIME_WAIT,
    State.LAST_ACK: State.CLOSED,
}
