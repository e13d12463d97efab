"""How a network carries EAP, as a section of the settings. What EAP-TLS negotiates stands in `model/tls.py`."""

from dataclasses import dataclass
from typing import Annotated

from rprov.model.kinds import Within


@dataclass(frozen=True, slots=True, kw_only=True)
class EapSettings:
    """How EAP is carried to devices."""

    fragment: Annotated[int, Within(100, 1400)] = 1400
    """Octets of the largest EAP packet that is sent."""
    ask_identity: bool = False
    """Whether EAP asks for an identity first, as RFC 3748 lets it: a round more; who it is stands in the attach."""
