"""What a handler of the pure core may know of the world: time, chance, policy, and factories of engines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

PolicyT = TypeVar("PolicyT", covariant=True)
EnginesT = TypeVar("EnginesT", covariant=True)

Entropy = Callable[[int], bytes]
"""Gives n random octets; in tests a seeded stream."""


@dataclass(frozen=True, slots=True)
class Env(Generic[PolicyT, EnginesT]):
    """`now` is monotonic seconds, `wall` an aware UTC time."""

    now: float
    wall: datetime
    entropy: Entropy
    policy: PolicyT
    engines: EnginesT
    ue: int = 0
    """What this node calls the UE whose step it is, for key logs; 0 where nobody asked for one."""
