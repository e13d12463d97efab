"""The contract over the SCTP of a kernel, and what only associations can do and suffer.

A kernel without SCTP runs none of this itself: `test_transport_sctp_kernel.py` runs it inside one that has it.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from contract import *  # noqa: F403
from contract import BIG, LOOPS, SECONDS, Play, always, linked, player
from contract_wire import *  # noqa: F403
from contract_wire import Cut
from doubles.loop import run
from doubles.sockets import deafen
from doubles.tls_links import tls_over
from doubles.two_wires import OURS, QUICK, THEIRS, two_wires, within_far

from rprov.model.kinds import Host
from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import sctp as sctp_transport
from rprov.transport import sctp_socket
from rprov.transport.link import Link, LinkLost
from rprov.transport.sctp import KernelSctp
from rprov.transport.sctp_link import SctpLink
from rprov.wire.framing import Frame

SO_DETACH_FILTER = 27

pytestmark = pytest.mark.sctp_kernel


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Play:
    return player(always(KernelSctp()), request.param)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(SctpLink, "CLOSE_SECONDS", 0.1)
    low = {"heartbeat": 0.1, "rto_initial": 0.1, "rto_min": 0.1, "rto_max": 0.2, "retransmissions": 2}
    return player(always(KernelSctp(SctpListen(**low), SctpPeer(**low))), "uvloop")


@pytest.fixture
def cut() -> Cut:
    def both(*ends: Link) -> None:
        for end in ends:
            deafen(end._socket)  # type: ignore[attr-defined]

    return both


# --- several addresses --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def far() -> Iterator[None]:
    with two_wires():
        yield


@asynccontextmanager
async def homed_twice() -> AsyncIterator[tuple[SctpLink, SctpLink]]:
    """Both ends of a link with two paths, each over a wire of its own."""
    listening = KernelSctp(SctpListen(addresses=(Host(THEIRS[1]),), **QUICK))
    further = {"addresses": (Host(OURS[1]),), "peer_addresses": (Host(THEIRS[1]),)}
    connecting = KernelSctp(connect=SctpPeer(**further, **QUICK))
    accepted: asyncio.Queue[Link] = asyncio.Queue()
    over = asyncio.Event()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        await over.wait()

    with within_far():
        listener = await listening.listen(THEIRS[0], 0, on_link)
    here = await connecting.connect(THEIRS[0], listener.port)
    there = await accepted.get()
    assert isinstance(here, SctpLink)
    assert isinstance(there, SctpLink)
    yield here, there
    here.abort()
    over.set()
    await listener.close()


@pytest.mark.privileged
def test_both_ends_know_all_addresses(far: None) -> None:
    async def scenario() -> None:
        async with homed_twice() as (here, there):
            for mine, yours, hosts in (
                (here.local_addresses, there.peer_addresses, OURS),
                (there.local_addresses, here.peer_addresses, THEIRS),
            ):
                assert [address.host for address in mine] == list(hosts)
                assert {address.host for address in yours} == {*hosts}
                assert len({address.port for address in (*mine, *yours)}) == 1
            assert here.peer.host == THEIRS[0]

    run(scenario())


@pytest.mark.privileged
@pytest.mark.parametrize("path", [0, 1])
def test_the_loss_of_one_of_two_paths_loses_no_message(far: None, path: int, caplog: pytest.LogCaptureFixture) -> None:
    """What NAS needs: everything arrives, in order, and nobody above notices more than a pause."""

    async def scenario() -> None:
        async with homed_twice() as (here, there):

            async def talk() -> None:
                for number in range(400):
                    await here.send(1, 1, number.to_bytes(4) + bytes(300))
                    answer = await here.receive()
                    assert answer == Frame(1, 1, number.to_bytes(4))
                    if number == 100:
                        deafen(here._socket, [OURS[path]])
                        deafen(there._socket, [THEIRS[path]])
                await here.close()

            async def answer() -> int:
                heard = 0
                while (frame := await there.receive()) is not None:
                    await there.send(1, 1, frame.payload[:4])
                    heard += 1
                await there.close()
                return heard

            with caplog.at_level("INFO", logger="rprov.transport"):
                _, heard = await asyncio.gather(talk(), answer())
            assert heard == 400

    run(scenario(), SECONDS)
    assert path == 1 or f"the path to {THEIRS[0]} is unreachable" in caplog.text


# --- what only associations can suffer ----------------------------------------------------------------------------


def test_a_message_in_parts_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp_transport, "LARGEST", 1000)

    async def scenario() -> None:
        async with linked(KernelSctp()) as (here, there):
            for octets in (999, 1000, 1001, 2000, BIG):
                payload = bytes(index % 253 for index in range(octets))
                await here.send(5, 6, payload)
                assert await there.receive() == Frame(5, 6, payload)

    run(scenario())


def test_a_message_in_parts_is_refused_when_it_grows_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp_transport, "LARGEST", 1000)

    async def scenario() -> None:
        async with linked(KernelSctp(), limit=3000) as (here, there):
            await here.send(5, 6, bytes(BIG))
            with pytest.raises(LinkLost, match="aborted: a message of 4000 octets"):
                await there.receive()

    run(scenario())


def test_a_peer_that_restarts_is_a_lost_link() -> None:
    """The new association comes from the address and port of the old one, whose end knew nothing of its end."""

    async def scenario() -> None:
        settings = SctpPeer()
        async with linked(KernelSctp()) as (here, there):
            deafen(here._socket)  # type: ignore[attr-defined]  # so that nobody hears how it ends
            deafen(there._socket)  # type: ignore[attr-defined]
            local = here.local
            here.abort()
            there._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)  # type: ignore[attr-defined]
            again = sctp_socket.make(socket.AF_INET, settings)
            sctp_socket.bind(again, [local])
            sctp_socket.connect(again, [here.peer])
            with pytest.raises(LinkLost, match="has restarted"):
                await there.receive()
            again.close()

    run(scenario())


def test_tls_runs_inside_an_association() -> None:
    async def scenario() -> None:
        async with linked(tls_over(KernelSctp())) as (here, there):
            for octets in (1, 1500, BIG):
                await here.send(9, 6, bytes(octets))
                assert await there.receive() == Frame(9, 6, bytes(octets))
            await there.close()
            assert await here.receive() is None

    run(scenario())


def test_both_versions_of_ip_and_names() -> None:
    async def scenario() -> None:
        for host in ("::1", "localhost"):
            async with linked(KernelSctp(), host=host) as (here, there):
                await here.send(1, 1, b"x")
                assert await there.receive() == Frame(1, 1, b"x")
                assert ":" in here.peer.host or here.peer.host.startswith("127.")

    run(scenario())


def test_nobody_asks_a_listener_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is asked to accept what is not there sleeps, and the loop with it."""
    asked: list[float] = []
    accept = sctp_transport.SctpListener._accept

    def counted(self: sctp_transport.SctpListener) -> None:
        asked.append(time.monotonic())
        accept(self)

    monkeypatch.setattr(sctp_transport.SctpListener, "_accept", counted)

    async def scenario() -> None:
        async with linked(KernelSctp()) as (here, there):
            await here.send(1, 1, b"x")
            await there.receive()

    run(scenario())
    assert len(asked) == 1


def test_whoever_listens_everywhere_knows_where_a_link_came_in() -> None:
    async def scenario() -> None:
        accepted: asyncio.Queue[Link] = asyncio.Queue()

        async def on_link(link: Link) -> None:
            accepted.put_nowait(link)
            await link.receive()

        transport = KernelSctp()
        listener = await transport.listen("0.0.0.0", 0, on_link)
        here = await transport.connect("127.0.0.1", listener.port)
        there = await accepted.get()
        assert (there.local, there.peer) == (here.peer, here.local)
        here.abort()
        await listener.close()

    run(scenario())


class Full:
    """A socket in a process that has no descriptor left, once."""

    def __init__(self, made: socket.socket) -> None:
        self.made = made
        self.asked = 0
        self.fileno, self.close = made.fileno, made.close

    def accept(self) -> object:
        self.asked += 1
        if self.asked == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self.made.accept()


def test_a_process_without_descriptors_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sctp_transport, "FULL_SECONDS", 0.01)

    async def scenario() -> None:
        served = asyncio.Event()

        async def on_link(link: Link) -> None:
            served.set()
            await link.receive()

        transport = KernelSctp()
        listener = await transport.listen("127.0.0.1", 0, on_link)
        full = listener._socket = Full(listener._socket)  # type: ignore[attr-defined]
        here = await transport.connect("127.0.0.1", listener.port)
        await served.wait()
        assert full.asked == 2
        here.abort()
        await listener.close()

    run(scenario())
    assert "Too many open files" in caplog.text


def test_options_of_the_settings_are_those_of_the_socket() -> None:
    settings = SctpListen(rto_initial=1.5, rto_min=0.25, rto_max=4, retransmissions=7, max_init=3)
    with sctp_socket.make(socket.AF_INET, settings) as made:
        assert struct.unpack_from("=III", made.getsockopt(132, 0, 16), 4) == (1500, 4000, 250)
        assert struct.unpack_from("=H", made.getsockopt(132, 1, 20), 4) == (7,)
        assert struct.unpack("=HHHH", made.getsockopt(132, 2, 8)) == (256, 256, 3, 4000)
        assert made.getsockopt(132, 3) == 1
