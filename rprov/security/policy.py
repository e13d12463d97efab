"""Who may speak unprotected, when: one table per side and phase (TS 24.501 4.4.4.2, 4.4.4.3). Knows no key.

Everything that is not in these tables needs a valid MAC, and what comes without one is discarded, counted and traced:
it changes no state and gets no answer.
"""

from enum import Enum, auto

from rprov.security.context import Side
from rprov.wire import messages as nas
from rprov.wire import radio


class Phase(Enum):
    """How far the NAS security of a UE is."""

    NO_CONTEXT = auto()
    """Nothing is proved yet."""
    COMMITTED = auto()
    """The network has shown its success indication (0x00): nothing unprotected decides anything any more."""
    SECURED = auto()
    """A context is in use."""


PLAIN_NAS: dict[tuple[Side, Phase], frozenset[type]] = {
    (Side.UE, Phase.NO_CONTEXT): frozenset(
        {
            nas.IdentityRequest,
            nas.AuthenticationRequest,
            nas.AuthenticationResult,
            nas.AuthenticationReject,
            nas.AttachReject,
        }
    ),
    # A repeated request gets the same answer again, in case that was lost; it changes nothing.
    (Side.UE, Phase.COMMITTED): frozenset({nas.AuthenticationRequest}),
    (Side.UE, Phase.SECURED): frozenset(),
    (Side.CP, Phase.NO_CONTEXT): frozenset(
        {
            nas.AttachRequest,
            nas.IdentityResponse,
            nas.AuthenticationResponse,
            nas.AuthenticationFailure,
            nas.SecurityModeReject,
            nas.DetachRequest,
        }
    ),
    (Side.CP, Phase.COMMITTED): frozenset({nas.SecurityModeReject}),
    (Side.CP, Phase.SECURED): frozenset(),
}


class Receiver(Enum):
    """Who receives on the radio link."""

    UE = auto()
    RAN = auto()


PLAIN_RRC: dict[tuple[Receiver, bool], frozenset[type]] = {
    # keyed by who receives, and whether AS security runs
    (Receiver.UE, False): frozenset({radio.RrcRelease, radio.AsSecurityModeCommand}),
    (Receiver.UE, True): frozenset(),
    (Receiver.RAN, False): frozenset(),
    # "security mode failure" is never protected (TS 33.501 6.7.4)
    (Receiver.RAN, True): frozenset({radio.AsSecurityModeFailure}),
}

CELL_RRC: dict[Receiver, frozenset[type]] = {
    Receiver.UE: frozenset({radio.CellInfo, radio.RrcSetup, radio.RrcReject}),
    Receiver.RAN: frozenset({radio.RrcSetupRequest}),
}
"""RRC messages that are not addressed to a UE; none of them can be protected."""


def plain_nas_allowed(side: Side, phase: Phase, message: type) -> bool:
    """Say whether a NAS message may come unprotected; `side` receives it."""
    return message in PLAIN_NAS[side, phase]
