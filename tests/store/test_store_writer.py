"""The store's thread: shared commits, jobs that fail alone, an orderly end."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from doubles.loop import run, settle
from sqlalchemy import Connection, Engine, create_engine, event, text

from rprov.errors import Misuse
from rprov.store.writer import StoreFailed, Writer

COUNT = text("SELECT count(*) FROM numbers")


def engine() -> Engine:
    made = create_engine("sqlite://")

    @event.listens_for(made, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("CREATE TABLE numbers (n INTEGER UNIQUE)")
        connection.execute("CREATE TABLE promises (n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)")

    @event.listens_for(made, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return made


def put(number: int) -> Callable[[Connection], int]:
    def job(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
        return number

    return job


def count(connection: Connection) -> int:
    found = connection.scalar(COUNT)
    return int(found or 0)


def tell(story: Callable[[Writer, Engine], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        made = engine()
        writer = Writer(made)
        try:
            await story(writer, made)
        finally:
            await writer.close()

    run(told())


class Gate:
    """Holds the thread in a job until told, so that other jobs wait behind it."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def job(self, _connection: Connection) -> None:
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


def test_jobs_that_wait_together_share_one_commit() -> None:
    async def story(writer: Writer, made: Engine) -> None:
        commits = []
        event.listen(made, "commit", lambda _connection: commits.append(1))
        gate = Gate()
        held = asyncio.ensure_future(writer.write(gate.job))
        waiting = [asyncio.ensure_future(writer.write(put(number))) for number in range(100)]
        await settle()
        gate.open()
        await held
        assert await asyncio.gather(*waiting) == list(range(100))
        assert len(commits) <= 2  # the gate may have got its batch for itself

    tell(story)


def test_a_job_that_fails_takes_nothing_back_but_itself() -> None:
    async def story(writer: Writer, _made: Engine) -> None:
        def half(connection: Connection) -> None:
            put(7)(connection)
            raise ValueError("no")

        gate = Gate()
        held = asyncio.ensure_future(writer.write(gate.job))
        jobs = [writer.write(job) for job in (put(1), half, put(1), put(2))]
        waiting = [asyncio.ensure_future(job) for job in jobs]
        await settle()
        gate.open()
        await held
        first, second, third, fourth = await asyncio.gather(*waiting, return_exceptions=True)
        assert (first, fourth) == (1, 2)
        assert isinstance(second, ValueError)
        assert isinstance(third, StoreFailed)
        assert await writer.read(count) == 2

    tell(story)


def test_what_fails_names_no_value() -> None:
    async def story(writer: Writer, _made: Engine) -> None:
        await writer.write(put(424242))
        with pytest.raises(StoreFailed, match="UNIQUE constraint failed") as caught:
            await writer.write(put(424242))
        assert "424242" not in str(caught.value)

    tell(story)


def test_a_commit_that_fails_is_everyones_failure() -> None:
    async def story(writer: Writer, _made: Engine) -> None:
        forgotten = []
        writer.when_rolled_back(lambda: forgotten.append(1))

        def promise(connection: Connection) -> None:
            # SQLite looks at a deferred reference when it commits, and not before
            connection.execute(text("INSERT INTO promises VALUES (99)"))

        gate = Gate()
        held = asyncio.ensure_future(writer.read(gate.job))
        waiting = [asyncio.ensure_future(writer.write(job)) for job in (put(1), promise, put(2))]
        await settle()
        gate.open()
        results = await asyncio.gather(held, *waiting, return_exceptions=True)
        assert [type(result) for result in results[1:]] == [StoreFailed] * 3
        assert "FOREIGN KEY constraint failed" in str(results[1])
        assert forgotten
        assert await writer.write(put(3)) == 3
        assert await writer.read(count) == 1

    tell(story)


def test_closing_finishes_what_waits() -> None:
    async def story(writer: Writer, _made: Engine) -> None:
        gate = Gate()
        held = asyncio.ensure_future(writer.write(gate.job))
        waiting = [asyncio.ensure_future(writer.write(put(number))) for number in range(300)]
        await settle()
        closing = asyncio.ensure_future(writer.close())
        await settle()
        gate.open()
        await asyncio.gather(held, closing)
        assert await asyncio.gather(*waiting) == list(range(300))
        await writer.close()
        for ask in (writer.write, writer.read):
            with pytest.raises(Misuse, match="the store is closed"):
                await ask(count)

    tell(story)


def test_who_stops_waiting_does_not_stop_the_job_nor_the_store() -> None:
    async def story(writer: Writer, _made: Engine) -> None:
        gate = Gate()
        held = asyncio.ensure_future(writer.write(gate.job))
        waiting = asyncio.ensure_future(writer.write(put(1)))
        await settle()
        waiting.cancel()
        gate.open()
        await held
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await writer.read(count) == 1

    tell(story)


def test_an_event_loop_that_is_gone_is_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    made = engine()
    gate = Gate()

    async def come_later(writer: Writer) -> None:
        assert await writer.read(count) == 0
        await writer.close()

    async def make() -> Writer:
        return Writer(made)

    async def ask_and_leave(writer: Writer) -> None:
        task = asyncio.ensure_future(writer.write(gate.job))
        await settle()
        task.cancel()

    loop = asyncio.new_event_loop()
    writer = loop.run_until_complete(make())
    loop.run_until_complete(ask_and_leave(writer))
    loop.close()
    gate.open()
    run(come_later(writer))
    assert "answers of the store came after the event loop had closed" in caplog.text
