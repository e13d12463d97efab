"""Control links that somebody watches: any transport, with a tap that sees what is received and sent. Knows no message.

The tap sees a message when the receiver takes it, or when the sender hands it to the link: like a capture on the
sender's machine, it does not say that the message arrived.
"""

from typing import cast

from rprov.model.tap import LinkName, Tap
from rprov.transport.link import LIMIT, Link, Listener, OnLink, Transport
from rprov.transport.wrapped import WrappedLink
from rprov.wire.framing import Frame


class TappedLink(WrappedLink):
    """A link with a tap; see `link.Link`."""

    def __init__(self, link: Link, tap: Tap, name: LinkName) -> None:
        super().__init__(link)
        self._tap = tap
        self._name = name

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        self._see(Frame(stream, ppid, payload), inbound=False)
        await self._link.send(stream, ppid, payload)

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        frame = await self._link.receive()
        if frame is not None:
            self._see(frame, inbound=True)
        return frame

    def _see(self, frame: Frame, *, inbound: bool) -> None:
        self._tap.message(
            self._name,
            self._link.local,
            self._link.peer,
            inbound=inbound,
            stream=frame.stream,
            ppid=frame.ppid,
            octets=frame.payload,
        )


class TappedTransport:
    """Links with a tap; see `link.Transport`. What is listened for and what is connected may be two links of a node."""

    def __init__(self, transport: Transport, tap: Tap, *, listens: LinkName, connects: LinkName) -> None:
        self._transport = transport
        self._tap = tap
        self._listens = listens
        self._connects = connects

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""

        async def serve(link: Link) -> None:
            await on_link(TappedLink(link, self._tap, self._listens))

        return await self._transport.listen(host, port, serve, limit)

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        return TappedLink(await self._transport.connect(host, port, limit), self._tap, self._connects)


def tapped(
    transport: object, tap: Tap | None, *, listens: LinkName = LinkName.N2, connects: LinkName = LinkName.RADIO
) -> Transport:
    """Put a tap on a transport, where there is one."""
    given = cast("Transport", transport)  # a module may be one
    return given if tap is None else TappedTransport(given, tap, listens=listens, connects=connects)
