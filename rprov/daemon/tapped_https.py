"""TLS of a server with a tap below it, which sees the octets that cross the connection: an event loop shows none.

Used where a capture was asked for, and only there; TLS runs in memory (`ssl.MemoryBIO`). Knows no HTTP.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

from rprov.model.tap import LinkName, Tap

_LOG = logging.getLogger("rprov.smdp")

HANDSHAKE_SECONDS = 60.0
"""As long as the event loop's own TLS would wait."""

_CHUNK = 65536


class TappedTls(asyncio.Protocol):
    """One connection of a server. What stands on it sees a transport as if TLS were the event loop's."""

    def __init__(self, context: ssl.SSLContext, factory: Callable[[], asyncio.BaseProtocol], tap: Tap) -> None:
        """Take what makes the protocol above, once TLS is there."""
        self._factory = factory
        self._tap = tap
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.lower: asyncio.Transport
        self._above: asyncio.Protocol | None = None
        self._seen = {True: 0, False: 0}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to begin."""
        self.lower = cast("asyncio.Transport", transport)
        self._ends = transport.get_extra_info("sockname")[:2], transport.get_extra_info("peername")[:2]
        self._late = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take octets of the client."""
        self._see(data, inbound=True)
        self._incoming.write(data)
        try:
            self._proceed()
        except ssl.SSLWantReadError:
            self.flush()
        except ssl.SSLError as error:
            _LOG.info("a connection over TLS ended: %s", error.reason or error)
            self.flush()  # the alert
            self.lower.close()

    def eof_received(self) -> None:
        """Let the protocol above go, too; half a TLS connection is none."""
        if self._above is not None:
            self._above.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Pass it on."""
        self._late.cancel()
        self._see(b"", inbound=True)
        if self._above is not None:
            self._above.connection_lost(error)

    def flush(self) -> None:
        """Send what TLS has to send."""
        if (data := self._outgoing.read()) and not self.lower.is_closing():
            self._see(data, inbound=False)
            self.lower.write(data)

    def _proceed(self) -> None:
        if self._above is None:
            self.tls.do_handshake()
            self.flush()
            self._late.cancel()
            above = cast("asyncio.Protocol", self._factory())
            above.connection_made(_Above(self))
            self._above = above
        while data := self.tls.read(_CHUNK):
            self._above.data_received(data)
        self.lower.close()  # the client has said goodbye

    def _see(self, data: bytes, *, inbound: bool) -> None:
        local, peer = self._ends
        self._tap.segment(LinkName.ES9, local, peer, inbound=inbound, at=self._seen[inbound], octets=data)
        self._seen[inbound] += len(data)


class _Above(asyncio.Transport):
    """What the protocol above writes to."""

    def __init__(self, below: TappedTls) -> None:
        super().__init__()
        self._below = below
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        match name:
            case "ssl_object":
                return self._below.tls
            case "sslcontext":
                return self._below.tls.context
            case _:
                return self._below.lower.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing():
            return
        left = memoryview(data)
        while left:
            left = left[self._below.tls.write(left) :]
        self._below.flush()

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        try:
            self._below.tls.unwrap()
        except ssl.SSLError:  # our goodbye is written; theirs is not waited for
            self._below.flush()
        self._below.lower.close()

    def abort(self) -> None:
        self._closing = True
        self._below.lower.abort()

    def is_closing(self) -> bool:
        return self._closing or self._below.lower.is_closing()

    def pause_reading(self) -> None:
        self._below.lower.pause_reading()

    def resume_reading(self) -> None:
        self._below.lower.resume_reading()
