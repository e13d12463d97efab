"""One sample of every message and every event, by type; each union has all its members here."""

from ipaddress import IPv4Address
from typing import Any

from rprov.auth.radius_exchange import AccessAnswer
from rprov.causes import Cause
from rprov.crypto.hierarchy import KGnb
from rprov.model.identifiers import Eid, Guti, Iccid, Imsi, Plmn, Suci, Supi, Teid, UeRadioId
from rprov.model.records import DeviceRecord, Order, SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind, TunnelEnd, UserPlaneAddress
from rprov.procedure import events as ev
from rprov.procedure.purpose import Intent, Purpose, Subscription
from rprov.wire import link, radio
from rprov.wire import messages as nas
from rprov.wire.radius import Code, Packet

PLMN = Plmn("001", "01")
EID = Eid.with_check_digits("890490321234512345123456789012")
IMSI = Imsi("001010000000001")
ICCID = Iccid("89882110000005300811")
GUTI = Guti(PLMN, 1, 0x12345678)
SUCI = Suci(PLMN, "0", 0, 0, bytes.fromhex("00000010"))
CAPABILITY = SecurityCapability.of(tuple(Nea), (Nia.NIA1, Nia.NIA2, Nia.NIA3))
SERVER = ProvisioningServer(ProvisioningProtocol.SGP22, "smdp.example.com", (IPv4Address("10.60.0.1"),), 443)
UPLINK = TunnelEnd(IPv4Address("127.0.0.3"), 2152, Teid(101))
DOWNLINK = TunnelEnd(IPv4Address("127.0.0.2"), 2152, Teid(201))
AT_UE, AT_RAN = UserPlaneAddress(IPv4Address("127.0.0.4"), 4000), UserPlaneAddress(IPv4Address("127.0.0.2"), 4997)
ACCEPT = nas.PduSessionAccept(
    1, SessionKind.PROVISIONING, IPv4Address("10.45.0.2"), IPv4Address("10.45.0.1"), 1400, 600, 1 << 20, (SERVER,)
)
INTENT = Intent(Purpose.PROVISIONING, EID, eid=EID)


def by_type(*values: Any) -> dict[type, Any]:
    return {type(value): value for value in values}


NAS = by_type(
    nas.AttachRequest(nas.AttachType.INITIAL, SUCI, nas.NO_KEY, CAPABILITY),
    nas.IdentityRequest(nas.IdentityType.SUCI),
    nas.IdentityResponse(SUCI),
    nas.AuthenticationRequest(0, b"\0\0", nas.Eap(b"hello")),
    nas.AuthenticationResponse(nas.Eap(b"name")),
    nas.AuthenticationFailure(Cause.MAC_FAILURE),
    nas.AuthenticationResult(0, b"\0\0", nas.Eap(b"success")),
    nas.AuthenticationReject(Cause.ILLEGAL_UE),
    nas.SecurityModeCommand(Nea.NEA2, Nia.NIA2, 0, CAPABILITY, b"\0\0"),
    nas.SecurityModeComplete(b"an attach request"),
    nas.SecurityModeReject(Cause.SECURITY_MODE_REJECTED),
    nas.AttachAccept(GUTI, Scope.PROVISIONING, 600, 3240),
    nas.AttachComplete(),
    nas.AttachReject(Cause.CONGESTION, 30),
    nas.PduSessionRequest(1, SessionKind.PROVISIONING),
    ACCEPT,
    nas.PduSessionReject(1, Cause.NETWORK_FAILURE),
    nas.PduSessionReleaseRequest(1),
    nas.PduSessionReleaseCommand(1, Cause.REGULAR_DEACTIVATION),
    nas.PduSessionReleaseComplete(1),
    nas.DetachRequest(Cause.NORMAL),
    nas.DetachAccept(),
    nas.ConfigurationUpdateCommand(GUTI, 300),
    nas.ConfigurationUpdateComplete(),
    nas.Status(Cause.PROTOCOL_ERROR),
)

RRC = by_type(
    radio.CellInfo(PLMN, 1, True),
    radio.RrcSetupRequest(b"1234"),
    radio.RrcSetup(b"1234", UeRadioId(7)),
    radio.RrcReject(b"1234", Cause.CONGESTION, 5),
    radio.AsSecurityModeCommand(Nea.NEA2, Nia.NIA2),
    radio.AsSecurityModeComplete(),
    radio.AsSecurityModeFailure(Cause.MAC_FAILURE),
    radio.RrcReconfiguration(add=radio.BearerAddition(1, 1, True, True, AT_RAN)),
    radio.RrcReconfigurationComplete(AT_UE),
    radio.RrcRelease(Cause.NORMAL),
)

N2 = by_type(
    link.N2SetupRequest("ran", PLMN, 1),
    link.N2SetupResponse("cp", PLMN, True),
    link.N2SetupFailure(Cause.NETWORK_FAILURE),
    link.InitialContextSetupRequest(Secret(bytes(32)), CAPABILITY),
    link.InitialContextSetupResponse(),
    link.InitialContextSetupFailure(Cause.PEER_SILENT),
    link.SessionResourceSetupRequest(1, UPLINK, True, True),
    link.SessionResourceSetupResponse(1, DOWNLINK),
    link.SessionResourceSetupFailure(1, Cause.PEER_SILENT),
    link.SessionResourceReleaseCommand(1),
    link.SessionResourceReleaseResponse(1),
    link.UeContextReleaseRequest(Cause.RADIO_LINK_LOST),
    link.UeContextReleaseCommand(Cause.NORMAL),
    link.UeContextReleaseComplete(),
    link.ErrorIndication(Cause.PROTOCOL_ERROR),
)

EVENTS = by_type(
    ev.TimerFired(ev.Timer.T3510, 1),
    ev.LinkLost(),
    ev.AttachWanted(INTENT),
    ev.DetachWanted(),
    ev.CellFound(PLMN, True),
    ev.RadioLost(Cause.RADIO_LINK_LOST),
    ev.ProfileDownloaded(ICCID),
    ev.DownloadFailed(Cause.PROVISIONING_FAILED, "the server said no"),
    ev.ProfileEnabled(Subscription(IMSI, PLMN)),
    ev.EnableFailed("the card said no"),
    ev.NasGiven(b"\0nas"),
    ev.KgnbGiven(KGnb(bytes(32)), Scope.ORDINARY),
    ev.RadioClosed(),
    ev.AsSecurityVerified(radio.AsSecurityModeCommand(Nea.NEA2, Nia.NIA2), KGnb(bytes(32)), Scope.ORDINARY),
    ev.DeviceFound(DeviceRecord(EID, Order(EID, ICCID, IMSI, "MATCH-1"))),
    ev.SubscriberFound(SubscriberRecord(Supi.of_imsi(IMSI), Secret(bytes(16)), Secret(bytes(16)), sqn=64)),
    ev.SubscriberUnknown(),
    ev.GutiResolved(Supi.of_imsi(IMSI)),
    ev.TunnelOpened(UPLINK, IPv4Address("10.45.0.2")),
    ev.StoreFailed("the disk is full"),
    ev.AaaAnswered(AccessAnswer("aaa", Packet(Code.ACCESS_CHALLENGE, 1, bytes(16), ()))),
    ev.AaaSilent("no answer of aaa"),
    ev.DetachOrdered(Cause.ILLEGAL_UE),
    ev.LifetimeChanged(300),
    ev.RadioBearerOpened(DOWNLINK, AT_RAN),
    ev.N2Lost(),
    ev.NasDown(b"\0nas"),
)
