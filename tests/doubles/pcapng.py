"""Other people's captures of EAP over RADIUS, as tests of EAP and of RADIUS want them.

capture = read(path); capture.secrets["EXPORTER_SECRET"]; eap_packets(capture) -> [(towards the server?, packet)]
"""

from dataclasses import dataclass, field
from pathlib import Path

from rprov.trace.capture import Capture as File
from rprov.trace.keylog import Keys

RADIUS_PORT = 1812
EAP_MESSAGE = 79
"""RADIUS attribute (RFC 3579 3.1): a packet longer than 253 octets stands in several, in order."""


@dataclass
class Datagram:
    """A UDP datagram."""

    source: int
    destination: int
    payload: bytes


@dataclass
class Capture:
    """What a file holds; `secrets` are the lines of the TLS key log: label -> (client random, secret)."""

    secrets: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    datagrams: list[Datagram] = field(default_factory=list)


def read(path: Path) -> Capture:
    """Read a whole file."""
    file, keys = File(path), Keys()
    seen = [Datagram(item.sender[1], item.receiver[1], item.octets) for item in file.messages() if item.link == "aaa"]
    keys.add(file.key_lines)
    return Capture({label: (random, secret.octets) for (label, random), secret in keys.tls.items()}, seen)


def eap_packets(capture: Capture) -> list[tuple[bool, bytes]]:
    """Every EAP packet in its order, and whether it went towards the server."""
    return [
        (datagram.destination == RADIUS_PORT, packet)
        for datagram in capture.datagrams
        if (packet := b"".join(value for kind, value in radius_attributes(datagram.payload) if kind == EAP_MESSAGE))
    ]


def radius_attributes(packet: bytes) -> list[tuple[int, bytes]]:
    """The attributes of a RADIUS packet (RFC 2865 3 and 5)."""
    found, at, end = [], 20, int.from_bytes(packet[2:4])
    assert end == len(packet)
    while at < end:
        kind, length = packet[at], packet[at + 1]
        assert 2 <= length <= end - at
        found.append((kind, packet[at + 2 : at + length]))
        at += length
    return found
