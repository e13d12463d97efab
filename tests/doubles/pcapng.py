"""A small reader of captures (pcapng): UDP datagrams on Ethernet, TLS secrets, and the EAP inside RADIUS.

    capture = read(path); capture.secrets["EXPORTER_SECRET"]; eap_packets(capture) -> [(towards the server?, packet)]

Reads what tests/captures holds and nothing beside it: little endian, one interface, IPv4 without fragments.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

SECTION, INTERFACE, SECRETS, PACKET = 0x0A0D0D0A, 1, 0x0A, 6
ETHERNET, IPV4, UDP = 1, 0x0800, 17
TLS_KEY_LOG = 0x544C534B
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
    octets, at, capture = path.read_bytes(), 0, Capture()
    while at < len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        body = octets[at + 8 : at + length - 4]
        assert struct.unpack_from("<I", octets, at + length - 4) == (length,)
        if kind == SECTION:
            assert body[:4] == bytes.fromhex("4d3c2b1a")  # little endian
        elif kind == INTERFACE:
            assert struct.unpack_from("<H", body) == (ETHERNET,)
        elif kind == SECRETS:
            _read_secrets(body, capture)
        elif kind == PACKET:
            (size,) = struct.unpack_from("<I", body, 12)
            capture.datagrams.append(_datagram(body[20 : 20 + size]))
        at += length
    return capture


def _read_secrets(body: bytes, capture: Capture) -> None:
    kind, size = struct.unpack_from("<II", body)
    assert kind == TLS_KEY_LOG
    for line in body[8 : 8 + size].decode("ascii").splitlines():
        if line:
            label, random, secret = line.split()
            capture.secrets[label] = bytes.fromhex(random), bytes.fromhex(secret)


def _datagram(frame: bytes) -> Datagram:
    assert struct.unpack_from(">H", frame, 12) == (IPV4,)
    ip = frame[14:]
    assert ip[9] == UDP
    udp = ip[(ip[0] & 15) * 4 : int.from_bytes(ip[2:4])]
    source, destination, length = struct.unpack_from(">HHH", udp)
    assert length == len(udp)
    return Datagram(source, destination, udp[8:])


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
