"""PDU sessions in the core: an address, a TEID, a filter, and the UP that enforces it.

Owns the address pools; the filters themselves are `session/restriction.py`, the packets `userplane.py`.
"""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from rprov.daemon.userplane import UpUserPlane
from rprov.errors import RprovError
from rprov.model.identifiers import Teid
from rprov.model.session import SessionKind, TunnelEnd
from rprov.procedure.actions import OpenTunnel
from rprov.procedure.events import TunnelOpened
from rprov.session.restriction import Destination, Restriction, SessionFilter, Unrestricted


class PoolExhausted(RprovError):
    """No address is free."""


class AddressPool:
    """Addresses of one network, each lent to one session; a returned one is lent again as late as possible."""

    def __init__(self, network: IPv4Network, gateway: IPv4Address) -> None:
        self._fresh: Iterator[IPv4Address] = (host for host in network.hosts() if host != gateway)
        self._returned: dict[IPv4Address, None] = {}

    def lend(self) -> IPv4Address:
        """Give a free address; raises `PoolExhausted`."""
        fresh = next(self._fresh, None)
        if fresh is not None:
            return fresh
        if not self._returned:
            raise PoolExhausted("no address is free for a session")
        address = next(iter(self._returned))
        del self._returned[address]
        return address

    def give_back(self, address: IPv4Address) -> None:
        """Take an address back."""
        self._returned[address] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What sessions get and may reach."""

    gateway: IPv4Address
    provisioning_pool: IPv4Network
    ordinary_pool: IPv4Network
    ordinary_destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class _Lent:
    address: IPv4Address
    pool: AddressPool


class Sessions:
    """The sessions of one CP."""

    def __init__(self, plane: UpUserPlane, rules: SessionRules) -> None:
        self._plane = plane
        self._rules = rules
        self._pools = {
            SessionKind.PROVISIONING: AddressPool(rules.provisioning_pool, rules.gateway),
            SessionKind.ORDINARY: AddressPool(rules.ordinary_pool, rules.gateway),
        }
        self._lent: dict[Teid, _Lent] = {}

    def __len__(self) -> int:
        return len(self._lent)

    @property
    def plane(self) -> UpUserPlane:
        """The UP behind it."""
        return self._plane

    def open_session(self, ask: OpenTunnel) -> TunnelOpened:
        """Make a session with its filter; raises `PoolExhausted`. TEIDs are random (design rule 5)."""
        pool = self._pools[ask.kind]
        address = pool.lend()
        teid = Teid(0)
        while not teid or self._plane.knows(teid):
            teid = Teid(secrets.randbits(32))
        self._plane.add_session(teid, SessionFilter(self._policy(ask, address)))
        self._lent[teid] = _Lent(address, pool)
        return TunnelOpened(self._plane.n3_end(teid), address)

    def _policy(self, ask: OpenTunnel, address: IPv4Address) -> Restriction | Unrestricted:
        if ask.kind is SessionKind.PROVISIONING:
            return Restriction.to_servers(
                ask.servers,
                ue=address,
                gateway=self._rules.gateway,
                quota_octets=ask.quota,
                expires_at=asyncio.get_running_loop().time() + ask.lifetime,
            )
        names = {server.fqdn.lower(): server.addresses for server in ask.servers}
        return Unrestricted(address, self._rules.gateway, self._rules.ordinary_destinations, names)

    def connect(self, teid: Teid, downlink: TunnelEnd) -> None:
        """Say where the RAN receives."""
        if teid in self._lent:
            self._plane.connect(teid, downlink)

    def close_session(self, teid: Teid) -> None:
        """End a session: its TEID, filter and address are gone."""
        lent = self._lent.pop(teid, None)
        if lent is not None:
            self._plane.remove_session(teid)
            lent.pool.give_back(lent.address)

    async def close(self) -> None:
        """End all sessions."""
        for teid in list(self._lent):
            self.close_session(teid)
        await self._plane.close()
