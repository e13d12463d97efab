"""The wiring of a RAN."""

import asyncio

from rprov.daemon.ran import RanDaemon, RanSetup
from rprov.daemon.userplane import RanUserPlane
from rprov.model.policy import RanPolicy
from rprov.model.report import Recorder
from rprov.model.session import UserPlaneAddress
from rprov.model.settings import RanSettings
from rprov.model.tap import LinkName
from rprov.trace.tally import PacketTally
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.transport.alive import AliveTransport
from rprov.transport.choice import Ends, choose
from rprov.transport.tapped import tapped
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.radio_asn1 import RadioAsn1
from rprov.wiring.n2 import ran_protection
from rprov.wiring.node import Node
from rprov.wiring.watching import Watch


async def open_ran(settings: RanSettings, recorder: Recorder, tracing: Tracing = NO_TRACING) -> Node:
    """Build a RAN."""
    below = choose(settings.cp.transport, Ends(connect=settings.cp.sctp), "N2", bare=settings.cp.tls is not None)
    n2 = ran_protection(settings, below)
    radio = choose(settings.radio.transport, Ends(listen=settings.radio.sctp), "radio")
    tally = PacketTally()
    tap = tracing.tap(LinkName.RADIO, LinkName.N2, LinkName.EAP, LinkName.RADIO_USER, LinkName.N3)
    plane = RanUserPlane(
        asyncio.get_running_loop(),
        UserPlaneAddress(settings.radio_user_plane.address, settings.radio_user_plane.port),
        UserPlaneAddress(settings.n3.address, settings.n3.port),
        observe=tally.observe,
        tap=tap,
    )
    watch = Watch("ran", settings.metrics)
    daemon = RanDaemon(
        RanSetup(
            policy=RanPolicy(settings.name, settings.cell_id, settings.security.ciphering, settings.security.integrity),
            plmn=settings.plmn,
            transport=tapped(radio, tap, listens=LinkName.RADIO),
            n2_transport=tapped(AliveTransport(n2.transport, settings.cp.heartbeat), tap, connects=LinkName.N2),
            radio_host=settings.radio.host,
            radio_port=settings.radio.port,
            cp_host=settings.cp.host,
            cp_port=settings.cp.port,
            user_plane=plane,
            radio_codec=RadioAsn1(),
            link_codec=LinkAsn1(),
            recorder=watch.over(recorder),
            limits=settings.limits,
        )
    )
    node = Node(daemon, lambda: n2.read()(), tally=tally, figures=daemon.figures)
    await watch.start(node)
    return node
