"""One thread that does everything a store asks of its database, with group commit.

    asyncio shells -- write(job), read(job) --> queue --> thread: BEGIN, all jobs that wait, COMMIT --> futures

A job is a function of a connection. Jobs that wait together share one transaction and so one fsync; each write has
a savepoint of its own, so that a job that fails takes nothing back but itself. An answer is given after the commit
only: what a caller knows is on disk. Refuses to know what a job does.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rprov.causes import Cause
from rprov.errors import Misuse, RprovError

T = TypeVar("T")
Job = Callable[[Connection], T]

_LOG = logging.getLogger("rprov.store")
_MAX_BATCH = 256


class StoreFailed(RprovError):
    """The database did not do what it was asked; nothing of the job is kept."""

    default_cause = Cause.NETWORK_FAILURE


class Conflict(RprovError):
    """What was to be written contradicts what is there; nothing was written."""


@dataclass(slots=True)
class _Request:
    job: Job[Any]
    writes: bool
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    asked: float
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the thread and its connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._closed = False
        self._forget: list[Callable[[], None]] = []
        self._observe: Callable[[str, float], None] | None = None
        self._thread = Thread(target=self._run, name="rprov-store", daemon=True)
        self._thread.start()

    def when_rolled_back(self, forget: Callable[[], None]) -> None:
        """Call `forget`, in the thread, whenever work was taken back: what a job remembers of it is void."""
        self._forget.append(forget)

    def observe(self, observe: Callable[[str, float], None]) -> None:
        """Have each job told, in the loop: read or write, and the seconds from question to answer."""
        self._observe = observe

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction; raises what it raises, or `StoreFailed`.

        Whoever stops waiting does not stop the job.
        """
        return await self._ask(job, writes=True)

    async def read(self, job: Job[T]) -> T:
        """Run `job`, which changes nothing."""
        return await self._ask(job, writes=False)

    async def close(self) -> None:
        """Finish what waits, then end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    async def _ask(self, job: Job[T], *, writes: bool) -> T:
        if self._closed:
            raise Misuse("the store is closed")
        loop = asyncio.get_running_loop()
        request = _Request(job, writes, loop, loop.create_future(), loop.time())
        self._queue.put(request)
        answer: T = await request.answer
        if self._observe is not None:
            self._observe("write" if writes else "read", loop.time() - request.asked)
        return answer

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._perform(batch)
                _answer(batch)
        finally:
            self._engine.dispose()

    def _next_batch(self) -> list[_Request]:
        """Wait for a job and take along what waits behind it; nothing once the store is closed."""
        batch: list[_Request] = []
        request = self._queue.get()
        while request is not None:
            batch.append(request)
            if len(batch) == _MAX_BATCH:
                return batch
            try:
                request = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)  # these first; the end is met again
        return batch

    def _perform(self, batch: list[_Request]) -> None:
        writes = any(request.writes for request in batch)
        try:
            with self._engine.connect().execution_options(rprov_writes=writes) as connection, connection.begin():
                for request in batch:
                    self._do(request, connection)
        except SQLAlchemyError as error:
            self._taken_back()
            for request in batch:
                request.error = _failure(error)

    def _do(self, request: _Request, connection: Connection) -> None:
        try:
            if request.writes:
                with connection.begin_nested():
                    request.result = request.job(connection)
            else:
                request.result = request.job(connection)
        except SQLAlchemyError as error:
            self._taken_back()
            request.error = _failure(error)
        except Exception as error:  # noqa: BLE001 - the boundary between threads: whoever waits gets it
            self._taken_back()
            request.error = error

    def _taken_back(self) -> None:
        for forget in self._forget:
            forget()


def _failure(error: SQLAlchemyError) -> StoreFailed:
    # The statement's parameters are in str(error); they may be secrets. What the driver says is not.
    driver = getattr(error, "orig", None)
    return StoreFailed(f"the store failed: {driver or type(error).__name__}")


def _answer(batch: Sequence[_Request]) -> None:
    for loop in {request.loop for request in batch}:
        mine = [request for request in batch if request.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _LOG.warning("%d answers of the store came after the event loop had closed", len(mine))


def _resolve(batch: Sequence[_Request]) -> None:
    for request in batch:
        if request.answer.done():
            continue
        if request.error is not None:
            request.answer.set_exception(request.error)
        else:
            request.answer.set_result(request.result)
