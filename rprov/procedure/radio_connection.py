"""The radio connection under the steps: set up before step 1, released after step 6. UE access layer and RAN.

    RAN ── CellInfo ──> everyone
    UE ── RrcSetupRequest{transaction} ──> RAN ── RrcSetup{transaction, ueRadioId} ──> UE
    RAN ── RrcRelease{cause} ──> UE

The access layer carries NAS PDUs without reading them.
"""

from dataclasses import dataclass
from typing import ClassVar

from rprov.causes import Cause
from rprov.crypto.hierarchy import KGnb
from rprov.model.identifiers import UeRadioId
from rprov.model.security import Algorithms
from rprov.model.session import TunnelEnd
from rprov.procedure.actions import (
    Action,
    Close,
    CloseRadioBearer,
    RelayDown,
    RelayUp,
    SendN2,
    SendRrc,
    StartTimer,
    StopTimer,
    Tell,
)
from rprov.procedure.engines import RanEnv, UeEnv
from rprov.procedure.events import (
    CellFound,
    KgnbGiven,
    LinkLost,
    N2Lost,
    NasDown,
    NasGiven,
    RadioClosed,
    RadioLost,
    Received,
    Timer,
    TimerFired,
)
from rprov.procedure.machine import Move, Table, Waiting, repeat_or, stay
from rprov.procedure.purpose import Step
from rprov.wire.link import UeContextReleaseCommand, UeContextReleaseComplete, UeContextReleaseRequest
from rprov.wire.radio import CellInfo, RrcReject, RrcRelease, RrcSetup, RrcSetupRequest

MAX_REJECT_WAIT = 16
"""Seconds (TS 38.331 RejectWaitTime)."""

MAX_QUEUED = 4
"""NAS PDUs that wait for the connection; a UE has one under way."""


@dataclass(frozen=True, slots=True)
class AsKeys:
    """What the keys of every bearer are made of."""

    k_gnb: KGnb
    algorithms: Algorithms


# --- UE access layer --------------------------------------------------------------------------------------------------


class AccessState:
    """A state of the UE's access layer; it knows no step, the NAS machine above does."""

    __slots__ = ()
    step: ClassVar[Step] = Step.ATTACH_REQUEST


@dataclass(frozen=True, slots=True)
class NoCell(AccessState):
    """Nothing is heard."""


@dataclass(frozen=True, slots=True)
class InCell(AccessState):
    """A cell is heard, there is no connection."""

    cell: CellInfo


@dataclass(frozen=True, slots=True)
class AwaitRrcSetup(AccessState):
    """A connection is asked for; NAS PDUs wait."""

    cell: CellInfo
    transaction: bytes
    queue: tuple[bytes, ...]
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Connected(AccessState):
    """A connection without security. `keys` are those that the layer above has derived so far, newest last."""

    cell: CellInfo
    ue_radio_id: UeRadioId
    keys: tuple[KgnbGiven, ...] = ()


@dataclass(frozen=True, slots=True)
class Secured(AccessState):
    """AS security runs; `keys` protect the data radio bearers."""

    cell: CellInfo
    ue_radio_id: UeRadioId
    keys: AsKeys
    bearers: tuple[int, ...] = ()


def on_cell_info(state: AccessState, event: Received[CellInfo], env: UeEnv) -> Move:
    """Remember the cell; a connection that exists is not disturbed by an announcement."""
    cell = event.message
    if isinstance(state, (NoCell, InCell)):
        return Move(InCell(cell), (Tell(CellFound(cell.plmn, cell.provisioning_offered)),))
    return stay(state)


def on_first_nas(state: InCell, event: NasGiven, env: UeEnv) -> Move:
    """Ask for a connection first."""
    transaction = env.entropy(4)
    action = SendRrc(RrcSetupRequest(transaction), cell=True)
    waiting = Waiting(Timer.T300, env.policy.timers.t300, action)
    return Move(AwaitRrcSetup(state.cell, transaction, (event.pdu,), waiting), waiting.start())


def on_more_nas(state: AwaitRrcSetup, event: NasGiven, env: UeEnv) -> Move:
    """Keep it until there is a connection."""
    queue = (*state.queue, event.pdu)[-MAX_QUEUED:]
    return Move(AwaitRrcSetup(state.cell, state.transaction, queue, state.waiting))


def on_rrc_setup(state: AwaitRrcSetup, event: Received[RrcSetup], env: UeEnv) -> Move:
    """Use the connection, if the answer is ours."""
    if event.message.transaction != state.transaction:
        return stay(state)
    connected = Connected(state.cell, event.message.ue_radio_id)
    return Move(connected, (state.waiting.stop, *(RelayUp(pdu) for pdu in state.queue)))


def on_rrc_reject(state: AwaitRrcSetup, event: Received[RrcReject], env: UeEnv) -> Move:
    """The RAN has no room. Anybody could say so: why else is hearsay, and the wait is that of TS 38.331 at most."""
    if event.message.transaction != state.transaction:
        return stay(state)
    lost = RadioLost(Cause.CONGESTION, backoff=min(event.message.backoff, MAX_REJECT_WAIT))
    return Move(InCell(state.cell), (state.waiting.stop, Tell(lost)))


def on_no_setup(state: AwaitRrcSetup, event: TimerFired, env: UeEnv) -> Move:
    """The RAN is silent."""
    return Move(InCell(state.cell), (Tell(RadioLost(Cause.PEER_SILENT)),))


def on_nas_given(state: Connected | Secured, event: NasGiven, env: UeEnv) -> Move:
    """Carry it."""
    return stay(state, RelayUp(event.pdu))


def _disconnected(state: Connected | Secured, *actions: Action) -> Move:
    bearers = state.bearers if isinstance(state, Secured) else ()
    return Move(InCell(state.cell), (*(CloseRadioBearer(bearer) for bearer in bearers), *actions))


def on_rrc_release(state: Secured, event: Received[RrcRelease], env: UeEnv) -> Move:
    """The RAN ends the connection, and says why."""
    return _disconnected(state, Tell(RadioLost(event.message.cause, released=True)))


def on_unprotected_release(state: Connected, event: Received[RrcRelease], env: UeEnv) -> Move:
    """The connection is gone, whoever says so; why, is hearsay, and no reason not to try again (design rule 1)."""
    return _disconnected(state, Tell(RadioLost(Cause.RADIO_LINK_LOST, released=True)))


def on_radio_closed(state: AccessState, event: RadioClosed, env: UeEnv) -> Move:
    """The layer above is done."""
    match state:
        case Connected() | Secured():
            return _disconnected(state)
        case AwaitRrcSetup():
            return Move(InCell(state.cell), (state.waiting.stop,))
        case _:
            return stay(state)


def on_link_lost(state: AccessState, event: LinkLost, env: UeEnv) -> Move:
    """Nothing is heard any more."""
    bearers = state.bearers if isinstance(state, Secured) else ()
    closed = tuple(CloseRadioBearer(bearer) for bearer in bearers)
    return Move(NoCell(), (*closed, StopTimer(Timer.T300), Tell(RadioLost(event.cause))))


UE: Table = {
    (InCell, NasGiven): on_first_nas,
    (AwaitRrcSetup, NasGiven): on_more_nas,
    (AwaitRrcSetup, RrcSetup): on_rrc_setup,
    (AwaitRrcSetup, RrcReject): on_rrc_reject,
    (AwaitRrcSetup, TimerFired): repeat_or(on_no_setup),
    (Connected, NasGiven): on_nas_given,
    (Connected, RrcRelease): on_unprotected_release,
    (Secured, NasGiven): on_nas_given,
    (Secured, RrcRelease): on_rrc_release,
}

# --- RAN --------------------------------------------------------------------------------------------------------------


class RanState:
    """A state of one UE in the RAN; the RAN does not know why a UE attaches."""

    __slots__ = ()
    step: ClassVar[Step] = Step.ATTACH_REQUEST

    @property
    def bearers(self) -> tuple[int, ...]:
        """Data radio bearers that have to be closed when this UE goes."""
        return ()


@dataclass(frozen=True, slots=True)
class RanFresh(RanState):
    """A connection on which the UE has said nothing; the CP knows nothing of it."""


@dataclass(frozen=True, slots=True)
class RanConnected(RanState):
    """The CP knows this UE; there is no AS security."""


@dataclass(frozen=True, slots=True)
class RanSecured(RanState):
    """AS security runs; there is no session."""

    keys: AsKeys


@dataclass(frozen=True, slots=True)
class RanServing(RanState):
    """A session is there: its bearer is used."""

    keys: AsKeys
    session_id: int
    bearer: int
    downlink: TunnelEnd

    @property
    def bearers(self) -> tuple[int, ...]:
        """The one bearer."""
        return (self.bearer,)


@dataclass(frozen=True, slots=True)
class AwaitRelease(RanState):
    """The radio is lost; the CP is told and will command the release."""


def begin_ran(ue_radio_id: UeRadioId, request: RrcSetupRequest, env: RanEnv) -> Move:
    """Give a UE its connection; it must say something on it soon."""
    setup = SendRrc(RrcSetup(request.transaction, ue_radio_id), cell=True)
    return Move(RanFresh(), (setup, StartTimer(Timer.AS_SECURITY, env.policy.timers.as_security)))


def on_initial_nas(state: RanFresh, event: NasGiven, env: RanEnv) -> Move:
    """Introduce the UE to the CP."""
    return Move(RanConnected(), (StopTimer(Timer.AS_SECURITY), RelayUp(event.pdu)))


def on_uplink_nas(state: RanState, event: NasGiven, env: RanEnv) -> Move:
    """Carry it to the CP."""
    return stay(state, RelayUp(event.pdu))


def on_downlink_nas(state: RanState, event: NasDown, env: RanEnv) -> Move:
    """Carry it to the UE."""
    return stay(state, RelayDown(event.pdu))


def on_silent_ue(state: RanFresh, event: TimerFired, env: RanEnv) -> Move:
    """A connection on which nothing is said goes away."""
    return Move(state, (SendRrc(RrcRelease(Cause.PEER_SILENT)), Close()))


def _bearers_closed(state: RanState) -> tuple[Action, ...]:
    return tuple(CloseRadioBearer(bearer) for bearer in state.bearers)


def on_release_command(state: RanState, event: Received[UeContextReleaseCommand], env: RanEnv) -> Move:
    """Everything of this UE goes: bearer, keys, connection."""
    told: tuple[Action, ...] = () if isinstance(state, AwaitRelease) else (SendRrc(RrcRelease(event.message.cause)),)
    gone: tuple[Action, ...] = (*_bearers_closed(state), SendN2(UeContextReleaseComplete()), Close())
    return Move(RanFresh(), (*told, *gone))


def on_ue_lost(state: RanState, event: LinkLost, env: RanEnv) -> Move:
    """Tell the CP that the radio is gone; a UE that it knows nothing of just goes."""
    if isinstance(state, RanFresh):
        return Move(state, (Close(),))
    request = SendN2(UeContextReleaseRequest(event.cause))
    timer = StartTimer(Timer.CONTEXT_SETUP, env.policy.timers.context_setup)
    return Move(AwaitRelease(), (*_bearers_closed(state), StopTimer(Timer.AS_SECURITY), request, timer))


def on_nas_for_nobody(state: AwaitRelease, event: NasDown, env: RanEnv) -> Move:
    """There is no UE to carry it to."""
    return stay(state)


def on_no_command(state: AwaitRelease, event: TimerFired, env: RanEnv) -> Move:
    """The CP is silent; the UE is gone in any case."""
    return stay(state, Close())


def on_n2_lost(state: RanState, event: N2Lost, env: RanEnv) -> Move:
    """Without a CP nobody is served."""
    told: tuple[Action, ...] = () if isinstance(state, AwaitRelease) else (SendRrc(RrcRelease(Cause.NETWORK_FAILURE)),)
    return Move(RanFresh(), (*told, *_bearers_closed(state), Close()))


RAN: Table = {
    (RanFresh, NasGiven): on_initial_nas,
    (RanFresh, TimerFired): on_silent_ue,
    (AwaitRelease, TimerFired): on_no_command,
    (AwaitRelease, NasDown): on_nas_for_nobody,
}
