"""Links whose ends ask each other whether they live: the process, not its machine. Knows no message and no carrier.

A process that was stopped, or whose loop is stuck, keeps its connections: its kernel acknowledges and answers the
probes of TCP and of SCTP. So an end that has heard nothing for a while asks, in a frame of its own on the link's
stream, and whoever reads the link answers at once. No answer for as long again: the link is lost. Whatever is heard
counts as an answer. Both ends must be of this kind; whoever uses the link sees nothing of these frames.
"""

import asyncio
from contextlib import suppress

from rprov.model.numbers import Ppid
from rprov.transport.link import LIMIT, LINK_STREAM, Link, LinkLost, Listener, OnLink, Transport
from rprov.transport.wrapped import WrappedLink
from rprov.wire.framing import Frame

ASK, ANSWER = b"?", b"!"


class AliveLink(WrappedLink):
    """A link that ends when the other process is silent for twice `seconds`, give or take; see `link.Link`."""

    def __init__(self, link: Link, seconds: float) -> None:
        super().__init__(link)
        self._seconds = seconds
        self._heard = link.statistics.frames_received
        self._asking: asyncio.Task[None] | None = None
        self._lost: LinkLost | None = None
        self._loop = asyncio.get_running_loop()
        # One look in each interval, however many frames come: a timer for each of them would cost more than they do.
        self._timer = self._loop.call_later(seconds, self._look)

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        try:
            await self._link.send(stream, ppid, payload)
        except LinkLost as error:
            raise self._lost or error from None

    async def receive(self) -> Frame | None:
        """Give the next frame of somebody else, and answer those of this kind; see `link.Link`."""
        try:
            while (frame := await self._link.receive()) is not None and frame.ppid == Ppid.HEARTBEAT:
                # Whoever asks without reading the answers waits like everybody else who does not read.
                if frame.payload == ASK:
                    with suppress(LinkLost):  # it may have said more before it went
                        await self._link.send(LINK_STREAM, Ppid.HEARTBEAT, ANSWER)
        except LinkLost as error:
            raise self._lost or error from None
        return frame

    async def close(self) -> None:
        """End in order; see `link.Link`."""
        self._rest()
        await self._link.close()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        self._rest()
        self._link.abort()

    def _look(self) -> None:
        heard = self._link.statistics.frames_received
        if heard != self._heard:
            self._heard, self._asking = heard, None
        elif self._asking is None:
            self._asking = self._loop.create_task(self._ask(), name=f"{self._link} is asked whether it lives")
        else:
            self._lost = LinkLost(f"{self._link} was lost: no word in {self._seconds:g} s, though it was asked")
            self.abort()
            return
        self._timer = self._loop.call_later(self._seconds, self._look)

    async def _ask(self) -> None:
        with suppress(LinkLost):  # whoever reads the link hears of it, too
            await self._link.send(LINK_STREAM, Ppid.HEARTBEAT, ASK)

    def _rest(self) -> None:
        self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()


class AliveTransport:
    """Links of this kind over any transport; see `link.Transport`."""

    def __init__(self, below: Transport, seconds: float) -> None:
        self._below = below
        self._seconds = seconds

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""

        async def serve(below: Link) -> None:
            link = AliveLink(below, self._seconds)
            try:
                await on_link(link)
            finally:
                link.abort()

        return await self._below.listen(host, port, serve, limit)

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        return AliveLink(await self._below.connect(host, port, limit), self._seconds)
