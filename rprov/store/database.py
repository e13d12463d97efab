"""Opens a database: engine, schema, seal, and the one thread that works on it.

SQLite by default, PostgreSQL by its URL. Refuses to know what the tables mean.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rprov.errors import ConfigError, EnvironmentLacks
from rprov.model.sections import (
    StoreSettings,
)
from rprov.store.migrations import Room, migrate
from rprov.store.schema import SEAL_CHECK
from rprov.store.seal import Seal, SealBroken, load_sealing_key, new_sealing_key
from rprov.store.writer import StoreFailed, Writer

_CHECK_PLACE = "seal_check"
_CHECK_TEXT = b"rprov"
_BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Database:
    """An open database whose tables are up to date."""

    writer: Writer
    seal: Seal

    async def close(self) -> None:
        """Finish what waits and close."""
        await self.writer.close()


async def open_database(settings: StoreSettings, *rooms: Room) -> Database:
    """Open, migrate the tables of `rooms`, check the key; raises `ConfigError` or `EnvironmentLacks`."""
    writer = Writer(_engine(settings))

    def prepare(connection: Connection) -> Seal:
        for room in rooms:
            migrate(connection, room)
        return _seal(connection, settings)

    try:
        return Database(writer, await writer.write(prepare))
    except StoreFailed as error:
        await writer.close()
        raise ConfigError(f"cannot use the store {settings.url}: {error}") from None
    except ConfigError:
        await writer.close()
        raise


def _seal(connection: Connection, settings: StoreSettings) -> Seal:
    """Make the seal, after a look at whether this is the key that the store was sealed with."""
    check = connection.scalar(select(SEAL_CHECK.c.sealed_check))
    if settings.key_file is None:
        seal = Seal(new_sealing_key())
    else:
        seal = Seal(load_sealing_key(settings.key_file, make=check is None))
    if check is None:
        connection.execute(insert(SEAL_CHECK).values(id=1, sealed_check=seal.close(_CHECK_TEXT, _CHECK_PLACE)))
        return seal
    try:
        seal.open(check, _CHECK_PLACE)
    except SealBroken:
        raise ConfigError(f"{settings.key_file} is not the key that sealed the store {settings.url}") from None
    return seal


def _engine(settings: StoreSettings) -> Engine:
    try:
        if settings.url.startswith("sqlite:"):
            return _sqlite(settings.url)
        return create_engine(settings.url, pool_pre_ping=True)
    except ImportError as error:
        raise EnvironmentLacks(
            f"the store {settings.url} needs the package {error.name}: pip install 'rprov[postgres]'"
        ) from None
    except (ArgumentError, SQLAlchemyError):
        raise ConfigError(f"{settings.url} is no URL of a database that rprov knows") from None


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    # The driver's own idea of when a transaction begins is switched off; SQLAlchemy documents this way out.
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a sequence number that was given out must not come again after a power cut
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("rprov_writes", True)
        # a transaction that only later wants to write may find that it cannot: say so at once
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
