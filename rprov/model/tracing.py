"""What a node writes down of its links, as a section of the settings: captures, and the keys that open them."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from rprov.model.kinds import Unfit, Within


class TraceSecrets(StrEnum):
    """Whether a capture holds the keys that open it."""

    REDACT = "redact"
    """No: keys that cross a link in clear are zeros in the record."""
    EMBED = "embed"
    """Yes: whoever has the file reads everything in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """What is written down of the links."""

    pcap: Path | None = None
    """File that takes every message of this node's links (pcapng); what was in it is lost."""
    keylog: Path | None = None
    """File that takes the keys of TLS and K_AUSF, one a line, after what is in it; who reads it can read everything."""
    secrets: TraceSecrets = TraceSecrets.REDACT
    """redact, or embed to put the same keys into the capture itself."""
    max_size: Annotated[int, Within(0, 1 << 40)] = 1_000_000_000
    """Octets after which a capture goes on in a new file; 0: never."""
    keep: Annotated[int, Within(0, 1000)] = 4
    """How many full files are kept beside the present one, the newest as FILE.1."""

    def __post_init__(self) -> None:
        if self.secrets is TraceSecrets.EMBED and self.pcap is None:
            raise Unfit("secrets", "embed needs pcap: a file to put the keys into")
        if 0 < self.max_size < 65_536:
            raise Unfit("max_size", "at least 65536, or 0")
        if self.pcap is not None and self.pcap == self.keylog:
            raise Unfit("keylog", "must be another file than pcap")
