"""A link around another one, alike in everything: who wraps links says only what is different. Knows no message."""

from rprov.transport.link import Address, Link, Statistics
from rprov.wire.framing import Frame


class WrappedLink:
    """The link inside, with another name; see `link.Link`."""

    def __init__(self, link: Link) -> None:
        self._link = link

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
        await self._link.send(stream, ppid, payload)

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        return await self._link.receive()

    async def close(self) -> None:
        """End in order; see `link.Link`."""
        await self._link.close()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        self._link.abort()

    def __str__(self) -> str:
        return str(self._link)
