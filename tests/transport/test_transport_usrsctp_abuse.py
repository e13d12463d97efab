"""What strangers and bad peers can do to a stack in user space: nothing that lasts, and others are served meanwhile."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from contract import BIG, HOST, MANY, linked, send_many
from doubles.loop import run
from doubles.sctp_packets import COOKIE_ECHO, chunk, init, packet, read_init_ack

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import usrsctp_listener
from rprov.transport.association import HIGH_WATER
from rprov.transport.link import OVERHEAD, Link, LinkLost, Listener
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_library import available
from rprov.transport.usrsctp_link import AT_ONCE
from rprov.transport.usrsctp_stack import stack
from rprov.wire.framing import Frame

pytestmark = pytest.mark.skipif(not available(), reason="libusrsctp is missing: apt-get install libusrsctp2")

FREE = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0)) if available() else None
MEBIBYTE = 1 << 20


@contextmanager
def strangers(count: int) -> Iterator[list[socket.socket]]:
    """Sockets of nobody we know."""
    with ExitStack() as opened:
        made = [opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for each in made:
            each.setblocking(False)
            each.bind((HOST, 0))
        yield made


@asynccontextmanager
async def honest() -> AsyncIterator[tuple[Listener, Link]]:
    """A listener that sends back what comes, and a peer that uses it as it should."""

    async def echo(link: Link) -> None:
        while (frame := await link.receive()) is not None:
            await link.send(frame.stream, frame.ppid, frame.payload)

    listener = await FREE.listen(HOST, 0, echo)
    link = await FREE.connect(HOST, listener.port)
    yield listener, link
    await served(link)
    await link.close()
    await listener.close()


async def served(link: Link) -> None:
    await link.send(1, 1, b"still there?")
    assert await link.receive() == Frame(1, 1, b"still there?")


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_of_inits_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with honest() as (listener, link):
            paths = len(stack().paths.by_number)
            with strangers(200) as sockets:
                answered = 0
                for number in range(40):
                    for stranger in sockets:
                        stranger.sendto(
                            packet(init(tag=number + 1), 10000 + number, listener.port), (HOST, listener.port)
                        )
                    await served(link)
                    newcomer = await FREE.connect(HOST, listener.port)
                    await newcomer.close()
                    for stranger in sockets:
                        answered += stranger.recv(2000)[12] == 2  # an INIT ACK, and nothing is kept for it
                    if number == 10:
                        before = memory()
                assert answered == 8000
                assert len(stack().paths.by_number) == paths
                assert memory() - before < 2 * MEBIBYTE

    run(scenario(), 60)


def test_forged_cookies_leave_nothing_behind() -> None:
    async def scenario() -> None:
        async with honest() as (listener, link):
            paths, ends = len(stack().paths.by_number), len(stack().ends)
            with strangers(20) as sockets:
                for number in range(20):
                    cookie = random.Random(number).randbytes(180)
                    for stranger in sockets:
                        stranger.sendto(
                            packet(chunk(COOKIE_ECHO, cookie), 5000, listener.port, 9), (HOST, listener.port)
                        )
                    await served(link)
            assert (len(stack().paths.by_number), len(stack().ends)) == (paths, ends)

    run(scenario())


def test_a_cookie_is_good_only_where_it_was_sent() -> None:
    async def scenario() -> None:
        async with honest() as (listener, link):
            ends = len(stack().ends)
            server = (HOST, listener.port)
            with strangers(2) as (owner, thief):
                owner.sendto(packet(init(tag=7), 5000, listener.port), server)
                await served(link)
                tag, cookie = read_init_ack(owner.recv(2000))
                echo = packet(chunk(COOKIE_ECHO, cookie), 5000, listener.port, tag)
                thief.sendto(echo, server)
                await served(link)
                assert len(stack().ends) == ends
                owner.sendto(echo, server)
                await served(link)
                assert len(stack().ends) == ends + 1
                owner.sendto(packet(chunk(6), 5000, listener.port, tag), server)
                await served(link)
                assert len(stack().ends) == ends

    run(scenario())


def test_garbage_is_dropped_counted_and_told_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with honest() as (listener, link):
            carrier = stack()._listening[HOST, listener.port]
            with strangers(1) as (stranger,), caplog.at_level(logging.WARNING):
                drawn = random.Random(1)
                for number in range(1000):
                    stranger.sendto(drawn.randbytes(drawn.randrange(1, 1400)), (HOST, listener.port))
                    if number % 50 == 0:
                        await served(link)
                await served(link)
            assert carrier.refused == 1000
            assert len([record for record in caplog.records if "no sane SCTP" in record.message]) == 10

    run(scenario())


def test_packets_of_associations_that_never_were_are_answered_at_most() -> None:
    async def scenario() -> None:
        async with honest() as (listener, link):
            paths = len(stack().paths.by_number)
            with strangers(1) as (stranger,):
                for body in (chunk(0, bytes(12) + b"x"), chunk(8), chunk(7, bytes(4)), chunk(11), chunk(14)):
                    stranger.sendto(packet(body, 5000, listener.port, 9), (HOST, listener.port))
                await served(link)
                answers = []
                for _ in range(10):
                    try:
                        answers.append(stranger.recv(2000)[12])
                    except BlockingIOError:
                        break
            assert answers[:2] == [6, 14]  # ABORT to DATA, SHUTDOWN COMPLETE to SHUTDOWN ACK (RFC 9260 8.4)
            assert len(stack().paths.by_number) == paths

    run(scenario())


def test_links_are_bounded_and_more_are_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usrsctp_listener, "MOST_LINKS", 3)

    async def scenario() -> None:
        async def wait(link: Link) -> None:
            await link.receive()

        listener = await FREE.listen(HOST, 0, wait)
        links = [await FREE.connect(HOST, listener.port) for _ in range(4)]
        with pytest.raises(LinkLost):
            await links[3].receive()
        links[0].abort()
        while len(listener._serving) == 3:
            await asyncio.sleep(0)
        again = await FREE.connect(HOST, listener.port)
        await again.send(1, 1, b"x")
        assert "3 links are all" in caplog.text
        for link in (*links, again):
            link.abort()
        await listener.close()

    run(scenario())


def test_a_reader_that_does_not_read_holds_little() -> None:
    async def scenario() -> None:
        async with linked(FREE) as (here, there):
            writer = asyncio.create_task(send_many(here))
            await asyncio.wait({writer}, timeout=0.2)
            assert here.statistics.frames_sent < MANY
            for waiting in (there._waiting_octets, here._unsent_octets):
                assert waiting <= HIGH_WATER + BIG + OVERHEAD
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    run(scenario())


def test_small_messages_are_bounded_too() -> None:
    async def scenario() -> None:
        async with linked(FREE) as (here, there):

            async def flood() -> None:
                while True:
                    await here.send(1, 1, b"x")

            writer = asyncio.create_task(flood())
            await asyncio.wait({writer}, timeout=0.3)
            most = HIGH_WATER // OVERHEAD + 1
            assert len(there._frames) <= most
            assert len(here._unsent) <= most
            stopped_at = here.statistics.frames_sent
            assert stopped_at < 2 * most + 4 * AT_ONCE  # the library of either end holds little
            assert await there.receive() == Frame(1, 1, b"x")
            while here.statistics.frames_sent == stopped_at:  # and goes on when there is room again
                await there.receive()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    run(scenario())
