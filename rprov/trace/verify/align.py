"""Puts two records of one sequence side by side: what was carried over two links must be the same on both."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Generic, NamedTuple, TypeVar


class Copy(NamedTuple):
    """One record of a message: its frame, where it begins in the packet, its octets, and when that was."""

    frame: int
    offset: int
    octets: bytes
    at: float = 0.0


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """The two records of one thing; one is missing where there is no counterpart."""

    one: T | None
    other: T | None


def align(ones: Sequence[Copy], others: Sequence[Copy]) -> list[Pair[Copy]]:
    """Pair the records, in their order; those that differ but stand at the same place are paired, too."""
    if [copy.octets for copy in ones] == [copy.octets for copy in others]:
        return [Pair(one, other) for one, other in zip(ones, others, strict=True)]
    matcher = SequenceMatcher(None, [copy.octets for copy in ones], [copy.octets for copy in others], autojunk=False)
    pairs: list[Pair[Copy]] = []
    for tag, begin, end, other_begin, other_end in matcher.get_opcodes():
        left, right = ones[begin:end], others[other_begin:other_end]
        if tag == "equal" or len(left) == len(right):
            pairs += [Pair(one, other) for one, other in zip(left, right, strict=True)]
        else:
            pairs += [Pair(one, None) for one in left]
            pairs += [Pair(None, other) for other in right]
    return pairs
