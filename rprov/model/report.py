"""What a run leaves behind: messages seen, transitions, proofs. Reports and traces are made of these, never of logs."""

from dataclasses import dataclass
from typing import Protocol

from rprov.model.identifiers import UeRadioId


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


ReportItem = MessageSeen | Transition | Proof | Discarded | StepEnded


class Recorder(Protocol):
    """Takes down what happens; must not block and must not raise."""

    def record(self, item: ReportItem) -> None:
        """Take one item."""
