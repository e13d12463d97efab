"""Sections about being watched: metrics, and who was let in."""

from dataclasses import dataclass

from rprov.model.kinds import Host, ListenPort
from rprov.model.numbers import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsListen:
    """Where Prometheus finds the metrics of a daemon: `http://HOST:PORT/metrics`, without protection."""

    host: Host = Host("127.0.0.1")  # noqa: RUF009 - a str
    """Address to listen at."""
    port: ListenPort = Port.METRICS
    """TCP port; 0 takes a free one, which the log names. Daemons on one machine need one each."""
