"""The wiring of a RAN."""

import asyncio

from rprov.daemon.ran import RanDaemon, RanSetup
from rprov.daemon.userplane import RanUserPlane
from rprov.model.policy import RanPolicy
from rprov.model.report import Recorder
from rprov.model.session import UserPlaneAddress
from rprov.model.settings import RanSettings
from rprov.trace.tally import PacketTally
from rprov.transport import tcp
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.radio_asn1 import RadioAsn1
from rprov.wiring.node import Node


async def open_ran(settings: RanSettings, recorder: Recorder) -> Node:
    """Build a RAN."""
    tally = PacketTally()
    plane = RanUserPlane(
        asyncio.get_running_loop(),
        UserPlaneAddress(settings.radio_user_plane.address, settings.radio_user_plane.port),
        UserPlaneAddress(settings.n3.address, settings.n3.port),
        observe=tally.observe,
    )
    daemon = RanDaemon(
        RanSetup(
            policy=RanPolicy(settings.name, settings.cell_id, settings.security.ciphering, settings.security.integrity),
            plmn=settings.plmn,
            transport=tcp,
            radio_host=settings.radio.host,
            radio_port=settings.radio.port,
            cp_host=settings.cp.host,
            cp_port=settings.cp.port,
            user_plane=plane,
            radio_codec=RadioAsn1(),
            link_codec=LinkAsn1(),
            recorder=recorder,
            max_message=settings.limits.max_message,
            half_open_per_link=settings.limits.half_open_per_link,
            half_open=settings.limits.half_open,
        )
    )
    return Node(daemon, lambda: None, tally=tally)
