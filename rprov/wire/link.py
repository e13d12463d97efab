"""Messages on N2, between RAN and CP. Values and the fixed header; the control messages' octets are in `link_asn1.py`.

    +----------------+----------------+------+-------------------------------
    | ranUeId (4)    | cpUeId (4)     | kind | payload
    +----------------+----------------+------+-------------------------------
    kind 0: a control message (UPER)   kind 1: a NAS PDU as it is   kind 2: the first NAS PDU of a UE

Both ids are 0 in messages of the link itself. NAS is never wrapped in ASN.1 again: the RAN relays it unseen.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.model.identifiers import CpUeId, Plmn, RanUeId
from rprov.model.secret import Secret
from rprov.model.security import SecurityCapability
from rprov.model.session import TunnelEnd


@dataclass(frozen=True, slots=True)
class N2SetupRequest:
    """RAN -> CP, first on the link."""

    ran_name: str
    plmn: Plmn
    cell_id: int


@dataclass(frozen=True, slots=True)
class N2SetupResponse:
    """CP -> RAN. What the RAN announces in its cell."""

    cp_name: str
    plmn: Plmn
    provisioning_offered: bool


@dataclass(frozen=True, slots=True)
class N2SetupFailure:
    """CP -> RAN."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class InitialContextSetupRequest:
    """CP -> RAN, step 3. K_gNB (32 octets) and the UE's capabilities; never EID, SUPI or NAS keys."""

    k_gnb: Secret
    capability: SecurityCapability


@dataclass(frozen=True, slots=True)
class InitialContextSetupResponse:
    """RAN -> CP. AS security runs."""


@dataclass(frozen=True, slots=True)
class InitialContextSetupFailure:
    """RAN -> CP. No AS security."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class SessionResourceSetupRequest:
    """CP -> RAN, step 4. Where the UP receives; which protection the radio must give (TS 33.501 6.6.1)."""

    session_id: int
    uplink: TunnelEnd
    integrity_required: bool
    confidentiality_required: bool


@dataclass(frozen=True, slots=True)
class SessionResourceSetupResponse:
    """RAN -> CP. Where the RAN receives."""

    session_id: int
    downlink: TunnelEnd


@dataclass(frozen=True, slots=True)
class SessionResourceSetupFailure:
    """RAN -> CP."""

    session_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class SessionResourceReleaseCommand:
    """CP -> RAN."""

    session_id: int


@dataclass(frozen=True, slots=True)
class SessionResourceReleaseResponse:
    """RAN -> CP."""

    session_id: int


@dataclass(frozen=True, slots=True)
class UeContextReleaseRequest:
    """RAN -> CP. The RAN wants the UE's context to go, because the radio link is lost."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class UeContextReleaseCommand:
    """CP -> RAN. Everything of this UE goes."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class UeContextReleaseComplete:
    """RAN -> CP. Everything of this UE is gone."""


@dataclass(frozen=True, slots=True)
class ErrorIndication:
    """Both directions. A message could not be used."""

    cause: Cause


LinkMessage = (
    N2SetupRequest
    | N2SetupResponse
    | N2SetupFailure
    | InitialContextSetupRequest
    | InitialContextSetupResponse
    | InitialContextSetupFailure
    | SessionResourceSetupRequest
    | SessionResourceSetupResponse
    | SessionResourceSetupFailure
    | SessionResourceReleaseCommand
    | SessionResourceReleaseResponse
    | UeContextReleaseRequest
    | UeContextReleaseCommand
    | UeContextReleaseComplete
    | ErrorIndication
)


class N2Kind(IntEnum):
    """What follows the header."""

    CONTROL = 0
    NAS = 1
    INITIAL_NAS = 2


_HEADER = Struct(">IIB")


@dataclass(frozen=True, slots=True)
class N2Frame:
    """One message of the link with its header."""

    ran_ue_id: RanUeId
    cp_ue_id: CpUeId
    kind: N2Kind
    payload: bytes

    def encode(self) -> bytes:
        """Give the octets."""
        return _HEADER.pack(self.ran_ue_id, self.cp_ue_id, self.kind) + self.payload


def decode_n2_frame(octets: bytes) -> N2Frame:
    """Read one message; raises `DecodeError`."""
    if len(octets) <= _HEADER.size:
        raise DecodeError("an N2 message is shorter than its header and one octet")
    ran_ue_id, cp_ue_id, kind = _HEADER.unpack_from(octets)
    try:
        return N2Frame(RanUeId(ran_ue_id), CpUeId(cp_ue_id), N2Kind(kind), octets[_HEADER.size :])
    except ValueError:
        raise DecodeError(f"unknown kind {kind} of N2 message") from None
