"""Requests of N2 and their answers: each has one, none comes twice, and a release is commanded for a reason.

N2 has no MAC that a capture shows, so what was taken out, or recorded twice, is seen by what does not fit.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from rprov.causes import Cause
from rprov.trace.verify.gather import Seen
from rprov.trace.verify.ledger import Ledger
from rprov.wire.link import (
    ErrorIndication,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    LinkMessage,
    N2SetupFailure,
    N2SetupRequest,
    N2SetupResponse,
    SessionResourceReleaseCommand,
    SessionResourceReleaseResponse,
    SessionResourceSetupFailure,
    SessionResourceSetupRequest,
    SessionResourceSetupResponse,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
)

_ANSWERS: Mapping[type, tuple[type, ...]] = MappingProxyType(
    {
        N2SetupRequest: (N2SetupResponse, N2SetupFailure),
        InitialContextSetupRequest: (InitialContextSetupResponse, InitialContextSetupFailure),
        SessionResourceSetupRequest: (SessionResourceSetupResponse, SessionResourceSetupFailure),
        SessionResourceReleaseCommand: (SessionResourceReleaseResponse,),
        UeContextReleaseCommand: (UeContextReleaseComplete,),
        UeContextReleaseRequest: (UeContextReleaseCommand, ErrorIndication),
    }
)
_ANSWERING = frozenset(answer for answers in _ANSWERS.values() for answer in answers) - {
    UeContextReleaseCommand,
    ErrorIndication,
}
"""What comes only as an answer."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control message of N2."""

    seen: Seen
    message: LinkMessage

    @property
    def name(self) -> str:
        """What it is."""
        return type(self.message).__name__


@dataclass(slots=True)
class _Exchanges:
    ledger: Ledger
    waiting: list[Control] = field(default_factory=list)
    said: set[Hashable] = field(default_factory=set)

    def take(self, control: Control) -> None:
        kind = type(control.message)
        self._only_once(control)
        if kind is UeContextReleaseComplete:
            self._released(control)
        elif kind in _ANSWERING:
            self._answered(control)
        elif isinstance(control.message, UeContextReleaseCommand):
            self._commanded(control, control.message.cause)
        elif kind is ErrorIndication:
            self.waiting.clear()  # the other end does not know this UE: nothing is answered any more
        if kind in _ANSWERS:
            self.waiting.append(control)

    def _only_once(self, control: Control) -> None:
        key = _sameness(control.message)
        match control.message:
            case SessionResourceReleaseCommand(session_id=number) | SessionResourceSetupFailure(session_id=number):
                self.said.discard((SessionResourceSetupRequest, number))
        if key is not None and key in self.said:
            self.ledger.fault(control.seen.frame, f"{control.name} comes a second time")
        if key is not None:
            self.said.add(key)

    def _answered(self, control: Control) -> None:
        kind = type(control.message)
        session = getattr(control.message, "session_id", None)
        asked = next(
            (
                item
                for item in self.waiting
                if kind in _ANSWERS[type(item.message)] and getattr(item.message, "session_id", None) == session
            ),
            None,
        )
        if asked is None:
            self.ledger.loose(control.seen.frame, f"{control.name} without its request")
        else:
            self.waiting.remove(asked)

    def _commanded(self, control: Control, cause: Cause) -> None:
        """A RAN that has lost a UE is commanded to release it for the cause that it has named."""
        requests = [item for item in self.waiting if isinstance(item.message, UeContextReleaseRequest)]
        fitting = next((item for item in requests if item.message.cause is cause), None)  # type: ignore[union-attr]
        if fitting is not None:
            self.waiting.remove(fitting)
        elif cause is Cause.RADIO_LINK_LOST or (requests and cause is not Cause.NORMAL):
            self.ledger.loose(control.seen.frame, f"the CP releases with {cause.name}, which the RAN has not asked for")

    def _released(self, complete: Control) -> None:
        """One answer for every command under way; what else was asked is forgotten where the UE was lost."""
        commands = [item for item in self.waiting if isinstance(item.message, UeContextReleaseCommand)]
        if not commands:
            self.ledger.loose(complete.seen.frame, f"{complete.name} without its request")
        lost = any(item.message.cause is not Cause.NORMAL for item in commands)  # type: ignore[union-attr]
        # A request for the release has crossed the command, and has what it wanted.
        ended = UeContextReleaseCommand, UeContextReleaseRequest
        self.waiting = [] if lost else [item for item in self.waiting if not isinstance(item.message, ended)]


def check_exchanges(controls: Sequence[Control], ledger: Ledger) -> None:
    """Hold the control messages of one UE, or of the link itself, against each other; requests wait in their order."""
    exchanges = _Exchanges(ledger)
    for control in controls:
        exchanges.take(control)
    for control in exchanges.waiting:
        ledger.loose(control.seen.frame, f"{control.name} without an answer")


def _sameness(message: LinkMessage) -> Hashable:
    """Give what no two messages of a UE have in common; None for those that may come again."""
    match message:
        case InitialContextSetupRequest() | UeContextReleaseComplete():
            return type(message).__name__
        case SessionResourceSetupRequest(session_id=number):
            return type(message), number
        case UeContextReleaseCommand(cause=cause) | UeContextReleaseRequest(cause=cause):
            return type(message), cause
        case _:
            return None
