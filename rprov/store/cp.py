"""What a CP asks of its store: devices, subscribers with fresh sequence numbers, contexts. No SQL here."""

from collections.abc import Callable

from sqlalchemy import Connection

from rprov.errors import Misuse
from rprov.model.identifiers import Eid, Guti, Supi
from rprov.model.records import ContextRecord, DeviceRecord, SubscriberRecord
from rprov.model.sections import (
    StoreSettings,
)
from rprov.store import contexts, orders, outbox, subscribers
from rprov.store.database import Database, open_database
from rprov.store.migrations import Room
from rprov.store.outbox import News
from rprov.store.schema import CP_ORDERS
from rprov.store.writer import Conflict


class CpStore:
    """The store of one CP. Every method may raise `StoreFailed`; after `close` every method raises `Misuse`."""

    def __init__(self, database: Database) -> None:
        self._writer = database.writer
        self._seal = database.seal
        self._numbers = subscribers.SequenceNumbers()
        self._writer.when_rolled_back(self._numbers.forget)

    def observe(self, observe: Callable[[str, float], None]) -> None:
        """Have each job told: read or write, and the seconds from question to answer."""
        self._writer.observe(observe)

    async def close(self) -> None:
        """Finish what waits and close."""
        await self._writer.close()

    async def device(self, eid: Eid) -> DeviceRecord:
        """The one look-up of step 1."""
        return DeviceRecord(eid, await self._writer.read(lambda found: orders.by_eid(found, CP_ORDERS, eid)))

    async def add_subscriber(self, record: SubscriberRecord) -> None:
        """Take a subscriber in; raises `Conflict` when the SUPI is there already."""
        await self._writer.write(lambda found: subscribers.add(found, self._seal, record))

    async def subscriber(self, supi: Supi) -> SubscriberRecord | None:
        """A subscriber as it stands; its `sqn` is the last number reserved, not one to use."""
        return await self._writer.read(lambda found: subscribers.load(found, self._seal, supi))

    async def set_active(self, supi: Supi, active: bool) -> None:
        """Let a subscriber in, or keep it out; raises `Conflict` when there is none."""
        if not await self._writer.write(lambda found: subscribers.set_active(found, supi, active)):
            raise Conflict(f"there is no subscriber {supi}")

    async def reserve_vector(self, supi: Supi, resynchronise: int | None = None) -> SubscriberRecord | None:
        """The subscriber with an `sqn` that nobody else gets; `None` when there is none that is active.

        `resynchronise` is SQN_MS of a verified AUTS: it is taken into account first (TS 33.102 6.3.5).
        """
        if resynchronise is not None and not 0 <= resynchronise < 1 << 48:
            raise Misuse("SQN_MS has 48 bits")

        def reserve(found: Connection) -> SubscriberRecord | None:
            record = subscribers.load(found, self._seal, supi, hold=True)
            if record is None or not record.active:
                return None
            if resynchronise is not None:
                record = self._numbers.resynchronise(found, record, resynchronise)
            return self._numbers.reserve(found, record)

        return await self._writer.write(reserve)

    async def resynchronise(self, supi: Supi, sqn_ms: int) -> SubscriberRecord | None:
        """`reserve_vector` after an AUTS."""
        return await self.reserve_vector(supi, sqn_ms)

    async def save_context(self, record: ContextRecord) -> None:
        """Write a context, over the one with the same GUTI if there is one."""
        await self._writer.write(lambda found: contexts.save(found, self._seal, record))

    async def drop_context(self, guti: Guti) -> None:
        """Forget a context; nothing happens when there is none."""
        await self._writer.write(lambda found: contexts.drop(found, guti))

    async def context_by_guti(self, guti: Guti) -> ContextRecord | None:
        """A context, if there is one."""
        return await self._writer.read(lambda found: contexts.load(found, self._seal, guti))

    async def contexts(self) -> tuple[ContextRecord, ...]:
        """All contexts."""
        return await self._writer.read(lambda found: contexts.everything(found, self._seal))

    async def accept(self, news: News) -> None:
        """Take news of the SM-DP+; the second time changes nothing."""
        await self._writer.write(lambda found: outbox.accept(found, self._seal, news))


async def open_cp_store(settings: StoreSettings) -> CpStore:
    """Open the CP's store, or make it; raises `ConfigError` or `EnvironmentLacks`."""
    return CpStore(await open_database(settings, Room.CP))
