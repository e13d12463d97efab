"""What a handler wants done, in the imperative. The endpoint performs the first group, the shell the others."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from rprov.auth.radius_exchange import AccessRequest
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAmf
from rprov.crypto.x509_crl import CertificateId
from rprov.model.identifiers import Eid, Guti, Iccid, Supi, Teid
from rprov.model.records import ContextRecord
from rprov.model.report import ReportItem
from rprov.model.security import Algorithms, Scope
from rprov.model.session import ProvisioningServer, SessionKind, TunnelEnd, UserPlaneAddress
from rprov.procedure.decisions import Decide, Identify
from rprov.procedure.events import CellFound, RadioLost, Timer
from rprov.procedure.purpose import Step
from rprov.security.pdcp import PdcpEntity, PdcpKeys
from rprov.wire.link import LinkMessage
from rprov.wire.messages import NasMessage
from rprov.wire.radio import RadioMessage

# --- performed by the endpoint ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a NAS message, protected as the contexts that there are allow."""

    message: NasMessage


@dataclass(frozen=True, slots=True)
class SendN2:
    """Send a control message on N2."""

    message: LinkMessage


@dataclass(frozen=True, slots=True)
class SendRrc:
    """Send an RRC message; `cell` for one that is not addressed to a UE."""

    message: RadioMessage
    cell: bool = False


@dataclass(frozen=True, slots=True)
class RelayUp:
    """Carry a NAS PDU towards the CP as it is (RAN; UE access layer)."""

    pdu: bytes


@dataclass(frozen=True, slots=True)
class RelayDown:
    """Carry a NAS PDU towards the UE as it is (RAN)."""

    pdu: bytes


@dataclass(frozen=True, slots=True)
class InstallContext:
    """Make a context beside the one in use; it serves SecurityMode messages only until TakeIntoUse (CP)."""

    ksi: int
    k_amf: KAmf
    algorithms: Algorithms
    scope: Scope


@dataclass(frozen=True, slots=True)
class HoldPartial:
    """Keep K_AMF for verifying one SecurityModeCommand and nothing else (UE)."""

    ksi: int
    k_amf: KAmf
    scope: Scope


@dataclass(frozen=True, slots=True)
class TakeIntoUse:
    """The context beside becomes the one in use; the old one dies."""


@dataclass(frozen=True, slots=True)
class DropContexts:
    """Erase every NAS key."""


@dataclass(frozen=True, slots=True)
class GiveKgnb:
    """Derive K_gNB from the COUNT of the message just sent and give it to the access layer (UE)."""


@dataclass(frozen=True, slots=True)
class SecureSrb:
    """Protect the integrity of the signalling bearer with these keys from the next message on."""

    keys: PdcpKeys


@dataclass(frozen=True, slots=True)
class RestoreSrb:
    """Go back to the signalling bearer without keys: the UE does not take them into use (RAN)."""


@dataclass(frozen=True, slots=True)
class CipherSrb:
    """Cipher the signalling bearer in these directions from the next message on."""

    sending: bool = False
    receiving: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the layer above (UE access layer)."""

    event: CellFound | RadioLost


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Keep this answer, protected now, for a detach that is repeated after the keys are gone."""

    message: NasMessage


@dataclass(frozen=True, slots=True)
class FindCell:
    """Ask the access layer for the cell; CellFound answers as soon as there is one (UE)."""


# --- timers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Start or restart a timer; `generation` is filled in by the endpoint."""

    timer: Timer
    seconds: float
    generation: int = 0


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Stop a timer; a firing under way is stale from now on."""

    timer: Timer


# --- questions to the shell: one answer each --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookUpDevice:
    """One combined look-up of everything that a provisioning attach needs."""

    eid: Eid


@dataclass(frozen=True, slots=True)
class ReserveVector:
    """The subscriber with a fresh sequence number; `resynchronise` is SQN_MS to set first (TS 33.102 6.3.5)."""

    supi: Supi
    resynchronise: int | None = None


@dataclass(frozen=True, slots=True)
class ResolveGuti:
    """Whose is this temporary identity?"""

    guti: Guti


@dataclass(frozen=True, slots=True)
class AskAaa:
    """Ask the AAA server that began the exchange, or the first one that answers where none has yet."""

    request: AccessRequest


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """Make a session in the UP with its filter: for provisioning only `servers` on TCP, `quota` octets (0: none)."""

    kind: SessionKind
    servers: tuple[ProvisioningServer, ...]
    quota: int
    lifetime: int


@dataclass(frozen=True, slots=True)
class OpenRadioBearer:
    """Make a data radio bearer in the RAN, still without the UE's address."""

    bearer: int
    uplink: TunnelEnd
    pdcp: PdcpEntity


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the profile from one of these servers over the session (UE, step 5)."""

    servers: tuple[ProvisioningServer, ...]


@dataclass(frozen=True, slots=True)
class EnableProfile:
    """Enable the profile in the eUICC and start its USIM (UE, step 7)."""

    iccid: Iccid


Ask = LookUpDevice | ReserveVector | ResolveGuti | AskAaa | OpenTunnel | OpenRadioBearer | Download | EnableProfile


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the ticket that its answer must bring."""

    ticket: int
    ask: Ask


# --- orders to the shell: no answer -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectTunnel:
    """Tell the UP where the RAN receives (CP)."""

    uplink: TunnelEnd
    downlink: TunnelEnd


@dataclass(frozen=True, slots=True)
class CloseTunnel:
    """Remove a session from the UP: TEIDs, filter, address (CP)."""

    teid: Teid


@dataclass(frozen=True, slots=True)
class ConnectRadioBearer:
    """Tell the RAN's user plane where the UE receives."""

    bearer: int
    ue: UserPlaneAddress


@dataclass(frozen=True, slots=True)
class CloseRadioBearer:
    """Remove a data radio bearer (RAN and UE)."""

    bearer: int


@dataclass(frozen=True, slots=True)
class OpenUeBearer:
    """Make the UE's end of a data radio bearer."""

    bearer: int
    ran: UserPlaneAddress
    pdcp: PdcpEntity


@dataclass(frozen=True, slots=True)
class StartNetwork:
    """The session is there: the UE's IP stack gets its address, resolver and MTU (UE)."""

    bearer: int
    address: IPv4Address
    dns: IPv4Address
    mtu: int


@dataclass(frozen=True, slots=True)
class Register:
    """This endpoint now holds the context of this identity; an older endpoint of the same identity ends (CP).

    `path` names the certificates that have proved it: when one of them is revoked, so is the registration.
    """

    record: ContextRecord
    path: frozenset[CertificateId] = frozenset()


@dataclass(frozen=True, slots=True)
class Deregister:
    """The context of this identity is gone (CP)."""

    guti: Guti


@dataclass(frozen=True, slots=True)
class Report:
    """Take this down."""

    item: ReportItem


@dataclass(frozen=True, slots=True)
class Prove:
    """A step has established something; the endpoint makes a Proof of it."""

    step: Step
    text: str


@dataclass(frozen=True, slots=True)
class EndStep:
    """A step has ended; the endpoint makes a StepEnded of it."""

    step: Step
    ok: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TellAaa:
    """Tell an AAA server how an exchange has ended; whatever it answers is of no importance (CP)."""

    request: AccessRequest


@dataclass(frozen=True, slots=True)
class Transmit:
    """Put these octets on the link. `ue_id` chooses the stream; `to` says which link of the RAN."""

    octets: bytes
    ue_id: int
    to: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """The UE's procedure is over: attached as wanted, or ended with a cause."""

    ok: bool
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CloseRadio:
    """The UE's radio connection is over; the next one is a new one."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is left of this UE here; the shell forgets the endpoint."""


Action = (
    Send
    | SendN2
    | SendRrc
    | RelayUp
    | RelayDown
    | InstallContext
    | HoldPartial
    | TakeIntoUse
    | DropContexts
    | GiveKgnb
    | SecureSrb
    | RestoreSrb
    | CipherSrb
    | Tombstone
    | FindCell
    | Tell
    | StartTimer
    | StopTimer
    | Ask
    | Asked
    | ConnectTunnel
    | CloseTunnel
    | ConnectRadioBearer
    | CloseRadioBearer
    | OpenUeBearer
    | StartNetwork
    | Register
    | Deregister
    | Report
    | Prove
    | Identify
    | Decide
    | EndStep
    | TellAaa
    | Transmit
    | Conclude
    | CloseRadio
    | Close
)
