"""A tap on a transport: it sees each message once at either end, and the links keep what they promise."""

from typing import Any

import pytest
from doubles.loop import run

from rprov.model.tap import LinkName
from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost
from rprov.transport.memory import MemoryNetwork
from rprov.transport.tapped import TappedLink, tapped


class Seen:
    """A tap that remembers."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []

    def message(
        self, link: Any, local: Any, peer: Any, *, inbound: bool, stream: int, ppid: int, octets: bytes
    ) -> None:
        self.messages.append((link, tuple(local), tuple(peer), inbound, stream, ppid, octets))

    def datagram(self, link: Any, local: Any, peer: Any, *, inbound: bool, octets: bytes) -> None:
        raise AssertionError("no datagram crosses a control link")

    def segment(self, link: Any, local: Any, peer: Any, *, inbound: bool, at: int, octets: bytes) -> None:
        raise AssertionError("no stream crosses a control link")


@pytest.mark.parametrize("carrier", [tcp, MemoryNetwork()], ids=["tcp", "memory"])
def test_both_ends_see_the_same(carrier: Any) -> None:
    seen = Seen()

    async def go() -> None:
        async def serve(link: Link) -> None:
            frame = await link.receive()
            assert frame is not None
            await link.send(1, 8, frame.payload[::-1])
            await link.close()

        transport = tapped(carrier, seen, listens=LinkName.RADIO, connects=LinkName.N2)
        listener = await transport.listen("127.0.0.1", 0, serve)
        link = await transport.connect("127.0.0.1", listener.port)
        assert isinstance(link, TappedLink)
        assert (link.carrier, link.streams) == (link.carrier, 256)
        assert link.local_addresses == (link.local,)
        assert link.peer_addresses == (link.peer,)
        await link.send(3, 7, b"up")
        answer = await link.receive()
        assert answer is not None
        assert await link.receive() is None
        assert (link.statistics.frames_sent, link.statistics.frames_received) == (1, 1)
        ends = tuple(link.local), tuple(link.peer)
        await link.close()
        with pytest.raises(LinkLost):
            await link.send(0, 7, b"late")
        link.abort()
        await listener.close()
        assert seen.messages[:4] == [
            (LinkName.N2, *ends, False, 3, 7, b"up"),
            (LinkName.RADIO, *ends[::-1], True, 3, 7, b"up"),
            (LinkName.RADIO, *ends[::-1], False, 1, 8, b"pu"),
            (LinkName.N2, *ends, True, 1, 8, b"pu"),
        ]

    run(go())


def test_without_a_tap_nothing_changes() -> None:
    network = MemoryNetwork()
    assert tapped(network, None) is network
