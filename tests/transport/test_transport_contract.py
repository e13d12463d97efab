"""What every transport promises, tried on each: in memory, over TCP, over TCP under uvloop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from doubles.loop import run, settle
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import EncodeError, EnvironmentLacks
from rprov.model.numbers import Ppid
from rprov.transport import tcp
from rprov.transport.link import LINK_STREAM, Link, LinkLost, Listener, Transport, stream_of
from rprov.transport.memory import MemoryNetwork
from rprov.wire.framing import Frame

HOST = "127.0.0.1"
BIG = 65535
MANY = 400
"""Frames of 64 KiB that no kernel takes all (26 MB)."""

Scenario = Callable[[Transport], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", "tcp", "tcp-uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    def on_transport(scenario: Scenario) -> None:
        match request.param:
            case "memory":
                run(scenario(MemoryNetwork()))
            case "tcp":
                run(scenario(tcp))
            case _:
                run(scenario(tcp), loop=uvloop.new_event_loop)

    return on_transport


@asynccontextmanager
async def linked(transport: Transport, limit: int = BIG) -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of one link."""
    accepted: asyncio.Queue[Link] = asyncio.Queue()
    over = asyncio.Event()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        await over.wait()

    listener = await transport.listen(HOST, 0, on_link, limit)
    try:
        here = await transport.connect(HOST, listener.port)
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


@pytest.mark.parametrize("octets", [1, 2, 1500, BIG - 1, BIG])
def test_a_message_of_any_size_gets_there_whole(play: Callable[[Scenario], None], octets: int) -> None:
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
    [(1, 1, b""), (1, 1, bytes(BIG + 1)), (-1, 1, b"x"), (1 << 16, 1, b"x"), (1, -1, b"x"), (1, 1 << 32, b"x")],
)
def test_what_no_frame_carries_is_refused(
    play: Callable[[Scenario], None], stream: int, ppid: int, payload: bytes
) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            with pytest.raises(EncodeError):
                await here.send(stream, ppid, payload)
            await here.send(1, 1, b"still alive")
            assert await there.receive() == Frame(1, 1, b"still alive")

    play(scenario)


def test_a_frame_above_the_receivers_limit_ends_the_link(play: Callable[[Scenario], None]) -> None:
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


def test_the_order_is_that_of_the_calls_also_among_tasks(play: Callable[[Scenario], None]) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            async with asyncio.TaskGroup() as group:
                for number in range(300):
                    group.create_task(here.send(number % 5, 1, number.to_bytes(2) * 2000))
                numbers = []
                for _ in range(300):
                    frame = await there.receive()
                    assert frame is not None
                    numbers.append(int.from_bytes(frame.payload[:2]))
            assert numbers == list(range(300))

    play(scenario)


async def send_many(link: Link) -> None:
    for number in range(MANY):
        await link.send(1, 1, number.to_bytes(2) + bytes(BIG - 2))


def test_a_slow_reader_stops_the_writer(play: Callable[[Scenario], None]) -> None:
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


def test_closing_while_a_task_sends_loses_nothing_that_was_taken(play: Callable[[Scenario], None]) -> None:
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


def test_an_orderly_end_is_seen_as_one(play: Callable[[Scenario], None]) -> None:
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


def test_both_may_close_at_once(play: Callable[[Scenario], None]) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            await asyncio.gather(here.close(), there.close())
            assert await here.receive() is None
            assert await there.receive() is None

    play(scenario)


def test_a_peer_that_vanishes_is_noticed_by_receiver_and_sender(play: Callable[[Scenario], None]) -> None:
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


def test_whoever_aborts_gets_nothing_more(play: Callable[[Scenario], None]) -> None:
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


def test_a_cancelled_receiver_loses_no_frame(play: Callable[[Scenario], None]) -> None:
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


def test_a_cancelled_sender_leaves_whole_frames(play: Callable[[Scenario], None]) -> None:
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


def test_closing_a_listener_ends_what_it_serves(play: Callable[[Scenario], None]) -> None:
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
        with pytest.raises(LinkLost, match="cannot connect"):
            await transport.connect(HOST, listener.port)

    play(scenario)


def test_an_address_in_use_is_named(play: Callable[[Scenario], None]) -> None:
    async def scenario(transport: Transport) -> None:
        async def on_link(link: Link) -> None:
            await link.close()

        listener: Listener = await transport.listen(HOST, 0, on_link)
        assert listener.host == HOST
        with pytest.raises(EnvironmentLacks, match=f"{HOST}:{listener.port}.*in use"):
            await transport.listen(HOST, listener.port, on_link)
        await listener.close()

    play(scenario)


def test_ends_know_each_other(play: Callable[[Scenario], None]) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            assert here.local == there.peer
            assert here.peer == there.local
            assert str(here.peer) == f"{HOST}:{here.peer.port}"
            assert here.streams == there.streams == 256

    play(scenario)


@given(st.integers(0, 2**32 - 1), st.integers(1, 70000))
def test_a_ue_never_travels_on_the_links_stream_unless_there_is_no_other(ue_id: int, negotiated: int) -> None:
    stream = stream_of(ue_id, negotiated)
    assert stream < max(2, min(negotiated, 256))
    assert (stream == LINK_STREAM) == (negotiated == 1)


def test_streams_of_a_ue_are_those_of_the_design() -> None:
    assert stream_of(0) == 1
    assert stream_of(254) == 255
    assert stream_of(255) == 1
    assert stream_of(9, 10) == 1
    assert stream_of(9, 65535) == 10
