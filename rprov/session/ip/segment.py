"""TCP segments in IPv4 packets: octets to values and back (RFC 9293 3.1). Knows no connection.

Sequence numbers on the wire are 32 bits. Inside they are numbers that never wrap; `unwrap` finds the one that is meant.
"""

from struct import Struct
from typing import Final, NamedTuple

from rprov.errors import DecodeError
from rprov.session.ip.packet import HEADER_OCTETS, IpProtocol

TCP_HEADER_OCTETS = 20
HEADERS_OCTETS = HEADER_OCTETS + TCP_HEADER_OCTETS
DEFAULT_MSS = 536  # RFC 9293 3.7.1, where the other side names none
MAX_SCALE = 14  # RFC 7323 2.3
_BOTH = Struct(">HHHHHH4s4sHHIIHHHH")  # IPv4 header, TCP header
_READ = Struct(">BxH2xHxB2x4s4sHHIIHH4x")
_MORE_OR_OFFSET = 0xBFFF
_WORD = 0xFFFFFFFF


class Flag:
    """Control bits, as plain numbers: the operators of an IntFlag would cost more than the rest of a segment."""

    FIN: Final = 0x01
    SYN: Final = 0x02
    RST: Final = 0x04
    PSH: Final = 0x08
    ACK: Final = 0x10


class Segment(NamedTuple):
    """A segment with its addresses (4 octets each); `sequence` and `acknowledgment` as on the wire."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: bytes

    @property
    def length(self) -> int:
        """How many sequence numbers the segment takes."""
        return len(self.payload) + (self.flags & Flag.FIN) + (self.flags >> 1 & 1)


class SynOptions(NamedTuple):
    """What the options of a SYN say: the largest segment, and the window's shift (None: no scaling)."""

    mss: int
    scale: int | None


def unwrap(sequence: int, near: int) -> int:
    """Give the unwrapped number that `sequence` stands for: the one within 2**31 of `near`."""
    return near + ((sequence - near + 0x80000000) & _WORD) - 0x80000000


def decode_segment(packet: bytes) -> Segment:
    """Read a packet; raises `DecodeError`. The IPv4 header must be 20 octets, both checksums right."""
    if len(packet) < HEADERS_OCTETS:
        raise DecodeError("a TCP segment is shorter than its headers")
    (
        version,
        size,
        fragment,
        protocol,
        source,
        destination,
        source_port,
        destination_port,
        sequence,
        acknowledgment,
        bits,
        window,
    ) = _READ.unpack_from(packet)
    if version != 0x45 or protocol != IpProtocol.TCP or size != len(packet):
        raise DecodeError("not one TCP segment in one IPv4 packet")
    if fragment & _MORE_OR_OFFSET:
        raise DecodeError("a fragment")
    # the addresses of the pseudo header stand right before the segment
    total = _sum(packet[12:]) + IpProtocol.TCP + size - HEADER_OCTETS
    if total % 65535 or int.from_bytes(packet[:HEADER_OCTETS]) % 65535:
        raise DecodeError("a TCP segment with a wrong checksum")
    begin = HEADER_OCTETS + (bits >> 12) * 4
    if not HEADERS_OCTETS <= begin <= size:
        raise DecodeError("a TCP header that does not fit its segment")
    return Segment(
        source,
        destination,
        source_port,
        destination_port,
        sequence,
        acknowledgment,
        bits & 0x3F,
        window,
        packet[HEADERS_OCTETS:begin],
        packet[begin:],
    )


def _sum(octets: bytes) -> int:
    """Give the sum of all words modulo 65535; of an odd number of octets the last one is a word's high half."""
    total = int.from_bytes(octets) % 65535
    return total << 8 if len(octets) & 1 else total


def encode_syn_options(mss: int, scale: int | None) -> bytes:
    """Give the options of a SYN, a multiple of 4 octets."""
    options = b"\x02\x04" + mss.to_bytes(2)
    return options if scale is None else options + bytes((3, 3, scale, 1))


def decode_syn_options(options: bytes) -> SynOptions:
    """Read the options of a SYN; what is unknown or broken is passed over, as RFC 9293 3.1 has it."""
    mss, scale = DEFAULT_MSS, None
    offset = 0
    while offset < len(options) and options[offset] != 0:
        kind = options[offset]
        if kind == 1:
            offset += 1
            continue
        size = options[offset + 1] if offset + 1 < len(options) else 0
        value = options[offset + 2 : offset + size]
        if size < 2 or len(value) != size - 2:
            break
        if kind == 2 and size == 4:
            mss = int.from_bytes(value)
        elif kind == 3 and size == 3:
            scale = min(value[0], MAX_SCALE)
        offset += size
    return SynOptions(mss, scale)


class SegmentWriter:
    """Writes the packets of one connection; all sums that never change are made once.

    A checksum is a remainder modulo 65535 (see `packet.checksum`), so the fields are added as plain numbers.
    """

    __slots__ = ("_destination", "_ip_sum", "_ports", "_source", "_tcp_sum")

    def __init__(self, source: bytes, source_port: int, destination: bytes, destination_port: int) -> None:
        self._source = source
        self._destination = destination
        self._ports = (source_port, destination_port)
        addresses = int.from_bytes(source + destination)
        self._ip_sum = 0x4500 + 0x4000 + 0x4006 + addresses
        self._tcp_sum = IpProtocol.TCP + addresses + source_port + destination_port

    def write(
        self, sequence: int, acknowledgment: int, flags: int, window: int, payload: bytes = b"", options: bytes = b""
    ) -> bytes:
        """Give a whole IPv4 packet; numbers may be unwrapped, `options` is a multiple of 4 octets."""
        sequence &= _WORD
        acknowledgment &= _WORD
        body = options + payload
        length = TCP_HEADER_OCTETS + len(body)
        bits = (5 + len(options) // 4) << 12 | flags
        tcp_checksum = -(self._tcp_sum + length + sequence + acknowledgment + bits + window + _sum(body)) % 65535
        total = HEADER_OCTETS + length
        header = _BOTH.pack(
            0x4500,
            total,
            0,
            0x4000,
            0x4006,
            -(self._ip_sum + total) % 65535,
            self._source,
            self._destination,
            *self._ports,
            sequence,
            acknowledgment,
            bits,
            window,
            tcp_checksum,
            0,
        )
        return header + body


def encode_reset(to: Segment) -> bytes:
    """Give the RST that answers a segment for which there is no connection (RFC 9293 3.10.7.1)."""
    writer = SegmentWriter(to.destination, to.destination_port, to.source, to.source_port)
    if to.flags & Flag.ACK:
        return writer.write(to.acknowledgment, 0, Flag.RST, 0)
    return writer.write(0, to.sequence + to.length, Flag.RST | Flag.ACK, 0)
