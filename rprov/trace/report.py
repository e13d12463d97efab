"""The report of a run, made of recorded items: who sent what in which step, how long it took, what was proved.

A pure function of the items; scrapes no log and knows no screen. Whose a message is and where it belongs is found in
`placing`, with what a round trip is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprov.model.report import MessageSeen, Proof, ReportItem, StepEnded
from rprov.procedure.purpose import Purpose, Step
from rprov.trace.placing import DeviceResult, by_device, by_step, round_trips, user_packets

__all__ = ["STEP_NAMES", "DeviceReport", "DeviceResult", "Report", "StepReport", "build_report", "user_packets"]

STEP_NAMES: Mapping[Step, str] = {step: step.name.lower().replace("_", " ") for step in Step}
"""attach request, authenticate, attach, session, provision, detach, reattach."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of one device. A step that was not reached is skipped and not ok; one that the variant skips is ok."""

    step: Step
    ok: bool
    skipped: bool
    ms: float
    radio_octets: int
    round_trips: int
    messages: tuple[MessageSeen, ...]
    proofs: tuple[Proof, ...]
    why: str = ""

    @property
    def name(self) -> str:
        """What the step is called."""
        return STEP_NAMES[self.step]

    def as_json(self) -> dict[str, Any]:
        """The step as the report's schema has it."""
        values: dict[str, Any] = {
            "step": int(self.step),
            "name": self.name,
            "ok": self.ok,
            "skipped": self.skipped,
            "ms": round(self.ms, 3),
            "radio_octets": self.radio_octets,
            "round_trips": self.round_trips,
            "messages": [_message_as_json(message) for message in self.messages],
        }
        return values | ({"why": self.why} if self.why else {})


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """All seven steps of one device."""

    result: DeviceResult
    steps: tuple[StepReport, ...]
    why: str = ""

    @property
    def radio_octets(self) -> int:
        """Octets on the radio link, user packets too."""
        return sum(step.radio_octets for step in self.steps)

    @property
    def round_trips(self) -> int:
        """Round trips on the radio link."""
        return sum(step.round_trips for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The device as the report's schema has it."""
        values: dict[str, Any] = {
            "eid": self.result.eid,
            "ok": self.result.ok,
            "supi": self.result.supi,
            "iccid": self.result.iccid,
            "steps": [step.as_json() for step in self.steps],
        }
        return values | ({"why": self.why} if self.why else {})


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    devices: tuple[DeviceReport, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every device got where it wanted; a run without devices proved nothing."""
        return bool(self.devices) and all(device.result.ok for device in self.devices)

    def as_json(self) -> dict[str, Any]:
        """The report as `--report json` prints it; keys are only ever added."""
        return {
            "ok": self.ok,
            "devices": [device.as_json() for device in self.devices],
            "totals": {
                "seconds": round(self.seconds, 3),
                "radio_octets": sum(device.radio_octets for device in self.devices),
                "round_trips": sum(device.round_trips for device in self.devices),
            },
        }


def build_report(items: Iterable[ReportItem], devices: Sequence[DeviceResult], seconds: float) -> Report:
    """Make the report of a run of `seconds`; items of nobody (the set-up of a link, say) are left out."""
    sorted_items = sorted(items, key=lambda item: item.at)
    messages = by_device([item for item in sorted_items if isinstance(item, MessageSeen)], devices)
    told: dict[int, list[Proof | StepEnded]] = defaultdict(list)
    names = {name: index for index, device in enumerate(devices) for name in (device.eid, *device.names)}
    for item in sorted_items:
        if isinstance(item, Proof | StepEnded):
            index = 0 if len(devices) == 1 else names.get(item.ue)
            if index is not None:
                told[index].append(item)
    return Report(
        tuple(_device_report(device, messages[index], told[index]) for index, device in enumerate(devices)), seconds
    )


def _message_as_json(message: MessageSeen) -> dict[str, Any]:
    return {
        "from": message.sender,
        "to": message.receiver,
        "link": message.link,
        "name": message.name,
        "octets": message.octets,
        "protected": message.protected,
    }


def _device_report(
    device: DeviceResult, messages: Sequence[MessageSeen], told: Sequence[Proof | StepEnded]
) -> DeviceReport:
    placed = by_step(messages)
    trips = round_trips(messages)
    # The UE is asked first: it alone knows that a step is over; the network's word counts where it said nothing.
    ends: dict[int, StepEnded] = {}
    for item in told:
        if isinstance(item, StepEnded) and (item.role == "ue" or ends.get(item.step, item).role != "ue"):
            ends[item.step] = item
    reached = [step for step in Step if step in placed or step in ends]
    failed_at = _failed_at(device, reached, ends)
    steps = []
    begin = device.started
    for step in Step:
        seen = placed.get(step, [])
        end = ends.get(step)
        skipped = step not in reached
        finish = begin if skipped else max(begin, _finish(device, step, seen, end, reached))
        ok = step != failed_at and (not skipped or (device.ok or step in _left_out(device.purpose)))
        why = ""
        if step == failed_at:
            why = (end.detail if end is not None and not end.ok else "") or device.why or "it did not end"
        steps.append(
            StepReport(
                step=step,
                ok=ok,
                skipped=skipped,
                ms=(finish - begin) * 1000,
                radio_octets=sum(item.octets for item in seen if item.link == "radio"),
                round_trips=trips.get(step, 0),
                messages=tuple(seen),
                proofs=tuple(item for item in told if isinstance(item, Proof) and item.step == step),
                why=why,
            )
        )
        begin = finish
    why = "" if device.ok else device.why or next((step.why for step in steps if step.why), "it did not end")
    return DeviceReport(device, tuple(steps), why)


def _left_out(purpose: Purpose) -> frozenset[Step]:
    """Steps that a variant has no need of: who only attaches with a subscription is in step 7 from the beginning."""
    return frozenset(Step) - {Step.REATTACH} if purpose is Purpose.ORDINARY else frozenset()


def _failed_at(device: DeviceResult, reached: Sequence[Step], ends: Mapping[int, StepEnded]) -> Step | None:
    """The step to blame: the last one that said so, else the last one that was reached."""
    if device.ok:
        return None
    said = [step for step in reached if step in ends and not ends[step].ok]
    if said:
        return said[-1]
    left = [step for step in reached if step not in ends]
    return (left or list(reached) or [next(step for step in Step if step not in _left_out(device.purpose))])[-1]


def _finish(
    device: DeviceResult, step: Step, seen: Sequence[MessageSeen], end: StepEnded | None, reached: Sequence[Step]
) -> float:
    if end is not None and end.role == "ue":
        return end.at
    if step == reached[-1]:
        return device.ended
    return max((item.at for item in seen), default=0.0)
