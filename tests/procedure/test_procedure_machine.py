"""The machine without any procedure: tables, generations, tickets, ways back."""

from dataclasses import dataclass, replace
from typing import get_args

import pytest
from doubles.pki import EID, NOW, seeded

from rprov.causes import Cause
from rprov.errors import Misuse, Refused
from rprov.model.env import Env
from rprov.model.policy import MAX_SENT
from rprov.model.report import Transition
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure.cp import CP
from rprov.procedure.events import Protection, Received, Timer, TimerFired
from rprov.procedure.machine import (
    MAX_WAYS_BACK,
    GoBack,
    Machine,
    Move,
    Role,
    Unhandled,
    Waiting,
    merge,
    repeat_or,
    stay,
)
from rprov.procedure.message_steps import step_of
from rprov.procedure.purpose import Purpose, Step
from rprov.procedure.ran import ACCESS, RAN
from rprov.procedure.ue import UE
from rprov.wire.messages import AttachComplete, NasMessage, Status

ENV = Env(0.0, NOW, seeded(), None, None)
LOOK = act.LookUpDevice(EID)


@dataclass(frozen=True)
class Here:
    step: Step = Step.ATTACH_REQUEST
    waiting: Waiting | None = None


@dataclass(frozen=True)
class There:
    step: Step = Step.DETACH


@dataclass(frozen=True)
class Ended:
    cause: Cause
    step: Step = Step.DETACH


def role(table=None, anywhere=None, ways_back=None, stable=()):
    def on_refused(state, refusal, env):
        return Move(Ended(refusal.cause))

    return Role("toy", table or {}, anywhere or {}, ways_back or {}, on_refused, stable)


def machine(**parts):
    return Machine(role(**parts), Here())


def move_to(state, *actions):
    return lambda _state, _event, _env: Move(state, actions)


def started(actions):
    return next(action for action in actions if isinstance(action, act.StartTimer))


def asked(actions):
    return next(action for action in actions if isinstance(action, act.Asked))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_pair_claimed_twice_is_refused_by_name():
    with pytest.raises(Misuse, match=r"\(Here, LinkLost\) is claimed twice"):
        merge({(Here, ev.LinkLost): move_to(Here())}, {(Here, ev.LinkLost): move_to(There())})


def test_merging_keeps_every_row():
    one, two = {(Here, ev.LinkLost): move_to(Here())}, {(There, ev.LinkLost): move_to(Here())}
    assert merge(one, two) == {**one, **two}


def test_a_row_goes_before_what_holds_anywhere():
    toy = machine(
        table={(Here, ev.LinkLost): move_to(There())}, anywhere={ev.LinkLost: move_to(Ended(Cause.RADIO_LINK_LOST))}
    )
    toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == There()
    toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == Ended(Cause.RADIO_LINK_LOST)


@pytest.mark.parametrize("real", [UE, CP, RAN, ACCESS], ids=lambda real: real.name)
def test_every_row_of_the_real_tables_names_a_state_and_something_that_can_happen(real):
    happenings = {getattr(kind, "__origin__", kind) for kind in get_args(ev.Event)}
    for state, key in real.table:
        assert hasattr(state, "step"), state
        module = key.__module__
        assert key in happenings or module.startswith("rprov.wire."), key


# --- timers -----------------------------------------------------------------------------------------------------------


def test_a_timer_fires_once():
    toy = machine(
        table={
            (Here, ev.LinkLost): move_to(Here(), act.StartTimer(Timer.T3510, 1.0)),
            (Here, TimerFired): move_to(There()),
        }
    )
    fired = TimerFired(Timer.T3510, started(toy.step(ev.LinkLost(), ENV, "x")).generation)
    assert not isinstance(toy.step(fired, ENV, "x"), Unhandled)
    assert toy.state == There()
    assert toy.step(fired, ENV, "x") is Unhandled.STALE


def test_a_timer_that_was_started_anew_or_stopped_is_stale():
    toy = machine(
        table={
            (Here, ev.LinkLost): move_to(Here(), act.StartTimer(Timer.T3510, 1.0)),
            (Here, ev.N2Lost): move_to(Here(), act.StopTimer(Timer.T3510)),
            (Here, TimerFired): move_to(There()),
        }
    )
    first = started(toy.step(ev.LinkLost(), ENV, "x")).generation
    second = started(toy.step(ev.LinkLost(), ENV, "x")).generation
    assert first != second
    assert toy.step(TimerFired(Timer.T3510, first), ENV, "x") is Unhandled.STALE
    assert toy.step(TimerFired(Timer.T3511, second), ENV, "x") is Unhandled.STALE
    toy.step(ev.N2Lost(), ENV, "x")
    assert toy.step(TimerFired(Timer.T3510, second), ENV, "x") is Unhandled.STALE
    assert toy.state == Here()


def test_a_state_that_listens_to_no_timer_drops_it():
    toy = machine(table={(Here, ev.LinkLost): move_to(There(), act.StartTimer(Timer.T3510, 1.0))})
    fired = TimerFired(Timer.T3510, started(toy.step(ev.LinkLost(), ENV, "x")).generation)
    assert toy.step(fired, ENV, "x") is Unhandled.STALE
    assert toy.state == There()


def test_a_guarded_message_is_sent_five_times_and_given_up_at_the_fifth_expiry():
    waiting = Waiting(Timer.T3510, 1.0, act.Send(AttachComplete()))
    toy = machine(table={(Here, TimerFired): repeat_or(move_to(There())), (Here, ev.LinkLost): move_to(Here())})
    sent = list(toy.enter(Move(Here(waiting=waiting), waiting.start())))
    actions = sent
    for _ in range(MAX_SENT - 1):
        assert toy.state.step is Step.ATTACH_REQUEST
        actions = toy.step(TimerFired(Timer.T3510, started(actions).generation), ENV, "x")
        sent += actions
    assert sum(isinstance(action, act.Send) for action in sent) == MAX_SENT == 5
    last = toy.step(TimerFired(Timer.T3510, started(actions).generation), ENV, "x")
    assert toy.state == There()
    assert not any(isinstance(action, act.Send) for action in last)


def test_another_timer_neither_repeats_nor_gives_up():
    waiting = Waiting(Timer.T3510, 1.0, act.Send(AttachComplete()))
    toy = machine(table={(Here, TimerFired): repeat_or(move_to(There()))})
    toy.enter(Move(Here(waiting=waiting), (act.StartTimer(Timer.LIFETIME, 1.0),)))
    assert [type(a) for a in toy.step(TimerFired(Timer.LIFETIME, 1), ENV, "x")] == [act.Report]
    assert toy.state == Here(waiting=waiting)


# --- questions --------------------------------------------------------------------------------------------------------


def asking():
    return machine(
        table={
            (Here, ev.LinkLost): move_to(Here(), LOOK),
            (Here, ev.N2Lost): move_to(Here(), act.Close()),
            (Here, ev.StoreFailed): move_to(There()),
        }
    )


def test_an_answer_counts_once_and_only_with_its_ticket():
    toy = asking()
    ticket = asked(toy.step(ev.LinkLost(), ENV, "x")).ticket
    assert toy.answer(ticket + 1, ev.StoreFailed(""), ENV, "x") is Unhandled.STALE
    assert toy.state == Here()
    assert not isinstance(toy.answer(ticket, ev.StoreFailed(""), ENV, "x"), Unhandled)
    assert toy.state == There()
    assert toy.answer(ticket, ev.StoreFailed(""), ENV, "x") is Unhandled.STALE


def test_the_answer_to_an_older_question_is_dropped():
    toy = asking()
    old = asked(toy.step(ev.LinkLost(), ENV, "x")).ticket
    new = asked(toy.step(ev.LinkLost(), ENV, "x")).ticket
    assert toy.answer(old, ev.StoreFailed(""), ENV, "x") is Unhandled.STALE
    assert not isinstance(toy.answer(new, ev.StoreFailed(""), ENV, "x"), Unhandled)


def test_nothing_is_awaited_after_the_end():
    toy = asking()
    ticket = asked(toy.step(ev.LinkLost(), ENV, "x")).ticket
    toy.step(ev.N2Lost(), ENV, "x")
    assert toy.answer(ticket, ev.StoreFailed(""), ENV, "x") is Unhandled.STALE


# --- what is not in the table -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (Received(Status(Cause.NORMAL), b"", Protection.PLAIN), Unhandled.UNAUTHENTICATED),
        (Received(Status(Cause.NORMAL), b"", Protection.NEW_CONTEXT), Unhandled.AUTHENTICATED),
        (Received(Status(Cause.NORMAL), b"", Protection.CURRENT), Unhandled.AUTHENTICATED),
        (Received(Status(Cause.NORMAL), b"", Protection.TRUSTED_LINK), Unhandled.AUTHENTICATED),
        (ev.CellFound(None, True), Unhandled.STALE),
        (TimerFired(Timer.T3510, 0), Unhandled.STALE),
    ],
)
def test_the_unexpected_has_a_fixed_answer_and_moves_nothing(event, verdict):
    toy = machine()
    before = toy.state
    assert toy.step(event, ENV, "x") is verdict
    assert toy.state is before


# --- moves ------------------------------------------------------------------------------------------------------------


def test_a_move_is_taken_down_by_name():
    toy = machine(table={(Here, ev.LinkLost): move_to(There(), LOOK, act.StartTimer(Timer.T3510, 1.0))})
    report, *rest = toy.step(ev.LinkLost(), replace(ENV, now=3.0), "ue1")
    assert report == act.Report(
        Transition(3.0, "toy", "ue1", Step.DETACH, "Here", "LinkLost", "There", ("LookUpDevice", "StartTimer"))
    )
    assert [type(action) for action in rest] == [act.Asked, act.StartTimer]


def test_a_message_goes_by_its_type():
    toy = machine(table={(Here, Status): move_to(There())})
    toy.step(Received(Status(Cause.NORMAL), b"", Protection.CURRENT), ENV, "x")
    assert toy.state == There()


def refuse(*_):
    raise Refused(Cause.CONGESTION, "no room")


def go_back(*_):
    return GoBack(Step.ATTACH_REQUEST, "carry", (act.StopTimer(Timer.T3510),))


def test_a_refusal_ends_as_the_role_says():
    toy = machine(table={(Here, ev.LinkLost): refuse})
    toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == Ended(Cause.CONGESTION)


def test_an_error_of_ours_is_not_hidden_and_moves_nothing():
    def broken(*_):
        raise Misuse("a bug")

    toy = machine(table={(Here, ev.LinkLost): broken})
    with pytest.raises(Misuse):
        toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == Here()


def test_a_way_back_takes_its_carry_and_keeps_the_order_of_actions():
    carried = []

    def begin(carry, env):
        carried.append(carry)
        return Move(There(), (act.StartTimer(Timer.T3511, 1.0),))

    toy = machine(table={(Here, ev.LinkLost): go_back}, ways_back={Step.ATTACH_REQUEST: begin})
    actions = toy.step(ev.LinkLost(), ENV, "x")
    assert carried == ["carry"]
    assert toy.state == There()
    assert [type(action) for action in actions[1:]] == [act.StopTimer, act.StartTimer]


def test_a_refusal_on_a_way_back_ends_too():
    toy = machine(table={(Here, ev.LinkLost): go_back}, ways_back={Step.ATTACH_REQUEST: refuse})
    toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == Ended(Cause.CONGESTION)


def test_going_back_for_ever_is_bounded():
    begun = []

    def begin(carry, env):
        begun.append(carry)
        return go_back()

    toy = machine(table={(Here, ev.LinkLost): go_back}, ways_back={Step.ATTACH_REQUEST: begin})
    toy.step(ev.LinkLost(), ENV, "x")
    assert toy.state == Ended(Cause.PROTOCOL_ERROR)
    assert len(begun) == MAX_WAYS_BACK


@pytest.mark.parametrize(("stable", "ends"), [((), Ended), ((Here,), Here)])
def test_the_bound_counts_between_two_stable_states(stable, ends):
    toy = machine(
        table={(Here, ev.LinkLost): go_back}, ways_back={Step.ATTACH_REQUEST: lambda *_: Move(Here())}, stable=stable
    )
    for _ in range(MAX_WAYS_BACK + 1):
        toy.step(ev.LinkLost(), ENV, "x")
    assert isinstance(toy.state, ends)


def test_staying_keeps_the_very_state():
    here = Here()
    assert stay(here, LOOK) == Move(here, (LOOK,))
    assert stay(here).state is here


# --- steps ------------------------------------------------------------------------------------------------------------


def test_every_message_belongs_to_a_step():
    for kind in get_args(NasMessage):
        found = step_of(kind.__name__, Purpose.PROVISIONING, Step.PROVISION)
        anytime = kind.__name__ in ("ConfigurationUpdateCommand", "ConfigurationUpdateComplete", "Status")
        assert (found is Step.PROVISION) is anytime, kind


def test_an_ordinary_attach_is_wholly_step_seven():
    assert {step_of("AttachRequest", purpose, Step.SESSION) for purpose in Purpose} == {
        Step.ATTACH_REQUEST,
        Step.REATTACH,
    }
    assert step_of("DetachRequest", Purpose.ORDINARY, Step.SESSION) is Step.REATTACH
