"""Every NAS-like message, in the order of the seven steps. Values only: no format in sight.

Fields follow the 5GS meaning (TS 24.501 clause 8), so that another wire format can map them one to one.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from rprov.causes import Cause
from rprov.model.identifiers import Dnn, Eid, EidHint, Guti, SNssai, Suci
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import ProvisioningServer, SessionKind

NO_KEY = 7
"""The key set identifier that says: no key is available (TS 24.501 9.11.3.32)."""


ABBA = b"\x00\x00"
"""The initial set of 5GS security features (TS 33.501 A.7.1): K_AUSF comes from EMSK, or from AKA."""

ABBA_MSK = b"\x00\x01"
"""Announces that K_AUSF comes from MSK, for the network has an AAA server that keeps EMSK (TS 33.501 I.2.2.2.2).

Whoever shares that server holds the MSK too, so a UE takes it only where its own configuration says so."""


class AttachType(IntEnum):
    """Why a UE attaches. `REMOTE_PROVISIONING` is the new attach type of TR 23.799 solution 12.X."""

    INITIAL = 0
    MOBILITY_UPDATE = 1
    PERIODIC_UPDATE = 2
    EMERGENCY = 3
    REMOTE_PROVISIONING = 4


class IdentityType(IntEnum):
    """Which identity the network asks for."""

    SUCI = 0
    GUTI = 1
    EID = 2


Identity = Eid | EidHint | Suci | Guti


# --- step 1: attach request -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """UE -> CP. Asks to be let in, for the purpose that the attach type names."""

    attach_type: AttachType
    identity: Identity
    ksi: int
    capability: SecurityCapability
    requested_session: SessionKind | None = None


@dataclass(frozen=True, slots=True)
class IdentityRequest:
    """CP -> UE. Asks for another identity than the one given."""

    identity_type: IdentityType


@dataclass(frozen=True, slots=True)
class IdentityResponse:
    """UE -> CP. The identity that was asked for."""

    identity: Identity


# --- step 2: authentication ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Eap:
    """One EAP packet, whole, carried as it is (at most 1,500 octets)."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class AkaChallenge:
    """RAND and AUTN of 5G-AKA, 16 octets each."""

    rand: bytes
    autn: bytes


@dataclass(frozen=True, slots=True)
class AkaAnswer:
    """RES* of 5G-AKA, 16 octets."""

    res_star: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationRequest:
    """CP -> UE. One round of EAP, or the challenge of 5G-AKA. `ksi` 0..6 names the keys to come; `abba` 2 octets."""

    ksi: int
    abba: bytes
    challenge: Eap | AkaChallenge


@dataclass(frozen=True, slots=True)
class AuthenticationResponse:
    """UE -> CP. The answer to one round."""

    answer: Eap | AkaAnswer


@dataclass(frozen=True, slots=True)
class AuthenticationFailure:
    """UE -> CP. The UE refuses the network: the cause, AUTS (14 octets) for a resynchronisation, or the EAP packet
    that carries the TLS alert."""

    cause: Cause
    auts: bytes | None = None
    eap: Eap | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """CP -> UE. An EAP packet that ends an exchange whose success did not travel in a SecurityModeCommand."""

    ksi: int
    abba: bytes
    eap: Eap


@dataclass(frozen=True, slots=True)
class AuthenticationReject:
    """CP -> UE. The network refuses the UE."""

    cause: Cause
    eap: Eap | None = None


# --- step 3: security mode and attach -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SecurityModeCommand:
    """CP -> UE. Takes the new keys into use; replays the UE's capabilities; carries the EAP-Success."""

    nea: Nea
    nia: Nia
    ksi: int
    capability: SecurityCapability
    abba: bytes
    eap: Eap | None = None


@dataclass(frozen=True, slots=True)
class SecurityModeComplete:
    """UE -> CP. Carries the complete AttachRequest, octet by octet as it was sent (NAS message container)."""

    attach_request: bytes


@dataclass(frozen=True, slots=True)
class SecurityModeReject:
    """UE -> CP. The UE does not take the keys into use."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class AttachAccept:
    """CP -> UE. `lifetime` is how many seconds the scope lasts (0: no limit); `t3512` the periodic timer, seconds."""

    guti: Guti
    scope: Scope
    lifetime: int
    t3512: int


@dataclass(frozen=True, slots=True)
class AttachComplete:
    """UE -> CP. The GUTI is in use."""


@dataclass(frozen=True, slots=True)
class AttachReject:
    """CP -> UE. `backoff` is how many seconds the UE should wait before it tries again."""

    cause: Cause
    backoff: int | None = None


# --- step 4: PDU session --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PduSessionRequest:
    """UE -> CP. `session_id` 1..15, chosen by the UE; without `dnn` or `s_nssai` it takes what the network gives."""

    session_id: int
    kind: SessionKind
    dnn: Dnn | None = None
    s_nssai: SNssai | None = None


@dataclass(frozen=True, slots=True)
class PduSessionAccept:
    """CP -> UE. The UE's address, its resolver, MTU in octets, lifetime in seconds and quota in octets (0: none)."""

    session_id: int
    kind: SessionKind
    address: IPv4Address
    dns: IPv4Address
    mtu: int
    lifetime: int
    quota: int
    provisioning_servers: tuple[ProvisioningServer, ...] = ()
    dnn: Dnn | None = None
    s_nssai: SNssai | None = None


@dataclass(frozen=True, slots=True)
class PduSessionReject:
    """CP -> UE. No session; `backoff` in seconds."""

    session_id: int
    cause: Cause
    backoff: int | None = None


@dataclass(frozen=True, slots=True)
class PduSessionReleaseRequest:
    """UE -> CP. The UE wants the session to end."""

    session_id: int


@dataclass(frozen=True, slots=True)
class PduSessionReleaseCommand:
    """CP -> UE. The session ends."""

    session_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class PduSessionReleaseComplete:
    """UE -> CP. The session has ended here too."""

    session_id: int


# --- step 6: detach -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DetachRequest:
    """Both directions. With `switch_off` no answer is expected."""

    cause: Cause
    switch_off: bool = False


@dataclass(frozen=True, slots=True)
class DetachAccept:
    """Both directions. Detached."""


# --- any time -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConfigurationUpdateCommand:
    """CP -> UE. A new GUTI, or a new rest of the scope's lifetime in seconds."""

    guti: Guti | None = None
    lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationUpdateComplete:
    """UE -> CP. The configuration is in use."""


@dataclass(frozen=True, slots=True)
class Status:
    """Both directions. A message could not be used; nothing changed."""

    cause: Cause


NasMessage = (
    AttachRequest
    | IdentityRequest
    | IdentityResponse
    | AuthenticationRequest
    | AuthenticationResponse
    | AuthenticationFailure
    | AuthenticationResult
    | AuthenticationReject
    | SecurityModeCommand
    | SecurityModeComplete
    | SecurityModeReject
    | AttachAccept
    | AttachComplete
    | AttachReject
    | PduSessionRequest
    | PduSessionAccept
    | PduSessionReject
    | PduSessionReleaseRequest
    | PduSessionReleaseCommand
    | PduSessionReleaseComplete
    | DetachRequest
    | DetachAccept
    | ConfigurationUpdateCommand
    | ConfigurationUpdateComplete
    | Status
)
