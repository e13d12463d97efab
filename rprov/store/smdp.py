"""What an SM-DP+ asks of its store: orders with their profile packages, and news for the CP. No SQL here."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from rprov.model.identifiers import Eid
from rprov.model.records import Order, OrderState, SubscriberRecord
from rprov.model.sections import (
    StoreSettings,
)
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.orders import Query, QueryAnswer
from rprov.store import downloads, orders, outbox
from rprov.store.cp import CpStore
from rprov.store.database import Database, open_database
from rprov.store.migrations import Room
from rprov.store.outbox import News, OrderAdded, OrderClosed
from rprov.store.schema import SMDP_ORDERS
from rprov.store.writer import Conflict

_DELIVERED_AT_A_TIME = 100


class SmdpStore:
    """The store of one SM-DP+. `with_cp`: the CP's tables are in the same database.

    Every method may raise `StoreFailed`; after `close` every method raises `Misuse`.
    """

    def __init__(self, database: Database, *, with_cp: bool) -> None:
        self._writer = database.writer
        self._seal = database.seal
        self._with_cp = with_cp

    def observe(self, observe: Callable[[str, float], None]) -> None:
        """Have each job told: read or write, and the seconds from question to answer."""
        self._writer.observe(observe)

    async def close(self) -> None:
        """Finish what waits and close."""
        await self._writer.close()

    async def add_order(self, order: Order, upp: bytes, confirmation: CodeHash | None = None) -> None:
        """Take in an order of which the CP needs to know nothing, with its unprotected profile package.

        Raises `Conflict` when matching id or ICCID are taken, or the device or the subscriber has an open order.
        """
        await self._writer.write(lambda found: orders.add_at_smdp(found, self._seal, order, upp, confirmation))

    async def add_order_and_subscriber(
        self, order: Order, upp: bytes, subscriber: SubscriberRecord, confirmation: CodeHash | None = None
    ) -> None:
        """Order, profile package and subscriber in one act; raises `Conflict` as `add_order` does.

        With the CP in another database the CP learns its part by `deliver`.
        """
        if subscriber.supi != order.supi:
            raise Conflict(f"the order is for the subscriber {order.supi}, not {subscriber.supi}")

        def add(found: Connection) -> None:
            orders.add_at_smdp(found, self._seal, order, upp, confirmation)
            self._tell(found, OrderAdded(order, subscriber))

        await self._writer.write(add)

    async def order_by_matching_id(self, matching_id: str) -> Order | None:
        """An order by what the activation code says."""
        return await self._writer.read(lambda found: orders.by_matching_id(found, matching_id))

    async def order_by_eid(self, eid: Eid) -> Order | None:
        """The device's open order, else its latest one."""
        return await self._writer.read(lambda found: orders.by_eid(found, SMDP_ORDERS, eid))

    async def orders(self) -> tuple[Order, ...]:
        """All orders, the oldest first."""
        return await self._writer.read(orders.everything)

    async def package(self, matching_id: str) -> bytes | None:
        """The unprotected profile package of an order."""
        return await self._writer.read(lambda found: orders.package(found, self._seal, matching_id))

    async def set_state(self, matching_id: str, state: OrderState) -> Order:
        """Bring an order into `state`, in which it may be already; the CP learns of its end.

        Raises `Conflict` when there is no such order, or no way from its state to this one.
        """
        return await self._writer.write(lambda found: self._move(found, matching_id, state))

    async def answer(self, query: Query) -> QueryAnswer:
        """Do what the server core asks for, in one act, and give its answer."""

        def act(found: Connection) -> QueryAnswer:
            answer, ended = downloads.answer(found, self._seal, query)
            if ended is not None:
                self._tell(found, OrderClosed(ended, OrderState.INSTALLED))
            return answer

        return await self._writer.write(act)

    async def last_word(self, matching_id: str) -> str:
        """What the eUICC has said last about the profile of an order, as a sentence; empty when nothing."""
        return await self._writer.read(lambda found: downloads.last_word(found, matching_id))

    def _move(self, connection: Connection, matching_id: str, state: OrderState) -> Order:
        order = orders.move(connection, matching_id, state)
        if not state.open:
            self._tell(connection, OrderClosed(matching_id, state))
        return order

    def _tell(self, connection: Connection, news: News) -> None:
        if self._with_cp:
            outbox.accept(connection, self._seal, news)
        else:
            outbox.post(connection, self._seal, news)

    async def deliver(self, cp: CpStore) -> int:
        """Give the CP all news that it has not got yet, in their order; says how many it took.

        An order that the CP refuses is cancelled. Raises `Conflict` with what was refused when all is delivered.
        """
        taken, refused = 0, []
        while news := await self._writer.read(lambda found: outbox.pending(found, self._seal, _DELIVERED_AT_A_TIME)):
            for position, item in news:
                try:
                    await cp.accept(item)
                    taken += 1
                    await self._writer.write(partial(outbox.strike, position=position))
                except Conflict as error:
                    refused.append(str(error))
                    await self._writer.write(partial(_give_up, position=position, news=item))
        if refused:
            raise Conflict(f"cancelled: {'; '.join(refused)}")
        return taken


def _give_up(connection: Connection, position: int, news: News) -> None:
    outbox.strike(connection, position)
    if isinstance(news, OrderAdded):
        orders.cancel_if_open(connection, news.order.matching_id)


async def open_smdp_store(settings: StoreSettings, cp: StoreSettings | None = None) -> SmdpStore:
    """Open the SM-DP+'s store, or make it; `cp` says where the CP's is when it is another database.

    Two stores in memory are two databases, whatever their URLs. Raises `ConfigError` or `EnvironmentLacks`.
    """
    with_cp = cp is None or (cp.url == settings.url and not settings.in_memory)
    rooms = (Room.SMDP, Room.CP) if with_cp else (Room.SMDP,)
    return SmdpStore(await open_database(settings, *rooms), with_cp=with_cp)
