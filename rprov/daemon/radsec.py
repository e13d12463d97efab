"""RADIUS over TLS (RFC 6614): connections of clients whose certificates name them, one packet after the other.

The length in a packet's header is the only framing there is, so whatever is no packet ends its connection (RFC 6613
2.6.4). Connections are accepted as plain ones and shake hands by what is believed then, which may be exchanged while
this runs. Knows no attribute and decides about no device.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from itertools import count
from typing import Any, cast

from rprov.errors import EnvironmentLacks, Misuse, PeerError
from rprov.model.tap import LinkName, Tap
from rprov.wire.radius import LARGEST_PACKET, length_of

_LOG = logging.getLogger("rprov.aaa")

HANDSHAKE_SECONDS = 10.0
SHAKING = 256
"""Handshakes at a time."""

PACKET_SECONDS = 10.0
"""How long a packet may take to arrive once it has begun, and an answer to leave."""

_HEADER = 4
_BACKLOG = 100
_PAUSE_SECONDS = 1.0

Receive = Callable[[str, int, bytes], bytes]
"""(client, connection, packet) -> answer; raises `PeerError`, and that ends the connection."""


class RadsecListener:
    """Listens for clients, and serves each of them."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        clients: Iterable[str],
        connections: int,
        tap: Tap | None = None,
    ) -> None:
        """Take the dNSNames of clients; `tls` must demand a certificate of them. `tap` sees packets without TLS."""
        self._tap = tap
        if tls.verify_mode is not ssl.CERT_REQUIRED:
            raise Misuse("RADIUS over TLS needs certificates of clients")
        self.host = host
        self._asked_port = port
        self._tls = tls
        self._shaking = 0
        self._believing = 0  # how often others have come to be believed
        self._served: set[asyncio.StreamWriter] = set()
        self._clients = frozenset(name.lower() for name in clients)
        self._most = connections
        self._serial = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._receive: Receive | None = None

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        if self._socket is None:
            raise Misuse("RADIUS over TLS does not listen")
        return int(self._socket.getsockname()[1])

    async def start(self, receive: Receive) -> None:
        """Listen; raises `EnvironmentLacks` where the address cannot be had."""
        self._receive = receive
        try:
            self._socket = await self._bound()
        except OSError as error:
            raise EnvironmentLacks(f"cannot listen at {self.host}:{self._asked_port}: {error.strerror}") from error
        self._spawn(self._accept(self._socket))

    async def _bound(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self._asked_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
        return made

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def exchange(self, tls: ssl.SSLContext, *, anew: bool) -> None:
        """Go by other certificates from now on.

        With `anew` every connection ends: others are believed now, and who still is opens another one.
        """
        if tls.verify_mode is not ssl.CERT_REQUIRED:
            raise Misuse("RADIUS over TLS needs certificates of clients")
        self._tls = tls
        self._believing += anew
        for writer in self._served if anew else ():
            writer.close()

    async def close(self) -> None:
        """End every connection and listen no more."""
        if self._socket is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        """Take connections; too many strangers at a time are sent away."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                _LOG.warning("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)  # out of descriptors, say: others give some back
                continue
            accepted.setblocking(False)
            if self._shaking >= SHAKING:
                accepted.close()
            else:
                self._shaking += 1  # here, not in the task: the next one may be accepted before that runs
                self._spawn(self._connected(accepted))

    async def _connected(self, accepted: socket.socket) -> None:
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=LARGEST_PACKET)
        protocol = asyncio.StreamReaderProtocol(reader)
        writer: asyncio.StreamWriter | None = None
        try:
            transport, believed = await self._protected(accepted, protocol)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            if believed:
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            _LOG.debug("a connection ends because the server does")
        except (OSError, EOFError, TimeoutError) as error:
            _LOG.debug("a connection over TLS ended: %s", type(error).__name__)
        except PeerError as error:
            _LOG.info("a connection over TLS is closed: %s", error)
        finally:
            if writer is None:
                accepted.close()
            else:
                self._served.discard(writer)
                writer.close()
                with suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

    async def _protected(
        self, accepted: socket.socket, protocol: asyncio.StreamReaderProtocol
    ) -> tuple[asyncio.WriteTransport, bool]:
        """Shake hands, which was counted already; say, too, whether those who were believed then still are.

        TLS takes the socket itself: with `start_tls`, uvloop has read a ClientHello that comes at once before TLS can.
        """
        believing = self._believing
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        finally:
            self._shaking -= 1
        return cast("asyncio.WriteTransport", transport), believing == self._believing

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = self._name(writer.get_extra_info("peercert"))
        if client is None or len(self._served) >= self._most or self._receive is None:
            why = "too many connections" if client else "its certificate names no client"
            _LOG.warning("a connection over TLS from %s is refused: %s", writer.get_extra_info("peername"), why)
            return
        self._served.add(writer)
        connection = next(self._serial)
        while True:
            header = await reader.readexactly(_HEADER)
            async with asyncio.timeout(PACKET_SECONDS):
                packet = header + await reader.readexactly(length_of(header) - _HEADER)
                self._show(writer, packet, inbound=True)
                answer = self._receive(client, connection, packet)
                self._show(writer, answer, inbound=False)
                writer.write(answer)
                await writer.drain()

    def _show(self, writer: asyncio.StreamWriter, octets: bytes, *, inbound: bool) -> None:
        if self._tap is not None:
            local, peer = (writer.get_extra_info(name)[:2] for name in ("sockname", "peername"))
            self._tap.datagram(LinkName.AAA, local, peer, inbound=inbound, octets=octets)

    def _name(self, certificate: dict[str, Any] | None) -> str | None:
        """Give the name of the client that a certificate is of (RFC 6614 2.3); wildcards name nobody."""
        names = (value.lower() for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "DNS")
        return next((name for name in names if name in self._clients), None)
