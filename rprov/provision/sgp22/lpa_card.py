"""What an LPA says to its card, one small dialogue per function (ES10a, b, c). Card errors come out as `Refused`.

Each is a generator that yields `CardCommand`s; its value is what the card told.
"""

from collections.abc import Generator
from typing import Any, NoReturn, TypeVar

from rprov.causes import Cause
from rprov.errors import DecodeError, Misuse, Refused
from rprov.model.identifiers import Eid, Iccid
from rprov.provision.protocol import Answer, CardCommand, Post, Request
from rprov.provision.sgp22 import es9
from rprov.provision.sgp22.codes import BppCommand, BppError, StateChange, meaning
from rprov.provision.sgp22.es9 import Body, Function
from rprov.provision.sgp22.metadata import InstallationFailure, InstallationResult, NotificationMetadata
from rprov.provision.sgp22.objects import CHALLENGE_LENGTH
from rprov.provision.sgp22.tlv import Tlv, boolean, fixed, integer, open_tlv, read_integer, tlv

T = TypeVar("T")
Steps = Generator[Request, Answer, T]

MAX_CARD_ANSWER = 1 << 20


class ServerRefused(Refused):
    """The SM-DP+ answered with a status code; the transaction is over on its side."""


class InstallRefused(Refused):
    """The card refused the bound package; its session is over, and the signed result waits to be delivered."""

    def __init__(self, detail: str, result: InstallationResult) -> None:
        self.result = result
        super().__init__(Cause.PROVISIONING_FAILED, detail)


def fail(detail: str) -> NoReturn:
    """End the download with a sentence."""
    raise Refused(Cause.PROVISIONING_FAILED, detail)


def command(octets: bytes, name: str) -> Steps[bytes]:
    """Give the card a command and its answer's data; a status other than 9000 or 91xx ends the dialogue."""
    answer = yield CardCommand(octets)
    if not isinstance(answer, bytes):
        raise Misuse("a CardCommand is answered with octets")
    if not 2 <= len(answer) <= MAX_CARD_ANSWER:
        fail(f"the card's answer to {name} has no status")
    # 91xx: done, and a proactive command waits (TS 102 221 10.2.1.1): the terminal's affair
    if answer[-2] != 0x91 and answer[-2:] != b"\x90\x00":
        fail(f"the card answered {name} with status {answer[-2:].hex().upper()}")
    return answer[:-2]


def post(function: Function, body: Body) -> Steps[Body]:
    """Post to the SM-DP+ and give the members of its answer; a failed one raises ServerRefused."""
    answer = yield Post(function.path, body)
    if not isinstance(answer, dict):
        raise Refused(Cause.PROVISIONING_FAILED, f"the SM-DP+ answered {function.value} without a body")
    status = es9.refusal_of(answer)
    if status is not None:
        raise ServerRefused(Cause.PROVISIONING_FAILED, f"the SM-DP+ refused {function.value}: {status}")
    return answer


def eid() -> Steps[Eid]:
    """Ask for the EID."""
    answer = yield from command(tlv(0xBF3E, tlv(0x5C, b"\x5a")), "GetEID")
    return Eid.from_octets(open_tlv(answer, 0xBF3E, "answer to GetEID").take(0x5A).value)


def challenge() -> Steps[bytes]:
    """Open a session on the card."""
    answer = yield from command(tlv(0xBF2E), "GetEUICCChallenge")
    value = open_tlv(answer, 0xBF2E, "answer to GetEUICCChallenge").take(0x80).value
    return fixed(value, CHALLENGE_LENGTH, "the card's challenge")


def load(pieces: tuple[bytes, ...]) -> Steps[InstallationResult]:
    """Give the card a bound package; raises InstallRefused with the card's reason."""
    for number, piece in enumerate(pieces, 1):
        answer = yield from command(piece, f"piece {number} of {len(pieces)} of the profile")
        if answer:
            result = InstallationResult.decode(answer)
            if isinstance(result.outcome, InstallationFailure):
                where = meaning(BppCommand, result.outcome.command)
                why = meaning(BppError, result.outcome.reason)
                raise InstallRefused(f"the card refused the profile in {where}: {why}", result)
            if number != len(pieces):
                fail("the card says that the profile is installed before it has all of it")
            return result
    fail("the card has all of the profile and does not say that it is installed")


def pending(address: str) -> Steps[tuple[tuple[NotificationMetadata, bytes], ...]]:
    """Ask for the notifications that wait for this address, oldest first."""
    answer = yield from command(tlv(0xBF28), "ListNotification")
    what = "answer to ListNotification"
    listed = open_tlv(answer, 0xBF28, what)
    if listed.peek() != 0xA0:
        fail("the card cannot list its notifications")
    items = [NotificationMetadata.decode(item.raw) for item in open_tlv(listed.any().raw, 0xA0, what).rest()]
    found: list[tuple[NotificationMetadata, bytes]] = []
    for item in sorted(items, key=lambda item: item.sequence):
        if item.address.lower() == address.lower():
            request = tlv(0xBF2B, tlv(0xA0, tlv(0x80, integer(item.sequence))))
            answer = yield from command(request, "RetrieveNotificationsList")
            inside = open_tlv(answer, 0xBF2B, "answer to RetrieveNotificationsList")
            if inside.peek() == 0xA0:
                octets = open_tlv(inside.any().raw, 0xA0, "notifications").rest()
                found += [(item, element.raw) for element in octets]
    return tuple(found)


def deliver(address: str) -> Steps[bool]:
    """Bring what waits for this address there; gives False when the server did not take all of it.

    What it took is removed from the card. What it did not take stays there for another time, and nobody fails for it.
    """
    complete = True
    for item, octets in (yield from pending(address)):
        body: dict[str, Any] = {"pendingNotification": es9.base64_of(octets)}
        answer = yield Post(Function.HANDLE_NOTIFICATION.path, body)
        if _taken(answer):
            yield from command(tlv(0xBF30, tlv(0x80, integer(item.sequence))), "RemoveNotificationFromList")
        else:
            complete = False
    return complete


def _taken(answer: Answer) -> bool:
    """Say whether the server took a notification: 204, or an answer that says "executed"."""
    if answer is None:
        return True
    try:
        return isinstance(answer, dict) and es9.refusal_of(answer) is None
    except DecodeError:
        return False


def profiles() -> Steps[tuple[Tlv, ...]]:
    """List the profiles: one E3 each."""
    answer = yield from command(tlv(0xBF2D), "GetProfilesInfo")
    inside = open_tlv(answer, 0xBF2D, "answer to GetProfilesInfo")
    if inside.peek() != 0xA0:
        fail("the card cannot list its profiles")
    return tuple(open_tlv(inside.any().raw, 0xA0, "profiles").rest())


def _switch(tag: int, name: str, target: bytes) -> Steps[None]:
    answer = yield from command(tlv(tag, target), name)
    reader = open_tlv(answer, tag, f"answer to {name}")
    result = read_integer(reader.take(0x80).value, name, 127)
    if result != StateChange.OK:
        fail(f"the card refused {name}: {meaning(StateChange, result)}")


def enable(iccid: Iccid) -> Steps[None]:
    """Enable a profile; the one that was enabled is disabled."""
    target = tlv(0xA0, tlv(0x5A, iccid.swapped_octets)) + tlv(0x81, boolean(True))
    yield from _switch(0xBF31, "EnableProfile", target)


def disable(iccid: Iccid) -> Steps[None]:
    """Disable a profile."""
    target = tlv(0xA0, tlv(0x5A, iccid.swapped_octets)) + tlv(0x81, boolean(True))
    yield from _switch(0xBF32, "DisableProfile", target)


def delete(iccid: Iccid) -> Steps[None]:
    """Delete a profile."""
    yield from _switch(0xBF33, "DeleteProfile", tlv(0x5A, iccid.swapped_octets))
