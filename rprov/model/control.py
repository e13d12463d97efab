"""The local control socket of a daemon: where it is, and what may be asked there."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """A Unix socket on which `rprov ctl` asks a daemon; only the user who runs it may."""

    enabled: bool = True
    """Whether there is one."""
    socket: Path | None = None
    """Its path; absent: ROLE-PID.sock in the run directory, where `rprov ctl` finds it without being told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One control link as a person sees it. Ages are in seconds, counters are of messages and their octets."""

    kind: str
    """n2 or radio."""
    name: str
    """What the other node calls itself; empty where it does not say."""
    local: str
    peer: str
    carrier: str
    """What carries the link, and what protects it."""
    protected_for: str
    """The names in the peer's certificate; empty where nothing protects the link itself."""
    streams: int
    sent: int
    sent_octets: int
    received: int
    received_octets: int
    age: float
