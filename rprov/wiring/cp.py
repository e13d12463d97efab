"""The wiring of a CP: its policy, its schemes, its store and its UP."""

import asyncio
from ipaddress import IPv4Network
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rprov.auth.aka import FiveGAkaNetworkScheme
from rprov.auth.eap_tls import EapTlsServerEngines
from rprov.auth.scheme import NetworkScheme
from rprov.crypto.suci import HomeNetworkKey, reveal
from rprov.crypto.x509 import Role
from rprov.daemon.cp import CpDaemon, CpSetup
from rprov.daemon.n6 import NatMap, NatRange
from rprov.daemon.sessions import SessionRules, Sessions
from rprov.daemon.userplane import UpUserPlane
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid, Suci, Supi
from rprov.model.policy import CpPolicy, ProvisioningPolicy
from rprov.model.records import SubscriberRecord
from rprov.model.report import Recorder
from rprov.model.secret import Secret
from rprov.model.sections import DeviceRoles, ServerSettings, TransportProtocol
from rprov.model.session import UserPlaneAddress
from rprov.model.settings import CpSettings
from rprov.procedure.engines import CpEngines, CpEnv
from rprov.session.ip.packet import IpProtocol
from rprov.session.restriction import Destination
from rprov.store.cp import open_cp_store
from rprov.store.pki import load_anchors
from rprov.transport import tcp
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wiring.node import Node, credentials

_ROLES = {
    DeviceRoles.DEVICE: frozenset({Role.DEVICE}),
    DeviceRoles.EUICC: frozenset({Role.EUICC}),
    DeviceRoles.BOTH: frozenset({Role.DEVICE, Role.EUICC}),
}
_PROTOCOLS = {TransportProtocol.TCP: int(IpProtocol.TCP), TransportProtocol.UDP: int(IpProtocol.UDP)}


def cp_policy(settings: CpSettings) -> CpPolicy:
    """What the core of a CP goes by."""
    offered = settings.provisioning
    provisioning = ProvisioningPolicy(
        offered.lifetime, offered.quota, tuple(server.server for server in offered.servers)
    )
    return CpPolicy(
        name=settings.name,
        plmn=settings.plmn,
        cp_id=settings.cp_id,
        nea=settings.security.ciphering,
        nia=settings.security.integrity,
        provisioning=provisioning if offered.offered else None,
        dns=settings.sessions.gateway,
        mtu=settings.sessions.mtu,
        timers=settings.timers.policy,
        backoff=settings.limits.backoff,
        ordinary_servers=tuple(server.server for server in settings.sessions.ordinary_servers),
    )


def _certificate_engines(settings: CpSettings) -> EapTlsServerEngines:
    return EapTlsServerEngines(
        credentials(settings.certificate),
        load_anchors(settings.devices.anchors),
        settings.devices.eum_prefixes,
        _ROLES[settings.devices.roles],
    )


def _aka(record: SubscriberRecord, env: CpEnv) -> NetworkScheme:
    return FiveGAkaNetworkScheme(
        supi=record.supi,
        k=record.k,
        opc=record.opc,
        amf=record.amf,
        sqn=record.sqn,
        network=env.policy.plmn.serving_network_name,
        rand=env.entropy(16),
    )


def cp_engines(settings: CpSettings, codec: NasAsn1) -> CpEngines:
    """What the core of a CP has made for each UE; reads certificates and keys."""
    certificates = _certificate_engines(settings)
    keys = {entry.id: _home_network_key(entry.scheme, entry.key) for entry in settings.suci_keys}

    def certificate(claimed: Eid, env: CpEnv) -> NetworkScheme:
        return certificates.scheme(claimed, env.policy.plmn.serving_network_name, env.wall)

    def revealed(suci: Suci) -> Supi:
        return reveal(suci, keys)

    return CpEngines(codec, certificate, _aka, revealed)


def _home_network_key(scheme: int, path: Any) -> HomeNetworkKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{path}: there is no unencrypted private key in this file") from None
    match key:
        case x25519.X25519PrivateKey():
            return HomeNetworkKey(scheme, Secret(key.private_bytes_raw()))
        case ec.EllipticCurvePrivateKey():
            return HomeNetworkKey(scheme, Secret(key.private_numbers().private_value.to_bytes(32)))
        case _:
            raise ConfigError(f"{path}: a SUCI key is of X25519 or P-256")


def _nat(settings: CpSettings) -> NatMap:
    servers = {
        (address, server.port): (server.upstream.host, server.upstream.port)
        if server.upstream is not None
        else (str(address), server.port)
        for server in _all_servers(settings)
        for address in server.addresses
    }
    ranges = tuple(
        NatRange(
            allowed.network,
            allowed.port,
            (allowed.upstream.host, allowed.upstream.port) if allowed.upstream is not None else None,
        )
        for allowed in settings.sessions.ordinary_allow
    )
    return NatMap(servers, ranges)


def _all_servers(settings: CpSettings) -> tuple[ServerSettings, ...]:
    return (*settings.provisioning.servers, *settings.sessions.ordinary_servers)


def _ordinary_destinations(settings: CpSettings) -> tuple[Destination, ...]:
    listed = tuple(
        Destination(allowed.network, _PROTOCOLS.get(allowed.protocol), allowed.port)
        for allowed in settings.sessions.ordinary_allow
    )
    servers = tuple(
        Destination(IPv4Network(f"{address}/32"), int(IpProtocol.TCP), server.port)
        for server in settings.sessions.ordinary_servers
        for address in server.addresses
    )
    return (*listed, *servers)


async def open_cp(settings: CpSettings, recorder: Recorder) -> Node:
    """Build a CP with its UP and its store."""
    codec = NasAsn1()
    engines = cp_engines(settings, codec)
    store = await open_cp_store(settings.store)
    plane = UpUserPlane(
        asyncio.get_running_loop(),
        UserPlaneAddress(settings.n3.address, settings.n3.port),
        _nat(settings),
        mtu=settings.sessions.mtu,
    )
    rules = SessionRules(
        gateway=settings.sessions.gateway,
        provisioning_pool=settings.sessions.provisioning_pool,
        ordinary_pool=settings.sessions.ordinary_pool,
        ordinary_destinations=_ordinary_destinations(settings),
    )
    daemon = CpDaemon(
        CpSetup(
            policy=cp_policy(settings),
            engines=lambda: engines,
            transport=tcp,
            host=settings.n2.host,
            port=settings.n2.port,
            store=store,
            sessions=Sessions(plane, rules),
            nas_codec=codec,
            link_codec=LinkAsn1(),
            recorder=recorder,
            max_message=settings.limits.max_message,
            half_open_per_link=settings.limits.half_open_per_link,
            half_open_per_ran=settings.limits.half_open_per_ran,
            half_open=settings.limits.half_open,
        )
    )

    def reload() -> None:
        nonlocal engines
        engines = cp_engines(settings, codec)

    return Node(daemon, reload, [store.close])
