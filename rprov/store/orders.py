"""Orders: one device, one order, one profile. The same rows at the SM-DP+ (with the package) and at the CP (without).

Functions of a connection, called in the store's thread. They keep the order's life: released -> downloaded ->
installed, or cancelled while it is open; a download that the device gave up makes it released again, and a result that
comes after that still counts, because the eUICC has signed it.
"""

import time
from collections.abc import Mapping

from sqlalchemy import Connection, Row, Table, and_, case, exists, insert, select, update

from rprov.model.identifiers import Eid, Iccid, Imsi
from rprov.model.records import Order, OrderState
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.store.schema import CP_ORDERS, SMDP_ORDERS
from rprov.store.seal import Seal
from rprov.store.writer import Conflict

_NEXT: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.RELEASED: frozenset({OrderState.DOWNLOADED, OrderState.INSTALLED, OrderState.CANCELLED}),
    OrderState.DOWNLOADED: frozenset({OrderState.RELEASED, OrderState.INSTALLED, OrderState.CANCELLED}),
    OrderState.INSTALLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
}

_OPEN_STATES = tuple(state for state in OrderState if state.open)


def add_at_smdp(
    connection: Connection, seal: Seal, order: Order, package: bytes, confirmation: CodeHash | None = None
) -> None:
    """Insert an order with its unprotected profile package; raises `Conflict`."""
    _refuse_clash(connection, order)
    place = order.matching_id
    connection.execute(
        insert(SMDP_ORDERS).values(
            **_values(order),
            sealed_package=seal.close(package, package_place(place)),
            sealed_confirmation=confirmation and seal.close(confirmation.octets, confirmation_place(place)),
            downloads=0,
            wrong_codes=0,
            last_word="",
        )
    )


def _refuse_clash(connection: Connection, order: Order) -> None:
    """Say in words what the unique indexes would refuse in code."""
    column = SMDP_ORDERS.c
    is_open = column.state.in_(_OPEN_STATES)
    for clash, what in (
        (column.matching_id == order.matching_id, f"an order with the matching id {order.matching_id}"),
        (
            and_(column.iccid == order.iccid.digits, column.state != OrderState.CANCELLED),
            f"an order for the profile {order.iccid}",
        ),
        (and_(column.eid == order.eid.digits, is_open), f"an open order for the device {order.eid}"),
        (and_(column.imsi == order.imsi.digits, is_open), f"an open order for the subscriber {order.imsi}"),
    ):
        if connection.scalar(select(exists().where(clash))):
            raise Conflict(f"there is {what} already")


def add_at_cp(connection: Connection, order: Order) -> None:
    """Insert an order at the CP, unless it was delivered before."""
    if not connection.scalar(select(exists().where(CP_ORDERS.c.matching_id == order.matching_id))):
        connection.execute(insert(CP_ORDERS).values(**_values(order)))


def by_matching_id(connection: Connection, matching_id: str) -> Order | None:
    """Read an order at the SM-DP+."""
    return _one(connection, SMDP_ORDERS, matching_id)


def by_eid(connection: Connection, table: Table, eid: Eid) -> Order | None:
    """Read a device's open order, else its latest one."""
    closed = case((table.c.state.in_(_OPEN_STATES), 0), else_=1)
    wanted = select(table).where(table.c.eid == eid.digits).order_by(closed, table.c.added_at.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _order(row)


def everything(connection: Connection) -> tuple[Order, ...]:
    """Read all orders at the SM-DP+, the oldest first."""
    rows = connection.execute(select(SMDP_ORDERS).order_by(SMDP_ORDERS.c.added_at, SMDP_ORDERS.c.matching_id))
    return tuple(_order(row) for row in rows)


def package(connection: Connection, seal: Seal, matching_id: str) -> bytes | None:
    """Read the unprotected profile package of an order."""
    wanted = select(SMDP_ORDERS.c.sealed_package).where(SMDP_ORDERS.c.matching_id == matching_id)
    sealed = connection.scalar(wanted)
    return None if sealed is None else seal.open(sealed, package_place(matching_id))


def move(connection: Connection, matching_id: str, state: OrderState) -> Order:
    """Bring an order at the SM-DP+ into `state`, in which it may be already; raises `Conflict`."""
    order = by_matching_id(connection, matching_id)
    if order is None:
        raise Conflict(f"there is no order with the matching id {matching_id}")
    if order.state is state:
        return order
    if state not in _NEXT[order.state]:
        raise Conflict(f"the order {matching_id} is {order.state} and cannot become {state}")
    _set(connection, SMDP_ORDERS, matching_id, state)
    return Order(order.eid, order.iccid, order.imsi, order.matching_id, state)


def cancel_if_open(connection: Connection, matching_id: str) -> None:
    """Cancel an order at the SM-DP+ that nobody can use; nothing happens to one that has ended."""
    order = by_matching_id(connection, matching_id)
    if order is not None and order.state.open:
        _set(connection, SMDP_ORDERS, matching_id, OrderState.CANCELLED)


def close_at_cp(connection: Connection, matching_id: str, state: OrderState) -> None:
    """Bring an open order at the CP to its end; nothing happens to one that has ended."""
    order = _one(connection, CP_ORDERS, matching_id)
    if order is not None and order.state.open:
        _set(connection, CP_ORDERS, matching_id, state)


def _one(connection: Connection, table: Table, matching_id: str) -> Order | None:
    row = connection.execute(select(table).where(table.c.matching_id == matching_id)).one_or_none()
    return None if row is None else _order(row)


def _set(connection: Connection, table: Table, matching_id: str, state: OrderState) -> None:
    connection.execute(update(table).where(table.c.matching_id == matching_id).values(state=state.value))


def _values(order: Order) -> dict[str, str | int]:
    return {
        "matching_id": order.matching_id,
        "eid": order.eid.digits,
        "iccid": order.iccid.digits,
        "imsi": order.imsi.digits,
        "state": order.state.value,
        "added_at": time.time_ns() // 1000,
    }


def _order(row: Row[tuple[object, ...]]) -> Order:
    return Order(Eid(row.eid), Iccid(row.iccid), Imsi(row.imsi), row.matching_id, OrderState(row.state))


def package_place(matching_id: str) -> str:
    """Where the package of an order is sealed for."""
    return f"smdp_orders.package.{matching_id}"


def confirmation_place(matching_id: str) -> str:
    """Where the hash of a confirmation code is sealed for."""
    return f"smdp_orders.confirmation.{matching_id}"
