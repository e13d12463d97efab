"""The wiring of an SM-DP+: its certificates, its store, and what it tells the CP."""

import secrets
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509 import Certificate

from rprov.daemon.smdp import SmdpDaemon, SmdpSetup
from rprov.errors import ConfigError
from rprov.model.report import Recorder
from rprov.model.settings import SmdpSettings
from rprov.model.tap import LinkName
from rprov.model.trust import (
    CredentialFiles,
    prefixes_by_key_id,
)
from rprov.provision.sgp22.smdp import Smdp
from rprov.provision.sgp22.smdp_checks import SmdpSettings as SmdpCoreSettings
from rprov.provision.sgp22.smdp_sessions import SmdpCredential
from rprov.store.cp import open_cp_store
from rprov.store.pki import check_pair, load_anchors, load_chain, load_key
from rprov.store.smdp import open_smdp_store
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.wiring.node import Node, credentials, issuer_of
from rprov.wiring.watching import Watch


def smdp_core_settings(settings: SmdpSettings) -> SmdpCoreSettings:
    """What the core of an SM-DP+ goes by; reads certificates and keys."""
    auth, auth_key = _signing(settings.certificates.auth)
    binding, binding_key = _signing(settings.certificates.pb)
    anchors = load_anchors(settings.anchors)
    issuer = issuer_of(auth, anchors)
    if issuer is None:
        raise ConfigError(f"{settings.certificates.auth.chain}: its issuer is not among the anchors")
    credential = SmdpCredential(issuer, auth, auth_key, binding, binding_key)
    return SmdpCoreSettings(
        address=settings.fqdn,
        credentials=(credential,),
        anchors=anchors,
        port=settings.listen.port or 443,
        eum_table=prefixes_by_key_id(settings.eum_table),
    )


def _signing(files: CredentialFiles) -> tuple[Certificate, EllipticCurvePrivateKey]:
    chain, key = load_chain(files.chain), load_key(files.key)
    check_pair(chain, key, files.key)
    return chain[0], key


def _server_tls(settings: SmdpSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # SGP.22 2.6.6
    _load_server_tls(context, settings)
    return context


def _load_server_tls(context: ssl.SSLContext, settings: SmdpSettings) -> None:
    files = settings.certificates.tls
    credentials(files)  # says what is wrong in better words than OpenSSL
    context.load_cert_chain(files.chain, files.key)


async def open_smdp(settings: SmdpSettings, recorder: Recorder, tracing: Tracing = NO_TRACING) -> Node:
    """Build an SM-DP+ with its store; what the CP must know is delivered to the CP's store."""
    core = Smdp(smdp_core_settings(settings), secrets.token_bytes)
    context = _server_tls(settings)
    if tracing.keys is not None:
        context.keylog_filename = str(tracing.keys.path)
    separate = settings.cp_store is not None and settings.cp_store.url != settings.store.url
    async with AsyncExitStack() as undone:
        watch = Watch("smdp", settings.metrics, settings.audit)
        undone.push_async_callback(watch.close)
        store = await open_smdp_store(settings.store, settings.cp_store)
        undone.push_async_callback(store.close)
        cp_store = await open_cp_store(settings.cp_store) if separate and settings.cp_store is not None else None
        undone.pop_all()
    closers: list[Callable[[], Awaitable[None]]] = [store.close]
    if cp_store is not None:
        closers.append(cp_store.close)

    async def deliver() -> None:
        if cp_store is not None:
            await store.deliver(cp_store)

    daemon = SmdpDaemon(
        SmdpSetup(
            core=core,
            store=store,
            deliver=deliver,
            recorder=watch.over(recorder),
            tls=context,
            host=settings.listen.host,
            port=settings.listen.port,
            max_body=settings.limits.max_body,
            tap=tracing.tap(LinkName.ES9),
        )
    )

    def reload() -> None:
        renewed = smdp_core_settings(settings)
        _load_server_tls(context, settings)  # all of them or none: this one may be refused too
        core.exchange(renewed)

    node = Node(daemon, reload, closers, stores=(store,))
    await watch.start(node)
    return node
