"""The contract over links whose ends ask each other whether they live, and what becomes of one that is stopped."""

import asyncio

import pytest
from contract import *  # noqa: F403
from contract import Play, always, everything, linked, player, send_many
from doubles.loop import run

from rprov.model.numbers import Ppid
from rprov.transport import memory
from rprov.transport.alive import ASK, AliveLink, AliveTransport
from rprov.transport.link import LINK_STREAM, Link, LinkLost
from rprov.transport.memory import MemoryNetwork
from rprov.wire.framing import Frame

SOON = 0.02


@pytest.fixture
def play() -> Play:
    return player(always(AliveTransport(MemoryNetwork(), 60.0)))


async def asked(link: Link) -> None:
    """Wait until the other end asks."""
    assert await link.receive() == Frame(LINK_STREAM, Ppid.HEARTBEAT, ASK)


def test_ends_that_live_may_be_silent_for_ever() -> None:
    async def scenario() -> None:
        async with linked(AliveTransport(MemoryNetwork(), SOON)) as (here, there):
            readers = [asyncio.create_task(end.receive()) for end in (here, there)]
            while min(end.statistics.frames_received for end in (here, there)) < 10:
                await asyncio.sleep(0)
            assert not any(reader.done() for reader in readers)
            await here.send(3, 4, b"at last")
            assert await readers[1] == Frame(3, 4, b"at last")
            await there.close()
            assert await readers[0] is None

    run(scenario())


def test_a_stopped_process_is_noticed_by_whoever_waits_and_whoever_sends() -> None:
    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, SOON)
            writer = asyncio.create_task(send_many(here))
            with pytest.raises(LinkLost, match=r"was lost: no word in 0\.02 s, though it was asked"):
                await here.receive()
            with pytest.raises(LinkLost, match="no word"):
                await writer
            with pytest.raises(LinkLost, match="no word"):
                await here.send(1, 1, b"x")
            with pytest.raises(LinkLost):
                await everything(there)

    run(scenario())


def test_one_question_is_asked_before_a_link_is_given_up() -> None:
    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, SOON)
            waiting = asyncio.create_task(here.receive())
            await asked(there)
            with pytest.raises(LinkLost):
                await there.receive()
            with pytest.raises(LinkLost, match="no word"):
                await waiting

    run(scenario())


def test_any_word_is_a_sign_of_life() -> None:
    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, SOON)
            for number in range(5):
                waiting = asyncio.create_task(here.receive())
                await asked(there)
                await there.send(1, 1, number.to_bytes())
                assert await waiting == Frame(1, 1, number.to_bytes())
            here.abort()

    run(scenario())


@pytest.mark.parametrize("said", [ASK, b"?" * 3000, b"what", b"!"])
def test_who_asks_is_answered_and_noise_is_not(said: bytes) -> None:
    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, 60.0)
            waiting = asyncio.create_task(here.receive())
            for _ in range(3):
                await there.send(LINK_STREAM, Ppid.HEARTBEAT, said)
                if said == ASK:
                    assert await there.receive() == Frame(LINK_STREAM, Ppid.HEARTBEAT, b"!")
            await there.send(1, 1, b"a message")
            assert await waiting == Frame(1, 1, b"a message")
            assert here.statistics.frames_sent == (3 if said == ASK else 0)
            here.abort()

    run(scenario())


def test_a_last_question_does_not_hide_an_orderly_end() -> None:
    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, 60.0)
            await there.send(LINK_STREAM, Ppid.HEARTBEAT, ASK)
            await there.close()
            assert await here.receive() is None
            await here.close()

    run(scenario())


def test_who_asks_without_end_and_does_not_read_is_made_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HIGH_WATER", 1000)

    async def scenario() -> None:
        async with linked(MemoryNetwork()) as (below, there):
            here = AliveLink(below, 60.0)
            waiting = asyncio.create_task(here.receive())

            async def ask() -> None:
                while True:
                    await there.send(LINK_STREAM, Ppid.HEARTBEAT, ASK)

            asking = asyncio.create_task(ask())
            sent = -1
            while sent != there.statistics.frames_sent:
                sent = there.statistics.frames_sent
                await asyncio.wait({asking}, timeout=0.05)
            assert not waiting.done()
            here.abort()
            for task in (asking, waiting):
                with pytest.raises(LinkLost):
                    await task

    run(scenario())
