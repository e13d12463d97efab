"""The CP daemon: who may connect on N2, what its store says, who is evicted, detached, remembered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doubles.network import Network, enters, run, until

from rprov.causes import Cause
from rprov.cli.demo_files import LOCAL, PLMN
from rprov.daemon import cp as cp_module
from rprov.errors import EnvironmentLacks, Misuse
from rprov.model.identifiers import CpUeId, Eid, Guti, Imsi, Plmn, RanUeId, Supi
from rprov.model.numbers import Ppid
from rprov.model.policy import Timers
from rprov.model.records import ContextRecord, ContextState
from rprov.model.report import StepEnded
from rprov.model.secret import Secret
from rprov.model.security import Algorithms, Nea, Nia, Scope, SecurityCapability
from rprov.store.writer import StoreFailed
from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost
from rprov.wire.link import N2Frame, N2Kind, N2SetupFailure, N2SetupRequest, N2SetupResponse, decode_n2_frame
from rprov.wire.link_asn1 import LinkAsn1

SHORT = Timers(tombstone=0.05)
CODEC = LinkAsn1()


def control(message: Any) -> bytes:
    return N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, CODEC.encode(message)).encode()


@asynccontextmanager
async def n2(net: Network) -> AsyncIterator[Link]:
    link = await tcp.connect(LOCAL, net.cp.port)
    try:
        yield link
    finally:
        link.abort()


async def said(link: Link) -> Any:
    async with asyncio.timeout(5):
        frame = await link.receive()
    assert frame is not None
    return CODEC.decode(decode_n2_frame(frame.payload).payload)


async def hung_up(link: Link) -> bool:
    async with asyncio.timeout(5):
        try:
            return await link.receive() is None
        except LinkLost:
            return True


def test_a_ran_of_the_same_network_is_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, n2(net) as link:
            await link.send(0, Ppid.N2, control(N2SetupRequest("ran-2", PLMN, 2)))
            assert await said(link) == N2SetupResponse("cp", PLMN, True)

    run(scenario())


def test_a_ran_of_another_network_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, n2(net) as link:
            await link.send(0, Ppid.N2, control(N2SetupRequest("ran-2", Plmn("999", "70"), 2)))
            assert await said(link) == N2SetupFailure(Cause.PLMN_NOT_ALLOWED)
            assert await hung_up(link)

    run(scenario())


@pytest.mark.parametrize(
    "first", [b"\xff" * 9, control(N2SetupFailure(Cause.CONGESTION)), b"x"], ids=["noise", "another", "short"]
)
def test_who_does_not_begin_with_a_set_up_is_hung_up_on(tmp_path: Path, first: bytes) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, n2(net) as link:
            await link.send(0, Ppid.N2, first)
            assert await hung_up(link)
            link.abort()
            await until(lambda: len(net.cp._links) == 1)

    run(scenario())


def test_who_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp_module, "SETUP_SECONDS", 0.02)

    async def scenario() -> None:
        async with Network(tmp_path) as net, n2(net) as link:
            assert await hung_up(link)
            link.abort()
            await until(lambda: len(net.cp._links) == 1)

    run(scenario())


def test_a_message_for_nobody_makes_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, n2(net) as link:
            await link.send(0, Ppid.N2, control(N2SetupRequest("ran-2", PLMN, 2)))
            await said(link)
            for kind in (N2Kind.NAS, N2Kind.CONTROL):
                await link.send(0, Ppid.N2, N2Frame(RanUeId(9), CpUeId(0), kind, b"hello").encode())
            # Noise as first words makes a UE that nobody knows; it goes with its link.
            await link.send(0, Ppid.N2, N2Frame(RanUeId(9), CpUeId(0), N2Kind.INITIAL_NAS, b"hello").encode())
            await until(lambda: net.cp.ues == 1)
            # Another link cannot speak for it, whatever ids it writes.
            (ue,) = net.cp._ues.values()
            async with n2(net) as other:
                await other.send(0, Ppid.N2, control(N2SetupRequest("ran-3", PLMN, 3)))
                await said(other)
                frame = N2Frame(RanUeId(9), ue.endpoint.cp_ue_id, N2Kind.NAS, b"hello")
                await other.send(0, Ppid.N2, frame.encode())
            assert net.cp.ues == 1
            link.abort()
            await until(lambda: net.cp.ues == 0)

    run(scenario())


def test_the_port_is_known_only_while_it_listens(tmp_path: Path) -> None:
    async def scenario() -> None:
        net = Network(tmp_path)
        await net.start_cp()
        cp, port = net.cp, net.cp.port
        node = net.cp_node
        with pytest.raises(EnvironmentLacks, match=rf"cannot listen at 127\.0\.0\.1:{port}"):
            await net.start_cp(port)
        await net.close()  # the one that could not start
        assert node is not None
        await node.close()
        await cp.close()  # a second time does no harm
        net = Network(tmp_path)
        await net.start_cp()
        net.cp._listener, listener = None, net.cp._listener
        with pytest.raises(Misuse, match="does not listen"):
            _ = net.cp.port
        net.cp._listener = listener
        await net.close()

    run(scenario())


def record(identity: Eid | Supi, number: int, scope: Scope, ends_in: float | None) -> ContextRecord:
    ends = None if ends_in is None else datetime.now(UTC) + timedelta(seconds=ends_in)
    capability = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
    algorithms = Algorithms(Nea.NEA2, Nia.NIA2)
    guti = Guti(PLMN, 1, number)
    k_amf = Secret(bytes(32))
    return ContextRecord(
        guti=guti,
        identity=identity,
        scope=scope,
        state=ContextState.REGISTERED,
        ksi=0,
        k_amf=k_amf,
        algorithms=algorithms,
        capability=capability,
        expires_at=ends,
    )


def test_contexts_of_an_earlier_life_that_are_over_are_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        net = Network(tmp_path)
        eid = Eid.with_check_digits("890490320000000000000000000007")
        supi = [Supi.of_imsi(Imsi(f"00101000000000{number}")) for number in range(3)]
        async with net.stores() as (_, store):
            await store.save_context(record(eid, 1, Scope.PROVISIONING, 600))
            await store.save_context(record(supi[0], 2, Scope.ORDINARY, -1))
            await store.save_context(record(supi[1], 3, Scope.ORDINARY, 600))
            await store.save_context(record(supi[2], 4, Scope.ORDINARY, None))
            await net.start_cp()
            assert {int(context.guti.tmsi) for context in await store.contexts()} == {3, 4}
        assert net.cp.registered == 0, "their keys are not taken into use"
        await net.close()

    run(scenario())


def test_a_store_that_fails_is_the_networks_fault(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = (await net.device()).but(max_attempts=1)
            store = net.cp._setup.store

            async def broken(_eid: Eid) -> Any:
                raise StoreFailed("the disk is gone")

            store.device = broken  # type: ignore[method-assign]
            async with net.ue(device) as ue:
                ended = await ue.outcome()
            assert (ended.ok, ended.cause) == (False, Cause.NETWORK_FAILURE)
            assert any(item.role == "cp" and "the disk is gone" in item.detail for item in net.seen.of(StepEnded))
            await until(lambda: net.empty)

    run(scenario())


def test_a_device_that_is_thrown_out_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device()
            assert not net.cp.detach(device.order.supi, Cause.ILLEGAL_UE), "it is not there yet"
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                assert net.cp.detach(device.order.supi, Cause.ILLEGAL_UE)
                left = await ue.left()
                assert (left.cause, left.detail) == (Cause.ILLEGAL_UE, "the network detached the device")
                assert not ue.daemon.attached
                await until(lambda: net.empty)

    run(scenario())


def test_draining_detaches_everybody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            devices = [await net.device() for _ in range(2)]
            async with net.ue(devices[0]) as one, net.ue(devices[1]) as other:
                for ue in (one, other):
                    assert (await ue.outcome()).ok
                await net.cp.drain(5)
                assert net.cp.registered == 0
                for ue in (one, other):
                    assert (await ue.left()).cause is Cause.IMPLICITLY_DETACHED
                async with net.stores() as (_, store):
                    assert await store.contexts() == ()
                await until(lambda: net.empty)

    run(scenario())


def test_draining_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok

            async def deaf(_payload: bytes) -> None:
                await asyncio.Event().wait()

            net.ran._on_radio = lambda _radio, _payload: deaf(b"")  # type: ignore[method-assign,assignment]
            async with asyncio.timeout(5):
                await net.cp.drain(0.05)
            assert net.cp.registered == 1

    run(scenario())


def test_an_older_context_of_the_same_device_dies_when_the_new_one_is_verified(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device()
            assert (await net.attach(device)).ok
            unreachable = net.seen.next(enters("cp", "Unreachable"))
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
            await unreachable  # it vanished: the core remembers it
            assert net.cp.registered == 1
            (first,) = net.cp._registered.values()
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                await until(lambda: net.cp.ues == 1)
                (second,) = net.cp._registered.values()
                assert second is not first

    run(scenario())
