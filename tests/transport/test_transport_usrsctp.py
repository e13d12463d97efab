"""The contract over SCTP in user space, and what only a stack of our own can suffer."""

import contract
import pytest
from contract import *  # noqa: F403
from contract import LOOPS, Play, always, player
from contract_wire import *  # noqa: F403
from contract_wire import Cut
from doubles.sockets import deafen

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport.link import Link
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_library import available
from rprov.transport.usrsctp_link import UsrsctpLink

pytestmark = pytest.mark.skipif(not available(), reason="libusrsctp is missing: apt-get install libusrsctp2")

FREE = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0)) if available() else None


@pytest.fixture(params=[pytest.param(loop, marks=pytest.mark.slow if loop == "asyncio" else ()) for loop in LOOPS])
def play(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Play:
    if request.param != "asyncio":  # the whole thousand is for the slow run
        monkeypatch.setattr(contract, "THOUSAND", 250)
    return player(always(FREE), request.param)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(UsrsctpLink, "CLOSE_SECONDS", 0.1)
    low = {"udp_port": 0, "heartbeat": 0.1, "rto_initial": 0.1, "rto_min": 0.1, "rto_max": 0.2, "retransmissions": 2}
    return player(always(UserSctp(SctpListen(**low), SctpPeer(**low))), "uvloop")


@pytest.fixture
def cut() -> Cut:
    def both(*ends: Link) -> None:
        for end in ends:
            deafen(end._path.carrier.socket)  # type: ignore[attr-defined]

    return both
