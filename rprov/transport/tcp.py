"""Control links over TCP: one connection per link, frames as `wire/framing.py` has them. Knows no message.

TCP has no streams: the number travels in each frame, and a lost segment delays all of them alike. Back-pressure goes
both ways: a sender waits while more than `HIGH_WATER` octets are unsent, and a receiver that has as many octets
waiting stops reading from the socket.
"""

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import cast

from rprov.errors import DecodeError, EnvironmentLacks
from rprov.transport.link import (
    LIMIT,
    LINK_STREAM,
    MAX_STREAMS,
    OVERHEAD,
    Address,
    Link,
    LinkLost,
    Listener,
    OnLink,
    Statistics,
    Transport,
    require_sendable,
)
from rprov.transport.serving import Serving
from rprov.wire.framing import Frame, FrameReader, encode_frame

HIGH_WATER = 256 * 1024
BACKLOG = 1024
"""Connections that may wait to be accepted; with fewer, a thousand that come at once wait for seconds."""
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
"""How long an orderly end waits for a peer that does not read."""

KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))
"""A peer that vanished without a word is noticed after half a minute (seconds, seconds, probes, milliseconds)."""

_NOWHERE = Address("nowhere", 0)


class TcpLink(asyncio.Protocol):
    """One connection. Made by `connect` and `listen`; see `link.Link`."""

    def __init__(self, limit: int, serving: Serving | None = None, *, bare: bool = False) -> None:
        self._serving = serving
        self._bare = bare
        self._reader = _Unframed() if bare else FrameReader(limit)
        self._transport: asyncio.Transport
        self._local = self._peer = _NOWHERE
        self._statistics = Statistics()
        self._frames: deque[Frame] = deque()
        self._waiting_octets = 0
        self._paused = False
        self._ended = False  # the peer has closed in order
        self._closing = False  # we have
        self._lost: LinkLost | None = None
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    # --- as seen by the daemons -----------------------------------------------------------------------------------

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
        """What it is."""
        return "tcp"

    @property
    def streams(self) -> int:
        """As many as are of use; TCP has no limit of its own."""
        return MAX_STREAMS

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._statistics

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        require_sendable(stream, ppid, payload)
        frame = payload if self._bare else encode_frame(stream, ppid, payload)
        self._require_open()
        # Written before the wait, not after: so the order is that of the calls, whoever wakes up first.
        self._transport.write(frame)
        self._statistics.count_sent(payload)
        if not self._writable.is_set():
            await self._writable.wait()
        if self._lost is not None:
            raise self._lost

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        while not self._frames:
            if self._closing or (self._ended and self._lost is None):
                return None
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        self._statistics.count_received(frame.payload)
        self._waiting_octets -= len(frame.payload) + OVERHEAD
        if self._paused and self._waiting_octets < HIGH_WATER // 2:
            self._resume()
        return frame

    async def close(self) -> None:
        """End in order, within `CLOSE_SECONDS`; see `link.Link`."""
        if not self._closing and self._lost is None:
            self._closing = True
            self._arrived.set()
            # We go on reading (and drop it): a socket closed with unread octets resets the connection, and the
            # reset overtakes what we sent.
            self._frames.clear()
            self._resume()
            if not self._transport.is_closing():
                self._transport.write_eof()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._gone.wait()
        finally:
            if not self._gone.is_set():
                self._reset()
        await self._gone.wait()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        if not self._gone.is_set():
            self._lose("was aborted at this end")

    def _require_open(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._closing or self._ended:
            raise LinkLost(f"{self} was closed by {'us' if self._closing else 'the peer'}")

    def __str__(self) -> str:
        return f"the link {self._local} - {self._peer}"

    # --- as seen by asyncio ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket's options and hand the link to whoever serves it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's, but behaves as one
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._local = _address(transport.get_extra_info("sockname"))
        self._peer = _address(transport.get_extra_info("peername"))
        _set_options(transport.get_extra_info("socket"))
        if self._serving is not None:
            self._serving.take(self)

    def data_received(self, data: bytes) -> None:
        """Cut frames; octets that are none end the link."""
        if self._closing or self._lost is not None:
            return
        try:
            frames = self._reader.feed(data)
        except DecodeError as error:
            why = "speaks TLS, and this end does not" if _looks_like_tls(data) else f"sent no frame ({error})"
            self._lose(f"was aborted: the peer {why}")
            return
        if not frames:
            return
        self._frames.extend(frames)
        self._waiting_octets += sum(len(frame.payload) for frame in frames) + OVERHEAD * len(frames)
        if self._waiting_octets >= HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> None:
        """Take the peer's orderly end; asyncio closes our half once everything is written."""
        if self._reader.within_frame and not self._closing:
            self._lose("ended in the middle of a frame")
        self._ended = True
        self._arrived.set()

    def pause_writing(self) -> None:
        """Make senders wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Wake everybody who waits."""
        if self._lost is None and not self._closing and not self._ended:
            self._lost = LinkLost(f"{self} was lost: {error or 'the connection is gone'}")
        self._gone.set()
        self._writable.set()
        self._arrived.set()

    def _resume(self) -> None:
        self._waiting_octets = sum(len(frame.payload) + OVERHEAD for frame in self._frames)
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _lose(self, why: str) -> None:
        if self._lost is None and not self._closing:
            self._lost = LinkLost(f"{self} {why}")
        self._arrived.set()
        self._writable.set()
        self._reset()

    def _reset(self) -> None:
        # Without a linger of zero the kernel would say goodbye as if everything had been sent.
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


class TcpListener:
    """Accepts links at one address; see `link.Listener`."""

    def __init__(self, server: asyncio.Server, serving: Serving) -> None:
        self._server = server
        self._serving = serving
        self._address = _address(server.sockets[0].getsockname())

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
        self._server.close()
        await self._serving.close()
        await self._server.wait_closed()


class _Unframed:
    """In place of a `FrameReader` where something above knows the ends of messages."""

    within_frame = False

    def feed(self, data: bytes) -> list[Frame]:
        """Give what came as it came."""
        return [Frame(LINK_STREAM, 0, bytes(data))]


async def listen(host: str, port: int, on_link: OnLink, limit: int = LIMIT, *, bare: bool = False) -> Listener:
    """Accept links at an address; see `link.Transport`, and `bare_tcp` for what bare ones are."""
    serving = Serving(on_link)
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: TcpLink(limit, serving, bare=bare), host, port, backlog=BACKLOG)
    except OSError as error:
        raise EnvironmentLacks(f"cannot listen at {Address(host, port)}: {error.strerror or error}") from error
    return TcpListener(server, serving)


async def connect(host: str, port: int, limit: int = LIMIT, *, bare: bool = False) -> Link:
    """Open a link; see `link.Transport`, and `bare_tcp` for what bare ones are."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await loop.create_connection(lambda: TcpLink(limit, bare=bare), host, port)
    except TimeoutError as error:
        raise LinkLost(f"cannot connect to {Address(host, port)}: no answer in {CONNECT_SECONDS:g} s") from error
    except OSError as error:
        raise LinkLost(f"cannot connect to {Address(host, port)}: {error.strerror or error}") from error
    return link


class _Bare:
    """The same without any header: octets arrive in order, but cut anywhere, and streams are not told."""

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""
        return await listen(host, port, on_link, limit, bare=True)

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        return await connect(host, port, limit, bare=True)


bare_tcp: Transport = _Bare()
"""TCP for what finds the ends of messages itself: TLS, whose records are on the wire then as everybody knows them."""


def _looks_like_tls(data: bytes) -> bool:
    """Whether these are the first octets of an alert or a handshake record (RFC 8446 5.1): a frame never looks so."""
    return data[:1] in (b"\x15", b"\x16") and data[1:2] == b"\x03"


def _address(name: object) -> Address:
    match name:
        case (str(host), int(port), *_):
            return Address(host, port)
    return _NOWHERE  # the peer was gone before we looked


def _set_options(connection: socket.socket) -> None:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    options += [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in KEEPALIVE if hasattr(socket, name)
    ]
    for level, option, value in options:
        with suppress(OSError):  # the peer may be gone already; reading will say so
            connection.setsockopt(level, option, value)
