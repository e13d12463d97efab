"""Where a replay meets the live node: a link to a CP as a RAN has it, or where a device looks for its cell."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rprov.model.places import N2Peer
from rprov.model.sctp import Carrier, SctpListen, SctpPeer
from rprov.model.settings import RanSettings, UeSettings
from rprov.transport.alive import AliveTransport
from rprov.transport.choice import Ends, choose
from rprov.transport.link import Link, Transport
from rprov.wiring.n2 import ran_protection


@dataclass(frozen=True, slots=True)
class CpPlace:
    """Where a CP waits for RANs, and by which name this RAN goes; None: by the one in the capture."""

    host: str
    port: int
    transport: Transport
    ran_name: str | None = None

    async def connect(self) -> Link:
        """Open the link; raises `LinkLost`."""
        return await self.transport.connect(self.host, self.port)


@dataclass(frozen=True, slots=True)
class UePlace:
    """Where a device looks for its cell."""

    host: str
    port: int
    transport: Transport

    async def meet(
        self, ready: Callable[[int], None], serve: Callable[[Link], Awaitable[None]], seconds: float
    ) -> bool:
        """Wait at the place, which `ready` is told the port of, and serve the first device; False if none comes."""
        over = asyncio.Event()
        first: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

        async def take(link: Link) -> None:
            if not first.done():  # whoever comes later is sent away
                first.set_result(link)
                await over.wait()

        listener = await self.transport.listen(self.host, self.port, take)
        try:
            ready(listener.port)
            try:
                async with asyncio.timeout(seconds):
                    link = await first
            except TimeoutError:
                return False
            await serve(link)
            return True
        finally:
            over.set()
            await listener.close()


def cp_of(settings: RanSettings) -> CpPlace:
    """The CP of a RAN, with the certificate of that RAN; raises `ConfigError`, `EnvironmentLacks`."""
    peer = settings.cp
    below = choose(peer.transport, Ends(connect=peer.sctp), "N2", bare=peer.tls is not None)
    transport = AliveTransport(ran_protection(settings, below).transport, peer.heartbeat)
    return CpPlace(peer.host, peer.port, transport, settings.name)


def cp_at(host: str, port: int) -> CpPlace:
    """A CP whose N2 nothing protects."""
    below = choose(Carrier.AUTO, Ends(connect=SctpPeer()), "N2")
    return CpPlace(host, port, AliveTransport(below, N2Peer().heartbeat))


def cell_of(settings: UeSettings) -> UePlace:
    """The cell that a device looks for; raises `EnvironmentLacks`."""
    peer = settings.radio
    return UePlace(peer.host, peer.port, choose(peer.transport, Ends(listen=SctpListen()), "radio"))


def cell_at(host: str, port: int) -> UePlace:
    """A cell at an address."""
    return UePlace(host, port, choose(Carrier.AUTO, Ends(listen=SctpListen()), "radio"))
