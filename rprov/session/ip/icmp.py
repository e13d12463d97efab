"""ICMP errors (RFC 792): when one may be sent, its octets, and what one says. Knows no session.

RFC 1122 3.2.2 and RFC 1812 4.3.2.7 name the packets that must never be answered with an ICMP error: ICMP errors,
fragments but the first, packets to broadcast or multicast addresses, packets from what is no single host.
"""

from typing import NamedTuple

from rprov.errors import DecodeError
from rprov.session.ip.packet import HEADER_OCTETS, IpProtocol, Ipv4, checksum, encode_ipv4

DESTINATION_UNREACHABLE = 3
ADMINISTRATIVELY_PROHIBITED = 13  # RFC 1812 5.2.7.1
# the types that are no errors: echo, timestamp, information, mask
_QUERIES = frozenset(bytes((kind,)) for kind in (0, 8, 13, 14, 15, 16, 17, 18))
_QUOTED_MAX = 576 - HEADER_OCTETS - 8  # RFC 1812 4.3.2.3: an error message is at most 576 octets


class Unreachable(NamedTuple):
    """A Destination Unreachable: its code, and the TCP or UDP flow of the packet it quotes.

    `local` and `remote` are seen from the one who sent the quoted packet; `sequence` is octets 4 to 7 after its
    ports, which is TCP's sequence number.
    """

    code: int
    protocol: int
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    sequence: int


class RateLimit:
    """A bucket of tokens: `burst` at once, `per_second` after that."""

    __slots__ = ("_burst", "_filled_at", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token; says whether there was one."""
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def may_be_answered(packet: bytes) -> bool:
    """Say whether an ICMP error may answer this packet, which has a whole IPv4 header."""
    if int.from_bytes(packet[6:8]) & 0x1FFF:
        return False
    source, destination = packet[12], packet[16]
    # single hosts only: not 0/8, 127/8, multicast, class E (with the limited broadcast)
    if source in (0, 127) or source >= 224 or destination == 0 or destination >= 224:
        return False
    header = (packet[0] & 0x0F) * 4
    return packet[9] != IpProtocol.ICMP or packet[header : header + 1] in _QUERIES


def encode_unreachable(router: bytes, packet: bytes, code: int = ADMINISTRATIVELY_PROHIBITED) -> bytes:
    """Give the packet that tells the sender of `packet`, in the name of `router`, that it did not pass."""
    body = bytes((DESTINATION_UNREACHABLE, code, 0, 0, 0, 0, 0, 0)) + packet[:_QUOTED_MAX]
    body = body[:2] + checksum(body).to_bytes(2) + body[4:]
    return encode_ipv4(router, packet[12:16], IpProtocol.ICMP, body)


def decode_unreachable(packet: Ipv4) -> Unreachable:
    """Read a Destination Unreachable about TCP or UDP; raises `DecodeError` for any other ICMP message."""
    body = packet.payload
    quoted = body[8:]
    if packet.protocol != IpProtocol.ICMP or len(quoted) < HEADER_OCTETS + 8 or checksum(body):
        raise DecodeError("not an ICMP error")
    if body[0] != DESTINATION_UNREACHABLE:
        raise DecodeError(f"ICMP message of type {body[0]}, which nobody here asked for")
    if quoted[0] != 0x45 or quoted[9] not in (IpProtocol.TCP, IpProtocol.UDP):
        raise DecodeError("an ICMP error about a packet that was not ours")
    ports = quoted[HEADER_OCTETS:]
    return Unreachable(
        code=body[1],
        protocol=quoted[9],
        local=quoted[12:16],
        local_port=int.from_bytes(ports[:2]),
        remote=quoted[16:20],
        remote_port=int.from_bytes(ports[2:4]),
        sequence=int.from_bytes(ports[4:8]),
    )
