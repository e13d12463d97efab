"""Figures that a node can give at any time: how many, how much, since it began or right now. Knows no format."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rprov.model.numbers import Metric


class Figure(NamedTuple):
    """One value of one metric; `labels` are in the metric's own order."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Figures = Callable[[], Iterable[Figure]]
"""Reads a node's figures; called while it is scraped, so it must be quick."""
