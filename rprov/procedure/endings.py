"""How a try of the UE ends when it does not end in an ordinary session: again later, as somebody else, or for good.

Every step leads here. Owns the first and the last state of the UE.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from rprov.causes import Cause
from rprov.model.policy import MAX_BACKOFF
from rprov.procedure.actions import Action, CloseRadio, Conclude, DropContexts, EndStep, StartTimer, StopTimer
from rprov.procedure.engines import UeEnv
from rprov.procedure.events import Timer, TimerFired
from rprov.procedure.machine import GoBack, Move, Table
from rprov.procedure.phases import Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step

RETRIABLE = frozenset(
    {
        Cause.CONGESTION,
        Cause.PEER_SILENT,
        Cause.NETWORK_FAILURE,
        Cause.RADIO_LINK_LOST,
        Cause.AUTHENTICATION_TIMEOUT,
    }
)
"""Causes that say nothing about the device; another try may do (TS 24.501 5.5.1.2.7)."""

UE_TIMERS = (Timer.CELL, Timer.T3510, Timer.T3511, Timer.T3580, Timer.T3521, Timer.DOWNLOAD)


@dataclass(frozen=True, slots=True)
class Deregistered(UeState):
    """Not attached, nothing under way: the first state and the last."""

    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def step(self) -> Step:
        """Where everything begins."""
        return Step.ATTACH_REQUEST


@dataclass(frozen=True, slots=True)
class AwaitRetry(UeState):
    """Not attached; another try comes when T3511 fires."""

    intent: Intent
    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


def on_ue_timeout(state: UeState, event: TimerFired, env: UeEnv) -> Move:
    """The network is silent."""
    return ue_failed(state, Cause.PEER_SILENT, f"{event.timer.value} expired", env)


def ue_failed(
    state: UeState,
    cause: Cause,
    detail: str,
    env: UeEnv,
    *actions: Action,
    backoff: int | None = None,
    told: bool = False,
) -> Move:
    """End this try: forget its keys, then try again later, fall back, or conclude.

    `told` says that the failure is taken down already.
    """
    intent = state.intent
    gone = (*actions, *(StopTimer(timer) for timer in UE_TIMERS), DropContexts(), CloseRadio())
    if cause in RETRIABLE and intent.attempt < env.policy.max_attempts:
        # A stranger may have said so: what it says about waiting is capped (design rule 1).
        seconds = min(backoff, MAX_BACKOFF) if backoff is not None else env.policy.timers.t3511
        return Move(AwaitRetry(intent.again()), (*gone, StartTimer(Timer.T3511, float(seconds))))
    if cause is Cause.NORMAL:
        # Somebody wanted it so: no step has failed, and there is nothing to fall back from.
        return Move(Deregistered(), (*gone, Conclude(False, cause, detail)))
    again = _fallback(intent, env)
    if again is not None:
        return Move(AwaitRetry(again), (*gone, StartTimer(Timer.T3511, env.policy.timers.t3511)))
    failed = () if told else (failure(state.step, cause, detail),)
    return Move(Deregistered(), (*gone, *failed, Conclude(False, cause, detail)))


def failure(step: Step, cause: Cause, detail: str) -> EndStep:
    """Take down at which step a try has failed, and why."""
    return EndStep(step, False, f"{cause.text} ({detail})" if detail else cause.text)


def _fallback(intent: Intent, env: UeEnv) -> Intent | None:
    if not env.policy.fall_back_to_provisioning or intent.fallen_back or intent.purpose is not Purpose.ORDINARY:
        return None
    if intent.eid is None:
        return None
    return replace(intent, purpose=Purpose.PROVISIONING, identity=intent.eid, attempt=1, fallen_back=True)


def on_retry(state: AwaitRetry, _event: TimerFired, _env: UeEnv) -> GoBack:
    """Try again from the beginning."""
    return GoBack(Step.ATTACH_REQUEST, state.intent)


UE: Table = {
    (AwaitRetry, TimerFired): on_retry,
}
