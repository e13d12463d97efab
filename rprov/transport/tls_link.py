"""Links under TLS with certificates of both ends, over any other link. Knows no message, and decides about nobody.

One wrapper serves every transport: what is sent becomes a frame (`wire/framing.py`), frames become TLS records, and
records travel as messages of one stream of the link below. Over TCP the link below is a bare one, which puts no
header around them: on the wire it is ordinary TLS, and the tools of others can look at it. In an SCTP association the
records are messages, and a lost one delays all streams alike; DTLS over SCTP (RFC 6083) would not, but no library here
speaks it.

An end without the peer's close_notify is a broken link, whatever the transport below calls it: anybody on the way can
forge the end of a TCP connection.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from rprov.causes import Cause
from rprov.crypto.tls import TlsFailed
from rprov.crypto.tls_channel import Arrived, TlsChannel
from rprov.crypto.tls_context import Side, TlsContext
from rprov.crypto.tls_judgement import Judge
from rprov.crypto.x509_network import dns_names
from rprov.errors import DecodeError
from rprov.model.numbers import Ppid
from rprov.transport.link import (
    LIMIT,
    LINK_STREAM,
    MAX_STREAMS,
    Address,
    Link,
    LinkLost,
    Statistics,
    require_sendable,
)
from rprov.wire.framing import Frame, FrameReader, encode_frame

_LOG = logging.getLogger("rprov.transport")

CLOSE_SECONDS = 5.0
"""How long an orderly end waits for a peer that does not read."""


class TlsParty(NamedTuple):
    """What this end proves itself with, and how it judges the other."""

    context: TlsContext
    judge: Judge


class TlsLink:
    """A link whose handshake is done; see `link.Link`. Made by `shake_hands`."""

    def __init__(self, below: Link, channel: TlsChannel, limit: int) -> None:
        """Take over the link below, and the channel that protects it."""
        self._below = below
        self._channel = channel
        self._names = tuple(dns_names(channel.peer))
        self._reader = FrameReader(limit)
        self._frames: deque[Frame] = deque()
        self._statistics = Statistics()
        self._waiting: deque[bytes] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._ended = False  # the peer has closed in order
        self._closing = False  # we have
        self._lost: LinkLost | None = None

    @property
    def channel(self) -> TlsChannel:
        """What protects it: knows the peer's certificate."""
        return self._channel

    @property
    def local(self) -> Address:
        """This end."""
        return self._below.local

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._below.peer

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """Every address of this end."""
        return self._below.local_addresses

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """Every address of the other end."""
        return self._below.peer_addresses

    @property
    def peer_names(self) -> tuple[str, ...]:
        """The dNSNames of the peer's certificate."""
        return self._names

    @property
    def carrier(self) -> str:
        """What carries it, with what protects it."""
        return f"{self._below.carrier}+tls"

    @property
    def streams(self) -> int:
        """As many as are of use: each frame says its own, and below them is one."""
        return MAX_STREAMS

    @property
    def statistics(self) -> Statistics:
        """Counters of what was protected, live."""
        return self._statistics

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        require_sendable(stream, ppid, payload)
        self._require_open()
        records = self._channel.send(encode_frame(stream, ppid, payload))
        self._statistics.count_sent(payload)
        await self._write(records)

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        while not self._frames:
            if self._closing or (self._ended and self._lost is None):
                return None
            if self._lost is not None:
                raise self._lost
            try:
                message = await self._below.receive()
            except LinkLost as error:
                self._lost = error
                continue
            if message is not None:
                await self._feed(message.payload)
            elif not self._closing:
                self._lose("was lost: it ended without a goodbye")
        frame = self._frames.popleft()
        self._statistics.count_received(frame.payload)
        return frame

    async def close(self) -> None:
        """End in order, within `CLOSE_SECONDS`; see `link.Link`."""
        if not self._closing and self._lost is None:
            self._closing = True
            self._frames.clear()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._write(self._channel.close_notify())
            except (TimeoutError, LinkLost, TlsFailed):
                self._below.abort()
            except BaseException:
                self._below.abort()
                raise
        await self._below.close()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        self._below.abort()

    def take(self, arrived: Arrived) -> None:
        """Take what the peer has sent together with the end of its handshake, or after it."""
        try:
            self._frames.extend(self._reader.feed(arrived.data))
        except DecodeError as error:
            self._lose(f"was aborted: the peer sent no frame ({error})")
            return
        if arrived.closed and self._reader.within_frame:
            self._lose("was lost: it ended in the middle of a frame")
        elif arrived.closed:
            self._ended = True

    async def _feed(self, octets: bytes) -> None:
        try:
            arrived = self._channel.feed(octets)
        except TlsFailed as error:
            self._lose(f"was lost: {error}")
            return
        if self._closing:
            return
        self.take(arrived)
        if arrived.flight:  # a change of keys, say; what is taken above is not lost if we are cancelled here
            with suppress(LinkLost):  # the next receive says so, after what is there
                await self._write(arrived.flight)

    async def _write(self, records: bytes) -> None:
        """Send records in the order of the calls, and wait until the link takes more."""
        if self._sender is None and len(records) <= LIMIT:
            await self._below.send(LINK_STREAM, Ppid.TLS, records)
            return
        # More than one message below: they must leave one after the other, whoever is cancelled meanwhile.
        self._waiting.extend(records[begin : begin + LIMIT] for begin in range(0, len(records), LIMIT))
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_waiting(), name=f"{self} sends")
        await asyncio.wait({self._sender})
        if self._lost is not None:
            raise self._lost

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                await self._below.send(LINK_STREAM, Ppid.TLS, self._waiting.popleft())
        except LinkLost as error:
            self._lost = self._lost or error
            self._waiting.clear()
        finally:
            self._sender = None

    def _require_open(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._closing or self._ended:
            raise LinkLost(f"{self} was closed by {'us' if self._closing else 'the peer'}")

    def _lose(self, why: str) -> None:
        self._lost = self._lost or LinkLost(f"{self} {why}")
        self._below.abort()

    def __str__(self) -> str:
        return str(self._below)


async def shake_hands(below: Link, party: TlsParty, limit: int, seconds: float) -> TlsLink:
    """Make a protected link of a fresh one; raises `LinkLost`, and then the link below is over.

    A server's link is given once the client's certificate was judged good, a client's once the server's was: whether
    the server takes the client's certificate, the first `receive` tells.
    """
    channel = TlsChannel(party.context, party.judge)
    try:
        async with asyncio.timeout(seconds):
            return await _shake_hands(below, channel, limit)
    except TimeoutError:
        below.abort()
        raise LinkLost(f"{below}: no TLS handshake within {seconds:g} s") from None
    except LinkLost as error:
        below.abort()
        raise LinkLost(f"{error}, in the middle of the TLS handshake") from error
    except TlsFailed as error:
        if party.context.side is Side.SERVER and error.cause is not Cause.PROTOCOL_ERROR:
            # Somebody shows a certificate and may not come in: an operator wants to know.
            _LOG.warning("%s: refused: %s", below, error)
        await _say_why(below, error.flight)
        raise LinkLost(f"{below}: no TLS: {error}") from error
    except BaseException:
        below.abort()
        raise


async def _shake_hands(below: Link, channel: TlsChannel, limit: int) -> TlsLink:
    arrived = Arrived(channel.start())
    while True:
        if arrived.flight:
            try:
                await below.send(LINK_STREAM, Ppid.TLS, arrived.flight)
            except LinkLost:
                if not channel.done:
                    raise
                # The peer has said what it wanted and is gone: that may be received all the same.
        if channel.done:
            link = TlsLink(below, channel, limit)
            link.take(arrived)
            return link
        message = await below.receive()
        if message is None:
            raise LinkLost(f"{below} was closed by the peer")
        arrived = channel.feed(message.payload)


async def _say_why(below: Link, alert: bytes) -> None:
    """Let our alert get there: an aborted link would lose it."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            if alert:
                await below.send(LINK_STREAM, Ppid.TLS, alert)
            await below.close()
    except (TimeoutError, LinkLost):
        below.abort()
    except BaseException:
        below.abort()
        raise
