"""How a node is watched: metrics for Prometheus, and an audit log. The same for every role."""

from pathlib import Path

from rprov.daemon.metrics_server import MetricsServer
from rprov.errors import EnvironmentLacks
from rprov.model.figures import Figures
from rprov.model.report import Recorder
from rprov.model.watch import MetricsListen
from rprov.trace.audit import AuditLog, AuditRecorder
from rprov.trace.metrics import Metrics
from rprov.trace.recorder import Fan
from rprov.wiring.node import Node


class Watch:
    """What watches one node: made before the node, since the node reports to it."""

    def __init__(self, role: str, metrics: MetricsListen | None, audit: Path | None = None) -> None:
        """Open the audit log; raises `ConfigError` or `EnvironmentLacks` where that cannot be."""
        self._figures: Figures = tuple
        self._listen = metrics
        self._metrics = None if metrics is None else Metrics(role, lambda: self._figures())
        self._audit = None if audit is None else AuditLog(audit)
        self._server: MetricsServer | None = None

    def over(self, recorder: Recorder) -> Recorder:
        """Give the recorder that the node reports to."""
        watchers: list[Recorder] = [] if self._metrics is None else [self._metrics]
        if self._audit is not None:
            watchers.append(AuditRecorder(self._audit))
        return Fan([recorder, *watchers]) if watchers else recorder

    async def start(self, node: Node) -> None:
        """Serve the node's metrics, and end with it."""
        node.closers.insert(0, self.close)  # the last to go: the node may have something to say until its end
        self._figures = node.figures
        if self._metrics is None or self._listen is None:
            return
        for store in node.stores:
            store.observe(self._metrics.observe_store)
        self._server = MetricsServer(self._listen.host, self._listen.port, self._metrics.render)
        try:
            await self._server.start()
        except EnvironmentLacks:
            await node.close()
            raise
        node.metrics_port = self._server.port

    async def close(self) -> None:
        """Serve no more, and finish the audit log."""
        if self._server is not None:
            await self._server.close()
        if self._audit is not None:
            self._audit.close()
