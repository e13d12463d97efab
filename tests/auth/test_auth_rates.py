"""Rates of proved attempts: two buckets for each, time from outside, memory with a bound."""

from typing import Any

import pytest
from doubles.pki import EID, FOREIGN_EID, OTHER_EID
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.rates import Attempts
from rprov.model.identifiers import Eid
from rprov.model.rates import AttemptRates


def attempts(**over: Any) -> Attempts:
    return Attempts(AttemptRates(**{"eid_burst": 3, "eid_seconds": 10.0, "eum_burst": 5, "eum_per_second": 1, **over}))


def made_up(number: int) -> Eid:
    """An EID of the issuer of EID."""
    body = f"{EID.digits[:8]}{number:022d}"
    return Eid(body + f"{98 - int(body + '00') % 97:02d}")


def test_an_eid_has_its_burst_and_then_its_pace() -> None:
    counted = attempts()
    assert [counted.admit(EID, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert not counted.admit(EID, 9.9)
    assert counted.admit(EID, 10.1)
    assert not counted.admit(EID, 10.2)
    assert [counted.admit(EID, 1000.0) for _ in range(4)] == [True, True, True, False], "never more than the burst"


def test_an_issuer_has_its_own() -> None:
    counted = attempts()
    admitted = [counted.admit(made_up(number), 0.0) for number in range(8)]
    assert admitted == [True] * 5 + [False] * 3
    assert counted.admit(FOREIGN_EID, 0.0), "another issuer is another matter"
    assert counted.admit(made_up(9), 1.0)
    assert not counted.admit(made_up(10), 1.0)


def test_what_is_refused_spends_nothing() -> None:
    counted = attempts(eum_burst=4)
    for _ in range(3):
        counted.admit(EID, 0.0)
    for _ in range(50):
        assert not counted.admit(EID, 0.0)
    assert counted.admit(OTHER_EID, 0.0), "the issuer's bucket was not touched by what the EID's refused"
    assert counted.admit(EID, 10.0)


def test_a_clock_that_stands_or_runs_back_gives_nothing_and_breaks_nothing() -> None:
    counted = attempts()
    assert [counted.admit(EID, at) for at in (100.0, 50.0, 0.0, 0.0)] == [True, True, True, False]


def test_memory_is_bounded_and_the_one_not_seen_for_longest_is_forgotten() -> None:
    counted = attempts(remembered=100, eum_burst=1_000_000)
    for _ in range(3):
        counted.admit(EID, 0.0)
    for number in range(99):
        assert counted.admit(made_up(number), 0.0)
    assert counted.remembered == 100
    assert not counted.admit(EID, 0.0), "refusing does not forget"
    assert counted.admit(made_up(1000), 0.0)
    assert counted.remembered == 100
    assert counted.admit(EID, 0.0), "forgotten, as it must be somewhere"


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_never_more_than_burst_and_pace_allow(gaps: list[float]) -> None:
    counted, now, admitted = attempts(), 0.0, 0
    for gap in gaps:
        now += gap
        admitted += counted.admit(EID, now)
        assert admitted <= 3 + (now + 1e-6) / 10


@pytest.mark.parametrize("burst", [1, 2, 10])
def test_a_burst_is_what_it_says(burst: int) -> None:
    counted = attempts(eid_burst=burst, eum_burst=100)
    assert sum(counted.admit(EID, 0.0) for _ in range(20)) == burst
