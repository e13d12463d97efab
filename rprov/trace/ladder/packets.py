"""User packets as arrows: those of one flow that go one way make one arrow, until the other side has its say.

On N3 they can be told apart, on the radio they are ciphered and only counted. Knows no message.
"""

from dataclasses import dataclass, field
from typing import Any

from rprov.trace.decode import UPLINK, Row
from rprov.trace.ladder.chart import Arrow, Lane, Protection

BARE = 60
"""Octets of an IP packet with a TCP header and its options: whatever is no longer carries no data."""

_SERVICES = {53: "DNS", 80: "HTTP", 443: "HTTPS"}

Flow = tuple[str, str, int]
"""Protocol, and the end that is not the UE's."""


@dataclass(slots=True)
class Packets:
    """The user packets of one device."""

    arrows: list[Arrow] = field(default_factory=list)
    on_radio: list[Arrow] = field(default_factory=list)
    """The same, as the radio carries them."""
    _current: dict[Flow, tuple[bool, Arrow]] = field(default_factory=dict)
    _answered: set[Flow] = field(default_factory=set)
    _of: dict[int, Flow] = field(default_factory=dict)
    _radio: tuple[bool, Arrow] | None = None

    def interrupt(self) -> None:
        """Let what follows be arrows of their own: a message has come between."""
        self._current.clear()
        self._radio = None

    def n3(self, row: Row, limit: int) -> bool:
        """Take a packet of N3; says whether there was room for it."""
        packet = row.fields.get("packet", {})
        uplink = row.direction == UPLINK
        flow = _flow(packet, uplink)
        octets = int(packet.get("octets", row.fields.get("payload", 0)))
        if not uplink:
            self._answered.add(flow)
        before = self._current.get(flow)
        bare = flow[0] == "TCP" and octets <= BARE
        if before is not None and (before[0] == uplink or bare):
            arrow = before[1]
            if before[0] != uplink:
                arrow.fields["acknowledgements"] = arrow.fields.get("acknowledgements", 0) + 1
                return True
        elif len(self.arrows) >= limit:
            return False
        else:
            arrow = self._begin(row, flow, uplink, packet)
        _count(arrow, row, octets)
        return True

    def radio(self, row: Row, octets: int, limit: int) -> bool:
        """Take a packet of the radio; says whether there was room for it."""
        uplink = row.direction == UPLINK
        if self._radio is None or self._radio[0] != uplink:
            if len(self.on_radio) >= limit:
                return False
            ends = (Lane.UE, Lane.RAN) if uplink else (Lane.RAN, Lane.UE)
            arrow = Arrow(row.time, *ends, "user packets", protection=Protection.CIPHERED, step=row.step)
            arrow.links.append(row.link)
            self._radio = uplink, arrow
            self.on_radio.append(arrow)
        _count(self._radio[1], row, octets)
        return True

    def drawn(self) -> list[Arrow]:
        """Give the arrows: those of N3 as the UE's, where the radio was seen, too; else what was seen."""
        for arrow in self.arrows:
            if self.on_radio:
                arrow.protection = Protection.CIPHERED
            else:
                arrow.protection = Protection.LINK
                arrow.sender, arrow.receiver = _without_ue(arrow.sender), _without_ue(arrow.receiver)
            if self._of[id(arrow)] not in self._answered:
                arrow.about = "no answer"
                arrow.receiver = Lane.UP
        found = self.arrows or self.on_radio
        for arrow in found:
            arrow.name = f"{arrow.name} x{arrow.packets}" if arrow.packets > 1 else arrow.name
        return found

    def _begin(self, row: Row, flow: Flow, uplink: bool, packet: dict[str, Any]) -> Arrow:
        far = Lane.UP if flow[2] == 53 or not flow[1] else Lane.SERVER
        ends = (Lane.UE, far) if uplink else (far, Lane.UE)
        arrow = Arrow(row.time, *ends, _service(flow), flow[1], step=row.step, links=[row.link])
        arrow.fields = {name: packet[name] for name in ("source", "destination", "protocol") if name in packet}
        self.arrows.append(arrow)
        self._of[id(arrow)] = flow
        self._current[flow] = uplink, arrow
        return arrow


def _flow(packet: dict[str, Any], uplink: bool) -> Flow:
    end = "destination" if uplink else "source"
    return str(packet.get("protocol", "")), str(packet.get(end, "")), int(packet.get(f"{end}_port", 0))


def _service(flow: Flow) -> str:
    protocol, _, port = flow
    return _SERVICES.get(port) or (f"{protocol} port {port}" if port else protocol or "user packet")


def _count(arrow: Arrow, row: Row, octets: int) -> None:
    arrow.packets += 1
    arrow.octets += octets
    arrow.frames.append(row.frame)


def _without_ue(lane: Lane) -> Lane:
    return Lane.RAN if lane is Lane.UE else lane
