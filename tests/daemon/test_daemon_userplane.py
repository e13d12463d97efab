"""UE, RAN and UP over real sockets of the loopback, and a real HTTPS server behind N6; no privileges anywhere."""

import asyncio
import contextlib
import datetime
import errno
import gc
import os
import random
import socket
import ssl
from ipaddress import IPv4Address, IPv4Network

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.bearers import bearer_ends
from doubles.loop import run, settle

from rprov.daemon.n6 import NatMap, NatRange
from rprov.daemon.session_http import SessionBackend
from rprov.daemon.userplane import RanUserPlane, UeUserPlane, UpUserPlane
from rprov.errors import EnvironmentLacks, Misuse
from rprov.model.identifiers import Teid, UeRadioId
from rprov.model.session import UserPlaneAddress
from rprov.session.ip.states import TcpLimits
from rprov.session.restriction import ANYWHERE, Restriction, SessionFilter, Unrestricted
from rprov.wire.gtpu import EchoRequest, EchoResponse, decode_gtpu, encode_gtpu

LOOPBACK = UserPlaneAddress(IPv4Address("127.0.0.1"), 0)
UE, GATEWAY, SERVER = IPv4Address("10.45.0.2"), IPv4Address("10.45.0.1"), IPv4Address("198.51.100.7")
NAME = "smdp.example.com"
RADIO_ID, BEARER, UPLINK, DOWNLINK = UeRadioId(7), 1, Teid(0xAAAA0001), Teid(0xBBBB0001)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for NAME that signs itself: the file with it and its key, and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = made.public_bytes(Encoding.PEM)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
    return path, pem.decode()


class HttpsServer:
    """Answers every request with `body`, echoes the length of what it got, keeps the connection."""

    def __init__(self, certificate, body=b"", tls=True):
        self.body = body
        self.requests = 0
        self.open = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate[0])

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()
        await self.idle.wait()  # no connection of the server stays open

    async def serve(self, reader, writer):
        self.open += 1
        self.idle.clear()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                got = await reader.readexactly(size)
                self.requests += 1
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.body)}\r\nx-got: {len(got)}\r\n\r\n"
                writer.write(head.encode() + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.open -= 1
            if not self.open:
                self.idle.set()


class Chain:
    """All three nodes and one session; `port` is where the allowed server really is."""

    def __init__(self, port, rules=None, limits=None, joined=True, placed=True, nat=None, mtu=1400, observe=None):
        self.loop = asyncio.get_running_loop()
        self.port, self.joined, self.placed, self.mtu, self.limits = port, joined, placed, mtu, limits
        self.nat = nat or NatMap({(SERVER, 443): ("127.0.0.1", port), (SERVER, 444): ("127.0.0.1", 1)})
        allowed = frozenset({(SERVER, 6, 443), (SERVER, 6, 444), (SERVER, 6, 445), (SERVER, 17, 443)})
        self.rules = rules or SessionFilter(Restriction(UE, GATEWAY, NAME, allowed, 0, self.loop.time() + 60))
        self.observe = observe

    async def __aenter__(self):
        observe = self.observe or {}
        self.ran = RanUserPlane(self.loop, LOOPBACK, LOOPBACK, observe=observe.get("ran"))
        self.up = UpUserPlane(
            self.loop, LOOPBACK, self.nat, limits=self.limits, mtu=self.mtu, observe=observe.get("up")
        )
        self.ue = UeUserPlane(self.loop, LOOPBACK, limits=self.limits, observe=observe.get("ue"))
        ue_pdcp, ran_pdcp = bearer_ends()
        ran_end = self.ran.n3_end(DOWNLINK)
        self.up.add_session(UPLINK, self.rules, ran_end if self.joined else None)
        self.ran.add(RADIO_ID, BEARER, ran_pdcp, self.up.n3_end(UPLINK), DOWNLINK)
        if self.placed:
            self.ran.connect(RADIO_ID, BEARER, self.ue.address)
        self.ue.open_bearer(RADIO_ID, BEARER, self.ran.radio_address, ue_pdcp)
        self.network = self.ue.start_network(BEARER, UE, GATEWAY, self.mtu)
        return self

    async def __aexit__(self, *_):
        self.ue.close()
        self.ran.close()
        await self.up.close()

    def pool(self, certificate, **more):
        context = ssl.create_default_context(cadata=certificate[1])
        return httpcore.AsyncConnectionPool(ssl_context=context, network_backend=SessionBackend(self.network), **more)


async def read_all(stream):
    got = b""
    while data := await stream.read(65536):
        got += data
    return got


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("late", [False, True])
def test_https_over_the_session(certificate, late):
    body = random.Random(1).randbytes(1_000_000)

    async def scenario():
        async with HttpsServer(certificate, body) as server:
            async with Chain(server.port, joined=not late, placed=not late) as chain:
                async with chain.pool(certificate) as pool:
                    request = asyncio.ensure_future(pool.request("GET", f"https://{NAME}/profile"))
                    if late:  # the UE's first packets overtake all signalling
                        await settle(20)
                        assert chain.up.traffic()["n3", "uplink"].packets
                        chain.up.connect(UPLINK, chain.ran.n3_end(DOWNLINK))
                    answer = await request
                    assert answer.status == 200
                    assert answer.content == body
                    upload = random.Random(2).randbytes(300_000)
                    answer = await pool.request("POST", f"https://{NAME}/x", content=upload)
                    assert dict(answer.headers)[b"x-got"] == b"300000"
                    assert answer.content == body
                    assert server.requests == 2
                    assert chain.network.connections == chain.up.connections == 1  # kept alive
                dropped = chain.ue.dropped() + chain.ran.dropped() + chain.up.dropped()
                dropped.pop("socketFull", None)  # a small buffer of this machine is no error
                assert not dropped
                assert chain.up.sessions == chain.ran.bearers == chain.ue.bearers == 1
            assert chain.up.sessions == chain.up.connections == chain.ue.bearers == 0

    before = open_files()
    run(scenario())
    assert open_files() == before


def test_the_certificate_is_checked(certificate):
    async def scenario():
        async with HttpsServer(certificate) as server, Chain(server.port) as chain:
            backend = SessionBackend(chain.network, {"other.example": SERVER})
            trusts = ssl.create_default_context(cadata=certificate[1])
            for context, name in ((ssl.create_default_context(), NAME), (trusts, "other.example")):
                async with httpcore.AsyncConnectionPool(ssl_context=context, network_backend=backend) as pool:
                    with pytest.raises(httpcore.ConnectError, match="certificate verify failed"):
                        await pool.request("GET", f"https://{name}/")
                    assert chain.network.connections == 0
            assert server.requests == 0

    run(scenario())


def test_what_is_forbidden_fails_at_once(certificate):
    async def scenario():
        async with HttpsServer(certificate) as server, Chain(server.port) as chain:
            started = chain.loop.time()
            for address, port in ((SERVER, 80), (IPv4Address("127.0.0.1"), server.port), (IPv4Address("9.9.9.9"), 443)):
                with pytest.raises(OSError, match="administratively prohibited") as caught:
                    await chain.network.connect(address, port)
                assert caught.value.errno == errno.EHOSTUNREACH
            assert chain.loop.time() - started < 0.5
            async with chain.pool(certificate) as pool:
                with pytest.raises(httpcore.ConnectError, match="administratively prohibited"):
                    await pool.request("GET", "https://169.254.169.254/latest/meta-data")
            assert chain.up.dropped() == {"destinationNotAllowed": 4}
            assert chain.network.connections == 0

    run(scenario())


def test_a_server_that_refuses_is_refused_and_not_accepted_first(certificate):
    async def scenario():
        async with Chain(1) as chain:
            for port in (443, 444):  # nobody listens at port 1
                with pytest.raises(ConnectionRefusedError):
                    await chain.network.connect(SERVER, port)
            assert chain.up.dropped() == {"upstreamRefused": 2}
            with pytest.raises(ConnectionRefusedError):  # in the filter, not in the second list
                await chain.network.connect(SERVER, 445)
            assert chain.up.connections == chain.network.connections == 0

    run(scenario())


def test_names(certificate):
    async def scenario():
        async with Chain(1) as chain:
            assert await chain.network.resolve(NAME) == SERVER
            assert await chain.network.resolve(NAME.upper()) == SERVER
            for name in ("example.com", "data.attacker.net"):
                with pytest.raises(socket.gaierror, match="refuses"):
                    await chain.network.resolve(name)
            with pytest.raises(socket.gaierror):
                await chain.network.resolve("not..a name")
            assert chain.network._questions == {}

    run(scenario())


def test_a_resolver_that_is_not_there_is_said_so(monkeypatch):
    monkeypatch.setattr("rprov.daemon.ue_network._QUERY_SECONDS", 0.02)

    async def scenario():
        async with Chain(1) as chain:
            chain.network._resolver = IPv4Address("10.45.0.9").packed
            with pytest.raises(OSError, match="unreachable") as caught:
                await chain.network.resolve(NAME)
            assert caught.value.errno == errno.EHOSTUNREACH
            chain.network._resolver = GATEWAY.packed
            chain.up.remove_session(UPLINK)
            with pytest.raises(TimeoutError):
                await chain.network.resolve(NAME)

    run(scenario())


def test_answers_that_nobody_asked_for_are_dropped():
    from rprov.session.ip import dns
    from rprov.session.ip.packet import encode_udp

    async def scenario():
        async with Chain(1) as chain:
            asked = asyncio.ensure_future(chain.network.resolve(NAME))
            await asyncio.sleep(0)
            ((port, message_id),) = chain.network._questions
            query = dns.encode_query(message_id, NAME)
            lie = dns.answer_query(query, lambda name: (IPv4Address("203.0.113.66"),))
            for source, source_port, to in ((SERVER, 53, port), (GATEWAY, 54, port), (GATEWAY, 53, port ^ 1)):
                chain.network.deliver(encode_udp(source.packed, source_port, UE.packed, to, lie))
            chain.network.deliver(encode_udp(GATEWAY.packed, 53, SERVER.packed, port, lie))
            chain.network.deliver(b"")
            chain.network.deliver(encode_udp(GATEWAY.packed, 53, UE.packed, port, lie[:-1]))
            assert await asked == SERVER
            assert chain.network.dropped == {"notAskedFor": 3, "notForThisUe": 2, "malformed": 1}

    run(scenario())


def test_half_closed_connections_and_resets_go_through(certificate):
    async def scenario():
        ended = asyncio.Event()

        async def serve(reader, writer):
            got = await reader.read()  # until the UE's FIN
            writer.write(got[::-1])
            await writer.drain()
            if got == b"reset":
                writer.transport.set_write_buffer_limits(0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                writer.transport.abort()
            else:
                writer.close()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Chain(server.sockets[0].getsockname()[1]) as chain:
            stream = await chain.network.connect(SERVER, 443)
            await stream.write(b"turn me round")
            stream.shutdown()
            assert await stream.read(100) == b"dnuor em nrut"
            assert await stream.read(100) == b""
            with pytest.raises(BrokenPipeError):
                await stream.write(b"more")
            stream.close()
            ended.clear()
            stream = await chain.network.connect(SERVER, 443)
            await stream.write(b"reset")
            stream.shutdown()
            with pytest.raises(ConnectionResetError):
                await read_all(stream)
            stream.close()
            await ended.wait()

    run(scenario())


def test_a_server_may_close_its_half_first():
    async def scenario():
        got = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            writer.write(b"that was all")
            writer.write_eof()
            got.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Chain(server.sockets[0].getsockname()[1]) as chain:
            stream = await chain.network.connect(SERVER, 443)
            assert await read_all(stream) == b"that was all"
            await stream.write(b"and this comes after")
            stream.close()
            assert await got == b"and this comes after"

    run(scenario())


def test_who_stops_connecting_leaves_no_connection(certificate):
    async def scenario():
        async with HttpsServer(certificate, tls=False) as server, Chain(server.port) as chain:
            connecting = asyncio.ensure_future(chain.network.connect(SERVER, 443))
            await asyncio.sleep(0)
            assert chain.network.connections == 1
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            assert chain.network.connections == 0

    run(scenario())


def test_a_slow_reader_slows_the_server_and_loses_nothing(certificate):
    body = random.Random(3).randbytes(2_000_000)

    async def scenario():
        async with HttpsServer(certificate, body, tls=False) as server, Chain(server.port) as chain:
            stream = await chain.network.connect(SERVER, 443)
            await stream.write(b"GET / HTTP/1.1\r\n\r\n")
            packets = -1
            while packets != (packets := chain.ran.traffic()["n3", "downlink"].packets):
                await settle(50)  # until the window is closed
            got = bytearray()
            while len(got) < len(body):
                got += await stream.read(5000)
                if len(got) % 7 == 0:
                    await asyncio.sleep(0)
            assert bytes(got).endswith(body[-1000:])
            stream.close()

    run(scenario())


@pytest.mark.parametrize(
    "rounds", [pytest.param(rounds, marks=() if rounds % 12 == 0 else pytest.mark.slow) for rounds in range(0, 40, 3)]
)
def test_who_stops_waiting_leaves_nothing_behind(certificate, rounds):
    async def scenario():
        async with HttpsServer(certificate, bytes(100_000)) as server, Chain(server.port) as chain:

            async def use():
                async with chain.pool(certificate) as pool:
                    await pool.request("GET", f"https://{NAME}/")

            task = asyncio.ensure_future(use())
            await settle(rounds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert chain.network._questions == {}

    before = open_files()
    run(scenario())
    assert open_files() == before


@pytest.mark.parametrize("end", ["session", "network", "bearer", "planes"])
def test_who_waits_in_a_session_that_ends_is_told(certificate, end):
    async def scenario():
        async with HttpsServer(certificate, tls=False) as server, Chain(server.port) as chain:
            stream = await chain.network.connect(SERVER, 443)
            reading = asyncio.ensure_future(stream.read(10))
            asking = asyncio.ensure_future(chain.network.resolve("example.com"))
            await asyncio.sleep(0)
            match end:
                case "session":
                    chain.up.remove_session(UPLINK)
                case "network":
                    chain.network.close()
                case "bearer":
                    chain.ue.close_bearer(BEARER)
                case "planes":
                    chain.ue.close()
            for waiting in (reading, asking):
                if end != "session" or waiting is reading:
                    with pytest.raises(OSError):
                        await waiting
            asking.cancel()
            if end != "session":
                for call in (chain.network.connect(SERVER, 443), chain.network.resolve(NAME)):
                    with pytest.raises(OSError, match="closed"):
                        await call
            assert chain.network.connections == 0

    before = open_files()
    run(scenario())
    assert open_files() == before


def test_the_end_of_a_session_cuts_a_download_and_frees_its_socket(certificate):
    async def scenario():
        async with (
            HttpsServer(certificate, bytes(20_000_000)) as server,
            Chain(server.port) as chain,
            chain.pool(certificate) as pool,
        ):
            async with pool.stream("GET", f"https://{NAME}/") as answer:
                parts = answer.aiter_stream()
                await anext(parts)
                chain.up.remove_session(UPLINK)
                with pytest.raises(httpcore.ReadError, match="reset"):
                    async for _ in parts:
                        pass
            assert chain.up.sessions == 0
            chain.up.remove_session(UPLINK)  # again: nothing

    before = open_files()
    run(scenario())
    assert open_files() == before


def test_what_is_observed_is_what_is_counted(certificate):
    seen = {}

    def watch(node):
        def observe(link, direction, octets):
            key = (node, link, direction)
            packets, total = seen.get(key, (0, 0))
            seen[key] = (packets + 1, total + octets)

        return observe

    async def scenario():
        async with HttpsServer(certificate, bytes(50_000)) as server:
            async with (
                Chain(server.port, observe={node: watch(node) for node in ("ue", "ran", "up")}) as chain,
                chain.pool(certificate) as pool,
            ):
                await pool.request("GET", f"https://{NAME}/")
            for node, plane in (("ue", chain.ue), ("ran", chain.ran), ("up", chain.up)):
                for (link, direction), traffic in plane.traffic().items():
                    assert seen.pop((node, link, direction)) == (traffic.packets, traffic.octets)
            assert seen == {}
            ran = chain.ran.traffic()
            assert ran["n3", "downlink"].octets > 50_000
            # a radio packet has header 5, PDCP 3 and MAC-I 4; an N3 packet 16
            packets, octets = ran["radio", "uplink"].packets, ran["radio", "uplink"].octets
            assert ran["n3", "uplink"].octets == octets + packets * (16 - 12)

    run(scenario())


def test_packets_from_strangers_are_counted(certificate):
    async def scenario():
        async with Chain(1) as chain:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.setblocking(False)

                async def send(octets, to):
                    stranger.sendto(octets, (str(to.address), to.port))
                    await settle()

                await send(encode_gtpu(EchoRequest(5)), chain.up.n3_address)
                assert decode_gtpu(await chain.loop.sock_recv(stranger, 100)) == EchoResponse(5)
                await send(encode_gtpu(EchoRequest(6)), chain.ran.n3_address)
                assert decode_gtpu(await chain.loop.sock_recv(stranger, 100)) == EchoResponse(6)
                for octets in (b"", b"x", bytes(12000)):
                    for to in (chain.up.n3_address, chain.ran.n3_address, chain.ran.radio_address, chain.ue.address):
                        await send(octets, to)
                await send(bytes((0, 0, 0, 7, 1)) + b"pdu", chain.ue.address)
            assert chain.up.dropped() == {"malformed": 3}
            assert chain.ran.dropped() == {"malformed": 3 + 2, "unknownBearer": 1}
            assert chain.ue.dropped() == {"unknownBearer": 3, "wrongRadioPeer": 1}
            assert await chain.network.resolve(NAME) == SERVER

    run(scenario())


def test_drops_of_ended_sessions_still_count():
    async def scenario():
        async with Chain(1) as chain:
            with pytest.raises(OSError, match="prohibited"):
                await chain.network.connect(SERVER, 80)
            chain.up.remove_session(UPLINK)
            chain.network.deliver(b"")
            chain.ue.close_bearer(BEARER)
            chain.ue.close_bearer(BEARER)
            assert chain.up.dropped() == {"destinationNotAllowed": 1}
            assert chain.ue.dropped() == {"notForThisUe": 1}

    run(scenario())


def test_an_ordinary_session_reaches_a_range(certificate):
    async def scenario():
        async with HttpsServer(certificate, b"hello") as server:
            rules = SessionFilter(Unrestricted(UE, GATEWAY, ANYWHERE, {NAME: (IPv4Address("203.0.113.5"),)}))
            nat = NatMap(ranges=(NatRange(IPv4Network("203.0.113.0/24"), 443, ("127.0.0.1", server.port)),))
            async with Chain(server.port, rules=rules, nat=nat) as chain, chain.pool(certificate) as pool:
                assert (await pool.request("GET", f"https://{NAME}/")).content == b"hello"
                for address, port in (("203.0.113.5", 80), ("203.0.114.5", 443)):
                    with pytest.raises(ConnectionRefusedError):
                        await chain.network.connect(IPv4Address(address), port)

    run(scenario())


def test_a_range_without_upstream_keeps_the_address():
    nat = NatMap(ranges=(NatRange(IPv4Network("203.0.113.0/24")),))
    assert nat.upstream(IPv4Address("203.0.113.9"), 77) == ("203.0.113.9", 77)
    assert nat.upstream(IPv4Address("203.0.114.9"), 77) is None


def test_protocols_that_n6_does_not_carry_are_counted():
    from rprov.session.ip.packet import encode_udp

    async def scenario():
        async with Chain(1) as chain:
            chain.network._send(encode_udp(UE.packed, 1000, SERVER.packed, 443, b"quic"))
            await settle(20)
            assert chain.up.dropped() == {"n6Protocol": 1}

    run(scenario())


def test_connections_of_a_session_are_bounded(certificate):
    async def scenario():
        async with (
            HttpsServer(certificate, tls=False) as server,
            Chain(server.port, limits=TcpLimits(connections=3)) as chain,
        ):
            streams = [await chain.network.connect(SERVER, 443) for _ in range(3)]
            with pytest.raises(Misuse):
                await chain.network.connect(SERVER, 443)
            for stream in streams:
                stream.abort()

    run(scenario())


def test_misuse_is_told():
    async def scenario():
        async with Chain(1) as chain:
            pdcp, _ = bearer_ends()
            with pytest.raises(Misuse):
                chain.ue.open_bearer(RADIO_ID, BEARER, chain.ran.radio_address, pdcp)
            with pytest.raises(Misuse):
                chain.ue.start_network(BEARER, UE, GATEWAY)
            with pytest.raises(Misuse):
                chain.ue.start_network(BEARER + 1, str(UE), str(GATEWAY))
            with pytest.raises(EnvironmentLacks, match="already in use"):
                RanUserPlane(chain.loop, LOOPBACK, chain.ran.n3_address)
            with pytest.raises(EnvironmentLacks, match="already in use"):
                UeUserPlane(chain.loop, chain.ue.address)

    before = open_files()
    run(scenario())
    assert open_files() == before


def test_jumbo_packets_pass(certificate):
    async def scenario():
        async with (
            HttpsServer(certificate, bytes(500_000)) as server,
            Chain(server.port, mtu=9000) as chain,
            chain.pool(certificate) as pool,
        ):
            assert len((await pool.request("GET", f"https://{NAME}/")).content) == 500_000

    run(scenario())


def test_it_runs_on_uvloop_too(certificate):
    uvloop = pytest.importorskip("uvloop")

    async def scenario():
        async with (
            HttpsServer(certificate, bytes(200_000)) as server,
            Chain(server.port) as chain,
            chain.pool(certificate) as pool,
        ):
            assert len((await pool.request("GET", f"https://{NAME}/")).content) == 200_000

    run(scenario(), loop=uvloop.new_event_loop)
