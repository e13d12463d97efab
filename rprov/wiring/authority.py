"""Who decides about devices at a CP: its own EAP server, or AAA servers that it passes EAP through to."""

import asyncio
import logging
import ssl
from functools import partial
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from rprov.auth.eap_tls import anonymous_nai
from rprov.auth.radius_scheme import RadiusNetworkScheme, RadiusTerms
from rprov.auth.scheme import NetworkScheme
from rprov.crypto.hierarchy import KAusf
from rprov.crypto.x509_crl import CertificateId
from rprov.daemon.aaa_client import AaaClient
from rprov.daemon.radius_peer import Patience
from rprov.daemon.radius_tls import TlsPeer
from rprov.daemon.radius_udp import UdpPeer
from rprov.errors import ConfigError
from rprov.model.aaa_client import AaaClientSettings, AaaServerSettings, RadsecPeer
from rprov.model.identifiers import Eid, EidHint, Supi
from rprov.model.report import Discarded, Recorder
from rprov.model.settings import CpSettings
from rprov.model.tap import Tap
from rprov.procedure.engines import CpEnv
from rprov.store.pki import load_anchors
from rprov.trace.keylog import KeyLog
from rprov.trace.tracing import Tracing
from rprov.wire.radius import SharedSecret
from rprov.wiring.aaa import shared_secret
from rprov.wiring.certificates import CpCertificates
from rprov.wiring.node import credentials
from rprov.wiring.tickets import say_tickets

_LOG = logging.getLogger("rprov.cp")


class Authority(Protocol):
    """Whoever decides about devices."""

    client: AaaClient | None
    """What asks AAA servers, where they decide."""

    @property
    def revoked(self) -> frozenset[CertificateId]:
        """The certificates that are known to be revoked."""

    def scheme(self, claimed: Eid | EidHint, env: CpEnv) -> NetworkScheme:
        """Begin with one device."""

    def reload(self) -> None:
        """Read certificates, CRLs and secrets anew; raises `ConfigError`, and then everything stays as it was."""

    async def close(self) -> None:
        """Give back what is open."""


def authority(settings: CpSettings, recorder: Recorder, tracing: Tracing, tap: Tap | None) -> Authority:
    """Give what the settings ask for; reads files."""
    if settings.aaa is None:
        return OwnServer(settings, tracing)
    return PassThrough(settings, settings.aaa, recorder, tracing, tap)


class OwnServer:
    """The CP's own EAP server."""

    client: AaaClient | None = None

    def __init__(self, settings: CpSettings, tracing: Tracing) -> None:
        self._certificates = CpCertificates(settings, settings.eap.fragment, settings.eap.ask_identity)
        say_tickets(_LOG, settings.eap_tls.resumption)
        if tracing.keys is not None:
            self._certificates.log_keys(tracing.keys.line)

    @property
    def revoked(self) -> frozenset[CertificateId]:
        """What the CRLs say."""
        return self._certificates.engines.revoked.certificates

    def scheme(self, claimed: Eid | EidHint, env: CpEnv) -> NetworkScheme:
        """Begin with one device."""
        return self._certificates.engines.scheme(claimed, env.policy.plmn.serving_network_name, env.wall)

    def reload(self) -> None:
        """Read certificates and CRLs."""
        self._certificates.reload()

    async def close(self) -> None:
        """Give nothing back."""


class PassThrough:
    """AAA servers. Which certificates are revoked is theirs to know, and at the time of an attach only."""

    revoked: frozenset[CertificateId] = frozenset()

    def __init__(
        self,
        settings: CpSettings,
        aaa: AaaClientSettings,
        recorder: Recorder,
        tracing: Tracing,
        tap: Tap | None,
    ) -> None:
        self._settings = aaa
        self._keys = tracing.keys
        realm = aaa.realm or anonymous_nai(settings.plmn).decode("ascii").lstrip("@")
        self._terms = RadiusTerms(settings.name, realm, aaa.eid_in)
        self._peers = [_peer(server, aaa, recorder, tap) for server in aaa.servers]
        self.client: AaaClient | None = AaaClient(self._peers, aaa.hold_down)
        _LOG.info("devices are authenticated by AAA server %s", ", then ".join(peer.name for peer in self._peers))

    def scheme(self, claimed: Eid | EidHint, env: CpEnv) -> NetworkScheme:
        """Begin with one device."""
        disclose = None if self._keys is None else partial(self._log_keys, self._keys, env)
        return RadiusNetworkScheme(claimed, env.policy.plmn.serving_network_name, self._terms, disclose)

    @staticmethod
    def _log_keys(keys: KeyLog, env: CpEnv, k_ausf: KAusf, eid: Eid) -> None:
        """Log what K_AMF is made of; the EID may be hidden on every link but that to the AAA server."""
        keys.k_ausf(env.ue, k_ausf)
        keys.supi(env.ue, Supi.of_eid(eid, env.policy.plmn))

    def reload(self) -> None:
        """Read secrets and certificates; a connection that is open stays as it is."""
        made = [_protection(server) for server in self._settings.servers]
        for peer, protection in zip(self._peers, made, strict=True):
            if isinstance(peer, UdpPeer) and isinstance(protection, SharedSecret):
                peer.secret = protection
            elif isinstance(peer, TlsPeer) and isinstance(protection, ssl.SSLContext):
                peer.tls = protection

    async def close(self) -> None:
        """Close the sockets."""
        if self.client is not None:
            await self.client.close()


def _protection(server: AaaServerSettings) -> SharedSecret | ssl.SSLContext:
    if server.radsec is not None:
        return _radsec_tls(server.radsec)
    if server.secret is None:
        raise ConfigError(f"AAA server {server.host}: a secret, or radsec, is missing")
    return shared_secret(server.secret)


def _radsec_tls(settings: RadsecPeer) -> ssl.SSLContext:
    """RFC 6614 2.3: both sides prove themselves, and TLS 1.2 is the least."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    anchors = (anchor.public_bytes(Encoding.PEM).decode("ascii") for anchor in load_anchors(settings.anchors))
    context.load_verify_locations(cadata="".join(anchors))
    credentials(settings.certificate)  # says what is wrong in better words than OpenSSL
    context.load_cert_chain(settings.certificate.chain, settings.certificate.key)
    return context


def _peer(server: AaaServerSettings, aaa: AaaClientSettings, recorder: Recorder, tap: Tap | None) -> UdpPeer | TlsPeer:
    def dropped(name: str, reason: str) -> None:
        recorder.record(Discarded(asyncio.get_running_loop().time(), "cp", name, "radius", reason))

    host, port = server.at
    patience = Patience(retransmit=aaa.retransmit, whole=aaa.patience)
    protection = _protection(server)
    if isinstance(protection, SharedSecret):
        return UdpPeer(host, port, protection, patience, dropped, tap)
    name = (server.radsec.server_name if server.radsec is not None else None) or host
    return TlsPeer(host, port, protection, name, patience, dropped, tap)
