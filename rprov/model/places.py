"""Where nodes listen and where they find each other: one section for each interface, with its default port.

Refuses to know what is spoken there.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from rprov.model.kinds import Host, ListenPort, PortNumber, Seconds, Unfit
from rprov.model.n2 import N2ClientTls, N2ServerTls
from rprov.model.numbers import Port
from rprov.model.sctp import Carrier, SctpListen, SctpPeer

_LOCALHOST = Host("127.0.0.1")
_LOOPBACK = IPv4Address(_LOCALHOST)


def _refuse_plain_n2(hosts: tuple[str, ...], protected: bool, insecure: bool) -> None:
    for host in hosts:
        if not (_is_local(host) or protected or insecure):
            raise Unfit("tls", f"N2 to {host} would run unprotected: give it tls, use loopback, or say insecure: true")
    if protected and insecure:
        raise Unfit("insecure", "contradicts tls: one of the two must go")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class N2Listen:
    """Where a CP waits for RANs."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.N2
    """Port; 0 takes a free one, which the ready line names."""
    transport: Carrier = Carrier.AUTO
    """auto, tcp or sctp."""
    sctp: SctpListen = field(default_factory=SctpListen)
    """How SCTP behaves, where it carries the link."""
    tls: N2ServerTls | None = None
    """How N2 is protected; absent: not at all, and then it stays on this machine."""
    insecure: bool = False
    """Whether N2 may leave this machine without protection, though keys of devices travel on it."""
    heartbeat: Seconds = 10.0
    """After how long without a word the RAN is asked whether it lives; unanswered as long again, the link is lost."""

    def __post_init__(self) -> None:
        _refuse_plain_n2((self.host, *self.sctp.addresses), self.tls is not None, self.insecure)


@dataclass(frozen=True, slots=True, kw_only=True)
class N2Peer:
    """Where a RAN finds its CP."""

    host: Host = _LOCALHOST
    """Address or name of the CP."""
    port: PortNumber = Port.N2
    """Port of the CP."""
    transport: Carrier = Carrier.AUTO
    """auto, tcp or sctp."""
    sctp: SctpPeer = field(default_factory=SctpPeer)
    """How SCTP behaves, where it carries the link."""
    tls: N2ClientTls | None = None
    """How N2 is protected; absent: not at all, and then it stays on this machine."""
    insecure: bool = False
    """Whether N2 may leave this machine without protection, though keys of devices travel on it."""
    heartbeat: Seconds = 10.0
    """After how long without a word the CP is asked whether it lives; unanswered as long again, the link is lost."""

    def __post_init__(self) -> None:
        hosts = (self.host, *self.sctp.addresses, *self.sctp.peer_addresses)
        _refuse_plain_n2(hosts, self.tls is not None, self.insecure)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioListen:
    """Where a RAN waits for UEs."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.RADIO
    """Port; 0 takes a free one, which the ready line names."""
    transport: Carrier = Carrier.AUTO
    """auto, tcp or sctp."""
    sctp: SctpListen = field(default_factory=SctpListen)
    """How SCTP behaves, where it carries the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioPeer:
    """Where a UE finds the cell."""

    host: Host = _LOCALHOST
    """Address or name of the RAN."""
    port: PortNumber = Port.RADIO
    """Port of the RAN."""
    transport: Carrier = Carrier.AUTO
    """auto, tcp or sctp."""
    sctp: SctpPeer = field(default_factory=SctpPeer)
    """How SCTP behaves, where it carries the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioUserPlane:
    """Where a node receives user packets on the radio."""

    address: IPv4Address = _LOOPBACK
    """Address of the UDP socket."""
    port: ListenPort = Port.RADIO_USER
    """UDP port; 0 takes a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeUserPlane:
    """Where a UE receives user packets on the radio."""

    address: IPv4Address = _LOOPBACK
    """Address of the UDP socket."""
    port: ListenPort = 0
    """UDP port; 0 takes a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class N3Address:
    """Where a node receives GTP-U."""

    address: IPv4Address = _LOOPBACK
    """Address of the UDP socket; the other node sends here."""
    port: ListenPort = Port.GTPU
    """UDP port; 2152 in the standard, 0 takes a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpListen:
    """Where an SM-DP+ waits for LPAs."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.SMDP
    """TCP port; 0 takes a free one, which the ready line names."""
