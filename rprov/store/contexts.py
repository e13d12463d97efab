"""Security contexts as they survive a restart of the CP. Functions of a connection, called in the store's thread."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, delete, insert, select, update

from rprov.crypto.hierarchy import KAmf
from rprov.model.identifiers import Eid, Guti, Plmn, Supi
from rprov.model.records import ContextRecord, ContextState
from rprov.model.security import Algorithms, Nea, Nia, Scope, SecurityCapability
from rprov.store.schema import CP_CONTEXTS
from rprov.store.seal import Seal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def save(connection: Connection, seal: Seal, record: ContextRecord) -> None:
    """Write a context, over the one with the same GUTI if there is one."""
    values = {
        "identity": str(record.identity),
        "scope": record.scope.value,
        "state": record.state.value,
        "ksi": record.ksi,
        "sealed_k_amf": seal.close(record.k_amf.octets, _place(record.guti)),
        "nea": record.algorithms.nea.value,
        "nia": record.algorithms.nia.value,
        "capability_nea": record.capability.nea,
        "capability_nia": record.capability.nia,
        "uplink_count": record.uplink_count,
        "downlink_count": record.downlink_count,
        "expires_at": None if record.expires_at is None else (record.expires_at - _EPOCH) // _MICROSECOND,
    }
    guti = str(record.guti)
    if connection.execute(update(CP_CONTEXTS).where(CP_CONTEXTS.c.guti == guti).values(**values)).rowcount == 0:
        connection.execute(insert(CP_CONTEXTS).values(guti=guti, **values))


def drop(connection: Connection, guti: Guti) -> None:
    """Forget a context; nothing happens when there is none."""
    connection.execute(delete(CP_CONTEXTS).where(CP_CONTEXTS.c.guti == str(guti)))


def load(connection: Connection, seal: Seal, guti: Guti) -> ContextRecord | None:
    """Read one context."""
    row = connection.execute(select(CP_CONTEXTS).where(CP_CONTEXTS.c.guti == str(guti))).one_or_none()
    return None if row is None else _record(row, seal)


def everything(connection: Connection, seal: Seal) -> tuple[ContextRecord, ...]:
    """Read all contexts."""
    return tuple(_record(row, seal) for row in connection.execute(select(CP_CONTEXTS).order_by(CP_CONTEXTS.c.guti)))


def _record(row: Row[tuple[object, ...]], seal: Seal) -> ContextRecord:
    guti = _guti(row.guti)
    return ContextRecord(
        guti,
        _identity(row.identity),
        Scope(row.scope),
        ContextState(row.state),
        row.ksi,
        KAmf(seal.open(row.sealed_k_amf, _place(guti))),
        Algorithms(Nea(row.nea), Nia(row.nia)),
        SecurityCapability(row.capability_nea, row.capability_nia),
        row.uplink_count,
        row.downlink_count,
        None if row.expires_at is None else _EPOCH + row.expires_at * _MICROSECOND,
    )


def _identity(text: str) -> Eid | Supi:
    # an IMSI has at most 15 digits, an NAI has an @
    return Eid(text) if len(text) == 32 and text.isdigit() else Supi(text)


def _guti(text: str) -> Guti:
    mcc, mnc, cp, tmsi = text.split("-")
    return Guti(Plmn(mcc, mnc), int(cp, 16), int(tmsi, 16))


def _place(guti: Guti) -> str:
    return f"cp_contexts.k_amf.{guti}"
