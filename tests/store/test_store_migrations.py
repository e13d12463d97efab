"""How databases of earlier versions become present ones."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.loop import run
from doubles.records import context, eid, order, subscriber
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from rprov.errors import ConfigError
from rprov.model.kinds import DatabaseUrl
from rprov.model.records import DeviceRecord
from rprov.model.sections import (
    StoreSettings,
)
from rprov.store.cp import open_cp_store
from rprov.store.euicc import open_euicc_store
from rprov.store.migrations import STEPS, Room, migrate
from rprov.store.schema import METADATA
from rprov.store.smdp import open_smdp_store

SNAPSHOT = Path(__file__).parent.parent / "vectors" / "store_v1.sql"
"""A database of version 1 with one of everything, as SQL; sealed with 32 octets of zero."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    yield made
    made.dispose()


def columns(connection: Connection) -> dict[str, list[tuple[str, str, bool, bool]]]:
    look = inspect(connection)
    return {
        table: [
            (column["name"], str(column["type"]), bool(column["nullable"]), bool(column["primary_key"]))
            for column in look.get_columns(table)
        ]
        for table in look.get_table_names()
    }


def indexes(connection: Connection) -> list[str]:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
    return sorted(" ".join(row.sql.split()) for row in rows)


def test_migrations_end_at_the_tables_that_the_code_uses(engine: Engine) -> None:
    other = create_engine("sqlite://")
    with engine.begin() as migrated, other.begin() as created:
        for room in Room:
            migrate(migrated, room)
        METADATA.create_all(created)
        assert columns(migrated) == columns(created)
        assert indexes(migrated) == indexes(created)
    other.dispose()


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        for room in (*Room, *Room):
            migrate(connection, room)
        rows = connection.execute(text("SELECT room, version FROM schema_version"))
        assert {row.room: row.version for row in rows} == {room.value: len(STEPS[room]) for room in Room}


def test_only_the_steps_that_are_missing_are_taken(engine: Engine) -> None:
    first = ("CREATE TABLE lamps (id INTEGER PRIMARY KEY)",)
    second = ("ALTER TABLE lamps ADD COLUMN colour OCTETS", "INSERT INTO lamps VALUES (1, x'00')")
    third = ("UPDATE lamps SET colour = x'FF'",)
    with engine.begin() as connection:
        migrate(connection, Room.CP, (first,))
        migrate(connection, Room.CP, (first, second))
        migrate(connection, Room.CP, (first, second, third))
        assert connection.scalar(text("SELECT colour FROM lamps")) == b"\xff"


def test_a_database_from_the_future_is_refused(engine: Engine) -> None:
    step = ("CREATE TABLE lamps (id INTEGER PRIMARY KEY)",)
    with engine.begin() as connection:
        migrate(connection, Room.EUICC, (step, ("DROP TABLE lamps",), step))
        with pytest.raises(ConfigError, match="have version 3, of a newer rprov; this one knows 2"):
            migrate(connection, Room.EUICC)


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = STEPS[Room.EUICC]
    place = settings(tmp_path)

    async def open_once() -> None:
        await (await open_euicc_store(place)).close()

    monkeypatch.setattr("rprov.store.migrations.STEPS", {**STEPS, Room.EUICC: (*good, ("CREATE NONSENSE",))})
    with pytest.raises(ConfigError, match="syntax error"):
        run(open_once())
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    monkeypatch.undo()
    run(open_once())


def settings(directory: Path) -> StoreSettings:
    return StoreSettings(url=DatabaseUrl(f"sqlite:///{directory / 'store.db'}"), key_file=directory / "store.key")


def test_a_database_of_version_1_serves(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.executescript(SNAPSHOT.read_text(encoding="utf-8"))
    connection.close()
    (tmp_path / "store.key").write_bytes(bytes(32))
    (tmp_path / "store.key").chmod(0o600)

    async def story() -> None:
        cp = await open_cp_store(settings(tmp_path))
        assert await cp.subscriber(subscriber().supi) == subscriber()
        assert await cp.contexts() == (context(),)
        assert await cp.device(eid()) == DeviceRecord(eid(), None)
        # the snapshot's order still waits in the outbox
        elsewhere = StoreSettings(url=DatabaseUrl("sqlite://"))
        smdp, other = await open_smdp_store(settings(tmp_path), elsewhere), await open_cp_store(elsewhere)
        assert await smdp.orders() == (order(),)
        assert await smdp.package("ORDER-1") == b"package"
        assert await smdp.deliver(other) == 1
        assert await other.subscriber(subscriber().supi) == subscriber()
        cards = await open_euicc_store(settings(tmp_path))
        saved = await cards.load(eid())
        assert saved is not None
        assert (saved.version, saved.state) == (1, b"state")
        for store in (cp, smdp, other, cards):
            await store.close()

    run(story())


def test_postgresql_can_have_the_tables_too() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in METADATA.sorted_tables:
        assert "BLOB" not in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            statement = str(CreateIndex(index).compile(dialect=dialect))
            assert ("WHERE" in statement) == bool(index.unique)
