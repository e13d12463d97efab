"""The AAA daemon: RADIUS over UDP and over TLS around the pure core of `auth/aaa_server.py`.

Owns sockets and which client stands behind an address or a certificate; decides nothing about devices.
"""

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network

from rprov.auth.aaa_server import AaaClient, AaaServer, Ended
from rprov.causes import Cause
from rprov.crypto.x509_path import describe
from rprov.daemon.figures import drop_figures
from rprov.daemon.radsec import RadsecListener
from rprov.daemon.udp import UPLINK, UdpPort
from rprov.errors import Misuse, PeerError
from rprov.model.figures import Figure
from rprov.model.numbers import Metric
from rprov.model.report import Act, Discarded, Recorder, Verdict
from rprov.model.session import UserPlaneAddress
from rprov.model.tap import LinkName, Tap
from rprov.session.tunnel import Peer
from rprov.wire.radius import RADSEC_SECRET

_LOG = logging.getLogger("rprov.aaa")

ROLE = "aaa"
RADIUS = "radius"


class RadiusClients:
    """Who may ask over UDP, by address; the smallest network counts."""

    __slots__ = ("_networks",)

    def __init__(self, clients: Iterable[tuple[IPv4Network, AaaClient]]) -> None:
        ordered = sorted(clients, key=lambda item: -item[0].prefixlen)
        self._networks = [(int(net.network_address), int(net.netmask), client) for net, client in ordered]

    def find(self, address: str) -> AaaClient | None:
        """Say who is behind an address, if anybody is."""
        number = int.from_bytes(socket.inet_aton(address))
        for network, mask, client in self._networks:
            if number & mask == network:
                return client
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AaaSetup:
    """What the wiring gives an AAA server."""

    core: AaaServer
    clients: Callable[[], RadiusClients]
    address: UserPlaneAddress | None
    """Where UDP arrives; None: nowhere."""
    radsec: RadsecListener | None
    recorder: Recorder
    audited: bool = False
    """Whether somebody keeps which certificates were proved: to name them takes its time."""
    tap: Tap | None = None
    """Sees what comes and goes over UDP."""


class AaaDaemon:
    """An AAA server."""

    def __init__(self, setup: AaaSetup) -> None:
        self._setup = setup
        self._port: UdpPort | None = None

    @property
    def places(self) -> str:
        """Where it listens, for the ready line."""
        found = []
        if self._port is not None:
            found.append(f"radius={self._port.address.address}:{self._port.address.port}")
        if self._setup.radsec is not None:
            found.append(f"radsec={self._setup.radsec.host}:{self._setup.radsec.port}")
        return " ".join(found)

    @property
    def dropped(self) -> Counter[str]:
        """What came over UDP and got no answer, by reason."""
        return Counter() if self._port is None else self._port.dropped

    def figures(self) -> Iterator[Figure]:
        """What can be read of it at any time."""
        yield Figure(Metric.HALF_OPEN, self._setup.core.under_way)
        yield from drop_figures(self.dropped)

    @property
    def port(self) -> int:
        """The UDP port, also where 0 was asked for."""
        if self._port is None:
            raise Misuse("the AAA server does not listen over UDP")
        return self._port.address.port

    async def start(self) -> None:
        """Listen; raises `EnvironmentLacks` where an address cannot be had."""
        setup = self._setup
        if setup.address is not None:
            loop = asyncio.get_running_loop()
            self._port = UdpPort(
                loop,
                setup.address,
                self._on_datagram,
                link=RADIUS,
                receives=UPLINK,
                tap=setup.tap,
                name=LinkName.AAA,
            )
        if setup.radsec is not None:
            await setup.radsec.start(self._on_stream)

    async def close(self) -> None:
        """Listen no more; a client asks its next server then."""
        if self._port is not None:
            self._port.close()
        if self._setup.radsec is not None:
            await self._setup.radsec.close()

    def _on_datagram(self, octets: bytes, source: Peer) -> None:
        port = self._port
        if port is None:
            return
        client = self._setup.clients().find(source[0])
        if client is None:
            # Counted only: an address is easily forged, and a log easily filled.
            port.dropped["unknownClient"] += 1
            return
        try:
            port.send(self._answer(client, source, octets), source)
        except PeerError as error:
            port.dropped[type(error).__name__] += 1
            self._discard(client.name, type(error).__name__)

    def _on_stream(self, name: str, connection: int, octets: bytes) -> bytes:
        """Answer a packet that came over TLS; raises `PeerError`."""
        try:
            return self._answer(AaaClient(name, RADSEC_SECRET), connection, octets)
        except PeerError as error:
            self._discard(name, type(error).__name__)
            raise

    def _answer(self, client: AaaClient, source: Peer | int, octets: bytes) -> bytes:
        now = asyncio.get_running_loop().time()
        reply = self._setup.core.receive(client, source, octets, now, datetime.now(UTC), os.urandom)
        if reply.ended is not None:
            self._tell(reply.ended)
        return reply.octets

    def _tell(self, ended: Ended) -> None:
        who = ended.identity or "a device"
        if ended.cause is Cause.NORMAL:
            how = f", {ended.detail}" if ended.detail else ""
            _LOG.info("accepted %s by %s: %s%s", who, ended.client, ended.eid, how)
        else:
            _LOG.info("refused %s by %s: %s (%s)", who, ended.client, ended.cause.text, ended.detail)
        self._setup.recorder.record(
            Verdict(
                asyncio.get_running_loop().time(),
                ROLE,
                ended.client,
                Act.ADMITTED if ended.cause is Cause.NORMAL else Act.REFUSED,
                "provisioning",
                str(ended.eid) if ended.eid is not None else ended.identity,
                proved=ended.eid is not None,
                certificate=describe(ended.certificate)
                if self._setup.audited and ended.certificate is not None
                else "",
                cause=ended.cause.name,
                detail=ended.detail,
            )
        )

    def _discard(self, client: str, reason: str) -> None:
        at = asyncio.get_running_loop().time()
        self._setup.recorder.record(Discarded(at, ROLE, client, RADIUS, reason))
