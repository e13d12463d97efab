"""N6 without privileges: the UE's TCP connections end in the UP and go on from ordinary sockets.

Where a connection may go stands in the `NatMap`, a second list beside the session's filter: what is in neither list
is reset. The UE's SYN is answered only when the server has answered ours, so that a refusal reaches the UE as one.
Other protocols than TCP do not leave the UP this way.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from rprov.daemon.tcp_host import TcpHost, TcpStream
from rprov.session.ip.packet import IpProtocol
from rprov.session.ip.states import TcpLimits
from rprov.session.ip.tcp import TcpStack

Upstream = tuple[str, int]
"""Host and port of a real server."""

_CHUNK = 65536
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class NatRange:
    """Servers that are reached under their own addresses, or all under one; `port` None is any."""

    network: IPv4Network
    port: int | None = None
    upstream: Upstream | None = None


@dataclass(frozen=True, slots=True)
class NatMap:
    """Which server stands behind what the UE sees: single ones first, then ranges in their order."""

    servers: Mapping[tuple[IPv4Address, int], Upstream] = field(default_factory=dict)
    ranges: tuple[NatRange, ...] = ()

    def upstream(self, address: IPv4Address, port: int) -> Upstream | None:
        """Give the real server; None if there is none."""
        if (server := self.servers.get((address, port))) is not None:
            return server
        for entry in self.ranges:
            if address in entry.network and entry.port in (None, port):
                return entry.upstream or (str(address), port)
        return None


class N6Session:
    """The connections of one session. `to_ue` takes the IP packets that go back."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        nat: NatMap,
        to_ue: Callable[[bytes], None],
        *,
        entropy: Callable[[int], bytes],
        mtu: int,
        limits: TcpLimits | None = None,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._loop = loop
        self._nat = nat
        self._tasks: set[asyncio.Task[None]] = set()
        stack = TcpStack(entropy, mtu=mtu, limits=limits)
        stack.listen(self._welcomes)
        self._host = TcpHost(loop, stack, to_ue, self._incoming)

    @property
    def connections(self) -> int:
        """How many connections of the UE there are."""
        return self._host.connections

    @property
    def busy(self) -> bool:
        """Say whether something is left to be waited for."""
        return bool(self._tasks)

    def deliver(self, packet: bytes) -> None:
        """Take an IP packet that has passed the filter."""
        if packet[9] == IpProtocol.TCP:
            self._host.deliver(packet)
        else:
            self.dropped["n6Protocol"] += 1

    def flush(self) -> None:
        """Answer what was delivered."""
        self._host.flush()

    def close(self) -> None:
        """End all connections; `closed` waits until nothing is left of them."""
        for task in self._tasks:
            task.cancel()
        self._host.close()

    async def closed(self) -> None:
        """Wait for the sockets of all connections to be closed."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # a transport that was aborted closes its socket in the next round of the loop

    def _welcomes(self, address: bytes, port: int) -> bool:
        return self._nat.upstream(IPv4Address(address), port) is not None

    def _incoming(self, stream: TcpStream) -> None:
        task = self._loop.create_task(self._relay(stream), name="N6 connection")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "an N6 connection failed", "exception": error, "task": task}
            self._loop.call_exception_handler(context)

    async def _relay(self, stream: TcpStream) -> None:
        upstream = self._nat.upstream(*stream.local)
        try:
            if upstream is None:
                raise ConnectionRefusedError
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(*upstream)
        except OSError:  # a time-out is one too
            self.dropped["upstreamRefused"] += 1
            stream.abort()
            return
        try:
            stream.accept()
            await stream.opened()
            await _both_ways(stream, reader, writer)
            stream.close()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        except OSError:
            self.dropped["connectionBroken"] += 1
            stream.abort()
        finally:
            writer.transport.abort()  # without effect on what is closed


async def _both_ways(stream: TcpStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Relay until both directions have ended, or one has failed."""
    tasks = [asyncio.ensure_future(_upwards(stream, writer)), asyncio.ensure_future(_downwards(reader, stream))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _upwards(stream: TcpStream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _downwards(reader: asyncio.StreamReader, stream: TcpStream) -> None:
    while data := await reader.read(_CHUNK):
        await stream.write(data)
    stream.shutdown()
