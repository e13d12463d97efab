"""The wiring of an AAA server: its certificates, its clients with their secrets, and RADIUS over TLS."""

import logging
from itertools import chain
from pathlib import Path

from rprov.auth.aaa_server import AaaBounds, AaaClient, AaaServer
from rprov.auth.rates import Attempts
from rprov.daemon.aaa import AaaDaemon, AaaSetup, RadiusClients
from rprov.daemon.radsec import RadsecListener
from rprov.errors import ConfigError
from rprov.model.aaa import AaaSettings
from rprov.model.report import Recorder
from rprov.model.session import UserPlaneAddress
from rprov.model.tap import LinkName
from rprov.store.pki import read_file
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.wire.radius import SharedSecret
from rprov.wiring.certificates import CpCertificates
from rprov.wiring.node import Node
from rprov.wiring.radsec import read_radsec_tls
from rprov.wiring.tickets import say_tickets
from rprov.wiring.watching import Watch

_LOG = logging.getLogger("rprov.aaa")

SHORTEST_SECRET, LONGEST_SECRET = 16, 128
"""RFC 2865 3: a secret should have 16 octets at least; whoever sees one packet can try short ones at leisure."""


def shared_secret(path: Path) -> SharedSecret:
    """Read a secret shared with a client, without the end of its line; raises `ConfigError`."""
    secret = read_file(path, "shared secret").rstrip(b"\r\n")
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ConfigError(f"{path}: a shared secret has {SHORTEST_SECRET} to {LONGEST_SECRET} octets")
    return SharedSecret(secret)


def _clients(settings: AaaSettings) -> RadiusClients:
    return RadiusClients(
        (client.network, AaaClient(client.name, shared_secret(client.secret))) for client in settings.clients
    )


async def open_aaa(settings: AaaSettings, recorder: Recorder, tracing: Tracing = NO_TRACING) -> Node:
    """Build an AAA server."""
    tap = tracing.tap(LinkName.AAA)
    certificates = CpCertificates(settings, settings.fragment)
    if tracing.keys is not None:
        certificates.log_keys(tracing.keys.line)
    say_tickets(_LOG, settings.eap_tls.resumption)
    clients = _clients(settings)
    radsec, listen = settings.radsec, settings.radius
    believed = None if radsec is None else read_radsec_tls(radsec)
    listener = (
        None
        if radsec is None or believed is None
        else RadsecListener(radsec.host, radsec.port, believed.context, radsec.clients, radsec.connections, tap)
    )
    limits = settings.limits
    bounds = AaaBounds(limits.exchanges, limits.lifetime, limits.answers, limits.answer_lifetime)
    attempts = Attempts(limits.attempts)
    watch = Watch("aaa", settings.metrics, settings.audit)
    daemon = AaaDaemon(
        AaaSetup(
            core=AaaServer(lambda: certificates.engines, bounds, attempts),
            clients=lambda: clients,
            address=UserPlaneAddress(listen.address, listen.port) if settings.clients else None,
            radsec=listener,
            recorder=watch.over(recorder),
            audited=settings.audit is not None,
            tap=tap,
        )
    )

    def reload() -> None:
        nonlocal clients, believed
        renewed, read = _clients(settings), None if radsec is None else read_radsec_tls(radsec)
        certificates.reload()  # the last that may be refused
        clients = renewed
        if listener is not None and read is not None:
            listener.exchange(read.context, anew=believed is None or read.believed != believed.believed)
            believed = read

    node = Node(daemon, reload, figures=lambda: chain(daemon.figures(), attempts.figures()))
    await watch.start(node)
    return node
