"""How a connection ends: what the CP commands the RAN is what NAS has said, and what the UE is told."""

from collections.abc import Iterator, Sequence

from rprov.causes import Cause
from rprov.trace.verify.exchanges import Control
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.links import N2_HEADER
from rprov.trace.verify.nas import NasRead
from rprov.trace.verify.srb import Rrc
from rprov.wire.link import UeContextReleaseCommand
from rprov.wire.messages import AttachReject, AuthenticationReject, DetachAccept, DetachRequest
from rprov.wire.radio import RrcRelease


def check_release(nas: Sequence[NasRead], rrc: Sequence[Rrc], controls: Sequence[Control], ledger: Ledger) -> None:
    """Hold NAS, N2 and the radio against each other, as far as they were recorded."""
    commands = [
        (control.seen, control.message.cause)
        for control in controls
        if isinstance(control.message, UeContextReleaseCommand)
    ]
    told = {item.message.cause for item in rrc if isinstance(item.message, RrcRelease)}
    for seen, cause in commands if told else []:
        if cause not in told and cause is not Cause.RADIO_LINK_LOST:
            ledger.fault(seen.frame, f"N2 releases the UE with {cause.name}, which the UE is not told")
        ledger.cover(seen.frame, seen.head + N2_HEADER, len(seen.octets) - N2_HEADER, "RRC release")
    if not commands:
        return
    for item, cause in _endings(nas):
        if cause not in {known for _, known in commands}:
            ledger.loose(
                item.carried.frame, f"{type(item.message).__name__} {cause.name}, and the CP releases for another cause"
            )
    for seen, cause in commands:
        if cause is Cause.NORMAL and not any(isinstance(item.message, DetachRequest | DetachAccept) for item in nas):
            ledger.loose(seen.frame, "the CP releases the UE as if it had left, which nobody has said")
    _answered(nas, commands[0][1], ledger)


def _endings(nas: Sequence[NasRead]) -> Iterator[tuple[NasRead, Cause]]:
    """Give what the network has said last, and the cause for which it then has the connection released."""
    for item in nas:
        match item.message:
            case DetachAccept():
                yield item, Cause.NORMAL
            case AuthenticationReject(cause=cause) | AttachReject(cause=cause):
                yield item, cause


def _answered(nas: Sequence[NasRead], first: Cause, ledger: Ledger) -> None:
    """Who asked to leave, and was released for that, has been told that it has left."""
    asked = [
        item
        for item in nas
        if item.carried.uplink and isinstance(item.message, DetachRequest) and not item.message.switch_off
    ]
    if asked and first is Cause.NORMAL and not any(isinstance(item.message, DetachAccept) for item in nas):
        ledger.loose(asked[-1].carried.frame, "DetachRequest without an answer")
