"""Profiles and notifications that are on the card: list, enable, disable, delete, tell (SGP.22 5.7.9 to 5.7.21).

Each function takes the state and a request and gives the answer and the next state. Knows no session and no download.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rprov.errors import DecodeError
from rprov.provision.euicc.session import Means
from rprov.provision.euicc.state import MAX_NICKNAME, CardState, InstalledProfile, PendingNotification
from rprov.provision.sgp22.codes import StateChange
from rprov.provision.sgp22.keys import signature_do
from rprov.provision.sgp22.metadata import (
    MAX_ADDRESS,
    MAX_SEQUENCE,
    Event,
    NotificationMetadata,
    ProfileClass,
    known_events,
    read_iccid,
)
from rprov.provision.sgp22.tlv import (
    Reader,
    integer,
    open_tlv,
    read_bits,
    read_boolean,
    read_integer,
    read_text,
    tlv,
)

_NICKNAME_NOT_FOUND = 1
_NOTHING_TO_DELETE = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command and the state behind it."""

    answer: bytes
    state: CardState


# --- profiles --------------------------------------------------------------------------------------------------------

_LISTED = (0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95)
"""What a list tells unless it is asked for other tags (SGP.22 5.7.15)."""


def profiles_info(state: CardState, request: bytes) -> bytes:
    """Answer BF2D: an E3 for every profile that was asked for."""
    what = "GetProfilesInfo"
    reader = open_tlv(request, 0xBF2D, what)
    criterion = reader.optional(0xA0)
    tags = reader.optional(0x5C)
    reader.finish()
    chosen: tuple[InstalledProfile, ...] = state.profiles
    if criterion is not None:
        inside = Reader(criterion.value, what)
        wanted = inside.any()
        inside.finish()
        chosen = tuple(profile for profile in state.profiles if _matches(profile, wanted.tag, wanted.value))
    listed = _tag_list(tags.value) if tags is not None else _LISTED
    return tlv(0xBF2D, tlv(0xA0, *(_describe(profile, listed) for profile in chosen)))


def _matches(profile: InstalledProfile, tag: int, value: bytes) -> bool:
    match tag:
        case 0x5A:
            return profile.iccid.swapped_octets == value
        case 0x4F:
            return profile.aid == value
        case 0x95:
            return integer(profile.metadata.profile_class) == value
        case _:
            raise DecodeError(f"profiles cannot be searched for by {tag:X}")


def _tag_list(octets: bytes) -> tuple[int, ...]:
    tags: list[int] = []
    at = 0
    while at < len(octets):
        size = 2 if octets[at] & 0x1F == 0x1F else 1
        tags.append(int.from_bytes(octets[at : at + size], "big"))
        at += size
    return tuple(tags)


def _describe(profile: InstalledProfile, tags: tuple[int, ...]) -> bytes:
    elements = {
        0x5A: tlv(0x5A, profile.iccid.swapped_octets),
        0x4F: tlv(0x4F, profile.aid),
        0x9F70: tlv(0x9F70, integer(int(profile.enabled))),
        0x90: tlv(0x90, profile.nickname.encode()) if profile.nickname else b"",
    } | {element.tag: element.raw for element in profile.metadata.tail}
    return tlv(0xE3, *(element for tag, element in elements.items() if tag in tags))


def _named(state: CardState, reader: Reader) -> InstalledProfile | None:
    """Find the profile that a request names by AID or ICCID."""
    if reader.peek() == 0x4F:
        aid = reader.take(0x4F).value
        return next((profile for profile in state.profiles if profile.aid == aid), None)
    return state.profile(read_iccid(reader.take(0x5A).value))


def _change(tag: int, result: StateChange, state: CardState) -> Outcome:
    return Outcome(tlv(tag, tlv(0x80, integer(result))), state)


def enable(means: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF31: the profile that was enabled is disabled (SGP.22 5.7.16)."""
    profile = _switched(state, request, 0xBF31)
    if profile is None:
        return _change(0xBF31, StateChange.NOT_FOUND, state)
    if profile.enabled:
        return _change(0xBF31, StateChange.WRONG_STATE, state)
    before = state.enabled_profile
    if before is not None:
        state = _tell(means, state.with_profile(replace(before, enabled=False)), before, Event.DISABLE)
    state = _tell(means, state.with_profile(replace(profile, enabled=True)), profile, Event.ENABLE)
    return _change(0xBF31, StateChange.OK, state)


def disable(means: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF32 (SGP.22 5.7.17)."""
    profile = _switched(state, request, 0xBF32)
    if profile is None:
        return _change(0xBF32, StateChange.NOT_FOUND, state)
    if not profile.enabled:
        return _change(0xBF32, StateChange.WRONG_STATE, state)
    state = _tell(means, state.with_profile(replace(profile, enabled=False)), profile, Event.DISABLE)
    return _change(0xBF32, StateChange.OK, state)


def _switched(state: CardState, request: bytes, tag: int) -> InstalledProfile | None:
    reader = open_tlv(request, tag, "switching a profile")
    named = Reader(reader.take(0xA0).value, "switching a profile")
    profile = _named(state, named)
    named.finish()
    refresh = reader.optional(0x81)
    if refresh is not None:
        read_boolean(refresh.value, "refreshFlag")  # our caller restarts its USIM itself: there is no REFRESH
    reader.finish()
    return profile


def delete(means: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF33; an enabled profile stays (SGP.22 5.7.18)."""
    reader = open_tlv(request, 0xBF33, "DeleteProfile")
    profile = _named(state, reader)
    reader.finish()
    if profile is None:
        return _change(0xBF33, StateChange.NOT_FOUND, state)
    if profile.enabled:
        return _change(0xBF33, StateChange.WRONG_STATE, state)
    return _change(0xBF33, StateChange.OK, _without(means, state, profile))


def _without(means: Means, state: CardState, profile: InstalledProfile) -> CardState:
    left = tuple(item for item in state.profiles if item.iccid != profile.iccid)
    return _tell(means, replace(state, profiles=left), profile, Event.DELETE)


def memory_reset(means: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF34: bits 0 operational profiles, 1 test profiles, 2 default SM-DP+ address (SGP.22 5.7.19)."""
    reader = open_tlv(request, 0xBF34, "eUICCMemoryReset")
    options = read_bits(reader.take(0x82).value, "eUICCMemoryReset")
    reader.finish()
    after = state
    for profile in state.profiles:
        if (1 if profile.metadata.profile_class is ProfileClass.TEST else 0) in options:
            after = _without(means, after, profile)
    if 2 in options:
        after = replace(after, default_smdp="")
    return Outcome(tlv(0xBF34, tlv(0x80, integer(0 if after is not state else 1))), after)


def set_nickname(_: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF29 (SGP.22 5.7.21)."""
    reader = open_tlv(request, 0xBF29, "SetNickname")
    profile = state.profile(read_iccid(reader.take(0x5A).value))
    nickname = read_text(reader.take(0x90).value, "SetNickname", MAX_NICKNAME)
    reader.finish()
    if profile is None:
        return Outcome(tlv(0xBF29, tlv(0x80, integer(_NICKNAME_NOT_FOUND))), state)
    return Outcome(tlv(0xBF29, tlv(0x80, integer(0))), state.with_profile(replace(profile, nickname=nickname)))


def set_default_smdp(_: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF3F (SGP.22 5.7.4)."""
    reader = open_tlv(request, 0xBF3F, "SetDefaultDpAddress")
    address = read_text(reader.take(0x80).value, "SetDefaultDpAddress", MAX_ADDRESS)
    reader.finish()
    return Outcome(tlv(0xBF3F, tlv(0x80, integer(0))), replace(state, default_smdp=address))


# --- notifications ---------------------------------------------------------------------------------------------------


def _tell(means: Means, state: CardState, profile: InstalledProfile, event: Event) -> CardState:
    """Remember a signed notification for every receiver that wants to hear of `event`."""
    credential = means.credential(profile.ci_id)
    if credential is None:
        return state  # the certificate of that CI was taken from the card: nothing that it says could be checked
    for receiver in profile.metadata.receivers:
        if event in receiver.events:
            metadata = NotificationMetadata.build(state.next_sequence, event, receiver.address, profile.iccid)
            signature = signature_do(means.signature(credential, metadata.raw))
            octets = tlv(0x30, metadata.raw, signature, credential.certificate, credential.eum_certificate)
            state = state.with_notification(PendingNotification(metadata, octets))
    return state


_EVERY_EVENT = frozenset(Event)


def list_notifications(state: CardState, request: bytes) -> bytes:
    """Answer BF28: what is pending, without signatures (SGP.22 5.7.9)."""
    what = "ListNotification"
    reader = open_tlv(request, 0xBF28, what)
    asked = reader.optional(0x81)
    reader.finish()
    events = known_events(asked.value, what) if asked is not None else _EVERY_EVENT
    return tlv(0xBF28, tlv(0xA0, *(item.metadata.raw for item in state.pending(events))))


def retrieve_notifications(state: CardState, request: bytes) -> bytes:
    """Answer BF2B: what is pending, in its signed octets; an empty list when there is nothing (SGP.22 5.7.10)."""
    what = "RetrieveNotificationsList"
    reader = open_tlv(request, 0xBF2B, what)
    criterion = reader.optional(0xA0)
    reader.finish()
    chosen = state.notifications
    if criterion is not None:
        inside = Reader(criterion.value, what)
        sequence = inside.optional(0x80)
        if sequence is not None:
            number = read_integer(sequence.value, what, MAX_SEQUENCE)
            chosen = tuple(item for item in chosen if item.metadata.sequence == number)
        else:
            chosen = state.pending(known_events(inside.take(0x81).value, what))
        inside.finish()
    return tlv(0xBF2B, tlv(0xA0, *(item.octets for item in chosen)))


def remove_notification(_: Means, state: CardState, request: bytes) -> Outcome:
    """Answer BF30: the notification was delivered (SGP.22 5.7.11)."""
    what = "RemoveNotificationFromList"
    reader = open_tlv(request, 0xBF30, what)
    number = read_integer(reader.take(0x80).value, what, MAX_SEQUENCE)
    reader.finish()
    kept = tuple(item for item in state.notifications if item.metadata.sequence != number)
    if len(kept) == len(state.notifications):
        return Outcome(tlv(0xBF30, tlv(0x80, integer(_NOTHING_TO_DELETE))), state)
    return Outcome(tlv(0xBF30, tlv(0x80, integer(0))), replace(state, notifications=kept))


QUERIES: dict[int, Callable[[CardState, bytes], bytes]] = {
    0xBF2D: profiles_info,
    0xBF28: list_notifications,
    0xBF2B: retrieve_notifications,
}
"""Functions that only look."""

CHANGES: dict[int, Callable[[Means, CardState, bytes], Outcome]] = {
    0xBF31: enable,
    0xBF32: disable,
    0xBF33: delete,
    0xBF34: memory_reset,
    0xBF29: set_nickname,
    0xBF3F: set_default_smdp,
    0xBF30: remove_notification,
}
"""Functions that change what the card keeps."""
