"""What a CP does with AAA servers that are rude, silent, late or dead. Each server is a socket in the same loop."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from doubles.aaa_place import SERVER_NAME, AaaPlace
from doubles.loop import run as run_in
from doubles.network import until

from rprov.auth.radius_exchange import AccessRequest, Sealed
from rprov.daemon import radius_peer
from rprov.daemon.aaa_client import AaaClient
from rprov.daemon.radius_peer import Patience
from rprov.daemon.radius_tls import TlsPeer
from rprov.daemon.radius_udp import SOURCE_PORTS, UdpPeer
from rprov.procedure.events import AaaAnswered, AaaSilent
from rprov.wire.radius import RADSEC_SECRET, Attribute, Code, Kind, Packet, SharedSecret, decode, seal_answer
from rprov.wire.radius_attributes import split_eap

SECRET = SharedSecret(b"a secret of more than 16")
REQUEST = AccessRequest((Attribute(Kind.USER_NAME, b"anonymous@example.org"), *split_eap(b"\2\0\0\5\1")))
CHALLENGE = split_eap(b"\1\1\0\6\x0d\x20")
QUICK = Patience(retransmit=0.05, whole=0.4)
LONG = Patience(retransmit=5.0, whole=10.0)

Answer = Callable[[Packet, "Server"], list[bytes]]


def true_answer(request: Packet, *more: Attribute, secret: SharedSecret = SECRET) -> bytes:
    code = Code.ACCESS_ACCEPT if request.code is Code.STATUS_SERVER else Code.ACCESS_CHALLENGE
    return seal_answer(code, request, (*CHALLENGE, *more), secret)


@dataclass
class Server(asyncio.DatagramProtocol):
    """Answers as it is told; keeps what came, and from where."""

    answer: Answer = lambda request, _server: [true_answer(request)]
    got: list[bytes] = field(default_factory=list)
    sources: list[Any] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append(data)
        self.sources.append(addr)
        for octets in self.answer(decode(data), self):
            self.transport.sendto(octets, addr)


async def serve(answer: Answer | None = None) -> Server:
    server = Server() if answer is None else Server(answer)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    return server


def silent(_request: Packet, _server: Server) -> list[bytes]:
    return []


def client(*servers: Server, hold_down: float = 60.0, patience: Patience = QUICK) -> tuple[AaaClient, list[UdpPeer]]:
    peers = [UdpPeer("127.0.0.1", server.port, SECRET, patience, lambda name, reason: None) for server in servers]
    return AaaClient(peers, hold_down), peers


def play(*answers: Answer | None, scenario: Callable[..., Awaitable[None]], **terms: Any) -> None:
    """Run a scenario with a client and the servers that it knows."""

    async def whole() -> None:
        servers = [await serve(answer) for answer in answers]
        asking, peers = client(*servers, **terms)
        try:
            await scenario(asking, peers, servers)
        finally:
            await asking.close()
            for server in servers:
                server.transport.close()

    run_in(whole(), 20.0, uvloop.new_event_loop)


# --- one server ---------------------------------------------------------------------------------------------------


def test_an_answer_is_brought_back():
    async def scenario(asking, peers, servers):
        answered = await asking.ask(REQUEST)
        assert isinstance(answered, AaaAnswered)
        assert answered.answer.server == f"127.0.0.1:{servers[0].port}"
        assert answered.answer.packet.code is Code.ACCESS_CHALLENGE
        assert not peers[0].dropped

    play(None, scenario=scenario)


def test_a_request_is_repeated_octet_for_octet_until_there_is_an_answer():
    def third(request, server):
        return [true_answer(request)] if len(server.got) == 3 else []

    async def scenario(asking, _peers, servers):
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        assert len(servers[0].got) == 3
        assert len(set(servers[0].got)) == 1

    play(third, scenario=scenario, patience=Patience(retransmit=0.02, whole=5.0))


def test_identifiers_authenticators_and_source_ports_cannot_be_foretold():
    async def scenario(asking, _peers, servers):
        await asyncio.gather(*(asking.ask(REQUEST) for _ in range(40)))
        packets = [decode(octets) for octets in servers[0].got]
        assert len({packet.authenticator for packet in packets}) == len(packets) == 40
        assert len({port for _, port in servers[0].sources}) == SOURCE_PORTS
        steps = {second.identifier - first.identifier for first, second in pairwise(packets)}
        assert len(steps) > 5

    play(None, scenario=scenario)


RUDE: dict[str, Answer] = {
    "one octet": lambda request, server: [b"\2"],
    "rubbish": lambda request, server: [b"rubbish" * 9],
    "another secret": lambda request, server: [true_answer(request, secret=SharedSecret(b"x" * 16))],
    "no Message-Authenticator": lambda request, server: [unauthenticated(true_answer(request))],
    "an accept made of a challenge": lambda request, server: [b"\2" + true_answer(request)[1:]],
    "a reject made of a challenge": lambda request, server: [b"\3" + true_answer(request)[1:]],
    "a Proxy-State": lambda request, server: [true_answer(request, Attribute(Kind.PROXY_STATE, b"collision"))],
    "our own octets": lambda request, server: [server.got[-1]],
    "another identifier": lambda request, server: [
        octets[:1] + bytes((octets[1] ^ 1,)) + octets[2:] for octets in [true_answer(request)]
    ],
    "half of it": lambda request, server: [true_answer(request)[:30]],
    "more than there is": lambda request, server: [true_answer(request)[:2] + b"\x0f\xff" + true_answer(request)[4:]],
    "a hundred of them": lambda request, server: [b"\3" + true_answer(request)[1:]] * 100,
}


def unauthenticated(octets: bytes) -> bytes:
    return octets[:2] + (len(octets) - 18).to_bytes(2) + octets[4:20] + octets[38:]


@pytest.mark.parametrize("what", RUDE)
def test_a_forged_answer_ends_nothing_and_the_true_one_counts(what):
    """CVE-2024-3596, CVE-2025-24912: the wait goes on."""

    def both(request, server):
        return [*RUDE[what](request, server), true_answer(request)]

    async def scenario(asking, peers, _servers):
        answered = await asking.ask(REQUEST)
        assert isinstance(answered, AaaAnswered)
        assert answered.answer.packet.code is Code.ACCESS_CHALLENGE
        assert peers[0].dropped.total() >= 1
        assert asking.dead == ()

    play(both, scenario=scenario, patience=LONG)


def test_forged_answers_alone_are_silence():
    async def scenario(asking, peers, servers):
        ended = await asking.ask(REQUEST)
        assert ended == AaaSilent(f"no answer of 127.0.0.1:{servers[0].port}")
        assert peers[0].dropped["MacMismatch"] == len(servers[0].got) > 2
        assert asking.dead == (f"127.0.0.1:{servers[0].port}",)

    play(RUDE["another secret"], scenario=scenario)


def test_an_answer_from_elsewhere_is_not_even_read():
    async def scenario(asking, peers, servers):
        stranger = await serve()
        task = asyncio.ensure_future(asking.ask(REQUEST))
        await until(lambda: servers[0].got)
        stranger.transport.sendto(true_answer(decode(servers[0].got[0])), servers[0].sources[0])
        servers[0].transport.sendto(true_answer(decode(servers[0].got[0])), servers[0].sources[0])
        assert isinstance(await task, AaaAnswered)
        assert not peers[0].dropped
        stranger.transport.close()

    play(silent, scenario=scenario, patience=LONG)


def test_a_late_answer_is_for_nobody():
    async def scenario(asking, peers, servers):
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        servers[0].transport.sendto(true_answer(decode(servers[0].got[0])), servers[0].sources[0])
        await until(lambda: peers[0].dropped["late"])

    play(silent, scenario=scenario)


def test_an_answer_that_comes_twice_counts_once():
    """The second may be there before whoever asked has run again."""

    async def scenario(_asking, peers, _servers):
        waiting = radius_peer.Waiting(peers[0])
        sealed, future = waiting.put(lambda number, random: Sealed.of(REQUEST, number, random, SECRET))
        answer = true_answer(sealed.packet)
        waiting.receive(answer)
        waiting.receive(answer)
        assert future.result().packet.code is Code.ACCESS_CHALLENGE
        assert peers[0].dropped == {"late": 1}

    play(silent, scenario=scenario)


def test_who_has_gone_away_leaves_nothing_behind():
    async def scenario(asking, peers, servers):
        tasks = [asyncio.ensure_future(asking.ask(REQUEST)) for _ in range(300)]
        await until(lambda: len(servers[0].got) >= 250)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(len(port.waiting) for port in peers[0]._ports) == 0

    play(silent, scenario=scenario, patience=LONG)


def test_no_more_questions_than_there_are_identifiers(monkeypatch):
    monkeypatch.setattr(radius_peer, "_IDENTIFIERS", 2)

    async def scenario(asking, peers, servers):
        tasks = [asyncio.ensure_future(asking.ask(REQUEST)) for _ in range(2 * SOURCE_PORTS)]
        await until(lambda: len(servers[0].got) == 2 * SOURCE_PORTS)
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert peers[0].dropped["full"] == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(silent, scenario=scenario, patience=LONG)


def test_last_words_are_said_and_nobody_waits():
    async def scenario(asking, _peers, servers):
        asking.tell(REQUEST)
        await until(lambda: servers[0].got)

    play(None, scenario=scenario)


# --- several servers ----------------------------------------------------------------------------------------------


def test_the_next_server_gets_the_first_question_and_the_dead_one_no_more(caplog):
    async def scenario(asking, _peers, servers):
        for _ in range(3):
            answered = await asking.ask(REQUEST)
            assert answered.answer.server == f"127.0.0.1:{servers[1].port}"
        questions = [octets for octets in servers[0].got if decode(octets).code is Code.ACCESS_REQUEST]
        assert len(set(questions)) == 1
        assert asking.counts == {"failedOver": 1, "answered": 2}
        assert asking.dead == (f"127.0.0.1:{servers[0].port}",)

    with caplog.at_level(logging.WARNING, "rprov.cp"):
        play(silent, None, scenario=scenario)
    assert [record.getMessage().partition("is ")[2] for record in caplog.records] == [
        "taken for dead: it does not answer"
    ]


def test_that_nobody_listens_is_said_and_forgotten_once_somebody_does(caplog):
    async def scenario(asking, peers, servers):
        servers[0].transport.close()
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert peers[0].dropped["unreachable"]
        again, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Server(), local_addr=("127.0.0.1", servers[0].port)
        )
        try:
            assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        finally:
            again.close()
        assert peers[0].trouble == ""

    with caplog.at_level(logging.ERROR, "rprov.cp"):
        play(None, scenario=scenario)
    assert "taken for dead: it does not answer (Connection refused)" in caplog.text


def test_an_exchange_stays_with_the_server_that_began_it():
    async def scenario(asking, _peers, servers):
        pinned = AccessRequest(REQUEST.attributes, f"127.0.0.1:{servers[0].port}")
        assert isinstance(await asking.ask(pinned), AaaSilent)
        assert not servers[1].got

    play(silent, None, scenario=scenario)


def test_a_server_that_nobody_knows_any_more():
    async def scenario(asking, _peers, servers):
        gone = AccessRequest(REQUEST.attributes, "192.0.2.1:1812")
        assert await asking.ask(gone) == AaaSilent("no answer of any AAA server")
        assert not servers[0].got

    play(None, scenario=scenario)


def test_a_server_that_drops_one_question_and_answers_others_is_not_dead():
    def but_the_first(request, server):
        return [true_answer(request)] if request.authenticator != decode(server.got[0]).authenticator else []

    async def scenario(asking, _peers, servers):
        first = asyncio.ensure_future(asking.ask(REQUEST))
        await until(lambda: servers[0].got)
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        assert isinstance(await first, AaaAnswered)  # of the second server
        assert asking.dead == ()

    play(but_the_first, None, scenario=scenario)


def test_a_dead_server_comes_back_by_status_server(caplog):
    """And not by an accident: it answers nothing else."""
    awake = False

    def only_status(request, _server):
        return [true_answer(request)] if awake and request.code is Code.STATUS_SERVER else []

    async def scenario(asking, _peers, _servers):
        nonlocal awake
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        assert asking.dead
        awake = True
        await until(lambda: not asking.dead)

    with caplog.at_level(logging.WARNING, "rprov.cp"):
        play(only_status, None, scenario=scenario, hold_down=0.1)
    assert caplog.records[-1].getMessage().endswith("is alive again")


def test_a_dead_server_that_answers_no_status_server_comes_back_after_its_hold_down():
    awake = False

    def no_status(request, _server):
        return [true_answer(request)] if awake and request.code is Code.ACCESS_REQUEST else []

    async def scenario(asking, _peers, servers):
        nonlocal awake
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        awake = True
        dead = asking._servers[f"127.0.0.1:{servers[0].port}"]
        await until(lambda: asyncio.get_running_loop().time() >= (dead.dead_until or 0.0))
        answered = await asking.ask(REQUEST)
        assert answered.answer.server == f"127.0.0.1:{servers[0].port}"
        assert asking.dead == ()

    play(no_status, None, scenario=scenario, hold_down=0.2)


def test_one_question_tries_a_dead_server_and_the_others_do_not_wait():
    async def scenario(asking, _peers, servers):
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        dead = asking._servers[f"127.0.0.1:{servers[0].port}"]
        dead.dead_until = 0.0
        before = len({octets for octets in servers[0].got if decode(octets).code is Code.ACCESS_REQUEST})
        assert all(
            isinstance(item, AaaAnswered) for item in await asyncio.gather(*(asking.ask(REQUEST) for _ in "abc"))
        )
        after = len({octets for octets in servers[0].got if decode(octets).code is Code.ACCESS_REQUEST})
        assert after - before == 1

    play(silent, None, scenario=scenario)


def test_where_all_are_dead_all_are_asked():
    async def scenario(asking, _peers, servers):
        for _ in range(2):
            before = [len(server.got) for server in servers]
            ended = await asking.ask(REQUEST)
            assert isinstance(ended, AaaSilent)
            assert all(len(server.got) > count for server, count in zip(servers, before, strict=True))

    play(silent, silent, scenario=scenario)


def test_a_name_that_leads_nowhere_is_a_dead_server():
    async def whole() -> None:
        peer = UdpPeer("no-such-host.invalid", 1812, SECRET, QUICK, lambda name, reason: None)
        asking = AaaClient([peer], 60.0)
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        await asking.close()

    run_in(whole(), 20.0, uvloop.new_event_loop)


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    return AaaPlace(tmp_path_factory.mktemp("aaa-client"))


def contexts(place: AaaPlace) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    for context, name in ((server, "radsec-server"), (asking, "radsec-client")):
        context.load_verify_locations(place.place / "radsec-ca.pem")
        context.load_cert_chain(place.place / f"{name}.pem", place.place / f"{name}.key")
    return server, asking


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


async def one(reader: asyncio.StreamReader) -> Packet:
    header = await reader.readexactly(4)
    return decode(header + await reader.readexactly(int.from_bytes(header[2:]) - 4))


def over_tls(place: AaaPlace, handle: Handle, scenario: Callable[..., Awaitable[None]], **over: Any) -> None:
    """Run a scenario with a peer over TLS; `handle` gets each connection with its number."""

    async def whole() -> None:
        tls, own = contexts(place)
        numbers = iter(range(100))
        tasks: set[asyncio.Task[Any]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())  # type: ignore[arg-type]
            try:
                await handle(reader, writer, next(numbers))
            except (EOFError, OSError):
                return
            finally:
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        given: dict[str, Any] = {"server_name": SERVER_NAME, "patience": QUICK, "tls": own, **over}
        peer = TlsPeer("127.0.0.1", port, on_drop=lambda name, reason: None, **given)
        asking = AaaClient([peer], 60.0)
        try:
            await scenario(asking, peer, server)
        finally:
            await asking.close()
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run_in(whole(), 20.0, uvloop.new_event_loop)


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    while True:
        writer.write(true_answer(await one(reader), secret=RADSEC_SECRET))


def test_all_questions_share_one_connection(place):
    opened = []

    async def handle(reader, writer, number):
        opened.append(number)
        await answer_all(reader, writer, number)

    async def scenario(asking, peer, _server):
        for count in (1, 30):
            outcomes = await asyncio.gather(*(asking.ask(REQUEST) for _ in range(count)))
            assert all(isinstance(outcome, AaaAnswered) for outcome in outcomes), peer.trouble
        assert await peer.is_there()

    over_tls(place, handle, scenario, patience=LONG)
    assert opened == [0]


def test_a_connection_that_ended_is_opened_anew_and_the_question_asked_again(place):
    async def handle(reader, writer, number):
        if number == 0:
            writer.write(true_answer(await one(reader), secret=RADSEC_SECRET))
            await one(reader)
            return
        await answer_all(reader, writer, number)

    async def scenario(asking, peer, _server):
        for _ in range(3):
            assert isinstance(await asking.ask(REQUEST), AaaAnswered), peer.trouble
        assert peer.dropped["connectionLost"] == 1
        assert asking.dead == ()

    over_tls(place, handle, scenario, patience=LONG)


def test_a_server_that_hangs_up_at_once_is_dead(place):
    async def handle(_reader, _writer, _number):
        return

    async def scenario(asking, peer, _server):
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert asking.dead == (peer.name,)

    over_tls(place, handle, scenario, patience=LONG)


def test_what_is_no_packet_ends_the_connection(place):
    async def handle(reader, writer, number):
        await one(reader)
        writer.write(b"\2\1\0\3" + bytes(40))
        await reader.read()

    async def scenario(asking, peer, _server):
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert peer.dropped["DecodeError"] == 1

    over_tls(place, handle, scenario, patience=LONG)


def test_a_forged_answer_over_tls_ends_nothing_either(place):
    async def handle(reader, writer, _number):
        request = await one(reader)
        writer.write(true_answer(request, secret=SECRET) + true_answer(request, secret=RADSEC_SECRET))
        await reader.read()

    async def scenario(asking, peer, _server):
        assert isinstance(await asking.ask(REQUEST), AaaAnswered)
        assert peer.dropped["MacMismatch"] == 1

    over_tls(place, handle, scenario, patience=LONG)


def test_a_server_of_another_name_or_authority_is_not_told_anything(place, caplog):
    got = []

    async def handle(reader, _writer, _number):
        got.append(await reader.read())

    async def scenario(asking, peer, _server):
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert "its certificate is not believed" in peer.trouble

    with caplog.at_level(logging.ERROR, "rprov.cp"):
        over_tls(place, handle, scenario, patience=LONG, server_name="another.example.org")
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.load_verify_locations(place.place / "network-ca.pem")
        over_tls(place, handle, scenario, patience=LONG, tls=stranger)
    assert b"".join(got) == b""
    assert caplog.text.count("is taken for dead: its certificate is not believed") == 2


def test_nobody_listens(place):
    async def scenario(asking, peer, server):
        server.close()
        assert isinstance(await asking.ask(REQUEST), AaaSilent)
        assert peer.trouble

    over_tls(place, answer_all, scenario, patience=LONG)
