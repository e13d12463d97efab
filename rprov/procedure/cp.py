"""The CP's machine for one UE on one page: what it does in every state, in the order of the steps."""

from rprov.errors import Refused
from rprov.procedure import (
    configuration,
    s1_attach,
    s2_authenticate,
    s3_accept,
    s4_session,
    s6_detach,
    s7_reattach,
    verdicts,
)
from rprov.procedure.actions import Action, Send, TellAaa
from rprov.procedure.engines import CpEnv
from rprov.procedure.events import DetachOrdered, LinkLost
from rprov.procedure.machine import Machine, Move, Role, merge
from rprov.procedure.phases import CpState
from rprov.procedure.purpose import Step
from rprov.wire.link import UeContextReleaseRequest
from rprov.wire.messages import AttachReject, AuthenticationReject, DetachRequest, NasMessage


def on_refused(state: CpState, refusal: Refused, env: CpEnv) -> Move:
    """What a refusal becomes: a reject that fits the state, and the end of this UE here."""
    reject: NasMessage
    told: tuple[Action, ...] = ()
    if isinstance(refusal, s2_authenticate.AuthenticationRefused):
        reject = AuthenticationReject(refusal.cause, refusal.eap)
        if refusal.farewell is not None:
            told = (TellAaa(refusal.farewell),)
    elif isinstance(state, s2_authenticate.AwaitAuthenticationResponse) and not isinstance(
        refusal, s2_authenticate.TooEarly
    ):
        reject = AuthenticationReject(refusal.cause)
    else:
        reject = AttachReject(refusal.cause, env.policy.backoff)
    decided = verdicts.refused(state, refusal.cause, refusal.detail)
    failed = s6_detach.failed(state, refusal)
    return s6_detach.release_cp(state, refusal.cause, env, failed, decided, Send(reject), *told)


CP = Role(
    name="cp",
    table=merge(
        s1_attach.CP,
        s2_authenticate.CP,
        s3_accept.CP,
        s4_session.CP,
        s6_detach.CP,
        s7_reattach.CP,
        configuration.CP,
    ),
    anywhere={
        DetachRequest: s6_detach.on_detach_request,
        DetachOrdered: s6_detach.on_detach_ordered,
        UeContextReleaseRequest: s6_detach.on_ran_lost_ue,
        LinkLost: s6_detach.on_link_lost,
    },
    ways_back={Step.AUTHENTICATE: s2_authenticate.begin_cp, Step.REATTACH: s7_reattach.resynchronise},
    on_refused=on_refused,
    stable=(s4_session.Attached, s4_session.Connected),
)


def cp_machine() -> Machine:
    """A UE that the CP has heard nothing of."""
    return Machine(CP, s1_attach.CpIdle())
