"""Tables, moves, and the machine that runs them. Knows no message, no key and no link.

A machine is driven by events only: received messages, answers from the shell, timers. What is not in its table has
a fixed answer (see `Machine.step`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Protocol

from rprov.causes import Cause
from rprov.errors import Misuse, Refused
from rprov.model.env import Env
from rprov.model.policy import MAX_SENT
from rprov.model.report import Transition
from rprov.procedure.actions import Action, Ask, Asked, Close, Report, Send, StartTimer, StopTimer
from rprov.procedure.events import Answer, Event, Protection, Received, Timer, TimerFired
from rprov.procedure.purpose import Step
from rprov.wire.messages import NasMessage

MAX_WAYS_BACK = 8
"""Restarts within one machine's life between two stable ends; each is asked for by our own policy, never endless."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where to go and what to do."""

    state: "State"
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class GoBack:
    """Begin an earlier step again with `carry`; resolved in the role's ways back, bounded."""

    step: Step
    carry: object
    actions: tuple[Action, ...] = ()


class State(Protocol):
    """A frozen value that holds exactly what is known then."""

    @property
    def step(self) -> Step:
        """The step of the whole procedure that this state belongs to."""


Handler = Callable[[Any, Any, Env[Any, Any]], Move | GoBack]
Table = Mapping[tuple[type, type], Handler]


def merge(*tables: Table) -> Table:
    """Join tables; a pair claimed twice is refused at import."""
    merged: dict[tuple[type, type], Handler] = {}
    for table in tables:
        for pair, handler in table.items():
            if pair in merged:
                raise Misuse(f"({pair[0].__name__}, {pair[1].__name__}) is claimed twice")
            merged[pair] = handler
    return merged


def stay(state: State, *actions: Action) -> Move:
    """Do something without going anywhere."""
    return Move(state, actions)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A guarded message: repeated when its timer fires, four times; the fifth expiry gives up (TS 24.501 10.2)."""

    timer: Timer
    seconds: float
    action: Action
    sent: int = 1

    def start(self) -> tuple[Action, ...]:
        """Send it the first time and start its timer."""
        return (self.action, StartTimer(self.timer, self.seconds))

    @property
    def stop(self) -> StopTimer:
        """The answer has come."""
        return StopTimer(self.timer)

    def repeat(self) -> "tuple[Waiting, tuple[Action, ...]] | None":
        """Send it once more, or say that it was sent often enough."""
        if self.sent >= MAX_SENT:
            return None
        return replace(self, sent=self.sent + 1), (self.action, StartTimer(self.timer, self.seconds))


def waiting_for(timer: Timer, seconds: float, message: NasMessage) -> Waiting:
    """Guard a NAS message."""
    return Waiting(timer, seconds, Send(message))


def repeat_or(give_up: Handler) -> Handler:
    """Make the handler of a timer that guards `state.waiting`."""

    def on_timer(state: Any, event: TimerFired, env: Env[Any, Any]) -> Move | GoBack:
        if event.timer is not state.waiting.timer:
            return stay(state)
        repeated = state.waiting.repeat()
        if repeated is None:
            return give_up(state, event, env)
        waiting, actions = repeated
        return Move(replace(state, waiting=waiting), actions)

    return on_timer


def refuse_silence(state: Any, event: TimerFired, env: Env[Any, Any]) -> Move:
    """Give up on a peer that does not answer; the role's table of refusals says how that ends."""
    raise Refused(Cause.PEER_SILENT, f"{event.timer.value} expired")


class Unhandled(Enum):
    """What a machine made of an event that is not in its table."""

    UNAUTHENTICATED = auto()
    """A message that proves nothing: counted, dropped, nothing changes."""
    AUTHENTICATED = auto()
    """A message of the true peer: Status with a cause, nothing changes."""
    STALE = auto()
    """A timer or an answer that nobody waits for any more: dropped."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role's whole behaviour: its table, what holds anywhere, its ways back, and how a refusal ends."""

    name: str
    table: Table = field(repr=False)
    anywhere: Mapping[type, Handler] = field(repr=False)
    ways_back: Mapping[Step, Callable[[Any, Env[Any, Any]], Move | GoBack]] = field(repr=False)
    on_refused: Callable[[Any, Refused, Env[Any, Any]], Move | GoBack] = field(repr=False)
    stable: tuple[type, ...] = field(default=(), repr=False)
    """States in which the count of ways back begins anew."""


@dataclass(slots=True)
class Machine:
    """One state that moves by a role's table. The endpoint owns it."""

    role: Role
    state: State
    _generation: int = 0
    _timers: dict[Timer, int] = field(default_factory=dict)
    _ticket: int = 0
    _awaited: int | None = None
    _ways_back: int = 0

    def enter(self, move: Move) -> tuple[Action, ...]:
        """Begin with a move that no event of the table leads to."""
        self.state = move.state
        return tuple(self._number(action) for action in move.actions)

    def key_of(self, event: Event | Received[Any]) -> type:
        """The type by which the table names an event: a received message goes by its message."""
        return type(event.message) if isinstance(event, Received) else type(event)

    def handler(self, event: Event | Received[Any]) -> Handler | None:
        """Look up who handles this event now."""
        key = self.key_of(event)
        return self.role.table.get((type(self.state), key)) or self.role.anywhere.get(key)

    def answer(self, ticket: int, answer: Answer, env: Env[Any, Any], ue: str) -> tuple[Action, ...] | Unhandled:
        """Take the shell's answer to the question with this ticket."""
        if ticket != self._awaited:
            return Unhandled.STALE
        self._awaited = None
        return self.step(answer, env, ue)

    def step(self, event: Event | Received[Any], env: Env[Any, Any], ue: str) -> tuple[Action, ...] | Unhandled:
        """Move by one event; give the actions, with tickets and generations filled in, or say why nothing moved.

        A `Refused` that a handler raises is turned into the role's ending here, nowhere else.
        """
        if isinstance(event, TimerFired):
            if self._timers.get(event.timer) != event.generation:
                return Unhandled.STALE
            del self._timers[event.timer]
        handler = self.handler(event)
        if handler is None:
            return self._unhandled(event)
        before = self.state
        try:
            outcome = handler(self.state, event, env)
        except Refused as refusal:
            outcome = self.role.on_refused(self.state, refusal, env)
        actions: list[Action] = []
        while isinstance(outcome, GoBack):
            actions += outcome.actions
            self._ways_back += 1
            if self._ways_back > MAX_WAYS_BACK:
                outcome = self.role.on_refused(self.state, Refused(Cause.PROTOCOL_ERROR, "went back too often"), env)
                continue
            try:
                outcome = self.role.ways_back[outcome.step](outcome.carry, env)
            except Refused as refusal:
                outcome = self.role.on_refused(self.state, refusal, env)
        self.state = outcome.state
        if isinstance(self.state, self.role.stable):
            self._ways_back = 0
        actions += outcome.actions
        numbered = tuple(self._number(action) for action in actions)
        names = tuple(type(action).__name__ for action in actions)
        moved = Transition(
            env.now,
            self.role.name,
            ue,
            self.state.step,
            type(before).__name__,
            self.key_of(event).__name__,
            type(self.state).__name__,
            names,
        )
        return (Report(moved), *numbered)

    def _unhandled(self, event: Event | Received[Any]) -> Unhandled:
        if not isinstance(event, Received):
            return Unhandled.STALE
        return Unhandled.UNAUTHENTICATED if event.protection is Protection.PLAIN else Unhandled.AUTHENTICATED

    def _number(self, action: Action) -> Action:
        if isinstance(action, StartTimer):
            self._generation += 1
            self._timers[action.timer] = self._generation
            return replace(action, generation=self._generation)
        if isinstance(action, StopTimer):
            self._timers.pop(action.timer, None)
        elif isinstance(action, Ask):
            self._ticket += 1
            self._awaited = self._ticket
            return Asked(self._ticket, action)
        elif isinstance(action, Close):
            self._timers.clear()
            self._awaited = None
        return action
