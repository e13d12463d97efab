"""From the messages of a capture to charts: whose each one is, between whom it goes, and which two records are one.

A NAS message is recorded on the radio and on N2; both make one arrow between UE and CP. Where it is ciphered and no key
is at hand, its size tells that they are the same. A device is known by its end of the radio link, so that both of its
attaches are one chart; where a capture has no radio link, by what N2 calls the UE. Everything is bounded: what is left
out is counted.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rprov.model.tap import LinkName
from rprov.procedure.purpose import Step
from rprov.trace.capture import Captured
from rprov.trace.decode import UPLINK, Opener, Row, decode
from rprov.trace.ladder.about import REFUSALS, about
from rprov.trace.ladder.chart import Arrow, Chart, Ladder, Lane, Protection
from rprov.trace.ladder.packets import Packets
from rprov.wire.messages import NasMessage

MAX_CHARTS = 50
MAX_ARROWS = 300
"""In one chart, user packets apart, of which there may be as many again."""
MAX_IN_ALL = 8000

_MAX_WAITING = 32
_NAS = frozenset({kind.__name__ for kind in NasMessage.__args__} | {"ProtectedNas"})
_SRB_OVER_NAS = 1 + 6
"""An SRB's PDU has a kind before the NAS PDU, and a protected NAS PDU a header before its payload."""
_CONNECTING = frozenset({"CellInfo", "RrcSetupRequest", "RrcSetup", "RrcReject"})
_BEGINNING = _CONNECTING | {"AttachRequest"}

Key = tuple[str, int]
"""A device: its end of the radio link, or `ue` and its number."""


def gather(messages: Iterable[Captured], opener: Opener | None = None) -> Ladder:
    """Draw up the charts of a capture; raises what `messages` raises."""
    gatherer = _Gatherer()
    passed: deque[Captured] = deque()

    def passing() -> Iterator[Captured]:
        for seen in messages:
            passed.append(seen)
            yield seen

    for row in decode(passing(), opener):
        gatherer.add(passed.popleft(), row)
    return gatherer.ladder(deciphered=opener is not None)


@dataclass(slots=True)
class _Device:
    arrows: list[Arrow] = field(default_factory=list)
    packets: Packets = field(default_factory=Packets)
    waiting: deque[tuple[Row, Arrow]] = field(default_factory=lambda: deque(maxlen=_MAX_WAITING))
    """NAS seen on one of its two links, and what is ciphered on the radio."""
    ues: list[int] = field(default_factory=list)
    eid: str = ""
    radio_octets: int = 0
    left_out: int = 0

    @property
    def size(self) -> int:
        """How many arrows it has."""
        return len(self.arrows) + len(self.packets.arrows)

    def chart(self) -> Chart:
        if not self.radio_octets:  # NAS is between UE and CP, though the capture has only N2
            for arrow in self.arrows:
                if arrow.name in _NAS and Lane.RAN in (arrow.sender, arrow.receiver):
                    arrow.sender = Lane.UE if arrow.sender is Lane.RAN else arrow.sender
                    arrow.receiver = Lane.UE if arrow.receiver is Lane.RAN else arrow.receiver
                    arrow.relayed = True
        arrows = sorted([*self.arrows, *self.packets.drawn()], key=lambda arrow: arrow.at)
        _fill_steps(arrows)
        names = ", ".join(f"{ue:08x}" for ue in self.ues)
        title = f"EID {self.eid}" if self.eid else f"UE {names}" if names else "Links of the network"
        return Chart(title, tuple(arrows), self.radio_octets, self.left_out)


class _Gatherer:
    def __init__(self) -> None:
        self._devices: dict[Key, _Device] = {}
        self._strangers: set[Key] = set()
        self._links = _Device()
        """What belongs to no UE."""
        self._of_ue: dict[int, Key] = {}
        self._drawn = 0

    def add(self, seen: Captured, row: Row) -> None:
        if row.link == LinkName.EAP:
            return  # once more, beside the NAS message that carried it
        device = self._device(seen, row)
        if device is None:
            return
        if row.eid and not device.eid:
            device.eid = row.eid
        if row.link in (LinkName.RADIO, LinkName.RADIO_USER):
            device.radio_octets += len(seen.octets)
        before = device.size
        if row.link == LinkName.N3 and row.message == "Gpdu":
            room = device.packets.n3(row, self._room)
        elif row.link == LinkName.RADIO_USER and row.message == "UserPacket":
            room = device.packets.radio(row, len(seen.octets), self._room)
        else:
            room = self._message(device, seen, row)
        self._drawn += device.size - before
        device.left_out += not room

    @property
    def _room(self) -> int:
        """How many arrows of a kind a device may have."""
        return MAX_ARROWS if self._drawn < MAX_IN_ALL else 0

    def ladder(self, *, deciphered: bool) -> Ladder:
        charts = [device.chart() for device in self._devices.values() if device.arrows or device.packets.arrows]
        if self._links.arrows:
            charts.append(self._links.chart())
        return Ladder(tuple(charts), len(self._strangers), deciphered)

    def _device(self, seen: Captured, row: Row) -> _Device | None:
        """Find whose a message is; None where there are too many devices already."""
        key: Key | None = None
        if row.link == LinkName.RADIO and row.direction is not None and seen.sender[0]:
            key = seen.sender if row.direction == UPLINK else seen.receiver
            if row.ue is not None:
                self._of_ue[row.ue] = key
        elif row.ue is not None:
            key = self._of_ue.get(row.ue, ("ue", row.ue))
        if key is None:
            return self._links
        if key not in self._devices:
            if len(self._devices) >= MAX_CHARTS:
                self._strangers.add(key)
                return None
            self._devices[key] = _Device()
        device = self._devices[key]
        if row.ue is not None and row.ue not in device.ues:
            device.ues.append(row.ue)
        return device

    def _message(self, device: _Device, seen: Captured, row: Row) -> bool:
        # Upwards the radio was first, and what waits from before may be of the same size; downwards N2 was first.
        waiting = list(device.waiting)
        for other, arrow in reversed(waiting) if row.direction == UPLINK else waiting:
            if _same(other, row):
                device.waiting.remove((other, arrow))
                _join(arrow, row)
                return True
        if len(device.arrows) >= self._room:
            return False
        arrow = _arrow(seen, row)
        device.arrows.append(arrow)
        device.packets.interrupt()
        if row.message in _NAS or row.message == "ProtectedSrb":
            device.waiting.append((row, arrow))
        return True


def _arrow(seen: Captured, row: Row) -> Arrow:
    lower, upper = _ends(row)
    sender, receiver = (lower, upper) if row.direction in (UPLINK, None) else (upper, lower)
    return Arrow(
        row.time,
        sender,
        receiver,
        row.message,
        about(row.message, row.fields),
        len(seen.octets),
        _protection(row),
        row.step,
        [row.frame],
        [str(row.link)],
        row.fields,
        refused=row.message.endswith(REFUSALS),
    )


def _ends(row: Row) -> tuple[Lane, Lane]:
    if row.link == LinkName.RADIO:
        return Lane.UE, Lane.CP if row.message in _NAS else Lane.RAN
    if row.link == LinkName.N3:
        return Lane.RAN, Lane.UP
    if row.link == LinkName.ES9:
        return Lane.UE, Lane.SERVER
    return (Lane.CP, Lane.SERVER) if row.link == LinkName.AAA else (Lane.RAN, Lane.CP)


def _protection(row: Row) -> Protection:
    if row.link not in (LinkName.RADIO, LinkName.RADIO_USER) and row.message not in _NAS:
        return Protection.LINK
    if not row.protected:
        return Protection.NONE
    header = str(row.fields.get("security", {}).get("header", ""))
    integrity_alone = header.startswith("INTEGRITY") and "CIPHERED" not in header
    if row.message.startswith("AsSecurityMode") or integrity_alone:
        return Protection.INTEGRITY
    return Protection.CIPHERED


def _same(one: Row, other: Row) -> bool:
    """Say whether two records are one NAS message, seen on the radio and on N2."""
    if one.link == other.link or one.direction != other.direction or one.ue != other.ue:
        return False
    radio, n2 = (one, other) if one.link == LinkName.RADIO else (other, one)
    if n2.message not in _NAS or n2.link != LinkName.N2:
        return False
    if radio.message == "ProtectedSrb":
        payload = n2.fields.get("octets") if n2.message == "ProtectedNas" else None
        return isinstance(payload, int) and radio.fields.get("octets") == payload + _SRB_OVER_NAS
    return radio.message == n2.message and _members(radio) == _members(n2)


def _members(row: Row) -> dict[str, object]:
    return {name: value for name, value in row.fields.items() if name != "security"}


def _join(arrow: Arrow, row: Row) -> None:
    """Let an arrow that was seen on one link be that of both."""
    up = row.direction == UPLINK
    arrow.sender, arrow.receiver = (Lane.UE, Lane.CP) if up else (Lane.CP, Lane.UE)
    arrow.relayed = True
    arrow.frames.append(row.frame)
    arrow.links.append(str(row.link))
    if arrow.name == "ProtectedSrb":  # N2 tells more of it
        arrow.name, arrow.fields, arrow.about = row.message, row.fields, about(row.message, row.fields)
    arrow.step = arrow.step or row.step


def _fill_steps(arrows: list[Arrow]) -> None:
    """Give steps to what does not tell its own: to what connects, the next one's, to the rest the one's before."""
    following: int | None = None
    for arrow in reversed(arrows):
        if arrow.step is None and arrow.name in _CONNECTING:
            arrow.step = following
        following = arrow.step or following
    last: int | None = None
    for arrow in arrows:
        if arrow.step is None and last is not None:
            # What is ciphered after user packets of a provisioning session is the end of it.
            arrow.step = int(Step.DETACH) if last == Step.PROVISION and not arrow.packets else last
        elif arrow.step is not None and last is not None and arrow.name not in _BEGINNING:
            arrow.step = max(arrow.step, last)  # a straggler
        last = arrow.step
