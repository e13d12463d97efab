"""Steps 1 to 3 with an AAA server behind the CP, all in memory: keys, ABBA on its way, and noes under keys."""

from dataclasses import replace

import pytest
from doubles import certificates
from doubles.memory_aaa import MemoryAaa, msk_side
from doubles.pki import EID, OTHER_EID
from doubles.world import World, left_over, plain_nas, provisioning, read_plain, rewrite_plain

from rprov.causes import Cause
from rprov.model.policy import Timers
from rprov.model.records import DeviceRecord
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.wire import messages as nas
from rprov.wire.messages import ABBA, ABBA_MSK


def world(aaa: MemoryAaa | None = None, ue=None) -> World:
    """A network behind an AAA server."""
    made = World(MemoryAaa.cp_side(), ue or msk_side())
    made.aaa = aaa or MemoryAaa()
    return made


def attach(made: World, eid=EID, **policy):
    ue = made.add_ue(provisioning(eid), **{"msk_allowed": True, "max_attempts": 1, **policy})
    made.pump()
    return ue


def swap_abba(made: World, old: bytes, new: bytes) -> None:
    """Somebody on the radio changes where the keys are said to come from, in every challenge."""

    def between(frame):
        message = read_plain(made, frame) if frame.link == "radio" and not frame.up else None
        if isinstance(message, nas.AuthenticationRequest) and message.abba == old:
            return [rewrite_plain(made, frame, replace(message, abba=new))]
        return [frame]

    made.between = between


def sent(made: World, kind: type) -> list:
    return [message for message in plain_nas(made, up=False) if isinstance(message, kind)]


def test_the_whole_attach():
    made = world()
    ue = attach(made)
    assert made.steps()[:6] == [(step, True) for step in range(1, 7)]
    assert ue.outcome is None or ue.outcome.ok
    assert {message.abba for message in sent(made, nas.AuthenticationRequest)} >= {ABBA_MSK}


def test_no_challenge_waits_for_the_device_while_the_server_is_asked():
    made = world()
    made.hold = lambda ask: isinstance(ask, act.AskAaa)
    ue = attach(made)
    assert type(made.cp_ue(ue).nas.machine.state).__name__ == "AwaitAaa"
    assert not sent(made, nas.AuthenticationRequest)
    while made.held:
        made.answer_held()
        made.pump()
    assert made.steps()[:6] == [(step, True) for step in range(1, 7)]


def test_a_challenge_that_is_lost_is_repeated_and_the_server_is_not_asked_again():
    made = world()
    lost = []

    def between(frame):
        message = read_plain(made, frame) if frame.link == "radio" and not frame.up else None
        if isinstance(message, nas.AuthenticationRequest) and not lost:
            lost.append(message)
            return []
        return [frame]

    made.between = between
    attach(made)
    asked = len(made.aaa.asked)
    assert asked == 1
    made.fire_all(until=Timers().t3560 + 1)
    made.pump()
    assert made.steps()[:6] == [(step, True) for step in range(1, 7)]


def test_abba_goes_into_the_keys_of_both_ends():
    """EMSK in place of MSK: the command's MAC is of other keys, and the device says nothing more."""
    made = world()
    swap_abba(made, ABBA_MSK, ABBA)
    ue = attach(made)
    assert "SecurityModeComplete" not in made.seen()
    assert made.state(ue) == "AwaitSecurityMode"
    made.fire_all(until=60)
    assert not ue.outcome.ok
    assert left_over(made, ue) == {}


def test_msk_in_place_of_emsk():
    """A network with a server of its own, and a device that would give an MSK to the very same certificate."""
    made = World(certificates.cp_side(), msk_side())
    swap_abba(made, ABBA, ABBA_MSK)
    ue = attach(made)
    assert "SecurityModeComplete" not in made.seen()
    made.fire_all(until=60)
    assert not ue.outcome.ok


def test_a_device_that_allows_no_msk_does_not_begin():
    made = world()
    ue = attach(made, msk_allowed=False)
    assert ue.outcome.cause is Cause.REQUEST_REJECTED
    assert made.seen("ue").count("AuthenticationResponse") == 0


@pytest.mark.parametrize("hidden", [False, True])
def test_a_device_without_an_order_is_turned_away_under_its_keys(hidden):
    made = world()
    made.devices[EID] = DeviceRecord(EID, None)
    ue = attach(made, hide_eid=hidden)
    assert ue.outcome.cause is Cause.NO_ORDER
    assert not sent(made, nas.AttachReject)  # not one that anybody on the radio could have made
    assert not sent(made, nas.AuthenticationReject)
    assert not made.registered
    assert not made.tunnels
    made.fire_all()
    assert left_over(made, ue) == {}


def test_the_eid_of_another_registers_nobody():
    made = world()
    ue = attach(made, OTHER_EID)
    assert ue.outcome.cause is Cause.EID_MISMATCH
    assert not made.registered


def test_who_is_turned_away_is_never_let_in_whatever_is_lost():
    made = world()
    made.devices[EID] = DeviceRecord(EID, None)

    def states():
        return {type(cp.nas.machine.state).__name__: cp.nas.machine.state for cp in made.cps.values()}

    def between(frame):
        return [] if frame.up and "AwaitSecurityModeComplete" in states() else [frame]

    made.between = between
    attach(made)
    assert states()["AwaitSecurityModeComplete"].refusal.cause is Cause.NO_ORDER
    made.fire_all(until=120)
    assert not states()
    assert not made.registered


def test_a_silent_server_is_the_networks_fault_and_the_device_comes_again():
    made = world()
    made.aaa = lambda request: ev.AaaSilent("no answer of aaa")
    ue = attach(made, max_attempts=2)
    (reject,) = sent(made, nas.AttachReject)
    assert (reject.cause, reject.backoff) == (Cause.NETWORK_FAILURE, made.cp_policy.backoff)
    assert made.state(ue) == "AwaitRetry"
    made.aaa = MemoryAaa()
    made.fire_all(until=made.now + made.cp_policy.backoff + 1)
    made.pump()
    assert made.steps()[-7:] == [(step, True) for step in range(1, 8)]


def test_a_shell_that_fails_is_the_networks_fault_too():
    made = world()
    made.aaa = lambda request: ev.StoreFailed("out of sockets")
    ue = attach(made)
    assert ue.outcome.cause is Cause.NETWORK_FAILURE


def test_the_last_words_of_a_device_reach_the_server():
    made = world(ue=msk_side(name="another.example"))
    ue = attach(made)
    assert ue.outcome.cause is Cause.NETWORK_NAME_MISMATCH
    assert [type(item) for item in made.asks][-1] is act.TellAaa
    assert [item.cause for item in made.aaa.ended] == [Cause.EAP_FAILED]
    (said,) = [item for item in made.items if getattr(item, "role", "") == "cp" and getattr(item, "ok", True) is False]
    assert Cause.NETWORK_NAME_MISMATCH.text in said.detail
