"""Where devices keep the TLS ticket that they may resume with: one sealed value per EID, beside their cards.

Refuses to know what is inside a ticket.
"""

from sqlalchemy import Connection, delete, insert, select

from rprov.model.identifiers import Eid
from rprov.store.database import Database
from rprov.store.schema import EUICC_TICKETS


class TicketStore:
    """The tickets of a fleet. Every method may raise `StoreFailed`."""

    def __init__(self, database: Database) -> None:
        self._writer = database.writer
        self._seal = database.seal

    async def load(self, eid: Eid) -> bytes | None:
        """The ticket as it was saved last, or None; raises `SealBroken` for one that was changed."""

        def load(found: Connection) -> bytes | None:
            wanted = select(EUICC_TICKETS.c.sealed_ticket).where(EUICC_TICKETS.c.eid == eid.digits)
            sealed = found.scalar(wanted)
            return None if sealed is None else self._seal.open(sealed, _place(eid))

        return await self._writer.read(load)

    async def save(self, eid: Eid, ticket: bytes | None) -> None:
        """Keep a ticket in the place of any other, or none."""

        def save(found: Connection) -> None:
            found.execute(delete(EUICC_TICKETS).where(EUICC_TICKETS.c.eid == eid.digits))
            if ticket is not None:
                sealed = self._seal.close(ticket, _place(eid))
                found.execute(insert(EUICC_TICKETS).values(eid=eid.digits, sealed_ticket=sealed))

        await self._writer.write(save)


def _place(eid: Eid) -> str:
    return f"euicc_tickets.ticket.{eid}"
