"""Every state of every role with everything that can come: only listed moves move, the rest has its fixed answer.

Unexpected and unauthenticated: counted, dropped, no answer, nothing changes. Unexpected but authenticated: a Status on
NAS (RRC and N2 have none), nothing changes. Stale timers and answers of the shell: dropped.
"""

import copy
import sys
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import get_args

import pytest
from doubles import fake_scheme, samples
from doubles.samples import EVENTS, INTENT, N2, NAS, RRC
from doubles.world import World, ordinary, provisioning, then_download

from rprov.auth.radius_exchange import AccessAnswer
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAmf, KGnb
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK
from rprov.model.identifiers import CpUeId, RanUeId, UeRadioId
from rprov.model.report import Discarded
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure import s1_attach
from rprov.procedure.access_security import AwaitAsSecurity
from rprov.procedure.cp import CP
from rprov.procedure.cp_endpoint import CpEndpoint
from rprov.procedure.endpoint import NasEndpoint, NasOut, Partial
from rprov.procedure.events import Timer, TimerFired
from rprov.procedure.machine import Machine, Move, waiting_for
from rprov.procedure.phases import CpState, UeState
from rprov.procedure.radio_connection import AccessState, Connected, RanState, Secured
from rprov.procedure.ran import ACCESS, RAN
from rprov.procedure.ran_endpoint import RanEndpoint
from rprov.procedure.ue import UE
from rprov.procedure.ue_endpoint import UeEndpoint, signalling_bearer
from rprov.security.context import SecurityContext, Side
from rprov.security.envelope import SecurityHeader, parse_pdu
from rprov.security.pdcp import PdcpKeys
from rprov.security.policy import PLAIN_RRC, Phase, Receiver, plain_nas_allowed
from rprov.wire.link import LinkMessage, N2Frame, N2Kind
from rprov.wire.messages import NasMessage, SecurityModeCommand, SecurityModeComplete, Status
from rprov.wire.radio import AsSecurityModeFailure, RadioFrame, RadioMessage, SrbKind, encode_srb
from rprov.wire.radius import Code, Packet

ROLES = {"ue": (UE, UeState), "cp": (CP, CpState), "ue-access": (ACCESS, AccessState), "ran": (RAN, RanState)}
ALGORITHMS = Algorithms(Nea.NEA2, Nia.NIA2)
K_AMF, K_GNB = KAmf(bytes(range(32))), KGnb(bytes(range(1, 33)))


def state_types(base: type) -> set[type]:
    """The states themselves: dataclasses, as their modules know them (slots make a class anew)."""
    below = set(base.__subclasses__())
    known = {kind for kind in below if getattr(sys.modules[kind.__module__], kind.__name__, None) is kind}
    return {kind for kind in known if is_dataclass(kind)}.union(*(state_types(kind) for kind in below))


# --- sample states ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def sampled() -> dict[str, dict[type, list]]:
    """States that real runs go through, up to three of each type, and a few that they do not."""
    found: dict[str, dict[type, list]] = {name: {} for name in ROLES}
    step = Machine.step

    def take(machine: Machine) -> None:
        samples_of = found[machine.role.name].setdefault(type(machine.state), [])
        if len(samples_of) < 3 and machine.state not in samples_of:
            samples_of.append(machine.state)

    def watched(self, event, env, ue):
        take(self)
        outcome = step(self, event, env, ue)
        take(self)
        return outcome

    Machine.step = watched  # type: ignore[method-assign]
    try:
        for run in RUNS:
            run()
    finally:
        Machine.step = step  # type: ignore[method-assign]
    candidate = next(state.candidate for state in found["cp"][s1_attach.AwaitDevice])
    asked = waiting_for(Timer.T3570, 6.0, NAS[samples.nas.IdentityRequest])
    found["cp"][s1_attach.AwaitIdentity] = [s1_attach.AwaitIdentity(candidate, asked)]
    return found


def fake_world() -> World:
    return World(fake_scheme.cp_side(), fake_scheme.ue_side())


def whole_run() -> None:
    world = fake_world()
    ue = world.add_ue(provisioning())
    world.pump()
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    world.fire_all()


def ordinary_run() -> None:
    world = fake_world()
    ue = world.add_ue(then_download())
    world.pump()
    out = ue.endpoint.nas._protected(samples.nas.PduSessionReleaseRequest(1))
    world._ue(ue, ue.endpoint._nas([out], world.ue_env(ue)))
    world.pump()


def slow_shell() -> None:
    for intent, hidden in ((provisioning, False), (provisioning, True), (ordinary, False)):
        world = fake_world()
        world.hold = lambda ask: True
        world.add_ue(intent(), hide_eid=hidden)
        world.pump()
        while world.held:
            world.answer_held()


def losses() -> None:
    world = fake_world()
    ue = world.add_ue()
    world.lose_radio(ue)
    world.want(ue, provisioning())  # no cell
    world.hear_cell(ue)
    world.pump()
    world.lose_radio(ue)
    world.pump()
    world.fire_all(until=30)


def thrown_out() -> None:
    world = fake_world()
    ue = world.add_ue(ordinary())
    world.pump()
    world.cp_event(int(world.cp_ue(ue).cp_ue_id), ev.DetachOrdered(Cause.ILLEGAL_UE))
    world.pump()


def behind_aaa() -> None:
    world = World(fake_scheme.through_aaa, fake_scheme.ue_side())
    answer = ev.AaaAnswered(AccessAnswer("aaa", Packet(Code.ACCESS_CHALLENGE, 1, bytes(16), ())))
    world.aaa = lambda request: answer
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome is None or ue.outcome.ok


RUNS = (behind_aaa, whole_run, ordinary_run, slow_shell, losses, thrown_out)


def fresh(state):
    """The state with a scheme that no test has used: a scheme is no value."""
    changes = {}
    for item in fields(state):
        value = getattr(state, item.name)
        if item.name == "scheme":
            changes["scheme"] = fake_scheme.FakePeerScheme(committed=True)
        elif item.name == "challenged":
            scheme = fake_scheme.FakeNetworkScheme(INTENT.identity, "5G:a network", round="hello")
            changes["challenged"] = replace(value, scheme=scheme)
        elif item.name == "listener":
            changes["listener"] = fake_scheme.FakePassThrough(INTENT.identity, "5G:a network")
    return replace(state, **changes) if changes else copy.copy(state)


CASES = [
    pytest.param(name, kind, id=f"{name}-{kind.__name__}")
    for name, (_, base) in ROLES.items()
    for kind in sorted(state_types(base), key=lambda kind: kind.__name__)
]


def cases(*roles):
    return pytest.mark.parametrize(("role", "kind"), [case for case in CASES if case.values[0] in roles])


def each(role, kind):
    return [fresh(state) for state in sampled()[role][kind]]


def listed(machine: Machine, key: type) -> bool:
    return (type(machine.state), key) in machine.role.table or key in machine.role.anywhere


def test_every_state_has_a_sample():
    for name, (_, base) in ROLES.items():
        assert state_types(base) == set(sampled()[name]), name


def test_every_message_and_every_event_has_a_sample():
    assert set(NAS) == set(get_args(NasMessage))
    assert set(RRC) == set(get_args(RadioMessage))
    assert set(N2) == set(get_args(LinkMessage))
    assert set(EVENTS) == set(get_args(ev.Event))


def test_every_state_of_the_tables_is_known():
    for name, (role, base) in ROLES.items():
        assert {state for state, _ in role.table} <= state_types(base), name


# --- NAS --------------------------------------------------------------------------------------------------------------


class Nas:
    """An endpoint of either side in a given state, and what its peer would use to speak to it."""

    def __init__(self, role: str, state) -> None:
        self.world = fake_world()
        self.codec = self.world.nas
        self.side, other = (Side.UE, Side.CP) if role == "ue" else (Side.CP, Side.UE)
        self.machine = Machine(ROLES[role][0], fresh(state))
        self.endpoint = NasEndpoint(self.side, self.machine, self.codec, "x")
        node = self.world.add_ue()
        self.env = self.world.ue_env(node) if role == "ue" else self.world.cp_env
        self.before = self.machine.state
        scope = state.scope if role == "cp" else Scope.PROVISIONING
        self.mine, self.peer = (SecurityContext(side, 0, K_AMF, ALGORITHMS, scope) for side in (self.side, other))
        self.dropped = type(state).__name__ in ("Releasing", "Gone")
        if state.phase is Phase.SECURED and not self.dropped:
            self.endpoint.current = self.mine
        elif state.phase is Phase.COMMITTED or type(state).__name__ == "AwaitVerdict":
            if role == "ue":
                self.endpoint.partial = Partial(0, K_AMF, Scope.PROVISIONING)
            else:
                self.endpoint.beside = self.mine

    def receive(self, pdu: bytes):
        return self.endpoint.receive(pdu, self.env)

    def assert_dropped(self, out, what) -> None:
        assert [type(action) for action in out] == [act.Report], what
        assert isinstance(out[0].item, Discarded), what
        assert self.endpoint.discarded.total() == 1, what
        self.assert_unmoved(what)

    def assert_unmoved(self, what) -> None:
        assert self.machine.state is self.before, what
        assert self.endpoint.current in (None, self.mine), what

    def assert_moved(self, out, what) -> None:
        """A listed move: somewhere that exists, with actions that the shell knows, taken down."""
        assert type(self.machine.state) in state_types(ROLES[self.machine.role.name][1]), what
        moves = [action.item for action in out if isinstance(action, act.Report)]
        assert moves[0].state == type(self.before).__name__, what
        assert all(isinstance(action, NasOut) or type(action).__name__ in ACTIONS for action in out), what


ACTIONS = {getattr(kind, "__name__", "") for kind in get_args(act.Action)} | {"Asked"}


@cases("ue", "cp")
def test_an_unprotected_message(role, kind):
    for state in each(role, kind):
        for message in NAS.values():
            nas = Nas(role, state)
            out = nas.receive(b"\0" + nas.codec.encode(message))
            may = nas.endpoint.current is None and plain_nas_allowed(nas.side, state.phase, type(message))
            if nas.before is nas.machine.state and not (may and listed(nas.machine, type(message))):
                nas.assert_dropped(out, message)
            else:
                assert may, message
                assert listed(Machine(nas.machine.role, nas.before), type(message)), message
                nas.assert_moved(out, message)


@cases("ue", "cp")
def test_a_message_of_the_true_peer(role, kind):
    for state in each(role, kind):
        for message in NAS.values():
            nas = Nas(role, state)
            out = nas.receive(nas.peer.protect(nas.codec.encode(message), SecurityHeader.INTEGRITY_CIPHERED))
            what = (state, message)
            if nas.endpoint.current is None and state.phase is not Phase.SECURED:
                nas.assert_dropped(out, what)  # there are no keys in use yet
            elif nas.dropped:
                nas.assert_dropped(out, what)  # ... or no more
            elif listed(Machine(nas.machine.role, nas.before), type(message)):
                nas.assert_moved(out, what)
            elif isinstance(message, Status):
                nas.assert_dropped(out, what)
            else:
                status, discarded = out
                nas.assert_dropped([discarded], what)
                assert (status.name, status.protected) == ("Status", True), what
                answer = nas.peer.unprotect(parse_pdu(status.pdu)).plain
                assert nas.codec.decode(answer) == Status(Cause.MESSAGE_INCOMPATIBLE_WITH_STATE), what


@cases("ue", "cp")
@pytest.mark.parametrize(
    ("header", "only"),
    [
        (SecurityHeader.INTEGRITY_NEW_CONTEXT, SecurityModeCommand),
        (SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT, SecurityModeComplete),
    ],
)
def test_a_message_that_takes_keys_into_use(role, kind, header, only):
    """One message of each side may: the command at the UE, its completion at the CP."""
    for state in each(role, kind):
        for message in NAS.values():
            nas = Nas(role, state)
            out = nas.receive(nas.peer.protect(nas.codec.encode(message), header))
            what = (state, message)
            right = type(message) is only and (role == "ue") is (only is SecurityModeCommand)
            keys = nas.endpoint.current or nas.endpoint.partial or nas.endpoint.beside
            if right and (keys is not None or nas.machine.state is not nas.before):
                if listed(Machine(nas.machine.role, nas.before), only):
                    nas.assert_moved(out, what)
                else:
                    assert nas.machine.state is nas.before, what
                    assert [action.name for action in out if isinstance(action, NasOut)] in ([], ["Status"]), what
            else:
                nas.assert_dropped(out, what)


@cases("ue", "cp")
@pytest.mark.parametrize("change", ["mac", "sequence", "payload", "cut"])
def test_a_message_whose_protection_is_wrong(role, kind, change):
    for state in each(role, kind)[:1]:
        for message in NAS.values():
            nas = Nas(role, state)
            pdu = nas.peer.protect(nas.codec.encode(message), SecurityHeader.INTEGRITY_CIPHERED)
            at = {"mac": 1, "sequence": 5, "payload": 6, "cut": len(pdu) - 1}[change]
            pdu = pdu[:-1] if change == "cut" else pdu[:at] + bytes((pdu[at] ^ 1,)) + pdu[at + 1 :]
            nas.assert_dropped(nas.receive(pdu), (state, message))


# --- events -----------------------------------------------------------------------------------------------------------


@cases("ue", "cp", "ue-access", "ran")
def test_an_event(role, kind):
    for state in each(role, kind):
        for event in EVENTS.values():
            if isinstance(event, TimerFired):
                continue
            machine, env = at(role, state)
            before = machine.state
            expected = listed(machine, type(event))
            out = machine.step(event, env, "x")
            if expected:
                assert out[0].item.state == kind.__name__, event
                assert type(machine.state) in state_types(ROLES[role][1]), event
            else:
                assert out.name == "STALE", event
                assert machine.state is before, event


@cases("ue", "cp", "ue-access", "ran")
def test_a_timer(role, kind):
    for state in each(role, kind):
        for timer in Timer:
            machine, env = at(role, state)
            (started,) = machine.enter(Move(machine.state, (act.StartTimer(timer, 1.0),)))
            before = machine.state
            assert machine.step(TimerFired(timer, started.generation + 1), env, "x").name == "STALE"
            assert machine.state is before
            expected = listed(machine, TimerFired)
            out = machine.step(TimerFired(timer, started.generation), env, "x")
            assert isinstance(out, tuple) is expected, timer
            if not expected:
                assert machine.state is before, timer
            assert machine.step(TimerFired(timer, started.generation), env, "x").name == "STALE", "twice"


@cases("ue", "cp", "ran")
def test_an_answer_without_its_question(role, kind):
    for state in each(role, kind):
        for event in EVENTS.values():
            machine, env = at(role, state)
            before = machine.state
            assert machine.answer(7, event, env, "x").name == "STALE"
            assert machine.state is before


def at(role: str, state) -> tuple[Machine, object]:
    world = fake_world()
    node = world.add_ue()
    env = {"ue": world.ue_env(node), "ue-access": world.ue_env(node), "cp": world.cp_env, "ran": world.ran_env}[role]
    return Machine(ROLES[role][0], fresh(state)), env


# --- N2 ---------------------------------------------------------------------------------------------------------------


@cases("cp")
def test_a_control_message_of_the_ran(role, kind):
    for state in each(role, kind):
        for message in N2.values():
            nas = Nas(role, state)
            cp = CpEndpoint(nas.endpoint, nas.world.link, RanUeId(1), CpUeId(1000))
            frame = N2Frame(RanUeId(1), CpUeId(1000), N2Kind.CONTROL, nas.world.link.encode(message))
            out = cp.receive(frame, nas.env)
            if listed(Machine(CP, nas.before), type(message)):
                nas.assert_moved([action for action in out if not isinstance(action, act.Transmit)], message)
            else:
                nas.assert_dropped(out, message)


def ran_in(state) -> tuple[RanEndpoint, object, object]:
    """A RAN endpoint in a state, with the bearer that fits it, and the UE's end of that bearer."""
    world = fake_world()
    ran = RanEndpoint(
        Machine(RAN, state), world.radio, world.link, UeRadioId(7), RanUeId(7), signalling_bearer(DOWNLINK)
    )
    ran.cp_ue_id = CpUeId(1000)
    peer = signalling_bearer(UPLINK)
    if type(state).__name__ not in ("RanFresh", "RanConnected"):
        keys = PdcpKeys.of_srb(K_GNB, ALGORITHMS)
        ran._perform((act.SecureSrb(keys), act.CipherSrb(True, True)), world.ran_env)
        peer.secure(keys)
        peer.cipher_sending()
        peer.cipher_receiving()
    return ran, peer, world


@cases("ran")
def test_a_control_message_of_the_cp(role, kind):
    for state in each(role, kind):
        for message in N2.values():
            ran, _, world = ran_in(state)
            frame = N2Frame(RanUeId(7), CpUeId(1000), N2Kind.CONTROL, world.link.encode(message))
            out = ran.receive_n2(frame, world.ran_env)
            if not listed(Machine(RAN, state), type(message)):
                assert [type(action) for action in out] == [act.Report, act.Report], message
                assert isinstance(out[-1].item, Discarded), message
                assert ran.machine.state is state, message


# --- RRC --------------------------------------------------------------------------------------------------------------


@cases("ran")
@pytest.mark.parametrize("protected", [False, True])
def test_a_message_of_the_ue_to_the_ran(role, kind, protected):
    for state in each(role, kind):
        secured = kind.__name__ not in ("RanFresh", "RanConnected")
        for message in RRC.values():
            ran, peer, world = ran_in(state)
            bearer = peer if protected else signalling_bearer(UPLINK)
            out = ran.receive_radio(bearer.protect(encode_srb(SrbKind.RRC, world.radio.encode(message))), world.ran_env)
            moves = listed(Machine(RAN, state), type(message)) and secured and protected
            if not protected and kind is AwaitAsSecurity and isinstance(message, AsSecurityModeFailure):
                moves = True  # "security mode failure" is never protected
            if moves:
                assert out[0].item.state == kind.__name__, message
            else:
                assert [type(action) for action in out] == [act.Report], message
                assert isinstance(out[0].item, Discarded), message
                assert ran.machine.state is state, message


def ue_in(state) -> tuple[UeEndpoint, object, World]:
    world = fake_world()
    ue = UeEndpoint.create("x", world.nas, world.radio)
    ue.access.state = state
    peer = signalling_bearer(DOWNLINK)
    if isinstance(state, Secured):
        keys = PdcpKeys.of_srb(K_GNB, ALGORITHMS)
        for bearer in (ue.srb, peer):
            bearer.secure(keys)
            bearer.cipher_sending()
            bearer.cipher_receiving()
    return ue, peer, world


@cases("ue-access")
@pytest.mark.parametrize("protected", [False, True])
def test_a_message_of_the_ran_to_the_ue(role, kind, protected):
    for state in each(role, kind):
        for message in RRC.values():
            ue, peer, world = ue_in(state)
            env = world.ue_env(world.add_ue())
            bearer = peer if protected else signalling_bearer(DOWNLINK)
            pdu = bearer.protect(encode_srb(SrbKind.RRC, world.radio.encode(message)))
            number = getattr(state, "ue_radio_id", UeRadioId(9))
            out = ue.receive(RadioFrame(number, pdu).encode(), env)
            connected, secured = isinstance(state, (Connected, Secured)), isinstance(state, Secured)
            if not connected:
                assert out == [], message  # addressed to somebody else
            elif (secured and not protected) or (not secured and type(message) not in PLAIN_RRC[Receiver.UE, False]):
                assert dropped(out), message
            elif not listed(Machine(ACCESS, state), type(message)):
                assert dropped(out[-1:]), message
            else:
                continue
            assert ue.access.state is state, message


@cases("ue-access")
def test_a_message_of_the_cell_to_everyone(role, kind):
    for state in each(role, kind):
        for message in RRC.values():
            ue, _, world = ue_in(state)
            env = world.ue_env(world.add_ue())
            out = ue.receive(RadioFrame(UeRadioId(0), world.radio.encode(message)).encode(), env)
            name = type(message).__name__
            if name not in ("CellInfo", "RrcSetup", "RrcReject") or not listed(Machine(ACCESS, state), type(message)):
                assert dropped(out[-1:]), message
                assert ue.access.state is state, message


def dropped(out) -> bool:
    return [type(action) for action in out] == [act.Report] and isinstance(out[0].item, Discarded)


def test_the_table_of_answers_is_really_tried():
    """Enough pairs are on either side of the line that the tests above mean something."""
    for name, (role, base) in ROLES.items():
        keys = {**EVENTS, **(NAS if name in ("ue", "cp") else RRC), **(N2 if name in ("cp", "ran") else {})}
        pairs = [(state, key) for state in state_types(base) for key in keys]
        there = [(state, key) for state, key in pairs if (state, key) in role.table or key in role.anywhere]
        assert len(role.table) <= len(there) < len(pairs) * 2 / 3, name
