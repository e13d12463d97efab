"""The AAA daemon on real sockets: UDP and TLS, strangers, reloading. The clients are blocking ones in threads."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from doubles.aaa_place import CLIENT_NAME, SECRET, SERVER_NAME, AaaPlace
from doubles.loop import run
from doubles.pki import EID
from doubles.radius_nas import ANONYMOUS, Nas

from rprov.daemon.aaa import AaaDaemon, RadiusClients
from rprov.daemon.radsec import RadsecListener
from rprov.errors import ConfigError, EnvironmentLacks, Misuse
from rprov.model.aaa import AaaSettings, RadiusListen
from rprov.model.report import Discarded, ReportItem
from rprov.wire import eap
from rprov.wire.radius import LARGEST_PACKET, RADSEC_SECRET, Code, SharedSecret, check_answer, decode, seal_request
from rprov.wiring.aaa import open_aaa, shared_secret
from rprov.wiring.node import Node

IDENTITY = eap.encode(eap.Response(0, eap.EapType.IDENTITY, ANONYMOUS))
PATIENCE = 10.0
"""Seconds after which a test that waits for a socket has failed; none waits for nothing to come."""


class Kept:
    """A recorder that keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[ReportItem] = []

    def record(self, item: ReportItem) -> None:
        self.items.append(item)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    return AaaPlace(tmp_path_factory.mktemp("aaa"))


def serve(settings: AaaSettings, scenario: Callable[[AaaDaemon, Node, Kept], Awaitable[None]]) -> None:
    """Run a scenario beside a daemon."""

    async def whole() -> None:
        recorder = Kept()
        node = await open_aaa(settings, recorder)
        daemon = cast("AaaDaemon", node.daemon)
        try:
            await daemon.start()
            await scenario(daemon, node, recorder)
        finally:
            await node.close()

    run(whole(), seconds=4 * PATIENCE)


@contextmanager
def udp(port: int) -> Iterator[Callable[[bytes], bytes]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.connect(("127.0.0.1", port))

        def exchange(octets: bytes) -> bytes:
            sender.send(octets)
            return sender.recv(LARGEST_PACKET)

        yield exchange


def client_tls(place: AaaPlace, name: str | None = "radsec-client") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(place.place / "radsec-ca.pem"))
    if name is not None:
        context.load_cert_chain(place.place / f"{name}.pem", place.place / f"{name}.key")
    return context


@contextmanager
def radsec(port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as stream,
    ):
        yield stream


def over(stream: ssl.SSLSocket) -> Callable[[bytes], bytes]:
    def exchange(octets: bytes) -> bytes:
        stream.sendall(octets)
        header = _exactly(stream, 4)
        return header + _exactly(stream, int.from_bytes(header[2:]) - 4)

    return exchange


def _exactly(stream: ssl.SSLSocket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = stream.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found


# --- UDP ----------------------------------------------------------------------------------------------------------


def test_a_device_is_authenticated_over_udp(place):
    async def scenario(daemon, _node, _recorder):
        def ask_it():
            with udp(daemon.port) as exchange:
                nas = Nas(SECRET, exchange)
                verdict = nas.run(place.device())
                return verdict, nas.keys(verdict)

        verdict, keys = await asyncio.to_thread(ask_it)
        assert verdict.code is Code.ACCESS_ACCEPT
        assert keys == verdict.peer_msk.octets
        assert verdict.user_name == EID.digits
        assert daemon.places == f"radius=127.0.0.1:{daemon.port}"

    serve(place.settings(), scenario)


def test_what_no_client_sent_is_counted_and_gets_no_answer(place):
    """The answer to the good request comes, and before it nothing: a socket keeps the order."""

    async def scenario(daemon, _node, recorder):
        good = seal_request(9, bytes(16), (), SECRET, Code.STATUS_SERVER)

        def ask_it():
            with udp(daemon.port) as exchange, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.2", 0))
                stranger.sendto(good, ("127.0.0.1", daemon.port))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rude:
                    rude.bind(("127.0.0.1", 0))
                    wrong = seal_request(9, bytes(16), (), SharedSecret(b"x" * 16), Code.STATUS_SERVER)
                    for octets in (b"", b"rubbish", wrong, bytes(65000 - 8)):
                        rude.sendto(octets, ("127.0.0.1", daemon.port))
                    answer = decode(exchange(good))
                    for silent in (stranger, rude):
                        silent.setblocking(False)
                        with pytest.raises(BlockingIOError):
                            silent.recv(LARGEST_PACKET)
                return answer

        answer = await asyncio.to_thread(ask_it)
        check_answer(answer, decode(good), SECRET)
        assert daemon.dropped == {"unknownClient": 1, "DecodeError": 3, "MacMismatch": 1}
        assert [item.reason for item in recorder.items if isinstance(item, Discarded)].count("MacMismatch") == 1

    serve(place.settings(), scenario)


def test_the_smallest_network_names_the_client():
    clients = RadiusClients(
        (network, cast("Any", name))
        for network, name in (
            (IPv4Network("10.0.0.0/8"), "wide"),
            (IPv4Network("10.1.2.3/32"), "one"),
            (IPv4Network("10.1.0.0/16"), "middle"),
        )
    )
    found = [clients.find(address) for address in ("10.1.2.3", "10.1.9.9", "10.9.9.9", "11.0.0.1")]
    assert found == ["one", "middle", "wide", None]


def test_a_port_that_is_taken_is_said(place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))

        async def scenario(_daemon, _node, _recorder):
            raise AssertionError

        with pytest.raises(EnvironmentLacks):
            serve(place.settings(radius=RadiusListen(port=taken.getsockname()[1])), scenario)


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_is_authenticated_over_tls(place, version):
    async def scenario(daemon, _node, _recorder):
        def ask_it():
            context = client_tls(place)
            context.minimum_version = context.maximum_version = version
            with radsec(daemon._setup.radsec.port, context) as stream:
                nas = Nas(RADSEC_SECRET, over(stream))
                verdicts = [nas.run(place.device()) for _ in range(2)]  # one after the other on one connection
                return verdicts[-1], nas.keys(verdicts[-1])

        verdict, keys = await asyncio.to_thread(ask_it)
        assert verdict.code is Code.ACCESS_ACCEPT
        assert keys == verdict.peer_msk.octets
        assert f"radsec=127.0.0.1:{daemon._setup.radsec.port}" in daemon.places

    serve(place.settings(radsec=True), scenario)


@pytest.mark.parametrize("who", ["nobody", "stranger", "server"])
def test_a_client_whose_certificate_names_no_client_is_not_served(place, who):
    place.radsec("stranger", "stranger.example.org", ExtendedKeyUsageOID.CLIENT_AUTH)
    name = {"nobody": None, "stranger": "stranger", "server": "radsec-server"}[who]

    async def scenario(daemon, _node, _recorder):
        def ask_it():
            asked = seal_request(1, bytes(16), (), RADSEC_SECRET, Code.STATUS_SERVER)
            with (
                pytest.raises((OSError, EOFError)),
                radsec(daemon._setup.radsec.port, client_tls(place, name)) as stream,
            ):
                over(stream)(asked)

        await asyncio.to_thread(ask_it)

    serve(place.settings(radsec=True), scenario)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\x00\x13" + bytes(16),
        b"\x01\x00\xff\xff",
        seal_request(1, bytes(16), (), SECRET, Code.STATUS_SERVER),
    ],
)
def test_what_is_no_packet_ends_its_connection_and_no_other(place, octets):
    """RFC 6613 2.6.4: there is no way back into the framing."""

    async def scenario(daemon, _node, _recorder):
        def ask_it():
            port = daemon._setup.radsec.port
            with radsec(port, client_tls(place)) as good, radsec(port, client_tls(place)) as bad:
                bad.sendall(octets)
                with pytest.raises((OSError, EOFError)):
                    _exactly(bad, 1)
                return over(good)(seal_request(1, bytes(16), (), RADSEC_SECRET, Code.STATUS_SERVER))

        assert decode(await asyncio.to_thread(ask_it)).code is Code.ACCESS_ACCEPT

    serve(place.settings(radsec=True, clients=()), scenario)


def test_a_packet_in_single_octets_is_put_together(place):
    async def scenario(daemon, _node, _recorder):
        def ask_it():
            with radsec(daemon._setup.radsec.port, client_tls(place)) as stream:
                asked = Nas(RADSEC_SECRET, bytes).request(IDENTITY, None)
                for octet in asked[:-1]:
                    stream.sendall(bytes((octet,)))
                return over(stream)(asked[-1:])

        assert decode(await asyncio.to_thread(ask_it)).code is Code.ACCESS_CHALLENGE

    serve(place.settings(radsec=True), scenario)


def test_connections_are_bounded(place):
    settings = place.settings(radsec=True)
    settings = replace(settings, radsec=replace(settings.radsec, connections=1))

    async def scenario(daemon, _node, _recorder):
        def ask_it():
            port = daemon._setup.radsec.port
            asked = seal_request(1, bytes(16), (), RADSEC_SECRET, Code.STATUS_SERVER)
            with radsec(port, client_tls(place)) as first:
                over(first)(asked)
                with pytest.raises((OSError, EOFError)), radsec(port, client_tls(place)) as second:
                    over(second)(asked)
                over(first)(asked)

        await asyncio.to_thread(ask_it)

    serve(settings, scenario)


def test_certificates_of_clients_cannot_be_forgone():
    with pytest.raises(Misuse):
        RadsecListener("127.0.0.1", 0, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), [CLIENT_NAME], 1)


# --- secrets and reloading ----------------------------------------------------------------------------------------


def test_a_secret_is_read_without_the_end_of_its_line(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef\r\n")
    path.chmod(0o600)
    assert shared_secret(path).octets == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("octets", "mode", "why"),
    [
        (b"testing123", 0o600, "16 to 128 octets"),
        (b"x" * 129, 0o600, "16 to 128 octets"),
        (b"x" * 16, 0o640, "others may read this shared secret: chmod 600"),
    ],
)
def test_a_secret_that_is_short_or_open_to_others_is_refused(tmp_path: Path, octets, mode, why):
    path = tmp_path / "secret"
    path.write_bytes(octets)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=why) as caught:
        shared_secret(path)
    assert "testing" not in str(caught.value)


def test_a_new_secret_counts_after_reloading_and_a_bad_one_changes_nothing(tmp_path):
    place = AaaPlace(tmp_path)

    async def scenario(daemon, node, _recorder):
        def ask(secret: SharedSecret, serial: int) -> Code:
            octets = seal_request(serial, bytes(16), (), secret, Code.STATUS_SERVER)
            with udp(daemon.port) as exchange:
                answer = decode(exchange(octets))
            check_answer(answer, decode(octets), secret)
            return answer.code

        place.write_secret(b"short")
        with pytest.raises(ConfigError):
            node.reload()
        assert await asyncio.to_thread(ask, SECRET, 1) is Code.ACCESS_ACCEPT
        renewed = SharedSecret(b"another secret, as long")
        place.write_secret(renewed.octets)
        node.reload()
        assert await asyncio.to_thread(ask, renewed, 2) is Code.ACCESS_ACCEPT

    serve(place.settings(radsec=True), scenario)
