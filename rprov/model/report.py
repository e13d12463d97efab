"""What a run leaves behind: messages seen, transitions, proofs. Reports and traces are made of these, never of logs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rprov.model.identifiers import Eid, UeRadioId


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """One message that a node sent or received, written down by that node once.

    `at` is monotonic seconds of that process; `link` is radio, n2, n3 or es9; `octets` is the size on that link;
    `step` is 1..7 where the node knows it, else 0 (a RAN does not know why a UE attaches).
    """

    at: float
    role: str
    ue_radio_id: UeRadioId
    step: int
    sender: str
    receiver: str
    link: str
    name: str
    octets: int
    protected: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of a machine: state, event, next state, actions, all by name."""

    at: float
    role: str
    ue: str
    step: int
    state: str
    event: str
    next_state: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a step has established, as a sentence for a person; never key material."""

    at: float
    role: str
    ue: str
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A message that was dropped without an answer, and why."""

    at: float
    role: str
    ue: str
    link: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step of a UE's procedure has ended, well or with a cause in words."""

    at: float
    role: str
    ue: str
    step: int
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """From here on it is known which device this UE is: it has proved it, or it is the node itself."""

    at: float
    role: str
    ue: str
    eid: Eid


class Act(StrEnum):
    """What a node can decide about a device."""

    ADMITTED = "admitted"
    """Its attach, or its authentication, has succeeded."""
    REFUSED = "refused"
    """It has not, or its session was refused."""
    ENDED = "ended"
    """Its registration is over."""
    DELIVERED = "delivered"
    """A profile package, bound to its eUICC, went out."""
    INSTALLED = "installed"
    """The eUICC's signed word: the profile is installed."""
    NOT_INSTALLED = "not installed"
    """The eUICC's signed word: the profile could not be installed."""
    CANCELLED = "cancelled"
    """The eUICC's signed word: the download was given up."""
    CODE_REFUSED = "code refused"
    """It gave a wrong confirmation code."""
    REPORTED = "reported"
    """The eUICC's signed word: a profile was enabled, disabled or deleted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a node has decided about a device, for an audit: who, on what proof, what and why.

    `identity` is an EID or SUPI; `proved` says whether it was proved or only claimed. `certificate` names what has
    proved it (subject, serial number), `cause` is the name of a `Cause`, `profile` an ICCID. Never key material.
    """

    at: float
    role: str
    ue: str
    act: Act
    purpose: str = ""
    identity: str = ""
    proved: bool = False
    certificate: str = ""
    cause: str = ""
    detail: str = ""
    profile: str = ""


ReportItem = MessageSeen | Transition | Proof | Discarded | StepEnded | Identified | Verdict


class Recorder(Protocol):
    """Takes down what happens; must not block and must not raise."""

    def record(self, item: ReportItem) -> None:
        """Take one item."""
