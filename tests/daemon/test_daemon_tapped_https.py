"""TLS of the SM-DP+ with a tap below it: the same service, and the very octets that crossed the connection."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession, TCPConnector, web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.captures import taps
from doubles.logged import logged
from doubles.loop import run
from doubles.pki import shared_pki

from rprov.daemon import tapped_https
from rprov.daemon.tapped_https import TappedTls
from rprov.model.tap import Tap
from rprov.trace.capture import read_capture
from rprov.trace.network_layers import transported
from rprov.trace.pcapng_read import read_packets

BODY = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    held, file = shared_pki().dp_tls, tmp_path_factory.mktemp("tls") / "dp-tls.pem"
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in held.chain) + key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    return made


def client_context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE  # who the server is, others test
    return made


class Echo(asyncio.Protocol):
    """Sends back what comes, and ends at a full stop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        if data.endswith(b"."):
            self.transport.close()
            self.transport.close()
            self.transport.write(b"too late")


def serve(
    context: ssl.SSLContext, tap: Tap, work: Callable[[int], Coroutine[Any, Any, None]], factory: Any = Echo
) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TappedTls(context, factory, tap), "127.0.0.1", 0)
        try:
            await work(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await server.wait_closed()

    run(go(), loop=uvloop.new_event_loop)


def streams(path: Path) -> dict[bool, bytes]:
    """What went each way, put together by the sequence numbers: True is towards the server."""
    found = {True: bytearray(), False: bytearray()}
    for packet in read_packets(path):
        segment = transported(packet.interface.link_type, packet.octets)
        assert segment is not None
        assert packet.inbound is not None
        assert segment.sequence == len(found[packet.inbound]) + 1
        found[packet.inbound] += segment.payload
    assert not [item.fault for item in read_capture(path) if item.fault]
    return {way: bytes(octets) for way, octets in found.items()}


def test_the_record_is_what_crossed_the_connection(tmp_path: Path, context: ssl.SSLContext) -> None:
    sent, received = bytearray(), bytearray()

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing)

        async def done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    pass
                finally:
                    data = outgoing.read()
                    sent.extend(data)
                    writer.write(data)
                data = await reader.read(65536)
                received.extend(data)
                incoming.write(data)

        await done(tls.do_handshake)
        await done(lambda: tls.write(b"hello."))
        assert await done(lambda: tls.read(100)) == b"hello."
        received.extend(await reader.read())
        writer.close()
        await writer.wait_closed()

    with taps(tmp_path / "f") as tap:
        serve(context, tap, work)
    assert streams(tmp_path / "f") == {True: bytes(sent), False: bytes(received)}


def test_http_over_it_is_as_ever(tmp_path: Path, context: ssl.SSLContext) -> None:
    seen = []

    async def echo(request: web.Request) -> web.Response:
        seen.append(request.remote)
        assert request.secure
        return web.Response(body=await request.read())

    async def work_with(port: int) -> None:
        async with ClientSession(connector=TCPConnector(ssl=client_context())) as session:
            for _ in range(2):
                async with session.post(f"https://127.0.0.1:{port}/", data=BODY) as answer:
                    assert await answer.read() == BODY

    async def go(tap: Tap) -> None:
        app = web.Application(client_max_size=2 * len(BODY))
        app.router.add_post("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TappedTls(context, runner.server, tap), "127.0.0.1", 0)  # type: ignore[arg-type]
        try:
            await work_with(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await runner.cleanup()

    with taps(tmp_path / "f") as tap:
        run(go(tap), loop=uvloop.new_event_loop)
    assert seen == ["127.0.0.1"] * 2
    assert all(len(octets) > 2 * len(BODY) for octets in streams(tmp_path / "f").values())


def test_a_stranger_gets_an_alert_and_nothing_else(tmp_path: Path, context: ssl.SSLContext) -> None:
    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 3)
        await reader.read()
        writer.close()

    with logged(logging.INFO) as said, taps(tmp_path / "f") as tap:
        serve(context, tap, work)
    assert streams(tmp_path / "f")[True].startswith(b"GET / HTTP")
    assert "a connection over TLS ended" in said[0].getMessage()


def test_who_says_nothing_is_not_waited_for(
    tmp_path: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapped_https, "HANDSHAKE_SECONDS", 0.01)

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    with taps(tmp_path / "f") as tap:
        serve(context, tap, work)
    assert streams(tmp_path / "f") == {True: b"", False: b""}
