"""What a session may reach: the filter of the UP, both ways. Knows packets and one session, no tunnel and no socket.

A provisioning session reaches its server and nothing else: no other address, port or protocol, no fragments and no
options (they hide ports from a filter), no general DNS (the classic way out of a walled garden). The UP answers the
one question a UE has itself. An ordinary session has its operator's list. Addresses that mean the UP's own machine
or link are never passed on, whatever a list says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from math import inf
from typing import Protocol, Self

from rprov.errors import DecodeError, Misuse
from rprov.model.session import ProvisioningServer
from rprov.session.ip import dns
from rprov.session.ip.icmp import RateLimit, encode_unreachable, may_be_answered
from rprov.session.ip.packet import HEADER_OCTETS, IpProtocol, decode_ipv4, decode_udp, encode_udp


class Reason(StrEnum):
    """Why a packet was dropped; names of metrics."""

    EMPTY = "empty"
    IPV6 = "ipv6"
    MALFORMED = "malformed"
    OPTIONS = "ipOptions"
    FRAGMENT = "fragment"
    SPOOFED = "spoofedSource"
    DESTINATION = "destinationNotAllowed"
    SOURCE = "sourceNotAllowed"
    NOT_FOR_UE = "notForThisUe"
    BAD_DNS = "malformedDns"
    EXPIRED = "sessionExpired"
    QUOTA = "quotaUsedUp"


@dataclass(frozen=True, slots=True)
class Forward:
    """The packet passes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The packet does not pass; this one goes back to the UE (a DNS answer, or ICMP)."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """The packet does not pass."""

    reason: Reason


Verdict = Forward | Answer | Drop

FORWARD = Forward()
_DROPS = {reason: Drop(reason) for reason in Reason}

# RFC 6890: this host, loopback, link local (with 169.254.169.254, where clouds keep their secrets), multicast, class E
_NEVER = tuple(
    IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)
_WITH_PORTS = (IpProtocol.TCP, IpProtocol.UDP)
_KNOWN_FLOWS = 1024  # of an ordinary session: answers of `permits` that are kept


def _never(address: IPv4Address) -> bool:
    return any(address in network for network in _NEVER)


def _canonical(name: str) -> str:
    return name.lower().rstrip(".")


class Policy(Protocol):
    """What a filter asks of a session."""

    @property
    def ue(self) -> IPv4Address:
        """The UE's address in the session."""

    @property
    def gateway(self) -> IPv4Address:
        """The UP's own address in the session: it sends the ICMP errors and answers DNS."""

    @property
    def quota_octets(self) -> int:
        """How many octets may pass, both ways together; 0: any number."""

    @property
    def expires_at(self) -> float:
        """When nothing passes any more, in seconds of the same clock as every `now`."""

    def permits(self, address: IPv4Address, protocol: int, port: int) -> bool:
        """Say whether the UE may talk to this."""

    def addresses_of(self, name: str) -> tuple[IPv4Address, ...] | None:
        """Give the addresses of a name (lower case, no last dot); None if the UP does not answer for it."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A provisioning session: the (address, protocol, port) that may be reached, and the names that are told.

    `fqdn` has all addresses of `allowed` unless `names` says which; names are in lower case without a last dot.
    """

    ue: IPv4Address
    gateway: IPv4Address
    fqdn: str
    allowed: frozenset[tuple[IPv4Address, int, int]]
    quota_octets: int
    expires_at: float
    names: Mapping[str, tuple[IPv4Address, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for address, protocol, port in self.allowed:
            if _never(address) or address in (self.ue, self.gateway):
                raise Misuse(f"a session must not reach {address}")
            if protocol not in _WITH_PORTS or not 1 <= port <= 65535:
                raise Misuse("a provisioning session allows ports of TCP or UDP only")

    @classmethod
    def to_servers(
        cls,
        servers: Sequence[ProvisioningServer],
        *,
        ue: IPv4Address,
        gateway: IPv4Address,
        quota_octets: int,
        expires_at: float,
    ) -> Self:
        """The session towards provisioning servers, over TCP; at least one."""
        if not servers:
            raise Misuse("a provisioning session without a server")
        allowed = frozenset(
            (address, int(IpProtocol.TCP), server.port) for server in servers for address in server.addresses
        )
        names = {_canonical(server.fqdn): server.addresses for server in servers}
        return cls(ue, gateway, servers[0].fqdn, allowed, quota_octets, expires_at, names)

    def permits(self, address: IPv4Address, protocol: int, port: int) -> bool:
        """Say whether the UE may talk to this."""
        return (address, protocol, port) in self.allowed

    def addresses_of(self, name: str) -> tuple[IPv4Address, ...] | None:
        """Give the addresses of a name that is told."""
        if (addresses := self.names.get(name)) is not None:
            return addresses
        if name != _canonical(self.fqdn):
            return None
        return tuple(sorted({address for address, _, _ in self.allowed}))


@dataclass(frozen=True, slots=True)
class Destination:
    """Part of an operator's list: a network, and maybe a protocol and a port (None: any)."""

    network: IPv4Network
    protocol: int | None = None
    port: int | None = None


ANYWHERE = (Destination(IPv4Network("0.0.0.0/0")),)


@dataclass(frozen=True, slots=True)
class Unrestricted:
    """An ordinary session: TCP and UDP to the destinations of the operator's list, and the names it tells."""

    ue: IPv4Address
    gateway: IPv4Address
    destinations: tuple[Destination, ...] = ANYWHERE
    names: Mapping[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    quota_octets: int = 0
    expires_at: float = inf

    def permits(self, address: IPv4Address, protocol: int, port: int) -> bool:
        """Say whether the UE may talk to this."""
        if _never(address) or address in (self.ue, self.gateway) or protocol not in _WITH_PORTS:
            return False
        return any(
            address in destination.network
            and destination.protocol in (None, protocol)
            and destination.port in (None, port)
            for destination in self.destinations
        )

    def addresses_of(self, name: str) -> tuple[IPv4Address, ...] | None:
        """Give the addresses of a name of the operator's table."""
        return self.names.get(name)


class SessionFilter:
    """The filter of one session, with its counters. Every packet of the session passes here, both ways."""

    __slots__ = (
        "_dns_server",
        "_expires_at",
        "_flows",
        "_gateway",
        "_icmp_limit",
        "_policy",
        "_quota",
        "_ue",
        "dropped",
        "octets",
        "packets",
    )

    def __init__(self, policy: Policy) -> None:
        self.dropped: Counter[str] = Counter()
        """Dropped packets by reason, those that were answered among them."""
        self.octets = 0
        """Octets that passed, both ways; they count against the quota."""
        self.packets = 0
        self._policy = policy
        self._ue = policy.ue.packed
        self._gateway = policy.gateway.packed
        self._dns_server = self._gateway + bytes((IpProtocol.UDP,)) + dns.PORT.to_bytes(2)
        self._quota = policy.quota_octets or inf
        self._expires_at = policy.expires_at
        self._flows: set[bytes] = set()  # address, protocol, port that are known to be permitted
        self._icmp_limit = RateLimit(per_second=10, burst=20)

    @property
    def policy(self) -> Policy:
        """What the filter enforces."""
        return self._policy

    def uplink(self, packet: bytes, now: float) -> Verdict:
        """Judge a packet of the UE."""
        reason = _fault(packet)
        if reason is None and packet[12:16] != self._ue:
            reason = Reason.SPOOFED
        if reason is not None:
            return self._drop(reason)
        flow = packet[16:20] + packet[9:10] + packet[22:24]
        if flow in self._flows or self._permitted(flow):
            return self._pass(packet, now)
        if flow == self._dns_server:
            return self._answer_dns(packet, now)
        return self._prohibit(packet, now)

    def downlink(self, packet: bytes, now: float) -> Verdict:
        """Judge a packet for the UE: only what it may talk to may talk to it."""
        reason = _fault(packet)
        if reason is None and packet[16:20] != self._ue:
            reason = Reason.NOT_FOR_UE
        if reason is not None:
            return self._drop(reason)
        flow = packet[12:16] + packet[9:10] + packet[20:22]
        if flow in self._flows or self._permitted(flow):
            return self._pass(packet, now)
        return self._drop(Reason.SOURCE)

    def _permitted(self, flow: bytes) -> bool:
        protocol = flow[4]
        if protocol not in _WITH_PORTS:
            return False
        if not self._policy.permits(IPv4Address(flow[:4]), protocol, int.from_bytes(flow[5:])):
            return False
        if len(self._flows) >= _KNOWN_FLOWS:
            self._flows.clear()
        self._flows.add(flow)
        return True

    def _pass(self, packet: bytes, now: float) -> Verdict:
        if now >= self._expires_at:
            return self._drop(Reason.EXPIRED)
        octets = self.octets + len(packet)
        if octets > self._quota:
            return self._drop(Reason.QUOTA)
        self.octets = octets
        self.packets += 1
        return FORWARD

    def _drop(self, reason: Reason) -> Drop:
        self.dropped[reason] += 1
        return _DROPS[reason]

    def _prohibit(self, packet: bytes, now: float) -> Verdict:
        drop = self._drop(Reason.DESTINATION)
        if may_be_answered(packet) and self._icmp_limit.take(now):
            return Answer(encode_unreachable(self._gateway, packet))
        return drop

    def _answer_dns(self, packet: bytes, now: float) -> Verdict:
        try:
            datagram = decode_udp(decode_ipv4(packet))
            answer = dns.answer_query(datagram.payload, self._policy.addresses_of)
        except DecodeError:
            return self._drop(Reason.BAD_DNS)
        passed = self._pass(packet, now)
        if passed is not FORWARD:
            return passed
        return Answer(encode_udp(self._gateway, dns.PORT, self._ue, datagram.source_port, answer))


def _fault(packet: bytes) -> Reason | None:
    """Say what is wrong with a packet before anyone looks at its ports; None if nothing is."""
    size = len(packet)
    if size < HEADER_OCTETS or packet[0] != 0x45:
        return _version_fault(packet)
    if int.from_bytes(packet[2:4]) != size or int.from_bytes(packet[:HEADER_OCTETS]) % 65535:
        return Reason.MALFORMED  # octets after the end would be a way out too
    if packet[6] & 0xBF or packet[7]:
        return Reason.FRAGMENT  # only the first one has ports
    protocol = packet[9]
    if protocol == IpProtocol.TCP:
        # the data offset too, so that nobody behind us reads ports or text elsewhere
        if size < 40 or not 20 <= (packet[32] >> 4) * 4 <= size - HEADER_OCTETS:
            return Reason.MALFORMED
    elif protocol == IpProtocol.UDP and (size < 28 or int.from_bytes(packet[24:26]) != size - HEADER_OCTETS):
        return Reason.MALFORMED
    return None


def _version_fault(packet: bytes) -> Reason:
    if not packet:
        return Reason.EMPTY
    if packet[0] >> 4 == 6:
        return Reason.IPV6
    if packet[0] >> 4 == 4 and packet[0] & 0x0F > 5 and len(packet) >= HEADER_OCTETS:
        return Reason.OPTIONS
    return Reason.MALFORMED  # a header shorter than 5 words would put the ports into the header
