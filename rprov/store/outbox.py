"""What the SM-DP+ must tell the CP. News are written in the transaction of what they tell of, and delivered until the
CP has them; telling twice changes nothing.

    order added      -> the CP learns the order and its subscriber
    order closed     -> the CP learns that it was installed or cancelled

Where both share a database there is no outbox: the same transaction tells the CP. Refuses to know who calls it.
"""

import json
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection, delete, func, insert, select

from rprov.model.identifiers import Eid, Iccid, Imsi, Supi
from rprov.model.records import Order, OrderState, SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.store import orders, subscribers
from rprov.store.schema import SMDP_OUTBOX
from rprov.store.seal import Seal
from rprov.store.writer import Conflict


@dataclass(frozen=True, slots=True)
class OrderAdded:
    """There is a new order, and whoever gets the profile will be this subscriber."""

    order: Order
    subscriber: SubscriberRecord


@dataclass(frozen=True, slots=True)
class OrderClosed:
    """An order has come to its end."""

    matching_id: str
    state: OrderState


News = OrderAdded | OrderClosed


def accept(connection: Connection, seal: Seal, news: News) -> None:
    """Take news into the tables of the CP; the second time changes nothing. `seal` is the CP's.

    Raises `Conflict` when the subscriber is there with other keys: the profile would not work.
    """
    match news:
        case OrderAdded(order, subscriber):
            orders.add_at_cp(connection, order)
            known = subscribers.load(connection, seal, subscriber.supi)
            if known is None:
                subscribers.add(connection, seal, subscriber)
            elif _credentials(known) != _credentials(subscriber):
                raise Conflict(f"there is a subscriber {subscriber.supi} with other keys already")
        case OrderClosed(matching_id, state):
            orders.close_at_cp(connection, matching_id, state)
        case _:
            assert_never(news)


def _credentials(record: SubscriberRecord) -> tuple[Secret, Secret, AkaAlgorithm, AkaMethod]:
    return record.k, record.opc, record.algorithm, record.method


def post(connection: Connection, seal: Seal, news: News) -> None:
    """Put news into the outbox. `seal` is the SM-DP+'s."""
    last = connection.scalar(select(func.max(SMDP_OUTBOX.c.position))) or 0
    sealed = seal.close(_encode(news), _place(last + 1))
    connection.execute(insert(SMDP_OUTBOX).values(position=last + 1, sealed_news=sealed))


def pending(connection: Connection, seal: Seal, limit: int) -> tuple[tuple[int, News], ...]:
    """Read the oldest news with their positions."""
    rows = connection.execute(select(SMDP_OUTBOX).order_by(SMDP_OUTBOX.c.position).limit(limit))
    return tuple((row.position, _decode(seal.open(row.sealed_news, _place(row.position)))) for row in rows)


def strike(connection: Connection, position: int) -> None:
    """Take delivered news out of the outbox."""
    connection.execute(delete(SMDP_OUTBOX).where(SMDP_OUTBOX.c.position == position))


def _place(position: int) -> str:
    return f"smdp_outbox.news.{position}"


def _encode(news: News) -> bytes:
    match news:
        case OrderAdded(order, subscriber):
            content: dict[str, object] = {
                "kind": "orderAdded",
                "eid": order.eid.digits,
                "iccid": order.iccid.digits,
                "imsi": order.imsi.digits,
                "matching_id": order.matching_id,
                "state": order.state.value,
                "supi": subscriber.supi.text,
                "k": subscriber.k.octets.hex(),
                "opc": subscriber.opc.octets.hex(),
                "amf": subscriber.amf.hex(),
                "sqn": subscriber.sqn,
                "active": subscriber.active,
                "algorithm": subscriber.algorithm.value,
                "method": subscriber.method.value,
            }
        case OrderClosed(matching_id, state):
            content = {"kind": "orderClosed", "matching_id": matching_id, "state": state.value}
        case _:
            assert_never(news)
    return json.dumps(content).encode()


def _decode(octets: bytes) -> News:
    content = json.loads(octets)
    if content["kind"] == "orderClosed":
        return OrderClosed(content["matching_id"], OrderState(content["state"]))
    return OrderAdded(
        Order(
            Eid(content["eid"]),
            Iccid(content["iccid"]),
            Imsi(content["imsi"]),
            content["matching_id"],
            OrderState(content["state"]),
        ),
        SubscriberRecord(
            Supi(content["supi"]),
            Secret(bytes.fromhex(content["k"])),
            Secret(bytes.fromhex(content["opc"])),
            bytes.fromhex(content["amf"]),
            content["sqn"],
            content["active"],
            # absent in news of a time when there was only one of each
            AkaAlgorithm(content.get("algorithm", AkaAlgorithm.MILENAGE)),
            AkaMethod(content.get("method", AkaMethod.FIVE_G_AKA)),
        ),
    )
