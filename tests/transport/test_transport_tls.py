"""The contract under TLS: over TCP, where it is ordinary TLS, and over a link of messages, as in an association."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import contract
import pytest
from contract import *  # noqa: F403
from contract import Play, player
from contract_wire import *  # noqa: F403
from contract_wire import Cut
from doubles.sockets import deafen
from doubles.tls_links import tls_over

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import tcp, tls_link
from rprov.transport.link import Link, Transport
from rprov.transport.memory import MemoryNetwork
from rprov.transport.usrsctp import UserSctp


@asynccontextmanager
async def over_tcp() -> AsyncIterator[Transport]:
    yield tls_over()


@asynccontextmanager
async def over_messages() -> AsyncIterator[Transport]:
    yield tls_over(MemoryNetwork())


@asynccontextmanager
async def over_sctp() -> AsyncIterator[Transport]:
    yield tls_over(UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0)))


OPEN = {"messages": over_messages, "sctp": over_sctp}


@pytest.fixture(
    params=["uvloop", "messages", *(pytest.param(name, marks=pytest.mark.slow) for name in ("asyncio", "sctp"))]
)
def play(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Play:
    if request.param != "asyncio":  # a thousand handshakes are for the slow run
        monkeypatch.setattr(contract, "THOUSAND", 150)
    opened = OPEN.get(request.param)
    return player(over_tcp, request.param) if opened is None else player(opened)


@pytest.fixture(params=[pytest.param("uvloop", marks=pytest.mark.slow)])  # it is TCP that notices, and TCP's own test
def impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Play:
    low = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 1), ("TCP_USER_TIMEOUT", 300))
    monkeypatch.setattr(tcp, "KEEPALIVE", low)
    monkeypatch.setattr(tcp, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(tls_link, "CLOSE_SECONDS", 0.1)
    return player(over_tcp, request.param)


@pytest.fixture
def cut() -> Cut:
    def both(*ends: Link) -> None:
        for end in ends:
            deafen(end._below._transport.get_extra_info("socket"))  # type: ignore[attr-defined]

    return both
