"""Sections that bound: what strangers can make a node hold, and how long a node waits."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from rprov.model.kinds import (
    HalfOpen,
    MaxMessage,
    Seconds,
    Unfit,
    WholeSeconds,
    Within,
)
from rprov.model.policy import Timers
from rprov.model.rates import AttemptRates

_STANDARD = Timers()


@dataclass(frozen=True, slots=True, kw_only=True)
class CpLimits:
    """What strangers can make a CP hold; at a limit the oldest half-open attach is evicted."""

    half_open_per_link: HalfOpen = 1000
    """Attaches before authentication on one N2 link."""
    half_open_per_ran: HalfOpen = 2000
    """Attaches before authentication by one RAN, by its name, over all of its links."""
    half_open: HalfOpen = 10_000
    """Attaches before authentication in total."""
    max_message: MaxMessage = 16_384
    """Largest message on N2, octets."""
    backoff: WholeSeconds = 30
    """Seconds that a refused or evicted device is told to wait."""
    silent_links_per_address: Annotated[int, Within(1, 100_000)] = 50
    """N2 links from one address on which no RAN has said yet who it is."""
    silent_links: Annotated[int, Within(1, 100_000)] = 200
    """N2 links on which no RAN has said yet who it is, in total."""
    attempts: AttemptRates = field(default_factory=AttemptRates)
    """How often devices may authenticate."""

    def __post_init__(self) -> None:
        if not self.half_open_per_link <= self.half_open_per_ran <= self.half_open:
            raise Unfit("half_open", "expected half_open_per_link <= half_open_per_ran <= half_open")
        if self.silent_links_per_address > self.silent_links:
            raise Unfit("silent_links", "expected silent_links_per_address <= silent_links")


@dataclass(frozen=True, slots=True, kw_only=True)
class RanLimits:
    """What strangers can make a RAN hold."""

    half_open_per_link: HalfOpen = 1000
    """UEs without AS security on one radio link."""
    half_open: HalfOpen = 10_000
    """UEs without AS security in total."""
    max_message: MaxMessage = 16_384
    """Largest message on the radio and on N2, octets."""
    backoff: Annotated[int, Within(1, 16)] = 5
    """Seconds that a device is told to wait for which there is no room (TS 38.331: 1 to 16)."""
    silent_links_per_address: Annotated[int, Within(1, 1_000_000)] = 1000
    """Radio links from one address on which there is no UE."""
    silent_links: Annotated[int, Within(1, 1_000_000)] = 4000
    """Radio links on which there is no UE, in total; the oldest gives way."""
    silence: Seconds = 120.0
    """How long a radio link may be without a UE."""

    def __post_init__(self) -> None:
        if self.half_open_per_link > self.half_open:
            raise Unfit("half_open", "expected half_open_per_link <= half_open")
        if self.silent_links_per_address > self.silent_links:
            raise Unfit("silent_links", "expected silent_links_per_address <= silent_links")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmdpLimits:
    """What strangers can make an SM-DP+ hold."""

    max_body: Annotated[int, Within(4096, 10_000_000)] = 262_144
    """Largest request, octets. How many downloads may be under way is the core's own bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpTimers:
    """Seconds (TS 24.501 table 10.2.2); every one but T3512 guards a message that is sent five times at most."""

    t3512: Seconds = _STANDARD.t3512
    """Period of the periodic update that devices are told."""
    t3522: Seconds = _STANDARD.t3522
    """Guards a DetachRequest."""
    t3550: Seconds = _STANDARD.t3550
    """Guards an AttachAccept."""
    t3560: Seconds = _STANDARD.t3560
    """Guards an AuthenticationRequest and a SecurityModeCommand."""
    t3570: Seconds = _STANDARD.t3570
    """Guards an IdentityRequest."""

    @property
    def policy(self) -> Timers:
        """All timers, with these in place of the standard's values."""
        return replace(
            _STANDARD, t3512=self.t3512, t3522=self.t3522, t3550=self.t3550, t3560=self.t3560, t3570=self.t3570
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UeTimers:
    """Seconds (TS 24.501 table 10.2.1 and 10.3.1; TS 38.331 7.1.1)."""

    t300: Seconds = _STANDARD.t300
    """Guards an RrcSetupRequest."""
    t3510: Seconds = _STANDARD.t3510
    """Guards an AttachRequest."""
    t3511: Seconds = _STANDARD.t3511
    """Wait before the next attempt to attach."""
    t3521: Seconds = _STANDARD.t3521
    """Guards a DetachRequest."""
    t3580: Seconds = _STANDARD.t3580
    """Guards a PduSessionRequest."""
    cell: Seconds = _STANDARD.cell
    """How long a cell is looked for."""
    download: Seconds = _STANDARD.download
    """How long a profile may take to download."""

    @property
    def policy(self) -> Timers:
        """All timers, with these in place of the standard's values."""
        return replace(
            _STANDARD,
            t300=self.t300,
            t3510=self.t3510,
            t3511=self.t3511,
            t3521=self.t3521,
            t3580=self.t3580,
            cell=self.cell,
            download=self.download,
        )
