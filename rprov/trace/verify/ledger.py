"""What a check has found: faults by frame, what was proved, and which octets are covered by what."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something that is wrong, and in which frame.

    A `loose` one says that something has no counterpart: it is the first thing wrong where there is no other, and a
    consequence where a frame was changed and so is not the counterpart that it was.
    """

    frame: int
    what: str
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Octets of a frame whose change is noticed; `offset` counts in the packet as the capture has it."""

    frame: int
    offset: int
    length: int
    by: str


@dataclass(slots=True)
class Ledger:
    """Filled by the checks, read by whoever reports."""

    faults: list[Fault] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What could not be checked, and why."""

    def fault(self, frame: int, what: str) -> None:
        """Take down what is wrong in a frame."""
        self.faults.append(Fault(frame, what))

    def loose(self, frame: int, what: str) -> None:
        """Take down that something in a frame has no counterpart."""
        self.faults.append(Fault(frame, what, loose=True))

    def cover(self, frame: int, offset: int, length: int, by: str) -> None:
        """Take down that these octets are covered."""
        if length > 0:
            self.spans.append(Span(frame, offset, length, by))

    def leave(self, text: str) -> None:
        """Take down something that could not be checked."""
        self.unchecked.append(text)

    def prove(self, text: str) -> None:
        """Take down a sentence that is true of the run."""
        self.proofs.append(text)

    @property
    def first(self) -> Fault | None:
        """The fault in the earliest frame; one without a counterpart only where no frame is wrong in itself."""
        return min(self.faults, key=lambda fault: (fault.loose, fault.frame), default=None)
