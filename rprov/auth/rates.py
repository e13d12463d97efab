"""Whether a device that has proved its certificate may authenticate again already: per EID, and per issuer of EIDs.

Asked after the proof and before the success indication, so that whoever only says an EID spends nothing of its owner's
allowance. Token buckets; time is an argument, memory is bounded.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator

from rprov.model.figures import Figure
from rprov.model.identifiers import Eid, EidHint
from rprov.model.numbers import Metric
from rprov.model.rates import AttemptRates


class _Buckets:
    """A token bucket for each key. Who was not seen for longest is forgotten: of all, its bucket has filled up most."""

    __slots__ = ("_buckets", "_burst", "_per_second", "_remembered")

    def __init__(self, burst: int, per_second: float, remembered: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._remembered = remembered
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # tokens, and when that was so

    def __len__(self) -> int:
        return len(self._buckets)

    def left(self, key: Hashable, now: float) -> float:
        """Say how many tokens there are."""
        tokens, at = self._buckets.get(key, (float(self._burst), now))
        return min(float(self._burst), tokens + max(0.0, now - at) * self._per_second)

    def take(self, key: Hashable, now: float) -> None:
        """Take one token, which is there."""
        self._buckets[key] = self.left(key, now) - 1.0, now
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)


class Attempts:
    """All attempts of devices with one network."""

    __slots__ = ("_eids", "_eums", "refused")

    def __init__(self, rates: AttemptRates) -> None:
        self.refused = {"eid": 0, "eum": 0}
        """How often the rate of a device, or of its manufacturer, has said no."""
        self._eids = _Buckets(rates.eid_burst, 1.0 / rates.eid_seconds, rates.remembered)
        self._eums = _Buckets(rates.eum_burst, float(rates.eum_per_second), rates.remembered)

    @property
    def remembered(self) -> int:
        """How many EIDs have a bucket."""
        return len(self._eids)

    def figures(self) -> Iterator[Figure]:
        """How often a rate has said no."""
        for what, count in self.refused.items():
            yield Figure(Metric.RATE_LIMITED, count, (what,))

    def admit(self, eid: Eid, now: float) -> bool:
        """Count an attempt of this EID, which is proved; say whether it may go on. `now` is monotonic seconds.

        What is refused is not counted: who comes back too early makes nothing worse.
        """
        eum = EidHint.of(eid)
        for what, left in (("eid", self._eids.left(eid, now)), ("eum", self._eums.left(eum, now))):
            if left < 1.0:
                self.refused[what] += 1
                return False
        self._eids.take(eid, now)
        self._eums.take(eum, now)
        return True
