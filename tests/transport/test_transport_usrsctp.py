"""The contract over SCTP in user space, and what only a stack of our own can suffer."""

import pytest
from contract import *  # noqa: F403
from contract import LOOPS, Play, always, player
from contract_wire import *  # noqa: F403
from contract_wire import Cut
from doubles.sockets import deafen

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport.link import Link
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_link import UsrsctpLink

FREE = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0))


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Play:
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
