"""Answers what the core of the SM-DP+ asks (`provision/sgp22/orders.py`), from the same rows as the operator's orders.

Functions of a connection, called in the store's thread. A signed word of an eUICC about an order that ended otherwise
is kept as a word and changes nothing else.
"""

from typing import Any, assert_never

from sqlalchemy import Connection, Row, case, insert, select, update

from rprov.model.identifiers import Eid, Iccid
from rprov.model.records import OrderState
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.metadata import Event
from rprov.provision.sgp22.orders import (
    DownloadOrder,
    LookUpDownload,
    LookUpOrder,
    Query,
    QueryAnswer,
    RecordCancelled,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    RecordWrongCode,
    Reservation,
    ReserveDownload,
)
from rprov.provision.sgp22.orders import OrderState as DownloadState
from rprov.store.orders import confirmation_place, package_place
from rprov.store.schema import SMDP_DOWNLOADS, SMDP_ORDERS
from rprov.store.seal import Seal

_COLUMN = SMDP_ORDERS.c
_OPEN_STATES = tuple(state for state in OrderState if state.open)

Done = tuple[QueryAnswer, str | None]
"""The answer, and the matching id of the order that was installed by this act."""


def answer(connection: Connection, seal: Seal, query: Query) -> Done:
    """Do one act of the store."""
    match query:
        case LookUpOrder(matching_id=matching_id, eid=eid):
            return _order(connection, seal, matching_id, eid), None
        case LookUpDownload(transaction_id=transaction_id):
            return _download(connection, transaction_id), None
        case ReserveDownload(transaction_id=transaction_id, reservation=reservation):
            return _reserve(connection, transaction_id, reservation), None
        case RecordInstalled(eid=eid, iccid=iccid):
            return None, _installed(connection, eid, iccid)
        case RecordFailed(eid=eid, iccid=iccid, detail=detail):
            _release(connection, eid, iccid, f"the eUICC could not install the profile: {detail}")
        case RecordCancelled(eid=eid, iccid=iccid, reason=reason):
            _release(connection, eid, iccid, f"the eUICC ended the download: reason {reason:d}")
        case RecordWrongCode(eid=eid, iccid=iccid):
            _change(connection, eid, iccid, wrong_codes=_COLUMN.wrong_codes + 1)
        case RecordEvent(eid=eid, iccid=iccid, event=event):
            _change(connection, eid, iccid, last_word=_event_word(event))
        case _:
            assert_never(query)
    return None, None


def last_word(connection: Connection, matching_id: str) -> str:
    """Read what the eUICC has said last."""
    return connection.scalar(select(_COLUMN.last_word).where(_COLUMN.matching_id == matching_id)) or ""


def _order(connection: Connection, seal: Seal, matching_id: str, eid: Eid) -> DownloadOrder | None:
    closed = case((_COLUMN.state.in_(_OPEN_STATES), 0), else_=1)
    mine = _COLUMN.matching_id == matching_id if matching_id else _COLUMN.eid == eid.digits
    wanted = select(SMDP_ORDERS).where(mine).order_by(closed, _COLUMN.added_at.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    code = row.sealed_confirmation
    return DownloadOrder(
        row.matching_id,
        Eid(row.eid),
        Iccid(row.iccid),
        seal.open(row.sealed_package, package_place(row.matching_id)),
        DownloadState(row.state),
        None if code is None else CodeHash(seal.open(code, confirmation_place(row.matching_id))),
        row.downloads,
        row.wrong_codes,
    )


def _download(connection: Connection, transaction_id: bytes) -> Reservation | None:
    wanted = select(SMDP_DOWNLOADS).where(SMDP_DOWNLOADS.c.transaction_id == transaction_id.hex())
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Reservation(Eid(row.eid), Iccid(row.iccid), row.euicc_certificate)


def _reserve(connection: Connection, transaction_id: bytes, reservation: Reservation) -> bool:
    row = _row(connection, reservation.eid, reservation.iccid)
    if row is None or not OrderState(row.state).open or _download(connection, transaction_id) is not None:
        return False
    _set(connection, row, state=OrderState.DOWNLOADED, downloads=_COLUMN.downloads + 1)
    connection.execute(
        insert(SMDP_DOWNLOADS).values(
            transaction_id=transaction_id.hex(),
            eid=reservation.eid.digits,
            iccid=reservation.iccid.digits,
            euicc_certificate=reservation.euicc_certificate,
        )
    )
    return True


def _installed(connection: Connection, eid: Eid, iccid: Iccid) -> str | None:
    row = _row(connection, eid, iccid)
    if row is None or row.state == OrderState.INSTALLED:
        return None
    if row.state == OrderState.CANCELLED:
        _set(connection, row, last_word="installed, though the order was cancelled")
        return None
    _set(connection, row, state=OrderState.INSTALLED, last_word="installed")
    return str(row.matching_id)


def _release(connection: Connection, eid: Eid, iccid: Iccid, word: str) -> None:
    row = _row(connection, eid, iccid)
    if row is not None:
        state = OrderState.RELEASED if OrderState(row.state).open else OrderState(row.state)
        _set(connection, row, state=state, last_word=word)


def _event_word(event: Event) -> str:
    match event:
        case Event.INSTALL:
            return "installed"
        case Event.ENABLE:
            return "enabled"
        case Event.DISABLE:
            return "disabled"
        case Event.DELETE:
            return "deleted"


def _row(connection: Connection, eid: Eid, iccid: Iccid) -> Row[Any] | None:
    """The order that gives this profile to this device; of several the one that was not cancelled, or the latest."""
    cancelled = case((_COLUMN.state == OrderState.CANCELLED, 1), else_=0)
    wanted = (
        select(SMDP_ORDERS)
        .where(_COLUMN.eid == eid.digits, _COLUMN.iccid == iccid.digits)
        .order_by(cancelled, _COLUMN.added_at.desc())
        .limit(1)
    )
    return connection.execute(wanted).one_or_none()


def _change(connection: Connection, eid: Eid, iccid: Iccid, **values: Any) -> None:
    row = _row(connection, eid, iccid)
    if row is not None:
        _set(connection, row, **values)


def _set(connection: Connection, row: Row[Any], **values: Any) -> None:
    connection.execute(update(SMDP_ORDERS).where(_COLUMN.matching_id == row.matching_id).values(**values))
