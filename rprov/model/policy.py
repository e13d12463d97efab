"""What each role is allowed and expected to do, as frozen values, made from settings once; all the core reads."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from rprov.model.identifiers import Dnn, Plmn, SNssai
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.model.session import ProvisioningServer, UserPlaneAddress

MAX_SENT = 5
"""A guarded message is sent once and repeated four times; the fifth expiry aborts (TS 24.501 5.4.1.2.4, 10.2)."""

MAX_BACKOFF = 3600
"""An unauthenticated reject silences a device for an hour at most, whatever it says."""


ORDINARY_DNN = Dnn("internet")
PROVISIONING_DNN = Dnn("rsp")
DEFAULT_SLICE = SNssai(1)
"""Slice type 1 is enhanced mobile broadband (TS 23.501 table 5.15.2.2-1)."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds (TS 24.501 10.2 and 10.3; T300 TS 38.331 7.1.1; the others guard our own waits)."""

    t300: float = 2.0
    t3510: float = 15.0
    t3511: float = 10.0
    t3512: float = 3240.0
    t3521: float = 15.0
    t3580: float = 16.0
    t3522: float = 6.0
    t3550: float = 6.0
    t3560: float = 6.0
    t3570: float = 6.0
    cell: float = 15.0
    """How long a UE looks for a cell."""
    as_security: float = 5.0
    """How long the RAN waits for the UE's AsSecurityModeComplete or RrcReconfigurationComplete."""
    context_setup: float = 12.0
    """How long the CP waits for the RAN: InitialContextSetup, session resources, release."""
    tombstone: float = 10.0
    """How long a detach is answered again after its keys are gone."""
    download: float = 300.0
    """How long a UE tries to download a profile."""


@dataclass(frozen=True, slots=True)
class ProvisioningPolicy:
    """What a provisioning attach gets: seconds of life, octets of quota, and the servers that it may reach."""

    lifetime: int
    quota: int
    servers: tuple[ProvisioningServer, ...]


@dataclass(frozen=True, slots=True)
class CpPolicy:
    """What the CP enforces. `nea` and `nia` are in order of preference."""

    name: str
    plmn: Plmn
    cp_id: int
    nea: tuple[Nea, ...]
    nia: tuple[Nia, ...]
    provisioning: ProvisioningPolicy | None
    dns: IPv4Address
    mtu: int
    timers: Timers = field(default_factory=Timers)
    backoff: int = 30
    """Seconds that a refused or evicted device should wait."""
    eid_hints: bool = True
    """Whether a device may keep its EID to itself until TLS hides it."""
    ordinary_servers: tuple[ProvisioningServer, ...] = ()
    """Servers that an ordinary session is told of (the variant with an initial subscription)."""
    dnn: Dnn = ORDINARY_DNN
    """The data network of ordinary sessions."""
    provisioning_dnn: Dnn = PROVISIONING_DNN
    """The data network of provisioning sessions."""
    s_nssai: SNssai = DEFAULT_SLICE
    """The one slice of the network."""


@dataclass(frozen=True, slots=True)
class UePolicy:
    """What the UE does and insists on."""

    capability: SecurityCapability
    user_plane: UserPlaneAddress
    timers: Timers = field(default_factory=Timers)
    max_attempts: int = 5
    """Attach attempts before giving up (TS 24.501 5.5.1.2.7)."""
    fall_back_to_provisioning: bool = False
    """Whether a device whose new subscription is refused may ask for provisioning again."""
    dnn: Dnn | None = None
    """The data network that an ordinary session asks for; None: whatever the network gives."""
    s_nssai: SNssai | None = None
    """The slice that an ordinary session asks for; None: whatever the network gives."""
    hide_eid: bool = False
    """Whether only the issuer part of the EID is told before TLS hides the rest."""
    msk_allowed: bool = False
    """Whether there are networks whose keys may come from an MSK, which their AAA server knows, too."""


@dataclass(frozen=True, slots=True)
class RanPolicy:
    """What the RAN announces and chooses. `nea` and `nia` are in order of preference."""

    name: str
    cell_id: int
    nea: tuple[Nea, ...]
    nia: tuple[Nia, ...]
    timers: Timers = field(default_factory=Timers)
