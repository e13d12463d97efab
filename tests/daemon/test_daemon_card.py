"""The device's hold on its card: nothing that the card accepted is lost, and no two save at a time."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from doubles.loop import run, settle
from doubles.wrong_certificates import issuing

from rprov.auth.usim import next_sqn
from rprov.cli.demo_files import PLMN, DemoFiles
from rprov.daemon.card import CardHolder
from rprov.errors import ConfigError, Misuse, Refused
from rprov.model.identifiers import Eid, Iccid
from rprov.model.settings import CredentialKind, Plan, UeSettings
from rprov.procedure.purpose import Purpose
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.euicc.state import CardState
from rprov.store.ordering import draw_order
from rprov.store.pki import issue_euicc
from rprov.wiring.ue import intent_of, open_card

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EID = Eid.with_check_digits("890490320000000000000000000007")


class Slow:
    """A store that takes its time, and notices whoever does not follow on what it has."""

    def __init__(self) -> None:
        self.states: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0
        self.error: Exception | None = None

    async def save(self, eid: Eid, state: bytes, after: int = 0) -> int:
        assert eid == EID
        self.under_way += 1
        assert self.under_way == 1, "two save at a time"
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            assert after == len(self.states), "it has not seen the state before"
            self.states.append(state)
            return len(self.states)
        finally:
            self.under_way -= 1


def holder(store: Slow) -> CardHolder:
    euicc = Euicc(CardState(EID, ()), {}, (), lambda size: bytes(size), NOW)
    return CardHolder(euicc, store, 0)


def change(card: CardHolder, number: int) -> None:
    card._euicc.state = replace(card._euicc.state, next_sequence=number)


def test_a_state_is_saved_once() -> None:
    async def scenario() -> None:
        store = Slow()
        card = holder(store)
        await card.save()
        await card.save()
        assert len(store.states) == 1, "nothing has changed"
        change(card, 5)
        await card.save()
        assert [CardState.decode(octets).next_sequence for octets in store.states] == [1, 5]

    run(scenario())


def test_two_who_save_take_turns_and_the_last_state_is_kept() -> None:
    async def scenario() -> None:
        store = Slow()
        card = holder(store)
        store.gate.clear()
        first = asyncio.create_task(card.save())
        await settle()
        change(card, 3)
        second = asyncio.create_task(card.save())
        await settle()
        store.gate.set()
        await asyncio.gather(first, second)
        assert [CardState.decode(octets).next_sequence for octets in store.states] == [1, 3]

    run(scenario())


def test_a_save_that_nobody_waits_for_any_more_counts() -> None:
    async def scenario() -> None:
        store = Slow()
        card = holder(store)
        store.gate.clear()
        task = asyncio.create_task(card.save())
        await settle()
        task.cancel()
        await settle()
        store.gate.set()
        change(card, 2)
        await card.save()
        assert [CardState.decode(octets).next_sequence for octets in store.states] == [1, 2]

    run(scenario())


def test_a_store_that_fails_is_told_and_tried_again() -> None:
    async def scenario() -> None:
        store = Slow()
        card = holder(store)
        store.error = OSError("full")
        with pytest.raises(OSError, match="full"):
            await card.save()
        store.error = None
        await card.save()
        assert len(store.states) == 1

    run(scenario())


# --- a whole card -----------------------------------------------------------------------------------------------------


@pytest.fixture
def device(tmp_path: Path) -> UeSettings:
    files = DemoFiles(tmp_path)
    files.prepare()
    return files.ue(files.new_device(), 1, CredentialKind.DEVICE)


def package(settings: UeSettings) -> tuple[Any, Iccid]:
    assert settings.eid is not None
    new = draw_order(settings.eid, PLMN, lambda size: bytes(range(size)))
    return new, new.order.iccid


def test_a_profile_given_by_the_maker_is_used_and_kept(device: UeSettings) -> None:
    async def scenario() -> None:
        new, iccid = package(device)
        card, close = await open_card(device)
        assert not card.has_subscription
        assert card.names == ("", "")
        for what in (card.subscription, card.usim):
            with pytest.raises(Misuse, match="no profile is enabled"):
                what()
        card.give(new.package)
        assert card.names == (str(new.order.imsi), str(iccid))
        assert card.usim() is card.usim()
        # What the USIM has accepted is kept with the card.
        card.usim()._sqn_array = (next_sqn(0) >> 5, *card.usim().sqn_array[1:])
        await card.save()
        await close()
        again, close = await open_card(device)
        assert again.usim().sqn_array == card.usim().sqn_array
        assert await again.enable(iccid) == card.subscription()
        with pytest.raises(Refused):
            await again.enable(Iccid("89882110000005300811"))
        await close()

    run(scenario())


def test_a_profile_that_was_never_enabled_is_what_an_earlier_download_left(device: UeSettings) -> None:
    async def scenario() -> None:
        new, iccid = package(device)
        card, close = await open_card(device)
        assert card.never_used is None
        assert (await intent_of(Plan.PROVISION, card)).purpose is Purpose.PROVISIONING
        for plan in (Plan.ATTACH, Plan.DOWNLOAD):
            with pytest.raises(ConfigError, match=f"plan: {plan} needs an enabled profile"):
                await intent_of(plan, card)
        card.give(new.package)
        assert card.never_used is None, "it is enabled"
        (profile,) = card._euicc.state.profiles
        card._euicc.state = replace(card._euicc.state, profiles=(replace(profile, enabled=False),))
        assert card.never_used == iccid
        assert (await intent_of(Plan.PROVISION, card)).purpose is Purpose.ORDINARY
        assert card.names[1] == str(iccid)
        assert (await intent_of(Plan.DOWNLOAD, card)).purpose is Purpose.ORDINARY_THEN_DOWNLOAD
        # One that was used and disabled is somebody's choice.
        used = replace(profile, enabled=False, contents=replace(profile.contents, sqn_array=(1 << 5,) + (0,) * 31))
        card._euicc.state = replace(card._euicc.state, profiles=(used,))
        assert card.never_used is None
        await close()

    run(scenario())


def test_a_card_that_gets_another_certificate_is_refused(device: UeSettings, tmp_path: Path) -> None:
    async def scenario() -> None:
        card, close = await open_card(device)
        await card.save()
        await close()
        assert device.eid is not None
        for path in (device.euicc.certificate.chain, device.euicc.certificate.key):
            path.unlink()
        issue_euicc(tmp_path / "pki", issuing(), device.eid, f"euicc-{device.eid}")
        with pytest.raises(ConfigError, match="was made with another certificate"):
            await open_card(device)

    run(scenario())
