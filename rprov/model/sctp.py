"""How links over SCTP behave: where they may run, and when a path or a peer counts as gone.

Refuses to know which stack does it.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

from rprov.model.kinds import Host, ListenPort, Seconds, Unfit, Within
from rprov.model.numbers import Port


class Carrier(StrEnum):
    """What carries a control link."""

    AUTO = "auto"
    """TCP, and SCTP where this machine's kernel has it: who listens takes both, who connects tries SCTP first."""
    TCP = "tcp"
    """TCP alone."""
    SCTP = "sctp"
    """SCTP alone: the kernel's, or libusrsctp's in UDP (RFC 6951) where the kernel has none."""


def _refuse_names(key: str, hosts: tuple[Host, ...]) -> None:
    for host in hosts:
        try:
            ip_address(host)
        except ValueError:
            raise Unfit(key, f'"{host}" is no IP address') from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SctpListen:
    """SCTP at the end that waits. The names of RFC 9260 16 are in parentheses."""

    addresses: tuple[Host, ...] = ()
    """Further IP addresses of this end, beside `host`: a link survives the loss of the path to one of them."""
    udp_port: ListenPort = Port.SCTP_ENCAPSULATION
    """UDP port in which SCTP runs where the kernel has none (RFC 6951); 0 takes the number of the SCTP port."""
    heartbeat: Seconds = 5.0
    """After how long a silent path is asked whether it lives (HB.interval)."""
    rto_initial: Seconds = 1.0
    """The first time to wait for an acknowledgement (RTO.Initial)."""
    rto_min: Seconds = 0.2
    """The shortest time to wait for one (RTO.Min)."""
    rto_max: Seconds = 5.0
    """The longest time to wait for one (RTO.Max)."""
    path_retransmissions: Annotated[int, Within(1, 100)] = 3
    """Attempts in a row on one path after which it counts as lost (Path.Max.Retrans)."""
    retransmissions: Annotated[int, Within(1, 100)] = 6
    """Attempts in a row on all paths after which the peer counts as gone (Association.Max.Retrans)."""
    max_init: Annotated[int, Within(1, 100)] = 4
    """Attempts to open a link (Max.Init.Retransmits)."""

    def __post_init__(self) -> None:
        _refuse_names("addresses", self.addresses)
        if not self.rto_min <= self.rto_initial <= self.rto_max:
            raise Unfit("rto_initial", f"must be from rto_min ({self.rto_min:g}) to rto_max ({self.rto_max:g})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SctpPeer(SctpListen):
    """SCTP at the end that connects."""

    peer_addresses: tuple[Host, ...] = ()
    """Further IP addresses of the other end, beside `host`: any of them may answer first."""

    def __post_init__(self) -> None:
        SctpListen.__post_init__(self)
        _refuse_names("peer_addresses", self.peer_addresses)
