"""Data radio bearers, part of step 4: made and released between RAN and UE, under running AS security.

CP ── SessionResourceSetupRequest ──> RAN ── RrcReconfiguration{add} ──> UE
CP <── SessionResourceSetupResponse ── RAN <── RrcReconfigurationComplete{where the UE receives} ── UE
"""

from dataclasses import dataclass, replace

from rprov.causes import Cause
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK
from rprov.model.session import TunnelEnd
from rprov.procedure.actions import (
    CloseRadioBearer,
    ConnectRadioBearer,
    OpenRadioBearer,
    OpenUeBearer,
    SendN2,
    SendRrc,
    StartTimer,
    StopTimer,
)
from rprov.procedure.engines import RanEnv, UeEnv
from rprov.procedure.events import RadioBearerOpened, Received, StoreFailed, Timer, TimerFired
from rprov.procedure.machine import Move, Table, stay
from rprov.procedure.radio_connection import AsKeys, RanSecured, RanServing, RanState, Secured
from rprov.security.pdcp import DRB_SN_BITS, PdcpEntity, PdcpKeys
from rprov.wire.link import (
    SessionResourceReleaseCommand,
    SessionResourceReleaseResponse,
    SessionResourceSetupFailure,
    SessionResourceSetupRequest,
    SessionResourceSetupResponse,
)
from rprov.wire.radio import BearerAddition, RrcReconfiguration, RrcReconfigurationComplete

BEARER = 1
"""The one data radio bearer of a UE; its BEARER input is one less (TS 38.323 5.8)."""

WINDOW = 1024
"""How far packets may overtake each other."""


def data_bearer(bearer: int, sends: int, keys: AsKeys) -> PdcpEntity:
    """A PDCP entity of a data bearer, protected and ciphered from its first packet (TS 33.501 6.6.2)."""
    prepared = PdcpKeys.of_drb(keys.k_gnb, keys.algorithms, integrity_on=True, ciphering_on=True)
    return PdcpEntity(bearer=bearer, sn_bits=DRB_SN_BITS, sends=sends, keys=prepared, window=WINDOW)


# --- UE access layer --------------------------------------------------------------------------------------------------


def on_reconfiguration(state: Secured, event: Received[RrcReconfiguration], env: UeEnv) -> Move:
    """Add or release a bearer. One without both protections is not made: nothing here may travel bare."""
    add, release = event.message.add, event.message.release
    bearers, actions = state.bearers, []
    if release is not None and release in bearers:
        bearers = tuple(bearer for bearer in bearers if bearer != release)
        actions.append(CloseRadioBearer(release))
    if add is None:
        return Move(replace(state, bearers=bearers), (*actions, SendRrc(RrcReconfigurationComplete())))
    if not (add.integrity and add.ciphering):
        return stay(state)
    if add.bearer in bearers:
        return stay(state, SendRrc(RrcReconfigurationComplete(env.policy.user_plane)))
    pdcp = data_bearer(add.bearer, UPLINK, state.keys)
    opened = OpenUeBearer(add.bearer, add.ran, pdcp)
    complete = SendRrc(RrcReconfigurationComplete(env.policy.user_plane))
    return Move(replace(state, bearers=(*bearers, add.bearer)), (*actions, opened, complete))


UE: Table = {
    (Secured, RrcReconfiguration): on_reconfiguration,
}

# --- RAN --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitBearer(RanState):
    """The user plane makes the bearer."""

    keys: AsKeys
    session_id: int

    @property
    def bearers(self) -> tuple[int, ...]:
        """The one bearer: it may be there by the time that this UE goes."""
        return (BEARER,)


@dataclass(frozen=True, slots=True)
class AwaitReconfiguration(RanState):
    """The UE makes its end."""

    keys: AsKeys
    session_id: int
    downlink: TunnelEnd

    @property
    def bearers(self) -> tuple[int, ...]:
        """The one bearer."""
        return (BEARER,)


def on_session_setup(state: RanSecured, event: Received[SessionResourceSetupRequest], env: RanEnv) -> Move:
    """Make a bearer with both protections, whatever less would be allowed."""
    pdcp = data_bearer(BEARER, DOWNLINK, state.keys)
    ask = OpenRadioBearer(BEARER, event.message.uplink, pdcp)
    return Move(AwaitBearer(state.keys, event.message.session_id), (ask,))


def on_second_session(state: RanServing, event: Received[SessionResourceSetupRequest], env: RanEnv) -> Move:
    """A UE has one session here."""
    return stay(state, SendN2(SessionResourceSetupFailure(event.message.session_id, Cause.SESSION_LIMIT)))


def on_bearer_opened(state: AwaitBearer, event: RadioBearerOpened, env: RanEnv) -> Move:
    """Tell the UE."""
    addition = BearerAddition(BEARER, state.session_id, True, True, event.ran)
    timer = StartTimer(Timer.AS_SECURITY, env.policy.timers.as_security)
    following = AwaitReconfiguration(state.keys, state.session_id, event.downlink)
    return Move(following, (SendRrc(RrcReconfiguration(add=addition)), timer))


def on_bearer_failed(state: AwaitBearer, event: StoreFailed, env: RanEnv) -> Move:
    """The user plane has no bearer to give."""
    failure = SendN2(SessionResourceSetupFailure(state.session_id, Cause.NETWORK_FAILURE))
    return Move(RanSecured(state.keys), (failure,))


def on_reconfigured(state: AwaitReconfiguration, event: Received[RrcReconfigurationComplete], env: RanEnv) -> Move:
    """Both ends are there."""
    ue = event.message.ue
    if ue is None:
        return stay(state)
    serving = RanServing(state.keys, state.session_id, BEARER, state.downlink)
    connect = ConnectRadioBearer(BEARER, ue)
    response = SendN2(SessionResourceSetupResponse(state.session_id, state.downlink))
    return Move(serving, (StopTimer(Timer.AS_SECURITY), connect, response))


def on_not_reconfigured(state: AwaitReconfiguration, event: TimerFired, env: RanEnv) -> Move:
    """The UE does not answer."""
    failure = SendN2(SessionResourceSetupFailure(state.session_id, Cause.PEER_SILENT))
    return Move(RanSecured(state.keys), (CloseRadioBearer(BEARER), failure))


def on_session_release(state: RanServing, event: Received[SessionResourceReleaseCommand], env: RanEnv) -> Move:
    """Let the bearer go at both ends."""
    if event.message.session_id != state.session_id:
        return stay(state)
    release = SendRrc(RrcReconfiguration(release=state.bearer))
    response = SendN2(SessionResourceReleaseResponse(state.session_id))
    return Move(RanSecured(state.keys), (CloseRadioBearer(state.bearer), release, response))


def on_released(state: RanSecured, event: Received[RrcReconfigurationComplete], env: RanEnv) -> Move:
    """The UE has let its end go."""
    return stay(state)


RAN: Table = {
    (RanSecured, SessionResourceSetupRequest): on_session_setup,
    (RanSecured, RrcReconfigurationComplete): on_released,
    (AwaitBearer, RadioBearerOpened): on_bearer_opened,
    (AwaitBearer, StoreFailed): on_bearer_failed,
    (AwaitReconfiguration, RrcReconfigurationComplete): on_reconfigured,
    (AwaitReconfiguration, TimerFired): on_not_reconfigured,
    (RanServing, SessionResourceSetupRequest): on_second_session,
    (RanServing, SessionResourceReleaseCommand): on_session_release,
}
