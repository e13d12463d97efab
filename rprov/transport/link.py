"""What every control link offers, whatever carries it. Knows no message and no role.

    send    ordered by the calls on each stream; waits while the other side does not read
    receive gives what came, in the order of each stream; None when the other side closed; LinkLost when the link broke
    close   lets everything that was sent get there first
    abort   ends at once; the other side sees a broken link

A frame has a stream and a payload protocol identifier, as SCTP has them; TCP carries both in a header.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from rprov.causes import Cause
from rprov.errors import EncodeError, RprovError
from rprov.wire.framing import MAX_PAYLOAD, Frame

LIMIT = MAX_PAYLOAD
"""The most octets that a payload may have, unless a role's settings say less for what it receives."""

LINK_STREAM = 0
"""Messages of the link itself; those of a UE are elsewhere, so that a stalled UE never stalls the set-up."""

OVERHEAD = 64
"""Octets that a waiting message counts beside its payload, so that a flood of small ones is bounded, too."""

MAX_STREAMS = 256
"""More streams than this bring nothing: they only keep one UE's lost packet from delaying another's."""


class LinkLost(RprovError):
    """The link broke, or never came to be; the text says between whom and why."""

    default_cause: ClassVar[Cause] = Cause.NETWORK_FAILURE


class Address(NamedTuple):
    """One end of a link."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True)
class Statistics:
    """What went over a link so far. Octets are those of payloads."""

    frames_sent: int = 0
    frames_received: int = 0
    octets_sent: int = 0
    octets_received: int = 0
    opened: float = field(default_factory=time.monotonic, compare=False)
    """When the link came to be."""

    def count_sent(self, payload: bytes) -> None:
        """Take one frame that was sent."""
        self.frames_sent += 1
        self.octets_sent += len(payload)

    def count_received(self, payload: bytes) -> None:
        """Take one frame that was given to the receiver."""
        self.frames_received += 1
        self.octets_received += len(payload)


class Link(Protocol):
    """One control link between two nodes."""

    @property
    def local(self) -> Address:
        """This end."""

    @property
    def peer(self) -> Address:
        """The other end."""

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """Every address of this end; more than one where the transport does multi-homing."""

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """Every address of the other end."""

    @property
    def peer_names(self) -> tuple[str, ...] | None:
        """The dNSNames of the peer's certificate; None where nothing protects the link."""

    @property
    def carrier(self) -> str:
        """What carries it, in a word or two for a person: `tcp`, `sctp`."""

    @property
    def streams(self) -> int:
        """How many streams both sides agreed on; see `stream_of`."""

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message of 1 to 65535 octets, then wait until the link takes more.

        On each stream the order of calls is the order of frames, also among tasks; streams may overtake each other.
        Whoever is cancelled while waiting has sent the message all the same. Raises `LinkLost`, and `EncodeError` for
        what `require_sendable` refuses.
        """

    async def receive(self) -> Frame | None:
        """Give the next frame, None once the link was closed in order; one receiver at a time. Raises `LinkLost`."""

    async def close(self) -> None:
        """End in order: what was sent gets there, but a peer that does not read is not waited for for ever."""

    def abort(self) -> None:
        """End at once, and lose what is under way; receivers and senders on both sides get `LinkLost`."""


OnLink = Callable[[Link], Awaitable[None]]
"""Serves one accepted link; the link is aborted when it ends, unless it has closed it."""


class Listener(Protocol):
    """Accepts links."""

    @property
    def host(self) -> str:
        """The address that it listens at."""

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""

    async def close(self) -> None:
        """Accept no more, cancel whoever still serves a link, and wait for them."""


class Transport(Protocol):
    """A way to carry links; `tcp` and `memory.MemoryNetwork` are such."""

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; port 0 takes a free one. Raises `EnvironmentLacks` if it cannot be had."""

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; raises `LinkLost` if nobody answers."""


def require_sendable(stream: int, ppid: int, payload: bytes, streams: int = MAX_STREAMS) -> None:
    """Refuse what not every transport carries, so that all refuse alike; raises `EncodeError`."""
    if not 1 <= len(payload) <= MAX_PAYLOAD:
        raise EncodeError(f"a message has 1 to {MAX_PAYLOAD} octets, not {len(payload)}")
    if not 0 <= stream < streams:
        raise EncodeError(f"the link has the streams 0 to {streams - 1}, not {stream}")
    if not 0 <= ppid < 1 << 32:
        raise EncodeError("a payload protocol identifier has 32 bits")


def stream_of(ue_id: int, negotiated: int = MAX_STREAMS) -> int:
    """The stream of a UE's messages; 0 stays with the link itself (design: never an address, only a lane)."""
    usable = min(negotiated, MAX_STREAMS) - 1
    return 1 + ue_id % usable if usable > 0 else LINK_STREAM
