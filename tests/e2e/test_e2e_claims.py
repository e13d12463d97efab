"""Several connections claim one UE: whoever proves it is served, the others are not, and nothing stays behind."""

import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.flood import How, Stranger, attach_request, client_hello, plain
from doubles.network import LOCAL, PLMN, Device, Network, Ue, run, until
from doubles.pki import shared_pki

from rprov.causes import Cause
from rprov.daemon.ue import sentence
from rprov.model.identifiers import CpUeId, RanUeId
from rprov.model.kinds import DatabaseUrl
from rprov.model.numbers import Ppid
from rprov.model.policy import Timers
from rprov.model.report import Discarded
from rprov.model.settings import Plan
from rprov.transport import tcp
from rprov.transport.link import Link
from rprov.wire.link import ErrorIndication, N2Frame, N2Kind, N2SetupRequest, UeContextReleaseRequest, decode_n2_frame
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.radio import RadioFrame

SHORT = Timers(tombstone=0.05)
CODEC = LinkAsn1()


CLAIMS = 5


def clone(device: Device, place: Path, number: int) -> Device:
    """The same device once more: its certificates, what its eUICC holds now, and a memory of its own from now on."""
    store = device.settings.euicc.store
    was, its = Path(str(store.url).removeprefix("sqlite:///")), place / f"clone{number}.db"
    if was.exists():
        shutil.copy(was, its)
        shutil.copy(was.with_suffix(".key"), its.with_suffix(".key"))
    own = replace(store, url=DatabaseUrl(f"sqlite:///{its}"), key_file=its.with_suffix(".key"))
    return device.but(euicc=replace(device.settings.euicc, store=own), name=f"clone{number}")


class Later:
    """A download that begins when it may."""

    def __init__(self, ue: Ue, may: asyncio.Event) -> None:
        setup = ue.daemon._setup
        self._real, self._may = setup.provisioner, may
        ue.daemon._setup = replace(setup, provisioner=self)

    async def download(self, *what: Any) -> Any:
        await self._may.wait()
        return await self._real.download(*what)


async def left(net: Network, ues: int) -> None:
    """Wait until so many are attached, and nothing of anybody else is on any node."""
    await until(lambda: net.cp.ues == net.cp.registered == net.ran.ues == len(net.sessions) == ues)
    assert net.ran_plane.bearers == net.up.sessions == ues


async def one_of(net: Network, devices: list[Device], stack: AsyncExitStack, plan: Plan | None = None) -> None:
    """The last that proved who it is has what they all want; the others were told why not, and nothing is left."""
    may, ues = asyncio.Event(), []
    for device in devices:
        ues.append(await stack.enter_async_context(net.ue(device, plan)))
        Later(ues[-1], may)
    out = [asyncio.create_task(ue.left()) for ue in ues]
    await until(lambda: sum(task.done() for task in out) == len(ues) - 1)
    (served,) = [ue for ue, task in zip(ues, out, strict=True) if not task.done()]
    assert {task.result().cause for task in out if task.done()} == {Cause.SUPERSEDED}
    may.set()
    ended = await served.outcome()
    assert ended.ok, sentence(ended)
    await left(net, 1)
    assert served.daemon.network is not None
    assert await served.daemon.network.resolve("smdp.example.com")
    await served.daemon.detach(5)
    await asyncio.gather(*out)
    await left(net, 0)


@pytest.mark.parametrize("how", [How.STUCK, How.HELLO])
def test_strangers_who_claim_the_eid_of_a_device_take_nothing_from_it(tmp_path: Path, how: How) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, AsyncExitStack() as stack:
            device = await net.device()
            hello = client_hello(shared_pki().device)
            for _ in range(CLAIMS):
                stranger = await Stranger.connect(net.ran.port, how, hello, device.eid)
                stack.push_async_callback(stranger.close)
                await stranger.begin(4)
            await until(lambda: net.cp.ues == 4 * CLAIMS)
            ue = await stack.enter_async_context(net.ue(device))
            ended = await ue.outcome()
            assert ended.ok, sentence(ended)
            assert net.cp.registered == 1
            late = await Stranger.connect(net.ran.port, how, hello, device.eid)
            stack.push_async_callback(late.close)
            await late.begin(4)
            await until(lambda: net.cp.ues == 1 + 4 * (CLAIMS + 1))
            assert ue.daemon.attached
            await stack.pop_all().aclose()  # they hang up, and it loses its power
            await until(lambda: net.cp.ues == net.cp.registered == 1 and not net.ran.ues and not len(net.sessions))

    run(scenario())


def test_of_many_that_prove_to_be_one_device_the_last_is_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, AsyncExitStack() as stack:
            device = await net.device()
            clones = [clone(device, tmp_path, number) for number in range(CLAIMS)]
            await one_of(net, clones, stack)

    run(scenario())


def test_of_many_that_prove_to_be_one_subscriber_the_last_is_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, AsyncExitStack() as stack:
            device = await net.device()
            assert (await net.attach(device)).ok
            clones = [clone(device, tmp_path, number) for number in range(CLAIMS)]
            await one_of(net, clones, stack, Plan.ATTACH)

    run(scenario())


def test_other_radio_links_that_use_the_id_of_a_ue_are_not_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, net.ue(await net.device()) as ue:
            links = [await tcp.connect(LOCAL, net.ran.port) for _ in range(CLAIMS)]
            stop = asyncio.Event()
            used = set()

            async def claim(link: Link) -> None:
                while not stop.is_set():
                    number = ue.daemon.ue_radio_id
                    if number:
                        used.add(number)
                        await link.send(1, Ppid.RADIO, RadioFrame(number, os.urandom(40)).encode())
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(claim(link)) for link in links]
            ended = await ue.outcome()
            assert ended.ok, sentence(ended)
            stop.set()
            await asyncio.gather(*tasks)
            assert len(used) == 2, "that of the first attach, and that of the second"
            assert not net.seen.of(Discarded)
            for link in links:
                link.abort()
            await ue.daemon.detach(5)
            await left(net, 0)

    run(scenario())


def test_another_n2_link_that_uses_the_ids_of_a_ue_and_the_name_of_its_ran_is_told_that_there_is_none(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok
            await left(net, 1)
            ((cp_ue_id, known),) = net.cp._ues.items()
            ran_ue_id = known.endpoint.ran_ue_id
            link = await tcp.connect(LOCAL, net.cp.port)

            async def say(kind: N2Kind, payload: bytes, ran_ue_id: int, cp_ue_id: int) -> None:
                await link.send(0, Ppid.N2, N2Frame(RanUeId(ran_ue_id), CpUeId(cp_ue_id), kind, payload).encode())

            await say(N2Kind.CONTROL, CODEC.encode(N2SetupRequest("ran", PLMN, 1)), 0, 0)
            assert await link.receive() is not None
            for kind, payload in (
                (N2Kind.CONTROL, CODEC.encode(UeContextReleaseRequest(Cause.RADIO_LINK_LOST))),
                (N2Kind.NAS, os.urandom(40)),
            ):
                await say(kind, payload, ran_ue_id, cp_ue_id)
                received = await link.receive()
                assert received is not None
                told = decode_n2_frame(received.payload)
                assert (told.ran_ue_id, told.cp_ue_id) == (ran_ue_id, cp_ue_id)
                assert CODEC.decode(told.payload) == ErrorIndication(Cause.IDENTITY_UNKNOWN)
            await say(N2Kind.INITIAL_NAS, plain(attach_request(ue.node.daemon._setup.card.eid)), ran_ue_id, cp_ue_id)
            await until(lambda: net.cp.ues == 2)
            assert net.cp._ues[cp_ue_id] is known
            assert ue.daemon.attached
            link.abort()
            await left(net, 1)
            assert ue.daemon.network is not None
            assert await ue.daemon.network.resolve("smdp.example.com")
            await ue.daemon.detach(5)
            await left(net, 0)

    run(scenario())
