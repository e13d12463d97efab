"""Metrics: every series from the start, what report items count, what is read from the node, and no series by peers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from rprov.causes import Cause
from rprov.model.figures import Figure
from rprov.model.numbers import Metric
from rprov.model.report import Act, Discarded, StepEnded, Transition, Verdict
from rprov.trace.metrics import SERIES, Metrics

ROLES = ("ue", "ran", "cp", "smdp", "aaa")


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return read(metrics)[name, tuple(sorted(labels.items()))]


def move(ue: str, step: int, at: float, state: str, event: str, next_state: str, role: str = "cp") -> Transition:
    return Transition(at, role, ue, step, state, event, next_state, ())


@pytest.mark.parametrize("role", ROLES)
def test_every_series_of_a_role_is_there_from_the_start(role: str) -> None:
    series = read(Metrics(role))
    assert series
    assert not any(value for (name, _), value in series.items() if not name.endswith("_created"))
    for metric, kind in SERIES.items():
        name = f"{metric}_count" if kind.buckets else str(metric)
        count = 1
        for values in kind.labels.values():
            count *= len(values)
        expected = count if role in kind.roles.split() else 0
        assert sum(found == name for found, _ in series) == expected, metric


def test_every_metric_has_series_and_every_series_a_role() -> None:
    assert set(SERIES) == set(Metric)
    assert {role for kind in SERIES.values() for role in kind.roles.split()} == set(ROLES)


def test_counters_end_in_total_and_nothing_else_does() -> None:
    for metric, kind in SERIES.items():
        assert metric.endswith("_total") == (not kind.buckets and not kind.gauge), metric


def test_attaches_count_by_purpose_and_cause() -> None:
    metrics = Metrics("cp")
    metrics.record(Verdict(1.0, "cp", "1", Act.ADMITTED, "provisioning", cause=Cause.NORMAL.name))
    metrics.record(Verdict(1.0, "cp", "2", Act.REFUSED, "provisioning", cause=Cause.NO_ORDER.name))
    metrics.record(Verdict(1.0, "cp", "1", Act.ENDED, "provisioning", cause=Cause.SCOPE_EXPIRED.name))
    metrics.record(Verdict(1.0, "aaa", "1", Act.ADMITTED, "provisioning", cause=Cause.NORMAL.name))
    assert value(metrics, "rprov_attaches_total", purpose="provisioning", cause="NORMAL") == 1
    assert value(metrics, "rprov_attaches_total", purpose="provisioning", cause="NO_ORDER") == 1
    assert value(metrics, "rprov_attaches_total", purpose="ordinary", cause="NORMAL") == 0
    assert value(metrics, "rprov_detaches_total", purpose="provisioning", cause="SCOPE_EXPIRED") == 1


def test_an_authentication_is_timed_and_its_rounds_are_counted() -> None:
    metrics = Metrics("cp")
    asked, secured = "AwaitAuthenticationResponse", "AwaitSecurityModeComplete"
    metrics.record(move("1", 2, 10.0, "AwaitDevice", "DeviceFound", asked))
    for at in (10.1, 10.2):
        metrics.record(move("1", 2, at, asked, "AuthenticationResponse", asked))
    metrics.record(move("1", 2, 10.5, asked, "AuthenticationResponse", secured))
    metrics.record(move("2", 7, 20.0, "AwaitVector", "SubscriberFound", asked))
    metrics.record(move("2", 7, 20.01, asked, "AuthenticationResponse", secured))
    assert value(metrics, "rprov_authentication_rounds_sum", purpose="provisioning") == 3
    assert value(metrics, "rprov_authentication_seconds_sum", purpose="provisioning") == pytest.approx(0.5)
    assert value(metrics, "rprov_authentication_rounds_sum", purpose="ordinary") == 1
    assert value(metrics, "rprov_authentication_seconds_bucket", purpose="ordinary", le="0.025") == 1


def test_steps_are_timed_from_their_first_move() -> None:
    metrics = Metrics("cp")
    metrics.record(move("1", 3, 1.0, "A", "X", "B"))
    metrics.record(move("1", 3, 1.2, "B", "X", "C"))
    metrics.record(StepEnded(1.5, "cp", "1", 3, ok=True))
    metrics.record(StepEnded(1.6, "cp", "1", 4, ok=False))
    assert value(metrics, "rprov_step_seconds_sum", step="3") == pytest.approx(0.5)
    assert value(metrics, "rprov_step_seconds_count", step="4") == 0
    assert value(metrics, "rprov_steps_total", step="3", result="done") == 1
    assert value(metrics, "rprov_steps_total", step="4", result="failed") == 1


def test_downloads_count_by_outcome() -> None:
    metrics = Metrics("smdp")
    for act in Act:
        metrics.record(Verdict(1.0, "smdp", "", act, profile="89"))
    for outcome in ("delivered", "installed", "failed", "cancelled", "code_refused"):
        assert value(metrics, "rprov_downloads_total", outcome=outcome) == 1


def test_what_a_node_says_is_read_when_asked() -> None:
    figures = [Figure(Metric.HALF_OPEN, 3), Figure(Metric.CONTEXTS, 1, ("ordinary",))] * 2
    metrics = Metrics("cp", lambda: figures)
    assert value(metrics, "rprov_half_open") == 6
    assert value(metrics, "rprov_contexts", scope="ordinary") == 2
    figures.clear()
    assert value(metrics, "rprov_half_open") == 0


def test_a_node_does_not_serve_what_is_not_its_own() -> None:
    metrics = Metrics("ran", lambda: [Figure(Metric.SESSIONS, 1)])
    assert not any(name.startswith("rprov_sessions") for name, _ in read(metrics))


@given(st.text(), st.text(), st.text())
def test_what_peers_say_makes_no_series(link: str, reason: str, cause: str) -> None:
    metrics = Metrics("cp")
    before = set(read(metrics))
    metrics.record(Discarded(1.0, "cp", "1", "nas", f"{reason}: {link}"))
    metrics.record(Verdict(1.0, "cp", "1", Act.REFUSED, "provisioning", cause="MAC_FAILURE", detail=cause))
    assert set(read(metrics)) - before <= {
        ("rprov_messages_discarded_total", (("link", "nas"), ("reason", "other"))),
        ("rprov_messages_discarded_created", (("link", "nas"), ("reason", "other"))),
    }


def test_what_is_remembered_of_those_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rprov.trace.metrics.MAX_UNDER_WAY", 10)
    metrics = Metrics("cp")
    for number in range(100):
        metrics.record(move(str(number), 2, 1.0, "A", "X", "AwaitAuthenticationResponse"))
    assert len(metrics._begun) == len(metrics._authenticating) == 10
