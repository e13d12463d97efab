"""Where nodes listen and where they find each other: one section for each interface, with its default port.

Refuses to know what is spoken there.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from rprov.model.kinds import Host, ListenPort, PortNumber, Unfit
from rprov.model.numbers import Port

_LOCALHOST = Host("127.0.0.1")
_LOOPBACK = IPv4Address(_LOCALHOST)


def _refuse_plain_n2(host: str, insecure: bool) -> None:
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if not (local or insecure):
        raise Unfit("insecure", f"N2 to {host} would run unprotected: use loopback, or say insecure: true")


@dataclass(frozen=True, slots=True, kw_only=True)
class N2Listen:
    """Where a CP waits for RANs."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.N2
    """TCP port; 0 takes a free one, which the ready line names."""
    insecure: bool = False
    """Whether N2, which has no protection of its own yet, may leave this machine."""

    def __post_init__(self) -> None:
        _refuse_plain_n2(self.host, self.insecure)


@dataclass(frozen=True, slots=True, kw_only=True)
class N2Peer:
    """Where a RAN finds its CP."""

    host: Host = _LOCALHOST
    """Address or name of the CP."""
    port: PortNumber = Port.N2
    """TCP port of the CP."""
    insecure: bool = False
    """Whether N2, which has no protection of its own yet, may leave this machine."""

    def __post_init__(self) -> None:
        _refuse_plain_n2(self.host, self.insecure)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioListen:
    """Where a RAN waits for UEs."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.RADIO
    """TCP port; 0 takes a free one, which the ready line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioPeer:
    """Where a UE finds the cell."""

    host: Host = _LOCALHOST
    """Address or name of the RAN."""
    port: PortNumber = Port.RADIO
    """TCP port of the RAN."""


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
