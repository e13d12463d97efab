"""An AAA server over UDP: several source ports, the same octets until there is an answer (RFC 5080 2.2.1)."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from rprov.auth.radius_exchange import AccessAnswer, AccessRequest, Sealed
from rprov.daemon.radius_peer import STATUS_SECONDS, AnyPeer, Make, Patience, Waiting
from rprov.model.tap import Tap
from rprov.wire.radius import SharedSecret

SOURCE_PORTS = 8
"""Whoever forges answers has to guess one of them, too."""

_JITTER = 0.1  # RFC 5080 2.2.1: clients that lost the same server do not come back in step


class _Port(asyncio.DatagramProtocol):
    """One source port. Connected: the kernel drops what comes from anywhere else."""

    def __init__(self, peer: AnyPeer) -> None:
        self.waiting = Waiting(peer)
        self._peer = peer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is one without saying so

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Take a datagram."""
        self._peer.show(self._transport, data, inbound=True)
        self.waiting.receive(data)

    def error_received(self, error: Exception) -> None:
        """Count what the network says, and keep it for the log; anybody could have said it, so it ends nothing."""
        self._peer.drop("unreachable")
        self._peer.trouble = f"it does not answer ({getattr(error, 'strerror', None) or type(error).__name__})"

    def send(self, octets: bytes) -> None:
        """Send a datagram, or lose it: it is sent again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(octets)
            self._peer.show(self._transport, octets, inbound=False)

    def close(self) -> None:
        """Give the socket back."""
        if self._transport is not None:
            self._transport.close()
        self.waiting.give_up()


class UdpPeer(AnyPeer):
    """A server over UDP, through several source ports."""

    def __init__(
        self,
        host: str,
        port: int,
        secret: SharedSecret,
        patience: Patience,
        on_drop: Callable[[str, str], None],
        tap: Tap | None = None,
    ) -> None:
        super().__init__(host, port, patience, on_drop, tap)
        self.secret = secret
        """May be exchanged at any time; the next question is sealed with it."""
        self._opening = asyncio.Lock()
        self._ports: list[_Port] = []

    async def ask(self, request: AccessRequest) -> AccessAnswer | None:
        """Ask, and ask again with the very same octets (RFC 5080 2.2.1)."""
        return await self._exchange(
            lambda number, authenticator: Sealed.of(request, number, authenticator, self.secret), self.patience.whole
        )

    async def is_there(self) -> bool:
        """Send a Status-Server."""
        seconds = min(STATUS_SECONDS, self.patience.whole)
        return await self._exchange(self._status, seconds) is not None

    async def refresh(self) -> None:
        """Give back the sockets on which nothing is out."""
        idle = [port for port in self._ports if not port.waiting]
        self._ports = [port for port in self._ports if port.waiting]
        for port in idle:
            port.close()

    async def close(self) -> None:
        """Give the sockets back."""
        ports, self._ports = self._ports, []
        for port in ports:
            port.close()

    def _status(self, number: int, authenticator: bytes) -> Sealed:
        return Sealed.status(number, authenticator, self.secret)

    async def _exchange(self, make: Make, seconds: float) -> AccessAnswer | None:
        self.trouble = ""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                port = await self._port()
                if port is None:
                    self.drop("full")
                    return None
                sealed, future = port.waiting.put(make)
                try:
                    return await self._repeat(port, sealed.octets, future)
                finally:
                    port.waiting.take_back(sealed)
        return None

    async def _repeat(
        self, port: _Port, octets: bytes, future: "asyncio.Future[AccessAnswer | None]"
    ) -> AccessAnswer | None:
        seconds = self.patience.retransmit
        while True:
            port.send(octets)
            spread = 1 + _JITTER * (2 * secrets.randbelow(1001) / 1000 - 1)
            done, _ = await asyncio.wait((future,), timeout=seconds * spread)
            if done:
                return future.result()
            seconds *= 2

    async def _port(self) -> _Port | None:
        """Pick a source port that has room, at random; a new one as long as there are not enough."""
        async with self._opening:
            if len(self._ports) < SOURCE_PORTS:
                _, port = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Port(self), remote_addr=self.place
                )
                self._ports.append(port)
                return port
        roomy = [port for port in self._ports if not port.waiting.full]
        return secrets.choice(roomy) if roomy else None
