"""Step 6 and every other end: contexts, keys, session, TEIDs and filters are gone on UE, RAN and CP; a test looks."""

from dataclasses import replace

import pytest
from doubles import fake_scheme
from doubles.pki import EID
from doubles.world import World, left_over, ordinary, provisioning, then_download

from rprov.causes import Cause
from rprov.errors import Misuse
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure.endpoint import MAX_TOMBSTONE_ANSWERS
from rprov.wire import messages as nas
from rprov.wire.link import N2Kind, UeContextReleaseRequest, decode_n2_frame
from rprov.wire.messages import DetachAccept, DetachRequest

DOWN = ("n2", False)


def fake_world(**options) -> World:
    return World(fake_scheme.cp_side(), fake_scheme.ue_side(), **options)


def holding(*asks, world=None):
    """A world whose shell answers these questions only when told to."""
    world = world or fake_world()
    world.hold = lambda ask: isinstance(ask, asks)
    return world


def online(world, intent=None):
    ue = world.add_ue(intent or ordinary())
    world.pump()
    assert world.state(ue) == "Online"
    return ue


def downloading(world=None):
    """A device in the middle of step 5."""
    world = holding(act.Download, act.EnableProfile, world=world)
    ue = world.add_ue(provisioning())
    world.pump()
    assert world.state(ue) == "AwaitDownload"
    return world, ue


def erased(context) -> bool:
    try:
        _ = context.k_amf
    except Misuse:
        return True
    return False


# --- by the UE --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intent", [provisioning, then_download])
def test_after_the_detach_nothing_is_left_on_any_node(intent):
    world = holding(act.Download, act.EnableProfile)
    ue = world.add_ue(intent())
    world.pump()
    before = left_over(world, ue)
    assert set(before) == {
        *("keys", "cp", "ran", "registrations", "tunnels", "ran bearers", "ue bearers", "network", "connection"),
        *("all tunnels", "gutis"),
    }
    contexts = [ue.endpoint.nas.current, world.cp_ue(ue).nas.current]
    bearer = ue.bearers[1]
    assert not any(erased(context) for context in contexts)
    world.answer_held()
    assert world.state(ue) == "AwaitProfileEnabled"
    assert left_over(world, ue) == {}
    assert all(erased(context) for context in contexts)
    assert (world.rans, world.ran_bearers, world.tunnels, world.registered) == ({}, {}, {}, {})
    assert bearer not in ue.bearers.values()
    assert repr(ue.endpoint.access.state).startswith("InCell")
    world.hold = lambda ask: ask.__class__ is act.EnableProfile
    world.held.clear()
    world.fire_all()  # the tombstone, and whatever timer was forgotten
    assert world.cps == {}


def test_no_timer_outlives_a_detach():
    world, ue = downloading()
    world.answer_held()  # detached; the tombstone remains for a while
    moves = len(world.moves("ue")) + len(world.moves("ran"))
    world.held.clear()
    world.fire_all()
    assert len(world.moves("ue")) + len(world.moves("ran")) == moves
    assert [move.event for move in world.moves("cp")][-1] == "TimerFired"
    assert left_over(world, ue) == {}


def test_an_ordinary_subscriber_detaches_too():
    world = World()
    ue = online(world)
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    assert ue.outcome == act.Conclude(False, Cause.NORMAL, "detached")
    assert left_over(world, ue) == {}


def test_a_device_that_switches_off_waits_for_nobody():
    world = World()
    ue = online(world)
    world.ue_event(ue, ev.DetachWanted(switch_off=True))
    assert world.state(ue) == "Deregistered"
    world.pump()
    assert "DetachAccept" not in world.seen("ue")
    assert left_over(world, ue) == {}


@pytest.mark.parametrize("intent", [ordinary, provisioning])
def test_a_detach_in_the_middle_of_an_attach_leaves_nothing(intent):
    """Wanted at every point of the way, by the person who holds the device."""
    frames = 0
    while True:
        world = fake_world()
        world.hold = lambda ask: isinstance(ask, act.Download)
        ue = world.add_ue(intent())
        world.pump_frames(frames)
        if not world.flying:
            break
        world.ue_event(ue, ev.DetachWanted())
        world.pump()
        world.fire_all()
        assert world.state(ue) == "Deregistered", frames
        assert ue.outcome.cause is Cause.NORMAL, frames
        assert left_over(world, ue) == {}, frames
        frames += 1
    assert frames > 20


def test_a_repeated_detach_is_answered_again_though_the_keys_are_gone():
    world, ue = downloading()
    lost = []

    def lose_the_end(frame):
        if (frame.link, frame.up) == ("radio", False) and "DetachRequest" in world.seen("ue"):
            lost.append(frame)
            return []
        return [frame]

    world.between = lose_the_end
    cp = world.cp_ue(ue)
    world.answer_held()
    assert world.state(ue) == "AwaitDetachAccept"
    assert type(cp.nas.machine.state).__name__ == "Gone"
    assert cp.nas.current is None
    # The RAN has let the UE go, so its repetition reaches the CP by hand, as over a link that still has it.
    again = ue.endpoint.nas._protected(DetachRequest(Cause.NORMAL)).pdu
    answers = []
    frame = first_n2(world)
    for _ in range(MAX_TOMBSTONE_ANSWERS + 3):
        answers += list(cp.receive(replace(frame, kind=N2Kind.NAS, payload=again), world.cp_env))
    sent = [a for a in answers if isinstance(a, act.Transmit)]
    assert len(sent) == MAX_TOMBSTONE_ANSWERS
    accept = decode_n2_frame(sent[0].octets).payload
    world.hold = lambda ask: True
    actions = ue.endpoint._nas(ue.endpoint.nas.receive(accept, world.ue_env(ue)), world.ue_env(ue))
    assert any(isinstance(a, act.Asked) and isinstance(a.ask, act.EnableProfile) for a in actions)


def first_n2(world):
    return decode_n2_frame(next(frame for frame in world.log if frame.link == "n2").octets)


def test_a_tombstone_answers_only_what_could_be_a_detach():
    world, ue = downloading()
    cp = world.cp_ue(ue)
    world.answer_held()
    frame = first_n2(world)
    plain = b"\0" + world.nas.encode(nas.AttachRequest(nas.AttachType.INITIAL, EID, 7, ue.policy.capability))
    for junk in (plain, b"\0" + world.nas.encode(DetachRequest(Cause.NORMAL)), b"\x09junk", b"\0"):
        out = cp.receive(replace(frame, kind=N2Kind.NAS, payload=junk), world.cp_env)
        assert [type(action) for action in out] == [act.Report], junk


def test_a_tombstone_goes_away():
    world, ue = downloading()
    cp = world.cp_ue(ue)
    world.answer_held()
    assert type(cp.nas.machine.state).__name__ == "Gone"
    left = world.now + world.cp_policy.timers.tombstone
    world.held.clear()
    world.fire_all()
    assert world.cps == {}
    assert world.now >= left


def test_a_detach_without_keys_ends_a_stranger_and_proves_nothing():
    world = fake_world()
    ue = world.add_ue(provisioning())
    world.pump_frames(4)  # the attach request is with the CP
    frame = first_n2(world)
    plain = b"\0" + world.nas.encode(DetachRequest(Cause.NORMAL))
    cp = world.cps[1000]
    world._cp(cp, cp.receive(replace(frame, kind=N2Kind.NAS, payload=plain), world.cp_env))
    assert world.steps("cp") == []
    world.flying.clear()
    world.between = lambda _: []
    world.fire_all()
    assert left_over(world, ue) == {"ran": ["RanConnected"]}  # its release command was lost with the rest


# --- by the network ---------------------------------------------------------------------------------------------------


def test_the_cp_detaches_at_the_end_of_the_lifetime():
    world, ue = downloading()
    world.fire_all(until=599)
    world.held.clear()
    world, ue = downloading()
    ue.policy = replace(ue.policy, timers=replace(ue.policy.timers, download=10_000.0))
    world = holding(act.Download)
    ue = world.add_ue(timers=replace(world.ran_policy.timers, download=10_000.0))
    world.want(ue, provisioning())
    world.pump()
    contexts = [ue.endpoint.nas.current, world.cp_ue(ue).nas.current]
    while not ue.outcome:
        world.fire()
    assert world.now == 600
    assert ue.outcome.cause is Cause.SCOPE_EXPIRED
    assert ue.outcome.cause.text in [i.detail for i in world.items if hasattr(i, "detail") and i.role == "ue"][-1]
    assert world.steps("ue")[-1] == (5, False)
    assert left_over(world, ue) == {}
    assert all(erased(context) for context in contexts)
    world.fire_all()
    assert world.cps == {}


def test_a_silent_device_is_out_after_five_detach_requests():
    world = holding(act.Download)
    ue = world.add_ue(timers=replace(world.ran_policy.timers, download=10_000.0))
    world.want(ue, provisioning())
    world.pump()
    world.between = lambda frame: [] if frame.link == "radio" else [frame]
    sent = len(world.log)
    while world.cp_of[1] in world.cps and type(world.cp_ue(ue).nas.machine.state).__name__ != "Gone":
        world.fire()
    down = [f for f in world.log[sent:] if (f.link, f.up) == DOWN]
    kinds = [decode_n2_frame(frame.octets).kind for frame in down]
    assert kinds == [N2Kind.NAS] * 5 + [N2Kind.CONTROL]
    assert world.now == 600 + 5 * world.cp_policy.timers.t3522
    assert (world.tunnels, world.gutis, world.registered, world.ran_bearers) == ({}, {}, {}, {})


@pytest.mark.parametrize("intent", [ordinary, provisioning])
def test_the_operator_detaches_a_device(intent):
    world = holding(act.Download)
    ue = world.add_ue(intent())
    world.pump()
    world.cp_event(int(world.cp_ue(ue).cp_ue_id), ev.DetachOrdered(Cause.CERTIFICATE_REVOKED))
    world.pump()
    assert ue.outcome.cause is Cause.CERTIFICATE_REVOKED
    assert world.state(ue) == "Deregistered"
    assert left_over(world, ue) == {}


def test_the_operator_detaches_a_device_at_any_point_of_its_attach():
    frames = 3
    while True:
        world = holding(act.Download)
        ue = world.add_ue(provisioning(), max_attempts=1)
        world.pump_frames(frames)
        if not world.flying:
            break
        for number in list(world.cps):
            world.cp_event(number, ev.DetachOrdered(Cause.CERTIFICATE_REVOKED))
        world.pump()
        world.fire_all()
        if world.cp_of:
            assert world.state(ue) == "Deregistered", frames
            assert left_over(world, ue) == {}, frames
        frames += 1
    assert frames > 20


def test_two_detaches_that_cross_both_end_and_the_device_goes_on():
    """The scope ends while the device is leaving with its profile: it has what it came for."""
    world, ue = downloading()
    sent = len(world.log)
    cp = world.cp_ue(ue)
    world.held.popleft()()  # downloaded: the DetachRequest is on its way up ...
    world.cp_event(int(cp.cp_ue_id), ev.DetachOrdered(Cause.SCOPE_EXPIRED))  # ... and another one on its way down
    assert len(world.log) == sent + 2
    world.flying.rotate(1)
    world.pump()
    assert world.state(ue) == "AwaitProfileEnabled"
    assert left_over(world, ue) == {}


# --- late answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["detach", "lifetime", "radio", "ordered", "n2"])
def test_a_tunnel_that_opens_too_late_is_closed(ends):
    world = holding(act.OpenTunnel)
    ue = world.add_ue(provisioning(), max_attempts=1)
    world.pump()
    cp = world.cp_ue(ue)
    assert type(cp.nas.machine.state).__name__ == "AwaitTunnel"
    assert len(world.tunnels) == 1
    match ends:
        case "detach":
            world.ue_event(ue, ev.DetachWanted())
        case "radio":
            world.lose_radio(ue)
        case "n2":
            world.lose_n2()
        case "ordered":
            world.cp_event(int(cp.cp_ue_id), ev.DetachOrdered(Cause.CERTIFICATE_REVOKED))
        case "lifetime":
            world.between = lambda frame: [] if frame.link == "radio" else [frame]
            world.fire_all(until=600)
    world.pump()
    world.answer_held()
    assert world.tunnels == {}
    world.between = lambda frame: [frame]
    world.fire_all()
    assert left_over(world, ue) == {}


def test_a_bearer_that_opens_too_late_is_closed():
    world = holding(act.OpenRadioBearer)
    ue = world.add_ue(provisioning())
    world.pump()
    assert len(world.ran_bearers) == 1
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    assert world.ran_bearers == {}
    world.answer_held()
    assert left_over(world, ue) == {}


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intent", [ordinary, provisioning])
def test_a_device_that_lost_power_attaches_again_while_the_cp_still_holds_its_context(intent):
    world = holding(act.Download)
    ue = world.add_ue(intent())
    world.pump()
    old = world.cp_ue(ue)
    guti, tunnel = next(iter(world.gutis)), next(iter(world.tunnels))
    context = old.nas.current
    world.restart(ue)
    assert old.nas.current is context
    world.want(ue, intent())
    world.pump()
    assert world.state(ue) == ("Online" if intent is ordinary else "AwaitDownload")
    new = world.cp_ue(ue)
    assert new is not old
    assert erased(context)
    assert guti not in world.gutis
    assert tunnel not in world.tunnels
    assert list(world.registered.values()) == [new.cp_ue_id]
    assert (len(world.gutis), len(world.tunnels), len(world.rans), len(world.ran_bearers)) == (1, 1, 1, 1)
    world.fire_all(until=world.now + 100)
    assert list(world.cps.values()) == [new]


def test_the_old_context_lives_until_the_new_one_is_proved():
    """A stranger with the victim's EID gets as far as its certificate, and the victim notices nothing."""
    world, ue = downloading()
    victim = world.cp_ue(ue)
    state, context = victim.nas.machine.state, victim.nas.current
    world.cp_engines = replace(world.cp_engines, certificate=fake_scheme.cp_side(Cause.UNKNOWN_CI))
    stranger = world.add_ue(provisioning())
    world.pump()
    assert stranger.outcome.cause is Cause.UNKNOWN_CI
    assert victim.nas.machine.state is state
    assert victim.nas.current is context
    assert not erased(context)
    assert list(world.registered.values()) == [victim.cp_ue_id]
    world.answer_held()
    assert world.state(ue) == "AwaitProfileEnabled"


def test_a_stranger_with_the_wrong_secret_does_not_supersede_anybody():
    """It passes the authentication of the CP somehow, but cannot complete the security mode."""
    world, ue = downloading()
    victim = world.cp_ue(ue)
    context = victim.nas.current
    world.ue_certificate = fake_scheme.ue_side(secret=b"another secret")
    stranger = world.add_ue(provisioning(), max_attempts=1)
    world.pump()
    world.fire_all(until=200)
    assert stranger.outcome.cause is Cause.PEER_SILENT
    assert victim.nas.current is context
    assert not erased(context)


@pytest.mark.parametrize(("at_ue", "at_ran"), [(True, True), (True, False), (False, True)])
def test_a_lost_radio_link_closes_the_session_at_once_and_the_registration_in_time(at_ue, at_ran):
    world, ue = downloading()
    ue.policy = replace(ue.policy, max_attempts=1)
    world.lose_radio(ue, at_ue, at_ran)
    world.between = lambda frame: [] if frame.link == "radio" else [frame]
    world.pump()
    if at_ran:
        assert (world.tunnels, world.ran_bearers, world.rans) == ({}, {}, {})
        assert type(world.cp_ue(ue).nas.machine.state).__name__ == "Unreachable"
    world.fire_all()
    assert ue.outcome is not None
    assert left_over(world, ue) == {}
    assert world.cps == {}


def test_a_release_that_the_ran_asks_for_while_it_is_commanded_is_commanded_once():
    """The device hangs up as soon as it has said DetachRequest: command and request cross on N2."""
    world = World()
    ue = online(world)
    world.ue_event(ue, ev.DetachWanted(switch_off=True))
    world.pump_frames(2)  # over the radio and N2: the CP has commanded
    assert type(world.cp_ue(ue).nas.machine.state).__name__ == "Releasing"
    world.lose_radio(ue, at_ue=False)
    world.pump()
    control = [decode_n2_frame(frame.octets) for frame in world.log if frame.link == "n2"]
    names = [type(world.link.decode(frame.payload)).__name__ for frame in control if frame.kind is N2Kind.CONTROL]
    assert names.count("UeContextReleaseRequest") == 1
    assert names.count("UeContextReleaseCommand") == names.count("UeContextReleaseComplete") == 1
    world.fire_all()
    assert left_over(world, ue) == {}


def test_an_unreachable_device_ends_at_the_end_of_its_scope():
    world, ue = downloading()
    world.fire_all(until=100)
    world.now = 100.0
    world.lose_radio(ue, at_ue=False)
    world.pump()
    world.held.clear()
    world.fire_all(until=599)
    assert len(world.cps) == 1
    world.fire_all(until=601)
    assert world.cps == {}
    assert (world.gutis, world.registered) == ({}, {})


def test_without_n2_nobody_is_served():
    world, ue = downloading()
    world.lose_n2()
    world.pump()
    assert (world.rans, world.ran_bearers, world.tunnels) == ({}, {}, {})
    assert world.state(ue) == "AwaitRetry"
    assert ue.endpoint.nas.current is None
    world.fire_all(until=60)
    assert world.state(ue) == "AwaitDownload"
    assert len(world.registered) == 1


@pytest.mark.parametrize("intent", [ordinary, provisioning])
def test_a_radio_lost_at_any_point_of_an_attach_leaves_nothing(intent):
    frames = 1
    while True:
        world = holding(act.Download)
        ue = world.add_ue(intent(), max_attempts=1)
        world.pump_frames(frames)
        if not world.flying:
            break
        world.lose_radio(ue)
        world.pump()
        world.fire_all()
        assert ue.outcome.cause is Cause.RADIO_LINK_LOST, frames
        assert left_over(world, ue) == {}, frames
        frames += 1
    assert frames > 20


def test_a_ran_that_asks_twice_gets_the_release_once():
    world, ue = downloading()
    ran = world.ran_of(ue)
    world.link_event(ue, UeContextReleaseRequest(Cause.RADIO_LINK_LOST))
    world.link_event(ue, UeContextReleaseRequest(Cause.RADIO_LINK_LOST))
    world.pump()
    assert world.rans == {}
    assert type(world.cp_ue_by(ran).nas.machine.state).__name__ == "Unreachable"


# --- a session of its own ---------------------------------------------------------------------------------------------


def test_a_released_session_is_gone_and_the_device_stays():
    world = World()
    ue = online(world)
    out = ue.endpoint.nas._protected(nas.PduSessionReleaseRequest(1))
    world._ue(ue, ue.endpoint._nas([out], world.ue_env(ue)))
    world.pump()
    assert (world.tunnels, world.ran_bearers, ue.bearers) == ({}, {}, {})
    assert type(world.cp_ue(ue).nas.machine.state).__name__ == "Attached"
    assert world.state(ue) == "Online"
    assert left_over(world, ue).keys() == {"keys", "cp", "ran", "registrations", "connection", "gutis"}


def test_the_answer_to_a_detach_is_protected():
    world = World()
    ue = online(world)
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    accept = b"\0" + world.nas.encode(DetachAccept())
    assert not any(accept in frame.octets for frame in world.log)
