"""Step 6: detach, and every other way in which an attach ends.

UE ── DetachRequest ──> CP ── DetachAccept ──> UE        then nothing is left: contexts, keys, session, TEIDs, filter
CP ── DetachRequest{cause} ──> UE ── DetachAccept ──> CP           at the end of the scope, or on revocation
CP ── UeContextReleaseCommand ──> RAN ── RrcRelease ──> UE,  RAN ── UeContextReleaseComplete ──> CP
"""

from dataclasses import dataclass
from typing import ClassVar

from rprov.causes import Cause
from rprov.errors import Refused
from rprov.model.identifiers import Iccid, Teid
from rprov.model.security import Scope
from rprov.procedure import endings, s7_reattach, verdicts
from rprov.procedure.actions import (
    Action,
    Close,
    CloseRadio,
    CloseTunnel,
    Deregister,
    DropContexts,
    EndStep,
    Prove,
    Send,
    SendN2,
    StartTimer,
    StopTimer,
    Tombstone,
)
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import (
    DetachOrdered,
    DetachWanted,
    LinkLost,
    RadioLost,
    Received,
    Timer,
    TimerFired,
)
from rprov.procedure.machine import Move, Table, Waiting, repeat_or, stay, waiting_for
from rprov.procedure.phases import CpState, Held, OfRegistration, Phase, UeState
from rprov.procedure.purpose import Intent, Step
from rprov.procedure.registration import Registration, lifetime
from rprov.wire.link import UeContextReleaseCommand, UeContextReleaseComplete, UeContextReleaseRequest
from rprov.wire.messages import AttachReject, DetachAccept, DetachRequest

# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reattach:
    """After the detach: come back with this profile."""

    intent: Intent
    iccid: Iccid


@dataclass(frozen=True, slots=True)
class GiveUp:
    """After the detach: end, for this cause; `step` is where it failed."""

    intent: Intent
    cause: Cause
    detail: str
    step: Step


@dataclass(frozen=True, slots=True)
class AwaitDetachAccept(UeState):
    """The UE has said that it leaves."""

    after: Reattach | GiveUp
    waiting: Waiting
    natural: ClassVar[Step] = Step.DETACH
    phase: ClassVar[Phase] = Phase.SECURED

    @property
    def intent(self) -> Intent:  # type: ignore[override]
        """What it was about."""
        return self.after.intent


def begin_ue(after: Reattach | GiveUp, env: UeEnv) -> Move:
    """Leave in order. What has failed is taken down before, at the step where it did."""
    request = DetachRequest(Cause.NORMAL)
    waiting = waiting_for(Timer.T3521, env.policy.timers.t3521, request)
    failed: tuple[Action, ...] = ()
    if isinstance(after, GiveUp) and after.cause is not Cause.NORMAL:
        failed = (endings.failure(after.step, after.cause, after.detail),)
    return Move(AwaitDetachAccept(after, waiting), (*failed, *waiting.start()))


def on_detach_accept(state: AwaitDetachAccept, _event: object, env: UeEnv) -> Move:
    """Nothing is left here: GUTI, ksi and keys of this attach are erased."""
    gone: tuple[Action, ...] = (state.waiting.stop, DropContexts(), CloseRadio())
    if isinstance(state.after, Reattach):
        ended = EndStep(Step.DETACH) if state.step is not Step.REATTACH else EndStep(Step.REATTACH)
        move = s7_reattach.begin_ue(state.after.intent, state.after.iccid)
        return Move(move.state, (*gone, ended, *move.actions))
    ended_move = endings.ue_failed(state, state.after.cause, state.after.detail, env, told=True)
    return Move(ended_move.state, (*gone, *ended_move.actions))


def on_radio_lost(state: UeState, event: RadioLost, env: UeEnv) -> Move:
    """End with the connection; what was a detach under way has happened (TS 24.501 5.5.2.2.6)."""
    if isinstance(state, AwaitDetachAccept):
        return on_detach_accept(state, event, env)
    if isinstance(state, (endings.Deregistered, endings.AwaitRetry, s7_reattach.AwaitProfileEnabled)):
        return stay(state)
    return endings.ue_failed(state, event.cause, "the connection ended", env, backoff=event.backoff)


def on_network_detach(state: UeState, event: Received[DetachRequest], env: UeEnv) -> Move:
    """The network throws us out; it is surely the network that says so."""
    answer = () if event.message.switch_off else (Send(DetachAccept()),)
    if isinstance(state, AwaitDetachAccept):
        # Both want the same: the detach has happened, and what was to follow it follows.
        move = on_detach_accept(state, event, env)
        return Move(move.state, (*answer, *move.actions))
    return endings.ue_failed(state, event.message.cause, "the network detached the device", env, *answer)


def on_detach_wanted(state: UeState, event: DetachWanted, env: UeEnv) -> Move:
    """Somebody wants us to leave: in order where there is a context, at once where there is none."""
    if isinstance(state, endings.Deregistered):
        return stay(state)
    if state.phase is Phase.SECURED and not event.switch_off and not isinstance(state, AwaitDetachAccept):
        return begin_ue(GiveUp(state.intent, Cause.NORMAL, "detached", state.step), env)
    leaving = (Send(DetachRequest(Cause.NORMAL, True)),) if state.phase is Phase.SECURED else ()
    return endings.ue_failed(state, Cause.NORMAL, "detached", env, *leaving)


def on_ue_refused(state: UeState, refusal: Refused, env: UeEnv, *actions: Action) -> Move:
    """End a try that we ourselves refuse to go on with."""
    if state.phase is Phase.SECURED and not isinstance(state, AwaitDetachAccept):
        move = begin_ue(GiveUp(state.intent, refusal.cause, refusal.detail, state.step), env)
        stop = tuple(StopTimer(timer) for timer in endings.UE_TIMERS if timer is not Timer.T3521)
        return Move(move.state, (*actions, *stop, *move.actions))
    return endings.ue_failed(state, refusal.cause, refusal.detail, env, *actions)


UE: Table = {
    (AwaitDetachAccept, DetachAccept): on_detach_accept,
    (AwaitDetachAccept, TimerFired): repeat_or(on_detach_accept),
}

# --- CP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitUeDetachAccept(OfRegistration):
    """The UE is being thrown out."""

    registration: Registration
    teid: Teid | None
    waiting: Waiting
    natural: ClassVar[Step] = Step.DETACH

    @property
    def held(self) -> Held:
        """The registration and the tunnel."""
        return Held(self.registration, self.teid)

    @property
    def why(self) -> Cause:
        """What it was told."""
        ordered = self.waiting.action.message if isinstance(self.waiting.action, Send) else None
        return ordered.cause if isinstance(ordered, DetachRequest) else Cause.NORMAL


@dataclass(frozen=True, slots=True)
class Unreachable(OfRegistration):
    """Registered, but its radio connection is gone; its next attach ends this, or the timer does."""

    registration: Registration
    natural: ClassVar[Step] = Step.DETACH


@dataclass(frozen=True, slots=True)
class Releasing(CpState):
    """Keys, session and filter are gone; the RAN clears up. A repeated detach gets its answer from the tombstone.

    Only whoever was `known`, with a context, can say something again: of a stranger nothing is kept.
    """

    was: Scope
    then: tuple[Action, ...] = ()
    known: bool = False
    natural: ClassVar[Step] = Step.DETACH
    phase: ClassVar[Phase] = Phase.SECURED

    @property
    def scope(self) -> Scope:
        """What the context was for."""
        return self.was


@dataclass(frozen=True, slots=True)
class Gone(CpState):
    """Nothing is left but the tombstone."""

    was: Scope
    natural: ClassVar[Step] = Step.DETACH
    phase: ClassVar[Phase] = Phase.SECURED

    @property
    def scope(self) -> Scope:
        """What the context was for."""
        return self.was


_CP_TIMERS = (Timer.T3560, Timer.T3570, Timer.T3550, Timer.T3522, Timer.T3580, Timer.LIFETIME, Timer.CONTEXT_SETUP)


def _clear(state: CpState, cause: Cause) -> tuple[Action, ...]:
    """Everything of this UE in the core: timers, tunnel and filter, registration, keys."""
    held = state.held
    why = state.why if isinstance(state, AwaitUeDetachAccept) else cause
    return (
        *(StopTimer(timer) for timer in _CP_TIMERS),
        *((CloseTunnel(held.teid),) if held.teid is not None else ()),
        *((Deregister(held.registration.guti), verdicts.ended(held.registration, why)) if held.registration else ()),
        DropContexts(),
    )


def release_cp(state: CpState, cause: Cause, env: CpEnv, *actions: Action, then: tuple[Action, ...] = ()) -> Move:
    """Clear the core and have the RAN clear the radio; `then` follows when it has."""
    if isinstance(state, (Unreachable, Gone)):
        return Move(Gone(state.scope), (*actions, *_clear(state, cause), Close()))
    return Move(
        Releasing(state.scope, then, state.phase is Phase.SECURED),
        (
            *actions,
            *_clear(state, cause),
            SendN2(UeContextReleaseCommand(cause)),
            StartTimer(Timer.CONTEXT_SETUP, env.policy.timers.context_setup),
        ),
    )


def failed(state: CpState, refusal: Refused) -> Action:
    """Take down at which step a UE was refused, and why."""
    return EndStep(state.step, False, str(refusal))


def on_detach_request(state: CpState, event: Received[DetachRequest], env: CpEnv) -> Move:
    """The UE leaves: answer, keep the answer for a while, forget everything else."""
    accept = DetachAccept()
    known = state.phase is Phase.SECURED
    answer = () if event.message.switch_off else (Send(accept), *((Tombstone(accept),) if known else ()))
    ended = (EndStep(Step.DETACH),) if known and state.scope is Scope.PROVISIONING else ()
    return release_cp(state, Cause.NORMAL, env, *answer, *ended, then=_all_gone(state) if known else ())


def on_detach_ordered(state: CpState, event: DetachOrdered, env: CpEnv) -> Move:
    """End a registration from this side; one that a newer attach replaced has nobody left to talk to."""
    if isinstance(state, (Releasing, Gone)):
        return stay(state)
    if isinstance(state, (Unreachable, AwaitUeDetachAccept)) or event.cause is Cause.SUPERSEDED:
        return release_cp(state, event.cause, env)
    return _throw_out(state, event.cause, env)


def _throw_out(state: CpState, cause: Cause, env: CpEnv) -> Move:
    held = state.held
    if held.registration is None:
        # Whoever has to go for others hears when to come back; it may not believe it, and caps it.
        told = (Send(AttachReject(cause, env.policy.backoff)),) if cause is Cause.CONGESTION else ()
        return release_cp(state, cause, env, *told)
    waiting = waiting_for(Timer.T3522, env.policy.timers.t3522, DetachRequest(cause))
    stop = tuple(StopTimer(timer) for timer in _CP_TIMERS)
    return Move(AwaitUeDetachAccept(held.registration, held.teid, waiting), (*stop, *waiting.start()))


def on_lifetime(state: CpState, event: TimerFired, env: CpEnv) -> Move:
    """The time for provisioning is over, or an ordinary UE has had no session for too long."""
    if event.timer is not Timer.LIFETIME:
        return stay(state)
    expired = Cause.SCOPE_EXPIRED if state.scope is Scope.PROVISIONING else Cause.IMPLICITLY_DETACHED
    return _throw_out(state, expired, env)


def on_ue_accepted(state: AwaitUeDetachAccept, _event: object, env: CpEnv) -> Move:
    """The UE is out, or silent: it is out in any case."""
    return release_cp(state, Cause.NORMAL, env, then=_all_gone(state))


def on_ran_lost_ue(state: CpState, event: Received[UeContextReleaseRequest], env: CpEnv) -> Move:
    """The radio connection is gone. A registered UE stays registered for a while; anybody else is forgotten."""
    return _unreachable(state, env, SendN2(UeContextReleaseCommand(event.message.cause)))


def on_link_lost(state: CpState, _event: LinkLost, env: CpEnv) -> Move:
    """The RAN is gone with everything that it knew."""
    return _unreachable(state, env)


def _unreachable(state: CpState, env: CpEnv, *actions: Action) -> Move:
    held = state.held
    if isinstance(state, Unreachable):
        return stay(state)
    if held.registration is None or isinstance(state, AwaitUeDetachAccept):
        return Move(Gone(state.scope), (*_clear(state, Cause.RADIO_LINK_LOST), *actions, Close()))
    left = held.registration.expires_at - env.now
    if state.scope is Scope.ORDINARY:
        left = lifetime(state.scope, env)  # the implicit detach timer begins when the connection ends (TS 24.501 5.3.7)
    gone = (CloseTunnel(held.teid),) if held.teid is not None else ()
    stop = tuple(StopTimer(timer) for timer in _CP_TIMERS)
    return Move(Unreachable(held.registration), (*gone, *actions, *stop, StartTimer(Timer.LIFETIME, max(0.0, left))))


def on_implicit_detach(state: Unreachable, _event: TimerFired, _env: CpEnv) -> Move:
    """Nothing was heard of it for too long."""
    return Move(Gone(state.scope), (*_clear(state, Cause.IMPLICITLY_DETACHED), Close()))


def _all_gone(state: CpState) -> tuple[Action, ...]:
    step = Step.DETACH if state.scope is Scope.PROVISIONING else Step.REATTACH
    return (Prove(step, "contexts, keys, session, tunnel and filter are gone in core and RAN"),)


def on_released(state: Releasing, _event: object, env: CpEnv) -> Move:
    """The RAN has cleared up, or is silent."""
    stop = StopTimer(Timer.CONTEXT_SETUP)
    if not state.known:
        return Move(Gone(state.scope), (stop, *state.then, Close()))
    return Move(Gone(state.scope), (stop, StartTimer(Timer.TOMBSTONE, env.policy.timers.tombstone), *state.then))


def on_crossed(state: Releasing, _event: Received[UeContextReleaseRequest], _env: CpEnv) -> Move:
    """Our command and the RAN's request have crossed: the command stands, and is answered."""
    return stay(state)


def on_tombstone_over(state: Gone, _event: TimerFired, _env: CpEnv) -> Move:
    """Nothing is left at all."""
    return stay(state, Close())


CP: Table = {
    (AwaitUeDetachAccept, DetachAccept): on_ue_accepted,
    (AwaitUeDetachAccept, TimerFired): repeat_or(on_ue_accepted),
    (Unreachable, TimerFired): on_implicit_detach,
    (Unreachable, UeContextReleaseComplete): lambda state, _event, _env: stay(state),
    (Releasing, UeContextReleaseComplete): on_released,
    (Releasing, UeContextReleaseRequest): on_crossed,
    (Releasing, TimerFired): on_released,
    (Gone, TimerFired): on_tombstone_over,
}
