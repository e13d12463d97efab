"""Sorts the frames of a capture by link and UE, and checks what stands around the messages: addresses, streams, tags.

Where records of one thing differ, the majority is right: an address that one frame alone has is wrong in that frame.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rprov.errors import DecodeError
from rprov.model.numbers import Ppid
from rprov.model.tap import End, LinkName
from rprov.trace.capture import Capture, Captured
from rprov.trace.tap import LINK_TYPES
from rprov.trace.upper_pdu import LINK_TYPE
from rprov.trace.verify.ledger import Ledger
from rprov.wire.eap import Response
from rprov.wire.eap import decode as decode_eap
from rprov.wire.link import N2SetupRequest, N2SetupResponse, decode_n2_frame
from rprov.wire.link_asn1 import decode_link
from rprov.wire.radio import CellInfo, RrcSetup, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import decode_radio

MAX_FRAMES = 2_000_000
_PPIDS: dict[str, tuple[Ppid, ...]] = {
    LinkName.RADIO: (Ppid.RADIO,),
    LinkName.N2: (Ppid.N2,),
    LinkName.EAP: (Ppid.RADIO, Ppid.N2),
}


Way = tuple[int | None, int | None, frozenset[End]]
"""A UE, its stream, and the ends between which its messages go."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One message of the capture; `head` octets stand before it in its packet."""

    captured: Captured
    head: int
    uplink: bool = False

    @property
    def frame(self) -> int:
        """Its number in the file."""
        return self.captured.frame

    @property
    def octets(self) -> bytes:
        """The message."""
        return self.captured.octets


@dataclass(slots=True)
class UeFrames:
    """Everything that one UE has sent and got, link by link."""

    ue: int
    radio: list[Seen] = field(default_factory=list)
    n2: list[Seen] = field(default_factory=list)
    eap: list[Seen] = field(default_factory=list)
    user: list[Seen] = field(default_factory=list)


@dataclass(slots=True)
class Gathered:
    """A capture, sorted."""

    runs: tuple[str, ...] = ()
    frames: int = 0
    cell: list[Seen] = field(default_factory=list)
    """Messages of the radio that are addressed to no UE."""
    n2: list[Seen] = field(default_factory=list)
    """Messages of N2 that belong to the link itself."""
    n3: list[Seen] = field(default_factory=list)
    ues: dict[int, UeFrames] = field(default_factory=dict)
    unchecked: Counter[str] = field(default_factory=Counter)
    """Messages of links of which nothing here can be checked."""

    def ue(self, number: int) -> UeFrames:
        """The frames of a UE."""
        return self.ues.setdefault(number, UeFrames(number))


def gather(path: Path, ledger: Ledger) -> tuple[Gathered, Capture]:
    """Read a capture; raises `DecodeError` for a file that is none, and `OSError`."""
    capture = Capture(path)
    sizes = {packet.frame: (len(packet.octets), packet.interface.link_type) for packet in capture.packets()}
    if len(sizes) > MAX_FRAMES:
        raise DecodeError(f"a capture with more than {MAX_FRAMES} packets is not checked")
    messages = list(capture.messages())
    gathered = Gathered(capture.runs, len(sizes))
    upper = _upper_ends(messages)
    for captured in messages:
        if captured.fault:
            ledger.fault(captured.frame, captured.fault)
            continue
        size, _ = sizes[captured.frame]
        _sort(gathered, Seen(captured, size - len(captured.octets), _is_uplink(captured, upper)))
    if not (gathered.ues or gathered.cell or gathered.n2 or ledger.faults):
        raise DecodeError("there is nothing of the radio and of N2 in this capture")
    _check_heads(messages, sizes, ledger)
    return gathered, capture


def _sort(gathered: Gathered, seen: Seen) -> None:
    captured = seen.captured
    match captured.link:
        case LinkName.RADIO:
            (gathered.cell if captured.ue is None else gathered.ue(captured.ue).radio).append(seen)
        case LinkName.N2:
            (gathered.n2 if captured.ue is None else gathered.ue(captured.ue).n2).append(seen)
        case LinkName.EAP if captured.ue is not None:
            gathered.ue(captured.ue).eap.append(seen)
        case LinkName.RADIO_USER if captured.ue is not None:
            gathered.ue(captured.ue).user.append(seen)
        case LinkName.N3:
            gathered.n3.append(seen)
        case _:
            gathered.unchecked[str(captured.link)] += 1


def _upper_ends(messages: Iterable[Captured]) -> dict[str, set[End]]:
    """Find the RANs on the radio and the CPs on N2, by what only they say."""
    found: dict[str, Counter[End]] = defaultdict(Counter)
    for captured in messages:
        try:
            if captured.link == LinkName.RADIO and captured.ue is None:
                radio = decode_radio(decode_radio_frame(captured.octets).payload)
                if isinstance(radio, CellInfo | RrcSetup):
                    found[LinkName.RADIO][captured.sender] += 1
                elif isinstance(radio, RrcSetupRequest):
                    found[LinkName.RADIO][captured.receiver] += 1
            elif captured.link == LinkName.N2 and captured.ue is None:
                link = decode_link(decode_n2_frame(captured.octets).payload)
                if isinstance(link, N2SetupRequest):
                    found[LinkName.N2][captured.receiver] += 1
                elif isinstance(link, N2SetupResponse):
                    found[LinkName.N2][captured.sender] += 1
        except DecodeError:
            continue
    return {
        link: {end for end, count in ends.items() if count * 4 >= max(ends.values())} for link, ends in found.items()
    }


def _is_uplink(captured: Captured, upper: dict[str, set[End]]) -> bool:
    ends = upper.get(captured.link, set())
    if captured.link == LinkName.EAP:
        try:
            return isinstance(decode_eap(captured.octets), Response)
        except DecodeError:
            return False
    if captured.sender in ends:
        return False
    return captured.receiver in ends or bool(captured.inbound)


# --- what stands around a message -------------------------------------------------------------------------------------


def _check_heads(messages: list[Captured], sizes: dict[int, tuple[int, int]], ledger: Ledger) -> None:
    """Hold the tags of records without packets against those of their kind; packets have checksums."""
    links: dict[str, list[Captured]] = defaultdict(list)
    for captured in messages:
        if captured.fault or captured.link not in LINK_TYPES:
            continue
        size, link_type = sizes[captured.frame]
        if link_type == LINK_TYPE:
            links[captured.link].append(captured)
            head = size - len(captured.octets)
            ledger.cover(captured.frame, 0, head, "canonical encoding, and the link's other records")
        else:
            ledger.cover(captured.frame, 0, size, "checksums of IP and UDP")
    eap_ways = _ways_of_eap(links[LinkName.RADIO] + links[LinkName.N2])
    for link, group in links.items():
        _check_pairs(link, group, eap_ways if link == LinkName.EAP else frozenset(), ledger)
        _check_lanes(link, group, ledger)


def _ways_of_eap(carriers: list[Captured]) -> frozenset[Way]:
    """Say where EAP of each UE may go: as its other messages do, with the UE's id in place of its port."""
    found: set[Way] = set()
    for captured in carriers:
        if captured.ue is not None:
            (host, _), other = captured.sender, captured.receiver
            found.add((captured.ue, captured.stream, frozenset(((host, captured.ue), other))))
            (host, _), other = captured.receiver, captured.sender
            found.add((captured.ue, captured.stream, frozenset(((host, captured.ue), other))))
    return frozenset(found)


def _check_pairs(link: str, group: list[Captured], ways: frozenset[Way], ledger: Ledger) -> None:
    """One UE is on one connection, and no connection has one message alone, unless it is one of these ways."""
    usual = Counter(pair_of(captured) for captured in group)
    of_ue: dict[int | None, Counter[frozenset[End]]] = defaultdict(Counter)
    for captured in group:
        of_ue[captured.ue][pair_of(captured)] += 1
    for captured in group:
        alone = usual[pair_of(captured)] == 1 and len(group) > 1
        own = alone and (captured.ue, captured.stream, pair_of(captured)) not in ways
        strays = captured.ue is not None and pair_of(captured) != of_ue[captured.ue].most_common(1)[0][0]
        if own or strays:
            ledger.fault(captured.frame, f"addresses that no other message of this connection on {link} has")


def pair_of(captured: Captured) -> frozenset[End]:
    """Name the connection that has carried a message, by its two ends."""
    return frozenset((captured.sender, captured.receiver))


def _check_lanes(link: str, group: list[Captured], ledger: Ledger) -> None:
    """The link's own messages are on stream 0, and those of one UE on one stream; each link has its identifier."""
    streams: dict[int | None, Counter[int | None]] = defaultdict(Counter)
    for captured in group:
        streams[captured.ue][captured.stream] += 1
    for captured in group:
        usual = 0 if captured.ue is None else streams[captured.ue].most_common(1)[0][0]
        if captured.stream != usual:
            ledger.fault(captured.frame, f"a stream that no other message of this UE on {link} has")
        if captured.ppid not in _PPIDS[link]:
            ledger.fault(captured.frame, f"a payload protocol identifier that is none of {link}")
