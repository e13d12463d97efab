"""Whose a recorded message is, which step it belongs to, and how often a UE had to wait. Knows no report.

Each message was written down once: radio and ES9+ by the UE, with its step; N2 and N3 by the RAN, which does not know
why a UE attaches (step 0). Those are put where the UE was, on the same radio connection: what relays a NAS message is
in that message's step, for NAS stays in order; anything else towards the UE is in the step of what the UE received
next, anything else from it in the step of what it had last to do with.

A **round trip** of a UE is one message of the UE on the radio link that is followed by one towards the UE: it had to
wait. It counts for the step of the message that it sent. User packets are added up in one item and do not count.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rprov.model.identifiers import UeRadioId
from rprov.model.report import MessageSeen
from rprov.procedure.purpose import Purpose, Step

USER_PACKETS = "user packets"
"""How the name of an item begins that stands for many user packets."""

RELAYS = frozenset({"InitialUeMessage", "UplinkNasTransport", "DownlinkNasTransport"})
"""Messages of N2 that carry one NAS message each."""


def user_packets(count: int) -> str:
    """Name an item that adds up user packets."""
    return f"{USER_PACKETS} x{count}"


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """How it went for one device, as the one who ran it knows it; times are those of the items."""

    eid: str
    ok: bool
    supi: str
    iccid: str
    ue_radio_ids: tuple[UeRadioId, ...]
    """One for each attach, in order."""
    started: float
    ended: float
    purpose: Purpose = Purpose.PROVISIONING
    """What the first attach was for."""
    why: str = ""
    """What went wrong, where no step says it better."""
    names: tuple[str, ...] = ()
    """What the nodes call this device in proofs and step ends, beside its EID."""


def by_device(messages: Sequence[MessageSeen], devices: Sequence[DeviceResult]) -> list[list[MessageSeen]]:
    """Give each device its messages, in the order given; those of nobody (the set-up of a link) are left out."""
    found: list[list[int]] = [[] for _ in devices]
    owners: dict[UeRadioId, list[int]] = defaultdict(list)
    for index, device in enumerate(devices):
        for ue_radio_id in device.ue_radio_ids:
            owners[ue_radio_id].append(index)
    nameless: list[int] = []
    for position, message in enumerate(messages):
        if message.ue_radio_id == 0:
            if message.role == "ue":
                nameless.append(position)
            continue
        candidates = owners.get(message.ue_radio_id, [])
        if len(candidates) > 1:  # an id is used again once it is free
            candidates = [index for index in candidates if devices[index].started <= message.at <= devices[index].ended]
        # What comes after the end is the run being cleared up.
        if candidates and message.at <= devices[candidates[0]].ended:
            found[candidates[0]].append(position)
    for index, position in list(_claim(nameless, messages, found, devices)):
        found[index].append(position)
    return [[messages[position] for position in sorted(positions)] for positions in found]


def _claim(
    nameless: Sequence[int],
    messages: Sequence[MessageSeen],
    found: Sequence[Sequence[int]],
    devices: Sequence[DeviceResult],
) -> Iterator[tuple[int, int]]:
    """Say whose messages are that were sent before the RAN had given the UE an id.

    A connection is asked for after the device's last one has ended and before its own first message; of several that
    fit, the one that was there first. What is left over was asked in vain, by a device that was under way then.
    """
    connections = sorted(
        connection for index, positions in enumerate(found) for connection in _connections(index, positions, messages)
    )
    waiting: dict[str, list[tuple[float, float, int]]] = defaultdict(connections.copy)
    for position in nameless:
        message = messages[position]
        left = waiting[message.name]
        while left and left[0][0] < message.at:
            left.pop(0)
        fitting = next((entry for entry in left if entry[1] <= message.at), None)
        if fitting is not None:
            left.remove(fitting)
            yield fitting[2], position
            continue
        under_way = [index for index, device in enumerate(devices) if device.started <= message.at <= device.ended]
        if under_way:
            yield under_way[0], position


def _connections(
    index: int, positions: Sequence[int], messages: Sequence[MessageSeen]
) -> Iterator[tuple[float, float, int]]:
    """Give when each radio connection of a device began, and when the one before had ended."""
    last = float("-inf")
    known: set[UeRadioId] = set()
    for position in positions:
        message = messages[position]
        if message.ue_radio_id not in known:
            known.add(message.ue_radio_id)
            yield message.at, last, index
        if message.role == "ue" and not message.name.startswith(USER_PACKETS):
            last = message.at


@dataclass(slots=True)
class _Track:
    """What one UE had to do with on one radio connection, and in which step."""

    times: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    nas_up: deque[int] = field(default_factory=deque)
    nas_down: deque[int] = field(default_factory=deque)

    def add(self, message: MessageSeen) -> None:
        self.times.append(message.at)
        self.steps.append(message.step)
        if message.link == "radio" and message.receiver == "cp":
            self.nas_up.append(message.step)
        elif message.link == "radio" and message.sender == "cp":
            self.nas_down.append(message.step)

    def step_of(self, message: MessageSeen) -> int:
        if not self.steps:
            return 0
        to_the_ue = message.sender != "ue" and message.receiver in ("ran", "ue")
        if message.name in RELAYS and (queue := self.nas_down if to_the_ue else self.nas_up):
            return queue.popleft()
        if to_the_ue:
            return self.steps[min(bisect_left(self.times, message.at), len(self.steps) - 1)]
        return self.steps[max(bisect_right(self.times, message.at) - 1, 0)]


def by_step(messages: Sequence[MessageSeen]) -> Mapping[Step, list[MessageSeen]]:
    """Sort one device's messages into the steps; steps without a message are missing."""
    tracks: dict[UeRadioId, _Track] = defaultdict(_Track)
    for message in messages:
        if message.step and not message.name.startswith(USER_PACKETS):  # those are written down when somebody asks
            tracks[message.ue_radio_id].add(message)
    steps: dict[Step, list[MessageSeen]] = {}
    for message in messages:
        number = message.step or tracks[message.ue_radio_id].step_of(message)
        if number:
            steps.setdefault(Step(number), []).append(message)
    return steps


def round_trips(messages: Sequence[MessageSeen]) -> Mapping[int, int]:
    """Count one device's round trips by step number; steps without one are missing."""
    control = [item for item in messages if item.link == "radio" and not item.name.startswith(USER_PACKETS)]
    trips: dict[int, int] = {}
    for one, following in pairwise(control):
        if one.sender == "ue" and following.sender != "ue":
            trips[one.step] = trips.get(one.step, 0) + 1
    return trips
