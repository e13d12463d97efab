"""HTTP over a PDU session: a network backend of httpcore whose sockets are streams of a `UeNetwork`.

    httpcore.AsyncConnectionPool(ssl_context=…, network_backend=SessionBackend(network))

TLS runs in memory (`ssl.MemoryBIO`), so that the octets of the handshake travel in the session like all others.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

import httpcore

from rprov.daemon.tcp_host import TcpStream
from rprov.daemon.ue_network import UeNetwork

OnTls = Callable[[bytes], None]

_CHUNK = 65536
_ResultT = TypeVar("_ResultT")
_HttpError = type[httpcore.NetworkError] | type[httpcore.TimeoutException]


@contextlib.asynccontextmanager
async def _in_words_of_httpcore(
    timeout: float | None, failed: type[httpcore.NetworkError], late: type[httpcore.TimeoutException]
) -> AsyncIterator[None]:
    """Bound what happens inside in time, and translate its errors."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise late(str(error) or "no answer in time") from error
    except OSError as error:  # ssl.SSLError is one
        raise failed(str(error)) from error


class SessionStream(httpcore.AsyncNetworkStream):
    """A plain connection of the session; `on_tls` judges a server's certificate (DER) before anything is sent."""

    def __init__(self, stream: TcpStream, on_tls: OnTls | None = None) -> None:
        self._stream = stream
        self._on_tls = on_tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give up to `max_bytes` octets; empty at the end."""
        async with _in_words_of_httpcore(timeout, httpcore.ReadError, httpcore.ReadTimeout):
            return await self._stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand over all of `buffer`."""
        async with _in_words_of_httpcore(timeout, httpcore.WriteError, httpcore.WriteTimeout):
            await self._stream.write(buffer)

    async def aclose(self) -> None:
        """Close the connection."""
        self._stream.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands as a client; the connection is closed if that fails."""
        tls = TlsStream(self._stream, ssl_context, server_hostname)
        try:
            async with _in_words_of_httpcore(timeout, httpcore.ConnectError, httpcore.ConnectTimeout):
                await tls.handshake()
            if self._on_tls is not None:
                self._on_tls(tls.server_certificate)
        except BaseException:
            self._stream.abort()
            raise
        return tls

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks of a stream."""
        match info:
            case "client_addr":
                return tuple(map(str, self._stream.local))
            case "server_addr":
                return tuple(map(str, self._stream.remote))
            case "is_readable":
                return self._stream.readable
            case _:
                return None


class TlsStream(httpcore.AsyncNetworkStream):
    """TLS on a connection of the session."""

    def __init__(self, stream: TcpStream, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)

    @property
    def server_certificate(self) -> bytes:
        """The certificate that the server has proved, DER; empty before the handshake."""
        return self._tls.getpeercert(binary_form=True) or b""

    async def handshake(self) -> None:
        """Shake hands; raises `OSError` (`ssl.SSLError`)."""
        await self._run(self._tls.do_handshake)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give up to `max_bytes` octets; empty at the end."""
        async with _in_words_of_httpcore(timeout, httpcore.ReadError, httpcore.ReadTimeout):
            try:
                return await self._run(partial(self._tls.read, max_bytes))
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand over all of `buffer`."""
        async with _in_words_of_httpcore(timeout, httpcore.WriteError, httpcore.WriteTimeout):
            left = memoryview(buffer)
            while left:
                written = await self._run(partial(self._tls.write, left))
                left = left[written:]

    async def aclose(self) -> None:
        """Say goodbye in TLS as far as that needs no waiting, and close the connection."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._stream.write_soon(self._outgoing.read())
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks of a stream."""
        return self._tls if info == "ssl_object" else SessionStream(self._stream).get_extra_info(info)

    async def _run(self, operation: Callable[[], _ResultT]) -> _ResultT:
        """Call `operation` until it needs no more octets; what it wants to say is sent each time."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                await self._send()
                if data := await self._stream.read(_CHUNK):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await self._send()  # the alert
                raise
            else:
                await self._send()
                return result

    async def _send(self) -> None:
        if data := self._outgoing.read():
            await self._stream.write(data)


class SessionBackend(httpcore.AsyncNetworkBackend):
    """Connects over one session. Names are looked up in `addresses` first, then by the session's resolver."""

    def __init__(
        self,
        network: UeNetwork,
        addresses: Mapping[str, IPv4Address] | None = None,
        on_tls: OnTls | None = None,
    ) -> None:
        self._network = network
        self._on_tls = on_tls
        self._addresses = dict(addresses or {})

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 -- the session has one address
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 -- its streams have no socket
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection over the session."""
        async with _in_words_of_httpcore(timeout, httpcore.ConnectError, httpcore.ConnectTimeout):
            return SessionStream(await self._network.connect(await self._address(host), port), self._on_tls)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 -- httpcore's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 -- the same
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a PDU session leads to no file."""
        raise httpcore.ConnectError(f"{path}: no Unix sockets over a PDU session")

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await asyncio.sleep(seconds)

    async def _address(self, host: str) -> IPv4Address:
        try:
            return IPv4Address(host)
        except AddressValueError:
            known = self._addresses.get(host)
            return known if known is not None else await self._network.resolve(host)
