"""Messages out of a capture: ours, and what others have captured of our ports and of RADIUS, GTP-U and NGAP.

    for seen in read_capture(path): seen.link, seen.octets

`octets` are those of the message: the payload of a control link's frame, of a UDP datagram, of an SCTP message. Knows
where messages stand, not what they say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rprov.errors import DecodeError
from rprov.model.numbers import Port, Ppid
from rprov.model.tap import End, LinkName
from rprov.session.ip.packet import IpProtocol, decode_ipv4, decode_udp
from rprov.trace.network_layers import SCTP, TCP, UDP, Transported, data_chunks, transported
from rprov.trace.pcapng_read import CaptureHeads, RawPacket, read_packets
from rprov.trace.reassembly import Piece, SctpMessages, TcpStreams
from rprov.trace.tap import DISSECTORS, LINK_TYPES, REDACTED
from rprov.trace.tracing import RUN
from rprov.trace.upper_pdu import decode_upper_pdu

NGAP = "ngap"
"""The link of messages of NGAP, which we do not speak, in captures of other cores."""

_NGAP_PPID = 60
_RADIUS_PORTS = frozenset({1812, 1813, 1645})
_WITH_UE_FIRST = frozenset({LinkName.RADIO, LinkName.N2, LinkName.RADIO_USER})
_LINK_OF_PPID = {int(Ppid.RADIO): str(LinkName.RADIO), int(Ppid.N2): str(LinkName.N2), _NGAP_PPID: NGAP}


@dataclass(frozen=True, slots=True)
class Captured:
    """One message of a capture."""

    frame: int
    """Number of the packet in the file, from 1; of a message in pieces, the one that completed it."""
    at: float
    """Seconds since 1970."""
    link: str
    """A `LinkName`, or `NGAP`."""
    sender: End
    receiver: End
    inbound: bool | None
    """As the recording node saw it, where it was one of ours."""
    ue: int | None
    """What the link calls the UE: ueRadioId, ranUeId; None where the link itself does not say."""
    octets: bytes
    redacted: bool = False
    """Whether a key in it was made zeros."""
    stream: int | None = None
    ppid: int | None = None
    fault: str = ""
    """What is wrong with the headers around it, where the record is one of ours; `octets` are the whole record then."""


class Capture:
    """A capture file. What it says beside its messages is known once they have been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heads = CaptureHeads()

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs of its sections, where they are ours: 16 hexadecimal digits, as in key logs."""
        return tuple(text.removeprefix(RUN) for text in self._heads.comments if text.startswith(RUN))

    @property
    def key_lines(self) -> tuple[str, ...]:
        """Keys that stand in the file itself, as lines of a key log."""
        return tuple(self._heads.key_lines)

    def packets(self) -> Iterator[RawPacket]:
        """Give every packet as it is; raises `DecodeError`, and `OSError` where there is no such file."""
        self._heads.comments.clear()
        self._heads.key_lines.clear()
        yield from read_packets(self._path, self._heads)

    def messages(self) -> Iterator[Captured]:
        """Give every message, in the order of the file; raises like `packets`. Other traffic is passed over."""
        streams, associations = TcpStreams(), SctpMessages()
        for packet in self.packets():
            link = _own_link(packet)
            if link is not None:
                yield _own(packet, link)
            elif (found := transported(packet.interface.link_type, packet.octets)) is not None:
                yield from _foreign(packet, found, streams, associations)


def read_capture(path: Path) -> Iterator[Captured]:
    """Give every message of a capture; raises `DecodeError`, and `OSError` where there is no such file."""
    return Capture(path).messages()


# --- our own records --------------------------------------------------------------------------------------------------


def _own_link(packet: RawPacket) -> LinkName | None:
    """Say whether an interface is one of ours, by its name and what its records are."""
    try:
        link = LinkName(packet.interface.name)
    except ValueError:
        return None
    return link if LINK_TYPES[link] == packet.interface.link_type else None


def _own(packet: RawPacket, link: LinkName) -> Captured:
    try:
        return _upper(packet, link) if link in DISSECTORS else _raw_ip(packet, link)
    except DecodeError as error:
        nowhere = ("", 0)
        return Captured(
            packet.frame,
            packet.at / 1e9,
            link,
            nowhere,
            nowhere,
            packet.inbound,
            None,
            packet.octets,
            fault=str(error),
        )


def _upper(packet: RawPacket, link: LinkName) -> Captured:
    record = decode_upper_pdu(packet.octets)
    if record.dissector != DISSECTORS[link]:
        raise DecodeError(f"a record of {link} for the dissector {record.dissector!r}")
    if record.ue and link is not LinkName.EAP:
        raise DecodeError("a record with the id of a UE where the message itself has it")
    if record.encode() != packet.octets:
        raise DecodeError("a record whose tags are not written as we write them")
    return Captured(
        packet.frame,
        packet.at / 1e9,
        link,
        record.source,
        record.destination,
        packet.inbound,
        record.ue if link is LinkName.EAP else _ue(link, record.octets),
        record.octets,
        REDACTED in packet.comments,
        record.stream,
        record.ppid,
    )


def _raw_ip(packet: RawPacket, link: LinkName) -> Captured:
    found = transported(packet.interface.link_type, packet.octets)
    if packet.octets[:1] == b"\x45":
        checked = decode_ipv4(packet.octets)
        if checked.protocol == IpProtocol.UDP:
            decode_udp(checked)
    if found is None or found.protocol not in (UDP, TCP):
        raise DecodeError("a record that is no IP packet with UDP or TCP")
    return Captured(
        packet.frame,
        packet.at / 1e9,
        link,
        found.source,
        found.destination,
        packet.inbound,
        _ue(link, found.payload),
        found.payload,
        REDACTED in packet.comments,
    )


def _ue(link: str, octets: bytes) -> int | None:
    if link not in _WITH_UE_FIRST or len(octets) < 4:
        return None
    return int.from_bytes(octets[:4]) or None


# --- captures of others -----------------------------------------------------------------------------------------------


def _foreign(
    packet: RawPacket, found: Transported, streams: TcpStreams, associations: SctpMessages
) -> Iterator[Captured]:
    if found.protocol == TCP:
        for piece in streams.feed(found):
            if piece.ppid != Ppid.HEARTBEAT:  # no message
                yield _piece(packet, found, piece)
    elif found.protocol == SCTP:
        yield from _sctp(packet, found, found.payload, associations)
    elif Port.SCTP_ENCAPSULATION in (found.source[1], found.destination[1]) and len(found.payload) > 12:
        ports = int.from_bytes(found.payload[:2]), int.from_bytes(found.payload[2:4])
        inner = found._replace(source=(found.source[0], ports[0]), destination=(found.destination[0], ports[1]))
        yield from _sctp(packet, inner, found.payload, associations)
    elif (link := _link_of_ports(found)) is not None:
        yield Captured(
            packet.frame,
            packet.at / 1e9,
            link,
            found.source,
            found.destination,
            packet.inbound,
            _ue(link, found.payload),
            found.payload,
        )


def _link_of_ports(found: Transported) -> str | None:
    ports = {found.source[1], found.destination[1]}
    if Port.GTPU in ports:
        return LinkName.N3
    if Port.RADIO_USER in ports:
        return LinkName.RADIO_USER
    return LinkName.AAA if ports & _RADIUS_PORTS else None


def _sctp(packet: RawPacket, found: Transported, octets: bytes, associations: SctpMessages) -> Iterator[Captured]:
    for chunk in data_chunks(octets):
        if chunk.ppid in _LINK_OF_PPID and (piece := associations.feed((found.source, found.destination), chunk)):
            yield _piece(packet, found, piece)


def _piece(packet: RawPacket, found: Transported, piece: Piece) -> Captured:
    link = _LINK_OF_PPID.get(piece.ppid, "")
    return Captured(
        packet.frame,
        packet.at / 1e9,
        link,
        found.source,
        found.destination,
        packet.inbound,
        _ue(link, piece.octets),
        piece.octets,
        stream=piece.stream,
        ppid=piece.ppid,
    )
