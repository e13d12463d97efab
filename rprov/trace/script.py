"""A capture as a script for one of its sides: what is played, what the other side is expected to say, and how far.

Against a CP, the lines of RAN and UEs on N2 are played; against a UE, those of the cell on the radio. A line that rests
on what the other side drew in that run cannot be played in another one: there the script of that UE ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rprov.errors import DecodeError
from rprov.model.tap import End, LinkName
from rprov.trace.behaviour import Draws, Heard, Listener
from rprov.trace.capture import Captured
from rprov.wire.link import N2SetupRequest, decode_n2_frame
from rprov.wire.link_asn1 import decode_link
from rprov.wire.messages import AkaAnswer, AuthenticationReject, AuthenticationResponse
from rprov.wire.radio import CellInfo, RrcSetup, decode_radio_frame
from rprov.wire.radio_asn1 import decode_radio

LINK_ITSELF = 0
"""The lane of messages that belong to no UE."""


class Against(StrEnum):
    """Which live node a capture is held against."""

    UE = "ue"
    CP = "cp"


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the capture. `lane` is the UE's, within which order counts."""

    seen: Captured
    heard: Heard
    lane: int
    played: bool
    """Whether the replay says it; else the live node is expected to."""
    ends: Draws = Draws.NOTHING
    """Why it cannot be said again: nothing of this lane is compared from here on."""

    @property
    def frame(self) -> int:
        """Its number in the capture."""
        return self.seen.frame


@dataclass(frozen=True, slots=True)
class Script:
    """The lines, in the order of the capture."""

    against: Against
    lines: tuple[Line, ...]
    others: int = 0
    """Connections that the capture has beside the one that is played."""


def script_of(messages: Iterable[Captured], against: Against, ue: int | None = None) -> Script:
    """Write the script; of a `ue` alone, where one is named. Raises `DecodeError` for a capture that has none."""
    link = LinkName.N2 if against is Against.CP else LinkName.RADIO
    there = [seen for seen in messages if seen.link == link]
    for seen in there:
        if seen.fault:
            raise DecodeError(f"frame {seen.frame}: {seen.fault}")
    if not there:
        raise DecodeError(f"has no messages of {link}, which a replay against a {against} plays")
    if against is Against.CP:
        lower = _ran_of(there)
        of_link, others = _one_link(there, lower)
        wanted = [seen for seen in of_link if ue is None or seen.ue in (None, ue)]
    else:
        lower = _device_of(there, ue)
        wanted, others = _one_link(there, lower)
    if ue is not None and not any(seen.ue == ue for seen in wanted):
        raise DecodeError(f"has no messages of UE {ue:#010x} on {link}")
    writer = _Writer(against, lower)
    return Script(against, tuple(_until_stale([writer.line(seen) for seen in wanted], against)), others)


@dataclass(slots=True)
class _Writer:
    against: Against
    lower: End
    listeners: dict[tuple[int, bool], Listener] = field(default_factory=dict)

    def line(self, seen: Captured) -> Line:
        uplink = seen.sender == self.lower
        # One device has one radio link: its order is that of the link, whatever the cell calls it.
        lane = (seen.ue or LINK_ITSELF) if self.against is Against.CP else LINK_ITSELF
        listener = self.listeners.setdefault((seen.ue or 0, uplink), Listener())
        return Line(seen, listener.hear(seen), lane, played=uplink is (self.against is Against.CP))


def _until_stale(lines: Sequence[Line], against: Against) -> Iterable[Line]:
    hellos: set[int] = set()
    ended: set[int] = set()
    for place, line in enumerate(lines):
        if line.lane in ended:
            continue
        if not line.played:
            if line.heard.hello:
                hellos.add(line.lane)
            yield line
            continue
        draws = _ends(line, against, line.lane in hellos)
        if draws and not _was_wrong_anyway(line, lines[place + 1 :]):
            ended.add(line.lane)
            yield Line(line.seen, line.heard, line.lane, played=True, ends=draws)
            continue
        yield line


def _ends(line: Line, against: Against, hello: bool) -> Draws:
    """Say why a line holds in its run only, if it does. Keys of AKA rest on what the network drew, and no device."""
    draws = line.heard.draws
    if draws is Draws.TLS:
        return draws if hello else Draws.NOTHING
    if draws is Draws.KEYS:
        return draws if hello or against is Against.CP else Draws.NOTHING
    return draws


def _was_wrong_anyway(line: Line, rest: Sequence[Line]) -> bool:
    """A RES* that was refused then is as wrong now."""
    match line.heard.value:
        case AuthenticationResponse(answer=AkaAnswer()):
            following = next((other for other in rest if other.lane == line.lane), None)
            return following is not None and isinstance(following.heard.value, AuthenticationReject)
        case _:
            return False


# --- who is who -------------------------------------------------------------------------------------------------------


def _one_link(there: Sequence[Captured], lower: End) -> tuple[list[Captured], int]:
    """Give the messages of one connection, and how many others there are."""
    pairs = {frozenset((seen.sender, seen.receiver)) for seen in there}
    return [seen for seen in there if lower in (seen.sender, seen.receiver)], sum(lower not in pair for pair in pairs)


def _ran_of(there: Sequence[Captured]) -> End:
    """Find the RAN: who asks for the set-up of N2."""
    for seen in there:
        if seen.ue is not None:
            continue
        try:
            if isinstance(decode_link(decode_n2_frame(seen.octets).payload), N2SetupRequest):
                return seen.sender
        except DecodeError:
            continue
    raise DecodeError("begins in the middle: there is no N2SetupRequest that a replay could begin with")


def _device_of(there: Sequence[Captured], ue: int | None) -> End:
    """Find a device: to whom the cell announces itself; the first, or that of an id."""
    for seen in there:
        try:
            message = decode_radio(decode_radio_frame(seen.octets).payload) if seen.ue is None else None
        except DecodeError:
            continue
        wanted = isinstance(message, CellInfo) if ue is None else isinstance(message, RrcSetup)
        if wanted and (ue is None or getattr(message, "ue_radio_id", None) == ue):
            return seen.receiver
    what = "CellInfo that a replay could begin with" if ue is None else f"RrcSetup of UE {ue:#010x}"
    raise DecodeError(f"there is no {what} in it")
