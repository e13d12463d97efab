"""Gives a daemon in the foreground its control socket. What can be asked there is `daemon/control.py`'s affair."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from rprov.cli.run_directory import prepare_run_directory
from rprov.daemon.control import ControlSocket
from rprov.errors import EnvironmentLacks
from rprov.model.control import ControlSettings, LinkView

_LOG = logging.getLogger("rprov.control")


@asynccontextmanager
async def controlled(
    settings: ControlSettings, role: str, links: Callable[[], Sequence[LinkView]]
) -> AsyncIterator[None]:
    """Answer on a control socket meanwhile; a path that was named must be had, the default need not."""
    if not settings.enabled:
        yield
        return
    try:
        path = settings.socket or prepare_run_directory() / f"{role}-{os.getpid()}.sock"
        control = ControlSocket(path, links)
        await control.start()
    except EnvironmentLacks as error:
        if settings.socket is not None:
            raise
        _LOG.warning("no control socket: %s", error)
        yield
        return
    _LOG.info("control socket %s", path)
    try:
        yield
    finally:
        await control.close()
