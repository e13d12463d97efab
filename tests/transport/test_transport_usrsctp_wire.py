"""SCTP in UDP: addresses, ports, processes, NATs, and a wire that loses packets."""

import asyncio
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from contract import BIG, HOST, everything, linked, send_many
from doubles.loop import run
from doubles.sctp_packets import COOKIE_ECHO, chunk, init, packet, read_init_ack
from doubles.usrsctp_echo import PROGRAM as ECHO

from rprov.errors import EnvironmentLacks
from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import usrsctp_carrier, usrsctp_library, usrsctp_link
from rprov.transport.link import Link, LinkLost
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_carrier import Carrier, Name
from rprov.transport.usrsctp_library import available
from rprov.transport.usrsctp_link import UsrsctpLink
from rprov.wire.framing import Frame

pytestmark = pytest.mark.skipif(not available(), reason="libusrsctp is missing: apt-get install libusrsctp2")

FREE = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0)) if available() else None
QUICK = {"rto_initial": 0.2, "rto_min": 0.05, "rto_max": 1.0, "udp_port": 0}
"""On a wire that loses packets the usual seconds would be waited for."""


def free_udp_port(host: str = HOST) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def no_link(link: Link) -> None:
    raise AssertionError(link)


async def echo(link: Link) -> None:
    while (frame := await link.receive()) is not None:
        await link.send(frame.stream, frame.ppid, frame.payload)
    await link.close()


# --- addresses and ports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["::1", "localhost", "127.0.0.7"])
def test_both_versions_of_ip_and_names(host: str) -> None:
    async def scenario() -> None:
        async with linked(FREE, host=host) as (here, there):
            for octets in (1, 1500, BIG):
                await here.send(1, 1, bytes(octets))
                assert await there.receive() == Frame(1, 1, bytes(octets))
            assert here.carrier == "sctp in udp"
            for end in (here, there):
                assert end._path.carrier.refused == 0
                assert end.local_addresses == (end.local,)
                assert end.peer_addresses == (end.peer,)
                assert end.peer_names is None

    run(scenario())


def test_several_ports_share_one_udp_port() -> None:
    async def scenario() -> None:
        udp_port = free_udp_port()
        transport = UserSctp(SctpListen(udp_port=udp_port), SctpPeer(udp_port=udp_port))
        listeners = [await transport.listen(HOST, 0, echo) for _ in range(3)]
        assert len({listener.port for listener in listeners}) == 3
        assert all(listener.port != udp_port for listener in listeners)
        links = [await transport.connect(HOST, listener.port) for listener in listeners]
        assert {link._path.name for link in links} == {(HOST, udp_port)}
        for number, link in enumerate(links):
            await link.send(1, 1, bytes([number]))
            assert await link.receive() == Frame(1, 1, bytes([number]))
        with pytest.raises(LinkLost, match=r"cannot connect to .*: Connection refused"):
            await transport.connect(HOST, 1)
        for link in links:
            await link.close()
        for listener in listeners:
            await listener.close()

    run(scenario())


def test_one_port_at_two_addresses_of_one_process_is_two_listeners() -> None:
    async def scenario() -> None:
        async def one(link: Link) -> None:
            await link.send(1, 1, b"one")
            await link.receive()

        async def other(link: Link) -> None:
            await link.send(1, 1, b"other")
            await link.receive()

        first = await FREE.listen("127.0.0.1", 0, one)
        second = await FREE.listen("127.0.0.2", first.port, other)
        assert (second.host, second.port) == ("127.0.0.2", first.port)
        for host, said in (("127.0.0.1", b"one"), ("127.0.0.2", b"other")):
            link = await FREE.connect(host, first.port)
            assert await link.receive() == Frame(1, 1, said)
            assert link.peer.host == host
            link.abort()
        await first.close()
        with pytest.raises(LinkLost, match="cannot connect"):
            await FREE.connect("127.0.0.1", first.port)
        link = await FREE.connect("127.0.0.2", first.port)
        await link.close()
        await second.close()

    run(scenario())


def test_a_port_that_is_open_at_another_address_only_refuses_at_once() -> None:
    async def scenario() -> None:
        udp_port = free_udp_port()
        here = UserSctp(SctpListen(udp_port=udp_port), SctpPeer(udp_port=udp_port))
        first = await here.listen("127.0.0.1", 0, echo)
        second = await here.listen("127.0.0.2", 0, no_link)
        with pytest.raises(LinkLost, match="Connection refused"):
            await here.connect("127.0.0.2", first.port)
        await first.close()
        await second.close()

    run(scenario())


def test_a_udp_port_that_another_process_has_is_named() -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HOST, 0))
            udp_port = other.getsockname()[1]
            with pytest.raises(
                EnvironmentLacks, match=rf"cannot listen at {HOST}:29712: UDP port {udp_port}: .*in use"
            ):
                await UserSctp(SctpListen(udp_port=udp_port)).listen(HOST, 29712, no_link)

    run(scenario())


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_address_at_once_is_refused_with_the_way_out(host: str) -> None:
    async def scenario() -> None:
        with pytest.raises(EnvironmentLacks, match="one address, which must be named"):
            await FREE.listen(host, 0, no_link)

    run(scenario())


def test_several_addresses_for_one_link_are_refused() -> None:
    with pytest.raises(EnvironmentLacks, match=r"several addresses .* kernel"):
        UserSctp(SctpListen(addresses=("127.0.0.2",)))


# --- processes and loops ------------------------------------------------------------------------------------------


def test_two_processes_talk() -> None:
    async def scenario() -> None:
        command = [sys.executable, str(ECHO)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(await asyncio.to_thread(process.stdout.readline))
            link = await FREE.connect(HOST, port)
            for octets in (1, 1500, BIG):
                await link.send(3, octets, bytes(octets))
                assert await link.receive() == Frame(3, octets, bytes(octets))
            await link.close()
            link = await FREE.connect(HOST, port)
            process.kill()
            link.abort()

    run(scenario())


def test_one_loop_after_the_other_but_not_two_at_once() -> None:
    async def stay_behind() -> None:
        listener = await FREE.listen(HOST, 0, no_link)
        await FREE.connect(HOST, listener.port)

    async def second() -> None:
        async with linked(FREE) as (here, there):
            await here.send(1, 1, b"x")
            assert await there.receive() == Frame(1, 1, b"x")

    async def scenario() -> None:
        async with linked(FREE):
            with pytest.raises(EnvironmentLacks, match="another event loop"):
                await asyncio.to_thread(asyncio.run, second())

    loop = asyncio.new_event_loop()
    listening = loop.create_task(FREE.listen(HOST, 0, echo))
    loop.run_until_complete(listening)  # and nobody closes it
    loop.close()
    run(second())
    run(scenario())
    run(second())


def test_a_forked_process_is_told_that_it_cannot() -> None:
    async def scenario() -> None:
        async with linked(FREE):
            pass

    async def in_child() -> None:
        with pytest.raises(EnvironmentLacks, match="forked"):
            await FREE.listen(HOST, 0, no_link)

    run(scenario())
    child = os.fork()
    if not child:
        try:
            asyncio.new_event_loop().run_until_complete(in_child())
        except BaseException:  # noqa: BLE001 - nothing of a child may reach pytest
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_machine_without_the_library_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usrsctp_library, "NAMES", ("libusrsctp-that-nobody-has.so",))
    usrsctp_library.library.cache_clear()
    try:
        with pytest.raises(EnvironmentLacks, match="apt-get install libusrsctp2"):
            UserSctp()
        assert not available()
    finally:
        usrsctp_library.library.cache_clear()


# --- what happens to packets --------------------------------------------------------------------------------------


class Nat(asyncio.DatagramProtocol):
    """Between a client and a server: the server sees an address of the NAT, which `rebind` changes."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._client: tuple[str, int] | None = None
        self._outside: socket.socket | None = None
        self.rebind()

    def rebind(self) -> None:
        self.close()
        self._outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outside.setblocking(False)
        self._outside.bind((HOST, 0))
        asyncio.get_running_loop().add_reader(self._outside.fileno(), self._inward)

    def close(self) -> None:
        if self._outside is not None:
            asyncio.get_running_loop().remove_reader(self._outside.fileno())
            self._outside.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inside = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._client = addr
        self._outside.sendto(data, self._server)

    def _inward(self) -> None:
        while True:
            try:
                data = self._outside.recv(65536)
            except BlockingIOError:
                return
            self._inside.sendto(data, self._client)


@asynccontextmanager
async def behind_nat() -> AsyncIterator[tuple[UsrsctpLink, UsrsctpLink, Nat]]:
    """A link whose accepted end sees the other through a NAT."""
    accepted: asyncio.Queue[Link] = asyncio.Queue()
    over = asyncio.Event()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        await over.wait()

    listener = await UserSctp(SctpListen(**QUICK)).listen(HOST, 0, on_link)
    loop = asyncio.get_running_loop()
    inside, nat = await loop.create_datagram_endpoint(lambda: Nat((HOST, listener.port)), (HOST, 0))
    udp_port = inside.get_extra_info("sockname")[1]
    here = await UserSctp(connect=SctpPeer(**{**QUICK, "udp_port": udp_port})).connect(HOST, listener.port)
    yield here, await accepted.get(), nat
    here.abort()
    nat.close()
    inside.close()
    over.set()
    await listener.close()


def test_a_link_outlives_a_nat_that_forgets_it() -> None:
    async def scenario() -> None:
        async with behind_nat() as (here, there, nat):
            await here.send(1, 1, b"before")
            assert await there.receive() == Frame(1, 1, b"before")
            before = there._path.name
            nat.rebind()
            await here.send(1, 1, b"after")
            assert await there.receive() == Frame(1, 1, b"after")
            await there.send(1, 1, b"answer")
            assert await here.receive() == Frame(1, 1, b"answer")
            assert there._path.name != before
            assert set(there._path.carrier.paths) == {there._path.name}

    run(scenario())


def test_a_packet_with_a_guessed_tag_or_a_wrong_checksum_moves_nothing() -> None:
    async def scenario() -> None:
        async with linked(FREE) as (here, there):
            before = there._path.name
            head = bytes(there._tag)
            source, destination, tag = (int.from_bytes(part) for part in (head[:2], head[2:4], head[4:]))
            heartbeat = chunk(4, bytes([0, 1, 0, 8]) + bytes(4))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                right = packet(heartbeat, source, destination, tag)
                for wrong in (
                    packet(heartbeat, source, destination, tag ^ 1),
                    packet(heartbeat, source ^ 1, destination, tag),
                    right[:8] + bytes([right[8] ^ 1]) + right[9:],
                ):
                    stranger.sendto(wrong, (HOST, there._path.carrier.address.port))
            await here.send(1, 1, b"x")  # comes after them
            assert await there.receive() == Frame(1, 1, b"x")
            assert there._path.name == before
            assert len(there._stack.paths.by_number) == 2

    run(scenario())


def test_a_peer_that_restarts_is_a_lost_link() -> None:
    """It comes from the address and port of the old one, and knows nothing of what was."""

    async def scenario() -> None:
        async with linked(FREE) as (here, there):
            server, client = there._path.carrier.address, there._path.name
            source, destination = here.local.port, here.peer.port
            here._path.carrier.drop = lambda: True  # so that nobody hears how it ends
            here.abort()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.setblocking(False)
                again.bind(client)
                loop = asyncio.get_running_loop()
                again.sendto(packet(init(tag=7), source, destination), tuple(server))
                answer = await loop.sock_recv(again, 2000)
                assert answer[4:8] == (7).to_bytes(4)
                tag, cookie = read_init_ack(answer)
                again.sendto(packet(chunk(COOKIE_ECHO, cookie), source, destination, tag), tuple(server))
                with pytest.raises(LinkLost, match="restarted"):
                    await there.receive()

    run(scenario())


@pytest.mark.parametrize("octets", [100, 1000])
def test_a_message_in_parts_is_one_message(monkeypatch: pytest.MonkeyPatch, octets: int) -> None:
    monkeypatch.setattr(usrsctp_link, "_MAIL", usrsctp_link._Mail(octets))

    async def scenario() -> None:
        async with linked(FREE, limit=20000) as (here, there):
            for size in (octets - 1, octets, octets + 1, 20000):
                payload = bytes(index % 253 for index in range(size))
                await here.send(5, 6, payload)
                assert await there.receive() == Frame(5, 6, payload)
            await here.send(5, 6, bytes(BIG))
            with pytest.raises(LinkLost, match="aborted: a message of 2"):
                await there.receive()

    run(scenario())


@pytest.mark.parametrize("percent", [0, 1, 5])
def test_a_wire_that_loses_packets_loses_no_message(percent: int) -> None:
    """Both ways, seeded apart: two ends that lose the same packets look like a much worse wire."""

    async def scenario() -> None:
        lots = {"listen": random.Random(6951), "connect": random.Random(9260)}
        lost = dict.fromkeys(lots, 0)

        def losing(end: str) -> bool:
            loses = lots[end].random() < percent / 100
            lost[end] += loses
            return loses

        accepted: asyncio.Queue[Link] = asyncio.Queue()

        async def on_link(link: Link) -> None:
            accepted.put_nowait(link)
            await echo(link)

        listener = await UserSctp(SctpListen(**QUICK), drop=lambda: losing("listen")).listen(HOST, 0, on_link)
        link = await UserSctp(connect=SctpPeer(**QUICK), drop=lambda: losing("connect")).connect(HOST, listener.port)
        drawn = random.Random(29712)
        sent = [
            Frame(drawn.randrange(8), number, drawn.randbytes(drawn.choice((10, 1000, 9000)))) for number in range(400)
        ]

        async def talk() -> None:
            for frame in sent:
                await link.send(frame.stream, frame.ppid, frame.payload)

        async def hear() -> list[Frame]:
            return [frame for _ in sent if (frame := await link.receive()) is not None]

        heard, _ = await asyncio.gather(hear(), talk())
        assert sorted(heard, key=lambda frame: frame.ppid) == sent
        for stream in range(8):
            numbers = [frame.ppid for frame in heard if frame.stream == stream]
            assert numbers == sorted(numbers)
        assert bool(percent) == any(lost.values())
        await link.close()
        await listener.close()

    run(scenario(), 60)


def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UsrsctpLink, "CLOSE_SECONDS", 0.05)

    async def scenario() -> None:
        async with linked(FREE) as (here, there):
            writer = asyncio.create_task(send_many(here))
            await asyncio.wait({writer}, timeout=0.05)
            await here.close()
            assert await here.receive() is None
            with pytest.raises(LinkLost, match="closed by us"):
                await writer
            with pytest.raises(LinkLost, match="lost"):
                await everything(there)

    run(scenario())


def test_the_port_of_rfc_6951_is_the_default() -> None:
    async def scenario() -> None:
        address = "127.0.0.199"  # nobody else's, so that the well-known port is free there
        listener = await UserSctp().listen(address, 0, echo)
        link = await UserSctp().connect(address, listener.port)
        assert link._path.name == (address, 9899)
        await link.close()
        await listener.close()

    run(scenario())


@pytest.mark.parametrize(("mtu", "longest"), [(65536, 9012), (1500, 1472), (300, 1212)])
def test_packets_are_as_long_as_the_way_allows_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, mtu: int, longest: int
) -> None:
    """`longest` is what UDP carries: a packet with its common header."""
    sizes: set[int] = set()
    send = Carrier.send

    def noted(self: Carrier, packet: bytes, name: Name) -> None:
        sizes.add(len(packet))
        send(self, packet, name)

    monkeypatch.setattr(Carrier, "send", noted)
    monkeypatch.setattr(usrsctp_carrier, "mtu_to", lambda _name: mtu)

    async def scenario() -> None:
        async with linked(FREE) as (here, there):
            for link, other in ((here, there), (there, here)):
                sizes.clear()
                await link.send(1, 1, bytes(BIG))
                await other.receive()
                assert max(sizes) == longest

    run(scenario())
