"""The settings of each role: one frozen dataclass, read once at the edge (`config.py`) and turned into a policy.

Field names are the keys of the configuration files; the key tree in `docs/registry.md` is drawn from here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from rprov.model.aaa_client import AaaClientSettings
from rprov.model.control import ControlSettings
from rprov.model.eap import EapSettings
from rprov.model.identifiers import Dnn, Eid, Plmn, SNssai
from rprov.model.kinds import Files, Fqdn, ReadPath, Unfit, Within
from rprov.model.limits import (
    CpLimits,
    CpTimers,
    RanLimits,
    SmdpLimits,
    UeTimers,
)
from rprov.model.places import (
    HttpListen,
    N2Listen,
    N2Peer,
    N3Address,
    RadioListen,
    RadioPeer,
    RadioUserPlane,
    UeUserPlane,
)
from rprov.model.revocation import RevocationCheck
from rprov.model.sections import (
    AlgorithmSettings,
    HomeNetworkKeySettings,
    LogSettings,
    ProvisioningSettings,
    SessionSettings,
    StoreSettings,
)
from rprov.model.tls import TlsChoices
from rprov.model.tracing import TraceSettings
from rprov.model.trust import (
    CredentialFiles,
    DeviceTrust,
    EumEntry,
    MskTrust,
)
from rprov.model.watch import MetricsListen


@dataclass(frozen=True, slots=True, kw_only=True)
class CpSettings:
    """The core: authentication, mobility, sessions, subscribers, and the user plane inside it."""

    name: str = "cp"
    """What the CP calls itself on N2."""
    plmn: Plmn
    """The network, MCC-MNC; it stands in the serving network name and in the CP's certificate."""
    cp_id: Annotated[int, Within(0, (1 << 24) - 1)] = 1
    """Which CP of the network this is; it stands in the GUTIs that it gives (AMF identifier)."""
    n2: N2Listen = field(default_factory=N2Listen)
    """Where RANs connect."""
    n3: N3Address = field(default_factory=N3Address)
    """Where the UP receives GTP-U from RANs."""
    security: AlgorithmSettings = field(default_factory=AlgorithmSettings)
    """NAS algorithms."""
    aaa: AaaClientSettings | None = None
    """AAA servers that authenticate devices; absent: the CP does, and needs `certificate` and `devices`."""
    certificate: CredentialFiles | None = None
    """The network's certificate in EAP-TLS, without `aaa`."""
    staple: ReadPath | None = None
    """DER file with an OCSP response about `certificate`, for devices that ask; read again whenever it changes."""
    devices: DeviceTrust | None = None
    """What is believed about devices that attach with a certificate, without `aaa`."""
    eap: EapSettings = field(default_factory=EapSettings)
    """How EAP is carried to devices."""
    eap_tls: TlsChoices = field(default_factory=TlsChoices)
    """What EAP-TLS may negotiate."""
    provisioning: ProvisioningSettings = field(default_factory=ProvisioningSettings)
    """What a device without a subscription gets."""
    sessions: SessionSettings = field(default_factory=SessionSettings)
    """Addresses and destinations of PDU sessions."""
    store: StoreSettings
    """Subscribers, orders and contexts."""
    suci_keys: tuple[HomeNetworkKeySettings, ...] = ()
    """Keys with which SUCIs are revealed; without one only the null scheme works."""
    limits: CpLimits = field(default_factory=CpLimits)
    """Bounds against strangers."""
    timers: CpTimers = field(default_factory=CpTimers)
    """The standard's timers, where they should differ."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is written down."""
    control: ControlSettings = field(default_factory=ControlSettings)
    """Where `rprov ctl` asks it."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down of the links: captures, and keys."""
    metrics: MetricsListen | None = None
    """Where Prometheus finds metrics; absent: nowhere."""
    audit: Path | None = None
    """File that takes who was let in, on what proof and why, chained by hashes; absent: nothing is taken down."""

    def __post_init__(self) -> None:
        self._check_authority()
        seen = [(entry.scheme, entry.id) for entry in self.suci_keys]
        if len(set(seen)) != len(seen):
            raise Unfit("suci_keys", "two keys of one scheme have the same id")
        pools = (self.sessions.provisioning_pool, self.sessions.ordinary_pool)
        for key, servers in (("provisioning", self.provisioning.servers), ("sessions", self.sessions.ordinary_servers)):
            for address in (address for server in servers for address in server.addresses):
                if any(address in pool for pool in pools):
                    raise Unfit(key, f"the server address {address} lies in a pool of UE addresses")

    def _check_authority(self) -> None:
        """Either the CP authenticates devices, or AAA servers do."""
        for key, given in (("certificate", self.certificate), ("devices", self.devices)):
            if given is None and self.aaa is None:
                raise Unfit(key, "missing: a CP without aaa authenticates devices itself")
        for key, set_here in (
            ("certificate", self.certificate is not None),
            ("staple", self.staple is not None),
            ("devices", self.devices is not None),
            ("eap", self.eap != EapSettings()),
            ("eap_tls", self.eap_tls != TlsChoices()),
        ):
            if set_here and self.aaa is not None:
                raise Unfit(key, "belongs to the AAA servers of aaa, not here: one of the two must go")


@dataclass(frozen=True, slots=True, kw_only=True)
class RanSettings:
    """A base station."""

    name: str = "ran"
    """What the RAN calls itself on N2."""
    cell_id: Annotated[int, Within(0, (1 << 36) - 1)] = 1
    """The cell that it announces (NR cell identity)."""
    plmn: Plmn
    """The network that it announces, MCC-MNC; the CP's must be the same."""
    radio: RadioListen = field(default_factory=RadioListen)
    """Where UEs connect."""
    radio_user_plane: RadioUserPlane = field(default_factory=RadioUserPlane)
    """Where user packets of UEs arrive."""
    n3: N3Address = field(default_factory=N3Address)
    """Where GTP-U from the UP arrives."""
    cp: N2Peer = field(default_factory=N2Peer)
    """The CP that it belongs to."""
    security: AlgorithmSettings = field(default_factory=AlgorithmSettings)
    """AS algorithms."""
    limits: RanLimits = field(default_factory=RanLimits)
    """Bounds against strangers."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is written down."""
    control: ControlSettings = field(default_factory=ControlSettings)
    """Where `rprov ctl` asks it."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down of the links: captures, and keys."""
    metrics: MetricsListen | None = None
    """Where Prometheus finds metrics; absent: nowhere."""


class Plan(StrEnum):
    """What a UE is about when it starts."""

    PROVISION = "provision"
    """Get a profile if there is none (attach for provisioning, download, detach), and attach with it."""
    ATTACH = "attach"
    """Attach with the profile that is enabled."""
    DOWNLOAD = "download"
    """Attach with the profile that is enabled, fetch another one over that session, and attach with it."""


class CredentialKind(StrEnum):
    """Whose certificate proves the device in an attach for provisioning."""

    DEVICE = "device"
    """A key of the device, certified by the manufacturer for the same EID."""
    EUICC = "euicc"
    """The eUICC's own key, which leaves the card for that (docs/threats.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """What the UE proves itself with in an attach for provisioning."""

    kind: CredentialKind = CredentialKind.DEVICE
    """device, or euicc to use the eUICC's own certificate."""
    chain: ReadPath | None = None
    """PEM file: the device's certificate, then its manufacturer's (kind: device)."""
    key: ReadPath | None = None
    """PEM file with the device's private key (kind: device)."""

    def __post_init__(self) -> None:
        for key, path in (("chain", self.chain), ("key", self.key)):
            if self.kind is CredentialKind.DEVICE and path is None:
                raise Unfit(key, "missing (kind: device needs chain and key)")
            if self.kind is CredentialKind.EUICC and path is not None:
                raise Unfit(key, "kind: euicc takes the certificate and key of the euicc section")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTrust:
    """What a UE believes about networks."""

    anchors: Files
    """PEM files, or directories of them, with the authorities that certify networks; never a GSMA CI."""
    server_name: Fqdn | None = None
    """dNSName that the network's certificate must carry; absent: the name of the PLMN that the cell announces."""
    revocation: RevocationCheck = RevocationCheck.STAPLE_IF_PRESENT
    """off, staple_if_present or staple_required: whether the network must prove that it is not revoked (OCSP)."""
    msk: tuple[MskTrust, ...] = ()
    """Networks behind AAA servers whose keys may come from the MSK, which the AAA server knows, too; usually none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EuiccSettings:
    """A software eUICC."""

    store: StoreSettings
    """Where the card keeps its state, beside other cards."""
    certificate: CredentialFiles
    """CERT.EUICC with the EUM's certificate after it, and SK.EUICC."""
    anchors: Files
    """PEM files, or directories of them, with the certificate issuers (CI) that the card trusts."""
    sqn_age_limit: Annotated[int, Within(1, (1 << 43) - 1)] | None = None
    """L of TS 33.102 C.2.2: by how many sequence numbers a challenge may be older than the newest; absent: by any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeSettings:
    """A device with its eUICC."""

    name: str = "ue"
    """What the UE is called in logs."""
    eid: Eid | None = None
    """The device's EID; absent: the one of the eUICC's certificate."""
    radio: RadioPeer = field(default_factory=RadioPeer)
    """The cell."""
    user_plane: UeUserPlane = field(default_factory=UeUserPlane)
    """Where user packets arrive."""
    euicc: EuiccSettings
    """The card."""
    credential: CredentialSettings
    """What proves the device in an attach for provisioning."""
    dnn: Dnn | None = None
    """The data network that an ordinary session asks for; absent: the one that the network gives."""
    s_nssai: SNssai | None = None
    """The slice that an ordinary session asks for, SST or SST-SD; absent: the one that the network gives."""
    hide_eid: bool = False
    """Whether the EID never crosses the radio in clear: a hint of 8 digits goes in its place (TLS 1.3 only)."""
    network: NetworkTrust
    """Which networks are believed."""
    eap_tls: TlsChoices = field(default_factory=TlsChoices)
    """What EAP-TLS may negotiate."""
    security: AlgorithmSettings = field(default_factory=AlgorithmSettings)
    """NAS and AS algorithms that the UE can do; their order does not matter here."""
    timers: UeTimers = field(default_factory=UeTimers)
    """The standard's timers, where they should differ."""
    plan: Plan = Plan.PROVISION
    """provision, attach or download."""
    max_attempts: Annotated[int, Within(1, 100)] = 5
    """Attempts to attach before giving up (TS 24.501 5.5.1.2.7)."""
    fall_back_to_provisioning: bool = False
    """Whether a device whose new subscription is refused may ask for provisioning again."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is written down."""
    control: ControlSettings = field(default_factory=ControlSettings)
    """Where `rprov ctl` asks it."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down of the links: captures, and keys."""
    metrics: MetricsListen | None = None
    """Where Prometheus finds metrics; absent: nowhere."""

    def __post_init__(self) -> None:
        if self.hide_eid and self.eap_tls.takes_1_2:
            raise Unfit("hide_eid", "needs TLS 1.3 alone: TLS 1.2 shows the certificate with the EID")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmdpCertificates:
    """The three certificates of an SM-DP+ (SGP.22 4.5.2)."""

    tls: CredentialFiles
    """CERT.DPtls, for ES9+."""
    auth: CredentialFiles
    """CERT.DPauth, which signs towards the eUICC."""
    pb: CredentialFiles
    """CERT.DPpb, which binds profile packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmdpSettings:
    """A provisioning server, SGP.22."""

    fqdn: Fqdn
    """Its name: in CERT.DPtls, in activation codes, and what eUICCs are told."""
    listen: HttpListen = field(default_factory=HttpListen)
    """Where LPAs connect."""
    certificates: SmdpCertificates
    """Its certificates and keys."""
    anchors: Files
    """PEM files, or directories of them, with the certificate issuers (CI) of eUICCs that are trusted."""
    eum_table: tuple[EumEntry, ...] = ()
    """Manufacturers and their EIDs, for certificates that carry no constraint themselves."""
    store: StoreSettings
    """Orders and profile packages."""
    cp_store: StoreSettings | None = None
    """The CP's store, when it is another database than `store`; what it must know is delivered there."""
    limits: SmdpLimits = field(default_factory=SmdpLimits)
    """Bounds against strangers."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is written down."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down of the links: captures, and keys."""
    metrics: MetricsListen | None = None
    """Where Prometheus finds metrics; absent: nowhere."""
    audit: Path | None = None
    """File that takes who was let in, on what proof and why, chained by hashes; absent: nothing is taken down."""
