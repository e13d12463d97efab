"""The UE's machine on one page: what it does in every state, in the order of the steps."""

from rprov.errors import Refused
from rprov.procedure import (
    configuration,
    endings,
    s1_attach,
    s2_authenticate,
    s3_accept,
    s4_session,
    s5_provision,
    s6_detach,
    s7_reattach,
)
from rprov.procedure.actions import Send
from rprov.procedure.engines import UeEnv
from rprov.procedure.events import DetachWanted, RadioLost
from rprov.procedure.machine import Machine, Move, Role, merge
from rprov.procedure.phases import UeState
from rprov.procedure.purpose import Step
from rprov.wire.messages import DetachRequest, SecurityModeReject


def on_refused(state: UeState, refusal: Refused, env: UeEnv) -> Move:
    """What a refusal of ours becomes: a SecurityModeReject where the command is refused, else the end of the try."""
    commanded = isinstance(state, (s3_accept.AwaitSecurityMode, s3_accept.AwaitVerdict))
    reject = (Send(SecurityModeReject(refusal.cause)),) if commanded else ()
    return s6_detach.on_ue_refused(state, refusal, env, *reject)


UE = Role(
    name="ue",
    table=merge(
        s1_attach.UE,
        s2_authenticate.UE,
        s3_accept.UE,
        s4_session.UE,
        s5_provision.UE,
        s6_detach.UE,
        endings.UE,
        s7_reattach.UE,
        configuration.UE,
    ),
    anywhere={
        RadioLost: s6_detach.on_radio_lost,
        DetachRequest: s6_detach.on_network_detach,
        DetachWanted: s6_detach.on_detach_wanted,
    },
    ways_back={Step.ATTACH_REQUEST: s1_attach.begin_ue},
    on_refused=on_refused,
    # A retry waits for its timer and is counted by its intent, so it is no way back without an end.
    stable=(endings.Deregistered, endings.AwaitRetry, s5_provision.Online),
)


def ue_machine() -> Machine:
    """A UE that has not attached."""
    return Machine(UE, endings.Deregistered())
