"""The way of a user packet through UE, RAN and UP: octets in, octets out. Knows no socket and no key.

    UE    IP packet  -> PDCP PDU -> radio datagram          UePlane
    RAN   radio datagram -> PDCP -> IP packet -> G-PDU      RanPlane
    UP    G-PDU -> filter -> N6                             UpPlane      and back the same way

Nothing is done per packet but the work; what a peer does wrong is counted by reason and never raised.
"""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from rprov.errors import DecodeError, MacMismatch, Misuse, Replayed, RprovError
from rprov.model.identifiers import Teid, UeRadioId
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.session.restriction import FORWARD, Answer, SessionFilter
from rprov.wire.gtpu import (
    EchoRequest,
    EchoResponse,
    EndMarker,
    ErrorIndication,
    Gpdu,
    PduType,
    decode_gtpu,
    encode_gpdu,
    encode_gtpu,
    read_gpdu,
)
from rprov.wire.radio_user import split_user_datagram, user_header

Peer = tuple[str, int]
"""Address and port of a datagram, as a socket has them."""

DEFAULT_QFI = 9
_HELD_PACKETS = 8


class Pdcp(Protocol):
    """One end of a bearer (TS 38.323): what is wrong with a PDU is a `PeerError`."""

    def protect(self, data: bytes) -> bytes:
        """Give the PDU for `data`."""

    def unprotect(self, pdu: bytes) -> bytes:
        """Give the data of a PDU."""


class ToRadio(NamedTuple):
    """A datagram for a UE."""

    octets: bytes
    to: Peer


class ToN3(NamedTuple):
    """A GTP-U message for the other end of N3."""

    octets: bytes
    to: Peer


class ToN6(NamedTuple):
    """An IP packet of a session that leaves the UP."""

    packet: bytes
    uplink_teid: Teid


def _peer(address: UserPlaneAddress | TunnelEnd) -> Peer:
    return str(address.address), address.port


def _reason(error: RprovError) -> str:
    match error:
        case MacMismatch():
            return "macMismatch"
        case Replayed():
            return "replayed"
        case DecodeError():
            return "malformed"
        case _:
            return "pdcpFailure"  # our own end: the COUNT is used up, say


class UePlane:
    """The UE's end of one bearer."""

    __slots__ = ("_header", "_pdcp", "dropped")

    def __init__(self, ue_radio_id: UeRadioId, bearer: int, pdcp: Pdcp) -> None:
        self.dropped: Counter[str] = Counter()
        self._header = user_header(ue_radio_id, bearer)
        self._pdcp = pdcp

    def to_radio(self, packet: bytes) -> bytes | None:
        """Give the datagram for an IP packet."""
        try:
            return self._header + self._pdcp.protect(packet)
        except RprovError as error:
            self.dropped[_reason(error)] += 1
            return None

    def from_radio(self, datagram: bytes) -> bytes | None:
        """Give the IP packet of a datagram."""
        try:
            header, pdu = split_user_datagram(datagram)
            if header != self._header:
                self.dropped["unknownBearer"] += 1
                return None
            return self._pdcp.unprotect(pdu)
        except RprovError as error:
            self.dropped[_reason(error)] += 1
            return None


class _N3:
    """What both ends of N3 do with messages that carry no user packet."""

    __slots__ = ("_address", "dropped")

    def __init__(self, address: IPv4Address) -> None:
        self.dropped: Counter[str] = Counter()
        self._address = address

    def control(self, packet: bytes, source: Peer) -> ToN3 | None:
        try:
            message = decode_gtpu(packet)
        except DecodeError:
            self.dropped["malformed"] += 1
            return None
        match message:
            case EchoRequest(sequence):
                return ToN3(encode_gtpu(EchoResponse(sequence)), source)
            case ErrorIndication():
                # Only counted: it is not authenticated, so it must not end a session. The CP ends sessions.
                self.dropped["errorIndication"] += 1
            case EchoResponse() | EndMarker():
                pass  # nobody asked; no path is switched
            case Gpdu():
                raise Misuse("a user packet is no control message")
        return None

    def unknown(self, teid: int, source: Peer) -> ToN3:
        """Answer a user packet for an unknown TEID (TS 29.281 7.3.1).

        The answer goes to the port that it came from, not to 2152: nodes here may have any port.
        """
        self.dropped["unknownTeid"] += 1
        return ToN3(encode_gtpu(ErrorIndication(Teid(teid), self._address)), source)


@dataclass(slots=True)
class _Bearer:
    header: bytes
    pdcp: Pdcp
    uplink_teid: Teid
    up: Peer
    downlink_teid: Teid
    ue: Peer | None
    qfi: int


class RanPlane(_N3):
    """The RAN: bearers on one side, tunnels on the other. `address` is its own on N3."""

    __slots__ = ("_bearers", "_tunnels")

    def __init__(self, address: IPv4Address) -> None:
        super().__init__(address)
        self._bearers: dict[bytes, _Bearer] = {}
        self._tunnels: dict[int, _Bearer] = {}

    def __len__(self) -> int:
        return len(self._bearers)

    def add(
        self,
        ue_radio_id: UeRadioId,
        bearer: int,
        pdcp: Pdcp,
        uplink: TunnelEnd,
        downlink_teid: Teid,
        ue: UserPlaneAddress | None = None,
        qfi: int = DEFAULT_QFI,
    ) -> None:
        """Join a bearer and a tunnel. Where the UE receives may come later, by `connect` or its first packet."""
        header = user_header(ue_radio_id, bearer)
        if header in self._bearers or downlink_teid in self._tunnels:
            raise Misuse("this bearer or TEID is already in use")
        at = None if ue is None else _peer(ue)
        entry = _Bearer(header, pdcp, uplink.teid, _peer(uplink), downlink_teid, at, qfi)
        self._bearers[header] = self._tunnels[downlink_teid] = entry

    def knows(self, downlink_teid: Teid) -> bool:
        """Say whether the TEID is in use."""
        return downlink_teid in self._tunnels

    def connect(self, ue_radio_id: UeRadioId, bearer: int, ue: UserPlaneAddress) -> None:
        """Say where the UE receives; raises `Misuse` for an unknown bearer."""
        entry = self._bearers.get(user_header(ue_radio_id, bearer))
        if entry is None:
            raise Misuse("there is no such bearer")
        entry.ue = _peer(ue)

    def remove(self, ue_radio_id: UeRadioId, bearer: int) -> None:
        """Forget a bearer and its tunnel, if there is one."""
        entry = self._bearers.pop(user_header(ue_radio_id, bearer), None)
        if entry is not None:
            del self._tunnels[entry.downlink_teid]

    def from_radio(self, datagram: bytes, source: Peer) -> ToN3 | None:
        """Take a datagram of a UE."""
        try:
            header, pdu = split_user_datagram(datagram)
            entry = self._bearers.get(header)
            if entry is None:
                self.dropped["unknownBearer"] += 1
                return None
            if entry.ue is not None and entry.ue != source:
                self.dropped["wrongRadioPeer"] += 1
                return None
            packet = entry.pdcp.unprotect(pdu)
            entry.ue = source  # it has just proved to be the UE; its packets may overtake its signalling
            return ToN3(encode_gpdu(entry.uplink_teid, PduType.UPLINK, entry.qfi, packet), entry.up)
        except RprovError as error:
            self.dropped[_reason(error)] += 1
            return None

    def from_n3(self, packet: bytes, source: Peer) -> ToRadio | ToN3 | None:
        """Take a GTP-U message."""
        if packet[1:2] != b"\xff":
            return self.control(packet, source)
        try:
            teid, payload = read_gpdu(packet, PduType.DOWNLINK)
            entry = self._tunnels.get(teid)
            if entry is None:
                return self.unknown(teid, source)
            if entry.up[0] != source[0]:  # the port is free: TS 29.281 4.4.2 lets a sender take any
                self.dropped["wrongN3Peer"] += 1
                return None
            if entry.ue is None:
                self.dropped["ueNotPlaced"] += 1
                return None
            return ToRadio(entry.header + entry.pdcp.protect(payload), entry.ue)
        except RprovError as error:
            self.dropped[_reason(error)] += 1
            return None


@dataclass(slots=True)
class _Session:
    uplink_teid: Teid
    rules: SessionFilter
    qfi: int
    downlink_teid: Teid | None = None
    ran: Peer | None = None
    held: list[tuple[bytes, Peer]] = field(default_factory=list)


class UpPlane(_N3):
    """The UP: tunnels on one side, N6 on the other, a filter between. `address` is its own on N3."""

    __slots__ = ("_sessions",)

    def __init__(self, address: IPv4Address) -> None:
        super().__init__(address)
        self._sessions: dict[int, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add_session(
        self, uplink_teid: Teid, rules: SessionFilter, downlink: TunnelEnd | None = None, qfi: int = DEFAULT_QFI
    ) -> None:
        """Open a session. The RAN's end may come later, by `connect`; a few packets are held until then."""
        if uplink_teid in self._sessions:
            raise Misuse("this TEID is already in use")
        session = _Session(uplink_teid, rules, qfi)
        self._sessions[uplink_teid] = session
        if downlink is not None:
            session.downlink_teid, session.ran = downlink.teid, _peer(downlink)

    def connect(self, uplink_teid: Teid, downlink: TunnelEnd) -> list[tuple[bytes, Peer]]:
        """Say where the RAN receives; gives the G-PDUs that came too early, to be taken again by `from_n3`."""
        session = self._sessions.get(uplink_teid)
        if session is None:
            raise Misuse("there is no such session")
        session.downlink_teid, session.ran = downlink.teid, _peer(downlink)
        held, session.held = session.held, []
        return held

    def remove_session(self, uplink_teid: Teid) -> None:
        """Forget a session, if there is one; its packets find an unknown TEID from now on."""
        self._sessions.pop(uplink_teid, None)

    def from_n3(self, packet: bytes, source: Peer, now: float) -> ToN6 | ToN3 | None:
        """Take a GTP-U message."""
        if packet[1:2] != b"\xff":
            return self.control(packet, source)
        try:
            teid, payload = read_gpdu(packet, PduType.UPLINK)
        except DecodeError:
            self.dropped["malformed"] += 1
            return None
        session = self._sessions.get(teid)
        if session is None:
            return self.unknown(teid, source)
        if session.ran is None:
            self._hold(session, packet, source)
            return None
        if session.ran[0] != source[0]:
            self.dropped["wrongN3Peer"] += 1
            return None
        verdict = session.rules.uplink(payload, now)
        if verdict is FORWARD:
            return ToN6(payload, session.uplink_teid)
        if isinstance(verdict, Answer):
            return self._to_ran(session, verdict.packet)
        return None  # the filter has counted it

    def to_ue(self, uplink_teid: Teid, packet: bytes, now: float) -> ToN3 | None:
        """Take an IP packet for the UE of a session."""
        session = self._sessions.get(uplink_teid)
        if session is None:
            self.dropped["noSession"] += 1
            return None
        if session.rules.downlink(packet, now) is not FORWARD:
            return None
        return self._to_ran(session, packet)

    def _to_ran(self, session: _Session, packet: bytes) -> ToN3 | None:
        if session.ran is None or session.downlink_teid is None:
            self.dropped["ranNotKnown"] += 1
            return None
        return ToN3(encode_gpdu(session.downlink_teid, PduType.DOWNLINK, session.qfi, packet), session.ran)

    def _hold(self, session: _Session, packet: bytes, source: Peer) -> None:
        """Keep what comes before the CP has told us of the RAN: a SYN that is lost costs the UE a second."""
        if len(session.held) < _HELD_PACKETS:
            session.held.append((packet, source))
        else:
            self.dropped["ranNotKnown"] += 1
