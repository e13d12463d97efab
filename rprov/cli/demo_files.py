"""The files of a demo: a PKI, and one configuration for each daemon, all on loopback and free ports.

They are the same files that `rprov smdp|cp|ran|ue -c FILE` take; ports of running daemons are written in.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from rprov.config import format_settings, load_cp, load_ran, load_smdp
from rprov.errors import EnvironmentLacks
from rprov.model.identifiers import Eid, Plmn
from rprov.model.kinds import DatabaseUrl, Endpoint, Fqdn, Host, ReadPath
from rprov.model.n2 import N2ClientTls, N2ServerTls
from rprov.model.places import HttpListen, N2Listen, N2Peer, N3Address, RadioListen, RadioPeer, RadioUserPlane
from rprov.model.sctp import Carrier, SctpListen, SctpPeer
from rprov.model.sections import (
    HomeNetworkKeySettings,
    ProvisioningSettings,
    ServerSettings,
    SessionSettings,
    StoreSettings,
    SuciScheme,
)
from rprov.model.settings import (
    CpSettings,
    CredentialKind,
    CredentialSettings,
    EuiccSettings,
    NetworkTrust,
    Plan,
    RanSettings,
    SmdpCertificates,
    SmdpSettings,
    UeSettings,
)
from rprov.model.trust import (
    CredentialFiles,
    DeviceRoles,
    DeviceTrust,
)
from rprov.store.pki import Issuing, init_pki, issue_device, issue_euicc, issue_ran, make_suci_key

PLMN = Plmn("001", "01")
FQDN = Fqdn("smdp.example.com")
SERVER = IPv4Address("203.0.113.10")
"""The server's address as devices see it (RFC 5737); the UP knows where it really is."""

EID_PREFIX = "89049032"
LOCAL = Host("127.0.0.1")
LISTEN, CONNECT = SctpListen(udp_port=0), SctpPeer(udp_port=0)
"""Several demos share this machine, and not one UDP port."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Everything of one demo is below `place`."""

    place: Path
    transport: Carrier = Carrier.AUTO

    @property
    def pki(self) -> Path:
        """The test PKI."""
        return self.place / "pki"

    def prepare(self) -> bool:
        """Make the directory and, on the first run, the PKI; says whether it did. Raises `EnvironmentLacks`."""
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentLacks(f"{self.place}: cannot be made: {error.strerror}") from error
        if (self.pki / "ci.pem").exists():
            # What a PKI of an earlier time has not.
            if not (self.pki / "suci.key").exists():
                make_suci_key(self.pki, SuciScheme.PROFILE_B, secrets.token_bytes)
            if not (self.pki / "ran.pem").exists():
                issue_ran(self.pki, self._issuing(), "ran", PLMN)
            return False
        init_pki(self.pki, self._issuing(), PLMN, FQDN, EID_PREFIX)
        return True

    def _issuing(self) -> Issuing:
        # A little earlier, for the sake of clocks that differ.
        return Issuing(datetime.now(UTC) - timedelta(minutes=5), secrets.token_bytes)

    def new_device(self) -> Eid:
        """Make a device: an EID, its eUICC's certificate and its own."""
        number = f"{secrets.randbelow(10**22):022d}"
        eid = Eid.with_check_digits(EID_PREFIX + number)
        issue_euicc(self.pki, self._issuing(), eid, f"euicc-{eid}")
        issue_device(self.pki, self._issuing(), eid, f"device-{eid}")
        return eid

    def _path(self, name: str) -> ReadPath:
        return ReadPath((self.pki / name).absolute())

    def _pair(self, name: str) -> CredentialFiles:
        return CredentialFiles(chain=self._path(f"{name}.pem"), key=self._path(f"{name}.key"))

    def store(self, name: str) -> StoreSettings:
        """A database of the demo."""
        file = (self.place / f"{name}.db").absolute()
        return StoreSettings(url=DatabaseUrl(f"sqlite:///{file}"), key_file=file.with_suffix(".key"))

    @property
    def n2_server_tls(self) -> N2ServerTls:
        """How the CP protects N2: with the certificate that devices see, too."""
        return N2ServerTls(certificate=self._pair("cp"), anchors=(self._path("network-ca.pem"),))

    def smdp(self) -> SmdpSettings:
        """Write and read smdp.yaml."""
        settings = SmdpSettings(
            fqdn=FQDN,
            listen=HttpListen(host=LOCAL, port=0),
            certificates=SmdpCertificates(tls=self._pair("dp-tls"), auth=self._pair("dp-auth"), pb=self._pair("dp-pb")),
            anchors=(self._path("ci.pem"),),
            store=self.store("smdp"),
            cp_store=self.store("cp"),
        )
        return load_smdp(self._write("smdp.yaml", settings))

    def cp(self, smdp_port: int) -> CpSettings:
        """Write and read cp.yaml, with the SM-DP+ behind its address."""
        server = ServerSettings(fqdn=FQDN, addresses=(SERVER,), upstream=Endpoint(LOCAL, smdp_port))
        settings = CpSettings(
            plmn=PLMN,
            n2=N2Listen(host=LOCAL, port=0, transport=self.transport, sctp=LISTEN, tls=self.n2_server_tls),
            n3=N3Address(port=0),
            certificate=self._pair("cp"),
            devices=DeviceTrust(anchors=(self._path("ci.pem"),), roles=DeviceRoles.BOTH),
            provisioning=ProvisioningSettings(offered=True, servers=(server,)),
            sessions=SessionSettings(ordinary_servers=(server,)),
            store=self.store("cp"),
            suci_keys=(HomeNetworkKeySettings(id=1, scheme=SuciScheme.PROFILE_B, key=self._path("suci.key")),),
        )
        return load_cp(self._write("cp.yaml", settings))

    def ran(self, cp_port: int) -> RanSettings:
        """Write and read ran.yaml."""
        settings = RanSettings(
            plmn=PLMN,
            radio=RadioListen(host=LOCAL, port=0, transport=self.transport, sctp=LISTEN),
            radio_user_plane=RadioUserPlane(port=0),
            n3=N3Address(port=0),
            cp=N2Peer(
                host=LOCAL,
                port=cp_port,
                transport=self.transport,
                sctp=CONNECT,
                tls=N2ClientTls(certificate=self._pair("ran"), anchors=(self._path("network-ca.pem"),)),
            ),
        )
        return load_ran(self._write("ran.yaml", settings))

    def ue(self, eid: Eid, radio_port: int, credential: CredentialKind, plan: Plan = Plan.PROVISION) -> UeSettings:
        """Write the file of one device; it is not read back, for there may be thousands of them."""
        own = self._pair(f"device-{eid}")
        settings = UeSettings(
            name=f"ue-{eid.digits[-8:]}",
            eid=eid,
            radio=RadioPeer(host=LOCAL, port=radio_port, transport=self.transport, sctp=CONNECT),
            euicc=EuiccSettings(
                store=self.store("euicc"),
                certificate=self._pair(f"euicc-{eid}"),
                anchors=(self._path("ci.pem"),),
            ),
            credential=CredentialSettings(kind=credential, chain=own.chain, key=own.key)
            if credential is CredentialKind.DEVICE
            else CredentialSettings(kind=credential),
            network=NetworkTrust(anchors=(self._path("network-ca.pem"),)),
            plan=plan,
        )
        self._write(f"ue-{eid}.yaml", settings)
        return settings

    def _write(self, name: str, settings: CpSettings | RanSettings | UeSettings | SmdpSettings) -> Path:
        path = self.place / name
        path.write_text("# made by rprov demo; may be used with rprov -c\n" + format_settings(settings))
        return path
