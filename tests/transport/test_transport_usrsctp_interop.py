"""SCTP in user space against the kernel's, in UDP (RFC 6951): each of them listens, each connects."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from contract import HOST, LOOPS, everything
from doubles.loop import run

from rprov.model.numbers import Port, Ppid
from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport.link import MAX_STREAMS, Link, LinkLost, Transport
from rprov.transport.sctp import KernelSctp
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_library import available
from rprov.wire.framing import Frame

pytestmark = [
    pytest.mark.sctp_kernel,
    pytest.mark.skipif(not available(), reason="libusrsctp is missing: apt-get install libusrsctp2"),
]

SYSCTL = Path("/proc/sys/net/sctp")
SNMP = Path("/proc/net/sctp/snmp")
KERNEL_PORT, OUR_PORT = Port.SCTP_ENCAPSULATION, Port.SCTP_ENCAPSULATION + 1
"""The kernel takes its port at every address of the machine, which nobody else uses but us; so ours is another."""
QUICK = {"heartbeat": 0.2, "rto_initial": 0.2, "rto_min": 0.1, "rto_max": 0.3, "retransmissions": 3}
SECONDS = 60.0


@contextmanager
def encapsulation(towards: int) -> Iterator[None]:
    """The kernel's SCTP in UDP: it takes it at its port, and connects to the other."""
    for name, value in (("udp_port", KERNEL_PORT), ("encap_port", towards)):
        (SYSCTL / name).write_text(str(value))
    try:
        yield
    finally:
        for name in ("encap_port", "udp_port"):
            (SYSCTL / name).write_text("0")


def counters() -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in SNMP.read_text().splitlines())}


def listening(which: str) -> tuple[Transport, Transport]:
    """Who listens, and who connects."""
    kernel = KernelSctp(SctpListen(**QUICK), SctpPeer(**QUICK))
    if which == "kernel":
        return kernel, UserSctp(connect=SctpPeer(udp_port=KERNEL_PORT, **QUICK))
    return UserSctp(SctpListen(udp_port=OUR_PORT, **QUICK)), kernel


@asynccontextmanager
async def linked_across(which: str) -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of a link: the one that connected, the one that was accepted."""
    accepted: asyncio.Queue[Link] = asyncio.Queue()
    over = asyncio.Event()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        await over.wait()

    listens, connects = listening(which)
    with encapsulation(OUR_PORT):
        listener = await listens.listen(HOST, 0, on_link)
        here = await connects.connect(HOST, listener.port)
        yield here, await accepted.get()
        here.abort()
        over.set()
        await listener.close()


@pytest.fixture(params=["kernel", "user space"])
def which(request: pytest.FixtureRequest) -> str:
    """Who listens."""
    return request.param


@pytest.mark.parametrize("loop", LOOPS)
def test_messages_cross_both_ways_and_both_ends_close(which: str, loop: str) -> None:
    drawn = random.Random(6951)
    sizes = [1, 2, 3, 4, 5, 1000, 1200, 1400, 1452, 1500, 4000, 9000, 16000, 32000, 60000, 65535]
    sent = [
        Frame(drawn.randrange(MAX_STREAMS), number + 1, drawn.randbytes(size)) for number, size in enumerate(sizes * 4)
    ]

    async def scenario() -> None:
        before = counters()
        async with linked_across(which) as (here, there):
            assert here.streams == there.streams == MAX_STREAMS
            assert here.local == there.peer
            assert here.peer == there.local

            async def talk(link: Link) -> None:
                for frame in sent:
                    await link.send(frame.stream, frame.ppid, frame.payload)

            async def hear(link: Link) -> list[Frame]:
                frames = []
                while len(frames) < len(sent):
                    frame = await link.receive()
                    assert frame is not None
                    frames.append(frame)
                return frames

            *heard, _, _ = await asyncio.gather(hear(here), hear(there), talk(here), talk(there))
            for frames in heard:
                assert sorted(frames, key=lambda frame: frame.ppid) == sent
            await here.send(0, Ppid.N2, b"last words")
            closing = asyncio.create_task(here.close())
            assert await everything(there) == [Frame(0, Ppid.N2, b"last words")]
            await there.close()
            await closing
        after = counters()
        for name in ("SctpChecksumErrors", "SctpAborteds", "SctpOutOfBlues"):
            assert after[name] == before[name], name
        assert after["SctpShutdowns"] > before["SctpShutdowns"]

    run(scenario(), SECONDS, LOOPS[loop])


@pytest.mark.parametrize("first", ["here", "there"])
def test_an_abort_crosses(which: str, first: str) -> None:
    async def scenario() -> None:
        async with linked_across(which) as ends:
            rude, other = ends if first == "here" else reversed(ends)
            await rude.send(1, 1, b"x")
            assert await other.receive() == Frame(1, 1, b"x")
            rude.abort()
            with pytest.raises(LinkLost, match="lost"):
                await other.receive()

    run(scenario(), SECONDS)


def test_heartbeats_cross_and_their_absence_is_noticed(which: str) -> None:
    async def scenario() -> None:
        async with linked_across(which) as (here, there):
            ours = here if which == "kernel" else there
            heard: list[int] = []
            carrier = ours._path.carrier  # type: ignore[attr-defined]
            take = carrier._above.take

            class Listening:
                pump = carrier._above.pump

                def take(self, carrier: object, packet: memoryview, name: object) -> None:
                    heard.append(packet[12])
                    take(carrier, packet, name)

            above, carrier._above = carrier._above, Listening()
            while not {4, 5} <= {*heard}:  # HEARTBEAT, HEARTBEAT ACK
                await asyncio.sleep(0.02)
            carrier._above = above
            carrier.drop = lambda: True  # the cable is cut
            for outcome in await asyncio.gather(here.receive(), there.receive(), return_exceptions=True):
                assert isinstance(outcome, LinkLost)

    run(scenario(), SECONDS)


def test_nobody_at_the_port_is_said_at_once(which: str) -> None:
    async def scenario() -> None:
        async with linked_across(which) as (here, _):
            _, connects = listening(which)
            with pytest.raises(LinkLost, match="refused"):
                await connects.connect(HOST, here.peer.port ^ 1)

    run(scenario(), SECONDS)


@pytest.mark.parametrize("percent", [2, 5])
def test_a_wire_that_loses_packets_loses_no_message(which: str, percent: int) -> None:
    async def scenario() -> None:
        async with linked_across(which) as (here, there):
            ours = here if which == "kernel" else there
            drawn = random.Random(percent)
            ours._path.carrier.drop = lambda: drawn.random() < percent / 100  # type: ignore[attr-defined]

            async def talk(link: Link) -> None:
                for number in range(300):
                    await link.send(1, number, bytes([number % 256]) * (number * 10 + 1))

            async def hear(link: Link) -> None:
                for number in range(300):
                    assert await link.receive() == Frame(1, number, bytes([number % 256]) * (number * 10 + 1))

            await asyncio.gather(hear(here), hear(there), talk(here), talk(there))

    run(scenario(), SECONDS)
