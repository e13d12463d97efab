"""The nodes of today do what they did when the captures of `tests/traces/` were made."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from doubles.recorded_runs import RUNS, record

from rprov.trace.capture import Capture
from rprov.trace.decode import decode
from rprov.trace.keylog import read_keys
from rprov.trace.verify.check import check
from rprov.trace.verify.opener import opener

ROOT = Path(__file__).parents[2]
TRACES = ROOT / "tests" / "traces"
QUICK = ("unknown-subscriber", "no-order")
BY_TOOL = "resumed"
"""How many tickets OpenSSL gives stands in a file that a process reads once: the tool begins one with that file."""

Story = dict[tuple[int, str, str | None], list[tuple[str, object]]]


def story(path: Path, keylog: Path) -> Story:
    """What was said on each link and in each direction, UE by UE: names and causes. User packets are as many as TCP
    likes."""
    ues: dict[int | None, int] = {None: 0}
    found: Story = defaultdict(list)
    for row in decode(Capture(path).messages(), opener(path, read_keys(keylog))):
        number = ues.setdefault(row.ue, len(ues))
        if row.link in ("radio", "n2", "eap"):
            found[number, row.link, row.direction].append((row.message, row.fields.get("cause")))
    return found


def as_then(pcap: Path, keylog: Path, name: str) -> None:
    assert story(pcap, keylog) == story(TRACES / f"{name}.pcapng", TRACES / f"{name}.keys")
    assert check(pcap, read_keys(keylog)).ledger.faults == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in RUNS if name != BY_TOOL],
)
def test_a_run_of_today_says_what_was_said_then(tmp_path: Path, name: str) -> None:
    pcap, keylog = tmp_path / "run.pcapng", tmp_path / "run.keys"
    record(RUNS[name], tmp_path / "net", pcap, keylog)
    as_then(pcap, keylog, name)


@pytest.mark.slow
def test_the_tool_makes_them_anew(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "tools" / "make_traces.py", BY_TOOL, "--to", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {f"{BY_TOOL}.{kind}" for kind in ("pcapng", "keys", "json")}
    as_then(tmp_path / f"{BY_TOOL}.pcapng", tmp_path / f"{BY_TOOL}.keys", BY_TOOL)
