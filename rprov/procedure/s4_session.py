"""Step 4: session. A PDU session; in provisioning scope it reaches the provisioning server and nothing else.

UE ── PduSessionRequest ──> CP ── (UP: tunnel, filter, address)
CP ── SessionResourceSetupRequest{uplink tunnel, protection required} ──> RAN
RAN ── RrcReconfiguration{bearer} ──> UE ── Complete ──> RAN             (`bearers.py`)
CP <── SessionResourceSetupResponse{downlink tunnel} ── RAN
CP ── PduSessionAccept{address, dns, provisioning servers} ──> UE
"""

from dataclasses import dataclass
from typing import ClassVar

from rprov.causes import Cause
from rprov.errors import Refused
from rprov.model.identifiers import Guti, Plmn
from rprov.model.security import Scope
from rprov.model.session import ProvisioningServer, SessionKind, TunnelEnd
from rprov.procedure import data_network, s5_provision, s6_detach
from rprov.procedure.actions import (
    Action,
    CloseTunnel,
    ConnectTunnel,
    EndStep,
    OpenTunnel,
    Prove,
    Send,
    SendN2,
    StartNetwork,
    StartTimer,
    StopTimer,
)
from rprov.procedure.bearers import BEARER
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import (
    Received,
    StoreFailed,
    Timer,
    TimerFired,
    TunnelOpened,
)
from rprov.procedure.machine import GoBack, Move, Table, Waiting, repeat_or, stay, waiting_for
from rprov.procedure.phases import Held, OfRegistration, Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.procedure.registration import Registration, lifetime
from rprov.wire.link import (
    SessionResourceReleaseCommand,
    SessionResourceReleaseResponse,
    SessionResourceSetupFailure,
    SessionResourceSetupRequest,
    SessionResourceSetupResponse,
)
from rprov.wire.messages import (
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    PduSessionAccept,
    PduSessionReject,
    PduSessionReleaseCommand,
    PduSessionReleaseComplete,
    PduSessionReleaseRequest,
    PduSessionRequest,
)

SESSION = 1
"""The session id that our UE uses; it has one session at a time."""


# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitSession(UeState):
    """Attached; the session is asked for."""

    intent: Intent
    plmn: Plmn
    guti: Guti
    waiting: Waiting
    natural: ClassVar[Step] = Step.SESSION
    phase: ClassVar[Phase] = Phase.SECURED


def begin_ue(intent: Intent, plmn: Plmn, guti: Guti, env: UeEnv) -> Move:
    """Ask for the session that the purpose needs."""
    waiting = waiting_for(
        Timer.T3580, env.policy.timers.t3580, data_network.wanted(SESSION, intent.purpose.session_kind, env)
    )
    return Move(AwaitSession(intent, plmn, guti, waiting), waiting.start())


def on_session_accept(state: AwaitSession, event: Received[PduSessionAccept], env: UeEnv) -> Move:
    """Use the session, if it is the one asked for."""
    accept = event.message
    if accept.session_id != SESSION:
        return stay(state)
    if accept.kind is not state.intent.purpose.session_kind:
        raise Refused(Cause.SEMANTICALLY_INCORRECT, "the network gave another kind of session")
    if state.intent.purpose is Purpose.PROVISIONING and not accept.provisioning_servers:
        raise Refused(Cause.SEMANTICALLY_INCORRECT, "the network named no provisioning server")
    if not data_network.is_as_asked(data_network.wanted(SESSION, accept.kind, env), accept):
        raise Refused(Cause.SEMANTICALLY_INCORRECT, "the network gave another data network or slice")
    network = StartNetwork(BEARER, accept.address, accept.dns, accept.mtu)
    servers = ", ".join(f"{s.fqdn} port {s.port}" for s in accept.provisioning_servers)
    limit = f", only towards {servers}" if accept.kind is SessionKind.PROVISIONING else ""
    proved = Prove(state.step, f"IP address {accept.address}{limit}")
    ended = () if state.step is Step.REATTACH else (EndStep(Step.SESSION),)
    online = s5_provision.Online(state.intent, state.plmn, state.guti, accept)
    move = s5_provision.begin_ue(online, env)
    return Move(move.state, (state.waiting.stop, network, proved, *ended, *move.actions))


def on_session_reject(state: AwaitSession, event: Received[PduSessionReject], env: UeEnv) -> Move:
    """No session: detach, then say why."""
    if event.message.session_id != SESSION:
        return stay(state)
    return s6_detach.begin_ue(s6_detach.GiveUp(state.intent, event.message.cause, "no session", state.step), env)


def on_no_session(state: AwaitSession, _event: TimerFired, env: UeEnv) -> Move:
    """The network does not answer any more."""
    return s6_detach.begin_ue(s6_detach.GiveUp(state.intent, Cause.PEER_SILENT, "T3580 expired", state.step), env)


def on_repeated_accept(state: UeState, _event: Received[AttachAccept], _env: UeEnv) -> Move:
    """Complete again: the first AttachComplete was lost."""
    return stay(state, Send(AttachComplete()))


def on_session_released(state: s5_provision.Online, event: Received[PduSessionReleaseCommand], _env: UeEnv) -> Move:
    """The network ends the session; the UE stays attached without one."""
    if event.message.session_id != SESSION:
        return stay(state)
    return stay(state, Send(PduSessionReleaseComplete(SESSION)))


UE: Table = {
    (AwaitSession, AttachAccept): on_repeated_accept,
    (AwaitSession, PduSessionAccept): on_session_accept,
    (AwaitSession, PduSessionReject): on_session_reject,
    (AwaitSession, TimerFired): repeat_or(on_no_session),
    (s5_provision.Online, AttachAccept): on_repeated_accept,
    (s5_provision.Online, PduSessionReleaseCommand): on_session_released,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


class Registered(OfRegistration):
    """What the states of an attached UE have in common."""

    __slots__ = ()
    natural: ClassVar[Step] = Step.SESSION


@dataclass(frozen=True, slots=True)
class Attached(Registered):
    """Attached, without a session."""

    registration: Registration


@dataclass(frozen=True, slots=True)
class AwaitTunnel(Registered):
    """The UP makes the session."""

    registration: Registration
    request: PduSessionRequest


@dataclass(frozen=True, slots=True)
class AwaitRanSession(Registered):
    """The RAN makes the bearer."""

    registration: Registration
    request: PduSessionRequest
    tunnel: TunnelOpened

    @property
    def held(self) -> Held:
        """The registration and the tunnel."""
        return Held(self.registration, self.tunnel.uplink.teid)


@dataclass(frozen=True, slots=True)
class Connected(Registered):
    """Attached, with its one session."""

    registration: Registration
    accept: PduSessionAccept
    uplink: TunnelEnd

    @property
    def held(self) -> Held:
        """The registration and the tunnel."""
        return Held(self.registration, self.uplink.teid)


@dataclass(frozen=True, slots=True)
class AwaitSessionRelease(Registered):
    """The UE lets its session go."""

    registration: Registration
    waiting: Waiting


def _servers(kind: SessionKind, env: CpEnv) -> tuple[ProvisioningServer, ...]:
    limits = env.policy.provisioning if kind is SessionKind.PROVISIONING else None
    return limits.servers if limits else env.policy.ordinary_servers


def on_session_request(state: Attached, event: Received[PduSessionRequest], env: CpEnv) -> Move:
    """Give a session of the kind that the scope allows, and only that."""
    request = event.message
    allowed = SessionKind.PROVISIONING if state.scope is Scope.PROVISIONING else SessionKind.ORDINARY
    if request.kind is not allowed:
        return _refuse(state, request)
    try:
        data_network.check_served(request, env)
    except Refused as error:
        return _refuse(state, request, error.cause)
    limits = env.policy.provisioning if request.kind is SessionKind.PROVISIONING else None
    quota, seconds = (limits.quota, limits.lifetime) if limits else (0, 0)
    ask = OpenTunnel(request.kind, _servers(request.kind, env), quota, seconds)
    return Move(AwaitTunnel(state.registration, request), (ask,))


def on_tunnel_opened(state: AwaitTunnel, event: TunnelOpened, env: CpEnv) -> Move:
    """Have the RAN make the bearer; both protections are required on the radio (TS 33.501 6.6.1)."""
    request = SessionResourceSetupRequest(state.request.session_id, event.uplink, True, True)
    timer = StartTimer(Timer.CONTEXT_SETUP, env.policy.timers.context_setup)
    return Move(AwaitRanSession(state.registration, state.request, event), (SendN2(request), timer))


def on_tunnel_failed(state: AwaitTunnel, _event: StoreFailed, _env: CpEnv) -> Move:
    """The UP has no session to give."""
    reject = PduSessionReject(state.request.session_id, Cause.NETWORK_FAILURE)
    return Move(Attached(state.registration), (Send(reject),))


def on_ran_session(state: AwaitRanSession, event: Received[SessionResourceSetupResponse], env: CpEnv) -> Move:
    """Join the two ends and tell the UE."""
    if event.message.session_id != state.request.session_id:
        return stay(state)
    kind = state.request.kind
    provisioning = env.policy.provisioning if kind is SessionKind.PROVISIONING else None
    accept = PduSessionAccept(
        session_id=state.request.session_id,
        kind=kind,
        address=state.tunnel.address,
        dns=env.policy.dns,
        mtu=env.policy.mtu,
        lifetime=provisioning.lifetime if provisioning else 0,
        quota=provisioning.quota if provisioning else 0,
        provisioning_servers=_servers(kind, env),
        dnn=data_network.served(kind, env),
        s_nssai=env.policy.s_nssai,
    )
    connect = ConnectTunnel(state.tunnel.uplink, event.message.downlink)
    # An ordinary UE is not thrown out while it has a session; a provisioning scope ends whatever happens.
    ended = (EndStep(Step.SESSION),) if state.scope is Scope.PROVISIONING else (StopTimer(Timer.LIFETIME),)
    return Move(
        Connected(state.registration, accept, state.tunnel.uplink),
        (StopTimer(Timer.CONTEXT_SETUP), connect, Send(accept), *ended),
    )


def on_ran_failed(state: AwaitRanSession, _event: Received[SessionResourceSetupFailure], _env: CpEnv) -> Move:
    """The RAN has no bearer to give."""
    reject = PduSessionReject(state.request.session_id, Cause.NETWORK_FAILURE)
    undo = (StopTimer(Timer.CONTEXT_SETUP), CloseTunnel(state.tunnel.uplink.teid))
    return Move(Attached(state.registration), (*undo, Send(reject)))


def on_ran_timer(state: AwaitRanSession, event: TimerFired, env: CpEnv) -> Move | GoBack:
    """The RAN is silent, or the scope has ended. A bearer that it has made after all must go."""
    if event.timer is Timer.LIFETIME:
        return s6_detach.on_lifetime(state, event, env)
    session = state.request.session_id
    undo = (CloseTunnel(state.tunnel.uplink.teid), SendN2(SessionResourceReleaseCommand(session)))
    return Move(Attached(state.registration), (*undo, Send(PduSessionReject(session, Cause.NETWORK_FAILURE))))


def on_request_again(state: "AwaitTunnel | AwaitRanSession", event: Received[PduSessionRequest], _env: CpEnv) -> Move:
    """A repeated request is being served; another session is refused."""
    if event.message.session_id == state.request.session_id:
        return stay(state)
    return _refuse(state, event.message)


def on_another_request(state: Connected, event: Received[PduSessionRequest], _env: CpEnv) -> Move:
    """Answer a repeated request again; refuse a second session (design rule 6)."""
    if data_network.is_as_asked(event.message, state.accept):
        return stay(state, Send(state.accept))
    return _refuse(state, event.message)


def _refuse(state: Registered, request: PduSessionRequest, why: Cause | None = None) -> Move:
    limit = Cause.SESSION_LIMIT if request.kind is SessionKind.PROVISIONING else Cause.SCOPE_FORBIDS
    cause = why or (limit if state.scope is Scope.PROVISIONING else Cause.REQUEST_REJECTED)
    refused = Prove(state.step, f"refused a session: {cause.text}")
    return stay(state, Send(PduSessionReject(request.session_id, cause)), refused)


def on_release_request(state: Connected, event: Received[PduSessionReleaseRequest], env: CpEnv) -> Move:
    """Let the session go on all nodes."""
    session = event.message.session_id
    if session != state.accept.session_id:
        return stay(state, Send(PduSessionReject(session, Cause.INVALID_SESSION_IDENTITY)))
    command = PduSessionReleaseCommand(session, Cause.REGULAR_DEACTIVATION)
    waiting = waiting_for(Timer.T3580, env.policy.timers.t3580, command)
    return Move(
        AwaitSessionRelease(state.registration, waiting),
        (CloseTunnel(state.uplink.teid), SendN2(SessionResourceReleaseCommand(session)), *waiting.start()),
    )


def _without_session(registration: Registration, env: CpEnv, *actions: Action) -> Move:
    if registration.scope is Scope.ORDINARY:
        actions += (StartTimer(Timer.LIFETIME, lifetime(registration.scope, env)),)
    return Move(Attached(registration), actions)


def on_session_gone(state: AwaitSessionRelease, _event: Received[PduSessionReleaseComplete], env: CpEnv) -> Move:
    """The session has ended everywhere."""
    return _without_session(state.registration, env, state.waiting.stop)


def on_release_silence(state: AwaitSessionRelease, _event: TimerFired, env: CpEnv) -> Move:
    """The session is gone whether the UE says so or not (TS 24.501 6.3.3.5)."""
    return _without_session(state.registration, env)


def on_release_timer(state: AwaitSessionRelease, event: TimerFired, env: CpEnv) -> Move | GoBack:
    """Tell the two timers of this state apart."""
    if event.timer is Timer.LIFETIME:
        return s6_detach.on_lifetime(state, event, env)
    return repeat_or(on_release_silence)(state, event, env)


def on_done(state: Registered, _event: object, _env: CpEnv) -> Move:
    """What was told to UE or RAN is done there; nothing follows."""
    return stay(state)


def on_other_attach(state: Registered, event: Received[AttachRequest], _env: CpEnv) -> Move:
    """Refuse to use this context for another attach; above all, never a provisioning context for an ordinary one."""
    provisioning = state.scope is Scope.PROVISIONING
    cause = Cause.SCOPE_FORBIDS if provisioning else Cause.MESSAGE_INCOMPATIBLE_WITH_STATE
    return stay(state, Send(AttachReject(cause)), Prove(state.step, f"refused another attach: {cause.text}"))


REGISTERED = (Attached, AwaitTunnel, AwaitRanSession, Connected, AwaitSessionRelease)
AnyRegistered = Attached | AwaitTunnel | AwaitRanSession | Connected | AwaitSessionRelease

CP: Table = {
    (Attached, PduSessionRequest): on_session_request,
    (Attached, TimerFired): s6_detach.on_lifetime,
    (AwaitTunnel, TunnelOpened): on_tunnel_opened,
    (AwaitTunnel, StoreFailed): on_tunnel_failed,
    (AwaitTunnel, PduSessionRequest): on_request_again,
    (AwaitTunnel, TimerFired): s6_detach.on_lifetime,
    (AwaitRanSession, SessionResourceSetupResponse): on_ran_session,
    (AwaitRanSession, SessionResourceSetupFailure): on_ran_failed,
    (AwaitRanSession, PduSessionRequest): on_request_again,
    (AwaitRanSession, TimerFired): on_ran_timer,
    (Connected, PduSessionRequest): on_another_request,
    (Connected, PduSessionReleaseRequest): on_release_request,
    (Connected, TimerFired): s6_detach.on_lifetime,
    (AwaitSessionRelease, PduSessionReleaseComplete): on_session_gone,
    (AwaitSessionRelease, TimerFired): on_release_timer,
    **{(state, AttachRequest): on_other_attach for state in REGISTERED},
    **{(state, AttachComplete): on_done for state in REGISTERED},
    **{(state, SessionResourceReleaseResponse): on_done for state in REGISTERED},
}
