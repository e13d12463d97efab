"""What a chart is: arrows between five nodes, in the bands of the seven steps. Knows no capture and no format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from itertools import groupby
from operator import attrgetter
from typing import Any

from rprov.procedure.purpose import Step


class Lane(IntEnum):
    """The nodes, from left to right."""

    UE = 0
    RAN = 1
    CP = 2
    UP = 3
    SERVER = 4

    @property
    def title(self) -> str:
        """What stands above the lane."""
        return _LANE_TITLES[self]


_LANE_TITLES = {Lane.UE: "UE", Lane.RAN: "RAN", Lane.CP: "CP", Lane.UP: "UP", Lane.SERVER: "Server"}

STEP_TITLES: dict[int | None, str] = {
    Step.ATTACH_REQUEST: "Attach request",
    Step.AUTHENTICATE: "Authenticate",
    Step.ATTACH: "Security and attach",
    Step.SESSION: "PDU session",
    Step.PROVISION: "Provision",
    Step.DETACH: "Detach",
    Step.REATTACH: "Attach as a subscriber",
    None: "Set-up of links",
}


class Protection(Enum):
    """How a message is protected where the UE's keys protect it, the word for people."""

    NONE = "plain"
    LINK = "link"
    """Not the UE's affair: whether its link is protected, a capture does not say."""
    INTEGRITY = "integrity"
    CIPHERED = "ciphered"


@dataclass(slots=True)
class Arrow:
    """One message, or a burst of user packets."""

    at: float
    """Seconds since 1970."""
    sender: Lane
    receiver: Lane
    name: str
    about: str = ""
    """What a person wants to know of it at a glance."""
    octets: int = 0
    protection: Protection = Protection.NONE
    step: int | None = None
    frames: list[int] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    relayed: bool = False
    """Whether the RAN has passed it on unread."""
    refused: bool = False
    """Whether it refuses something, or is no message at all."""
    packets: int = 0
    """How many user packets it stands for; 0 for a message."""

    @property
    def left(self) -> Lane:
        """The end that is drawn on the left."""
        return min(self.sender, self.receiver)

    @property
    def right(self) -> Lane:
        """The end that is drawn on the right."""
        return max(self.sender, self.receiver)


@dataclass(frozen=True, slots=True)
class Band:
    """Arrows of one step that follow each other."""

    step: int | None
    arrows: tuple[Arrow, ...]

    @property
    def title(self) -> str:
        """What the step is called."""
        return STEP_TITLES[self.step]

    @property
    def milliseconds(self) -> float:
        """From its first message to its last."""
        return (self.arrows[-1].at - self.arrows[0].at) * 1000


@dataclass(frozen=True, slots=True)
class Chart:
    """What one device has to do with: its arrows in the order of time."""

    title: str
    arrows: tuple[Arrow, ...]
    radio_octets: int = 0
    """Octets of all it has sent and received on the radio; 0 where the capture has no radio link."""
    left_out: int = 0
    """How many arrows are not drawn, at the end."""

    @property
    def began(self) -> float:
        """When its first message was seen."""
        return self.arrows[0].at

    @property
    def milliseconds(self) -> float:
        """From its first message to its last."""
        return (self.arrows[-1].at - self.arrows[0].at) * 1000

    @property
    def bands(self) -> Sequence[Band]:
        """The steps as they follow each other."""
        return [Band(step, tuple(arrows)) for step, arrows in groupby(self.arrows, attrgetter("step"))]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The charts of a capture: one for each device, and one for what belongs to none."""

    charts: tuple[Chart, ...]
    left_out: int = 0
    """How many devices are not drawn."""
    deciphered: bool = False
    """Whether keys were at hand."""


def duration(milliseconds: float) -> str:
    """Write a time as people read it."""
    if milliseconds < 1000:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 100_000 else f"{milliseconds / 1000:.0f} s"


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
