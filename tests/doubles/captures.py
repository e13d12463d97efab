"""Captures made by hand: what tcpdump would see of our links, and what a tap writes.

path = pcap(tmp_path, [ethernet_tcp(…), …])          a capture of others, link type Ethernet
with taps(tmp_path) as tap: tap.message(…)           one of ours; the file is complete afterwards
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from rprov.model.tap import LinkName, Tap
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace.tracing import tracing

LOWER, UPPER = ("192.0.2.1", 40000), ("192.0.2.2", 29712)
SIX = ("2001:db8::1", 40000), ("2001:db8::2", 29712)

End = tuple[str, int]


def pcap(path: Path, packets: Iterable[bytes], link_type: int = 1) -> Path:
    """Write a pcap file."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    body = b"".join(struct.pack("<IIII", 1, at, len(octets), len(octets)) + octets for at, octets in enumerate(packets))
    path.write_bytes(head + body)
    return path


def ip(source: End, destination: End, protocol: int, segment: bytes) -> bytes:
    """An IP packet of the version of its addresses."""
    sender, receiver = ip_address(source[0]), ip_address(destination[0])
    if sender.version == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 7, 0, 64, protocol, 0)
        return head + sender.packed + receiver.packed + segment
    return struct.pack(">IHBB", 6 << 28, len(segment), protocol, 64) + sender.packed + receiver.packed + segment


def ethernet(packet: bytes, vlan: bool = False) -> bytes:
    """A frame with an IP packet."""
    tag = b"\x81\x00\x00\x05" if vlan else b""
    return bytes(12) + tag + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def tcp(source: End, destination: End, sequence: int, payload: bytes = b"", flags: int = 0x18) -> bytes:
    """An IP packet with a TCP segment."""
    head = struct.pack(">HHIIBBHHH", source[1], destination[1], sequence & 0xFFFFFFFF, 0, 0x50, flags, 0, 0, 0)
    return ip(source, destination, 6, head + payload)


def udp(source: End, destination: End, payload: bytes) -> bytes:
    """An IP packet with a UDP datagram."""
    head = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0)
    return ip(source, destination, 17, head + payload)


def sctp_packet(source: End, destination: End, chunks: Iterable[bytes], tag: int = 0x1234) -> bytes:
    """An SCTP packet without the IP around it."""
    return struct.pack(">HHII", source[1], destination[1], tag, 0) + b"".join(chunks)


def data(tsn: int, payload: bytes, ppid: int, stream: int = 3, flags: int = 3) -> bytes:
    """A DATA chunk; flags: 2 the first part of a message, 1 the last."""
    head = struct.pack(">BBHIHHI", 0, flags, 16 + len(payload), tsn, stream, 0, ppid)
    return head + payload + bytes(-len(payload) % 4)


@contextmanager
def taps(path: Path, *, embed: bool = False) -> Iterator[Tap]:
    """Give a tap for every link that writes into `path`."""
    secrets = TraceSecrets.EMBED if embed else TraceSecrets.REDACT
    with tracing(TraceSettings(pcap=path, secrets=secrets)) as traced:
        tap = traced.tap(*LinkName)
        assert tap is not None
        yield tap
