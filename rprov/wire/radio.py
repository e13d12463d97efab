"""Messages on the radio link, between UE and RAN. Values and the fixed header; the RRC messages' octets are in
`radio_asn1.py`.

    +------------------+---------------------------------------------------------------
    | ueRadioId (4)    | 0: an RRC message of the cell (UPER), else a PDCP PDU of the UE's SRB
    +------------------+---------------------------------------------------------------
                         PDCP PDU of an SRB: | SN (2, 12 bits used) | kind | payload | MAC-I (4) |
    kind 0: an RRC message (UPER)   kind 1: a NAS PDU as it is
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.model.identifiers import Plmn, UeRadioId
from rprov.model.security import Nea, Nia
from rprov.model.session import UserPlaneAddress


@dataclass(frozen=True, slots=True)
class CellInfo:
    """RAN -> everyone, first on the link: what the cell announces. Not authenticated; keys and certificate confirm."""

    plmn: Plmn
    cell_id: int
    provisioning_offered: bool


@dataclass(frozen=True, slots=True)
class RrcSetupRequest:
    """UE -> RAN. `transaction` is 4 random octets by which the UE knows its answer."""

    transaction: bytes


@dataclass(frozen=True, slots=True)
class RrcSetup:
    """RAN -> UE. From here the UE is addressed by `ue_radio_id`."""

    transaction: bytes
    ue_radio_id: UeRadioId


@dataclass(frozen=True, slots=True)
class RrcReject:
    """RAN -> UE. `backoff` in seconds."""

    transaction: bytes
    cause: Cause
    backoff: int


@dataclass(frozen=True, slots=True)
class AsSecurityModeCommand:
    """RAN -> UE, step 3. Integrity protected with the new keys, not ciphered (TS 33.501 6.7.4)."""

    nea: Nea
    nia: Nia


@dataclass(frozen=True, slots=True)
class AsSecurityModeComplete:
    """UE -> RAN. Integrity protected, not ciphered; everything after it is ciphered."""


@dataclass(frozen=True, slots=True)
class AsSecurityModeFailure:
    """UE -> RAN. Unprotected; the old configuration stays (TS 33.501 6.7.4)."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class BearerAddition:
    """A data radio bearer (`bearer` 1..29): session, protection, and where the RAN receives user packets."""

    bearer: int
    session_id: int
    integrity: bool
    ciphering: bool
    ran: UserPlaneAddress


@dataclass(frozen=True, slots=True)
class RrcReconfiguration:
    """RAN -> UE, step 4. Adds or releases a data radio bearer."""

    add: BearerAddition | None = None
    release: int | None = None


@dataclass(frozen=True, slots=True)
class RrcReconfigurationComplete:
    """UE -> RAN. `ue` is where the UE receives user packets, given when a bearer was added."""

    ue: UserPlaneAddress | None = None


@dataclass(frozen=True, slots=True)
class RrcRelease:
    """RAN -> UE. The radio connection ends."""

    cause: Cause


RadioMessage = (
    CellInfo
    | RrcSetupRequest
    | RrcSetup
    | RrcReject
    | AsSecurityModeCommand
    | AsSecurityModeComplete
    | AsSecurityModeFailure
    | RrcReconfiguration
    | RrcReconfigurationComplete
    | RrcRelease
)


class SrbKind(IntEnum):
    """What the first octet inside an SRB's PDCP PDU says."""

    RRC = 0
    NAS = 1


_HEADER = Struct(">I")


@dataclass(frozen=True, slots=True)
class RadioFrame:
    """One message of the radio link with its header; `payload` is an RRC message for UE 0, else a PDCP PDU."""

    ue_radio_id: UeRadioId
    payload: bytes

    def encode(self) -> bytes:
        """Give the octets."""
        return _HEADER.pack(self.ue_radio_id) + self.payload


def decode_radio_frame(octets: bytes) -> RadioFrame:
    """Read one message; raises `DecodeError`."""
    if len(octets) <= _HEADER.size:
        raise DecodeError("a radio message is shorter than its header and one octet")
    (ue_radio_id,) = _HEADER.unpack_from(octets)
    return RadioFrame(UeRadioId(ue_radio_id), octets[_HEADER.size :])


def encode_srb(kind: SrbKind, payload: bytes) -> bytes:
    """Put the kind before what a PDCP PDU of an SRB carries."""
    return bytes((kind,)) + payload


def decode_srb(octets: bytes) -> tuple[SrbKind, bytes]:
    """Read what a PDCP PDU of an SRB carries; raises `DecodeError`."""
    if len(octets) < 2 or octets[0] not in (SrbKind.RRC, SrbKind.NAS):
        raise DecodeError("an SRB carries neither RRC nor NAS")
    return SrbKind(octets[0]), octets[1:]
