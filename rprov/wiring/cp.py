"""The wiring of a CP: its policy, its schemes, its store and its UP."""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import IPv4Network
from itertools import chain

from rprov.auth.aka import FiveGAkaNetworkScheme
from rprov.auth.eap_aka_prime import EapAkaPrimeNetworkScheme
from rprov.auth.rates import Attempts
from rprov.auth.scheme import Disclose, NetworkScheme
from rprov.crypto.aka_functions import aka_functions
from rprov.crypto.suci import HomeNetworkKey, reveal
from rprov.daemon.cp import CpDaemon, CpSetup
from rprov.daemon.n6 import NatMap, NatRange
from rprov.daemon.sessions import SessionRules, Sessions
from rprov.daemon.userplane import UpUserPlane
from rprov.model.identifiers import Suci, Supi
from rprov.model.policy import CpPolicy, ProvisioningPolicy
from rprov.model.records import SubscriberRecord
from rprov.model.report import Recorder
from rprov.model.sections import (
    ServerSettings,
    TransportProtocol,
)
from rprov.model.security import AkaMethod
from rprov.model.session import UserPlaneAddress
from rprov.model.settings import CpSettings
from rprov.model.tap import LinkName
from rprov.procedure.engines import CpEngines, CpEnv
from rprov.session.ip.packet import IpProtocol
from rprov.session.restriction import Destination
from rprov.store.cp import open_cp_store
from rprov.store.pki import load_home_network_key
from rprov.trace.keylog import KeyLog
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.transport.alive import AliveTransport
from rprov.transport.choice import Ends, choose
from rprov.transport.tapped import tapped
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wiring.authority import Authority, authority
from rprov.wiring.n2 import cp_protection
from rprov.wiring.node import Node
from rprov.wiring.watching import Watch

_LOG = logging.getLogger("rprov.cp")
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
        eid_hints=_eid_hints(settings),
        ordinary_servers=tuple(server.server for server in settings.sessions.ordinary_servers),
        dnn=settings.sessions.dnn,
        provisioning_dnn=settings.sessions.provisioning_dnn,
        s_nssai=settings.sessions.s_nssai,
    )


def _eid_hints(settings: CpSettings) -> bool:
    asked = settings.aaa or settings.devices
    return asked is not None and asked.eid_hints


def _aka(record: SubscriberRecord, env: CpEnv, disclose: Disclose | None) -> NetworkScheme:
    """Run what the home network has chosen for this subscriber (TS 33.501 6.1.2)."""
    scheme = EapAkaPrimeNetworkScheme if record.method is AkaMethod.EAP_AKA_PRIME else FiveGAkaNetworkScheme
    return scheme(
        supi=record.supi,
        functions=aka_functions(record.algorithm, record.k, record.opc),
        amf=record.amf,
        sqn=record.sqn,
        network=env.policy.plmn.serving_network_name,
        rand=env.entropy(16),
        disclose=disclose,
    )


def cp_engines(
    settings: CpSettings, codec: NasAsn1, devices: Authority, attempts: Attempts, key_log: KeyLog | None = None
) -> CpEngines:
    """What the core of a CP has made for each UE; reads the keys of SUCIs. `attempts` outlive what is read again."""
    keys = _home_network_keys(settings)

    def aka(record: SubscriberRecord, env: CpEnv) -> NetworkScheme:
        if key_log is not None:
            key_log.supi(env.ue, record.supi)
        return _aka(record, env, None if key_log is None else partial(key_log.k_ausf, env.ue))

    def revealed(suci: Suci) -> Supi:
        return reveal(suci, keys.get(suci.scheme, {}))

    return CpEngines(codec, devices.scheme, aka, revealed, attempts.admit)


def _home_network_keys(settings: CpSettings) -> dict[int, dict[int, HomeNetworkKey]]:
    """Read the keys by scheme and id: two schemes may use the same id."""
    found: dict[int, dict[int, HomeNetworkKey]] = {}
    for entry in settings.suci_keys:
        found.setdefault(entry.scheme, {})[entry.id] = load_home_network_key(entry.key, entry.scheme)
    return found


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


async def open_cp(settings: CpSettings, recorder: Recorder, tracing: Tracing = NO_TRACING) -> Node:
    """Build a CP with its UP and its store."""
    tap = tracing.tap(LinkName.N2, LinkName.EAP, LinkName.N3, LinkName.AAA)
    codec = NasAsn1()
    devices = authority(settings, recorder, tracing, tap)
    below = choose(settings.n2.transport, Ends(listen=settings.n2.sctp), "N2", bare=settings.n2.tls is not None)
    n2 = cp_protection(settings, below)
    attempts = Attempts(settings.limits.attempts)
    engines = cp_engines(settings, codec, devices, attempts, tracing.keys)
    async with AsyncExitStack() as undone:
        watch = Watch("cp", settings.metrics, settings.audit)
        undone.push_async_callback(watch.close)
        store = await open_cp_store(settings.store)
        undone.push_async_callback(store.close)
        plane = UpUserPlane(
            asyncio.get_running_loop(),
            UserPlaneAddress(settings.n3.address, settings.n3.port),
            _nat(settings),
            mtu=settings.sessions.mtu,
            tap=tap,
        )
        undone.pop_all()
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
            transport=tapped(AliveTransport(n2.transport, settings.n2.heartbeat), tap),
            host=settings.n2.host,
            port=settings.n2.port,
            store=store,
            sessions=Sessions(plane, rules),
            nas_codec=codec,
            link_codec=LinkAsn1(),
            recorder=watch.over(recorder),
            limits=settings.limits,
            aaa=devices.client,
        )
    )

    def reload() -> None:
        nonlocal engines
        made, exchange = cp_engines(settings, codec, devices, attempts, tracing.keys), n2.read()
        devices.reload()
        engines = made
        exchange()
        if ended := daemon.revoke(devices.revoked):
            _LOG.warning("%d registered devices are detached: their certificates are revoked", ended)

    daemon.revoke(devices.revoked)
    node = Node(
        daemon,
        reload,
        [store.close, devices.close],
        figures=lambda: chain(daemon.figures(), attempts.figures()),
        stores=(store,),
    )
    await watch.start(node)
    return node
