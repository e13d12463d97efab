"""Whole runs: three cores in memory, from the attach request to an ordinary session."""

from dataclasses import replace

import pytest
from doubles import certificates, fake_scheme
from doubles.pki import EID, PLMN, seeded
from doubles.samples import GUTI, SUCI
from doubles.world import (
    IMSI,
    SERVER,
    World,
    left_over,
    ordinary,
    plain_nas,
    provisioning,
    read_plain,
    rewrite_plain,
    then_download,
)

from rprov.causes import Cause
from rprov.crypto.suci import conceal
from rprov.errors import Misuse
from rprov.model.identifiers import Supi, UeRadioId
from rprov.model.policy import MAX_BACKOFF
from rprov.model.records import SubscriberRecord
from rprov.model.report import MessageSeen
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure import s1_attach
from rprov.procedure.purpose import Purpose, Step
from rprov.procedure.radio_connection import MAX_REJECT_WAIT
from rprov.wire import messages as nas
from rprov.wire.link import decode_n2_frame
from rprov.wire.radio import RadioFrame, RrcReject, decode_radio_frame
from rprov.wire.radio_asn1 import RadioAsn1

SCHEMES = {
    "fake": (fake_scheme.cp_side, fake_scheme.ue_side),
    "EAP-TLS": (certificates.cp_side, certificates.ue_side),
}
SUCI_OF_IMSI = conceal(IMSI, PLMN, "0", 0, 0, None, seeded())
ALL_STEPS = [(step, True) for step in Step]


def fake_world(**options) -> World:
    return World(fake_scheme.cp_side(), fake_scheme.ue_side(), **options)


def causes(world: World) -> list[Cause]:
    """Causes of the rejects that crossed the radio unprotected."""
    kinds = (nas.AttachReject, nas.AuthenticationReject)
    return [message.cause for message in plain_nas(world, up=False) if isinstance(message, kinds)]


# --- the seven steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_device_without_a_subscription_ends_as_an_ordinary_subscriber(scheme):
    network, device = SCHEMES[scheme]
    world = World(network(), device())
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert world.state(ue) == "Online"
    assert world.steps("ue") == ALL_STEPS
    assert world.steps("cp") == [(step, True) for step in (2, 3, 4, 6)]
    assert world.discards() == []
    assert ue.downloads == [act.Download((SERVER,))]
    assert ue.network is not None
    registered = [type(identity) for identity in world.gutis.values()]
    assert registered == [Supi]


def test_the_messages_come_in_the_order_of_the_steps():
    world = fake_world()
    world.add_ue(provisioning())
    world.pump()
    seen = [item for item in world.items if isinstance(item, MessageSeen) and item.role == "ue"]
    assert [item.step for item in seen] == sorted(item.step for item in seen)
    attach = ["RrcSetupRequest", "RrcSetup", "AttachRequest"]
    rest = [
        *("SecurityModeCommand", "SecurityModeComplete", "AsSecurityModeCommand", "AsSecurityModeComplete"),
        *("AttachAccept", "AttachComplete", "PduSessionRequest"),
        *("RrcReconfiguration", "RrcReconfigurationComplete", "PduSessionAccept"),
    ]
    round_trip = ["AuthenticationRequest", "AuthenticationResponse"]
    first = [*attach, *round_trip, *round_trip, *rest, "DetachRequest", "DetachAccept"]
    assert [item.name for item in seen] == [*first, *attach, *round_trip, *rest]


def test_everything_after_the_security_mode_command_is_protected():
    world = fake_world()
    world.add_ue(provisioning())
    world.pump()
    seen = [item for item in world.items if isinstance(item, MessageSeen) and item.role == "ue"]
    bare = {item.name for item in seen if not item.protected}
    assert bare == {"RrcSetupRequest", "RrcSetup", "AttachRequest", "AuthenticationRequest", "AuthenticationResponse"}
    plain = {type(message).__name__ for up in (True, False) for message in plain_nas(world, up)}
    assert plain == {"AttachRequest", "AuthenticationRequest", "AuthenticationResponse"}


def test_the_second_attach_knows_nothing_of_the_first():
    world = fake_world()
    world.add_ue(provisioning())
    world.pump()
    first, second = (m for m in plain_nas(world, up=True) if isinstance(m, nas.AttachRequest))
    assert (first.attach_type, first.identity) == (nas.AttachType.REMOTE_PROVISIONING, EID)
    assert second.attach_type is nas.AttachType.INITIAL
    assert isinstance(second.identity, type(SUCI))
    assert first.ksi == second.ksi == nas.NO_KEY


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3], ids=lambda item: item.name)
@pytest.mark.parametrize("nea", [Nea.NEA1, Nea.NEA2, Nea.NEA3], ids=lambda item: item.name)
def test_every_pair_of_algorithms_goes_through(nea, nia):
    world = fake_world(nea=(nea,), nia=(nia,))
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)


def test_an_ordinary_subscriber_may_go_without_ciphering_but_never_a_provisioning_attach():
    world = fake_world(nea=(Nea.NEA0,))
    subscriber = world.add_ue(ordinary())
    world.pump()
    assert subscriber.outcome.ok
    device = world.add_ue(provisioning())
    world.pump()
    assert device.outcome.cause is Cause.SECURITY_CAPABILITIES_MISMATCH


def test_nothing_moves_while_the_shell_is_busy():
    world = fake_world()
    world.hold = lambda ask: True
    ue = world.add_ue(provisioning())
    world.pump()
    asked = []
    while world.held:
        asked.append((world.state(ue), len(world.log)))
        world.answer_held()
    assert ue.outcome.ok
    assert len(asked) == 8  # device, tunnel, bearer, download, enable; subscriber, tunnel, bearer


# --- the other purposes -----------------------------------------------------------------------------------------------


def test_an_ordinary_attach_is_wholly_step_seven():
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    assert world.state(ue) == "Online"
    assert world.steps("ue") == [(Step.REATTACH, True)]
    assert {item.step for item in world.items if isinstance(item, MessageSeen) and item.role == "ue"} == {7}


def test_the_variant_downloads_over_an_ordinary_session_and_comes_back():
    world = World()
    ue = world.add_ue(then_download())
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert world.steps("ue") == ALL_STEPS
    assert ue.downloads == [act.Download(world.cp_policy.ordinary_servers)]
    requests = [m for m in plain_nas(world, up=True) if isinstance(m, nas.AttachRequest)]
    assert [request.attach_type for request in requests] == [nas.AttachType.INITIAL] * 2
    sessions = [ask.kind.name for ask in world.asks if isinstance(ask, act.OpenTunnel)]
    assert sessions == ["ORDINARY", "ORDINARY"]


def test_a_provisioning_session_is_opened_with_its_limits():
    world = fake_world()
    world.add_ue(provisioning())
    world.pump()
    first, second = (ask for ask in world.asks if isinstance(ask, act.OpenTunnel))
    assert (first.kind.name, first.servers, first.quota, first.lifetime) == ("PROVISIONING", (SERVER,), 1 << 20, 600)
    assert (second.kind.name, second.quota, second.lifetime) == ("ORDINARY", 0, 0)


def test_a_failed_download_detaches_first_and_then_says_why():
    world = fake_world()
    ue = world.add_ue()
    ue.download_answer = ev.DownloadFailed(Cause.PROVISIONING_FAILED, "8.1.1 refused")
    world.want(ue, provisioning())
    world.pump()
    assert ue.outcome == act.Conclude(False, Cause.PROVISIONING_FAILED, "8.1.1 refused")
    assert world.steps("ue")[-1] == (Step.PROVISION, False)
    assert [ok for _, ok in world.steps("ue")].count(False) == 1
    assert "DetachAccept" in world.seen("ue")
    assert left_over(world, ue) == {}


def test_a_profile_that_cannot_be_enabled_ends_step_seven():
    world = fake_world()
    ue = world.add_ue()
    ue.enable_answer = ev.EnableFailed("the card says no")
    world.want(ue, provisioning())
    world.pump()
    assert ue.outcome == act.Conclude(False, Cause.PROVISIONING_FAILED, "the card says no")
    assert world.steps("ue")[-1] == (Step.REATTACH, False)
    assert left_over(world, ue) == {}


# --- retry ------------------------------------------------------------------------------------------------------------


def reject_with(world: World, *rejects: nas.AttachReject) -> None:
    """Let a stranger answer the first attach requests; the network does not hear them."""
    left = list(rejects)

    def between(frame):
        if left and frame.up and isinstance(read_plain(world, frame), nas.AttachRequest):
            return [replace(rewrite_plain(world, frame, left.pop(0)), up=False)]
        return [frame]

    world.between = between


def test_a_busy_network_is_tried_again_after_t3511():
    world = World()
    reject_with(world, nas.AttachReject(Cause.CONGESTION))
    ue = world.add_ue(ordinary())
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    assert ue.outcome is None
    while world.state(ue) == "AwaitRetry":
        world.fire()
    assert world.now == ue.policy.timers.t3511 == 10.0
    assert ue.outcome.ok


@pytest.mark.parametrize(("said", "waited"), [(30, 30), (4_000_000_000, MAX_BACKOFF)])
def test_a_back_off_is_kept_but_never_longer_than_the_cap(said, waited):
    world = World()
    reject_with(world, nas.AttachReject(Cause.CONGESTION, said))
    ue = world.add_ue(ordinary())
    world.pump()
    while world.state(ue) == "AwaitRetry":
        world.fire()
    assert world.now == waited
    assert ue.outcome.ok


@pytest.mark.parametrize("cause", [Cause.CONGESTION, Cause.ILLEGAL_UE])
@pytest.mark.parametrize(("said", "waited"), [(7, 7), (65_535, MAX_REJECT_WAIT)])
def test_a_ran_without_room_is_tried_again_when_it_says_and_is_believed_nothing_else(said, waited, cause):
    world = World()
    refusals = [RrcReject(bytes(4), cause, said)]

    def between(frame):
        if refusals and frame.up and frame.link == "radio":
            asked = RadioAsn1().decode(decode_radio_frame(frame.octets).payload)
            answer = replace(refusals.pop(), transaction=asked.transaction)
            return [replace(frame, octets=RadioFrame(UeRadioId(0), RadioAsn1().encode(answer)).encode(), up=False)]
        return [frame]

    world.between = between
    ue = world.add_ue(ordinary())
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    while world.state(ue) == "AwaitRetry":
        world.fire()
    assert world.now == waited
    assert ue.outcome.ok


def test_whoever_has_to_go_for_others_is_told_when_to_come_back():
    world = fake_world()
    held = []

    def between(frame):
        if not frame.up and not held and isinstance(read_plain(world, frame), nas.AuthenticationRequest):
            held.append(frame)
            return []
        return [frame]

    world.between = between
    ue = world.add_ue()
    world.want(ue, provisioning())
    world.pump()
    assert held
    world.cp_event(int(world.cp_ue(ue).cp_ue_id), ev.DetachOrdered(Cause.CONGESTION))
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    assert world.cps == {}, "of a stranger no tombstone is kept"
    began = world.now
    while world.state(ue) == "AwaitRetry":
        world.fire()
    assert world.now - began == world.cp_policy.backoff == 30


@pytest.mark.parametrize("tries", [1, 3, 5])
def test_attempts_are_counted_and_then_given_up(tries):
    world = World()
    reject_with(world, *[nas.AttachReject(Cause.CONGESTION)] * 10)
    ue = world.add_ue(ordinary(), max_attempts=tries)
    world.pump()
    world.fire_all()
    assert ue.outcome.cause is Cause.CONGESTION
    assert world.seen("ue").count("AttachRequest") == tries
    assert left_over(world, ue) == {}


def test_every_attempt_of_both_attaches_may_be_needed():
    """Four retries for the provisioning attach, the way back of step 7, and four retries for the ordinary one."""
    world = fake_world()
    ue = world.add_ue()
    busy = nas.AttachReject(Cause.CONGESTION)
    reject_with(world, *[busy] * 4)
    world.hold = lambda ask: isinstance(ask, act.EnableProfile)
    world.want(ue, provisioning())
    world.pump()
    world.fire_all(until=world.now + 50)
    assert world.state(ue) == "AwaitProfileEnabled"
    reject_with(world, *[busy] * 4)
    world.answer_held()
    world.fire_all(until=world.now + 50)
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert world.seen("ue").count("AttachRequest") == 10


def test_a_device_that_was_online_has_all_its_attempts_again():
    world = World()
    reject_with(world, *[nas.AttachReject(Cause.CONGESTION)] * 4)
    ue = world.add_ue(ordinary())
    world.pump()
    world.fire_all(until=50)
    assert ue.outcome.ok
    ue.outcome = None
    world.lose_radio(ue)
    world.hear_cell(ue)
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    world.fire_all(until=world.now + 20)
    assert ue.outcome.ok
    assert len(world.registered) == 1


def test_a_cause_that_is_about_the_device_is_not_tried_again():
    world = World()
    reject_with(world, nas.AttachReject(Cause.ILLEGAL_UE))
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.outcome.cause is Cause.ILLEGAL_UE
    world.fire_all()
    assert world.seen("ue").count("AttachRequest") == 1


def test_a_retry_that_is_called_off_does_not_disturb_the_next_attach():
    world = World()
    reject_with(world, nas.AttachReject(Cause.CONGESTION))
    ue = world.add_ue(ordinary())
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    world.ue_event(ue, ev.DetachWanted())
    assert ue.outcome.cause is Cause.NORMAL
    world.between = lambda frame: []
    world.now += 5
    world.want(ue, ordinary())
    world.pump()
    world.fire_all(until=10.5)  # T3511 of the first try would have run out
    assert world.state(ue) == "AwaitAuthentication"


# --- falling back -----------------------------------------------------------------------------------------------------


def refusing(world: World) -> None:
    """The store refuses the subscriber."""
    supi = Supi.of_imsi(IMSI)
    world.subscribers[supi] = replace(world.subscribers[supi], active=False)


def test_a_device_whose_new_subscription_is_refused_falls_back_where_its_policy_says_so():
    world = fake_world()
    refusing(world)
    ue = world.add_ue(provisioning(), fall_back_to_provisioning=True)
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    intent = ue.endpoint.nas.machine.state.intent
    assert (intent.purpose, intent.identity, intent.fallen_back) == (Purpose.PROVISIONING, EID, True)
    world.subscribers[Supi.of_imsi(IMSI)] = SubscriberRecord(
        Supi.of_imsi(IMSI), Secret(bytes(16)), Secret(bytes(16)), sqn=64
    )
    world.fire()
    while world.state(ue) == "AwaitRetry":
        world.fire()
    # Provisioned again, and refused again (another key): once is enough.
    assert len(ue.downloads) == 2
    assert ue.outcome.cause is Cause.MAC_FAILURE
    world.fire_all()
    assert len(ue.downloads) == 2
    assert left_over(world, ue) == {}


def test_it_does_not_fall_back_where_its_policy_says_nothing():
    world = fake_world()
    refusing(world)
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome.cause is Cause.ILLEGAL_UE
    world.fire_all()
    assert len(ue.downloads) == 1


def test_a_device_that_never_had_an_eid_does_not_fall_back():
    world = World()
    refusing(world)
    ue = world.add_ue(ordinary(), fall_back_to_provisioning=True)
    world.pump()
    assert ue.outcome.cause is Cause.ILLEGAL_UE


def test_whoever_detaches_a_device_does_not_send_it_to_provisioning():
    world = fake_world()
    ue = world.add_ue(provisioning(), fall_back_to_provisioning=True)
    world.pump()
    assert world.state(ue) == "Online"
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    assert world.state(ue) == "Deregistered"
    assert ue.outcome.cause is Cause.NORMAL
    assert all(ok for _, ok in world.steps("ue"))
    world.fire_all()
    assert len(ue.downloads) == 1
    assert left_over(world, ue) == {}


# --- identities -------------------------------------------------------------------------------------------------------


def test_a_known_guti_is_authenticated_like_its_subscriber(monkeypatch):
    world = World()
    world.gutis[GUTI] = Supi.of_imsi(IMSI)
    monkeypatch.setattr(s1_attach, "_shown", lambda identity, env: GUTI)
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.outcome.ok
    assert "IdentityRequest" not in world.seen("ue")


def test_an_unknown_guti_is_asked_for_its_suci(monkeypatch):
    world = World()
    monkeypatch.setattr(s1_attach, "_shown", lambda identity, env: GUTI)

    ask = b"\0" + world.nas.encode(nas.IdentityRequest(nas.IdentityType.SUCI))

    def answer(frame):
        if frame.link == "n2" and (n2 := decode_n2_frame(frame.octets)).payload == ask:
            # Our own UE never shows a GUTI; another one, that does, would answer so.
            answered = replace(n2, payload=b"\0" + world.nas.encode(nas.IdentityResponse(SUCI_OF_IMSI)))
            return [replace(frame, up=True, octets=answered.encode())]
        return [frame]

    world.between = answer
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.outcome.ok
    assert act.ResolveGuti(GUTI) in world.asks


def test_nobody_gets_an_eid_or_a_suci_by_asking_a_provisioning_device():
    world = fake_world()

    def ask(frame):
        if isinstance(read_plain(world, frame), nas.AttachRequest):
            down = replace(frame, up=False)
            return [rewrite_plain(world, down, nas.IdentityRequest(kind)) for kind in nas.IdentityType]
        return [frame]

    world.between = ask
    ue = world.add_ue(provisioning())
    world.pump()
    assert world.state(ue) == "AwaitAuthentication"
    assert not any(isinstance(message, nas.IdentityResponse) for message in plain_nas(world, up=True))


def test_the_same_key_twice_gets_another_key_set_identifier():
    world = World()

    def named(frame):
        message = read_plain(world, frame)
        if frame.link == "radio" and isinstance(message, nas.AttachRequest):
            return [rewrite_plain(world, frame, replace(message, ksi=6))]
        return [frame]

    world.between = named
    world.add_ue(ordinary())
    world.pump()
    ksi = [m.ksi for m in plain_nas(world, up=False) if isinstance(m, nas.AuthenticationRequest)]
    assert ksi == [0]


def test_the_world_without_certificates_says_so():
    world = World()
    with pytest.raises(Misuse):
        world.add_ue(provisioning())


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "held", "state"),
    [
        (ordinary, act.OpenTunnel, "AwaitSession"),
        (provisioning, act.Download, "AwaitDownload"),
        (ordinary, act.EnableProfile, "Online"),
    ],
)
def test_an_attached_device_takes_over_what_the_operator_changes(intent, held, state):
    world = fake_world()
    world.hold = lambda ask: isinstance(ask, held)
    ue = world.add_ue(intent())
    world.pump()
    assert world.state(ue) == state
    world.cp_event(int(world.cp_ue(ue).cp_ue_id), ev.LifetimeChanged(300))
    world.pump()
    assert world.state(ue) == state
    registration = world.cp_ue(ue).nas.machine.state.registration
    assert registration.expires_at == world.now + 300
    assert world.seen("ue")[-2:] == ["ConfigurationUpdateCommand", "ConfigurationUpdateComplete"]
    assert world.discards() == []
    world.answer_held()
    assert world.state(ue) == "Online"
