"""Who has proved nothing is bounded: the crowd in itself, against a plain count, and in constant time."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.daemon.strangers import Strangers
from rprov.errors import Misuse


def test_the_oldest_of_the_narrowest_full_scope_goes() -> None:
    crowd: Strangers[str] = Strangers(2, 3, 4)
    assert crowd.add(1, "a", "link 1", "ran 1", None) is None
    assert crowd.add(2, "b", "link 2", "ran 1", None) is None
    assert crowd.add(3, "c", "link 1", "ran 1", None) is None
    assert crowd.add(4, "d", "link 1", "ran 1", None) == "a", "the link is full"
    assert crowd.add(5, "e", "link 3", "ran 1", None) == "b", "the RAN is full"
    assert crowd.add(6, "f", "link 4", "ran 2", None) is None
    assert crowd.add(7, "g", "link 5", "ran 3", None) == "c", "everything is full"
    assert len(crowd) == 4
    assert [key in crowd for key in range(1, 8)] == [False, False, False, True, True, True, True]


def test_who_is_gone_makes_room_and_leaves_nothing() -> None:
    crowd: Strangers[str] = Strangers(1, 2)
    crowd.add(1, "a", "link", None)
    assert crowd.is_full("link", None)
    assert not crowd.is_full("other", None)
    crowd.remove(1)
    crowd.remove(1)
    assert not crowd.is_full("link", None)
    assert crowd.add(2, "b", "link", None) is None
    crowd.remove(2)
    assert len(crowd) == crowd.count(0, "link") == 0
    assert crowd._groups == ({}, {})


@pytest.mark.parametrize("limits", [(), (0,), (1, 0)])
def test_bounds_that_let_nobody_in_are_a_mistake(limits: tuple[int, ...]) -> None:
    with pytest.raises(Misuse):
        Strangers(*limits)


def test_nobody_is_taken_in_twice() -> None:
    crowd: Strangers[str] = Strangers(2)
    crowd.add(1, "a", None)
    for key, scopes in ((1, (None,)), (2, ()), (2, (None, None))):
        with pytest.raises(Misuse):
            crowd.add(key, "b", *scopes)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15), st.integers(0, 2), st.integers(0, 1)), max_size=60))
def test_it_does_what_a_plain_count_would(events: list[tuple[bool, int, int, int]]) -> None:
    limits = (2, 3, 4)
    crowd: Strangers[int] = Strangers(*limits)
    plain: list[tuple[int, tuple[Any, ...]]] = []
    for arrives, key, link, ran in events:
        if not arrives or key in crowd:
            crowd.remove(key)
            plain = [member for member in plain if member[0] != key]
            continue
        scopes = (link, ran, None)
        expected = None
        for place, limit in enumerate(limits):
            group = [number for number, seen in plain if seen[place] == scopes[place]]
            if len(group) >= limit:
                expected = group[0]
                break
        plain = [member for member in plain if member[0] != expected]
        plain.append((key, scopes))
        assert crowd.add(key, key, *scopes) == expected
        assert len(crowd) == len(plain)
        assert crowd.count(0, link) <= 2


def test_an_event_costs_the_same_in_a_large_crowd() -> None:
    """Ten thousand take ten times as long as a thousand, not a hundred times; with room for a busy machine."""

    def seconds(members: int) -> float:
        crowd: Strangers[int] = Strangers(members, members, members)
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            for number in range(3 * members):
                crowd.add((begun, number), number, "link", "ran", None)
            best = min(best, (time.process_time() - begun) / (3 * members))
        return best

    assert seconds(10_000) < 5 * seconds(500)
