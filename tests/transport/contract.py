"""What every transport promises. The test file of each transport imports these tests and says how they are played:

    from contract import *  # noqa: F403
    from contract import LOOPS, Play, always, player

    @pytest.fixture(params=LOOPS)
    def play(request: pytest.FixtureRequest) -> Play:
        return player(always(tcp), request.param)

What is opened for a scenario (`player`) is a context, so that a transport can be made and ended in the loop. The
promises of a wire, which memory has not, are in `contract_wire`.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from doubles.loop import run, settle
from doubles.sockets import room_for, sockets

from rprov.errors import EncodeError, EnvironmentLacks
from rprov.model.numbers import Ppid
from rprov.transport.link import LINK_STREAM, MAX_STREAMS, Link, LinkLost, Listener, Transport
from rprov.wire.framing import Frame

HOST = "127.0.0.1"
BIG = 65535
MANY = 400
"""Frames of 64 KiB that no kernel takes all (26 MB)."""
THOUSAND = 1000
SECONDS = 60.0
"""The longest that a scenario may take; the kernel in which SCTP is tried is slow."""

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {"asyncio": None, "uvloop": uvloop.new_event_loop}

Scenario = Callable[[Transport], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]
Open = Callable[[], AbstractAsyncContextManager[Transport]]


def player(opened: Open, loop: str = "asyncio") -> Play:
    """Gives what plays a scenario on a transport that is opened for it, in a loop of that kind."""

    async def on(scenario: Scenario) -> None:
        async with opened() as transport:
            await scenario(transport)

    return lambda scenario: run(on(scenario), SECONDS, LOOPS[loop])


def always(transport: Transport) -> Open:
    """Gives what opens a transport that needs no opening."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Transport]:
        yield transport

    return opened


@asynccontextmanager
async def linked(transport: Transport, limit: int = BIG, host: str = HOST) -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of one link: the one that connected, the one that was accepted."""
    accepted: asyncio.Queue[Link] = asyncio.Queue()
    over = asyncio.Event()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        await over.wait()

    listener = await transport.listen(host, 0, on_link, limit)
    try:
        here = await transport.connect(host, listener.port)
        there = await accepted.get()
        yield here, there
        here.abort()
    finally:
        over.set()
        await listener.close()


async def everything(link: Link) -> list[Frame]:
    """What comes until the orderly end."""
    frames = []
    while (frame := await link.receive()) is not None:
        frames.append(frame)
    return frames


async def send_many(link: Link) -> None:
    for number in range(MANY):
        await link.send(1, 1, number.to_bytes(2) + bytes(BIG - 2))


# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [1, 2, 1500, BIG - 1, BIG])
def test_a_message_of_any_size_gets_there_whole(play: Play, octets: int) -> None:
    async def scenario(transport: Transport) -> None:
        payload = bytes(index % 251 for index in range(octets))
        async with linked(transport) as (here, there):
            await here.send(7, Ppid.N2, payload)
            assert await there.receive() == Frame(7, Ppid.N2, payload)
            await there.send(LINK_STREAM, Ppid.RADIO, payload[::-1])
            assert await here.receive() == Frame(LINK_STREAM, Ppid.RADIO, payload[::-1])

    play(scenario)


@pytest.mark.parametrize(
    ("stream", "ppid", "payload"),
    [
        (1, 1, b""),
        (1, 1, bytes(BIG + 1)),
        (-1, 1, b"x"),
        (MAX_STREAMS, 1, b"x"),
        (1 << 16, 1, b"x"),
        (1, -1, b"x"),
        (1, 1 << 32, b"x"),
    ],
)
def test_what_no_frame_carries_is_refused(play: Play, stream: int, ppid: int, payload: bytes) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            with pytest.raises(EncodeError):
                await here.send(stream, ppid, payload)
            assert here.statistics.frames_sent == 0
            await here.send(MAX_STREAMS - 1, (1 << 32) - 1, b"still alive")
            assert await there.receive() == Frame(MAX_STREAMS - 1, (1 << 32) - 1, b"still alive")

    play(scenario)


def test_a_frame_above_the_receivers_limit_ends_the_link(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport, limit=100) as (here, there):
            await here.send(1, 1, bytes(100))
            assert await there.receive() == Frame(1, 1, bytes(100))
            await here.send(1, 1, bytes(101))
            with pytest.raises(LinkLost, match=r"aborted.*10[01]"):
                await there.receive()
            with pytest.raises(LinkLost):
                await here.receive()

    play(scenario)


def test_each_stream_keeps_the_order_of_the_calls_also_among_tasks(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            async with asyncio.TaskGroup() as group:
                for number in range(300):
                    group.create_task(here.send(number % 5, 1, number.to_bytes(2) * 2000))
                numbers: dict[int, list[int]] = defaultdict(list)
                for _ in range(300):
                    frame = await there.receive()
                    assert frame is not None
                    assert len(frame.payload) == 4000
                    numbers[frame.stream].append(int.from_bytes(frame.payload[:2]))
            assert numbers == {stream: list(range(stream, 300, 5)) for stream in range(5)}

    play(scenario)


def test_sizes_and_streams_mix_in_both_directions_at_once(play: Play) -> None:
    drawn = random.Random(29712)
    plan = [(drawn.randrange(MAX_STREAMS), drawn.choice((1, 20, 1400, 1500, 9000, BIG))) for _ in range(200)]
    sent = [Frame(stream, number, drawn.randbytes(octets)) for number, (stream, octets) in enumerate(plan)]

    async def scenario(transport: Transport) -> None:
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

        async with linked(transport) as ends:
            *heard, _, _ = await asyncio.gather(*map(hear, ends), *map(talk, ends))
        for frames in heard:
            assert sorted(frames, key=lambda frame: frame.ppid) == sent
            for stream in range(MAX_STREAMS):
                assert [f for f in frames if f.stream == stream] == [f for f in sent if f.stream == stream]

    play(scenario)


def test_counters_count_both_ends_and_both_ways(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            for octets in (1, 300, 2000):
                await here.send(3, 1, bytes(octets))
                await there.receive()
            await there.send(3, 1, b"answer")
            await here.receive()
            mine, yours = here.statistics, there.statistics
            assert (mine.frames_sent, mine.octets_sent) == (yours.frames_received, yours.octets_received) == (3, 2301)
            assert (mine.frames_received, mine.octets_received) == (yours.frames_sent, yours.octets_sent) == (1, 6)

    play(scenario)


# --- flow ---------------------------------------------------------------------------------------------------------


def test_a_slow_reader_stops_the_writer(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            writer = asyncio.create_task(send_many(here))
            done, _ = await asyncio.wait({writer}, timeout=0.2)
            assert not done
            stopped_at = here.statistics.frames_sent
            assert stopped_at < MANY
            for number in range(MANY):
                frame = await there.receive()
                assert frame is not None
                assert int.from_bytes(frame.payload[:2]) == number
            await writer
            assert here.statistics.octets_sent == there.statistics.octets_received == MANY * BIG
            assert here.statistics.frames_sent == there.statistics.frames_received == MANY

    play(scenario)


def test_a_slow_reader_holds_up_no_other_link(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        links: asyncio.Queue[Link] = asyncio.Queue()
        over = asyncio.Event()

        async def on_link(link: Link) -> None:
            links.put_nowait(link)
            await over.wait()

        listener = await transport.listen(HOST, 0, on_link)
        stalled = await transport.connect(HOST, listener.port)
        await links.get()
        writer = asyncio.create_task(send_many(stalled))
        await asyncio.wait({writer}, timeout=0.1)
        other = await transport.connect(HOST, listener.port)
        there = await links.get()
        for number in range(100):
            await other.send(1, 1, number.to_bytes(2))
            assert await there.receive() == Frame(1, 1, number.to_bytes(2))
        assert not writer.done()
        stalled.abort()
        with pytest.raises(LinkLost):
            await writer
        other.abort()
        over.set()
        await listener.close()

    play(scenario)


def test_a_thousand_links_at_once(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async def echo(link: Link) -> None:
            while (frame := await link.receive()) is not None:
                await link.send(frame.stream, frame.ppid, frame.payload)
            await link.close()

        listener = await transport.listen(HOST, 0, echo)
        links: list[Link] = []
        while len(links) < THOUSAND:
            links += await asyncio.gather(*(transport.connect(HOST, listener.port) for _ in range(50)))
        assert len({str(link.local) for link in links}) == THOUSAND

        async def ask(number: int, link: Link) -> None:
            await link.send(number % 7, number, number.to_bytes(2))
            assert await link.receive() == Frame(number % 7, number, number.to_bytes(2))

        await asyncio.gather(*(ask(number, link) for number, link in enumerate(links)))
        await asyncio.gather(*(link.close() for link in links))
        await listener.close()

    with room_for(3 * THOUSAND):
        play(scenario)


# --- ends ---------------------------------------------------------------------------------------------------------


def test_closing_while_a_task_sends_loses_nothing_that_was_taken(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            writer = asyncio.create_task(send_many(here))
            await asyncio.wait({writer}, timeout=0.1)
            closing = asyncio.create_task(here.close())
            frames = await everything(there)
            await there.close()
            await closing
            assert len(frames) == here.statistics.frames_sent < MANY
            with pytest.raises(LinkLost, match="closed by us"):
                await writer
            with pytest.raises(LinkLost, match="closed by us"):
                await here.send(1, 1, b"x")
            assert await here.receive() is None

    play(scenario)


def test_an_orderly_end_is_seen_as_one(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            await here.send(1, 1, b"last words")
            await here.close()
            await here.close()
            assert await everything(there) == [Frame(1, 1, b"last words")]
            assert await there.receive() is None
            with pytest.raises(LinkLost, match="closed by the peer"):
                await there.send(1, 1, b"too late")

    play(scenario)


def test_the_accepting_end_may_close_as_well(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            await there.send(1, 1, b"last words")
            closing = asyncio.create_task(there.close())
            assert await everything(here) == [Frame(1, 1, b"last words")]
            await here.close()
            await closing

    play(scenario)


def test_both_may_close_at_once(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            await asyncio.gather(here.close(), there.close())
            assert await here.receive() is None
            assert await there.receive() is None

    play(scenario)


def test_a_peer_that_aborts_is_noticed_by_receiver_and_sender(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            writer = asyncio.create_task(send_many(here))
            receiver = asyncio.create_task(here.receive())
            await asyncio.wait({writer}, timeout=0.1)
            there.abort()
            there.abort()
            for task in (writer, receiver):
                with pytest.raises(LinkLost, match="lost"):
                    await task
            with pytest.raises(LinkLost):
                await here.send(1, 1, b"x")
            await here.close()

    play(scenario)


def test_whoever_aborts_gets_nothing_more(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            receiver = asyncio.create_task(here.receive())
            await settle()
            here.abort()
            with pytest.raises(LinkLost, match="aborted at this end"):
                await receiver
            with pytest.raises(LinkLost):
                await there.receive()

    play(scenario)


# --- cancelling ---------------------------------------------------------------------------------------------------


def test_a_cancelled_receiver_loses_no_frame(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            for number in range(20):
                receiver = asyncio.create_task(there.receive())
                await settle(number % 4)
                receiver.cancel()
                await asyncio.gather(receiver, return_exceptions=True)
            await here.send(1, 1, b"one")
            assert await there.receive() == Frame(1, 1, b"one")

    play(scenario)


def test_a_cancelled_sender_leaves_whole_frames(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            writer = asyncio.create_task(send_many(here))
            await asyncio.wait({writer}, timeout=0.1)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            closing = asyncio.create_task(here.close())
            frames = await everything(there)
            await closing
            assert len(frames) == here.statistics.frames_sent
            assert {len(frame.payload) for frame in frames} == {BIG}

    play(scenario)


def test_connecting_and_closing_can_be_cancelled_at_any_moment(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        serving = 0
        idle = asyncio.Event()

        async def on_link(link: Link) -> None:
            nonlocal serving
            serving += 1
            idle.clear()
            try:
                with suppress(LinkLost):
                    await everything(link)
            finally:
                serving -= 1
                if not serving:
                    idle.set()

        async def visit() -> None:
            link = await transport.connect(HOST, listener.port)
            try:
                await link.send(1, 1, b"x")
                await link.close()
            finally:
                link.abort()

        listener = await transport.listen(HOST, 0, on_link)
        await visit()
        await idle.wait()
        await settle()
        before = sockets()
        for rounds in range(60):
            task = asyncio.create_task(visit())
            await settle(rounds)
            finished = task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if finished:
                await task
                break
        async with asyncio.timeout(SECONDS / 2):
            while serving or sockets() > before:
                await asyncio.sleep(0.001)
        await listener.close()

    play(scenario)


# --- places -------------------------------------------------------------------------------------------------------


def test_closing_a_listener_ends_what_it_serves(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        ended: list[Link] = []

        async def on_link(link: Link) -> None:
            try:
                await link.receive()
            finally:
                ended.append(link)

        listener = await transport.listen(HOST, 0, on_link)
        links = [await transport.connect(HOST, listener.port) for _ in range(3)]
        await links[0].send(1, 1, b"x")
        while not ended:  # it was served, and with that it is over
            await asyncio.sleep(0)
        await listener.close()
        for link in links:
            with pytest.raises(LinkLost):
                await link.receive()
        with pytest.raises(LinkLost, match=f"cannot connect to {HOST}:{listener.port}"):
            await transport.connect(HOST, listener.port)

    play(scenario)


def test_an_address_in_use_is_named(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async def on_link(link: Link) -> None:
            await link.close()

        listener: Listener = await transport.listen(HOST, 0, on_link)
        assert listener.host == HOST
        with pytest.raises(EnvironmentLacks, match=f"{HOST}:{listener.port}.*in use"):
            await transport.listen(HOST, listener.port, on_link)
        await listener.close()

    play(scenario)


def test_ends_know_each_other(play: Play) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            assert here.local == there.peer
            assert here.peer == there.local
            assert str(here.peer) == f"{HOST}:{here.peer.port}"
            assert here.local in here.local_addresses
            assert here.peer in here.peer_addresses
            assert here.streams == there.streams == MAX_STREAMS
            assert here.carrier == there.carrier

    play(scenario)
