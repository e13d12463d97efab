"""What goes wrong in a real network: links break, nodes die, strangers talk nonsense. Others are served meanwhile."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import IMPATIENT, Cable, Device, Network, Ue, ends, enters, run, until

from rprov.causes import Cause
from rprov.cli.demo_files import LOCAL
from rprov.daemon.ue import sentence
from rprov.model.identifiers import CpUeId, RanUeId, UeRadioId
from rprov.model.limits import (
    CpLimits,
)
from rprov.model.numbers import Ppid
from rprov.model.policy import Timers
from rprov.model.report import MessageSeen, Proof
from rprov.provision.sgp22.orders import RecordInstalled
from rprov.store.writer import StoreFailed
from rprov.transport import tcp
from rprov.wire.framing import encode_frame
from rprov.wire.link import N2Frame, N2Kind, N2SetupRequest
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.radio import RadioFrame, RrcSetup, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import RadioAsn1

SHORT = Timers(tombstone=0.05)

STATES = (
    "AwaitAuthentication",
    "AwaitSecurityMode",
    "AwaitAttachAccept",
    "AwaitSession",
    "AwaitDownload",
    "AwaitDetachAccept",
    "AwaitProfileEnabled",
    "AwaitVerdict",
    "Online",
)
"""Of the UE, through all seven steps."""


def message(name: str) -> Callable[[Any], bool]:
    """Matches a message by its name."""
    return lambda item: isinstance(item, MessageSeen) and item.name == name


@pytest.mark.parametrize("state", STATES)
def test_a_link_that_breaks_at_any_step_is_made_again(tmp_path: Path, state: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, Cable(net.ran.port) as cable:
            device = await net.device()
            net.seen.once(enters("ue", state), lambda _item: cable.cut())
            async with net.ue(device, port=cable.port) as ue:
                assert (await ue.outcome()).ok
                assert cable.cuts == 1
                if state == "Online":
                    await net.seen.next(enters("ue", "Online"))
                assert ue.daemon.subscriber == device.names
                await until(lambda: net.ran.ues == len(net.sessions) == 1)
                await ue.daemon.detach(5)
            # A detach that never arrived leaves a registration, which ends with the time for provisioning.
            left = 1 if state == "AwaitDetachAccept" else 0
            await until(lambda: net.cp.ues == net.cp.registered == left and not len(net.sessions) and not net.ran.ues)

    run(scenario())


@pytest.mark.parametrize("state", STATES)
def test_a_device_that_dies_at_any_step_begins_anew(tmp_path: Path, state: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device()
            reached = net.seen.next(enters("ue", state))
            async with net.ue(device):
                await reached
                if state not in ("AwaitAuthentication", "AwaitProfileEnabled"):  # not there yet; gone already
                    assert net.cp.ues >= 1
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                assert ue.daemon.subscriber == device.names
                await until(lambda: net.cp.ues == net.cp.registered == len(net.sessions) == 1)

    run(scenario())


@pytest.mark.parametrize(
    "name",
    ["initiateAuthentication response", "authenticateClient response", "getBoundProfilePackage response"],
)
def test_a_download_that_breaks_off_is_done_again(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, Cable(net.ran.port) as cable:
            device = await net.device()
            net.seen.once(message(name), lambda _item: cable.cut())
            async with net.ue(device, port=cable.port) as ue:
                ended = await ue.outcome()
                assert ended.ok, sentence(ended)
                assert cable.cuts == 1
                assert ue.daemon.subscriber == device.names
            async with net.stores() as (store, _):
                order = await store.order_by_matching_id(device.order.matching_id)
            assert order is not None
            assert order.state.value == "installed", "the server has heard of it in the end"

    run(scenario())


@pytest.mark.parametrize("name", ["handleNotification", "handleNotification response"])
def test_a_link_that_breaks_at_the_last_word_of_a_download_takes_nothing_back(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, Cable(net.ran.port) as cable:
            # The order is fulfilled: who asked for provisioning again would be refused.
            device = (await net.device()).but(timers=replace(IMPATIENT, t3511=1.0))
            net.seen.once(message(name), lambda _item: cable.cut())
            async with net.ue(device, port=cable.port) as ue:
                ended = await ue.outcome()
                assert ended.ok, sentence(ended)
                assert ue.daemon.subscriber == device.names

    run(scenario())


def test_a_server_that_cannot_take_the_result_is_not_claimed_to_hold_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            store = net.smdp._setup.store
            answer = store.answer

            async def full(query: Any) -> Any:
                if isinstance(query, RecordInstalled):
                    raise StoreFailed("the disk is full")
                return await answer(query)

            store.answer = full  # type: ignore[method-assign]
            assert (await net.attach(device)).ok
            (proof,) = [item for item in net.seen.of(Proof) if "is installed" in item.text]
            assert proof.text.endswith("the server is still to be told")

    run(scenario())


@pytest.fixture
def two(tmp_path: Path) -> Callable[[Callable[[Network, list[Ue]], Any]], None]:
    """Two devices online, and something that happens to them."""

    def go(happen: Callable[[Network, list[Ue]], Any]) -> None:
        async def scenario() -> None:
            async with Network(tmp_path, timers=SHORT) as net, AsyncExitStack() as stack:
                devices = [(await net.device()).but(max_attempts=100) for _ in range(2)]
                ues = [await stack.enter_async_context(net.ue(device)) for device in devices]
                for ue in ues:
                    assert (await ue.outcome()).ok
                await until(lambda: net.cp.ues == net.ran.ues == 2)
                await happen(net, ues)
                for ue in ues:
                    assert ue.daemon.attached
                await until(lambda: net.cp.ues == net.cp.registered == net.ran.ues == len(net.sessions) == 2)
                assert net.ran_plane.bearers == 2
                for ue in ues:
                    assert ue.daemon.network is not None
                    assert await ue.daemon.network.resolve("smdp.example.com")

        run(scenario())

    return go


async def all_online_again(net: Network, ues: list[Ue]) -> None:
    await until(lambda: net.seen.transitions("ue").count("AwaitSession+PduSessionAccept") >= 3 * len(ues))


def test_the_ran_dies_and_comes_back(two: Any) -> None:
    async def happen(net: Network, ues: list[Ue]) -> None:
        port = await net.stop_ran()
        await until(lambda: not any(ue.daemon.attached for ue in ues))
        # The core remembers who is registered, and gives their sessions back.
        await until(lambda: net.cp.registered == 2 and not len(net.sessions))
        await net.start_ran(port)
        await all_online_again(net, ues)

    two(happen)


def test_the_cp_dies_and_comes_back(two: Any) -> None:
    async def happen(net: Network, ues: list[Ue]) -> None:
        port = await net.stop_cp()
        await until(lambda: not any(ue.daemon.attached for ue in ues))
        assert not net.ran_plane.bearers
        await net.start_cp(port)
        await all_online_again(net, ues)

    two(happen)


def test_a_cell_without_a_core_is_silent_and_served_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            port = await net.stop_cp()
            async with net.ue(device) as ue:
                await until(lambda: ue.daemon._link is not None)
                assert "AwaitCell" in str(type(ue.daemon._endpoint.nas.machine.state))
                await net.start_cp(port)
                assert (await ue.outcome()).ok, "it has waited for the cell"

    run(scenario())


@pytest.mark.slow
def test_the_cp_dies_during_a_download(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = (await net.device()).but(max_attempts=100)
            reached = net.seen.next(enters("ue", "AwaitDownload"))
            async with net.ue(device) as ue:
                await reached
                await net.start_cp(await net.stop_cp())
                ended = await ue.outcome()
                assert ended.ok, sentence(ended)

    run(scenario())


def test_without_an_smdp_the_device_leaves_and_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device()
            await net.stop_smdp()
            left = net.seen.next(message("DetachAccept"))
            async with net.ue(device) as ue:
                ended = await ue.outcome()
            assert ended.cause is Cause.PROVISIONING_FAILED
            assert "smdp.example.com port 443" in sentence(ended)
            assert "refused" in sentence(ended), sentence(ended)
            assert (5, False) in net.seen.steps()
            await left
            await until(lambda: net.empty)

    run(scenario())


class Sleeper:
    """A download that never ends."""

    async def download(self, *_: object) -> Any:
        await asyncio.Event().wait()


def test_when_the_time_for_provisioning_is_over_the_device_is_thrown_out(tmp_path: Path) -> None:
    def hurry(settings: Any) -> Any:
        return replace(settings, provisioning=replace(settings.provisioning, lifetime=1))

    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT, cp=hurry) as net, net.ue(await net.device()) as ue:
            ue.daemon._setup = replace(ue.daemon._setup, provisioner=Sleeper())  # type: ignore[arg-type]
            ended = await ue.outcome()
            assert (ended.cause, ended.ok) == (Cause.SCOPE_EXPIRED, False)
            assert "the time allowed for provisioning is over" in sentence(ended)
            assert not ue.daemon.attached
            await until(lambda: net.empty)

    run(scenario())


# --- strangers --------------------------------------------------------------------------------------------------------


async def shout(port: int, octets: bytes) -> None:
    """Say something on a TCP port, and wait until the other side hangs up or has had enough of it."""
    reader, writer = await asyncio.open_connection(LOCAL, port)
    writer.write(octets)
    try:
        async with asyncio.timeout(0.1):
            while await reader.read(4096):
                pass
    except (TimeoutError, OSError):
        pass
    finally:
        writer.transport.abort()


def nonsense() -> list[bytes]:
    """What a stranger might say on a control link."""
    plain = [os.urandom(200), b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b""]
    framed = [encode_frame(0, ppid, os.urandom(40)) for ppid in (Ppid.N2, Ppid.RADIO, 0)]
    cell = [encode_frame(0, Ppid.RADIO, RadioFrame(UeRadioId(0), os.urandom(9)).encode())]
    other = [encode_frame(1, Ppid.RADIO, RadioFrame(UeRadioId(number), os.urandom(30)).encode()) for number in (1, 77)]
    n2 = [encode_frame(0, Ppid.N2, N2Frame(RanUeId(1), CpUeId(2), kind, os.urandom(20)).encode()) for kind in N2Kind]
    return [*plain, *framed, *cell, *other, *n2]


async def served_meanwhile(net: Network, device: Device, disturb: Callable[[], Any]) -> None:
    """Disturb as long as a device needs for everything."""
    stop = asyncio.Event()

    async def disturbing() -> int:
        times = 0
        while not stop.is_set():
            await disturb()
            times += 1
        return times

    task = asyncio.create_task(disturbing())
    try:
        async with net.ue(device) as ue:
            ended = await ue.outcome()
            assert ended.ok, sentence(ended)
    finally:
        stop.set()
    assert await task > 0


@pytest.mark.parametrize("link", ["n2", "radio"])
def test_nonsense_on_a_control_port_disturbs_nobody(tmp_path: Path, link: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            port = net.cp.port if link == "n2" else net.ran.port

            async def disturb() -> None:
                await asyncio.gather(*(shout(port, octets) for octets in nonsense()))

            await served_meanwhile(net, await net.device(), disturb)

    run(scenario())


def test_a_ran_that_talks_nonsense_after_its_set_up_disturbs_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            plmn = net.cp._setup.policy.plmn
            link = await tcp.connect(LOCAL, net.cp.port)
            hello = N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, LinkAsn1().encode(N2SetupRequest("evil", plmn, 2)))
            await link.send(0, Ppid.N2, hello.encode())
            assert await link.receive() is not None

            async def disturb() -> None:
                for kind in N2Kind:
                    frame = N2Frame(RanUeId(7), CpUeId(int.from_bytes(os.urandom(4))), kind, os.urandom(50))
                    await link.send(0, Ppid.N2, frame.encode())
                await link.send(0, Ppid.N2, os.urandom(3))
                await asyncio.sleep(0)

            await served_meanwhile(net, await net.device(), disturb)
            link.abort()

    run(scenario())


def test_nonsense_on_the_user_plane_disturbs_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                places = [net.ran_plane.radio_address, net.ran_plane.n3_address, net.up.n3_address]

                async def disturb() -> None:
                    for place in places:
                        # GTP-U with a TEID that nobody has, a truncated header, and noise
                        for octets in (b"\x30\xff\x00\x04" + os.urandom(8), b"\x32", os.urandom(100), b""):
                            stranger.sendto(octets, (str(place.address), place.port))
                    await asyncio.sleep(0)

                await served_meanwhile(net, await net.device(), disturb)
            assert net.up.dropped()
            assert net.ran_plane.dropped()

    run(scenario())


def test_a_ue_cannot_speak_for_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok
            await until(lambda: net.ran.ues == 1)
            link = await tcp.connect(LOCAL, net.ran.port)
            await link.send(1, Ppid.RADIO, RadioFrame(ue.daemon.ue_radio_id, os.urandom(40)).encode())
            # A request after it is answered: so what came before it was read, and did nothing.
            request = RadioFrame(UeRadioId(0), RadioAsn1().encode(RrcSetupRequest(b"\x01\x02\x03\x04"))).encode()
            await link.send(0, Ppid.RADIO, request)
            while (frame := await link.receive()) is not None:
                answer = RadioAsn1().decode(decode_radio_frame(frame.payload).payload)
                if isinstance(answer, RrcSetup):
                    break
            link.abort()
            assert ue.daemon.attached
            assert ue.daemon.network is not None
            assert await ue.daemon.network.resolve("smdp.example.com")

    run(scenario())


def test_too_many_half_open_attaches_evict_the_oldest(tmp_path: Path) -> None:
    def few(settings: Any) -> Any:
        return replace(settings, limits=CpLimits(half_open_per_link=2, half_open_per_ran=2, half_open=2, backoff=1))

    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT, cp=few) as net, AsyncExitStack() as stack:
            devices = [await net.device() for _ in range(3)]
            cables = [await stack.enter_async_context(Cable(net.ran.port)) for _ in devices]
            ues = []
            for device, cable in zip(devices, cables, strict=True):
                # It asks to be let in, and never hears an answer.
                asked = net.seen.next(enters("cp", "AwaitAuthenticationResponse"))
                net.seen.once(message("AttachRequest"), lambda _item, cable=cable: cable.freeze_answers())
                ues.append(await stack.enter_async_context(net.ue(device, port=cable.port)))
                await asked
            evicted = net.seen.transitions("cp").count("AwaitAuthenticationResponse+DetachOrdered")
            assert evicted == 1
            assert len(net.cp._half_open) == 2
            # An honest device is served: it evicts the next one.
            assert (await net.attach(await net.device())).ok
            # The evicted ones hear of it as soon as they hear anything, and try again when they were told to.
            for cable in cables:
                cable.thaw()
            for ue in ues:
                assert (await ue.outcome()).ok
            told = [item for item in net.seen.of(MessageSeen) if (item.name, item.sender) == ("AttachReject", "cp")]
            assert len(told) >= 2

    run(scenario())


def test_steps_of_a_device_that_was_disturbed_are_told_once_they_are_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, Cable(net.ran.port) as cable:
            net.seen.once(ends(4), lambda _item: cable.cut())
            async with net.ue(await net.device(), port=cable.port) as ue:
                assert (await ue.outcome()).ok
            assert [step for step, ok in net.seen.steps() if ok] == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7]

    run(scenario())
