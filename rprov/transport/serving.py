"""Runs one task per accepted link, and ends them all. Knows no socket and nothing of what is served."""

import asyncio
import logging

from rprov.transport.link import Link, LinkLost, OnLink

_LOG = logging.getLogger("rprov.transport")


class Serving:
    """The links that a listener has accepted and somebody still serves."""

    def __init__(self, on_link: OnLink) -> None:
        self._on_link = on_link
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    def __len__(self) -> int:
        """How many links somebody serves."""
        return len(self._tasks)

    def take(self, link: Link) -> None:
        """Begin to serve a link, or abort it if the listener has closed meanwhile."""
        if not self._open:
            link.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(link), name=f"link from {link.peer}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel whoever still serves and wait for them; their links are aborted."""
        self._open = False
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, link: Link) -> None:
        try:
            await self._on_link(link)
        except LinkLost as error:
            _LOG.info("%s", error)
        finally:
            link.abort()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"serving a {task.get_name()} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
