"""What can happen to a machine, in the past tense: received messages, answers from the shell, timers, losses."""

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from rprov.auth.radius_exchange import AccessAnswer
from rprov.causes import Cause
from rprov.crypto.hierarchy import KGnb
from rprov.model.identifiers import Eid, Iccid, Plmn, Supi
from rprov.model.records import DeviceRecord, SubscriberRecord
from rprov.model.security import Scope
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.procedure.purpose import Intent, Subscription
from rprov.wire.radio import AsSecurityModeCommand

MessageT = TypeVar("MessageT", covariant=True)


class Protection(Enum):
    """How a message was protected when it came."""

    PLAIN = auto()
    NEW_CONTEXT = auto()
    """Verified under keys that are not in use yet (security header types 3 and 4)."""
    CURRENT = auto()
    """Verified under the keys in use."""
    TRUSTED_LINK = auto()
    """On N2, which protects itself."""


@dataclass(frozen=True, slots=True)
class Received(Generic[MessageT]):
    """A message came. `raw` are its very octets, `count` the NAS COUNT it was verified with (0 for a plain one)."""

    message: MessageT
    raw: bytes
    protection: Protection
    count: int = 0


class Timer(Enum):
    """Everything that can time out; values name the standard's timer where there is one."""

    T300 = "T300"
    T3510 = "T3510"
    T3511 = "T3511"
    T3521 = "T3521"
    T3580 = "T3580"
    T3522 = "T3522"
    T3550 = "T3550"
    T3560 = "T3560"
    T3570 = "T3570"
    CELL = "cell"
    AS_SECURITY = "as-security"
    CONTEXT_SETUP = "context-setup"
    LIFETIME = "lifetime"
    TOMBSTONE = "tombstone"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer ran out. `generation` is the one that StartTimer was given; a stale one is dropped."""

    timer: Timer
    generation: int


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link to the other node is gone."""

    cause: Cause = Cause.RADIO_LINK_LOST


# --- of the UE --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttachWanted:
    """Somebody wants this UE to attach."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class DetachWanted:
    """Somebody wants this UE to detach."""

    switch_off: bool = False


@dataclass(frozen=True, slots=True)
class CellFound:
    """The access layer has read a cell's announcement."""

    plmn: Plmn
    provisioning_offered: bool


@dataclass(frozen=True, slots=True)
class RadioLost:
    """The access layer has no connection any more; `released` says that the RAN ended it in order.

    `backoff` is what the RAN asks for, in seconds, before the next try.
    """

    cause: Cause
    released: bool = False
    backoff: int | None = None


@dataclass(frozen=True, slots=True)
class ProfileDownloaded:
    """Answers Download: the profile is installed. `notified`: the server has taken the eUICC's signed result."""

    iccid: Iccid
    notified: bool = True


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    """Answers Download."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class ProfileEnabled:
    """Answers EnableProfile: the USIM is ready."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class EnableFailed:
    """Answers EnableProfile."""

    detail: str


# --- of the UE's access layer -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NasGiven:
    """The layer above has a NAS PDU to send."""

    pdu: bytes


@dataclass(frozen=True, slots=True)
class KgnbGiven:
    """The layer above has derived K_gNB from the COUNT of its latest SecurityModeComplete."""

    k_gnb: KGnb
    scope: Scope


@dataclass(frozen=True, slots=True)
class RadioClosed:
    """The layer above needs the connection no longer."""


@dataclass(frozen=True, slots=True)
class AsSecurityVerified:
    """An AsSecurityModeCommand whose MAC one of the given keys verifies."""

    message: AsSecurityModeCommand
    k_gnb: KGnb
    scope: Scope


# --- of the CP --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceFound:
    """Answers LookUpDevice; a device without an order is found too."""

    record: DeviceRecord


@dataclass(frozen=True, slots=True)
class SubscriberFound:
    """Answers ReserveVector: the record holds a sequence number that nobody else gets."""

    record: SubscriberRecord


@dataclass(frozen=True, slots=True)
class SubscriberUnknown:
    """Answers ReserveVector and ResolveGuti."""


@dataclass(frozen=True, slots=True)
class GutiResolved:
    """Answers ResolveGuti; an EID where the GUTI was given to a provisioning attach."""

    identity: Eid | Supi


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """Answers OpenTunnel: where the UP receives, and the UE's address."""

    uplink: TunnelEnd
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """Answers any look-up whose store did not work."""

    detail: str


@dataclass(frozen=True, slots=True)
class AaaAnswered:
    """Answers AskAaa: what an AAA server said, proved to be its word."""

    answer: AccessAnswer


@dataclass(frozen=True, slots=True)
class AaaSilent:
    """Answers AskAaa: nobody who could be asked has answered."""

    detail: str


@dataclass(frozen=True, slots=True)
class DetachOrdered:
    """The operator, a revocation or a newer attach of the same device ends this registration."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class LifetimeChanged:
    """The operator gives an attached device more time, or less: `lifetime` seconds from now."""

    lifetime: int


# --- of the RAN -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RadioBearerOpened:
    """Answers OpenRadioBearer: where the RAN receives on N3 and on the radio."""

    downlink: TunnelEnd
    ran: UserPlaneAddress


@dataclass(frozen=True, slots=True)
class N2Lost:
    """The link to the CP is gone."""


@dataclass(frozen=True, slots=True)
class NasDown:
    """The CP has sent a NAS PDU for this UE."""

    pdu: bytes


Event = (
    TimerFired
    | KgnbGiven
    | RadioClosed
    | AsSecurityVerified
    | N2Lost
    | NasDown
    | LinkLost
    | AttachWanted
    | DetachWanted
    | CellFound
    | RadioLost
    | ProfileDownloaded
    | DownloadFailed
    | ProfileEnabled
    | EnableFailed
    | NasGiven
    | DeviceFound
    | SubscriberFound
    | SubscriberUnknown
    | GutiResolved
    | TunnelOpened
    | StoreFailed
    | AaaAnswered
    | AaaSilent
    | DetachOrdered
    | LifetimeChanged
    | RadioBearerOpened
)

Answer = (
    ProfileDownloaded
    | DownloadFailed
    | ProfileEnabled
    | EnableFailed
    | DeviceFound
    | SubscriberFound
    | SubscriberUnknown
    | GutiResolved
    | TunnelOpened
    | StoreFailed
    | AaaAnswered
    | AaaSilent
    | RadioBearerOpened
)
"""Events that answer an Ask; each comes with the ticket of its question, a stale one is dropped."""
