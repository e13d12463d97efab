"""Who is here and has proved nothing yet: UEs on their way in, links on which nothing was said. The oldest gives way.

Counts in several scopes at once (one link, one RAN, all), each event in constant time whatever the crowd. Owns no
timer and ends nobody: it says who is out, and its owner acts.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from rprov.errors import Misuse

T = TypeVar("T")


class Strangers(Generic[T]):
    """Members by key, bounded in each of their scopes."""

    __slots__ = ("_groups", "_limits", "_scopes")

    def __init__(self, *limits: int) -> None:
        """Take the bound of each scope, the narrowest first; every bound is 1 at least."""
        if not limits or min(limits) < 1:
            raise Misuse("a bound of strangers is at least 1")
        self._limits = limits
        # One ordered dict for each scope that somebody is in: a plain dict finds its oldest ever more slowly, for it
        # walks over the places of those who have left.
        self._groups: tuple[dict[Hashable, OrderedDict[Hashable, T]], ...] = tuple({} for _ in limits)
        self._scopes: dict[Hashable, tuple[Hashable, ...]] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._scopes

    def add(self, key: Hashable, member: T, *scopes: Hashable) -> T | None:
        """Take one in, with its scopes in the order of the bounds; give whoever has to go for it, if somebody has."""
        if len(scopes) != len(self._limits) or key in self._scopes:
            raise Misuse("a stranger is taken in once, with a scope for each bound")
        out = self._oldest_of_a_full(scopes)
        if out is not None:
            self.remove(out[0])
        self._scopes[key] = scopes
        for groups, scope in zip(self._groups, scopes, strict=True):
            groups.setdefault(scope, OrderedDict())[key] = member
        return None if out is None else out[1]

    def remove(self, key: Hashable) -> None:
        """Forget one that is a stranger no more, or is gone; whoever is not here is no mistake."""
        for groups, scope in zip(self._groups, self._scopes.pop(key, ()), strict=False):
            group = groups[scope]
            del group[key]
            if not group:
                del groups[scope]

    def count(self, place: int, scope: Hashable) -> int:
        """Say how many are in a scope; `place` is that of its bound."""
        return len(self._groups[place].get(scope, ()))

    def is_full(self, *scopes: Hashable) -> bool:
        """Say whether one more would drive somebody out."""
        return self._oldest_of_a_full(scopes) is not None

    def _oldest_of_a_full(self, scopes: tuple[Hashable, ...]) -> tuple[Hashable, T] | None:
        for groups, scope, limit in zip(self._groups, scopes, self._limits, strict=True):
            group = groups.get(scope, ())
            if group and len(group) >= limit:
                return next(iter(group.items()))
        return None
