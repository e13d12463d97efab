"""Who is let onto N2 and who is not, what both ends are told, and what strangers at the door can cost."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from doubles.loop import run
from doubles.pki import EID, NOW, OTHER_PLMN, PLMN, Held, shared_pki
from doubles.tls_links import cp_party, ran_certificate, ran_party, tls_over

from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_crl import NO_REVOCATIONS, Revocations
from rprov.crypto.x509_nodes import ran_certificate_name
from rprov.errors import Misuse
from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost
from rprov.transport.memory import MemoryNetwork
from rprov.transport.tls import TlsTransport
from rprov.wire.framing import Frame, encode_frame

HOST = "127.0.0.1"
PKI = shared_pki()


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; `run` sees to it that this ends."""
    while not condition():
        await asyncio.sleep(0.001)


async def echo(link: Link) -> None:
    """Serve a link."""
    while (frame := await link.receive()) is not None:
        await link.send(frame.stream, frame.ppid, frame.payload)
    await link.close()


async def says(transport: TlsTransport) -> Any:
    """What a RAN gets for its first words: the same words, or the error; links are over then."""
    listener = await transport.listen(HOST, 0, echo)
    try:
        link = await transport.connect(HOST, listener.port)
        try:
            await link.send(1, 1, b"first words")
            frame = await link.receive()
            return frame and frame.payload
        finally:
            link.abort()
    except LinkLost as error:
        return error
    finally:
        await listener.close()


def revoked(held: Held) -> Revocations:
    """What a CRL of the network's authority would say."""
    return Revocations(
        frozenset({(subject_key_id(PKI.network_ca.certificate), held.certificate.serial_number)}), MappingProxyType({})
    )


def test_ends_with_certificates_of_their_network_talk_and_know_each_other() -> None:
    async def scenario() -> None:
        transport = tls_over()
        names: list[tuple[str, ...] | None] = []

        async def on_link(link: Link) -> None:
            names.append(link.peer_names)
            await echo(link)

        listener = await transport.listen(HOST, 0, on_link)
        link = await transport.connect(HOST, listener.port)
        await link.send(1, 1, b"hello")
        assert await link.receive() == Frame(1, 1, b"hello")
        assert link.peer_names == (PLMN.cp_name,)
        assert names == [(ran_certificate_name("ran", PLMN),)]
        assert link.carrier == "tcp+tls"
        await link.close()
        await listener.close()

    run(scenario())


def test_a_ran_below_another_authority_of_the_network_is_let_in() -> None:
    sub = PKI.network_below_sub_ca
    assert run(says(tls_over(server=cp_party(sub)))) == b"first words"


LATE = NOW - timedelta(days=1)
WRONG_RANS: dict[str, tuple[Callable[[], Held], str, str]] = {
    "expired": (lambda: ran_certificate(not_after=LATE), "certificate has expired", "certificate expired"),
    "of another authority": (lambda: ran_certificate(ca=PKI.other_network_ca), "does not lead to an anchor", "ca"),
    "of another network": (
        lambda: ran_certificate(names=[ran_certificate_name("ran", OTHER_PLMN)]),
        f"names no RAN of {PLMN}",
        "certificate",
    ),
    "a CP": (
        lambda: ran_certificate(
            names=[PLMN.cp_name], extended_usage=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
        ),
        "names no RAN",
        "certificate",
    ),
    "of servers only": (
        lambda: ran_certificate(extended_usage=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        "no clientAuth",
        "certificate",
    ),
    "a wildcard": (lambda: ran_certificate(names=[ran_certificate_name("*", PLMN)]), "names no RAN", "certificate"),
    "a device": (lambda: PKI.make_device(EID), "does not lead to an anchor", "ca"),
    "revoked": (lambda: REVOKED, "revoked", "certificate revoked"),
}
REVOKED = ran_certificate("revoked")


@pytest.mark.parametrize("wrong", WRONG_RANS)
def test_a_wrong_ran_is_refused_and_both_ends_know_why(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    made, at_the_cp, at_the_ran = WRONG_RANS[wrong]
    transport = tls_over(server=cp_party(revocations=lambda: revoked(REVOKED)), client=ran_party(made()))
    with caplog.at_level(logging.INFO, "rprov.transport"):
        error = run(says(transport))
    assert isinstance(error, LinkLost)
    assert "the peer refuses: " in str(error)
    assert at_the_ran in str(error)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert at_the_cp in warning.getMessage()


WRONG_CPS: dict[str, tuple[Callable[[], Held], str]] = {
    "expired": (lambda: PKI.expired_network, "certificate has expired"),
    "of another network": (lambda: PKI.network_of_other_plmn, "names another network"),
    "of another authority": (lambda: PKI.network_of_other_anchor, "does not lead to an anchor"),
    "a RAN": (lambda: ran_certificate(), "no serverAuth"),
    "with a role of the GSMA": (lambda: PKI.network_with_gsma_role, "a role that no network may have"),
}


@pytest.mark.parametrize("wrong", WRONG_CPS)
def test_a_wrong_cp_is_refused_and_both_ends_know_why(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    made, why = WRONG_CPS[wrong]
    with caplog.at_level(logging.INFO, "rprov.transport"):
        error = run(says(tls_over(server=cp_party(made()))))
    assert isinstance(error, LinkLost)
    assert why in str(error)
    assert any("the peer refuses: " in record.getMessage() for record in caplog.records)


def test_an_end_that_speaks_no_tls_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        transport = tls_over()
        under_tls = await transport.listen(HOST, 0, echo)
        plain = await tcp.connect(HOST, under_tls.port)
        await plain.send(0, 1, b"no TLS at all")
        assert await plain.receive() is None
        await plain.close()
        await until(lambda: not transport._half_open)
        await under_tls.close()
        in_plain = await tcp.listen(HOST, 0, echo)
        with pytest.raises(LinkLost):
            await transport.connect(HOST, in_plain.port)
        await in_plain.close()

    with caplog.at_level(logging.INFO, "rprov.transport"):
        run(scenario())
    assert "the peer speaks no TLS" in caplog.text
    assert "the peer speaks TLS, and this end does not" in caplog.text


def test_a_ran_without_a_certificate_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        transport = tls_over()
        listener = await transport.listen(HOST, 0, echo)
        anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(HOST, listener.port, ssl=anonymous)
        writer.write(encode_frame(0, 1, b"let me in"))
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            await reader.read()
        writer.transport.abort()
        await until(lambda: not transport._half_open)
        await listener.close()

    with caplog.at_level(logging.INFO, "rprov.transport"):
        run(scenario())
    assert "has shown no certificate" in caplog.text


def test_new_links_and_old_ones_go_by_what_is_revoked_now() -> None:
    known = NO_REVOCATIONS

    async def scenario() -> None:
        nonlocal known
        held = ran_certificate("both")
        transport = tls_over(server=cp_party(revocations=lambda: known), client=ran_party(held))
        listener = await transport.listen(HOST, 0, echo)
        link = await transport.connect(HOST, listener.port)
        await link.send(1, 1, b"before")
        assert await link.receive() == Frame(1, 1, b"before")
        assert transport.judge_again() == 0
        known = revoked(held)
        assert transport.judge_again() == 1
        with pytest.raises(LinkLost):
            await link.receive()
        fresh = await transport.connect(HOST, listener.port)
        with pytest.raises(LinkLost, match="certificate revoked"):
            await fresh.receive()
        await listener.close()

    run(scenario())


def test_a_transport_of_one_side_is_no_other() -> None:
    async def scenario() -> None:
        with pytest.raises(Misuse):
            await tls_over(server=None).listen(HOST, 0, echo)
        with pytest.raises(Misuse):
            await tls_over(client=None).connect(HOST, 1)
        assert tls_over(server=None).judge_again() == 0

    run(scenario())


# --- strangers at the door --------------------------------------------------------------------------------------------


@asynccontextmanager
async def knocking(transport: TlsTransport) -> Any:
    """A listener, and something that opens connections to it which say nothing more than they are told."""
    listener = await transport.listen(HOST, 0, echo)
    writers: list[asyncio.StreamWriter] = []

    async def knock(octets: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writers.append(writer)
        writer.write(octets)
        return reader

    try:
        yield listener, knock
    finally:
        for writer in writers:
            writer.transport.abort()
        await listener.close()


async def hung_up(reader: asyncio.StreamReader) -> bytes:
    """What a stranger is told until the connection ends."""
    with suppress(ConnectionError):
        return await reader.read()
    return b""


def test_who_takes_too_long_to_shake_hands_is_hung_up() -> None:
    async def scenario() -> None:
        transport = tls_over(handshake_seconds=0.05)
        async with knocking(transport) as (_, knock):
            reader = await knock(b"\x16\x03\x01")  # a record begins
            assert await hung_up(reader) == b""
            assert not transport._half_open

    run(scenario())


def test_a_ran_does_not_wait_for_ever_for_a_silent_cp() -> None:
    async def scenario() -> None:
        over = asyncio.Event()

        async def silent(_link: Link) -> None:
            await over.wait()

        network = MemoryNetwork()
        listener = await network.listen(HOST, 0, silent)
        transport = tls_over(network, handshake_seconds=0.05)
        with pytest.raises(LinkLost, match=r"no TLS handshake within 0\.05 s"):
            await transport.connect(HOST, listener.port)
        over.set()
        await listener.close()

    run(scenario())


def test_many_who_begin_and_never_end_cost_a_bounded_number_and_others_are_served() -> None:
    async def scenario() -> None:
        transport = tls_over(half_open=20)
        async with knocking(transport) as (listener, knock):
            readers = [await knock() for _ in range(100)]
            while len(transport._half_open) < 20:
                await asyncio.sleep(0)
            link = await transport.connect(HOST, listener.port)
            await link.send(1, 1, b"me too")
            assert await link.receive() == Frame(1, 1, b"me too")
            assert len(transport._half_open) <= 20
            # The oldest have gone.
            assert await hung_up(readers[0]) == b""
            link.abort()

    run(scenario())


NOISE = (
    b"GET / HTTP/1.1\r\nHost: cp\r\n\r\n",
    b"\xff" * 64,
    b"\x16\x03\x03\xff\xff" + bytes(100),  # a record that is longer than records are
    b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # a ClientHello of 16 MiB
    encode_frame(0, 1, b"a frame in clear"),
)


@pytest.mark.parametrize("noise", NOISE)
def test_noise_at_the_door_ends_that_connection_only(noise: bytes) -> None:
    async def scenario() -> None:
        transport = tls_over(handshake_seconds=0.2)
        async with knocking(transport) as (listener, knock):
            reader = await knock(noise)
            await hung_up(reader)
            link = await transport.connect(HOST, listener.port)
            await link.send(1, 1, b"served")
            assert await link.receive() == Frame(1, 1, b"served")
            link.abort()

    run(scenario())


Spoil = Callable[[Link, Any], Awaitable[None]]


@pytest.mark.parametrize("octets", [b"\x17\x03\x03\x00\x20" + bytes(32), b"no record", b"\xff" * 6])
def test_octets_that_no_key_protects_end_the_link(octets: bytes) -> None:
    async def scenario() -> None:
        network = MemoryNetwork()
        got: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        async def on_link(link: Link) -> None:
            try:
                await echo(link)
            except LinkLost as error:
                got.set_result(error)

        transport = tls_over(network)
        listener = await transport.listen(HOST, 0, on_link)
        link = await transport.connect(HOST, listener.port)
        await link.send(1, 1, b"fine")
        await link.receive()
        await link._below.send(0, 0, octets)  # type: ignore[attr-defined]
        assert "lost" in str(await got)
        with pytest.raises(LinkLost):
            await link.receive()
        await listener.close()

    run(scenario())


def test_an_end_that_somebody_forged_is_a_loss() -> None:
    async def scenario() -> None:
        got: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        async def on_link(link: Link) -> None:
            try:
                got.set_result(await link.receive())
            except LinkLost as error:
                got.set_result(error)

        transport = tls_over()
        listener = await transport.listen(HOST, 0, on_link)
        link = await transport.connect(HOST, listener.port)
        link._below._transport.write_eof()  # type: ignore[attr-defined]  # a FIN, as anybody on the way can send one
        error = await got
        assert isinstance(error, LinkLost)
        assert "without a goodbye" in str(error)
        link.abort()
        await listener.close()

    run(scenario())
