"""Where report items go: a list, the log, a file of JSON lines, or several of these. Knows no report.

Every recorder keeps the promise of `model.report.Recorder`: it does not block and does not raise. What cannot be
written is counted in `dropped`.
"""

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, TextIO, assert_never

from rprov.model.numbers import LogField
from rprov.model.report import (
    Act,
    Discarded,
    Identified,
    MessageSeen,
    Proof,
    Recorder,
    ReportItem,
    StepEnded,
    Transition,
    Verdict,
)

STEP_MODULES = (
    "",
    "s1_attach",
    "s2_authenticate",
    "s3_accept",
    "s4_session",
    "s5_provision",
    "s6_detach",
    "s7_reattach",
)
"""The module of each step in `procedure/`; none for step 0, where a node does not know it."""

MAX_ITEMS = 1_000_000
"""Some 5,000 devices' procedures: enough for every report, and an end to what a run can hold."""


MAX_KNOWN = 20_000
"""UEs of which a log remembers the EID."""


def module_of(step: int) -> str:
    """The module of a step; empty for a number that is none."""
    return STEP_MODULES[step] if 0 <= step < len(STEP_MODULES) else ""


class MemoryRecorder:
    """Keeps the latest items, at most `limit`."""

    def __init__(self, limit: int = MAX_ITEMS) -> None:
        self._items: deque[ReportItem] = deque(maxlen=limit)
        self.dropped = 0
        """How many items had to make place."""

    @property
    def items(self) -> list[ReportItem]:
        """What is kept, oldest first."""
        return list(self._items)

    def record(self, item: ReportItem) -> None:
        """Take one item; the oldest makes place."""
        if len(self._items) == self._items.maxlen:
            self.dropped += 1
        self._items.append(item)

    def clear(self) -> None:
        """Forget what is kept."""
        self._items.clear()


_AT_DEBUG = frozenset({Transition, MessageSeen, Verdict})
"""Most items are of these: no line is made of one that nobody wants to read."""


class LogRecorder:
    """Writes each item as one log line. One line per move is the whole story of an attach."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._eids: OrderedDict[tuple[str, str], str] = OrderedDict()
        self.dropped = 0
        """Nothing is ever dropped here: `logging` takes care of a stream that fails."""

    def record(self, item: ReportItem) -> None:
        """Log one item; a move or a message at debug, what is established or refused at info."""
        if type(item) in _AT_DEBUG and not self._logger.isEnabledFor(logging.DEBUG):
            return
        level = logging.DEBUG
        state = event = None
        match item:
            case Transition():
                actions = ", ".join(item.actions) or "nothing"
                text = f"{item.state} + {item.event} -> {item.next_state}: {actions}"
                state, event = item.state, item.event
            case MessageSeen():
                mark = ", protected" if item.protected else ""
                text = f"{item.sender} -> {item.receiver} {item.name} ({item.link}, {item.octets} octets{mark})"
                event = item.name
            case Proof():
                level, text = logging.INFO, item.text
            case Discarded():
                level, text = logging.INFO, f"discarded on {item.link}: {item.reason}"
            case StepEnded(ok=True):
                level, text = logging.INFO, "done"
            case StepEnded():
                level, text = logging.WARNING, f"failed: {item.detail}"
            case Identified():
                self._learn(item)
                text = f"is the device {item.eid}"
            case Verdict():
                continued = f": {item.detail or item.cause}" if item.act is Act.REFUSED else ""
                text = f"{item.identity or 'nobody known'} {item.act.value}{continued}"
            case _:
                assert_never(item)
        if self._logger.isEnabledFor(level):
            ue = _ue(item)
            fields = {
                "role": item.role,
                "eid": self._eids.get((item.role, ue)),
                "ue": ue,
                "step": module_of(_step(item)),
            }
            self._logger.log(level, "%s", text, extra={**fields, "state": state, "event": event})

    def _learn(self, item: Identified) -> None:
        self._eids[item.role, item.ue] = str(item.eid)
        if len(self._eids) > MAX_KNOWN:
            self._eids.popitem(last=False)


class JsonLinesRecorder:
    """Writes each item as one line of JSON: the machine-readable trace beside the log."""

    def __init__(self, file: TextIO, began: float) -> None:
        self._file = file
        self._began = began
        self.dropped = 0
        """How many items the file did not take."""

    def record(self, item: ReportItem) -> None:
        """Write one line; the file's own buffer decides when it reaches the disk."""
        try:
            self._file.write(json.dumps(self._line(item), ensure_ascii=False, separators=(",", ":")) + "\n")
        except (OSError, ValueError):  # the disk is full, or the file is closed already
            self.dropped += 1

    def _line(self, item: ReportItem) -> dict[str, Any]:
        line: dict[str, Any] = {
            LogField.T.value: round(item.at - self._began, 6),
            LogField.ROLE.value: item.role,
            LogField.UE.value: _ue(item),
            LogField.STEP.value: _step(item),
        }
        match item:
            case Transition():
                moved = {"from": item.state, "event": item.event, "to": item.next_state, "actions": item.actions}
                return line | {"kind": "transition"} | moved
            case MessageSeen():
                ends = {"kind": "message", "sender": item.sender, "receiver": item.receiver, "link": item.link}
                return line | ends | {"name": item.name, "octets": item.octets, "protected": item.protected}
            case Proof():
                return line | {"kind": "proof", "text": item.text}
            case Discarded():
                return line | {"kind": "discarded", "link": item.link, "reason": item.reason}
            case StepEnded():
                return line | {"kind": "step", "ok": item.ok, "detail": item.detail}
            case Identified():
                return line | {"kind": "identified", "eid": str(item.eid)}
            case Verdict():
                return line | {"kind": "verdict"} | verdict_fields(item)
            case _:
                assert_never(item)


class Fan:
    """Gives each item to several recorders."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def record(self, item: ReportItem) -> None:
        """Hand one item to each, in order."""
        for recorder in self._recorders:
            recorder.record(item)


def verdict_fields(item: Verdict) -> dict[str, str | bool]:
    """Give what a verdict says, without what is empty."""
    fields = {
        "act": item.act.value,
        "purpose": item.purpose,
        "identity": item.identity,
        "proved": item.proved,
        "certificate": item.certificate,
        "cause": item.cause,
        "detail": item.detail,
        "profile": item.profile,
    }
    return {name: value for name, value in fields.items() if value or name == "proved"}


def _ue(item: ReportItem) -> str:
    return f"{item.ue_radio_id:08x}" if isinstance(item, MessageSeen) else item.ue


def _step(item: ReportItem) -> int:
    return 0 if isinstance(item, Discarded | Identified | Verdict) else item.step
