"""A process that is killed in the middle: what was promised is there, nothing is half."""

import subprocess
import sys
from pathlib import Path

import pytest
from doubles.loop import run
from doubles.records import eid, subscriber
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from rprov.model.kinds import DatabaseUrl
from rprov.model.sections import (
    StoreSettings,
)
from rprov.store.cp import CpStore, open_cp_store
from rprov.store.euicc import SavedCard, open_euicc_store
from rprov.store.writer import StoreFailed

PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from doubles.records import eid, subscriber
from test_store_crash import blob, settings
from rprov.store.cp import open_cp_store
from rprov.store.euicc import open_euicc_store

async def cards():
    store = await open_euicc_store(settings(Path(sys.argv[1])))
    saved = await store.load(eid())
    version = saved.version if saved else 0
    while True:
        version = await store.save(eid(), blob(version + 1), after=version)
        print(version, flush=True)

async def numbers():
    store = await open_cp_store(settings(Path(sys.argv[1])))
    while True:
        records = await asyncio.gather(*(store.reserve_vector(subscriber().supi) for _ in range(5)))
        print(*(record.sqn for record in records), flush=True)

asyncio.run(WHAT())
"""


def settings(directory: Path) -> StoreSettings:
    return StoreSettings(url=DatabaseUrl(f"sqlite:///{directory / 'store.db'}"), key_file=directory / "store.key")


def blob(version: int) -> bytes:
    """A state that shows whether all of it is of one version."""
    return version.to_bytes(4) * 5000


def killed_after(lines: int, what: str, directory: Path) -> list[str]:
    """Run until so many promises were printed, kill -9, and give every whole line."""
    here = Path(__file__)
    paths = [str(here.parent), str(here.parent.parent), str(here.parent.parent.parent)]
    command = [sys.executable, "-c", PROGRAM.replace("WHAT", what), str(directory), *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        printed += process.stdout.readlines()
    assert process.returncode == -9
    return [line for line in printed if line.endswith("\n")]


@pytest.mark.parametrize("lines", [1, 4, 40])
def test_a_card_is_whole_after_a_kill(tmp_path: Path, lines: int) -> None:
    async def load() -> SavedCard:
        store = await open_euicc_store(settings(tmp_path))
        saved = await store.load(eid())
        await store.close()
        assert saved is not None
        return saved

    for _ in range(2):
        promised = int(killed_after(lines, "cards", tmp_path)[-1])
        saved = run(load())
        # the version after the last promise may have been committed before the kill, too
        assert promised <= saved.version <= promised + 1
        assert saved.state == blob(saved.version)


def test_no_sequence_number_comes_again_after_a_kill(tmp_path: Path) -> None:
    async def begin() -> None:
        store = await open_cp_store(settings(tmp_path))
        await store.add_subscriber(subscriber())
        await store.close()

    async def one(store: CpStore) -> int:
        record = await store.reserve_vector(subscriber().supi)
        assert record is not None
        return record.sqn

    async def later() -> int:
        store = await open_cp_store(settings(tmp_path))
        number = await one(store)
        await store.close()
        return number

    run(begin())
    given: list[int] = []
    for lines in (1, 7, 30):
        given += [int(number) for line in killed_after(lines, "numbers", tmp_path) for number in line.split()]
        given.append(run(later()))
    assert given == sorted(set(given))


def test_a_number_whose_reservation_was_not_written_is_not_given_later(tmp_path: Path) -> None:
    """The block that a failed commit took back must not live on in memory."""

    async def story() -> None:
        store = await open_cp_store(settings(tmp_path))
        await store.add_subscriber(subscriber())
        first = await open_cp_store(settings(tmp_path))
        failures = ["disk full"]

        def fail(_connection: Connection) -> None:
            if failures:
                raise OperationalError("COMMIT", {}, Exception(failures.pop()))

        event.listen(store._writer._engine, "commit", fail)
        with pytest.raises(StoreFailed, match="disk full"):
            await store.reserve_vector(subscriber().supi)
        # meanwhile somebody else takes the block that was never ours
        taken = await first.reserve_vector(subscriber().supi)
        mine = await store.reserve_vector(subscriber().supi)
        assert taken is not None
        assert mine is not None
        assert mine.sqn >> 5 > (taken.sqn >> 5) + 30
        await store.close()
        await first.close()

    run(story())
