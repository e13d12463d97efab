"""Subscribers, and the sequence numbers that no two authentications share.

SQN = SEQ (43 bits) | IND (5 bits) (TS 33.102 C.1.1.1). `sqn` in the table is the last number of the last block that was
reserved: a crash skips what is left of a block and never gives a number twice. Functions of a connection, called in
the store's thread; they refuse to know Milenage.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, exists, insert, select, update

from rprov.auth.usim import DELTA, IND_BITS, next_sqn
from rprov.model.identifiers import Supi
from rprov.model.records import SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.store.schema import CP_SUBSCRIBERS
from rprov.store.seal import Seal
from rprov.store.writer import Conflict

BLOCK = 32
"""Numbers reserved at a time: one turn of IND."""


def add(connection: Connection, seal: Seal, record: SubscriberRecord) -> None:
    """Insert a subscriber; raises `Conflict` when the SUPI is there already."""
    if connection.scalar(select(exists().where(CP_SUBSCRIBERS.c.supi == record.supi.text))):
        raise Conflict(f"there is a subscriber {record.supi} already")
    connection.execute(
        insert(CP_SUBSCRIBERS).values(
            supi=record.supi.text,
            sealed_keys=seal.close(record.k.octets + record.opc.octets, _place(record.supi)),
            amf=record.amf,
            sqn=record.sqn,
            active=record.active,
            algorithm=record.algorithm.value,
            method=record.method.value,
        )
    )


def load(connection: Connection, seal: Seal, supi: Supi, *, hold: bool = False) -> SubscriberRecord | None:
    """Read a subscriber; `sqn` is the last number reserved. `hold` keeps other processes off it until the commit."""
    wanted = select(CP_SUBSCRIBERS).where(CP_SUBSCRIBERS.c.supi == supi.text)
    row = connection.execute(wanted.with_for_update() if hold else wanted).one_or_none()
    return None if row is None else _record(row, seal)


def set_active(connection: Connection, supi: Supi, active: bool) -> bool:
    """Let a subscriber in, or keep it out; says whether there is one."""
    wanted = update(CP_SUBSCRIBERS).where(CP_SUBSCRIBERS.c.supi == supi.text).values(active=active)
    return connection.execute(wanted).rowcount == 1


def _record(row: Row[tuple[object, ...]], seal: Seal) -> SubscriberRecord:
    supi, algorithm = Supi(row.supi), AkaAlgorithm(row.algorithm)
    keys = seal.open(row.sealed_keys, _place(supi))
    split = len(keys) - algorithm.opc_size
    return SubscriberRecord(
        supi, Secret(keys[:split]), Secret(keys[split:]), row.amf, row.sqn, row.active, algorithm, AkaMethod(row.method)
    )


def _place(supi: Supi) -> str:
    return f"cp_subscribers.keys.{supi}"


@dataclass(slots=True)
class _Block:
    last_given: int
    end: int


class SequenceNumbers:
    """Blocks that this process has reserved and not yet used up; lives in the store's thread."""

    def __init__(self) -> None:
        self._blocks: dict[str, _Block] = {}

    def forget(self) -> None:
        """Give up what is left of all blocks, because a reservation may have been taken back."""
        self._blocks.clear()

    def reserve(self, connection: Connection, record: SubscriberRecord) -> SubscriberRecord:
        """Give the record with a number that nobody else gets; `record` was just loaded."""
        key = record.supi.text
        block = self._blocks.get(key)
        if block is None or block.last_given == block.end:
            block = _Block(record.sqn, _ahead(record.sqn, BLOCK))
            _write(connection, record.supi, block.end)
            self._blocks[key] = block
        block.last_given = next_sqn(block.last_given)
        return replace(record, sqn=block.last_given)

    def resynchronise(self, connection: Connection, record: SubscriberRecord, sqn_ms: int) -> SubscriberRecord:
        """Set SQN_HE to SQN_MS, unless the next number would be accepted as it is (TS 33.102 6.3.5 and C.3.2)."""
        self._blocks.pop(record.supi.text, None)
        lead = (next_sqn(record.sqn) >> IND_BITS) - (sqn_ms >> IND_BITS)
        if 0 < lead <= DELTA:
            return record
        _write(connection, record.supi, sqn_ms)
        return replace(record, sqn=sqn_ms)


def _ahead(sqn: int, steps: int) -> int:
    for _ in range(steps):
        sqn = next_sqn(sqn)
    return sqn


def _write(connection: Connection, supi: Supi, sqn: int) -> None:
    connection.execute(update(CP_SUBSCRIBERS).where(CP_SUBSCRIBERS.c.supi == supi.text).values(sqn=sqn))
