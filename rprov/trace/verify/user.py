"""Reads the user packets of one UE: PDCP on the radio, the tunnel on N3, and where packets of the session may go.

What the radio has carried is on N3, too, and the other way round: packets are opened and compared. `lossy` allows for
datagrams that got lost or overtook each other on their way, which nothing else can tell from those that were taken out.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK
from rprov.errors import DecodeError
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.security.pdcp import PdcpKeys
from rprov.session.ip.packet import IpProtocol, decode_ipv4
from rprov.trace.verify.align import Copy, align
from rprov.trace.verify.gather import Seen
from rprov.trace.verify.ledger import Ledger
from rprov.wire.gtpu import Gpdu, PduType, decode_gtpu
from rprov.wire.messages import PduSessionAccept
from rprov.wire.radio_user import HEADER_OCTETS, split_user_datagram

PDCP_HEADER, MAC = 3, 4
DNS_PORT = 53
WINDOW = 1 << 17


@dataclass(frozen=True, slots=True)
class Bearer:
    """One data radio bearer: its identity, its keys, and the addresses of its two ends."""

    number: int
    keys: PdcpKeys
    ran: UserPlaneAddress
    ue: UserPlaneAddress | None


@dataclass(slots=True)
class UserStory:
    """The user packets of one UE."""

    ledger: Ledger
    lossy: bool
    packets: dict[bool, list[Copy]] = field(default_factory=lambda: {True: [], False: []})
    """Opened, by direction: True for uplink."""
    tunnelled: dict[bool, list[Copy]] = field(default_factory=lambda: {True: [], False: []})
    opened: int = 0
    _next: dict[tuple[int, bool], int] = field(default_factory=dict)

    # --- radio --------------------------------------------------------------------------------------------------------

    def radio(self, seen: Seen, bearers: Sequence[Bearer]) -> None:
        """Read a datagram of the radio."""
        try:
            header, pdu = split_user_datagram(seen.octets)
            bearer = _bearer(bearers, header[-1])
            uplink = self._uplink(seen, bearer)
            self._pdcp(seen, pdu, bearer, uplink)
        except DecodeError as error:
            self.ledger.fault(seen.frame, f"radio: {error}")

    @staticmethod
    def _uplink(seen: Seen, bearer: Bearer) -> bool:
        ran = str(bearer.ran.address), bearer.ran.port
        ue = None if bearer.ue is None else (str(bearer.ue.address), bearer.ue.port)
        ends = seen.captured.sender, seen.captured.receiver
        if ends[1] == ran and ends[0] == (ue or ends[0]):
            return True
        if ends[0] == ran and ends[1] == (ue or ends[1]):
            return False
        raise DecodeError("a user packet between other addresses than those of its bearer")

    def _pdcp(self, seen: Seen, pdu: bytes, bearer: Bearer, uplink: bool) -> None:
        if len(pdu) <= PDCP_HEADER + MAC or bearer.keys.integrity is None or bearer.keys.ciphering is None:
            raise DecodeError("a PDU of PDCP is shorter than its header and MAC-I")
        number = int.from_bytes(pdu[:PDCP_HEADER]) ^ 0x800000
        if number > 0x3FFFF:
            raise DecodeError("a PDU of PDCP is no data PDU, or has reserved bits set")
        count = self._count(seen, (bearer.number, uplink), number)
        direction = UPLINK if uplink else DOWNLINK
        body = bearer.keys.ciphering.apply(count, bearer.number - 1, direction, pdu[PDCP_HEADER:])
        packet = body[:-MAC]
        expected = bearer.keys.integrity.mac(count, bearer.number - 1, direction, pdu[:PDCP_HEADER] + packet)
        if not hmac.compare_digest(expected, body[-MAC:]):
            raise DecodeError("the MAC-I of a user packet is wrong")
        self.opened += 1
        self.ledger.cover(seen.frame, 0, seen.head, "checksums, and the addresses of the bearer")
        self.ledger.cover(seen.frame, seen.head, HEADER_OCTETS, "ids of UE and bearer, and the UDP checksum")
        self.ledger.cover(seen.frame, seen.head + HEADER_OCTETS, len(pdu), "PDCP MAC-I")
        self.packets[uplink].append(Copy(seen.frame, seen.head + HEADER_OCTETS + PDCP_HEADER, packet))

    def _count(self, seen: Seen, key: tuple[int, bool], number: int) -> int:
        due = self._next.get(key, 0)
        count = due + ((number - due + WINDOW) & 0x3FFFF) - WINDOW
        if count != due and not self.lossy:
            self.ledger.fault(
                seen.frame,
                f"the user packet number {number}, where {due & 0x3FFFF} is due: one is missing, comes twice or is not "
                "in its place (--lossy, if the network may have done that)",
            )
        self._next[key] = max(due, count + 1)
        return max(count, 0)

    # --- N3 -----------------------------------------------------------------------------------------------------------

    def n3(self, seen: Seen, up: Sequence[TunnelEnd], down: Sequence[TunnelEnd]) -> bool:
        """Read a message of N3; says whether it is of this UE's tunnels."""
        try:
            message = decode_gtpu(seen.octets)
        except DecodeError:
            return False
        if not isinstance(message, Gpdu):
            return False
        receiver = seen.captured.receiver
        for uplink, ends, kind in ((True, up, PduType.UPLINK), (False, down, PduType.DOWNLINK)):
            if message.pdu_type is kind and any(
                (str(end.address), end.port, end.teid) == (*receiver, message.teid) for end in ends
            ):
                offset = seen.head + len(seen.octets) - len(message.payload)
                self.tunnelled[uplink].append(Copy(seen.frame, offset, message.payload))
                self.ledger.cover(seen.frame, 0, seen.head, "checksums, and the ends of the tunnel")
                self.ledger.cover(seen.frame, seen.head, len(seen.octets), "UDP checksum, and the radio")
                return True
        return False

    # --- both ---------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Hold the radio against N3, where both were recorded."""
        for uplink in (True, False):
            radio, n3 = self.packets[uplink], self.tunnelled[uplink]
            if not radio or not n3 or self.lossy:
                continue
            for pair in align(radio, n3):
                if pair.one is not None and pair.other is not None:
                    first, later = sorted((pair.one.frame, pair.other.frame))
                    if pair.one.octets != pair.other.octets:
                        self.ledger.fault(later, "a user packet that is not the same on the radio and on N3")
                    elif (pair.one.frame > pair.other.frame) is uplink:
                        self.ledger.loose(first, "a user packet that was passed on before it came")
                elif pair.one is not None:
                    self.ledger.loose(pair.one.frame, "a user packet of the radio that N3 does not carry")
                elif pair.other is not None:
                    self.ledger.loose(pair.other.frame, "a user packet of N3 that the radio does not carry")

    def begins_after(self, accepted: int) -> None:
        """Hold the first packet against the frame in which the session was accepted for the UE."""
        frames = [
            copy.frame for side in (self.packets, self.tunnelled) for copies in side.values() for copy in copies[:1]
        ]
        if frames and min(frames) < accepted:
            self.ledger.loose(min(frames), "a user packet before there is a session")

    def restricted(self, session: PduSessionAccept) -> int:
        """Hold every packet against where a session for provisioning may go; says how many were looked at."""
        servers = {(address, server.port) for server in session.provisioning_servers for address in server.addresses}
        looked = 0
        for uplink in (True, False):
            for copy in [*self.packets[uplink], *self.tunnelled[uplink]]:
                looked += 1
                wrong = _elsewhere(copy.octets, session, servers, uplink)
                if wrong:
                    self.ledger.fault(copy.frame, wrong)
        return looked


def _bearer(bearers: Sequence[Bearer], number: int) -> Bearer:
    for bearer in bearers:
        if bearer.number == number:
            return bearer
    raise DecodeError(f"a user packet on bearer {number}, which was not set up")


def _elsewhere(octets: bytes, session: PduSessionAccept, servers: set[tuple[IPv4Address, int]], uplink: bool) -> str:
    """Say in words what is wrong with where a packet goes or comes from; empty when nothing is."""
    try:
        packet = decode_ipv4(octets)
    except DecodeError as error:
        return f"a user packet that is no IP packet: {error}"
    source, destination = IPv4Address(bytes(packet.source)), IPv4Address(bytes(packet.destination))
    own, other = (source, destination) if uplink else (destination, source)
    if own != session.address:
        return f"a packet of the session with the address {own}, which is {session.address}"
    ports = int.from_bytes(packet.payload[:2]), int.from_bytes(packet.payload[2:4])
    port = ports[1] if uplink else ports[0]
    if packet.protocol == IpProtocol.TCP and (other, port) in servers:
        return ""
    if packet.protocol == IpProtocol.UDP and other == session.dns and port == DNS_PORT:
        return ""
    if packet.protocol == IpProtocol.ICMP and not uplink and other == session.dns:
        return ""  # the UP says what does not pass
    return f"a packet of a session for provisioning with {other} port {port}, which is no provisioning server of it"
