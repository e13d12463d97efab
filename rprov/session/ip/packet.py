"""IPv4 and UDP packets: octets to values and back (RFC 791, RFC 768). Knows no session and no TCP.

Addresses inside packets are 4 octets as they stand there; `IPv4Address` is for whoever talks to people.
Options and fragments are refused: no host of a PDU session here sends them, and both hide ports from a filter.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from rprov.errors import DecodeError

HEADER_OCTETS = 20
DEFAULT_MTU = 1400
_HEADER = Struct(">BBHHHBBH4s4s")
_UDP = Struct(">HHHH")
_UDP_OCTETS = 8
_TTL = 64
_DO_NOT_FRAGMENT = 0x4000
_MORE_OR_OFFSET = 0xBFFF  # everything in octets 6-7 but "do not fragment": reserved bit, more fragments, offset


class IpProtocol(IntEnum):
    """Protocol numbers of the IPv4 header."""

    ICMP = 1
    TCP = 6
    UDP = 17


class Ipv4(NamedTuple):
    """An IPv4 packet without options, whole."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes


class Udp(NamedTuple):
    """A UDP datagram."""

    source_port: int
    destination_port: int
    payload: bytes


def checksum(octets: bytes) -> int:
    """The internet checksum (RFC 1071): 2**16 is 1 modulo 65535, so one big remainder adds all the words."""
    total = int.from_bytes(octets)
    return -(total << 8 if len(octets) & 1 else total) % 65535


def encode_ipv4(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    """Put an IPv4 header before `payload`; not to be fragmented, so its identification may be 0 (RFC 6864 4.1)."""
    fields = (0x45, 0, HEADER_OCTETS + len(payload), 0, _DO_NOT_FRAGMENT, _TTL, protocol)
    bare = _HEADER.pack(*fields, 0, source, destination)
    return _HEADER.pack(*fields, checksum(bare), source, destination) + payload


def decode_ipv4(packet: bytes) -> Ipv4:
    """Read a packet; raises `DecodeError` for anything but one whole IPv4 packet with a right header checksum."""
    if len(packet) < HEADER_OCTETS:
        raise DecodeError("an IPv4 packet is shorter than its header")
    version, _, length, _, fragment, _, protocol, _, source, destination = _HEADER.unpack_from(packet)
    if version != 0x45:
        raise DecodeError("not IPv4 with a header of 20 octets")
    if length != len(packet):
        raise DecodeError("the length of an IPv4 packet is wrong")
    if fragment & _MORE_OR_OFFSET:
        raise DecodeError("a fragment")
    if int.from_bytes(packet[:HEADER_OCTETS]) % 65535:
        raise DecodeError("an IPv4 header with a wrong checksum")
    return Ipv4(source, destination, protocol, packet[HEADER_OCTETS:])


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    return source + destination + IpProtocol.UDP.to_bytes(2) + length.to_bytes(2)


def encode_udp(source: bytes, source_port: int, destination: bytes, destination_port: int, payload: bytes) -> bytes:
    """Give a whole IPv4 packet with one UDP datagram."""
    length = _UDP_OCTETS + len(payload)
    bare = _UDP.pack(source_port, destination_port, length, 0) + payload
    # RFC 768: a checksum of 0 is sent as all ones, because 0 means that there is none
    value = checksum(_pseudo_header(source, destination, length) + bare) or 0xFFFF
    header = _UDP.pack(source_port, destination_port, length, value)
    return encode_ipv4(source, destination, IpProtocol.UDP, header + payload)


def decode_udp(packet: Ipv4) -> Udp:
    """Read the UDP datagram of a packet; raises `DecodeError`. A datagram without checksum is refused too."""
    body = packet.payload
    if packet.protocol != IpProtocol.UDP or len(body) < _UDP_OCTETS:
        raise DecodeError("not a UDP datagram")
    source_port, destination_port, length, value = _UDP.unpack_from(body)
    if length != len(body):
        raise DecodeError("the length of a UDP datagram is wrong")
    if not value or checksum(_pseudo_header(packet.source, packet.destination, length) + body):
        raise DecodeError("a UDP datagram with a wrong checksum")
    return Udp(source_port, destination_port, body[_UDP_OCTETS:])
