"""An AAA server over TLS (RFC 6614): one connection for all questions, opened when one is asked."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from rprov.auth.radius_exchange import AccessAnswer, AccessRequest, Sealed
from rprov.daemon.radius_peer import STATUS_SECONDS, AnyPeer, Make, Patience, Waiting
from rprov.errors import PeerError
from rprov.model.tap import Tap
from rprov.wire.radius import LARGEST_PACKET, RADSEC_SECRET, length_of

_HEADER = 4
_GOODBYE_SECONDS = 1.0


class TlsPeer(AnyPeer):
    """A server over TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        server_name: str,
        patience: Patience,
        on_drop: Callable[[str, str], None],
        tap: Tap | None = None,
    ) -> None:
        """Take `tls`, which must prove us and demand a certificate of the server for `server_name`."""
        super().__init__(host, port, patience, on_drop, tap)
        self.tls = tls
        """May be exchanged at any time; the next connection goes by it."""
        self._server_name = server_name
        self._opening = asyncio.Lock()
        self._stream: _Stream | None = None

    async def ask(self, request: AccessRequest) -> AccessAnswer | None:
        """Ask; once more over a new connection if the old one turns out to be gone. TLS repeats nothing by itself."""
        return await self._exchange(
            lambda number, authenticator: Sealed.of(request, number, authenticator, RADSEC_SECRET), self.patience.whole
        )

    async def is_there(self) -> bool:
        """Send a Status-Server (RFC 6614 2.6)."""
        seconds = min(STATUS_SECONDS, self.patience.whole)
        return await self._exchange(_radsec_status, seconds) is not None

    async def refresh(self) -> None:
        """End the connection if nothing is out on it."""
        if self._stream is not None and not self._stream.waiting:
            await self.close()

    async def close(self) -> None:
        """End the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _exchange(self, make: Make, seconds: float) -> AccessAnswer | None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    fresh, stream = await self._connected()
                    if stream.waiting.full:
                        self.drop("full")
                        return None
                    try:
                        return await stream.ask(make)
                    except OSError:
                        if fresh:
                            raise
        except TimeoutError:
            self.trouble = f"silent for {seconds:g} s"
        except OSError as error:
            self.trouble = _words(error)
        return None

    async def _connected(self) -> tuple[bool, "_Stream"]:
        """Give the connection, and whether it was opened for this question."""
        async with self._opening:
            if self._stream is not None and not self._stream.ended:
                return False, self._stream
            host, port = self.place
            reader, writer = await asyncio.open_connection(
                host,
                port,
                ssl=self.tls,
                server_hostname=self._server_name,
                limit=LARGEST_PACKET,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
            self._stream = _Stream(self, reader, writer)
            return True, self._stream


class _Stream:
    """One connection. The length in a packet's header is the only framing (RFC 6613 2.6.4)."""

    def __init__(self, peer: AnyPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.waiting = Waiting(peer)
        self._peer = peer
        self._reader, self._writer = reader, writer
        self._task = asyncio.get_running_loop().create_task(self._read(), name=f"answers of {peer.name}")

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more."""
        return self._task.done() or self._writer.is_closing()

    async def ask(self, make: Make) -> AccessAnswer:
        """Ask; raises `OSError` where the connection ends before the answer is there."""
        if self.ended:
            raise ConnectionResetError
        sealed, future = self.waiting.put(make)
        try:
            self._writer.write(sealed.octets)
            self._peer.show(self._writer.transport, sealed.octets, inbound=False)
            await self._writer.drain()
            answer = await future
        finally:
            self.waiting.take_back(sealed)
        if answer is None:
            raise ConnectionResetError
        return answer

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        self._writer.close()
        self.waiting.give_up()
        await asyncio.gather(self._task, return_exceptions=True)
        with suppress(OSError, TimeoutError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(_HEADER)
                octets = header + await self._reader.readexactly(length_of(header) - _HEADER)
                self._peer.show(self._writer.transport, octets, inbound=True)
                self.waiting.receive(octets)
        except PeerError as error:  # no packet: what follows cannot be told apart any more
            self._peer.drop(type(error).__name__)
        except (OSError, EOFError):
            self._peer.drop("connectionLost")
        finally:
            self._writer.close()
            self.waiting.give_up()


def _radsec_status(number: int, authenticator: bytes) -> Sealed:
    return Sealed.status(number, authenticator, RADSEC_SECRET)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    return error.strerror or type(error).__name__
