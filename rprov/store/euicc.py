"""Where software eUICCs keep their state: one opaque value per EID, written as a whole or not at all.

Many cards share one database. Refuses to know what is inside a card.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from rprov.model.identifiers import Eid
from rprov.model.sections import (
    StoreSettings,
)
from rprov.store.database import Database, open_database
from rprov.store.migrations import Room
from rprov.store.schema import EUICC_CARDS
from rprov.store.tickets import TicketStore
from rprov.store.writer import Conflict


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card's state and the number of times it was saved."""

    version: int
    state: bytes

    def __repr__(self) -> str:
        return f"SavedCard(version={self.version}, {len(self.state)} octets)"


class EuiccStore:
    """The store of a fleet of cards. Every method may raise `StoreFailed`; after `close` all raise `Misuse`."""

    def __init__(self, database: Database) -> None:
        self._writer = database.writer
        self._seal = database.seal
        self.tickets = TicketStore(database)
        """What the devices of these cards resume with."""

    async def close(self) -> None:
        """Finish what waits and close."""
        await self._writer.close()

    async def load(self, eid: Eid) -> SavedCard | None:
        """The card's state as it was saved last."""

        def load(found: Connection) -> SavedCard | None:
            row = found.execute(select(EUICC_CARDS).where(EUICC_CARDS.c.eid == eid.digits)).one_or_none()
            return None if row is None else SavedCard(row.version, self._seal.open(row.sealed_state, _place(eid)))

        return await self._writer.read(load)

    async def save(self, eid: Eid, state: bytes, after: int = 0) -> int:
        """Write the card's state over version `after` (0: a new card) and give the new version.

        Raises `Conflict` when the version in the store is another: two processes play the same card.
        """
        version = after + 1

        def save(found: Connection) -> int:
            sealed = self._seal.close(state, _place(eid))
            there = found.scalar(select(EUICC_CARDS.c.version).where(EUICC_CARDS.c.eid == eid.digits)) or 0
            if there != after:
                raise Conflict(f"the card {eid} is at version {there}, not {after}: somebody else plays it")
            if after == 0:
                found.execute(insert(EUICC_CARDS).values(eid=eid.digits, version=version, sealed_state=sealed))
            else:
                card = update(EUICC_CARDS).where(EUICC_CARDS.c.eid == eid.digits)
                found.execute(card.values(version=version, sealed_state=sealed))
            return version

        return await self._writer.write(save)

    async def eids(self) -> tuple[Eid, ...]:
        """All cards."""
        wanted = select(EUICC_CARDS.c.eid).order_by(EUICC_CARDS.c.eid)
        return tuple(Eid(digits) for digits in await self._writer.read(lambda found: found.scalars(wanted).all()))


def _place(eid: Eid) -> str:
    return f"euicc_cards.state.{eid}"


async def open_euicc_store(settings: StoreSettings) -> EuiccStore:
    """Open a fleet's store, or make it; raises `ConfigError` or `EnvironmentLacks`."""
    return EuiccStore(await open_database(settings, Room.EUICC))
