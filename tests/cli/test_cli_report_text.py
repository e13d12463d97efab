"""The report as a person reads it: plain without a terminal, seven bands, the totals last."""

import io
import sys

import pytest
from doubles.runs import EID, device, ended, items

from rprov.cli import report_text
from rprov.cli.report_text import WIDTH, print_report, progress
from rprov.model.identifiers import UeRadioId
from rprov.model.report import Proof
from rprov.trace.report import Report, build_report


def printed(report: Report) -> list[str]:
    out = io.StringIO()
    print_report(report, out)
    return out.getvalue().splitlines()


def test_seven_bands_messages_proofs_and_totals() -> None:
    lines = printed(build_report(items(), [device()], 0.2))
    bands = [line for line in lines if line[:1].isdigit() and "provisioned" not in line]
    assert [line.split("  ")[0] for line in bands] == [
        "1 attach request",
        "2 authenticate",
        "3 attach",
        "4 session",
        "5 provision",
        "6 detach",
        "7 reattach",
    ]
    assert bands[1].endswith("6.0 ms, 1 round trip, 300 octets on the radio")
    assert "    UE  <--- CP      radio  SecurityModeCommand                    10 octets  protected" in lines
    assert "    UE  ---> CP      radio  AttachRequest                          10 octets" in lines
    assert "    RAN <--- CP      n2     DownlinkNasTransport                   30 octets" in lines
    assert "    UE  ---> SM-DP+  es9    initiateAuthentication                700 octets  protected" in lines
    assert "    proved the device is known" in lines
    assert lines[0] == f"EID {EID}"
    assert lines[-1] == "1 of 1 device provisioned and attached in 0.20 s, 8 round trips and 8450 octets on the radio"


def test_plain_text_has_no_escapes_and_keeps_its_width() -> None:
    lines = printed(build_report(items(), [device()], 0.2))
    assert "\x1b" not in "".join(lines)
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isascii() for line in lines)


def test_a_long_proof_goes_on_below_where_it_began() -> None:
    long = Proof(0.008, "ue", EID, 2, "the device is " + "CN=device,O=somebody with a long name," * 5 + "C=ZZ")
    lines = printed(build_report([*items(), long], [device()], 0.2))
    begin = next(index for index, line in enumerate(lines) if line.startswith("    proved the device is CN="))
    assert lines[begin + 1].startswith(" " * 11 + "name,CN=device")
    assert max(map(len, lines)) <= WIDTH


def test_a_failure_says_where_and_why() -> None:
    log = [item for item in items() if item.at < 0.0065] + [ended(7, 2, False, "no profile is ordered [for this EID]")]
    lines = printed(build_report(log, [device(ok=False)], 0.2))
    assert any(line.startswith("2 authenticate") and "FAILED" in line for line in lines)
    assert "    why    no profile is ordered [for this EID]" in lines
    assert sum("not run" in line for line in lines) == 5
    assert lines[-1].startswith("0 of 1 device provisioned")


def test_of_many_devices_there_is_a_table_and_the_first_in_full() -> None:
    devices = [device()]
    devices += [device(eid=f"{EID[:-3]}{number:03d}", ue_radio_ids=(UeRadioId(100 + number),)) for number in range(40)]
    devices += [device(eid="89049032000000000000000000000000", ue_radio_ids=(), ok=False, why="no cell was found")]
    lines = printed(build_report(items(), devices, 1.5))
    rows = [line for line in lines if line.startswith("890")]
    assert len(rows) == 21
    assert "failed" in rows[0]
    assert "failed 89049032000000000000000000000000: no cell was found" in lines
    assert "and 21 more that went well" in lines
    assert sum(line.startswith("EID 8") for line in lines) == 1
    assert lines[-1].startswith("41 of 42 devices provisioned and attached in 1.50 s")


def test_a_table_row_is_never_cut() -> None:
    lines = printed(build_report(items(), [device(), device(ue_radio_ids=())], 1.5))
    assert sum("001010000000001" in line and "8988211000000000011" in line and EID in line for line in lines) == 2


def test_a_run_of_nothing_is_said_to_be_one() -> None:
    assert printed(Report((), 0.0)) == [
        "0 of 0 devices provisioned and attached in 0.00 s, 0 round trips and 0 octets on the radio"
    ]


def test_on_a_terminal_there_is_colour() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", "120")
        patch.delenv("NO_COLOR", raising=False)
        print_report(build_report(items(), [device()], 0.2), out)
    assert "\x1b[" in out.getvalue()


def test_progress_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    with progress(10) as advance:
        for _ in range(10):
            advance()
    assert err.getvalue() == ""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with report_text.progress(10) as advance:
        for _ in range(10):
            advance()
    assert "10/10" in terminal.getvalue()
