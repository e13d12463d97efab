"""Step 3: attach. The keys that step 2 gave are taken into use on all three nodes, and the UE is let in.

CP ── SecurityModeCommand{algorithms, ksi, capabilities again, abba, EAP-Success} ──> UE     integrity, new keys
CP <── SecurityModeComplete{the whole AttachRequest again} ── UE                             and ciphered
CP ── InitialContextSetupRequest{K_gNB} ──> RAN                       K_gNB from the COUNT of the Complete
RAN ── AsSecurityModeCommand ──> UE ── AsSecurityModeComplete ──> RAN            (`access_security.py`)
CP ── AttachAccept{guti, scope, lifetime} ──> UE ── AttachComplete ──> CP
"""

from dataclasses import dataclass
from typing import ClassVar

from rprov.auth.scheme import Authenticated, PeerScheme
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAmf, k_amf, k_gnb
from rprov.errors import Refused
from rprov.model.identifiers import Eid, Plmn, Supi
from rprov.model.security import Nea, Nia, Scope
from rprov.procedure import endings, s4_session, s6_detach, verdicts
from rprov.procedure.actions import (
    Action,
    EndStep,
    GiveKgnb,
    InstallContext,
    Prove,
    Register,
    Send,
    SendN2,
    StartTimer,
    StopTimer,
    TakeIntoUse,
)
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import Received, Timer, TimerFired
from rprov.procedure.machine import GoBack, Move, Table, Waiting, refuse_silence, repeat_or, stay, waiting_for
from rprov.procedure.phases import CpState, OfCandidate, OfRegistration, Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.procedure.registration import Candidate, Registration, context_record, lifetime, register
from rprov.wire.link import InitialContextSetupFailure, InitialContextSetupRequest, InitialContextSetupResponse
from rprov.wire.messages import (
    ABBA,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
)

# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitSecurityMode(UeState):
    """The network has proved its certificate and committed itself (0x00); only a protected message goes on."""

    intent: Intent
    plmn: Plmn
    request: AttachRequest
    scheme: PeerScheme
    abba: bytes = ABBA
    natural: ClassVar[Step] = Step.ATTACH
    phase: ClassVar[Phase] = Phase.COMMITTED


@dataclass(frozen=True, slots=True)
class AwaitVerdict(UeState):
    """RES* is sent; the network may still refuse it, unprotected (TS 33.501 6.1.3.2.2)."""

    intent: Intent
    plmn: Plmn
    request: AttachRequest
    scheme: PeerScheme
    abba: bytes = ABBA
    natural: ClassVar[Step] = Step.ATTACH
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


@dataclass(frozen=True, slots=True)
class AwaitAttachAccept(UeState):
    """The NAS context is in use; the network lets us in."""

    intent: Intent
    plmn: Plmn
    request: AttachRequest
    natural: ClassVar[Step] = Step.ATTACH
    phase: ClassVar[Phase] = Phase.SECURED


def on_security_mode_command(
    state: AwaitSecurityMode | AwaitVerdict, event: Received[SecurityModeCommand], env: UeEnv
) -> Move:
    """Take the keys into use, if nobody on the way has made our request weaker. The MAC is verified already."""
    command = event.message
    provisioning = state.intent.purpose is Purpose.PROVISIONING
    if command.capability != state.request.capability:
        raise Refused(Cause.SECURITY_CAPABILITIES_MISMATCH, "")  # TS 24.501 5.4.2.5, cause #23
    if command.nia is Nia.NIA0 or (provisioning and command.nea is Nea.NEA0):
        raise Refused(Cause.SECURITY_MODE_REJECTED, "the network chose a null algorithm")
    if not (command.capability.supports_nia(command.nia) and command.capability.supports_nea(command.nea)):
        raise Refused(Cause.SECURITY_MODE_REJECTED, "the network chose an algorithm that this device does not have")
    if command.abba != state.abba:
        raise Refused(Cause.SECURITY_MODE_REJECTED, "the network changed the ABBA")
    state.scheme.accept_success(command.eap)
    following = AwaitAttachAccept(state.intent, state.plmn, state.request)
    return Move(following, (TakeIntoUse(), *_complete(state.request, env)))


def _complete(request: AttachRequest, env: UeEnv) -> tuple[Action, ...]:
    # K_gNB follows from the COUNT of this very message, so it is derived after it was sent (TS 33.501 6.8.1.2.2).
    return Send(SecurityModeComplete(env.engines.codec.encode(request))), GiveKgnb()


def on_repeated_command(state: AwaitAttachAccept, _event: Received[SecurityModeCommand], env: UeEnv) -> Move:
    """Complete again: the first one was lost, or was late."""
    return stay(state, *_complete(state.request, env))


def on_attach_accept(state: AwaitAttachAccept, event: Received[AttachAccept], env: UeEnv) -> Move:
    """Be attached, for what we asked and nothing else."""
    accept = event.message
    provisioning = state.intent.purpose is Purpose.PROVISIONING
    if (accept.scope is Scope.PROVISIONING) is not provisioning:
        raise Refused(Cause.SCOPE_FORBIDS, f"the network attached us for {accept.scope.name.lower()}")
    until = f" for {accept.lifetime} s" if accept.lifetime else ""
    proved = Prove(state.step, f"attached as {accept.guti}, for {accept.scope.name.lower()}{until}")
    ended = () if state.step is Step.REATTACH else (EndStep(Step.ATTACH),)
    move = s4_session.begin_ue(state.intent, state.plmn, accept.guti, env)
    actions = (StopTimer(Timer.T3510), Send(AttachComplete()), proved, *ended, *move.actions)
    return Move(move.state, actions)


def on_attach_reject(state: AwaitAttachAccept, event: Received[AttachReject], env: UeEnv) -> Move:
    """The network has reconsidered; this time it is surely the network that says so."""
    reject = event.message
    return endings.ue_failed(state, reject.cause, "the network said so", env, backoff=reject.backoff)


UE: Table = {
    (AwaitSecurityMode, SecurityModeCommand): on_security_mode_command,
    (AwaitSecurityMode, TimerFired): endings.on_ue_timeout,
    (AwaitVerdict, SecurityModeCommand): on_security_mode_command,
    (AwaitVerdict, TimerFired): endings.on_ue_timeout,
    (AwaitAttachAccept, SecurityModeCommand): on_repeated_command,
    (AwaitAttachAccept, AttachAccept): on_attach_accept,
    (AwaitAttachAccept, AttachReject): on_attach_reject,
    (AwaitAttachAccept, TimerFired): endings.on_ue_timeout,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitSecurityModeComplete(OfCandidate):
    """The new context stands beside whatever was there; it is in use when the Complete is verified."""

    candidate: Candidate
    identity: Eid | Supi
    k_amf: KAmf
    waiting: Waiting
    refusal: Refused | None = None
    """Why the UE is told no as soon as it can believe it; it is not let in then."""
    natural: ClassVar[Step] = Step.ATTACH
    phase: ClassVar[Phase] = Phase.COMMITTED


@dataclass(frozen=True, slots=True)
class AwaitContextSetup(OfCandidate):
    """The RAN secures the radio."""

    candidate: Candidate
    identity: Eid | Supi
    k_amf: KAmf
    natural: ClassVar[Step] = Step.ATTACH
    phase: ClassVar[Phase] = Phase.SECURED


@dataclass(frozen=True, slots=True)
class AwaitAttachComplete(OfRegistration):
    """The UE has been told its GUTI."""

    registration: Registration
    waiting: Waiting
    natural: ClassVar[Step] = Step.ATTACH


def begin_cp(candidate: Candidate, authenticated: Authenticated, env: CpEnv, refusal: Refused | None = None) -> Move:
    """Command the security mode. The CP-CN gets K_SEAF and the identity from step 2, nothing more.

    With a `refusal` the UE is turned away under these keys.
    """
    identity = authenticated.identity
    supi = Supi.of_eid(identity, env.policy.plmn) if isinstance(identity, Eid) else identity
    key = k_amf(authenticated.k_seaf, supi, authenticated.abba)
    command = SecurityModeCommand(
        nea=candidate.algorithms.nea,
        nia=candidate.algorithms.nia,
        ksi=candidate.ksi,
        capability=candidate.request.capability,
        abba=authenticated.abba,
        eap=authenticated.eap_success,
    )
    waiting = waiting_for(Timer.T3560, env.policy.timers.t3560, command)
    install = InstallContext(candidate.ksi, key, candidate.algorithms, candidate.scope)
    following = AwaitSecurityModeComplete(candidate, identity, key, waiting, refusal)
    return Move(following, (install, *waiting.start()))


def on_security_mode_complete(
    state: AwaitSecurityModeComplete, event: Received[SecurityModeComplete], env: CpEnv
) -> Move:
    """Take the context into use and give the RAN its key. The MAC is verified under the new keys."""
    refusal = state.refusal
    if event.message.attach_request != state.candidate.raw:
        # Somebody rewrote the unprotected request on its way: what we acted on is not what the UE said.
        refusal = Refused(Cause.SEMANTICALLY_INCORRECT, "the attach request was changed on its way")
    if refusal is not None:
        # The UE has the keys and proves it, so it is told under them, and believes it.
        reject = Send(AttachReject(refusal.cause, env.policy.backoff))
        return s6_detach.release_cp(state, refusal.cause, env, s6_detach.failed(state, refusal), TakeIntoUse(), reject)
    key = k_gnb(state.k_amf, event.count)
    capability = state.candidate.request.capability
    if state.scope is Scope.PROVISIONING:
        # The RAN chooses by a list of its own; what it must not choose it is not offered (design rule 3).
        capability = capability.without_null_ciphering
    request = InitialContextSetupRequest(key, capability)
    proved = Prove(state.step, f"UE and CP hold the same NAS keys ({_names(state.candidate)})")
    return Move(
        AwaitContextSetup(state.candidate, state.identity, state.k_amf),
        (
            state.waiting.stop,
            TakeIntoUse(),
            proved,
            SendN2(request),
            StartTimer(Timer.CONTEXT_SETUP, env.policy.timers.context_setup),
        ),
    )


def _names(candidate: Candidate) -> str:
    return f"128-{candidate.algorithms.nea.name}, 128-{candidate.algorithms.nia.name}"


def on_security_mode_reject(
    _state: AwaitSecurityModeComplete, event: Received[SecurityModeReject], _env: CpEnv
) -> Move:
    """The UE does not take the keys into use."""
    raise Refused(event.message.cause, "the UE refused the security mode")


def on_repeated_complete(state: CpState, _event: Received[SecurityModeComplete], _env: CpEnv) -> Move:
    """Ignore a second Complete: our command was repeated although the first answer was on its way."""
    return stay(state)


def on_context_set_up(state: AwaitContextSetup, _event: Received[InitialContextSetupResponse], env: CpEnv) -> Move:
    """Let the UE in."""
    registration = register(state.candidate, state.identity, env)
    seconds = lifetime(registration.scope, env)
    accept = AttachAccept(
        guti=registration.guti,
        scope=registration.scope,
        lifetime=int(seconds) if registration.scope is Scope.PROVISIONING else 0,
        t3512=int(env.policy.timers.t3512),
    )
    waiting = waiting_for(Timer.T3550, env.policy.timers.t3550, accept)
    record = context_record(registration, state.candidate, state.k_amf, env)
    proved = Prove(state.step, "UE and RAN hold the same AS keys; no key has crossed the radio")
    guard = StartTimer(Timer.LIFETIME, seconds)
    return Move(
        AwaitAttachComplete(registration, waiting),
        (
            StopTimer(Timer.CONTEXT_SETUP),
            proved,
            Register(record, state.candidate.path),
            verdicts.admitted(state.candidate, registration),
            guard,
            *waiting.start(),
        ),
    )


def on_context_failed(_state: AwaitContextSetup, event: Received[InitialContextSetupFailure], _env: CpEnv) -> Move:
    """The RAN could not secure the radio."""
    raise Refused(Cause.NETWORK_FAILURE, event.message.cause.text)


def on_attach_complete(state: AwaitAttachComplete, _event: Received[AttachComplete], _env: CpEnv) -> Move:
    """The UE is in."""
    ended = (EndStep(Step.ATTACH),) if state.scope is Scope.PROVISIONING else ()
    return Move(s4_session.Attached(state.registration), (state.waiting.stop, *ended))


def on_no_complete(state: AwaitAttachComplete, _event: TimerFired, _env: CpEnv) -> Move:
    """Treat the UE as registered (TS 24.501 5.5.1.2.8 c)."""
    return Move(s4_session.Attached(state.registration))


def on_accept_timer(state: AwaitAttachComplete, event: TimerFired, env: CpEnv) -> Move | GoBack:
    """Tell the two timers of this state apart."""
    if event.timer is Timer.LIFETIME:
        return s6_detach.on_lifetime(state, event, env)
    return repeat_or(on_no_complete)(state, event, env)


CP: Table = {
    (AwaitSecurityModeComplete, SecurityModeComplete): on_security_mode_complete,
    (AwaitSecurityModeComplete, SecurityModeReject): on_security_mode_reject,
    (AwaitSecurityModeComplete, TimerFired): repeat_or(refuse_silence),
    (AwaitContextSetup, SecurityModeComplete): on_repeated_complete,
    (AwaitContextSetup, InitialContextSetupResponse): on_context_set_up,
    (AwaitContextSetup, InitialContextSetupFailure): on_context_failed,
    (AwaitContextSetup, TimerFired): refuse_silence,
    (AwaitAttachComplete, SecurityModeComplete): on_repeated_complete,
    (AwaitAttachComplete, AttachComplete): on_attach_complete,
    (AwaitAttachComplete, TimerFired): on_accept_timer,
}
