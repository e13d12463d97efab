"""Actions that change nothing: they say who a UE is and what is decided about it, for whoever watches."""

from dataclasses import dataclass

from rprov.causes import Cause
from rprov.model.identifiers import Eid
from rprov.model.report import Act


@dataclass(frozen=True, slots=True)
class Identify:
    """This UE has proved to be the device with this EID; the endpoint makes an Identified of it."""

    eid: Eid


@dataclass(frozen=True, slots=True)
class Decide:
    """Something is decided about this UE; the endpoint makes a Verdict of it (CP)."""

    act: Act
    purpose: str
    identity: str
    proved: bool
    certificate: str
    cause: Cause
    detail: str = ""
