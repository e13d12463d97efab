"""The RAN's machine for one UE on one page, and its twin, the UE's access layer."""

from rprov.errors import Refused
from rprov.procedure import access_security, bearers, radio_connection
from rprov.procedure.actions import Close, SendN2, SendRrc, Tell
from rprov.procedure.engines import RanEnv, UeEnv
from rprov.procedure.events import (
    LinkLost,
    N2Lost,
    NasDown,
    NasGiven,
    RadioClosed,
    RadioLost,
)
from rprov.procedure.machine import Machine, Move, Role, merge
from rprov.procedure.radio_connection import AccessState, RanFresh, RanState
from rprov.wire.link import UeContextReleaseCommand, UeContextReleaseRequest
from rprov.wire.radio import CellInfo, RrcRelease


def on_ran_refused(state: RanState, refusal: Refused, env: RanEnv) -> Move:
    """What a refusal becomes: the connection ends, the CP is told."""
    return Move(state, (SendRrc(RrcRelease(refusal.cause)), SendN2(UeContextReleaseRequest(refusal.cause)), Close()))


RAN = Role(
    name="ran",
    table=merge(radio_connection.RAN, access_security.RAN, bearers.RAN),
    anywhere={
        NasGiven: radio_connection.on_uplink_nas,
        NasDown: radio_connection.on_downlink_nas,
        UeContextReleaseCommand: radio_connection.on_release_command,
        LinkLost: radio_connection.on_ue_lost,
        N2Lost: radio_connection.on_n2_lost,
    },
    ways_back={},
    on_refused=on_ran_refused,
)


def on_access_refused(state: AccessState, refusal: Refused, env: UeEnv) -> Move:
    """What a refusal becomes: the layer above has no connection."""
    return Move(radio_connection.NoCell(), (Tell(RadioLost(refusal.cause)),))


ACCESS = Role(
    name="ue-access",
    table=merge(radio_connection.UE, access_security.UE, bearers.UE),
    anywhere={
        CellInfo: radio_connection.on_cell_info,
        RadioClosed: radio_connection.on_radio_closed,
        LinkLost: radio_connection.on_link_lost,
    },
    ways_back={},
    on_refused=on_access_refused,
)


def ran_machine() -> Machine:
    """A connection on which nothing was said."""
    return Machine(RAN, RanFresh())


def access_machine() -> Machine:
    """An access layer that hears nothing."""
    return Machine(ACCESS, radio_connection.NoCell())
