"""The wiring of an AAA server: its certificates, its clients with their secrets, and RADIUS over TLS."""

import ssl
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from rprov.auth.aaa_server import AaaBounds, AaaClient, AaaServer
from rprov.daemon.aaa import AaaDaemon, AaaSetup, RadiusClients
from rprov.daemon.radsec import RadsecListener
from rprov.errors import ConfigError
from rprov.model.aaa import AaaSettings, RadsecListen
from rprov.model.report import Recorder
from rprov.model.session import UserPlaneAddress
from rprov.store.pki import load_anchors, read_file
from rprov.wire.radius import SharedSecret
from rprov.wiring.certificates import CpCertificates
from rprov.wiring.node import Node, credentials

SHORTEST_SECRET, LONGEST_SECRET = 16, 128
"""RFC 2865 3: a secret should have 16 octets at least; whoever sees one packet can try short ones at leisure."""


def shared_secret(path: Path) -> SharedSecret:
    """Read a secret shared with a client, without the end of its line; raises `ConfigError`."""
    secret = read_file(path, secret=True).rstrip(b"\r\n")
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ConfigError(f"{path}: a shared secret has {SHORTEST_SECRET} to {LONGEST_SECRET} octets")
    return SharedSecret(secret)


def _clients(settings: AaaSettings) -> RadiusClients:
    return RadiusClients(
        (client.network, AaaClient(client.name, shared_secret(client.secret))) for client in settings.clients
    )


def _radsec_tls(settings: RadsecListen) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED  # RFC 6614 2.3: mutual
    anchors = (anchor.public_bytes(Encoding.PEM).decode("ascii") for anchor in load_anchors(settings.anchors))
    context.load_verify_locations(cadata="".join(anchors))
    _load_radsec_certificate(context, settings)
    return context


def _load_radsec_certificate(context: ssl.SSLContext, settings: RadsecListen) -> None:
    credentials(settings.certificate)  # says what is wrong in better words than OpenSSL
    context.load_cert_chain(settings.certificate.chain, settings.certificate.key)


async def open_aaa(settings: AaaSettings, recorder: Recorder) -> Node:
    """Build an AAA server."""
    certificates = CpCertificates(settings, settings.fragment)
    clients = _clients(settings)
    radsec, listen = settings.radsec, settings.radius
    context = None if radsec is None else _radsec_tls(radsec)
    limits = settings.limits
    bounds = AaaBounds(limits.exchanges, limits.lifetime, limits.answers, limits.answer_lifetime)
    daemon = AaaDaemon(
        AaaSetup(
            core=AaaServer(lambda: certificates.engines, bounds),
            clients=lambda: clients,
            address=UserPlaneAddress(listen.address, listen.port) if settings.clients else None,
            radsec=None
            if radsec is None or context is None
            else RadsecListener(radsec.host, radsec.port, context, radsec.clients, radsec.connections),
            recorder=recorder,
        )
    )

    def reload() -> None:
        nonlocal clients
        renewed = _clients(settings)
        if radsec is not None:
            credentials(radsec.certificate)
        certificates.reload()
        clients = renewed
        if radsec is not None and context is not None:
            _load_radsec_certificate(context, radsec)

    return Node(daemon, reload)
