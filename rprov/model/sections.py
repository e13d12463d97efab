"""Sections that the settings of the roles are made of. `settings.py` puts them together; `config.py` reads them.

Every default is the safe one. A section refuses values that contradict each other by raising `Unfit`, which names the
key; kinds and bounds of single values stand in the annotations and are enforced where a file is read.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated

from rprov.model.identifiers import Dnn, SNssai
from rprov.model.kinds import (
    AtLeast,
    DatabaseUrl,
    Endpoint,
    Fqdn,
    PortNumber,
    ReadPath,
    Unfit,
    Within,
)
from rprov.model.numbers import Port
from rprov.model.policy import DEFAULT_SLICE, ORDINARY_DNN, PROVISIONING_DNN
from rprov.model.security import Nea, Nia
from rprov.model.session import ProvisioningProtocol, ProvisioningServer

_GATEWAY = IPv4Address("10.45.0.1")
_PROVISIONING_POOL = IPv4Network("10.45.0.0/17")
_ORDINARY_POOL = IPv4Network("10.45.128.0/17")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmSettings:
    """Which NAS and AS algorithms are used, the most wanted first."""

    ciphering: Annotated[tuple[Nea, ...], AtLeast(1)] = (Nea.NEA2, Nea.NEA1, Nea.NEA3)
    """Ciphering algorithms in order of preference (TS 33.501 6.7.1.1)."""
    integrity: Annotated[tuple[Nia, ...], AtLeast(1)] = (Nia.NIA2, Nia.NIA1, Nia.NIA3)
    """Integrity algorithms in order of preference; NIA0 is never used."""
    danger_null_ciphering: bool = False
    """Whether NEA0 may stand in `ciphering`; an attach for provisioning never uses it all the same."""

    def __post_init__(self) -> None:
        if Nia.NIA0 in self.integrity:
            raise Unfit("integrity", "NIA0 protects nothing and is never used")
        if Nea.NEA0 in self.ciphering and not self.danger_null_ciphering:
            raise Unfit("ciphering", "NEA0 ciphers nothing: it needs danger_null_ciphering: true")
        for key, chosen in (("ciphering", self.ciphering), ("integrity", self.integrity)):
            if len(set(chosen)) != len(chosen):
                raise Unfit(key, "an algorithm is named twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """A provisioning server that sessions may reach."""

    protocol: ProvisioningProtocol = ProvisioningProtocol.SGP22
    """How it is spoken to."""
    fqdn: Fqdn
    """Its name, which the UE resolves in the session and finds in the server's certificate."""
    addresses: Annotated[tuple[IPv4Address, ...], AtLeast(1)]
    """Its addresses as the UE sees them."""
    port: PortNumber = Port.HTTPS
    """Its port as the UE sees it."""
    upstream: Endpoint | None = None
    """Where it really is, when the UP should connect somewhere else than to the address that the UE sees."""

    def __post_init__(self) -> None:
        if len(self.addresses) > 8:
            raise Unfit("addresses", "at most 8 addresses")

    @property
    def server(self) -> ProvisioningServer:
        """The server as the UE is told of it."""
        return ProvisioningServer(self.protocol, self.fqdn, self.addresses, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningSettings:
    """What a network grants to a device that attaches for provisioning."""

    offered: bool = False
    """Whether provisioning attaches are accepted and announced."""
    lifetime: Annotated[int, Within(10, 86_400)] = 600
    """Seconds after which the device is detached, done or not."""
    quota: Annotated[int, Within(0, 1 << 40)] = 10_000_000
    """Octets that its session may carry in both directions together; 0: no limit."""
    servers: tuple[ServerSettings, ...] = ()
    """The servers that its session may reach; nothing else."""

    def __post_init__(self) -> None:
        if self.offered and not self.servers:
            raise Unfit("servers", "provisioning is offered, but there is no server to fetch a profile from")


class TransportProtocol(StrEnum):
    """What an ordinary session may carry to a destination."""

    TCP = "tcp"
    UDP = "udp"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Something that ordinary sessions may reach."""

    network: IPv4Network
    """Addresses, written `ADDRESS/PREFIX`."""
    protocol: TransportProtocol = TransportProtocol.ANY
    """tcp, udp or any."""
    port: PortNumber | None = None
    """One port, or every port when absent."""
    upstream: Endpoint | None = None
    """Where the UP connects instead of the address that the UE sees."""

    def __post_init__(self) -> None:
        if self.port is not None and self.protocol is TransportProtocol.ANY:
            raise Unfit("port", "a port needs protocol: tcp or protocol: udp")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Addresses and destinations of PDU sessions."""

    gateway: IPv4Address = _GATEWAY
    """The UP as UEs see it: their resolver, and who answers what is not let through."""
    provisioning_pool: IPv4Network = _PROVISIONING_POOL
    """Addresses for sessions of provisioning attaches."""
    ordinary_pool: IPv4Network = _ORDINARY_POOL
    """Addresses for ordinary sessions."""
    mtu: Annotated[int, Within(576, 9000)] = 1400
    """Largest user packet, octets."""
    dnn: Dnn = ORDINARY_DNN
    """The data network of ordinary sessions; a device that names another gets none."""
    provisioning_dnn: Dnn = PROVISIONING_DNN
    """The data network of sessions of provisioning attaches."""
    s_nssai: SNssai = DEFAULT_SLICE
    """The slice of all sessions, SST or SST-SD."""
    ordinary_allow: tuple[Destination, ...] = ()
    """What ordinary sessions may reach."""
    ordinary_servers: tuple[ServerSettings, ...] = ()
    """Provisioning servers that ordinary sessions are told of and may reach, to fetch another profile."""

    def __post_init__(self) -> None:
        for key, pool in (("provisioning_pool", self.provisioning_pool), ("ordinary_pool", self.ordinary_pool)):
            if pool.prefixlen > 29:
                raise Unfit(key, f"{pool} has too few addresses (expected a prefix of at most 29 bits)")
        if self.provisioning_pool.overlaps(self.ordinary_pool):
            raise Unfit("ordinary_pool", f"{self.ordinary_pool} overlaps provisioning_pool {self.provisioning_pool}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """A database, and the key that seals secrets in it."""

    url: DatabaseUrl
    """`sqlite:///FILE`, `sqlite://` for memory, or `postgresql+psycopg://USER@HOST/NAME`."""
    key_file: Path | None = None
    """File with the sealing key, made at first use; needed unless the store is in memory."""

    def __post_init__(self) -> None:
        if self.key_file is None and not self.in_memory:
            raise Unfit("key_file", "missing: a store that outlives the process needs a sealing key")

    @property
    def in_memory(self) -> bool:
        """Whether everything is gone when the process ends."""
        return self.url in ("sqlite://", "sqlite:///:memory:")


class SuciScheme(IntEnum):
    """Protection schemes of a SUCI that have a home network key (TS 33.501 C.3.4)."""

    PROFILE_A = 1
    PROFILE_B = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeNetworkKeySettings:
    """A key with which this network reveals SUCIs."""

    id: Annotated[int, Within(0, 255)]
    """Home network public key identifier, as USIMs name it."""
    scheme: SuciScheme
    """profile_a (X25519) or profile_b (P-256)."""
    key: ReadPath
    """PEM file with the private key."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is written down."""

    level: LogLevel = LogLevel.INFO
    """The least important lines that are written; debug has one line for each move of a machine."""
    format: LogFormat = LogFormat.TEXT
    """Lines for a person, or JSON."""
    trace: Path | None = None
    """File that takes every message and transition as JSON lines."""
