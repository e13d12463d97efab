"""What a card keeps when the power goes: certificates, profiles, notifications. A value; changing it makes a new one.

Private keys are not here, only references to them. K and OPc of the profiles are: whoever stores the octets of
`CardState.encode` seals them.
"""

from dataclasses import dataclass, replace
from typing import Self

from rprov.errors import DecodeError
from rprov.model.identifiers import Eid, Iccid, Imsi, Plmn
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm
from rprov.provision.profile import SQN_SLOTS, ProfileContents, SuciKey, build_profile, parse_profile
from rprov.provision.sgp22.metadata import (
    MAX_ADDRESS,
    MAX_SEQUENCE,
    Event,
    InstallationResult,
    NotificationMetadata,
    ProfileMetadata,
    SignedNotification,
)
from rprov.provision.sgp22.tlv import (
    Reader,
    boolean,
    fixed,
    integer,
    open_tlv,
    read_boolean,
    read_integer,
    read_text,
    tlv,
)

MAX_PROFILES = 16
MAX_NOTIFICATIONS = 64
MAX_NICKNAME = 64
MEMORY = 1 << 20
"""Octets for profiles that the card says it has."""

_ISD_P_FRONT = bytes.fromhex("A0000005591010FFFFFFFF8900")
_FIRST_ISD_P = 0x0010  # SGP.02 2.2.3
_VERSION = 1


@dataclass(frozen=True, slots=True)
class CardCredential:
    """A certificate of the card, its EUM's, the CI above both, and the name under which the private key is found."""

    ci_id: bytes
    certificate: bytes
    eum_certificate: bytes
    key_reference: str


@dataclass(frozen=True, slots=True)
class InstalledProfile:
    """A profile on the card. `ci_id` is the CI of its download, under which the card signs what it tells later."""

    aid: bytes
    metadata: ProfileMetadata
    contents: ProfileContents
    ci_id: bytes
    enabled: bool = False
    nickname: str = ""

    @property
    def iccid(self) -> Iccid:
        """The profile's number."""
        return self.contents.iccid

    @property
    def imsi(self) -> Imsi:
        """The subscriber."""
        return self.contents.imsi

    @property
    def home(self) -> Plmn:
        """The home network."""
        return self.contents.home

    @property
    def k(self) -> Secret:
        """The subscriber key."""
        return self.contents.k

    @property
    def opc(self) -> Secret:
        """Milenage's OPc, or TUAK's TOPc."""
        return self.contents.opc

    @property
    def algorithm(self) -> AkaAlgorithm:
        """The USIM's authentication functions."""
        return self.contents.algorithm

    @property
    def keccaks(self) -> int:
        """How often TUAK permutes."""
        return self.contents.keccaks

    @property
    def sqn_array(self) -> tuple[int, ...]:
        """The sequence numbers accepted last, one per index (TS 33.102 C.2.2)."""
        return self.contents.sqn_array

    @property
    def suci_key(self) -> SuciKey | None:
        """How the SUPI is concealed; None: the null scheme."""
        return self.contents.suci_key

    @property
    def routing_indicator(self) -> str:
        """Routing indicator of the SUCI."""
        return self.contents.routing_indicator

    def encode(self) -> bytes:
        """Write it down."""
        return tlv(
            0x30,
            tlv(0x4F, self.aid),
            self.metadata.raw,
            tlv(0x04, build_profile(self.contents)),
            tlv(0x80, self.ci_id),
            tlv(0x01, boolean(self.enabled)),
            tlv(0x90, self.nickname.encode()),
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read it; raises DecodeError."""
        what = "installed profile"
        reader = open_tlv(octets, 0x30, what)
        profile = cls(
            fixed(reader.take(0x4F).value, 16, what),
            ProfileMetadata.decode(reader.take(0xBF25).raw),
            parse_profile(reader.take(0x04).value),
            fixed(reader.take(0x80).value, 20, what),
            read_boolean(reader.take(0x01).value, what),
            read_text(reader.take(0x90).value, what, MAX_NICKNAME),
        )
        reader.finish()
        return profile


@dataclass(frozen=True, slots=True)
class PendingNotification:
    """A notification that nobody has taken yet: what it tells, and its signed octets (BF37 or 30)."""

    metadata: NotificationMetadata
    octets: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read the metadata out of the signed octets; raises DecodeError."""
        if octets.startswith(b"\xbf\x37"):
            return cls(InstallationResult.decode(octets).notification, octets)
        return cls(SignedNotification.decode(octets).notification, octets)


@dataclass(frozen=True, slots=True)
class CardState:
    """Everything that outlives the power."""

    eid: Eid
    credentials: tuple[CardCredential, ...]
    profiles: tuple[InstalledProfile, ...] = ()
    notifications: tuple[PendingNotification, ...] = ()
    next_sequence: int = 1
    default_smdp: str = ""

    def profile(self, iccid: Iccid) -> InstalledProfile | None:
        """The profile with this number."""
        return next((profile for profile in self.profiles if profile.iccid == iccid), None)

    @property
    def enabled_profile(self) -> InstalledProfile | None:
        """The profile that the device attaches with."""
        return next((profile for profile in self.profiles if profile.enabled), None)

    @property
    def free_memory(self) -> int:
        """Octets left for profiles."""
        used = sum(len(build_profile(profile.contents)) + len(profile.metadata.raw) for profile in self.profiles)
        return max(MEMORY - used, 0)

    @property
    def free_aid(self) -> bytes:
        """The lowest AID of an ISD-P that no profile has."""
        taken = {profile.aid for profile in self.profiles}
        numbers = range(_FIRST_ISD_P, _FIRST_ISD_P + MAX_PROFILES + 1)
        candidates = (_ISD_P_FRONT + number.to_bytes(2, "big") + b"\x00" for number in numbers)
        return next(aid for aid in candidates if aid not in taken)

    def with_profile(self, profile: InstalledProfile) -> Self:
        """The state in which `profile` stands in place of the one with its ICCID, or behind the others."""
        if self.profile(profile.iccid) is None:
            return replace(self, profiles=(*self.profiles, profile))
        return replace(self, profiles=tuple(profile if item.iccid == profile.iccid else item for item in self.profiles))

    def with_sequence_numbers(self, iccid: Iccid, sqn_array: tuple[int, ...]) -> Self:
        """The state in which the USIM of this profile remembers `sqn_array`; raises DecodeError on a wrong one."""
        profile = self.profile(iccid)
        if profile is None or len(sqn_array) != SQN_SLOTS:
            raise DecodeError(f"no profile {iccid}, or not {SQN_SLOTS} sequence numbers")
        return self.with_profile(replace(profile, contents=replace(profile.contents, sqn_array=sqn_array)))

    def with_notification(self, notification: PendingNotification) -> Self:
        """The state that remembers one more notification; the oldest is forgotten when there are too many."""
        kept = (*self.notifications, notification)[-MAX_NOTIFICATIONS:]
        return replace(self, notifications=kept, next_sequence=notification.metadata.sequence % MAX_SEQUENCE + 1)

    def pending(self, events: frozenset[Event]) -> tuple[PendingNotification, ...]:
        """The notifications of these events, oldest first."""
        return tuple(item for item in self.notifications if item.metadata.event in events)

    def encode(self) -> bytes:
        """Write everything down. The octets hold K and OPc: seal them."""
        credentials = (
            tlv(0x30, tlv(0x04, item.ci_id), item.certificate, item.eum_certificate, tlv(0x0C, _utf8(item)))
            for item in self.credentials
        )
        return tlv(
            0x30,
            tlv(0x80, integer(_VERSION)),
            tlv(0x5A, self.eid.octets),
            tlv(0xA1, *credentials),
            tlv(0xA2, *(profile.encode() for profile in self.profiles)),
            tlv(0xA3, *(item.octets for item in self.notifications)),
            tlv(0x84, integer(self.next_sequence)),
            tlv(0x85, self.default_smdp.encode()),
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read what `encode` wrote; raises DecodeError."""
        what = "card state"
        reader = open_tlv(octets, 0x30, what)
        version = read_integer(reader.take(0x80).value, what, 1 << 16)
        if version != _VERSION:
            raise DecodeError(f"{what}: version {version} is not known")
        eid = Eid.from_octets(reader.take(0x5A).value)
        credentials = tuple(_credential(item.raw) for item in Reader(reader.take(0xA1).value, what).rest())
        profiles = tuple(InstalledProfile.decode(item.raw) for item in Reader(reader.take(0xA2).value, what).rest())
        pending = tuple(PendingNotification.decode(item.raw) for item in Reader(reader.take(0xA3).value, what).rest())
        next_sequence = read_integer(reader.take(0x84).value, what, MAX_SEQUENCE)
        default_smdp = read_text(reader.take(0x85).value, what, MAX_ADDRESS)
        reader.finish()
        return cls(eid, credentials, profiles, pending, next_sequence, default_smdp)


def _utf8(credential: CardCredential) -> bytes:
    return credential.key_reference.encode()


def _credential(octets: bytes) -> CardCredential:
    what = "card credential"
    reader = open_tlv(octets, 0x30, what)
    credential = CardCredential(
        fixed(reader.take(0x04).value, 20, what),
        reader.take(0x30).raw,
        reader.take(0x30).raw,
        read_text(reader.take(0x0C).value, what, 255),
    )
    reader.finish()
    return credential
