"""What ends by timer: a peer that is silent at any step, at every node, with the standard's counts of repetitions."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from doubles import certificates, fake_scheme
from doubles.samples import GUTI
from doubles.world import InFlight, World, left_over, ordinary, provisioning, read_plain

from rprov.causes import Cause
from rprov.model.policy import Timers
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure import s1_attach
from rprov.procedure.events import Timer
from rprov.wire import messages as nas
from rprov.wire.link import N2Kind, decode_n2_frame

T = Timers()
INTENTS = {"ordinary": ordinary, "provisioning": provisioning}


def fake_world(**options) -> World:
    return World(fake_scheme.cp_side(), fake_scheme.ue_side(), **options)


def node(world: World, name: str) -> str:
    """The state of a node for the only UE."""
    ue = world.ues[0]
    match name:
        case "ue":
            return world.state(ue)
        case "access":
            return type(ue.endpoint.access.state).__name__
        case "ran":
            return type(world.ran_of(ue).machine.state).__name__ if world.rans else ""
        case _:
            oldest = next(iter(world.cps.values()), None)
            return type(oldest.nas.machine.state).__name__ if oldest else ""


@dataclass
class Silence:
    """From the moment on at which a node is in a state, nothing reaches it (or nothing from it arrives)."""

    world: World
    who: str
    state: str
    link: str
    up: bool
    begun: float | None = None
    lost: int = 0

    def __call__(self, frame: InFlight) -> list[InFlight]:
        if self.begun is None and node(self.world, self.who) == self.state:
            self.begun = self.world.now
        if self.begun is not None and (frame.link, frame.up) == (self.link, self.up):
            self.lost += 1
            return []
        return [frame]


# --- each guard, with its count ---------------------------------------------------------------------------------------

GUARDS = {
    # who waits, in which state, for what does not come: link and direction; what it sends meanwhile, how often, for how
    # long, and what it concludes
    "T300: no RrcSetup": ("access", "AwaitRrcSetup", ("radio", True), 5, 5 * T.t300),
    "T3510: no answer to the AttachRequest": ("access", "Connected", ("radio", False), 1, T.t3510),
    "T3560: no AuthenticationResponse": ("cp", "AwaitAuthenticationResponse", ("n2", True), 5, 5 * T.t3560),
    "T3560: no SecurityModeComplete": ("cp", "AwaitSecurityModeComplete", ("n2", True), 5, 5 * T.t3560),
    "no InitialContextSetupResponse": ("cp", "AwaitContextSetup", ("n2", True), 1, T.context_setup),
    "T3550: no AttachComplete": ("cp", "AwaitAttachComplete", ("n2", True), 5, 5 * T.t3550),
    "T3580: no PduSessionAccept": ("ue", "AwaitSession", ("radio", False), 5, 5 * T.t3580),
    "no SessionResourceSetupResponse": ("cp", "AwaitRanSession", ("n2", True), 1, T.context_setup),
    "T3521: no DetachAccept": ("ue", "AwaitDetachAccept", ("radio", False), 5, 5 * T.t3521),
    "AS security: no AsSecurityModeComplete": ("ran", "AwaitAsSecurity", ("radio", True), 1, T.as_security),
    "AS security: no RrcReconfigurationComplete": ("ran", "AwaitReconfiguration", ("radio", True), 1, T.as_security),
    "no UeContextReleaseComplete": ("cp", "Releasing", ("n2", True), 1, T.context_setup),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_repeats_what_the_standard_says_and_gives_up(name):
    who, state, (link, up), times, seconds = GUARDS[name]
    world = fake_world()
    world.between = silence = Silence(world, who, state, link, up)
    ue = world.add_ue(provisioning(), max_attempts=1)
    world.pump()
    while node(world, who) == state:
        assert world.fire() is not None, "nobody waits"
    assert silence.begun is not None
    assert world.now - silence.begun == seconds
    assert sent_by(world, who, state) == times
    world.fire_all()
    assert ue.outcome is not None
    if link == "n2":
        world.lose_n2()  # a transport that carries nothing upwards is noticed
        world.pump()
        world.fire_all()
    assert world.state(ue) == "Deregistered"
    assert left_over(world, ue) == {}


def sent_by(world: World, who: str, state: str) -> int:
    """How often a node sent the message that this state guards: on its way into the state, and when its timer fired."""
    role = {"access": "ue-access"}.get(who, who)
    moves = [move for move in world.moves(role) if move.next_state == state]
    sends = ("Send", "SendN2", "SendRrc", "RelayUp")
    first = next(move for move in moves if any(action in sends for action in move.actions))
    again = [move for move in moves if move.event == "TimerFired" and any(a in sends for a in move.actions)]
    return 1 + len([move for move in again if move is not first])


def test_a_device_that_finds_no_cell_gives_up_after_five_tries():
    world = fake_world()
    ue = world.add_ue()
    world.lose_radio(ue)
    world.want(ue, provisioning())
    assert world.state(ue) == "AwaitCell"
    world.fire_all()
    assert ue.outcome == act.Conclude(False, Cause.PEER_SILENT, "cell expired")
    assert world.now == 5 * T.cell + 4 * T.t3511
    assert world.log == []


def test_a_cell_that_comes_late_is_used():
    world = fake_world()
    ue = world.add_ue()
    world.lose_radio(ue)
    world.want(ue, provisioning())
    world.fire_all(until=20)
    world.hear_cell(ue)
    world.pump()
    world.fire_all(until=30)
    assert ue.outcome.ok


def test_t3570_asks_five_times_for_the_suci(monkeypatch):
    world = World()
    monkeypatch.setattr(s1_attach, "_shown", lambda identity, env: GUTI)  # our UE then has no SUCI to give
    ue = world.add_ue(ordinary(), max_attempts=1, timers=replace(T, t3510=1000.0))
    world.pump()
    world.fire_all(until=500)
    asked = [f for f in world.log if f.link == "radio" and isinstance(read_plain(world, f), nas.IdentityRequest)]
    assert len(asked) == 5
    assert world.now >= 5 * T.t3570
    assert ue.outcome.cause is Cause.PEER_SILENT
    world.fire_all()
    assert left_over(world, ue) == {}


@pytest.mark.parametrize("kind", ["release by the UE", "order of the operator"])
def test_a_device_that_does_not_confirm_its_own_end_is_ended_all_the_same(kind):
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    sent = len(world.log)
    if kind == "order of the operator":
        world.between = Silence(world, "cp", "AwaitUeDetachAccept", "radio", True)
        world.cp_event(int(world.cp_ue(ue).cp_ue_id), ev.DetachOrdered(Cause.ILLEGAL_UE))
        waited, after, count = 5 * T.t3522, "Gone", 5
    else:
        world.between = Silence(world, "cp", "AwaitSessionRelease", "radio", True)
        out = ue.endpoint.nas._protected(nas.PduSessionReleaseRequest(1))
        world._ue(ue, ue.endpoint._nas([out], world.ue_env(ue)))
        waited, after, count = 5 * T.t3580, "Attached", 5
    world.pump()
    while node(world, "cp").startswith("Await"):
        world.fire()
    assert world.now == waited
    kinds = Counter(decode_n2_frame(f.octets).kind for f in world.log[sent:] if (f.link, f.up) == ("n2", False))
    assert kinds[N2Kind.NAS] == count
    assert node(world, "cp") == after
    assert world.tunnels == {}


def test_a_bearer_that_the_ran_has_made_for_nobody_goes_away():
    """Its answer was lost: the CP gives the session up, and the RAN must not keep what it made."""
    world = World()
    lost = []

    def lose_the_answer(frame):
        if not lost and (frame.link, frame.up) == ("n2", True) and node(world, "ran") == "RanServing":
            lost.append(frame)
            return []
        return [frame]

    world.between = lose_the_answer
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump()
    assert (node(world, "cp"), len(world.ran_bearers)) == ("AwaitRanSession", 1)
    world.between = lambda frame: [] if frame.link == "radio" else [frame]
    world.fire_all(until=T.context_setup)
    assert (node(world, "cp"), node(world, "ran")) == ("Attached", "RanSecured")
    assert (world.ran_bearers, world.tunnels) == ({}, {})
    assert world.state(ue) == "AwaitSession"


def test_a_download_that_hangs_is_given_up():
    world = fake_world()
    ue = world.add_ue()
    ue.download_answer = None
    world.want(ue, provisioning())
    world.pump()
    world.fire_all(until=T.download - 1)
    assert world.state(ue) == "AwaitDownload"
    world.fire()
    assert world.now == T.download == 300
    assert ue.outcome.cause is Cause.PROVISIONING_FAILED
    assert world.steps("ue")[-1] == (5, False)
    assert left_over(world, ue) == {}


def test_a_connection_on_which_nothing_is_said_goes_away():
    world = World()
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump_frames(1)  # the RAN has the request ...
    world.between = lambda frame: []  # ... and hears nothing more
    world.pump()
    assert node(world, "ran") == "RanFresh"
    world.fire_all(until=T.as_security)
    assert world.rans == {}
    assert world.cps == {}
    assert ue.outcome is None


@pytest.mark.parametrize("first", [b"\0\xff\xff\xff", b"\x02123456789", b"\x09\0", b"\0"])
def test_first_words_that_nobody_understands_do_not_hold_a_place_for_ever(first):
    world = World()

    def garble(frame):
        if frame.link == "n2" and frame.up and world.cps == {}:
            return [replace(frame, octets=replace(decode_n2_frame(frame.octets), payload=first).encode())]
        return [frame]

    world.between = garble
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump()
    assert node(world, "cp") == "CpIdle"
    assert len(world.discards("cp")) == 1
    world.fire_all(until=T.context_setup)
    assert node(world, "cp") == "", "of a stranger no tombstone is kept"
    world.fire_all()
    assert left_over(world, ue) == {}
    assert (world.cps, world.rans) == ({}, {})


def test_an_ordinary_device_without_a_session_is_detached_in_the_end_and_one_with_a_session_is_not():
    for keeps in (True, False):
        world = World()
        ue = world.add_ue(ordinary())
        world.pump()
        if not keeps:
            out = ue.endpoint.nas._protected(nas.PduSessionReleaseRequest(1))
            world._ue(ue, ue.endpoint._nas([out], world.ue_env(ue)))
            world.pump()
        ue.outcome = None
        world.fire_all()
        if keeps:
            assert (world.state(ue), ue.outcome) == ("Online", None)
            assert node(world, "cp") == "Connected"
        else:
            assert ue.outcome.cause is Cause.IMPLICITLY_DETACHED
            assert world.now >= T.t3512 + 240
            assert left_over(world, ue) == {}


@pytest.mark.parametrize("after", [0.0, 10_000.0])
def test_an_unreachable_subscriber_is_kept_for_t3512_and_four_minutes_from_its_loss(after):
    world = World()
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump()
    world.now += after
    lost = world.now
    world.lose_radio(ue)
    world.pump()
    assert node(world, "cp") == "Unreachable"
    world.fire_all(until=lost + T.t3512 + 239)
    assert len(world.gutis) == 1
    world.fire_all(until=lost + T.t3512 + 240)
    assert (world.gutis, world.cps) == ({}, {})


# --- silence at any point of the way ----------------------------------------------------------------------------------

CUTS = [("radio", (True,)), ("radio", (False,)), ("radio", (True, False)), ("n2", (True,)), ("n2", (True, False))]


@pytest.mark.parametrize("intent", INTENTS)
@pytest.mark.parametrize(("link", "ways"), CUTS, ids=lambda value: str(value))
def test_wherever_a_link_falls_silent_everybody_comes_to_an_end(intent, link, ways):
    """One frame after the other is the last; N2 is supervised by its transport, so its silence becomes a loss."""
    ends = Counter()
    last = 0
    while True:
        world = fake_world()
        carried = Counter()

        def between(frame, carried=carried, last=last):
            if frame.link == link and frame.up in ways:
                carried["frames"] += 1
                if carried["frames"] > last:
                    return []
            return [frame]

        world.between = between
        ue = world.add_ue(INTENTS[intent](), max_attempts=1)
        world.pump()
        if carried["frames"] <= last:
            break
        world.fire_all()
        if link == "n2":
            world.between = lambda frame: [frame]
            world.lose_n2()
            world.pump()
            world.fire_all()
        assert ue.outcome is not None, last
        if node(world, "cp") == "Connected":
            # With a session, a device that is silent is just idle; that its radio is dead its transport notices.
            world.lose_radio(ue, at_ue=ue.outcome.ok)
            world.pump()
            world.fire_all()
        assert left_over(world, ue) == {}, last
        assert world.cps == {}, last
        ends[ue.outcome.cause] += 1
        last += 1
    assert last >= 7
    assert set(ends) <= {
        *(Cause.NORMAL, Cause.PEER_SILENT, Cause.NETWORK_FAILURE, Cause.RADIO_LINK_LOST, Cause.SCOPE_EXPIRED)
    }
    assert ends[Cause.PEER_SILENT] > 0


def test_one_lost_frame_anywhere_is_made_good():
    """With the tries that the standard gives, a single loss never decides anything."""
    lost = 0
    while True:
        world = fake_world()
        carried = Counter()

        def between(frame, carried=carried, lost=lost):
            carried["frames"] += 1
            return [] if carried["frames"] == lost + 1 else [frame]

        world.between = between
        ue = world.add_ue(provisioning())
        world.pump()
        if carried["frames"] <= lost:
            break
        world.fire_all(until=500)
        assert ue.outcome == act.Conclude(True, Cause.NORMAL), lost
        assert (len(world.registered), len(world.tunnels), len(ue.bearers)) == (1, 1, 1), lost
        lost += 1
    assert lost > 50


def test_a_lost_frame_of_tls_is_made_good():
    for lost in range(4, 20, 3):
        world = World(certificates.cp_side(), certificates.ue_side())
        carried = Counter()

        def between(frame, carried=carried, lost=lost):
            carried["frames"] += 1
            return [] if carried["frames"] == lost else [frame]

        world.between = between
        ue = world.add_ue(provisioning())
        world.pump()
        world.fire_all(until=500)
        assert ue.outcome == act.Conclude(True, Cause.NORMAL), lost


def test_every_timer_has_a_name_of_its_own():
    assert len({timer.value for timer in Timer}) == len(Timer)
