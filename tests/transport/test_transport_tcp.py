"""The contract over TCP, and what only TCP can suffer: octets that are no frame, a peer gone in the middle of one."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from contract import *  # noqa: F403
from contract import LOOPS, Play, always, linked, player
from contract_wire import *  # noqa: F403
from contract_wire import Cut
from doubles.loop import run
from doubles.sockets import deafen

from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost
from rprov.wire.framing import Frame, encode_frame

HOST = "127.0.0.1"


@pytest.fixture(params=[pytest.param(loop, marks=pytest.mark.slow if loop == "asyncio" else ()) for loop in LOOPS])
def play(request: pytest.FixtureRequest) -> Play:
    return player(always(tcp), request.param)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Play:
    low = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 1), ("TCP_USER_TIMEOUT", 300))
    monkeypatch.setattr(tcp, "KEEPALIVE", low)
    monkeypatch.setattr(tcp, "CLOSE_SECONDS", 0.1)
    return player(always(tcp), "uvloop")


@pytest.fixture
def cut() -> Cut:
    def both(*ends: Link) -> None:
        for end in ends:
            deafen(end._transport.get_extra_info("socket"))  # type: ignore[attr-defined]

    return both


async def served(rude: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> object:
    """What the serving end of a link gets from a rude client: a frame, None, or the error."""
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def on_link(link: Link) -> None:
        try:
            outcome.set_result(await link.receive())
            await link.receive()
        except LinkLost as error:
            if not outcome.done():
                outcome.set_result(error)

    listener = await tcp.listen(HOST, 0, on_link)
    reader, writer = await asyncio.open_connection(HOST, listener.port)
    try:
        await rude(reader, writer)
        return await outcome
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await listener.close()


GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: ran\r\n\r\n",
    bytes(10),  # a frame of no octets
    b"\xff" * 10,  # a frame of 4 GiB
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_first_aborts_the_link_and_says_so(garbage: bytes) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        with pytest.raises(ConnectionResetError):
            await reader.read()

    error = run(served(rude))
    assert isinstance(error, LinkLost)
    assert "aborted: the peer sent no frame" in str(error)
    assert HOST in str(error)


def test_a_peer_that_goes_in_the_middle_of_a_frame_is_lost_not_closed() -> None:
    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_frame(1, 1, b"whole")[:-1])
        writer.write_eof()

    error = run(served(rude))
    assert isinstance(error, LinkLost)
    assert "in the middle of a frame" in str(error)


def test_a_frame_that_comes_octet_by_octet_is_one_frame() -> None:
    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in encode_frame(5, 6, b"in pieces"):
            writer.write(bytes([octet]))
            await asyncio.sleep(0)

    assert run(served(rude)) == Frame(5, 6, b"in pieces")


def test_a_reset_is_named() -> None:
    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    error = run(served(rude))
    assert isinstance(error, LinkLost)
    assert "reset" in str(error).lower()


def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSE_SECONDS", 0.05)

    async def scenario() -> None:
        over = asyncio.Event()

        async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.transport.abort()

        server = await asyncio.start_server(deaf, HOST, 0)
        link = await tcp.connect(HOST, server.sockets[0].getsockname()[1])
        await link.send(1, 1, b"nobody reads this")
        await link.close()
        over.set()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)

    run(scenario())


def test_a_cancelled_close_still_frees_the_socket() -> None:
    async def scenario() -> None:
        over = asyncio.Event()

        async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.transport.abort()

        server = await asyncio.start_server(deaf, HOST, 0)
        link = await tcp.connect(HOST, server.sockets[0].getsockname()[1])
        closing = asyncio.create_task(link.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        over.set()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)

    run(scenario())


def test_nobody_there_is_said_with_the_address() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
        with pytest.raises(LinkLost, match=rf"cannot connect to {HOST}:{port}: .*(refused|failed)"):
            run(tcp.connect(HOST, port))


@pytest.mark.parametrize("loop", LOOPS)
def test_both_ends_hold_nothing_back_and_have_half_a_minute_for_a_peer_that_vanished(loop: str) -> None:
    options = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")

    def read(link: Link) -> list[int]:
        made = link._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        read = [made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options]
        return [made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *read]

    async def scenario() -> None:
        async with linked(tcp) as ends:  # type: ignore[arg-type]
            for end in ends:
                assert read(end) == [1, 1, 15, 5, 3, 30_000]

    run(scenario(), loop=LOOPS[loop])
