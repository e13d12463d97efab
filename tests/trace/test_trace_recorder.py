"""Recorders: the list, the log line, the JSON line, the fan; none of them raises whatever the file does."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from rprov.model.identifiers import UeRadioId
from rprov.model.numbers import LogField
from rprov.model.report import Discarded, MessageSeen, Proof, ReportItem, StepEnded, Transition
from rprov.model.sections import (
    LogFormat,
    LogLevel,
)
from rprov.trace.log import configure
from rprov.trace.recorder import Fan, JsonLinesRecorder, LogRecorder, MemoryRecorder, module_of

MOVE = Transition(
    100.5, "cp", "12", 2, "AwaitAuthResponse", "AuthenticationResponse", "AwaitSmc", ("Send", "StartTimer")
)
SEEN = MessageSeen(100.25, "ue", UeRadioId(0x12), 1, "ue", "cp", "radio", "AttachRequest", 68, False)
PROOF = Proof(101.0, "ue", "8904", 4, "IP address 10.45.0.2")
DROPPED = Discarded(101.5, "ran", "3", "radio", "mac: wrong")
ENDED = StepEnded(102.0, "ue", "8904", 7, False, "the network is busy")
ITEMS: tuple[ReportItem, ...] = (MOVE, SEEN, PROOF, DROPPED, ENDED)


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the loggers of rprov write, in the format named; they are silent again afterwards."""
    stream = io.StringIO()
    logger = configure(LogLevel.DEBUG, request.param, stream)
    yield stream
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def test_a_memory_recorder_keeps_the_latest() -> None:
    recorder = MemoryRecorder(limit=3)
    for item in ITEMS:
        recorder.record(item)
    assert recorder.items == list(ITEMS[2:])
    assert recorder.dropped == 2
    recorder.clear()
    assert recorder.items == []


def test_a_fan_gives_each_item_to_all() -> None:
    one, other = MemoryRecorder(), MemoryRecorder()
    fan = Fan([one, other])
    fan.record(MOVE)
    assert one.items == other.items == [MOVE]


@pytest.mark.parametrize("written", [LogFormat.TEXT], indirect=True)
def test_a_log_line_says_whose_it_is_and_what_moved(written: io.StringIO) -> None:
    recorder = LogRecorder(logging.getLogger("rprov.trace"))
    for item in ITEMS:
        recorder.record(item)
    lines = [line.split(" ", 1)[1] for line in written.getvalue().splitlines()]
    assert lines == [
        "debug   [cp ue=12 s2_authenticate] AwaitAuthResponse + AuthenticationResponse -> AwaitSmc: Send, StartTimer",
        "debug   [ue ue=00000012 s1_attach] ue -> cp AttachRequest (radio, 68 octets)",
        "info    [ue ue=8904 s4_session] IP address 10.45.0.2",
        "info    [ran ue=3] discarded on radio: mac: wrong",
        "warning [ue ue=8904 s7_reattach] failed: the network is busy",
    ]


@pytest.mark.parametrize("written", [LogFormat.JSON], indirect=True)
def test_a_json_log_line_has_every_key_in_order(written: io.StringIO) -> None:
    recorder = LogRecorder(logging.getLogger("rprov.trace"))
    recorder.record(MOVE)
    logging.getLogger("rprov.transport").info("the link %s was lost", "a - b")
    move, plain = map(json.loads, written.getvalue().splitlines())
    assert list(move) == list(plain) == [field.value for field in LogField]
    assert move | {"t": 0} == {
        "t": 0,
        "level": "debug",
        "role": "cp",
        "eid": None,
        "ue": "12",
        "step": "s2_authenticate",
        "state": "AwaitAuthResponse",
        "event": "AuthenticationResponse",
        "text": "AwaitAuthResponse + AuthenticationResponse -> AwaitSmc: Send, StartTimer",
    }
    assert plain["text"] == "the link a - b was lost"
    assert plain["role"] is None


@pytest.mark.parametrize("written", [LogFormat.TEXT, LogFormat.JSON], indirect=True)
def test_what_a_peer_says_cannot_forge_a_line(written: io.StringIO) -> None:
    logging.getLogger("rprov.daemon").warning("refused %s", "eid\n0.1 info [cp] all is well\x1b[2J")
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()


@pytest.mark.parametrize("written", [LogFormat.TEXT], indirect=True)
def test_below_the_level_nothing_is_written(written: io.StringIO) -> None:
    logging.getLogger("rprov").setLevel(logging.INFO)
    LogRecorder(logging.getLogger("rprov.trace")).record(MOVE)
    assert written.getvalue() == ""


def test_asking_again_replaces_what_was_asked_before() -> None:
    one, other = io.StringIO(), io.StringIO()
    configure(LogLevel.INFO, LogFormat.TEXT, one)
    logger = configure(LogLevel.INFO, LogFormat.TEXT, other)
    logger.info("once")
    logger.handlers.clear()
    logger.propagate = True
    assert one.getvalue() == ""
    assert other.getvalue().endswith("[rprov] once\n")


def test_a_trace_has_one_json_line_per_item() -> None:
    file = io.StringIO()
    recorder = JsonLinesRecorder(file, began=100.0)
    for item in ITEMS:
        recorder.record(item)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["kind"] for line in lines] == ["transition", "message", "proof", "discarded", "step"]
    assert lines[0] == {
        "t": 0.5,
        "role": "cp",
        "ue": "12",
        "step": 2,
        "kind": "transition",
        "from": "AwaitAuthResponse",
        "event": "AuthenticationResponse",
        "to": "AwaitSmc",
        "actions": ["Send", "StartTimer"],
    }
    assert lines[1]["name"] == "AttachRequest"
    assert lines[1]["octets"] == 68
    assert recorder.dropped == 0


class FullDisk(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


def test_a_file_that_takes_nothing_stops_nobody() -> None:
    full, closed = FullDisk(), io.StringIO()
    closed.close()
    for file in (full, closed):
        recorder = JsonLinesRecorder(file, 0.0)
        recorder.record(MOVE)
        recorder.record(PROOF)
        assert recorder.dropped == 2


def test_steps_and_modules_go_together() -> None:
    assert [module_of(step) for step in range(-1, 9)] == [
        "",
        "",
        "s1_attach",
        "s2_authenticate",
        "s3_accept",
        "s4_session",
        "s5_provision",
        "s6_detach",
        "s7_reattach",
        "",
    ]
