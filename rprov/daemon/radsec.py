"""RADIUS over TLS (RFC 6614): connections of clients whose certificates name them, one packet after the other.

The length in a packet's header is the only framing there is, so whatever is no packet ends its connection (RFC 6613
2.6.4). Knows no attribute and decides about no device.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any

from rprov.errors import EnvironmentLacks, Misuse, PeerError
from rprov.wire.radius import LARGEST_PACKET, length_of

_LOG = logging.getLogger("rprov.aaa")

HANDSHAKE_SECONDS = 10.0
PACKET_SECONDS = 10.0
"""How long a packet may take to arrive once it has begun, and an answer to leave."""

_HEADER = 4

Receive = Callable[[str, int, bytes], bytes]
"""(client, connection, packet) -> answer; raises `PeerError`, and that ends the connection."""


class RadsecListener:
    """Listens for clients, and serves each of them."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, clients: Iterable[str], connections: int) -> None:
        """Take the dNSNames of clients; `tls` must demand a certificate of them."""
        if tls.verify_mode is not ssl.CERT_REQUIRED:
            raise Misuse("RADIUS over TLS needs certificates of clients")
        self.host = host
        self._asked_port = port
        self._tls = tls
        self._clients = frozenset(name.lower() for name in clients)
        self._most = connections
        self._serial = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._receive: Receive | None = None

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        if self._server is None:
            raise Misuse("RADIUS over TLS does not listen")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, receive: Receive) -> None:
        """Listen; raises `EnvironmentLacks` where the address cannot be had."""
        self._receive = receive
        try:
            self._server = await asyncio.start_server(
                self._accept,
                self.host,
                self._asked_port,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                limit=LARGEST_PACKET,
            )
        except OSError as error:
            raise EnvironmentLacks(f"cannot listen at {self.host}:{self._asked_port}: {error.strerror}") from error

    async def close(self) -> None:
        """End every connection and listen no more."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            _LOG.debug("a connection ends because the server does")
        except (OSError, EOFError, TimeoutError) as error:
            _LOG.debug("a connection over TLS ended: %s", type(error).__name__)
        except PeerError as error:
            _LOG.info("a connection over TLS is closed: %s", error)
        finally:
            if task is not None:
                self._tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = self._name(writer.get_extra_info("peercert"))
        if client is None or len(self._tasks) > self._most or self._receive is None:
            why = "too many connections" if client else "its certificate names no client"
            _LOG.warning("a connection over TLS from %s is refused: %s", writer.get_extra_info("peername"), why)
            return
        connection = next(self._serial)
        while True:
            header = await reader.readexactly(_HEADER)
            async with asyncio.timeout(PACKET_SECONDS):
                packet = header + await reader.readexactly(length_of(header) - _HEADER)
                writer.write(self._receive(client, connection, packet))
                await writer.drain()

    def _name(self, certificate: dict[str, Any] | None) -> str | None:
        """Give the name of the client that a certificate is of (RFC 6614 2.3); wildcards name nobody."""
        names = (value.lower() for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "DNS")
        return next((name for name in names if name in self._clients), None)
