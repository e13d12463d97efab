"""`rprov trace` and the options of a capture, as people mistype them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doubles.captures import LOWER, UPPER, taps
from doubles.processes import Process

from rprov.cli.main import run as rprov
from rprov.model.tap import LinkName
from rprov.trace.capture import read_capture

FREE5GC = Path(__file__).parents[1] / "vectors" / "5g_aka-3gpp-enp0s3-free5gc.pcap"


def said(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = rprov(["trace", *arguments])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("octets", [b"", b"no capture at all", b"\x0a\x0d\x0d\x0a" + bytes(40)])
def test_what_is_no_capture_is_wrong_use(tmp_path: Path, capsys: Any, octets: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(octets)
    code, out, err = said(capsys, "decode", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"rprov: {file}: ")
    assert len(err.splitlines()) == 1


def test_a_capture_that_is_cut_shows_what_is_there_and_says_so(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "cut.pcap"
    file.write_bytes(FREE5GC.read_bytes()[:-3])
    code, out, err = said(capsys, "decode", str(file))
    assert code == 2
    assert "Gpdu" in out
    assert "the file ends in frame 51" in err


def test_a_capture_without_messages_says_so(tmp_path: Path, capsys: Any) -> None:
    with taps(tmp_path / "f"):
        pass
    assert said(capsys, "decode", str(tmp_path / "f")) == (0, "no messages\n", "")
    assert said(capsys, "decode", "--json", str(tmp_path / "f")) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["decode"],
        ["decode", "no-such-file"],
        ["decode", "--eid", "5", str(FREE5GC)],
        ["decode", "--ue", "x", str(FREE5GC)],
    ],
)
def test_other_wrong_use(capsys: Any, arguments: list[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


def test_help_needs_no_verb(capsys: Any) -> None:
    code, out, _ = said(capsys, "--help")
    assert code == 0
    assert "decode" in out


def test_others_captures_are_shown(capsys: Any) -> None:
    code, out, _ = said(capsys, "decode", str(FREE5GC), "--link", "ngap")
    assert code == 0
    assert len(out.splitlines()) == 1 + 14


def test_a_file_that_cannot_be_written_is_the_machines_fault(tmp_path: Path, capsys: Any) -> None:
    code = rprov(["demo", "--workdir", str(tmp_path), "--pcap", str(tmp_path / "no" / "place")])
    out, err = capsys.readouterr()
    assert (code, out) == (3, "")
    assert err == f"rprov: {tmp_path}/no/place: cannot be written: No such file or directory\n"


def test_capture_and_keys_in_one_file_are_refused(tmp_path: Path, capsys: Any) -> None:
    file = str(tmp_path / "f")
    assert rprov(["demo", "--workdir", str(tmp_path), "--pcap", file, "--keylog", file]) == 2
    assert "trace.keylog: must be another file than pcap" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    with taps(tmp_path / "f") as tap:
        for _ in range(3000):
            tap.datagram(LinkName.N3, UPPER, LOWER, inbound=True, octets=b"x")
    command = f"{sys.executable} -m rprov trace decode {tmp_path / 'f'} | head -n 3"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_capture_is_whole_however_the_demo_ends(tmp_path: Path, number: signal.Signals) -> None:
    """Through a pipe, as a Wireshark that looks on would have it."""
    pipe, pcap = tmp_path / "pipe", tmp_path / "run.pcapng"
    os.mkfifo(pipe)
    with Process("demo", "--devices", "60", "--workdir", str(tmp_path / "demo"), "--pcap", str(pipe)) as demo:
        with pipe.open("rb") as live:
            begun = live.read(5000)
            demo.send(number)
            pcap.write_bytes(begun + live.read())
        assert demo.end() == 130
    assert demo.err.so_far[-1] == "rprov: interrupted"
    assert list(read_capture(pcap))
