"""What the CP decides about a UE, as an audit takes it down: who it is, or says it is, what has proved it, and why."""

from rprov.causes import Cause
from rprov.model.identifiers import Eid
from rprov.model.report import Act
from rprov.model.security import Scope
from rprov.procedure.decisions import Decide
from rprov.procedure.phases import CpState
from rprov.procedure.registration import Candidate, Challenged, Registration


def admitted(candidate: Candidate, registration: Registration) -> Decide:
    """The UE is let in."""
    who = str(registration.identity)
    return Decide(Act.ADMITTED, purpose(registration.scope), who, True, candidate.certificate, Cause.NORMAL)


def refused(state: CpState, cause: Cause, detail: str) -> Decide:
    """The UE is not let in, or not any longer."""
    who, proved, certificate = _who(state)
    return Decide(Act.REFUSED, purpose(state.scope), who, proved, certificate, cause, detail)


def ended(registration: Registration, cause: Cause) -> Decide:
    """A registration is over."""
    return Decide(Act.ENDED, purpose(registration.scope), str(registration.identity), True, "", cause)


def purpose(scope: Scope) -> str:
    """Why a UE attaches, in a word."""
    return scope.name.lower()


def _who(state: CpState) -> tuple[str, bool, str]:
    """Who this is, whether that is proved, and by which certificate."""
    registration = state.held.registration
    if registration is not None:
        return str(registration.identity), True, ""
    challenged = getattr(state, "challenged", None)
    candidate = challenged.candidate if isinstance(challenged, Challenged) else getattr(state, "candidate", None)
    if not isinstance(candidate, Candidate):
        return "", False, ""
    identity = getattr(state, "identity", None)
    if identity is not None:  # step 2 has ended well
        return str(identity), True, candidate.certificate
    if candidate.certificate:
        known = candidate.record.eid if candidate.record is not None else candidate.request.identity
        return str(known), isinstance(known, Eid), candidate.certificate
    supi = challenged.supi if isinstance(challenged, Challenged) else None
    return str(supi or candidate.request.identity), False, ""
