"""Whether the messages of one UE come in an order in which the roles can have said them.

Two questions: has the receiver any row for this message in its table, and has its sender been told before what makes it
say this? The second is written here, as a table of its own: the roles' tables say what a handler takes, and not what
it sends. A test holds it against them: whatever must come before a message, the table of its sender takes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from rprov.procedure.cp import CP
from rprov.procedure.machine import Role
from rprov.procedure.ran import ACCESS, RAN
from rprov.procedure.ue import UE
from rprov.trace.verify.ledger import Ledger
from rprov.wire import link, radio
from rprov.wire import messages as nas

NAS, N2, RRC = "NAS", "N2", "RRC"

Before = tuple[frozenset[type], ...]
"""Of each set one message must have come; sets of links that were not recorded do not count."""


def _all(*sets: type | tuple[type, ...]) -> Before:
    return tuple(frozenset(item if isinstance(item, tuple) else (item,)) for item in sets)


BEFORE: Mapping[type, Before] = MappingProxyType(
    {
        nas.AttachRequest: _all(),
        nas.IdentityRequest: _all(nas.AttachRequest),
        nas.IdentityResponse: _all(nas.IdentityRequest),
        nas.AuthenticationRequest: _all(nas.AttachRequest),
        nas.AuthenticationResponse: _all(nas.AuthenticationRequest),
        nas.AuthenticationFailure: _all(nas.AuthenticationRequest),
        nas.AuthenticationResult: _all(nas.AuthenticationResponse),
        nas.AuthenticationReject: _all(nas.AttachRequest),
        nas.SecurityModeCommand: _all(nas.AuthenticationResponse),
        nas.SecurityModeComplete: _all(nas.SecurityModeCommand),
        nas.SecurityModeReject: _all(nas.SecurityModeCommand),
        link.InitialContextSetupRequest: _all(nas.SecurityModeComplete),
        radio.AsSecurityModeCommand: _all(link.InitialContextSetupRequest, nas.SecurityModeComplete),
        radio.AsSecurityModeComplete: _all(radio.AsSecurityModeCommand),
        radio.AsSecurityModeFailure: _all(radio.AsSecurityModeCommand),
        link.InitialContextSetupResponse: _all(link.InitialContextSetupRequest, radio.AsSecurityModeComplete),
        link.InitialContextSetupFailure: _all(link.InitialContextSetupRequest),
        nas.AttachAccept: _all(
            nas.SecurityModeComplete, link.InitialContextSetupResponse, radio.AsSecurityModeComplete
        ),
        nas.AttachComplete: _all(nas.AttachAccept),
        nas.AttachReject: _all(nas.AttachRequest),
        nas.PduSessionRequest: _all(nas.AttachAccept),
        link.SessionResourceSetupRequest: _all(nas.PduSessionRequest),
        radio.RrcReconfiguration: _all(
            (link.SessionResourceSetupRequest, link.SessionResourceReleaseCommand), nas.PduSessionRequest
        ),
        radio.RrcReconfigurationComplete: _all(radio.RrcReconfiguration),
        link.SessionResourceSetupResponse: _all(link.SessionResourceSetupRequest, radio.RrcReconfigurationComplete),
        link.SessionResourceSetupFailure: _all(link.SessionResourceSetupRequest),
        nas.PduSessionAccept: _all(
            nas.PduSessionRequest, link.SessionResourceSetupResponse, radio.RrcReconfigurationComplete
        ),
        nas.PduSessionReject: _all(nas.PduSessionRequest),
        nas.PduSessionReleaseRequest: _all(nas.PduSessionAccept),
        nas.PduSessionReleaseCommand: _all(nas.PduSessionRequest),
        nas.PduSessionReleaseComplete: _all(nas.PduSessionReleaseCommand),
        link.SessionResourceReleaseCommand: _all(link.SessionResourceSetupResponse),
        link.SessionResourceReleaseResponse: _all(link.SessionResourceReleaseCommand),
        nas.ConfigurationUpdateCommand: _all(nas.SecurityModeComplete),
        nas.ConfigurationUpdateComplete: _all(nas.ConfigurationUpdateCommand),
        nas.DetachRequest: _all(),
        nas.DetachAccept: _all(nas.DetachRequest),
        nas.Status: _all(),
        radio.RrcRelease: _all(),
        link.UeContextReleaseRequest: _all(),
        link.UeContextReleaseCommand: _all(),
        link.UeContextReleaseComplete: _all(
            link.UeContextReleaseCommand, (radio.RrcRelease, link.UeContextReleaseRequest)
        ),
        link.ErrorIndication: _all(),
    }
)
"""What a role must have been told, before it says something."""

_ANSWER_TO: Mapping[type, type] = MappingProxyType(
    {
        nas.IdentityResponse: nas.IdentityRequest,
        nas.AuthenticationResponse: nas.AuthenticationRequest,
        nas.AuthenticationFailure: nas.AuthenticationRequest,
    }
)
"""What comes once for each time it was asked for, and has no COUNT that would say so."""

ENDS = frozenset({nas.AuthenticationReject, nas.AttachReject, nas.SecurityModeReject, nas.DetachAccept})
"""After these nothing is said to or by this UE on its connection, but that it leaves."""
_STILL = frozenset({nas.DetachRequest, nas.DetachAccept, nas.AuthenticationReject, nas.AttachReject, nas.Status})

ANYBODY = frozenset({nas.Status, link.ErrorIndication, radio.RrcRelease})
"""What no table need have: the endpoints answer for these, and a release is taken at any time."""


def takes(role: Role, message: type) -> bool:
    """Say whether a role has a row for a message, in whatever state."""
    return message in role.anywhere or any(kind is message for _, kind in role.table)


RECEIVERS: Mapping[tuple[str, bool], Role] = MappingProxyType(
    {(NAS, True): CP, (NAS, False): UE, (N2, True): CP, (N2, False): RAN, (RRC, True): RAN, (RRC, False): ACCESS}
)
"""Who takes what a protocol carries upwards (True) and downwards."""


class Said(NamedTuple):
    """One message: where it was recorded first, what carried it, which way, and what it is."""

    frame: int
    protocol: str
    uplink: bool
    kind: type


def protocol_of(kind: type) -> str:
    """Name the protocol that a message belongs to."""
    return {nas.__name__: NAS, link.__name__: N2}.get(kind.__module__, RRC)


def check_order(said: Iterable[Said], recorded: frozenset[str], ledger: Ledger) -> None:
    """Hold what one node has said and heard of a UE, as its links have carried it, against what can have been said.

    `recorded` are the protocols of those links: what belongs to others is not missed.
    """
    come: set[type] = set()
    unanswered: Counter[type] = Counter()
    ended: type | None = None
    released = False
    for item in sorted(said, key=lambda item: item.frame):
        name = item.kind.__name__
        if item.kind not in ANYBODY and not takes(RECEIVERS[item.protocol, item.uplink], item.kind):
            ledger.fault(item.frame, f"{name} goes to a node that never takes it")
        missing = _missing(item.kind, come, recorded)
        if missing:
            names = " or ".join(sorted(kind.__name__ for kind in missing))
            # The first thing wrong may be the frame that is missing here.
            ledger.loose(item.frame, f"{name} comes, and no {names} was before it")
        unanswered[item.kind] += 1
        asked = _ANSWER_TO.get(item.kind)
        if asked is not None:
            unanswered[asked] -= 1
            if unanswered[asked] < 0 and not missing:
                ledger.loose(item.frame, f"{name} comes, and no {asked.__name__} waits for it")
        if item.protocol == NAS:
            if ended is not None and item.kind not in _STILL:
                ledger.fault(item.frame, f"{name} comes after {ended.__name__}, which was the end")
            if released and not item.uplink:
                ledger.loose(item.frame, f"{name} comes after the CP has released the UE")
            released = released and not item.uplink  # a repeated DetachRequest is answered again
        released = released or item.kind is link.UeContextReleaseCommand
        if item.kind in ENDS:
            ended = item.kind
        come.add(item.kind)


def _missing(kind: type, come: set[type], recorded: frozenset[str]) -> frozenset[type]:
    for wanted in BEFORE.get(kind, ()):
        if not wanted & come and {protocol_of(each) for each in wanted} <= recorded:
            return wanted
    return frozenset()
