"""What stands around a message in captures of others: link layer, IP, UDP, TCP and SCTP. Lenient: what is no such thing
gives nothing, for a capture may hold anything. Knows no message of ours.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from rprov.model.tap import End

TCP, UDP, SCTP = 6, 17, 132
SCTP_DATA = 0
SYN, FIN, RST = 0x02, 0x01, 0x04

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = frozenset({0x8100, 0x88A8})
_MOST_TAGS = 4
_IPV6_SKIPPED = frozenset({0, 43, 60})
"""Extension headers that only stand before what we look for: hop-by-hop, routing, destination options."""

_LOOPBACK_FAMILIES = frozenset({2, 24, 28, 30})  # AF_INET, and what various systems call AF_INET6
_FRAGMENT = 0x3FFF


class Transported(NamedTuple):
    """What IP carried from one end to the other."""

    protocol: int
    source: End
    destination: End
    payload: bytes
    sequence: int = 0
    """Of TCP, the number of the first octet of `payload`."""
    flags: int = 0
    """Of TCP."""


class DataChunk(NamedTuple):
    """A DATA chunk of SCTP (RFC 9260 3.3.1)."""

    tag: int
    tsn: int
    stream: int
    ppid: int
    first: bool
    last: bool
    octets: bytes


def transported(link_type: int, octets: bytes) -> Transported | None:
    """Find the UDP datagram, TCP segment or SCTP packet in a packet of a capture."""
    packet = _ip_of(link_type, octets)
    if not packet:
        return None
    found = _ipv4(packet) if packet[0] >> 4 == 4 else _ipv6(packet) if packet[0] >> 4 == 6 else None
    if found is None:
        return None
    protocol, source, destination, body = found
    if len(body) < 8:
        return None
    ends = (source, int.from_bytes(body[:2])), (destination, int.from_bytes(body[2:4]))
    if protocol == UDP:
        return Transported(UDP, *ends, body[8 : max(8, int.from_bytes(body[4:6]))])
    if protocol == TCP and len(body) >= 20:
        return Transported(TCP, *ends, body[(body[12] >> 4) * 4 :], int.from_bytes(body[4:8]), body[13])
    return Transported(SCTP, *ends, body) if protocol == SCTP else None


def data_chunks(packet: bytes) -> Iterator[DataChunk]:
    """Give the DATA chunks of an SCTP packet, as far as they make sense."""
    tag = int.from_bytes(packet[4:8])
    at = 12
    while at + 4 <= len(packet):
        length = int.from_bytes(packet[at + 2 : at + 4])
        if length < 4 or at + length > len(packet):
            return
        if packet[at] == SCTP_DATA and length > 16:
            head = packet[at : at + 16]
            yield DataChunk(
                tag,
                int.from_bytes(head[4:8]),
                int.from_bytes(head[8:10]),
                int.from_bytes(head[12:16]),
                bool(head[1] & 2),
                bool(head[1] & 1),
                packet[at + 16 : at + length],
            )
        at += length + -length % 4


def _ip_of(link_type: int, octets: bytes) -> bytes:
    match link_type:
        case 1:  # Ethernet
            return _typed(octets, 12)
        case 101 | 12 | 14 | 228 | 229:  # raw IP, as various systems number it
            return octets
        case 0 | 108 if len(octets) > 4:  # loopback of BSD, in the byte order of whoever wrote it
            family = {int.from_bytes(octets[:4], "little"), int.from_bytes(octets[:4])}
            return octets[4:] if family & _LOOPBACK_FAMILIES else b""
        case 113:  # "any" of Linux
            return _typed(octets, 14)
        case 276 if int.from_bytes(octets[:2]) in (_IPV4, _IPV6):  # the same, second version
            return octets[20:]
        case _:
            return b""


def _typed(octets: bytes, at: int) -> bytes:
    """Give what follows an EtherType, behind VLAN tags."""
    for _ in range(_MOST_TAGS):
        kind = int.from_bytes(octets[at : at + 2])
        if kind in (_IPV4, _IPV6):
            return octets[at + 2 :]
        if kind not in _VLANS:
            break
        at += 4
    return b""


def _ipv4(packet: bytes) -> tuple[int, str, str, bytes] | None:
    head, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
    if head < 20 or len(packet) < head or int.from_bytes(packet[6:8]) & _FRAGMENT:
        return None
    # A length of 0 is what segmentation offload leaves behind.
    body = packet[head:length] if length else packet[head:]
    return packet[9], str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20])), body


def _ipv6(packet: bytes) -> tuple[int, str, str, bytes] | None:
    if len(packet) < 40:
        return None
    kind, at = packet[6], 40
    end = 40 + int.from_bytes(packet[4:6])
    while kind in _IPV6_SKIPPED and at + 8 <= len(packet):
        kind, at = packet[at], at + 8 + packet[at + 1] * 8
    return kind, str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40])), packet[at:end]
