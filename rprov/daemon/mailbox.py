"""One mailbox per endpoint: one message in flight, actions performed in order, timers and questions beside it.

The shell's task boundary is here: whatever goes wrong with one UE is logged and ends that UE, never another.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rprov.errors import Misuse, RprovError
from rprov.procedure.actions import Action, StartTimer, StopTimer
from rprov.procedure.events import Answer, StoreFailed, Timer, TimerFired

_LOG = logging.getLogger("rprov.daemon")

Step = Callable[[], list[Action]]
"""Something for the endpoint to do, now that it is its turn."""

MAX_WAITING = 256
"""Messages that may wait for one endpoint; a peer that sends more is not listened to meanwhile."""


class Mailbox:
    """Runs one endpoint."""

    def __init__(
        self,
        name: str,
        perform: Callable[[Action], Awaitable[None]],
        on_timer: Callable[[TimerFired], list[Action]],
        on_fault: Callable[[str], None],
    ) -> None:
        """`on_fault` is told in words what has ended the endpoint."""
        self.name = name
        self._perform = perform
        self._on_timer = on_timer
        self._on_fault = on_fault
        self._queue: asyncio.Queue[Step] = asyncio.Queue()
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._questions: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def post(self, step: Step) -> bool:
        """Let the endpoint take something of its peer when it is its turn; says whether there was room."""
        if self._queue.qsize() >= MAX_WAITING:
            return False
        self.tell(step)
        return True

    def tell(self, step: Step) -> None:
        """Let the endpoint take something of our own: timers and answers are few, and must not be lost."""
        if not self._ended:
            self._queue.put_nowait(step)
            self._idle.clear()

    def start_timer(self, timer: StartTimer) -> None:
        """Start or restart a timer."""
        self.stop_timer(StopTimer(timer.timer))
        fired = TimerFired(timer.timer, timer.generation)
        loop = asyncio.get_running_loop()
        self._timers[timer.timer] = loop.call_later(timer.seconds, self.tell, lambda: self._on_timer(fired))

    def stop_timer(self, timer: StopTimer) -> None:
        """Stop a timer that may not run."""
        handle = self._timers.pop(timer.timer, None)
        if handle is not None:
            handle.cancel()

    def ask(self, question: Coroutine[Any, Any, Answer], on_answer: Callable[[Answer], list[Action]]) -> None:
        """Await an answer beside the mailbox, then let the endpoint take it; an error of ours is an answer too."""

        async def run() -> None:
            try:
                answer: Answer = await question
            except Misuse:
                raise
            except RprovError as error:
                answer = StoreFailed(str(error))
            self.tell(lambda: on_answer(answer))

        task = asyncio.get_running_loop().create_task(run(), name=f"{self.name} asks")
        self._questions.add(task)
        task.add_done_callback(self._answered)
        task.add_done_callback(lambda _task: question.close())  # it may not even have begun

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._questions.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault(error)

    async def drained(self) -> None:
        """Wait until nothing waits; what an ended mailbox has not taken waits no more."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stop the timers, the questions and the endpoint, and wait for them."""
        tasks = [task for task in (*self._questions, self._task) if task is not asyncio.current_task()]
        self.stop()
        if tasks:
            await asyncio.wait(tasks)

    def stop(self) -> None:
        """Stop without waiting; for an endpoint that closes itself."""
        self._end()
        for task in self._questions:
            task.cancel()
        self._task.cancel()

    def _end(self) -> None:
        self._ended = True
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        # Whoever waits for this endpoint waits in vain, and has others to serve.
        self._idle.set()

    async def _run(self) -> None:
        while not self._ended:
            if self._queue.empty():
                self._idle.set()
            step = await self._queue.get()
            try:
                for action in step():
                    await self._perform(action)
            except Exception as error:  # noqa: BLE001 -- the one place: a fault of ours ends this UE, and only this UE
                self._fault(error)
                return

    def _fault(self, error: BaseException) -> None:
        self._end()
        if isinstance(error, RprovError) and not isinstance(error, Misuse):
            # Something that we stand on has failed, and says itself what.
            _LOG.error("%s: ends: %s", self.name, error)
            self._on_fault(str(error))
            return
        _LOG.error("%s: an internal fault ends this UE", self.name, exc_info=error)
        self._on_fault("an internal fault; see the log")
