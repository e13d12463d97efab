"""What is told about a profile: StoreMetadata (BF25), and notification metadata (BF2F) with its signed forms.

Knows how they are written; not when a card makes them.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from rprov.errors import DecodeError
from rprov.model.identifiers import Iccid, Plmn, swap_nibbles
from rprov.provision.sgp22.tlv import (
    Reader,
    Tlv,
    bits,
    fixed,
    integer,
    open_tlv,
    read_bits,
    read_integer,
    read_text,
    tlv,
)

MAX_SEQUENCE = (1 << 31) - 1
MAX_RECEIVERS = 16
MAX_ADDRESS = 255


class Event(IntEnum):
    """What a notification tells: the number of its bit in NotificationEvent (SGP.22 5.7.9)."""

    INSTALL = 0
    ENABLE = 1
    DISABLE = 2
    DELETE = 3


class ProfileClass(IntEnum):
    """SGP.22 4.4."""

    TEST = 0
    PROVISIONING = 1
    OPERATIONAL = 2


def read_iccid(octets: bytes) -> Iccid:
    """Read an ICCID in the swapped order of tag 5A."""
    return Iccid.parse(swap_nibbles(fixed(octets, 10, "an ICCID")).hex())


def plmn_octets(plmn: Plmn) -> bytes:
    """MCC and MNC in the three octets of TS 24.008 10.5.1.13."""
    mnc = plmn.mnc.ljust(3, "F")
    return bytes.fromhex(plmn.mcc[1] + plmn.mcc[0] + mnc[2] + plmn.mcc[2] + mnc[1] + mnc[0])


@dataclass(frozen=True, slots=True)
class Receiver:
    """An address that wants to hear of some events of the profile."""

    events: frozenset[Event]
    address: str


@dataclass(frozen=True, slots=True)
class ProfileMetadata:
    """StoreMetadata (SGP.22 5.5.3). `raw` is what was received or made; nothing is ever encoded anew from the fields.

    `tail` holds the elements from 91 on in their order, so that a card can list icons and owners it does not read.
    """

    iccid: Iccid
    provider: str
    name: str
    profile_class: ProfileClass
    receivers: tuple[Receiver, ...]
    policy_rules: frozenset[int]
    tail: tuple[Tlv, ...]
    raw: bytes

    @classmethod
    def build(cls, iccid: Iccid, provider: str, name: str, owner: Plmn, receivers: tuple[Receiver, ...] = ()) -> Self:
        """Make the metadata of an operational profile."""
        parts = [
            tlv(0x5A, iccid.swapped_octets),
            tlv(0x91, provider.encode()),
            tlv(0x92, name.encode()),
            tlv(0x95, bytes((ProfileClass.OPERATIONAL,))),
        ]
        if receivers:
            lines = (tlv(0x30, tlv(0x80, bits(item.events)), tlv(0x81, item.address.encode())) for item in receivers)
            parts.append(tlv(0xB6, *lines))
        parts.append(tlv(0xB7, tlv(0x80, plmn_octets(owner))))
        return cls.decode(tlv(0xBF25, *parts))

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF25; raises DecodeError."""
        what = "profile metadata"
        reader = open_tlv(octets, 0xBF25, what)
        iccid = read_iccid(reader.take(0x5A).value)
        tail = tuple(reader.rest())
        by_tag = {element.tag: element.value for element in tail}
        if len(by_tag) != len(tail):
            raise DecodeError(f"{what}: an element stands twice")
        if 0x91 not in by_tag or 0x92 not in by_tag:
            raise DecodeError(f"{what}: the names of provider and profile are missing")
        number = read_integer(by_tag.get(0x95, b"\x02"), what, 127)
        if number not in {item.value for item in ProfileClass}:
            raise DecodeError(f"{what}: unknown profile class {number}")
        if len(by_tag.get(0x94, b"")) > 1024:
            raise DecodeError(f"{what}: an icon of more than 1024 octets")
        return cls(
            iccid,
            read_text(by_tag[0x91], what, 32),
            read_text(by_tag[0x92], what, 64),
            ProfileClass(number),
            _receivers(by_tag.get(0xB6, b""), what),
            read_bits(by_tag.get(0x99, b"\x00"), what),
            tail,
            octets,
        )


def _receivers(octets: bytes, what: str) -> tuple[Receiver, ...]:
    reader = Reader(octets, what)
    found: list[Receiver] = []
    while reader.peek() is not None:
        if len(found) == MAX_RECEIVERS:
            raise DecodeError(f"{what}: more than {MAX_RECEIVERS} receivers of notifications")
        line = Reader(reader.take(0x30).value, what)
        events = known_events(line.take(0x80).value, what)
        found.append(Receiver(events, read_text(line.take(0x81).value, what, MAX_ADDRESS)))
    return tuple(found)


def known_events(octets: bytes, what: str) -> frozenset[Event]:
    """Read a set of events; bits that later versions added are skipped."""
    numbers = read_bits(octets, what)
    return frozenset(event for event in Event if event in numbers)


# --- notifications ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotificationMetadata:
    """NotificationMetadata (SGP.22 5.7.9): which, of what, for whom, about which profile."""

    sequence: int
    event: Event
    address: str
    iccid: Iccid | None
    raw: bytes

    @classmethod
    def build(cls, sequence: int, event: Event, address: str, iccid: Iccid | None) -> Self:
        """Make the BF2F of a notification."""
        parts = [tlv(0x80, integer(sequence)), tlv(0x81, bits((event,))), tlv(0x0C, address.encode())]
        if iccid is not None:
            parts.append(tlv(0x5A, iccid.swapped_octets))
        return cls(sequence, event, address, iccid, tlv(0xBF2F, *parts))

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF2F; raises DecodeError."""
        what = "notification metadata"
        reader = open_tlv(octets, 0xBF2F, what)
        sequence = read_integer(reader.take(0x80).value, what, MAX_SEQUENCE)
        events = known_events(reader.take(0x81).value, what)
        if len(events) != 1:
            raise DecodeError(f"{what}: not one event")
        address = read_text(reader.take(0x0C).value, what, MAX_ADDRESS)
        iccid = reader.optional(0x5A)
        reader.finish()
        return cls(sequence, next(iter(events)), address, read_iccid(iccid.value) if iccid else None, octets)


@dataclass(frozen=True, slots=True)
class InstallationFailure:
    """ErrorResult: the command of the bound package that failed, and why (`codes`)."""

    command: int
    reason: int


@dataclass(frozen=True, slots=True)
class InstallationResult:
    """ProfileInstallationResult, BF37 (SGP.22 2.5.6). `signed` is the BF27 that the eUICC signed.

    `outcome` is the AID of the new ISD-P, or what failed.
    """

    transaction_id: bytes
    notification: NotificationMetadata
    smdp_oid: bytes
    outcome: bytes | InstallationFailure
    signed: bytes
    signature: bytes

    @staticmethod
    def build_signed(
        transaction_id: bytes,
        notification: NotificationMetadata,
        smdp_oid: bytes,
        outcome: bytes | InstallationFailure,
    ) -> bytes:
        """Make the BF27 that is then signed."""
        if isinstance(outcome, bytes):
            result = tlv(0xA0, tlv(0x4F, outcome), tlv(0x04, _PE_STATUS_OK))
        else:
            result = tlv(0xA1, tlv(0x80, integer(outcome.command)), tlv(0x81, integer(outcome.reason)))
        return tlv(0xBF27, tlv(0x80, transaction_id), notification.raw, tlv(0x06, smdp_oid), tlv(0xA2, result))

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF37; raises DecodeError. The signature is not checked here."""
        what = "installation result"
        outer = open_tlv(octets, 0xBF37, what)
        signed = outer.take(0xBF27)
        signature = fixed(outer.take(0x5F37).value, 64, what)
        outer.finish()
        reader = Reader(signed.value, what)
        transaction_id = read_transaction_id(reader.take(0x80).value, what)
        notification = NotificationMetadata.decode(reader.take(0xBF2F).raw)
        smdp_oid = reader.take(0x06).value
        result = Reader(reader.take(0xA2).value, what)
        reader.finish()
        if result.peek() == 0xA0:
            success = Reader(result.take(0xA0).value, what)
            outcome: bytes | InstallationFailure = success.take(0x4F).value
        else:
            error = Reader(result.take(0xA1).value, what)
            command = read_integer(error.take(0x80).value, what, 127)
            outcome = InstallationFailure(command, read_integer(error.take(0x81).value, what, 127))
        result.finish()
        return cls(transaction_id, notification, smdp_oid, outcome, signed.raw, signature)


_PE_STATUS_OK = bytes.fromhex("3007a0053003800100")
"""A list of one profile element status, "ok": what a card says of a package without complaint."""


@dataclass(frozen=True, slots=True)
class SignedNotification:
    """OtherSignedNotification (SGP.22 2.5.6): enable, disable, delete; with the certificates to check it by."""

    notification: NotificationMetadata
    signature: bytes
    euicc_certificate: bytes
    eum_certificate: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole notification; raises DecodeError. The signature is not checked here."""
        what = "signed notification"
        reader = open_tlv(octets, 0x30, what)
        metadata = NotificationMetadata.decode(reader.take(0xBF2F).raw)
        signature = fixed(reader.take(0x5F37).value, 64, what)
        certificates = reader.take(0x30).raw, reader.take(0x30).raw
        reader.finish()
        return cls(metadata, signature, *certificates)


def read_transaction_id(octets: bytes, what: str) -> bytes:
    """Insist on 1 to 16 octets (SGP.22 5.6.1)."""
    if not 1 <= len(octets) <= 16:
        raise DecodeError(f"{what}: a transactionId has 1 to 16 octets")
    return octets
