"""Runs a coroutine in a fresh event loop, within a time, and insists that it leaves no task behind."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def run(
    coroutine: Coroutine[Any, Any, ResultT],
    seconds: float = 20.0,
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> ResultT:
    """Give what the coroutine returns; a task that is still there at its end is a failure, so is an error unseen."""

    async def guarded() -> ResultT:
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(str(context)))
        try:
            async with asyncio.timeout(seconds):
                result = await coroutine
        except TimeoutError:
            raise TimeoutError(f"nothing happened within {seconds} s; errors that nobody took: {complaints}") from None
        await settle()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        assert not complaints, f"errors that nobody took: {complaints}"
        return result

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(guarded())


async def settle(rounds: int = 5) -> None:
    """Let everything run that can run now; waits for no time."""
    for _ in range(rounds):
        await asyncio.sleep(0)
