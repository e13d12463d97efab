"""A network whose CP passes EAP through to AAA servers, which run beside it in the same loop.

    async with behind_aaa(tmp_path) as net:
        ended = await net.attach(trusting(net, await net.device()))

`net.aaa` are the servers, `net.client` what asks them. A device believes the MSK of such a network only if `trusting`.
"""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

from doubles.network import Device, Network

from rprov.daemon.aaa import AaaDaemon
from rprov.daemon.aaa_client import AaaClient
from rprov.model.aaa import AaaSettings, RadiusClient, RadiusListen
from rprov.model.aaa_client import AaaClientSettings, AaaServerSettings
from rprov.model.kinds import Host, ReadPath
from rprov.model.settings import CpSettings, EapSettings
from rprov.model.tls import TlsChoices
from rprov.model.trust import CredentialFiles, DeviceRoles, DeviceTrust, MskTrust
from rprov.wiring.aaa import open_aaa

SECRET = "a secret between CP and AAA"


class BehindAaa(Network):
    """SM-DP+, AAA servers, CP, RAN."""

    def __init__(
        self, place: Path, aaa: Sequence[dict[str, Any]] = ({},), client: dict[str, Any] | None = None
    ) -> None:
        """Take what each AAA server, and what the CP's section about them, has beside the ordinary."""
        super().__init__(place, cp=self.pass_through)
        self.aaa: list[AaaDaemon] = []
        self._kept: list[AaaClient] = []
        self.servers: list[AaaServerSettings] = []
        self._client = {"retransmit": 0.1, "patience": 5.0, **(client or {})}
        self._aaa = aaa
        self.secret = ReadPath(place / "radius.secret")
        self.secret.touch(mode=0o600)
        self.secret.write_text(SECRET)

    @property
    def client(self) -> AaaClient:
        """What asks the servers; can be looked at after the end, too."""
        return self._kept[0]

    def pki(self, name: str) -> ReadPath:
        return ReadPath(self.files.pki / name)

    def pair(self, name: str) -> CredentialFiles:
        return CredentialFiles(chain=self.pki(f"{name}.pem"), key=self.pki(f"{name}.key"))

    def aaa_settings(self, **over: Any) -> AaaSettings:
        """A server like the CP's own, at a free port."""
        given: dict[str, Any] = {
            "radius": RadiusListen(port=0),
            "clients": (RadiusClient(name="cp", network=IPv4Network("127.0.0.1/32"), secret=self.secret),),
            "certificate": self.pair("cp"),
            "devices": DeviceTrust(anchors=(self.pki("ci.pem"),), roles=DeviceRoles.BOTH),
        }
        return AaaSettings(**{**given, **over})

    async def start_aaa(self, **over: Any) -> AaaDaemon:
        """Start a server, before the CP that is to know it."""
        node = await open_aaa(self.aaa_settings(**over), self.seen)
        daemon = cast("AaaDaemon", node.daemon)
        await daemon.start()
        self.aaa.append(daemon)
        if over.get("radsec") is None:
            self.know("127.0.0.1", daemon.port)
        return daemon

    def know(self, host: str, port: int, **over: Any) -> None:
        """Let the CP know a server over UDP."""
        given: dict[str, Any] = {"secret": self.secret}
        self.servers.append(AaaServerSettings(host=Host(host), port=port, **{**given, **over}))

    def pass_through(self, settings: CpSettings) -> CpSettings:
        return replace(
            settings,
            certificate=None,
            devices=None,
            eap=EapSettings(),
            eap_tls=TlsChoices(),
            aaa=AaaClientSettings(servers=tuple(self.servers), **self._client),
        )

    async def __aenter__(self) -> "BehindAaa":
        for over in self._aaa:
            await self.start_aaa(**over)
        await super().__aenter__()
        self._kept.append(cast("AaaClient", self.cp._setup.aaa))
        return self

    async def __aexit__(self, *failure: object) -> None:
        await super().__aexit__(*failure)
        for daemon in self.aaa:
            await daemon.close()


def trusting(net: BehindAaa, device: Device, anchors: str = "network-ca.pem", **over: Any) -> Device:
    """The device, whose file says that this network may use its MSK."""
    allowed = MskTrust(anchors=(net.pki(anchors),), **over)
    return device.but(network=replace(device.settings.network, msk=(allowed,)))
