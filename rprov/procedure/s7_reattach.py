"""Step 7: reattach. The downloaded profile is enabled, and the UE comes back as an ordinary subscriber, with AKA.

UE: EnableProfile ── the attach begins again with attach type `initial` and a SUCI (way back to step 1)
CP: subscriber store ── K, OPc and a fresh SQN ── AKA scheme ── step 2 with RAND and AUTN
CP: AUTS of the USIM ── SQN taken over ── once more, then never again
"""

from dataclasses import dataclass
from typing import ClassVar

from rprov.causes import Cause
from rprov.errors import Refused
from rprov.model.identifiers import Eid, Iccid, Supi
from rprov.model.security import Scope
from rprov.procedure.actions import EnableProfile, Prove, ReserveVector
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import EnableFailed, ProfileEnabled, SubscriberFound
from rprov.procedure.machine import GoBack, Move, Table
from rprov.procedure.phases import CpState, Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.procedure.registration import Candidate, Challenged, Resynchronising

# --- UE ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitProfileEnabled(UeState):
    """The eUICC enables the profile."""

    intent: Intent
    natural: ClassVar[Step] = Step.REATTACH
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def step(self) -> Step:
        """The last step of the whole procedure."""
        return Step.REATTACH


def begin_ue(intent: Intent, iccid: Iccid) -> Move:
    """Enable what was downloaded."""
    return Move(AwaitProfileEnabled(intent), (EnableProfile(iccid),))


def on_profile_enabled(state: AwaitProfileEnabled, event: ProfileEnabled, _env: UeEnv) -> GoBack:
    """Attach as the subscriber that the profile makes of this device."""
    eid = state.intent.identity if isinstance(state.intent.identity, Eid) else state.intent.eid
    intent = Intent(Purpose.ORDINARY, event.subscription, eid=eid, fallen_back=state.intent.fallen_back)
    kind = "SUPI" if event.subscription.supi.is_nai else "IMSI"
    proved = Prove(Step.REATTACH, f"the enabled profile is of {kind} {event.subscription.supi}")
    return GoBack(Step.ATTACH_REQUEST, intent, (proved,))


def on_enable_failed(_state: AwaitProfileEnabled, event: EnableFailed, _env: UeEnv) -> Move:
    """The eUICC does not enable it; the device is nobody again."""
    raise Refused(Cause.PROVISIONING_FAILED, event.detail)


UE: Table = {
    (AwaitProfileEnabled, ProfileEnabled): on_profile_enabled,
    (AwaitProfileEnabled, EnableFailed): on_enable_failed,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitSubscriber(CpState):
    """The store is looking for the subscriber; `supi` is `None` while it looks for whom a GUTI belongs to."""

    candidate: Candidate
    supi: Supi | None
    natural: ClassVar[Step] = Step.REATTACH
    phase: ClassVar[Phase] = Phase.NO_CONTEXT

    @property
    def scope(self) -> Scope:
        """AKA is for ordinary subscribers."""
        return Scope.ORDINARY


def begin_cp(candidate: Candidate, supi: Supi) -> Move:
    """Look for the subscriber and reserve a sequence number."""
    return Move(AwaitSubscriber(candidate, supi), (ReserveVector(supi),))


def resynchronise(carry: object, _env: CpEnv) -> Move:
    """Begin again after AUTS, with the USIM's own sequence number taken over (TS 33.102 6.3.5)."""
    if not isinstance(carry, Resynchronising):
        raise Refused(Cause.NETWORK_FAILURE, "a resynchronisation needs AUTS")
    supi = carry.supi
    return Move(AwaitSubscriber(carry.candidate, supi), (ReserveVector(supi, carry.sqn_ms),))


def on_subscriber_found(state: AwaitSubscriber, event: SubscriberFound, env: CpEnv) -> GoBack:
    """Challenge the USIM: an attach of type `initial` always runs AKA."""
    if not event.record.active:
        raise Refused(Cause.ILLEGAL_UE, "the subscription is not active")
    scheme = env.engines.aka(event.record, env)
    return GoBack(Step.AUTHENTICATE, Challenged(state.candidate, scheme, event.record.supi))


CP: Table = {
    (AwaitSubscriber, SubscriberFound): on_subscriber_found,
}
