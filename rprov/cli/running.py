"""How a daemon runs in the foreground: an event loop, signals, the log, and an orderly end.

SIGTERM and SIGINT drain and end; SIGHUP exchanges certificates.
"""

import asyncio
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import uvloop

from rprov.errors import EnvironmentLacks, RprovError
from rprov.model.report import Recorder
from rprov.model.sections import (
    LogFormat,
    LogLevel,
    LogSettings,
)
from rprov.trace.log import configure
from rprov.trace.recorder import Fan, JsonLinesRecorder, LogRecorder
from rprov.wiring.node import Node

ResultT = TypeVar("ResultT")

LIBRARIES = ("asyncio", "aiohttp")
"""Loggers of libraries that say something only when something is wrong."""

_LOG = logging.getLogger("rprov.daemon")


def run(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run something in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_until_terminated(coroutine))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


async def _until_terminated(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Let SIGTERM end whatever has no orderly end of its own as an interrupt from the keyboard would."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await coroutine


def chosen_log(settings: LogSettings, log_format: str | None, verbose: int) -> LogSettings:
    """What the configuration says about the log, with what was typed in its place."""
    chosen = settings
    if log_format is not None:
        chosen = replace(chosen, format=LogFormat(log_format))
    if verbose:
        chosen = replace(chosen, level=LogLevel.DEBUG)
    return chosen


@contextmanager
def recording(settings: LogSettings, *further: Recorder) -> Iterator[Recorder]:
    """Give a recorder that writes the log, and the trace where a file is named for it."""
    logger = configure(settings.level, settings.format, sys.stderr)
    recorders: list[Recorder] = [LogRecorder(logger), *further]
    with ExitStack() as stack:
        stack.enter_context(_libraries_log_as(logger))
        if settings.trace is not None:
            try:
                file = stack.enter_context(settings.trace.open("a", encoding="utf-8"))
            except OSError as error:
                raise EnvironmentLacks(f"{settings.trace}: cannot be written: {error.strerror}") from error
            recorders.append(JsonLinesRecorder(file, time.monotonic()))
        yield Fan(recorders)


@contextmanager
def _libraries_log_as(logger: logging.Logger) -> Iterator[None]:
    """Let what libraries complain about look like our lines, and go where ours go."""
    libraries = [logging.getLogger(name) for name in LIBRARIES]
    for library in libraries:
        library.handlers, library.propagate = list(logger.handlers), False
    try:
        yield
    finally:
        for library in libraries:
            library.handlers, library.propagate = [], True


async def serve(
    node: Node,
    ready: Callable[[], str],
    drain: Callable[[], Awaitable[None]] | None = None,
    over: Callable[[], Coroutine[Any, Any, Any]] | None = None,
) -> bool:
    """Say that the daemon is ready, then wait for a signal and end in order.

    `over` ends when the daemon has nothing left to do; says whether a signal came before that.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, node)
    _settle()
    print(ready(), flush=True)
    waits = [loop.create_task(ended.wait())] + ([loop.create_task(over())] if over is not None else [])
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
    if not ended.is_set():
        return False
    _LOG.info("ending")
    if drain is not None:
        await drain()
    return True


def _settle() -> None:
    """Take what is there now out of the garbage collector's rounds: it lives as long as the daemon does."""
    gc.collect()
    gc.freeze()


def _reload(node: Node) -> None:
    try:
        node.reload()
        _LOG.info("certificates are read anew")
    except RprovError as error:
        # What ran before goes on: a bad file must not take the service down.
        _LOG.error("certificates stay as they were: %s", error)
