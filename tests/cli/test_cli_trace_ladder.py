"""`rprov trace ladder` as people type it, and mistype it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from doubles.captures import LOWER, UPPER, taps

from rprov.cli.main import run as rprov
from rprov.model.identifiers import Plmn, UeRadioId
from rprov.model.tap import LinkName
from rprov.wire.radio import CellInfo, RadioFrame
from rprov.wire.radio_asn1 import encode_radio

FREE5GC = Path(__file__).parents[1] / "vectors" / "5g_aka-3gpp-enp0s3-free5gc.pcap"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    octets = RadioFrame(UeRadioId(0), encode_radio(CellInfo(Plmn("001", "01"), 1, True))).encode()
    with taps(tmp_path / "run.pcapng") as tap:
        tap.message(LinkName.RADIO, UPPER, LOWER, inbound=False, stream=0, ppid=1, octets=octets)
    return tmp_path / "run.pcapng"


def said(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = rprov(["trace", "ladder", *arguments])
    return (code, *capsys.readouterr())


def test_text_is_printed(capture: Path, capsys: Any) -> None:
    code, out, err = said(capsys, str(capture))
    assert (code, err) == (0, "")
    assert "|<--------|" in out
    assert "CellInfo, 13 octets" in out


@pytest.mark.parametrize("name", ["out.html", "out.svg", "out.txt", "OUT.SVG"])
def test_the_ending_says_what_is_drawn(capture: Path, capsys: Any, name: str) -> None:
    target = capture.parent / name
    assert said(capsys, str(capture), "-o", str(target)) == (0, "", "")
    text = target.read_text(encoding="utf-8")
    assert "CellInfo" in text
    if name.lower().endswith(".svg"):
        assert ElementTree.fromstring(text).tag.endswith("svg")
    elif name.endswith(".html"):
        HTMLParser().feed(text)
        assert "run.pcapng" in text


@pytest.mark.parametrize("name", ["out.pdf", "out"])
def test_another_ending_is_wrong_use(capture: Path, capsys: Any, name: str) -> None:
    code, _, err = said(capsys, str(capture), "-o", str(capture.parent / name))
    assert code == 2
    assert "the name of a chart ends in .html, .svg, .txt" in err


def test_what_cannot_be_written_is_the_machines_fault(capture: Path, capsys: Any) -> None:
    code, _, err = said(capsys, str(capture), "-o", str(capture.parent / "no" / "out.html"))
    assert code == 3
    assert err == f"rprov: {capture.parent / 'no' / 'out.html'}: cannot be written: No such file or directory\n"
    assert rprov(["demo", "--workdir", str(capture.parent / "demo"), "--ladder", "/no/such/place/out.html"]) == 3
    assert not (capture.parent / "demo").exists()  # it is told before anything begins


def test_what_is_no_capture_is_wrong_use(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "f").write_bytes(b"no capture at all")
    code, out, err = said(capsys, str(tmp_path / "f"))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_captures_of_others_have_a_chart(capsys: Any) -> None:
    code, out, _ = said(capsys, str(FREE5GC))
    assert code == 0
    assert "Links of the network" in out
