"""What the stores keep, as values. Knows no database; secrets are `Secret` and never print."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rprov.errors import DecodeError
from rprov.model.identifiers import Eid, Guti, Iccid, Imsi, Supi
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod, Algorithms, Scope, SecurityCapability


@dataclass(frozen=True, slots=True)
class SubscriberRecord:
    """A subscriber: K, OPc (TUAK: TOPc), AMF (2 octets) and the sequence number SQN_HE (48 bits).

    `algorithm` is what its USIM computes with, `method` how the home network runs AKA with it.
    In a record that was given out for one authentication, `sqn` is the number that only this authentication uses.
    """

    supi: Supi
    k: Secret
    opc: Secret
    amf: bytes = b"\x80\x00"
    sqn: int = 0
    active: bool = True
    algorithm: AkaAlgorithm = AkaAlgorithm.MILENAGE
    method: AkaMethod = AkaMethod.FIVE_G_AKA

    def __post_init__(self) -> None:
        self.algorithm.check_sizes(len(self.k), len(self.opc))
        if len(self.amf) != 2:
            raise DecodeError("the AMF of a subscriber has 2 octets")
        if not 0 <= self.sqn < 1 << 48:
            raise DecodeError("a sequence number has 48 bits")


class OrderState(StrEnum):
    """How far an order has come (SGP.22 3.1.6 names the states of its profile so, too)."""

    RELEASED = "released"
    """May be downloaded."""
    DOWNLOADED = "downloaded"
    """Was bound to the eUICC and handed out; the result is not known yet."""
    INSTALLED = "installed"
    """The eUICC's signed result says so."""
    CANCELLED = "cancelled"
    """Will not be delivered."""

    @property
    def open(self) -> bool:
        """Whether the profile may still be delivered."""
        return self in (OrderState.RELEASED, OrderState.DOWNLOADED)


@dataclass(frozen=True, slots=True)
class Order:
    """One device, one order, one profile: EID, ICCID and IMSI belong together."""

    eid: Eid
    iccid: Iccid
    imsi: Imsi
    matching_id: str
    state: OrderState = OrderState.RELEASED

    def __post_init__(self) -> None:
        allowed = self.matching_id.isascii() and self.matching_id.replace("-", "").isalnum()
        if not allowed or self.matching_id.upper() != self.matching_id or len(self.matching_id) > 255:
            raise DecodeError("a matching id has up to 255 digits, upper case letters and dashes (SGP.22 4.1)")

    @property
    def supi(self) -> Supi:
        """Who the device is once it has the profile."""
        return Supi.of_imsi(self.imsi)


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What one look-up tells about a device: its open order, else its latest one, else none."""

    eid: Eid
    order: Order | None

    @property
    def may_be_provisioned(self) -> bool:
        """Whether there is a profile to be fetched."""
        return self.order is not None and self.order.state.open


class ContextState(StrEnum):
    """The state of a device in the network (TS 24.501 5.1.3.2.3)."""

    REGISTERED = "registered"
    DEREGISTERED = "deregistered"


@dataclass(frozen=True, slots=True)
class ContextRecord:
    """What is left of a security context when the CP restarts.

    The COUNTs are those of the last save, not of the last message: whoever takes a loaded context into use must
    authenticate anew or begin far above them, because a COUNT must never protect two messages (TS 33.501 6.4.3.1).
    """

    guti: Guti
    identity: Eid | Supi
    scope: Scope
    state: ContextState
    ksi: int
    k_amf: Secret
    algorithms: Algorithms
    capability: SecurityCapability
    uplink_count: int = 0
    downlink_count: int = 0
    expires_at: datetime | None = None
    """When the scope ends, aware UTC; `None`: never."""

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise DecodeError("the end of a context is an aware time")
        if not 0 <= self.ksi <= 6:
            raise DecodeError("a key set identifier is 0 to 6")
        if not (0 <= self.uplink_count < 1 << 24 and 0 <= self.downlink_count < 1 << 24):
            raise DecodeError("a NAS COUNT has 24 bits")
