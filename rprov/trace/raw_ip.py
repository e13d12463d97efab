"""IP packets made for a record, around a datagram or a piece of a byte stream that a node saw without its headers.

Addresses, ports, lengths, checksums and sequence numbers are right; what the node could not see (time to live, options,
acknowledgements) is what a plain host would write.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

from rprov.model.tap import End
from rprov.session.ip.packet import IpProtocol, checksum, encode_ipv4

LINK_TYPE = 101
"""LINKTYPE_RAW: a packet that begins with its IP header, of either version."""

LARGEST_SEGMENT = 60_000
"""Octets of a stream in one packet; longer pieces are cut."""

_UDP = Struct(">HHHH")
_TCP = Struct(">HHIIBBHHH")
_IPV6 = Struct(">IHBB16s16s")
_HOPS = 64
_ACK_PUSH = 0x18
_WINDOW = 65535

Address = IPv4Address | IPv6Address


def udp_packet(source: End, destination: End, payload: bytes) -> bytes:
    """Put UDP and IP before a datagram's payload."""
    head = (source[1], destination[1], len(payload) + _UDP.size)
    sender, receiver = _addresses(source, destination)
    bare = _UDP.pack(*head, 0) + payload
    # RFC 768: a checksum that comes out as zero is written as its other form.
    total = checksum(_pseudo(sender, receiver, IpProtocol.UDP, bare)) or 0xFFFF
    return _ip(sender, receiver, IpProtocol.UDP, _UDP.pack(*head, total) + payload)


def tcp_packet(source: End, destination: End, sequence: int, acknowledged: int, payload: bytes) -> bytes:
    """Put TCP and IP before a piece of a stream; both numbers count from 0 at the first octet."""
    # A stream begins after its SYN, so that its first octet has number 1.
    numbers = ((sequence + 1) & 0xFFFFFFFF, (acknowledged + 1) & 0xFFFFFFFF)
    head = (source[1], destination[1], *numbers, (_TCP.size // 4) << 4, _ACK_PUSH, _WINDOW)
    sender, receiver = _addresses(source, destination)
    bare = _TCP.pack(*head, 0, 0) + payload
    total = checksum(_pseudo(sender, receiver, IpProtocol.TCP, bare))
    return _ip(sender, receiver, IpProtocol.TCP, _TCP.pack(*head, total, 0) + payload)


@lru_cache(maxsize=4096)
def _address(host: str) -> Address:
    return ip_address(host.partition("%")[0])


def _addresses(source: End, destination: End) -> tuple[Address, Address]:
    sender, receiver = _address(source[0]), _address(destination[0])
    if sender.version != receiver.version:  # a socket for both versions, bound to none
        sender, receiver = _as_ipv6(sender), _as_ipv6(receiver)
    return sender, receiver


def _as_ipv6(address: Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _pseudo(sender: Address, receiver: Address, protocol: IpProtocol, segment: bytes) -> bytes:
    if sender.version == 4:
        return sender.packed + receiver.packed + protocol.to_bytes(2) + len(segment).to_bytes(2) + segment
    return sender.packed + receiver.packed + len(segment).to_bytes(4) + protocol.to_bytes(4) + segment


def _ip(sender: Address, receiver: Address, protocol: IpProtocol, segment: bytes) -> bytes:
    if sender.version == 4:
        return encode_ipv4(sender.packed, receiver.packed, protocol, segment)
    return _IPV6.pack(6 << 28, len(segment), protocol, _HOPS, sender.packed, receiver.packed) + segment
