"""Metrics of one node in Prometheus' format: counted from report items as they pass, and read from the node when asked.

All series of a role are there from the start, at zero: an alert on what has never happened yet must find something.
Knows no socket. Each node has a registry of its own, so that several can live in one process.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from rprov.causes import Cause
from rprov.model.figures import Figure, Figures
from rprov.model.numbers import Metric
from rprov.model.report import Act, Discarded, ReportItem, StepEnded, Transition, Verdict
from rprov.procedure.purpose import Step
from rprov.procedure.s2_authenticate import AwaitAuthenticationResponse
from rprov.procedure.s3_accept import AwaitSecurityModeComplete
from rprov.session.restriction import Reason
from rprov.wire.messages import AuthenticationResponse

PROVISIONING, ORDINARY = "provisioning", "ordinary"
PURPOSES = (PROVISIONING, ORDINARY)
CAUSES = tuple(cause.name for cause in Cause)
OTHER = "other"
"""Where a label would take a value that nobody has foreseen: what peers say must not make series."""

MAX_UNDER_WAY = 20_000
"""UEs whose beginnings are remembered; beyond that the oldest are not timed."""

_REASONS = ("undecodable", "unprotected", "mac", "replayed", "unexpected", "after detach", OTHER)
_DROPS = (
    *(reason.value for reason in Reason),
    *("unknownBearer", "unknownTeid", "wrongRadioPeer", "wrongN3Peer", "ueNotPlaced", "noSession", "ranNotKnown"),
    *("errorIndication", "macMismatch", "replayed", "pdcpFailure", "socketFull", "socketError"),
    *("n6Protocol", "upstreamRefused", "connectionBroken", "notAskedFor", "unknownClient"),
)
_USER_LINKS = ("radio", "n3")
_DIRECTIONS = ("uplink", "downlink")
_OUTCOMES = {
    Act.DELIVERED: "delivered",
    Act.INSTALLED: "installed",
    Act.NOT_INSTALLED: "failed",
    Act.CANCELLED: "cancelled",
    Act.CODE_REFUSED: "code_refused",
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STORE_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
_ROUNDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)


@dataclass(frozen=True, slots=True)
class Series:
    """How a metric looks in the nodes of some roles: labels, and the values that each is known to take."""

    roles: str
    labels: Mapping[str, tuple[str, ...]]
    buckets: tuple[float, ...] = ()
    gauge: bool = False
    read: bool = False
    """Whether the node is asked for it; else it is counted from report items."""


SERIES: Mapping[Metric, Series] = {
    Metric.ATTACHES: Series("cp", {"purpose": PURPOSES, "cause": CAUSES}),
    Metric.DETACHES: Series("cp", {"purpose": PURPOSES, "cause": CAUSES}),
    Metric.AUTHENTICATIONS: Series("aaa", {"cause": CAUSES}),
    Metric.AUTHENTICATION_SECONDS: Series("cp", {"purpose": PURPOSES}, _SECONDS),
    Metric.AUTHENTICATION_ROUNDS: Series("cp", {"purpose": PURPOSES}, _ROUNDS),
    Metric.STEPS: Series("cp ue", {"step": tuple("1234567"), "result": ("done", "failed")}),
    Metric.STEP_SECONDS: Series("cp ue", {"step": tuple("1234567")}, _SECONDS),
    Metric.DOWNLOADS: Series("smdp", {"outcome": tuple(_OUTCOMES.values())}),
    Metric.DISCARDED: Series("cp ran ue aaa", {"link": ("nas", "n2", "radio", "radius"), "reason": _REASONS}),
    Metric.LINKS: Series("cp ran ue", {"link": ("n2", "radio")}, gauge=True, read=True),
    Metric.UES: Series("cp ran", {}, gauge=True, read=True),
    Metric.HALF_OPEN: Series("cp ran aaa", {}, gauge=True, read=True),
    Metric.CONTEXTS: Series("cp", {"scope": PURPOSES}, gauge=True, read=True),
    Metric.SESSIONS: Series("cp", {}, gauge=True, read=True),
    Metric.OCTETS: Series("cp ran ue", {"link": _USER_LINKS, "direction": _DIRECTIONS}, read=True),
    Metric.PACKETS: Series("cp ran ue", {"link": _USER_LINKS, "direction": _DIRECTIONS}, read=True),
    Metric.PACKETS_DROPPED: Series("cp ran ue aaa", {"reason": _DROPS}, read=True),
    Metric.RATE_LIMITED: Series("cp aaa", {"by": ("eid", "eum", "half_open")}, read=True),
    Metric.STORE_SECONDS: Series("cp smdp", {"kind": ("read", "write")}, _STORE_SECONDS),
}
"""Every metric, and which nodes have it."""


class Metrics:
    """The metrics of one node. A recorder: hand it every report item."""

    def __init__(self, role: str, figures: Figures = tuple) -> None:
        """`figures` reads what is not counted here."""
        self._role = role
        self._registry = CollectorRegistry()
        self._counters: dict[Metric, Counter] = {}
        self._histograms: dict[Metric, Histogram] = {}
        self._begun: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._authenticating: OrderedDict[str, tuple[float, int]] = OrderedDict()
        for metric, series in SERIES.items():
            if role in series.roles.split() and not series.read:
                self._count(metric, series)
        self._registry.register(_Asked(role, figures))

    def _count(self, metric: Metric, series: Series) -> None:
        names = tuple(series.labels)
        kept: Counter | Histogram
        if series.buckets:
            kept = self._histograms[metric] = Histogram(
                metric, metric.meaning, names, buckets=series.buckets, registry=self._registry
            )
        else:
            kept = self._counters[metric] = Counter(metric, metric.meaning, names, registry=self._registry)
        for values in product(*series.labels.values()):
            kept.labels(*values)

    def render(self) -> bytes:
        """Give everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def observe_store(self, kind: str, seconds: float) -> None:
        """Take one store job, read or write."""
        if Metric.STORE_SECONDS in self._histograms:
            self._histograms[Metric.STORE_SECONDS].labels(kind).observe(seconds)

    def record(self, item: ReportItem) -> None:
        """Count one item of this node; those of others are none of ours."""
        if item.role != self._role:
            return
        match item:
            case Transition():
                self._on_transition(item)
            case StepEnded():
                self._on_step_ended(item)
            case Discarded():
                self._on_discarded(item)
            case Verdict():
                self._on_verdict(item)

    def _increment(self, metric: Metric, *labels: str) -> None:
        counter = self._counters.get(metric)
        if counter is not None:
            known = SERIES[metric].labels.values()
            counter.labels(
                *(value if value in all_ else OTHER for value, all_ in zip(labels, known, strict=True))
            ).inc()

    # --- report items -------------------------------------------------------------------------------------------------

    def _on_transition(self, item: Transition) -> None:
        self._begin((item.ue, item.step), item.at)
        if Metric.AUTHENTICATION_SECONDS not in self._histograms:
            return
        if item.event == AuthenticationResponse.__name__ and item.ue in self._authenticating:
            begun, rounds = self._authenticating[item.ue]
            self._authenticating[item.ue] = begun, rounds + 1
        if item.next_state == AwaitAuthenticationResponse.__name__:
            self._authenticating.setdefault(item.ue, (item.at, 0))
            _bound(self._authenticating)
        elif item.next_state == AwaitSecurityModeComplete.__name__:
            timed = self._authenticating.pop(item.ue, None)
            if timed is not None:
                purpose = ORDINARY if item.step == Step.REATTACH else PROVISIONING
                self._histograms[Metric.AUTHENTICATION_SECONDS].labels(purpose).observe(item.at - timed[0])
                self._histograms[Metric.AUTHENTICATION_ROUNDS].labels(purpose).observe(timed[1])

    def _begin(self, key: tuple[str, int], at: float) -> None:
        self._begun.setdefault(key, at)
        _bound(self._begun)

    def _on_step_ended(self, item: StepEnded) -> None:
        begun = self._begun.pop((item.ue, item.step), None)
        self._increment(Metric.STEPS, str(item.step), "done" if item.ok else "failed")
        if item.ok and begun is not None and Metric.STEP_SECONDS in self._histograms:
            self._histograms[Metric.STEP_SECONDS].labels(str(item.step)).observe(item.at - begun)

    def _on_discarded(self, item: Discarded) -> None:
        reason = item.reason.partition(":")[0]
        self._increment(Metric.DISCARDED, item.link, reason if reason in _REASONS else OTHER)

    def _on_verdict(self, item: Verdict) -> None:
        if item.act in (Act.ADMITTED, Act.REFUSED):
            cause = item.cause or Cause.NORMAL.name
            self._increment(Metric.AUTHENTICATIONS, cause)
            self._increment(Metric.ATTACHES, item.purpose, cause)
        elif item.act is Act.ENDED:
            self._increment(Metric.DETACHES, item.purpose, item.cause or Cause.NORMAL.name)
        elif item.act in _OUTCOMES:
            self._increment(Metric.DOWNLOADS, _OUTCOMES[item.act])


def _bound(kept: OrderedDict[Any, Any]) -> None:
    if len(kept) > MAX_UNDER_WAY:
        kept.popitem(last=False)


class _Asked(Collector):
    """What is read from the node, each time when somebody asks."""

    def __init__(self, role: str, figures: Figures) -> None:
        self._mine = {
            metric: series for metric, series in SERIES.items() if series.read and role in series.roles.split()
        }
        self._figures = figures

    def collect(self) -> Iterator[Family]:
        """Give each metric with all of its series."""
        values: dict[Metric, dict[tuple[str, ...], float]] = {
            metric: dict.fromkeys(product(*series.labels.values()), 0.0) for metric, series in self._mine.items()
        }
        for metric, value, labels in self._read():
            if metric in values:
                values[metric][labels] = values[metric].get(labels, 0.0) + value
        for metric, series in self._mine.items():
            kind = GaugeMetricFamily if series.gauge else CounterMetricFamily
            family = kind(metric, metric.meaning, labels=tuple(series.labels))
            for labels, value in values[metric].items():
                family.add_metric(labels, value)
            yield family

    def _read(self) -> Iterable[Figure]:
        return self._figures()
