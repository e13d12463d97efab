"""Whole runs in one process over real sockets: a device from nothing to an ordinary subscriber, and what is left."""

from pathlib import Path
from typing import cast

import pytest
from doubles.network import Network, ends, enters, run, until
from doubles.sockets import sockets

from rprov.daemon.card import CardHolder
from rprov.daemon.ue import UeDaemon, sentence
from rprov.model.policy import Timers
from rprov.model.report import MessageSeen
from rprov.model.settings import CredentialKind, Plan
from rprov.store.ordering import draw_order
from rprov.wiring.ue import give_initial_profile, open_card, open_ue

SHORT = Timers(tombstone=0.05)


def test_a_device_goes_through_all_seven_steps(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            async with net.ue(device) as ue:
                ended = await ue.outcome()
                assert ended.ok, ended
                assert ue.daemon.subscriber == device.names
                assert net.seen.steps() == [(step, True) for step in range(1, 8)]
                assert net.cp.registered == 1

    run(scenario())


def test_nothing_is_left_of_the_attach_for_provisioning(tmp_path: Path) -> None:
    before = sockets()

    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device()
            released = net.seen.next(enters("cp", "Gone"))
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                await released
                # One of each, and it is the ordinary one: its address is of the ordinary pool.
                await until(lambda: net.cp.ues == net.ran.ues == 1)
                assert len(net.sessions) == net.up.sessions == net.ran_plane.bearers == 1
                assert net.cp.registered == 1
                assert ue.daemon.network is not None
                assert str(ue.daemon.network.address) == "10.45.128.1"
                async with net.stores() as (_, cp_store):
                    (context,) = await cp_store.contexts()
                assert str(context.identity) == str(device.order.supi)
                await ue.daemon.detach(5)
            await until(lambda: net.empty)
            async with net.stores() as (_, cp_store):
                assert await cp_store.contexts() == ()

    run(scenario())
    assert sockets() == before


def test_the_card_keeps_its_profile_and_attaches_with_it_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            assert (await net.attach(device)).ok
            card, close = await open_card(device.settings)
            assert (card.has_subscription, card.names) == (True, device.names)
            await close()
            # Whatever it was made for, a device that has a subscription attaches with it and fetches nothing.
            for plan in (Plan.ATTACH, Plan.PROVISION):
                net.seen.items.clear()
                assert (await net.attach(device, plan)).ok
                assert net.seen.steps() == [(7, True)]
                assert not any(item.link == "es9" for item in net.seen.of(MessageSeen))

    run(scenario())


def test_the_euicc_itself_may_prove_the_device(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            assert (await net.attach(await net.device(credential=CredentialKind.EUICC))).ok

    run(scenario())


def test_a_subscriber_fetches_another_profile_over_its_ordinary_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = await net.device(plan=Plan.DOWNLOAD)
            initial = draw_order(device.eid, net.cp._setup.policy.plmn, lambda size: bytes(range(size)))
            async with net.stores() as (_, cp_store):
                await cp_store.add_subscriber(initial.subscriber)
            await give_initial_profile(device.settings, initial.package)
            first = net.seen.next(ends(4))
            async with net.ue(device) as ue:
                await first
                assert ue.daemon.subscriber == (str(initial.order.imsi), str(initial.order.iccid))
                assert net.cp._registered.keys() == {initial.order.supi}
                assert (await ue.outcome()).ok
                assert ue.daemon.subscriber == device.names
                assert net.cp._registered.keys() == {device.order.supi}
                assert net.seen.steps() == [(step, True) for step in range(1, 8)]
                # No certificate was asked for, and no session for provisioning was there.
                assert not any("eap" in item.name.lower() for item in net.seen.of(MessageSeen))
                assert "10.45.0." not in " ".join(str(item) for item in net.seen.items)

    run(scenario())


def test_five_devices_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            devices = [await net.device() for _ in range(5)]
            running = [net.ue(device) for device in devices]
            ues = [await context.__aenter__() for context in running]
            try:
                for ue, device in zip(ues, devices, strict=True):
                    assert (await ue.outcome()).ok
                    assert ue.daemon.subscriber == device.names
                await until(lambda: net.cp.ues == net.ran.ues == net.ran_plane.bearers == len(net.sessions) == 5)
                addresses = {ue.daemon.network.address for ue in ues if ue.daemon.network is not None}
                assert len(addresses) == 5
            finally:
                for context in running:
                    await context.__aexit__(None, None, None)

    run(scenario())


@pytest.mark.parametrize("state", ["AwaitDetachAccept", "AwaitProfileEnabled"])
def test_a_device_that_is_switched_off_between_download_and_attach_uses_what_it_has(tmp_path: Path, state: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            reached = net.seen.next(enters("ue", state))

            async def never_enabled(holder: CardHolder, iccid: object) -> None:
                raise AssertionError("the power went before")

            async with net.ue(device) as ue:
                ue.daemon._setup.card.enable = never_enabled.__get__(ue.daemon._setup.card)  # type: ignore[method-assign]
                await reached
            net.seen.items.clear()
            # The order is fulfilled: a second download would be refused, and is not needed.
            assert (await net.attach(device)).ok
            assert net.seen.steps() == [(7, True)]

    run(scenario())


def test_one_card_in_two_devices_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            node, intent = await open_ue(device.settings, net.seen)  # has read the card, and waits
            twin = cast("UeDaemon", node.daemon)
            try:
                assert (await net.attach(device)).ok
                await twin.start(intent)
                ended = await twin.outcome()
            finally:
                await node.close()
            assert not ended.ok
            assert "somebody else plays it" in sentence(ended)
            # What the first one has made of the card is not touched.
            assert (await net.attach(device, Plan.ATTACH)).ok

    run(scenario())
