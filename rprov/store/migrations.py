"""How a database comes from any earlier version of the schema to the present one.

Each room of tables (cp, smdp, euicc) counts its own versions, so that rooms may share a database or not. A step that
was released is never changed: a new one is appended. `OCTETS` stands for the type that the database calls binary.
"""

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import Connection, insert, select, text, update

from rprov.errors import ConfigError
from rprov.store.schema import SCHEMA_VERSION


class Room(StrEnum):
    """Who owns which tables."""

    CP = "cp"
    SMDP = "smdp"
    EUICC = "euicc"


Step = tuple[str, ...]
"""The statements of one version."""

_CP_1: Step = (
    "CREATE TABLE cp_subscribers (supi TEXT PRIMARY KEY NOT NULL, sealed_keys OCTETS NOT NULL, amf OCTETS NOT NULL,"
    " sqn BIGINT NOT NULL, active BOOLEAN NOT NULL)",
    "CREATE TABLE cp_orders (matching_id TEXT PRIMARY KEY NOT NULL, eid TEXT NOT NULL, iccid TEXT NOT NULL,"
    " imsi TEXT NOT NULL, state TEXT NOT NULL, added_at BIGINT NOT NULL)",
    "CREATE INDEX cp_orders_eid ON cp_orders (eid)",
    "CREATE TABLE cp_contexts (guti TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL, scope INTEGER NOT NULL,"
    " state TEXT NOT NULL, ksi INTEGER NOT NULL, sealed_k_amf OCTETS NOT NULL, nea INTEGER NOT NULL,"
    " nia INTEGER NOT NULL, capability_nea INTEGER NOT NULL, capability_nia INTEGER NOT NULL,"
    " uplink_count INTEGER NOT NULL, downlink_count INTEGER NOT NULL, expires_at BIGINT)",
    "CREATE INDEX cp_contexts_identity ON cp_contexts (identity)",
)

_CP_2: Step = (
    "ALTER TABLE cp_subscribers ADD COLUMN algorithm TEXT DEFAULT 'milenage' NOT NULL",
    "ALTER TABLE cp_subscribers ADD COLUMN method TEXT DEFAULT '5g-aka' NOT NULL",
)

_SMDP_1: Step = (
    "CREATE TABLE smdp_orders (matching_id TEXT PRIMARY KEY NOT NULL, eid TEXT NOT NULL, iccid TEXT NOT NULL,"
    " imsi TEXT NOT NULL, state TEXT NOT NULL, added_at BIGINT NOT NULL, sealed_package OCTETS NOT NULL,"
    " sealed_confirmation OCTETS, downloads INTEGER NOT NULL, wrong_codes INTEGER NOT NULL, last_word TEXT NOT NULL)",
    "CREATE INDEX smdp_orders_eid ON smdp_orders (eid)",
    "CREATE UNIQUE INDEX smdp_orders_open_eid ON smdp_orders (eid) WHERE state IN ('released', 'downloaded')",
    "CREATE UNIQUE INDEX smdp_orders_open_imsi ON smdp_orders (imsi) WHERE state IN ('released', 'downloaded')",
    "CREATE UNIQUE INDEX smdp_orders_iccid ON smdp_orders (iccid) WHERE state <> 'cancelled'",
    "CREATE TABLE smdp_downloads (transaction_id TEXT PRIMARY KEY NOT NULL, eid TEXT NOT NULL, iccid TEXT NOT NULL,"
    " euicc_certificate OCTETS NOT NULL)",
    "CREATE TABLE smdp_outbox (position BIGINT PRIMARY KEY NOT NULL, sealed_news OCTETS NOT NULL)",
)

_EUICC_1: Step = (
    "CREATE TABLE euicc_cards (eid TEXT PRIMARY KEY NOT NULL, version BIGINT NOT NULL, sealed_state OCTETS NOT NULL)",
)

_EUICC_2: Step = ("CREATE TABLE euicc_tickets (eid TEXT PRIMARY KEY NOT NULL, sealed_ticket OCTETS NOT NULL)",)

STEPS: Mapping[Room, tuple[Step, ...]] = {
    Room.CP: (_CP_1, _CP_2),
    Room.SMDP: (_SMDP_1,),
    Room.EUICC: (_EUICC_1, _EUICC_2),
}
"""For each room its versions in order; the first is version 1."""

_GROUND = (
    "CREATE TABLE IF NOT EXISTS schema_version (room TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS seal_check (id INTEGER PRIMARY KEY NOT NULL, sealed_check OCTETS NOT NULL)",
)
"""What every database has, whoever's tables are in it."""


def migrate(connection: Connection, room: Room, steps: tuple[Step, ...] | None = None) -> None:
    """Bring the tables of `room` to the present version; raises `ConfigError` for a database from the future."""
    wanted = STEPS[room] if steps is None else steps
    _run(connection, _GROUND)
    found = connection.scalar(select(SCHEMA_VERSION.c.version).where(SCHEMA_VERSION.c.room == room))
    version = found or 0
    if version > len(wanted):
        raise ConfigError(
            f"the {room} tables of this store have version {version}, of a newer rprov; this one knows {len(wanted)}"
        )
    for number, step in enumerate(wanted[version:], version + 1):
        _run(connection, step)
        if number == 1:
            connection.execute(insert(SCHEMA_VERSION).values(room=room, version=1))
        else:
            connection.execute(update(SCHEMA_VERSION).where(SCHEMA_VERSION.c.room == room).values(version=number))


def _run(connection: Connection, statements: Step) -> None:
    octets = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    for statement in statements:
        connection.execute(text(statement.replace("OCTETS", octets)))
