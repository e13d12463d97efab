"""Values of a PDU session that several rooms share: kinds, servers, tunnel ends."""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from rprov.errors import DecodeError
from rprov.model.identifiers import Teid


class SessionKind(IntEnum):
    """What a session is for."""

    PROVISIONING = 0
    ORDINARY = 1


class ProvisioningProtocol(IntEnum):
    """How a provisioning server is spoken to."""

    SGP22 = 0
    SGP02 = 1
    SGP32 = 2


@dataclass(frozen=True, slots=True)
class ProvisioningServer:
    """A provisioning server as the UE is told of it in the PduSessionAccept."""

    protocol: ProvisioningProtocol
    fqdn: str
    addresses: tuple[IPv4Address, ...]
    port: int

    def __post_init__(self) -> None:
        labels = self.fqdn.split(".")
        if not self.fqdn.isascii() or len(self.fqdn) > 253 or not all(0 < len(label) <= 63 for label in labels):
            raise DecodeError("the name of a provisioning server must be a domain name")
        if not 1 <= len(self.addresses) <= 8:
            raise DecodeError("a provisioning server has 1 to 8 addresses")
        if not 1 <= self.port <= 65535:
            raise DecodeError("a port is 1 to 65535")


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """Where one node receives GTP-U packets of a session: address, UDP port, TEID."""

    address: IPv4Address
    port: int
    teid: Teid


@dataclass(frozen=True, slots=True)
class UserPlaneAddress:
    """Where one end of the radio link receives user packets (UDP)."""

    address: IPv4Address
    port: int
