"""Control links that somebody watches: any transport, with a tap that sees what is received and sent. Knows no message.

The tap sees a message when the receiver takes it, or when the sender hands it to the link: like a capture on the
sender's machine, it does not say that the message arrived.
"""

from typing import cast

from rprov.model.tap import LinkName, Tap
from rprov.transport.link import LIMIT, Address, Link, Listener, OnLink, Statistics, Transport
from rprov.wire.framing import Frame


class TappedLink:
    """A link with a tap; see `link.Link`."""

    def __init__(self, link: Link, tap: Tap, name: LinkName) -> None:
        self._link = link
        self._tap = tap
        self._name = name

    @property
    def local(self) -> Address:
        """This end."""
        return self._link.local

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._link.peer

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """Every address of this end."""
        return self._link.local_addresses

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """Every address of the other end."""
        return self._link.peer_addresses

    @property
    def peer_names(self) -> tuple[str, ...] | None:
        """The dNSNames of the peer's certificate; None where nothing protects the link."""
        return self._link.peer_names

    @property
    def carrier(self) -> str:
        """What carries it."""
        return self._link.carrier

    @property
    def streams(self) -> int:
        """How many streams both sides agreed on."""
        return self._link.streams

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._link.statistics

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

    async def close(self) -> None:
        """End in order; see `link.Link`."""
        await self._link.close()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        self._link.abort()

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

    def __str__(self) -> str:
        return str(self._link)


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
