"""Keeps a device's TLS ticket beyond its restart, and forgets it once it has served. Knows no TLS and no database."""

import logging
from typing import Protocol

from rprov.auth.ticket import Ticket, TicketPocket
from rprov.errors import DecodeError, RprovError
from rprov.model.identifiers import Eid

_LOG = logging.getLogger("rprov.ue")


class Tickets(Protocol):
    """Where tickets are kept."""

    async def load(self, eid: Eid) -> bytes | None:
        """The ticket of this device, if there is one."""

    async def save(self, eid: Eid, ticket: bytes | None) -> None:
        """Keep a ticket, or none."""


class TicketKeeper:
    """The pocket of one device, and what of it is in the store. A ticket that is lost costs a full handshake."""

    def __init__(self, eid: Eid, store: Tickets) -> None:
        self.pocket = TicketPocket()
        self._eid = eid
        self._store = store
        self._kept: Ticket | None = None

    async def load(self, wanted: bool) -> None:
        """Take up the ticket of an earlier run; one that nobody wants, or can read, is forgotten."""
        try:
            octets = await self._store.load(self._eid)
            if octets is None:
                return
            if not wanted:
                await self._store.save(self._eid, None)
                return
            self._kept = Ticket.decode(octets)
            self.pocket.put(self._kept)
        except (DecodeError, RprovError) as error:
            _LOG.warning("the TLS ticket of %s is of no use: %s", self._eid, error)

    def forget(self) -> None:
        """Drop the ticket: what it was for is done."""
        self.pocket.take()

    async def save(self) -> None:
        """Keep what has changed since the last time."""
        ticket = self.pocket.ticket
        if ticket is self._kept:
            return
        self._kept = ticket
        try:
            await self._store.save(self._eid, None if ticket is None else ticket.encode())
        except RprovError as error:
            _LOG.warning("the TLS ticket of %s is not kept: %s", self._eid, error)
