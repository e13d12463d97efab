"""What every state of a role has in common: its step, and the phase that the security policy goes by."""

from dataclasses import dataclass
from typing import ClassVar

from rprov.model.identifiers import Teid
from rprov.model.security import Scope
from rprov.procedure.purpose import Intent, Step
from rprov.procedure.registration import Candidate, Registration
from rprov.security.policy import Phase

__all__ = ["NOTHING", "CpState", "Held", "OfCandidate", "OfRegistration", "Phase", "UeState"]


@dataclass(frozen=True, slots=True)
class Held:
    """What the CP holds for a UE outside of its state."""

    registration: Registration | None = None
    teid: Teid | None = None


NOTHING = Held()


class UeState:
    """A state of the UE's NAS machine. `natural` is the step if this were the first attach."""

    __slots__ = ()
    natural: ClassVar[Step]
    phase: ClassVar[Phase]
    intent: Intent

    @property
    def step(self) -> Step:
        """The step of the whole procedure."""
        return self.intent.purpose.step(self.natural)


class CpState:
    """A state of the CP's machine. The CP knows an ordinary attach as step 7, whatever the UE is about."""

    __slots__ = ()
    natural: ClassVar[Step]
    phase: ClassVar[Phase]

    @property
    def scope(self) -> Scope:
        """What the UE is let in for, or wants to be."""
        return Scope.PROVISIONING

    @property
    def step(self) -> Step:
        """The step of the whole procedure."""
        return self.natural if self.scope is Scope.PROVISIONING else Step.REATTACH

    @property
    def held(self) -> Held:
        """What has to be cleared up when this UE goes."""
        return NOTHING


class OfCandidate(CpState):
    """A state of a UE that has proved nothing yet, or whose context is not in use."""

    __slots__ = ()
    candidate: Candidate

    @property
    def scope(self) -> Scope:
        """What the candidate is for."""
        return self.candidate.scope


class OfRegistration(CpState):
    """A state of a UE that is let in."""

    __slots__ = ()
    phase: ClassVar[Phase] = Phase.SECURED
    registration: Registration

    @property
    def scope(self) -> Scope:
        """What the context is for."""
        return self.registration.scope

    @property
    def held(self) -> Held:
        """The registration."""
        return Held(self.registration)
