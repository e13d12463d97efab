"""Sessions of the core: addresses that are lent once, TEIDs that cannot be guessed, filters that fit the kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import pytest
from doubles.loop import run

from rprov.daemon.n6 import NatMap
from rprov.daemon.sessions import AddressPool, PoolExhausted, SessionRules, Sessions
from rprov.daemon.userplane import UpUserPlane
from rprov.errors import EnvironmentLacks
from rprov.model.identifiers import Teid
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind, TunnelEnd, UserPlaneAddress
from rprov.procedure.actions import OpenTunnel
from rprov.session.restriction import Destination, Restriction, Unrestricted

LOOPBACK = IPv4Address("127.0.0.1")
GATEWAY = IPv4Address("10.45.0.1")
SERVER = ProvisioningServer(ProvisioningProtocol.SGP22, "smdp.example.com", (IPv4Address("203.0.113.10"),), 443)
PROVISIONING = OpenTunnel(SessionKind.PROVISIONING, (SERVER,), 1000, 60)
ORDINARY = OpenTunnel(SessionKind.ORDINARY, (SERVER,), 0, 0)
RULES = SessionRules(
    gateway=GATEWAY,
    provisioning_pool=IPv4Network("10.45.0.0/29"),
    ordinary_pool=IPv4Network("10.45.128.0/29"),
    ordinary_destinations=(Destination(IPv4Network("198.51.100.0/24")),),
)


@asynccontextmanager
async def open_sessions() -> AsyncIterator[Sessions]:
    plane = UpUserPlane(asyncio.get_running_loop(), UserPlaneAddress(LOOPBACK, 0), NatMap())
    sessions = Sessions(plane, RULES)
    try:
        yield sessions
    finally:
        await sessions.close()


def test_a_pool_lends_every_address_but_the_gateway_once() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/29"), IPv4Address("10.0.0.1"))
    lent = [pool.lend() for _ in range(5)]
    assert lent == [IPv4Address(f"10.0.0.{number}") for number in range(2, 7)]
    with pytest.raises(PoolExhausted, match="no address is free"):
        pool.lend()


def test_a_returned_address_is_lent_again_as_late_as_possible() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/29"), IPv4Address("10.0.0.1"))
    first, second = pool.lend(), pool.lend()
    pool.give_back(second)
    pool.give_back(first)
    assert [pool.lend() for _ in range(3)] == [IPv4Address(f"10.0.0.{number}") for number in (4, 5, 6)]
    assert [pool.lend(), pool.lend()] == [second, first]


def test_each_kind_has_its_pool_and_its_filter() -> None:
    async def scenario() -> None:
        async with open_sessions() as sessions:
            narrow, wide = sessions.open_session(PROVISIONING), sessions.open_session(ORDINARY)
            assert narrow.address in RULES.provisioning_pool
            assert wide.address in RULES.ordinary_pool
            policies = [sessions.plane._filters[opened.uplink.teid].policy for opened in (narrow, wide)]
            restriction, unrestricted = policies
            assert isinstance(restriction, Restriction)
            assert isinstance(unrestricted, Unrestricted)
            assert restriction.quota_octets == 1000
            assert 59 < restriction.expires_at - asyncio.get_running_loop().time() <= 60
            elsewhere = IPv4Address("198.51.100.7")
            assert [policy.permits(SERVER.addresses[0], 6, 443) for policy in policies] == [True, False]
            assert [policy.permits(elsewhere, 6, 443) for policy in policies] == [False, True]
            # Who may fetch another profile over an ordinary session is told the name, too.
            assert [policy.addresses_of("smdp.example.com") for policy in policies] == [SERVER.addresses] * 2

    run(scenario())


def test_teids_are_random_and_ends_are_where_the_up_listens() -> None:
    async def scenario() -> None:
        async with open_sessions() as sessions:
            opened = [sessions.open_session(PROVISIONING) for _ in range(5)]
            teids = [int(item.uplink.teid) for item in opened]
            assert len(set(teids)) == 5
            assert all(teids)
            assert max(teids) - min(teids) > 1000, "one tells nothing about the next"
            assert {(item.uplink.address, item.uplink.port) for item in opened} == {
                (sessions.plane.n3_address.address, sessions.plane.n3_address.port)
            }

    run(scenario())


def test_what_is_closed_is_gone_and_its_address_free() -> None:
    async def scenario() -> None:
        async with open_sessions() as sessions:
            opened = [sessions.open_session(PROVISIONING) for _ in range(5)]
            with pytest.raises(PoolExhausted):
                sessions.open_session(PROVISIONING)
            gone = opened[2]
            sessions.close_session(gone.uplink.teid)
            sessions.close_session(gone.uplink.teid)
            assert (len(sessions), sessions.plane.sessions) == (4, 4)
            assert not sessions.plane.knows(gone.uplink.teid)
            assert sessions.open_session(PROVISIONING).address == gone.address
            # Where the RAN receives for a session that is gone is of no interest.
            sessions.connect(gone.uplink.teid, TunnelEnd(LOOPBACK, 2152, Teid(7)))
            await sessions.close()
            assert (len(sessions), sessions.plane.sessions) == (0, 0)

    run(scenario())


def test_an_address_that_is_taken_is_named() -> None:
    async def scenario() -> None:
        async with open_sessions() as sessions:
            taken = sessions.plane.n3_address
            with pytest.raises(EnvironmentLacks, match=rf"127\.0\.0\.1:{taken.port} \(UDP, n3\)"):
                UpUserPlane(asyncio.get_running_loop(), taken, NatMap())

    run(scenario())
