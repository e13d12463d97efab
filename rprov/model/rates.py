"""How often one device, and all of one maker, may authenticate: a section of the settings of CP and AAA."""

from dataclasses import dataclass
from typing import Annotated

from rprov.model.kinds import Seconds, Within


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRates:
    """Attempts count once their certificate is proved: a stranger spends nobody's allowance."""

    eid_burst: Annotated[int, Within(1, 1_000_000)] = 10
    """Attempts that one EID may make at once."""
    eid_seconds: Seconds = 60.0
    """Seconds after which one EID may make one more."""
    eum_burst: Annotated[int, Within(1, 1_000_000)] = 1000
    """Attempts that all EIDs of one issuer (their first eight digits) may make at once."""
    eum_per_second: Annotated[int, Within(1, 100_000)] = 100
    """Attempts that all EIDs of one issuer may make in a second, again and again."""
    remembered: Annotated[int, Within(100, 10_000_000)] = 100_000
    """EIDs whose attempts are remembered, about 200 octets each; the one not seen for longest is forgotten first."""
