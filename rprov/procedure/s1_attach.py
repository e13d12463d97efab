"""Step 1: attach request. The UE says why it attaches and who it is; the CP finds out whether to go on.

    RAN ── CellInfo{plmn, provisioningOffered} ──> UE      (not authenticated; step 2 confirms it)
    UE ── RrcSetupRequest ──> RAN ── RrcSetup{ueRadioId} ──> UE
    UE ── AttachRequest{remoteProvisioning, eid | eidHint} | {initial, suci} ──> CP
    CP ── IdentityRequest ──> UE ── IdentityResponse ──> CP      (only for a GUTI that the CP does not know)

Refuses to know how anybody is authenticated.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from rprov.causes import Cause
from rprov.crypto import suci
from rprov.errors import Refused
from rprov.model.identifiers import Eid, EidHint, Guti, Imsi, Suci
from rprov.model.security import Algorithms, Nia, Scope, SecurityCapability
from rprov.model.session import SessionKind
from rprov.procedure import endings, s2_authenticate, s7_reattach
from rprov.procedure.actions import (
    DropContexts,
    EndStep,
    FindCell,
    LookUpDevice,
    Prove,
    ResolveGuti,
    Send,
    StartTimer,
    StopTimer,
)
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import (
    AttachWanted,
    CellFound,
    DeviceFound,
    GutiResolved,
    Received,
    StoreFailed,
    SubscriberUnknown,
    Timer,
    TimerFired,
)
from rprov.procedure.machine import GoBack, Move, Table, Waiting, refuse_silence, repeat_or, stay, waiting_for
from rprov.procedure.phases import CpState, OfCandidate, Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step, Subscription
from rprov.procedure.registration import Candidate, Challenged
from rprov.wire.messages import (
    NO_KEY,
    AttachRequest,
    AttachType,
    IdentityRequest,
    IdentityResponse,
    IdentityType,
)

# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitCell(UeState):
    """Wants to attach and needs to know the cell."""

    intent: Intent
    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


def begin_ue(intent: object, env: UeEnv) -> Move:
    """Look for a cell; the attach request follows."""
    if not isinstance(intent, Intent):
        raise Refused(Cause.PROTOCOL_ERROR, "an attach needs an intent")
    return Move(AwaitCell(intent), (DropContexts(), StartTimer(Timer.CELL, env.policy.timers.cell), FindCell()))


def on_attach_wanted(_state: endings.Deregistered, event: AttachWanted, env: UeEnv) -> Move:
    """Begin."""
    return begin_ue(event.intent, env)


def on_cell_found(state: AwaitCell, event: CellFound, env: UeEnv) -> Move:
    """Ask to be let in, where the purpose is served."""
    intent = state.intent
    if intent.purpose is Purpose.PROVISIONING and not event.provisioning_offered:
        raise Refused(Cause.PROVISIONING_NOT_OFFERED, f"PLMN {event.plmn}")
    certificate = isinstance(intent.identity, Eid)
    scheme = env.engines.certificate(event.plmn, env) if certificate else env.engines.aka(event.plmn, env)
    request = AttachRequest(
        attach_type=intent.purpose.attach_type,
        identity=_shown(intent.identity, env),
        ksi=NO_KEY,
        capability=env.policy.capability,
        requested_session=intent.purpose.session_kind,
    )
    waiting = s2_authenticate.AwaitAuthentication(intent, event.plmn, request, scheme)
    timers = env.policy.timers
    step = intent.purpose.step(Step.ATTACH_REQUEST)
    ended = () if step is Step.REATTACH else (EndStep(step),)
    return Move(waiting, (StopTimer(Timer.CELL), Send(request), StartTimer(Timer.T3510, timers.t3510), *ended))


def _shown(identity: Eid | Subscription, env: UeEnv) -> Eid | EidHint | Suci:
    """What crosses the radio: an EID or no more than its issuer, a SUPI only concealed (TS 33.501 6.12.2)."""
    if isinstance(identity, Eid):
        return EidHint.of(identity) if env.policy.hide_eid else identity
    how = (
        identity.home,
        identity.routing_indicator,
        identity.scheme,
        identity.key_id,
        identity.public_key,
        env.entropy,
    )
    who = identity.subscriber
    return suci.conceal(who, *how) if isinstance(who, Imsi) else suci.conceal_nai(who, *how)


def on_identity_request(
    state: s2_authenticate.AwaitAuthentication, event: Received[IdentityRequest], _env: UeEnv
) -> Move:
    """Give the SUCI, never an EID or a GUTI, to whom nobody has authenticated yet (TS 24.501 4.4.4.2)."""
    if event.message.identity_type is not IdentityType.SUCI or not isinstance(state.request.identity, Suci):
        return stay(state)
    return stay(state, Send(IdentityResponse(state.request.identity)))


UE: Table = {
    (endings.Deregistered, AttachWanted): on_attach_wanted,
    (AwaitCell, CellFound): on_cell_found,
    (AwaitCell, TimerFired): endings.on_ue_timeout,
    (s2_authenticate.AwaitAuthentication, IdentityRequest): on_identity_request,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CpIdle(CpState):
    """A radio connection on which nothing that we understand has been said."""

    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


def begin_idle(env: CpEnv) -> Move:
    """A UE has said its first words; if they are no attach request, one must follow soon."""
    return Move(CpIdle(), (StartTimer(Timer.CONTEXT_SETUP, env.policy.timers.context_setup),))


@dataclass(frozen=True, slots=True)
class AwaitDevice(OfCandidate):
    """The store is looking for the device."""

    candidate: Candidate
    eid: Eid
    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


@dataclass(frozen=True, slots=True)
class AwaitIdentity(CpState):
    """The UE is asked for its SUCI, because its GUTI says nothing here."""

    candidate: Candidate
    waiting: Waiting
    natural: ClassVar[Step] = Step.ATTACH_REQUEST
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def scope(self) -> Scope:
        """AKA is for ordinary subscribers."""
        return Scope.ORDINARY


def choose_algorithms(capability: SecurityCapability, scope: Scope, env: CpEnv) -> Algorithms:
    """Pick the first of our list that the UE supports (TS 33.501 6.7.1.1); null ciphering never for provisioning."""
    nea = next((a for a in env.policy.nea if capability.supports_nea(a) and (a or scope is Scope.ORDINARY)), None)
    nia = next((a for a in env.policy.nia if capability.supports_nia(a) and a is not Nia.NIA0), None)
    if nea is None or nia is None:
        raise Refused(Cause.SECURITY_CAPABILITIES_MISMATCH, "no algorithm in common")
    return Algorithms(nea, nia)


def on_attach_request(_state: CpIdle, event: Received[AttachRequest], env: CpEnv) -> Move | GoBack:
    """Sort by attach type: that is what makes it certificates (new type) or AKA (initial)."""
    request = event.message
    match request.attach_type:
        case AttachType.REMOTE_PROVISIONING:
            return _on_provisioning(request, event.raw, env)
        case AttachType.INITIAL:
            move = _on_initial(request, event.raw, env)
            return Move(move.state, (_UNDERSTOOD, *move.actions))
        case _:
            name = request.attach_type.name
            raise Refused(Cause.MESSAGE_TYPE_NOT_IMPLEMENTED, f"attach type {name} is not built")


_UNDERSTOOD = StopTimer(Timer.CONTEXT_SETUP)
"""The timer of `begin_idle`: the first words were an attach request."""


def _candidate(request: AttachRequest, raw: bytes, scope: Scope, env: CpEnv) -> Candidate:
    algorithms = choose_algorithms(request.capability, scope, env)
    # The UE may still hold keys under the ksi that it names; the new ones get another (TS 24.501 9.11.3.32).
    ksi = 0 if request.ksi == NO_KEY else (request.ksi + 1) % NO_KEY
    return Candidate(request, raw, scope, algorithms, ksi)


def _on_provisioning(request: AttachRequest, raw: bytes, env: CpEnv) -> Move | GoBack:
    if env.policy.provisioning is None:
        raise Refused(Cause.PROVISIONING_NOT_OFFERED)
    if request.requested_session not in (None, SessionKind.PROVISIONING):
        raise Refused(Cause.SCOPE_FORBIDS, "an ordinary session was asked for")
    match request.identity:
        case Eid() as eid:
            candidate = _candidate(request, raw, Scope.PROVISIONING, env)
            return Move(AwaitDevice(candidate, eid), (_UNDERSTOOD, LookUpDevice(eid)))
        case EidHint() as hint:
            if not env.policy.eid_hints:
                raise Refused(Cause.REQUEST_REJECTED, "a device must say its whole EID here")
            # Who it is stands in its certificate; the store is asked then (design rule: the EID is not said in clear).
            candidate = _candidate(request, raw, Scope.PROVISIONING, env)
            begin = Challenged(candidate, env.engines.certificate(hint, env), None)
            return s2_authenticate.begin_cp(begin, env, _UNDERSTOOD)
        case _:
            raise Refused(Cause.SEMANTICALLY_INCORRECT, "a provisioning attach is identified by an EID")


def _on_initial(request: AttachRequest, raw: bytes, env: CpEnv) -> Move:
    match request.identity:
        case Suci() as concealed:
            candidate = _candidate(request, raw, Scope.ORDINARY, env)
            return _revealed(candidate, concealed, env)
        case Guti() as guti:
            candidate = _candidate(request, raw, Scope.ORDINARY, env)
            return Move(s7_reattach.AwaitSubscriber(candidate, None), (ResolveGuti(guti),))
        case _:
            # An EID is no subscriber: a context made by certificate serves provisioning and nothing else.
            raise Refused(Cause.SCOPE_FORBIDS, "an ordinary attach is identified by a SUCI or a GUTI")


def _revealed(candidate: Candidate, concealed: Suci, env: CpEnv) -> Move:
    move = s7_reattach.begin_cp(candidate, env.engines.reveal(concealed))
    if concealed.scheme == suci.NULL_SCHEME:
        return move
    # The tag was right: it was concealed for a key of ours, and nobody has changed it since (TS 33.501 C.3.3).
    profile = "A" if concealed.scheme == suci.PROFILE_A else "B"
    hidden = f"the SUPI has crossed the radio concealed (Profile {profile}, key {concealed.key_id})"
    return Move(move.state, (Prove(Step.REATTACH, hidden), *move.actions))


def on_device_found(state: AwaitDevice, event: DeviceFound, env: CpEnv) -> Move | GoBack:
    """Go on to certificates. A device without an order goes on too: a stranger must not learn who has one."""
    candidate = replace(state.candidate, record=event.record)
    return s2_authenticate.begin_cp(Challenged(candidate, env.engines.certificate(state.eid, env), None), env)


def on_store_failed(_state: CpState, event: StoreFailed, _env: CpEnv) -> Move:
    """Say that the fault is ours."""
    raise Refused(Cause.NETWORK_FAILURE, event.detail)


def on_guti_resolved(state: s7_reattach.AwaitSubscriber, event: GutiResolved, _env: CpEnv) -> Move:
    """Run AKA with the subscriber behind the GUTI; there is no subscriber behind one of a provisioning attach."""
    if isinstance(event.identity, Eid):
        raise Refused(Cause.SCOPE_FORBIDS, "the GUTI is one of a provisioning attach")
    return s7_reattach.begin_cp(state.candidate, event.identity)


def on_subscriber_unknown(state: s7_reattach.AwaitSubscriber, _event: SubscriberUnknown, env: CpEnv) -> Move:
    """Ask for the SUCI where a GUTI was unknown; a SUPI that is unknown is refused."""
    if state.supi is not None:
        raise Refused(Cause.IDENTITY_UNKNOWN)
    waiting = waiting_for(Timer.T3570, env.policy.timers.t3570, IdentityRequest(IdentityType.SUCI))
    return Move(AwaitIdentity(state.candidate, waiting), waiting.start())


def on_identity_response(state: AwaitIdentity, event: Received[IdentityResponse], env: CpEnv) -> Move:
    """Go on with the SUCI."""
    if not isinstance(event.message.identity, Suci):
        return stay(state)
    move = _revealed(state.candidate, event.message.identity, env)
    return Move(move.state, (state.waiting.stop, *move.actions))


CP: Table = {
    (CpIdle, AttachRequest): on_attach_request,
    (CpIdle, TimerFired): refuse_silence,
    (AwaitDevice, DeviceFound): on_device_found,
    (AwaitDevice, StoreFailed): on_store_failed,
    (s2_authenticate.AwaitProvedDevice, StoreFailed): on_store_failed,
    (s2_authenticate.AwaitAaa, StoreFailed): on_store_failed,
    (s7_reattach.AwaitSubscriber, StoreFailed): on_store_failed,
    (s7_reattach.AwaitSubscriber, GutiResolved): on_guti_resolved,
    (s7_reattach.AwaitSubscriber, SubscriberUnknown): on_subscriber_unknown,
    (AwaitIdentity, IdentityResponse): on_identity_response,
    (AwaitIdentity, TimerFired): repeat_or(refuse_silence),
}
