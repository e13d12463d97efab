"""Strangers who want to wear a node out: crowds, floods, and octets that trickle. Others are served meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.network import LOCAL, Network, run, until

from rprov.daemon.mailbox import MAX_WAITING
from rprov.daemon.ue import sentence
from rprov.model.identifiers import UeRadioId
from rprov.model.numbers import Ppid
from rprov.model.settings import CpSettings, RanSettings
from rprov.transport import tcp
from rprov.transport.link import LinkLost
from rprov.wire.framing import encode_frame
from rprov.wire.radio import RadioFrame, RrcSetup, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import RadioAsn1

SILENT = 40


def cp_of_few(settings: CpSettings) -> CpSettings:
    tls = settings.n2.tls
    assert tls is not None
    return replace(settings, n2=replace(settings.n2, tls=replace(tls, half_open=SILENT, handshake_seconds=0.5)))


def ran_of_few(settings: RanSettings) -> RanSettings:
    limits = replace(settings.limits, silent_links=SILENT, silent_links_per_address=SILENT)
    return replace(settings, limits=limits)


@asynccontextmanager
async def besieged(place: Path) -> AsyncIterator[Network]:
    """A network with room for few strangers."""
    async with Network(place, cp=cp_of_few, ran=ran_of_few, n2_tls=True) as net:
        yield net


async def served(net: Network) -> None:
    """One device gets all that it wants."""
    ended = await net.attach(await net.device())
    assert ended.ok, sentence(ended)


def resident() -> int:
    """Octets of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.parametrize("crowd", [200, 3000])
@pytest.mark.parametrize("where", ["n2", "radio"])
def test_a_crowd_that_says_nothing_is_thinned_out(tmp_path: Path, where: str, crowd: int) -> None:
    async def scenario() -> None:
        async with besieged(tmp_path) as net:
            await served(net)
            before = resident()
            port = net.cp.port if where == "n2" else net.ran.port
            writers = []
            for _ in range(crowd):
                with suppress(OSError):  # hung up while it was still coming
                    writers.append((await asyncio.open_connection(LOCAL, port))[1])
            await served(net)
            assert len(net.ran._links) <= SILENT
            assert len(net.cp._links) <= SILENT
            assert resident() - before < 10_000 * crowd + 50_000_000, "both ends of each are in this process"
            for writer in writers:
                writer.transport.abort()
            await until(lambda: not net.ran._links and len(net.cp._links) == 1)

    run(scenario(), 60)


@pytest.mark.parametrize("where", ["n2", pytest.param("radio", marks=pytest.mark.slow)])
def test_octets_that_trickle_keep_nobody_waiting(tmp_path: Path, where: str) -> None:
    frame = encode_frame(0, Ppid.RADIO, bytes(2000))
    record = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)

    async def scenario() -> None:
        async with besieged(tmp_path) as net:
            port, octets = (net.cp.port, record) if where == "n2" else (net.ran.port, frame)
            stop = asyncio.Event()

            async def trickle() -> None:
                _, writer = await asyncio.open_connection(LOCAL, port)
                try:
                    for octet in octets:
                        if stop.is_set() or writer.is_closing():
                            break
                        writer.write(bytes([octet]))
                        await asyncio.sleep(0.002)
                finally:
                    writer.transport.abort()

            tasks = [asyncio.create_task(trickle()) for _ in range(30)]
            await served(net)
            stop.set()
            await asyncio.gather(*tasks)

    run(scenario())


def test_a_flood_on_the_stream_of_one_ue_fills_its_mailbox_and_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with besieged(tmp_path) as net:
            codec = RadioAsn1()
            link = await tcp.connect(LOCAL, net.ran.port)
            hello = RadioFrame(UeRadioId(0), codec.encode(RrcSetupRequest(b"wear"))).encode()
            await link.receive()  # the cell
            await link.send(0, Ppid.RADIO, hello)
            answer = await link.receive()
            assert answer is not None
            made = codec.decode(decode_radio_frame(answer.payload).payload)
            assert isinstance(made, RrcSetup)
            noise = RadioFrame(made.ue_radio_id, os.urandom(200)).encode()
            sent, stop = 0, asyncio.Event()

            async def flood() -> None:
                nonlocal sent
                with suppress(LinkLost):
                    while not stop.is_set():
                        await link.send(1, Ppid.RADIO, noise)
                        sent += 1
                        if not sent % 50:
                            await asyncio.sleep(0)

            task = asyncio.create_task(flood())
            await served(net)
            assert all(ue.mailbox._queue.qsize() <= MAX_WAITING for ue in net.ran._ues.values())
            stop.set()
            link.abort()
            await task
            assert sent > MAX_WAITING
            await until(lambda: not net.ran.ues)

    run(scenario())
