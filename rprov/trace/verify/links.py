"""Reads what the links say for themselves: the cell's announcement, connections on the radio, control messages of N2.

N2 is trusted by its ends and not by us: what it carries must fit what NAS and the radio say under MACs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rprov.crypto.hierarchy import KGnb
from rprov.errors import DecodeError
from rprov.model.identifiers import Plmn
from rprov.model.secret import Secret
from rprov.model.security import SecurityCapability
from rprov.model.session import TunnelEnd
from rprov.model.tap import End
from rprov.trace.verify.exchanges import Control, check_exchanges
from rprov.trace.verify.gather import Gathered, Seen, UeFrames, pair_of
from rprov.trace.verify.ledger import Ledger
from rprov.wire.link import (
    InitialContextSetupRequest,
    N2Frame,
    N2Kind,
    N2SetupRequest,
    N2SetupResponse,
    SessionResourceSetupRequest,
    SessionResourceSetupResponse,
    decode_n2_frame,
)
from rprov.wire.link_asn1 import decode_link, encode_link
from rprov.wire.radio import CellInfo, RadioMessage, RrcReject, RrcSetup, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import decode_radio, encode_radio

N2_HEADER, RADIO_HEADER = 9, 4
K_GNB_OCTETS = 32


@dataclass(slots=True)
class UeOnN2:
    """What N2 says of one UE, apart from its NAS."""

    cp_ue_id: int = 0
    nas: list[Seen] = field(default_factory=list)
    control: list[Control] = field(default_factory=list)


def announced(gathered: Gathered, ledger: Ledger) -> list[Plmn]:
    """Check cell and N2 set-up against each other; give the PLMNs that they name, the most frequent first."""
    said: list[tuple[int, str, Plmn, int | None, bool | None]] = []
    asked: list[tuple[int, bytes]] = []
    connected: dict[int, int] = {}
    heard = _first(gathered.cell, CellInfo)
    for seen in gathered.cell:
        try:
            message = _rrc(decode_radio_frame(seen.octets).payload)
        except DecodeError as error:
            ledger.fault(seen.frame, f"radio: {error}")
            continue
        match message:
            case CellInfo(plmn=plmn, cell_id=cell, provisioning_offered=offered):
                said.append((seen.frame, "the cell", plmn, cell, offered))
                ledger.cover(seen.frame, seen.head, len(seen.octets), "N2 set-up")
            case RrcSetupRequest(transaction=transaction):
                asked.append((seen.frame, transaction))
                # A capture of ours begins with its node, and so with its cell; others may have begun later.
                if heard.get(pair_of(seen.captured), seen.frame + 1 if gathered.runs else 0) > seen.frame:
                    ledger.loose(seen.frame, "a request for a connection in a cell that was not announced yet")
                ledger.cover(seen.frame, seen.head, len(seen.octets), "its answer")
            case RrcSetup(transaction=transaction, ue_radio_id=number):
                _answered(seen, transaction, asked, ledger)
                connected[int(number)] = seen.frame
                if not gathered.ues.get(int(number), UeFrames(0)).radio:
                    ledger.fault(seen.frame, f"a connection for ueRadioId {number:08x}, which nobody uses")
                ledger.cover(seen.frame, seen.head, len(seen.octets), "its request, and the UE's messages")
            case RrcReject(transaction=transaction):
                _answered(seen, transaction, asked, ledger)
            case _:
                ledger.fault(seen.frame, f"{type(message).__name__} that is addressed to no UE")
    _all_connected(gathered, connected, ledger)
    for frame, _ in asked:
        ledger.loose(frame, "a request for a connection that has no answer")
    controls = _link_messages(gathered.n2, ledger)
    _after_setup(gathered, controls, ledger)
    for control in controls:
        match control.message:
            case N2SetupRequest(plmn=plmn, cell_id=cell):
                said.append((control.seen.frame, "N2SetupRequest", plmn, cell, None))
            case N2SetupResponse(plmn=plmn, provisioning_offered=offered):
                said.append((control.seen.frame, "N2SetupResponse", plmn, None, offered))
    _agree(said, ledger)
    return [plmn for plmn, _ in Counter(entry[2] for entry in said).most_common()]


def _rrc(payload: bytes) -> RadioMessage:
    message = decode_radio(payload)
    if encode_radio(message) != payload:
        raise DecodeError(f"{type(message).__name__} is not encoded as it must be")
    return message


def _first(cell: Sequence[Seen], kind: type) -> dict[frozenset[End], int]:
    """Give the frame in which each connection has first carried a message of the cell."""
    found: dict[frozenset[End], int] = {}
    for seen in cell:
        with suppress(DecodeError):
            if isinstance(decode_radio(decode_radio_frame(seen.octets).payload), kind):
                found.setdefault(pair_of(seen.captured), seen.frame)
    return found


def _after_setup(gathered: Gathered, controls: Sequence[Control], ledger: Ledger) -> None:
    """Nothing is said of a UE on N2 before RAN and CP have taken each other."""
    ready: dict[frozenset[End], int] = {}
    for control in controls:
        if isinstance(control.message, N2SetupResponse):
            ready.setdefault(pair_of(control.seen.captured), control.seen.frame)
    for frames in gathered.ues.values():
        for seen in frames.n2[:1]:
            if ready.get(pair_of(seen.captured), 0) > seen.frame:
                ledger.loose(seen.frame, "a message of a UE on N2 before its set-up")


def _all_connected(gathered: Gathered, connected: Mapping[int, int], ledger: Ledger) -> None:
    """Nobody talks who was not connected; unless the capture began later than its cell."""
    if not connected:
        return
    for number, frames in gathered.ues.items():
        if number not in connected:
            for seen in (*frames.radio, *frames.n2, *frames.eap, *frames.user):
                ledger.fault(seen.frame, f"the id {number:08x} was given to no UE")
        elif frames.radio and frames.radio[0].frame < connected[number]:
            ledger.loose(frames.radio[0].frame, "a message on a connection that the UE has not got yet")


def _answered(seen: Seen, transaction: bytes, asked: list[tuple[int, bytes]], ledger: Ledger) -> None:
    for position, (_, known) in enumerate(asked):
        if known == transaction:
            del asked[position]
            return
    ledger.loose(seen.frame, "an answer to a request for a connection that nobody has made")


def _agree(said: Sequence[tuple[int, str, Plmn, int | None, bool | None]], ledger: Ledger) -> None:
    """Name whoever says what no other says; of two alone, the later one."""
    for index, what in ((2, "PLMN"), (3, "cell"), (4, "offer of provisioning")):
        values = [(entry[0], entry[1], entry[index]) for entry in said if entry[index] is not None]
        counts = Counter(value for _, _, value in values)
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        for frame, who, value in values:
            if value != usual:
                ledger.fault(frame, f"{who} names another {what} than the other messages: {value}, not {usual}")


def _link_messages(frames: Sequence[Seen], ledger: Ledger) -> list[Control]:
    found = []
    for seen in frames:
        try:
            found.append(_control(seen, _of_link(seen)))
        except DecodeError as error:
            ledger.fault(seen.frame, f"N2: {error}")
    _cover_empty(found, ledger)
    check_exchanges(found, ledger)
    return found


def _of_link(seen: Seen) -> N2Frame:
    frame = decode_n2_frame(seen.octets)
    if frame.kind is not N2Kind.CONTROL or frame.cp_ue_id:
        raise DecodeError("a message of the link itself with ids, or with NAS")
    return frame


def _control(seen: Seen, frame: N2Frame) -> Control:
    message = decode_link(frame.payload)
    if encode_link(message) != frame.payload:
        raise DecodeError(f"{type(message).__name__} is not encoded as it must be")
    return Control(seen, message)


def _cover_empty(controls: Sequence[Control], ledger: Ledger) -> None:
    for control in controls:
        if len(control.seen.octets) == N2_HEADER + 1:
            ledger.cover(control.seen.frame, control.seen.head + N2_HEADER, 1, "canonical encoding, and its request")


def read_n2(frames: UeFrames, ledger: Ledger) -> UeOnN2:
    """Read what N2 says of one UE: ids, kinds, control messages and their answers."""
    found = UeOnN2()
    decoded: list[tuple[Seen, N2Frame]] = []
    for seen in frames.n2:
        try:
            decoded.append((seen, decode_n2_frame(seen.octets)))
        except DecodeError as error:
            ledger.fault(seen.frame, f"N2: {error}")
    ids = Counter(int(frame.cp_ue_id) for _, frame in decoded if frame.cp_ue_id)
    found.cp_ue_id = ids.most_common(1)[0][0] if ids else 0
    first = True
    for seen, frame in decoded:
        initial = first and seen.uplink
        if (frame.kind is N2Kind.INITIAL_NAS) != initial:
            ledger.fault(seen.frame, "the first message of a UE on N2, and no other, is its initial one")
        first = first and not initial
        if frame.cp_ue_id != (0 if initial else found.cp_ue_id):
            ledger.fault(seen.frame, f"cpUeId {frame.cp_ue_id:08x} is not that of this UE")
        ledger.cover(seen.frame, seen.head, N2_HEADER, "ids that the UE's other messages have")
        if frame.kind is not N2Kind.CONTROL:
            found.nas.append(seen)
            continue
        try:
            found.control.append(_control(seen, frame))
        except DecodeError as error:
            ledger.fault(seen.frame, f"N2: {error}")
    _cover_empty(found.control, ledger)
    check_exchanges(found.control, ledger)
    return found


def check_context(
    n2: UeOnN2, capability: SecurityCapability | None, k_gnbs: Sequence[KGnb], used: KGnb | None, ledger: Ledger
) -> None:
    """Hold what the CP has told the RAN of a UE's security against what NAS says: K_gNB, and the capability."""
    for control in n2.control:
        message = control.message
        if not isinstance(message, InitialContextSetupRequest):
            continue
        seen, key = control.seen, message.k_gnb.octets
        if seen.captured.redacted:
            if any(key):
                ledger.fault(seen.frame, "a key that is redacted, and yet is not zeros")
        elif not any(_same(message.k_gnb, k_gnb) for k_gnb in ([used] if used is not None else k_gnbs)):
            ledger.fault(seen.frame, "K_gNB on N2 is not the one that UE and CP have derived")
        if capability is not None and message.capability != capability:
            ledger.fault(seen.frame, "N2 names another security capability than the attach request")
        ledger.cover(seen.frame, seen.head + N2_HEADER, len(seen.octets) - N2_HEADER, "NAS, and the keys")


def _same(one: Secret, other: Secret) -> bool:
    return one.octets == other.octets


def tunnel_ends(n2: UeOnN2) -> tuple[list[tuple[int, TunnelEnd]], list[tuple[int, TunnelEnd]]]:
    """Where the UP and the RAN receive the UE's packets, as N2 says: frame and end."""
    up = [
        (control.seen.frame, control.message.uplink)
        for control in n2.control
        if isinstance(control.message, SessionResourceSetupRequest)
    ]
    down = [
        (control.seen.frame, control.message.downlink)
        for control in n2.control
        if isinstance(control.message, SessionResourceSetupResponse)
    ]
    return up, down
