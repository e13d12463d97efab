"""Where Prometheus scrapes a node: one page over HTTP. Knows no metric."""

import logging
from collections.abc import Callable

from aiohttp import web

from rprov.errors import EnvironmentLacks, Misuse

_LOG = logging.getLogger("rprov.metrics")

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""


class MetricsServer:
    """Serves what `render` gives, and nothing else."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes]) -> None:
        self._host = host
        self._asked_port = port
        self._render = render
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        if not self._port:
            raise Misuse("the metrics are not served")
        return self._port

    async def start(self) -> None:
        """Listen; raises `EnvironmentLacks` where the address cannot be had."""
        app = web.Application(client_max_size=1024)
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=15.0, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._asked_port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise EnvironmentLacks(
                f"cannot serve metrics at {self._host}:{self._asked_port}: {error.strerror}"
            ) from error
        self._port = self._runner.addresses[0][1]
        _LOG.info("metrics at http://%s:%d%s", self._host, self._port, PATH)

    async def close(self) -> None:
        """Serve no more."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._port = 0

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._render(), headers={"Content-Type": CONTENT_TYPE})
