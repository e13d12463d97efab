"""Step 2: authenticate. CP-AU and UE prove themselves to each other, in the way that step 1 chose.

    CP ── AuthenticationRequest{ksi, abba, eap | rand autn} ──> UE
    CP <── AuthenticationResponse{eap | res} ── UE                  ... as many rounds as the scheme needs
    CP: certificate proved ── may this EID have a profile? ── only then the success indication (0x00)
    CP ── RADIUS ──> AAA ── RADIUS ──> CP                   ... before each round, where an AAA server has the say
    CP <── AuthenticationFailure{cause, auts | eap with the alert} ── UE
    CP ── AuthenticationReject{cause, eap failure} ──> UE

Refuses to know which scheme runs. Nothing here holds K_AUSF, MSK or EMSK of the network: the scheme keeps them.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from rprov.auth.radius_exchange import AccessRequest
from rprov.auth.scheme import (
    AaaListener,
    Answer,
    Authenticated,
    Challenge,
    Discarded,
    Failed,
    NetworkOutcome,
    PeerProved,
    PeerScheme,
    Pending,
    Refusal,
    Resynchronise,
    TurnedAway,
)
from rprov.causes import Cause
from rprov.crypto.hierarchy import k_amf, k_seaf
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Eid, Plmn, Supi
from rprov.model.records import DeviceRecord
from rprov.model.security import Scope
from rprov.procedure import endings, s3_accept
from rprov.procedure.actions import Action, AskAaa, EndStep, HoldPartial, LookUpDevice, Prove, Send
from rprov.procedure.decisions import Identify
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import AaaAnswered, AaaSilent, DeviceFound, Received, Timer, TimerFired
from rprov.procedure.machine import GoBack, Move, Table, Waiting, repeat_or, stay, waiting_for
from rprov.procedure.phases import CpState, Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.procedure.registration import Challenged, Resynchronising
from rprov.wire.messages import (
    ABBA,
    ABBA_MSK,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    AuthenticationResult,
    Eap,
)

RESUMED = ", resumed"
"""What is said of a proof that rests on a ticket of an earlier one."""

# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitAuthentication(UeState):
    """The attach request is sent; rounds of authentication come."""

    intent: Intent
    plmn: Plmn
    request: AttachRequest
    scheme: PeerScheme
    natural: ClassVar[Step] = Step.AUTHENTICATE
    phase: ClassVar[Phase] = Phase.NO_CONTEXT


def supi_of(intent: Intent, plmn: Plmn) -> Supi:
    """The SUPI that both sides put into K_AMF."""
    if isinstance(intent.identity, Eid):
        return Supi.of_eid(intent.identity, plmn)
    return intent.identity.supi


def on_authentication_request(
    state: "AwaitAuthentication | s3_accept.AwaitVerdict",
    event: Received[AuthenticationRequest],
    env: UeEnv,
) -> Move:
    """Answer one round. After the round that proves the network, hold a partial context."""
    abba, certificate = event.message.abba, state.intent.purpose is Purpose.PROVISIONING
    # Which networks may use an MSK is for the scheme to say, which sees their certificates (design rule 5).
    if abba not in ((ABBA, ABBA_MSK) if certificate and env.policy.msk_allowed else (ABBA,)):
        raise Refused(Cause.REQUEST_REJECTED, f"ABBA {abba.hex()} is not allowed")
    match state.scheme.on_request(event.message):
        case Answer(message=answer, k_ausf=key, resumed=resumed):
            if key is None or not isinstance(state, AwaitAuthentication):
                # Not the last round; or it was, and came again because the answer was lost: same answer, same keys.
                return stay(state, Send(answer))
            seaf = k_seaf(key, state.plmn.serving_network_name)
            amf = k_amf(seaf, supi_of(state.intent, state.plmn), abba)
            scope = Scope.PROVISIONING if certificate else Scope.ORDINARY
            following: UeState
            if certificate:
                following = s3_accept.AwaitSecurityMode(state.intent, state.plmn, state.request, state.scheme, abba)
            else:
                following = s3_accept.AwaitVerdict(state.intent, state.plmn, state.request, state.scheme)
            proved = Prove(
                state.step,
                f"the network is {state.plmn}: "
                + ("its certificate names it" if certificate else "it holds the subscriber key")
                + (RESUMED if resumed else ""),
            )
            ended = () if state.step is Step.REATTACH else (EndStep(Step.AUTHENTICATE),)
            return Move(following, (HoldPartial(event.message.ksi, amf, scope), Send(answer), proved, *ended))
        case Refusal(message=failure, resynchronising=True):
            return stay(state, Send(failure))
        case Discarded():
            return stay(state)
        case Refusal(message=failure, detail=detail):
            return endings.ue_failed(state, failure.cause, detail, env, Send(failure))


def on_repeated_request(
    state: s3_accept.AwaitSecurityMode, event: Received[AuthenticationRequest], _env: UeEnv
) -> Move:
    """Give the last answer again, if it was lost. Whatever else comes unprotected changes nothing any more."""
    outcome = state.scheme.on_request(event.message)
    return stay(state, Send(outcome.message)) if isinstance(outcome, Answer) else stay(state)


def on_authentication_reject(
    state: "AwaitAuthentication | s3_accept.AwaitVerdict", event: Received[AuthenticationReject], env: UeEnv
) -> Move:
    """The network refuses this device."""
    return endings.ue_failed(state, event.message.cause, "the network said so", env)


def on_authentication_result(state: AwaitAuthentication, event: Received[AuthenticationResult], _env: UeEnv) -> Move:
    """Look at an EAP packet outside a round; success travels in the SecurityModeCommand here, so nothing follows."""
    return stay(state)


def on_attach_reject(
    state: "AwaitAuthentication | s3_accept.AwaitVerdict", event: Received[AttachReject], env: UeEnv
) -> Move:
    """The network does not go on. Its back-off is capped: it may be a fake cell that says so."""
    return endings.ue_failed(state, event.message.cause, "the network said so", env, backoff=event.message.backoff)


UE: Table = {
    (AwaitAuthentication, AuthenticationRequest): on_authentication_request,
    (AwaitAuthentication, AuthenticationReject): on_authentication_reject,
    (AwaitAuthentication, AuthenticationResult): on_authentication_result,
    (AwaitAuthentication, AttachReject): on_attach_reject,
    (AwaitAuthentication, TimerFired): endings.on_ue_timeout,
    (s3_accept.AwaitVerdict, AuthenticationRequest): on_authentication_request,
    (s3_accept.AwaitVerdict, AuthenticationReject): on_authentication_reject,
    (s3_accept.AwaitVerdict, AttachReject): on_attach_reject,
    (s3_accept.AwaitSecurityMode, AuthenticationRequest): on_repeated_request,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitAuthenticationResponse(CpState):
    """A round is out."""

    challenged: Challenged
    waiting: Waiting
    natural: ClassVar[Step] = Step.AUTHENTICATE
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def scope(self) -> Scope:
        """What the candidate is for."""
        return self.challenged.candidate.scope


@dataclass(frozen=True, slots=True)
class AwaitProvedDevice(CpState):
    """The device, which gave a hint only, has proved who it is; the store is looking for it."""

    challenged: Challenged
    natural: ClassVar[Step] = Step.AUTHENTICATE
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def scope(self) -> Scope:
        """What the candidate is for."""
        return self.challenged.candidate.scope


@dataclass(frozen=True, slots=True)
class AwaitAaa(CpState):
    """An AAA server has the word; `listener` takes it."""

    challenged: Challenged
    listener: AaaListener
    natural: ClassVar[Step] = Step.AUTHENTICATE
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def scope(self) -> Scope:
        """What the candidate is for."""
        return self.challenged.candidate.scope


class AuthenticationRefused(Refused):
    """The authentication failed; the EAP-Failure travels with the reject."""

    def __init__(self, cause: Cause, detail: str, eap: Eap | None, farewell: AccessRequest | None = None) -> None:
        """Take the UE's last words to an AAA server, if there are any."""
        super().__init__(cause, detail)
        self.eap = eap
        self.farewell = farewell


class TooEarly(Refused):
    """The device is who it says, and has come too often; it hears when to come back."""


def begin_cp(begin: object, env: CpEnv, *actions: Action) -> Move | GoBack:
    """Send the first challenge."""
    if not isinstance(begin, Challenged):
        raise Refused(Cause.NETWORK_FAILURE, "authentication needs a scheme")
    return _follow(begin, begin.scheme.begin(), env, *actions)


def on_authentication_response(
    state: AwaitAuthenticationResponse, event: Received[AuthenticationResponse], env: CpEnv
) -> Move | GoBack:
    """Take the answer of one round."""
    outcome = state.challenged.scheme.on_response(event.message)
    if isinstance(outcome, Discarded):
        return stay(state)  # T3560 runs on, and repeats the round
    return _follow(state.challenged, outcome, env, state.waiting.stop)


def on_authentication_failure(
    state: AwaitAuthenticationResponse, event: Received[AuthenticationFailure], env: CpEnv
) -> Move | GoBack:
    """Take the UE's refusal."""
    outcome = state.challenged.scheme.on_failure(event.message)
    return _follow(state.challenged, outcome, env, state.waiting.stop)


def _follow(challenged: Challenged, outcome: NetworkOutcome, env: CpEnv, *actions: Action) -> Move | GoBack:
    candidate = challenged.candidate
    match outcome:
        case Challenge(challenge=challenge, abba=abba):
            request = AuthenticationRequest(candidate.ksi, abba, challenge)
            waiting = waiting_for(Timer.T3560, env.policy.timers.t3560, request)
            return Move(AwaitAuthenticationResponse(challenged, waiting), (*actions, *waiting.start()))
        case PeerProved(eid=eid, certificate=certificate, path=path, resumed=resumed):
            text = f"the device is EID {eid}: {certificate}" + (RESUMED if resumed else "")
            proved = Prove(Step.AUTHENTICATE, text)
            known = replace(challenged, candidate=replace(candidate, path=path, certificate=certificate))
            if not env.engines.admit(eid, env.now):
                early = challenged.scheme.refuse(Cause.CONGESTION)
                return _follow(known, early, env, *actions, Identify(eid), proved)
            if candidate.record is None:
                return Move(AwaitProvedDevice(known), (*actions, Identify(eid), proved, LookUpDevice(eid)))
            return _decide(known, candidate.record, env, *actions, Identify(eid), proved)
        case Pending(request=asked, listener=listener):
            return Move(AwaitAaa(challenged, listener), (*actions, AskAaa(asked)))
        case Resynchronise(sqn_ms=sqn_ms):
            return _resynchronise(challenged, sqn_ms, *actions)
        case Authenticated() as authenticated:
            move = s3_accept.begin_cp(candidate, authenticated, env)
            ended = (EndStep(Step.AUTHENTICATE),) if candidate.scope is Scope.PROVISIONING else ()
            return Move(move.state, (*actions, *ended, *move.actions))
        case TurnedAway(authenticated=authenticated, cause=cause, detail=detail):
            move = s3_accept.begin_cp(candidate, authenticated, env, Refused(cause, detail))
            return Move(move.state, (*actions, *move.actions))
        case Failed(cause=Cause.NETWORK_FAILURE, detail=detail):
            raise Refused(Cause.NETWORK_FAILURE, detail)  # the fault is not the UE's, which may come again
        case Failed(cause=Cause.CONGESTION):
            raise TooEarly(Cause.CONGESTION, "too many attempts of this device, or of its maker's")
        case Failed(cause=cause, eap_failure=eap, detail=detail, farewell=farewell):
            raise AuthenticationRefused(cause, detail, eap, farewell)
        case Discarded():
            raise Misuse("a scheme discards what a UE says, not what its owner does")


def _decide(challenged: Challenged, record: DeviceRecord, env: CpEnv, *actions: Action) -> Move | GoBack:
    """May this EID have a profile? Only then comes the success indication."""
    scheme = challenged.scheme
    verdict = scheme.authorise() if record.may_be_provisioned else scheme.refuse(Cause.NO_ORDER)
    known = replace(challenged, candidate=replace(challenged.candidate, record=record))
    return _follow(known, verdict, env, *actions)


def on_proved_device(state: AwaitProvedDevice, event: DeviceFound, env: CpEnv) -> Move | GoBack:
    """Go on as with a device that has said its EID at once."""
    return _decide(state.challenged, event.record, env)


def on_aaa_answered(state: AwaitAaa, event: AaaAnswered, env: CpEnv) -> Move | GoBack:
    """Go on with the word of an AAA server."""
    return _follow(state.challenged, state.listener.on_aaa(event.answer), env)


def on_aaa_silent(state: AwaitAaa, event: AaaSilent, env: CpEnv) -> Move | GoBack:
    """Go on, or not, without one."""
    return _follow(state.challenged, state.listener.on_aaa_silent(event.detail), env)


def _resynchronise(challenged: Challenged, sqn_ms: int, *actions: Action) -> GoBack:
    if challenged.candidate.resynchronised or challenged.supi is None:
        # A USIM that is still out of range after its own SQN was taken over will never be in range.
        raise AuthenticationRefused(Cause.SEQUENCE_OUT_OF_RANGE, "", None)
    again = replace(challenged.candidate, resynchronised=True)
    return GoBack(Step.REATTACH, Resynchronising(again, challenged.supi, sqn_ms), actions)


def on_silence(state: AwaitAuthenticationResponse, _event: TimerFired, _env: CpEnv) -> Move:
    """Give up on a UE that does not answer."""
    raise Refused(Cause.AUTHENTICATION_TIMEOUT, "")


CP: Table = {
    (AwaitAuthenticationResponse, AuthenticationResponse): on_authentication_response,
    (AwaitAuthenticationResponse, AuthenticationFailure): on_authentication_failure,
    (AwaitAuthenticationResponse, TimerFired): repeat_or(on_silence),
    (AwaitProvedDevice, DeviceFound): on_proved_device,
    (AwaitAaa, AaaAnswered): on_aaa_answered,
    (AwaitAaa, AaaSilent): on_aaa_silent,
}
