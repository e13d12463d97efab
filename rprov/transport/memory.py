"""Control links inside one process, for tests and benchmarks: no socket, the same promises. Knows no message."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import count

from rprov.errors import EnvironmentLacks
from rprov.transport.link import (
    LIMIT,
    MAX_STREAMS,
    Address,
    Link,
    LinkLost,
    Listener,
    OnLink,
    Statistics,
    require_sendable,
)
from rprov.transport.serving import Serving
from rprov.wire.framing import Frame

HIGH_WATER = 256 * 1024
"""A sender waits while the receiver has this many octets to take."""


@dataclass(eq=False, slots=True)
class _Lane:
    """One direction. `limit` is that of the receiver."""

    limit: int
    frames: deque[Frame] = field(default_factory=deque)
    octets: int = 0
    ended: bool = False
    deaf: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, frame: Frame) -> None:
        if self.deaf:
            return
        self.frames.append(frame)
        self.octets += len(frame.payload)
        if self.octets >= HIGH_WATER:
            self.writable.clear()
        self.arrived.set()

    def take(self) -> Frame:
        frame = self.frames.popleft()
        self.octets -= len(frame.payload)
        if self.octets < HIGH_WATER // 2:
            self.writable.set()
        return frame

    def end(self) -> None:
        self.ended = True
        self.arrived.set()
        self.writable.set()


class MemoryLink:
    """One end of a pair; see `link.Link`."""

    def __init__(self, local: Address, peer: Address, outward: _Lane, inward: _Lane) -> None:
        self._local = local
        self._peer = peer
        self._outward = outward
        self._inward = inward
        self._statistics = Statistics()
        self._other: MemoryLink
        self._closed = False
        self._lost: LinkLost | None = None

    @property
    def local(self) -> Address:
        """This end."""
        return self._local

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._peer

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """This end; it has no other."""
        return (self._local,)

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The other end; it has no other."""
        return (self._peer,)

    @property
    def peer_names(self) -> None:
        """Nothing protects it."""
        return

    @property
    def carrier(self) -> str:
        """No wire at all."""
        return "memory"

    @property
    def streams(self) -> int:
        """As many as are of use."""
        return MAX_STREAMS

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._statistics

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        require_sendable(stream, ppid, payload)
        if self._lost is not None:
            raise self._lost
        if self._closed or self._outward.ended:
            raise LinkLost(f"{self} was closed by {'us' if self._closed else 'the peer'}")
        self._statistics.count_sent(payload)
        if len(payload) > self._outward.limit:
            self._other.lose(f"was aborted: a frame of {len(payload)} octets, at most {self._outward.limit} are taken")
            return
        self._outward.put(Frame(stream, ppid, bytes(payload)))
        await self._outward.writable.wait()
        if self._lost is not None:
            raise self._lost

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        while not self._inward.frames:
            if self._closed or (self._inward.ended and self._lost is None):
                return None
            if self._lost is not None:
                raise self._lost
            self._inward.arrived.clear()
            await self._inward.arrived.wait()
        frame = self._inward.take()
        self._statistics.count_received(frame.payload)
        return frame

    async def close(self) -> None:
        """End in order; see `link.Link`."""
        if self._closed or self._lost is not None:
            return
        self._closed = True
        self._inward.frames.clear()
        self._inward.deaf = True
        self._inward.end()
        self._outward.end()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        if not self._closed and not self._inward.ended:
            self.lose("was aborted at this end")

    def lose(self, why: str) -> None:
        """Break the link at both ends, with the reason at this one."""
        if self._lost is None:
            self._lost = LinkLost(f"{self} {why}")
            self._inward.end()
            self._outward.end()
            self._other.lose("was lost: reset by the peer")

    def __str__(self) -> str:
        return f"the link {self._local} - {self._peer}"


class MemoryListener:
    """Accepts links of one network; see `link.Listener`."""

    def __init__(self, network: "MemoryNetwork", address: Address, on_link: OnLink, limit: int) -> None:
        self._network = network
        self._address = address
        self.limit = limit
        """What the links that it accepts may carry."""
        self.serving = Serving(on_link)
        """The links that it has accepted."""

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return self._address.host

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._address.port

    async def close(self) -> None:
        """Accept no more and end what is served."""
        self._network.forget(self._address)
        await self.serving.close()


class MemoryNetwork:
    """A network of its own, with addresses and ports; see `link.Transport`."""

    def __init__(self) -> None:
        self._listeners: dict[Address, MemoryListener] = {}
        self._ports = count(49152)

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""
        address = Address(host, port or next(self._ports))
        if address in self._listeners:
            raise EnvironmentLacks(f"cannot listen at {address}: Address already in use")
        self._listeners[address] = MemoryListener(self, address, on_link, limit)
        return self._listeners[address]

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        address = Address(host, port)
        listener = self._listeners.get(address)
        if listener is None:
            raise LinkLost(f"cannot connect to {address}: Connection refused")
        ours, theirs = pair(Address(host, next(self._ports)), address, limit, listener.limit)
        listener.serving.take(theirs)
        return ours

    def forget(self, address: Address) -> None:
        """Let the address be used again."""
        self._listeners.pop(address, None)


def pair(one: Address, other: Address, limit: int = LIMIT, other_limit: int = LIMIT) -> tuple[MemoryLink, MemoryLink]:
    """Give both ends of a link; each limit is what that end takes."""
    forth, back = _Lane(other_limit), _Lane(limit)
    forth.writable.set()
    back.writable.set()
    first, second = MemoryLink(one, other, forth, back), MemoryLink(other, one, back, forth)
    first._other, second._other = second, first
    return first, second
