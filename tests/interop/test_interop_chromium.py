"""The chart of a run in a real browser: it renders, loads nothing, complains of nothing, and fits a phone.

chromium comes from Debian's package of that name; the tests say so where it is missing.
"""

import json
import re
import shutil
import struct
import subprocess
import zlib
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from rprov.cli.main import run as rprov
from rprov.cli.trace_ladder import read_ladder

pytestmark = pytest.mark.slow

PHONE, DESK = (390, 844), (1280, 900)

WATCH = """<script>
window.wrong = [];
addEventListener("error", function (event) { wrong.push("error: " + event.message); });
addEventListener("securitypolicyviolation", function (event) { wrong.push("policy: " + event.blockedURI); });
["error", "warn"].forEach(function (kind) { console[kind] = function (text) { wrong.push(kind + ": " + text); }; });
</script>"""

LOOK = """<script>
function look() {
  function shown(selector) {
    return [...document.querySelectorAll(selector)].filter(function (item) { return item.offsetParent !== null; });
  }
  function outside(item) {
    var box = item.getBoundingClientRect();
    return box.left < -1 || box.right > innerWidth + 1;
  }
  return {
    width: innerWidth, page: document.documentElement.scrollWidth, charts: shown(".chart").length,
    titles: shown(".chart h2").map(function (item) { return item.textContent; }),
    names: shown(".name b").map(function (item) { return item.textContent; }),
    outside: shown(".name b, .meta, .line").filter(outside).map(function (item) { return item.textContent; }),
    smallest: Math.min(...shown("summary b, .meta, .heads span").map(function (item) {
      return parseFloat(getComputedStyle(item).fontSize); })),
    lines: shown(".line").filter(function (item) { return item.getBoundingClientRect().width < 20; }).length,
    open: document.querySelectorAll("details[open]").length, more: shown(".more").length,
  };
}
addEventListener("load", function () {
  var first = look(), which = document.getElementById("which");
  which.value = "1";
  which.dispatchEvent(new Event("change"));
  var second = look();
  document.getElementById("all").click();
  var opened = look();
  document.title = JSON.stringify({ first: first, second: second, opened: opened, wrong: window.wrong,
    resources: performance.getEntriesByType("resource").length });
});
</script>"""


def chromium(place: Path, *arguments: str) -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
    command = [program, *options, f"--user-data-dir={place / 'profile'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ladder")
    files = ["--pcap", str(place / "run.pcapng"), "--keylog", str(place / "run.keys")]
    chart = ["--ladder", str(place / "run.html")]
    assert rprov(["demo", "--devices", "2", "--workdir", str(place / "demo"), *files, *chart]) == 0
    return place


def looked_at(run: Path, width: int, height: int) -> Any:
    """Open the page in a frame of that size, for a window has a least width, and look at it from inside."""
    page = (run / "run.html").read_text(encoding="utf-8")
    page = page.replace("<style>", WATCH + "<style>", 1).replace("</body>", LOOK + "</body>")
    (run / "watched.html").write_text(page, encoding="utf-8")
    (run / "frame.html").write_text(
        f'<!doctype html><body style="margin:0"><iframe src="watched.html" width="{width}" height="{height}" '
        'style="border:0" onload="document.title = this.contentDocument.title"></iframe></body>',
        encoding="utf-8",
    )
    allow = "--allow-file-access-from-files"
    dom = chromium(run, allow, "--virtual-time-budget=5000", "--dump-dom", (run / "frame.html").as_uri())
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found, dom[:500]
    return json.loads(unescape(found[1]))


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_renders_in_a_browser(run: Path, size: tuple[int, int]) -> None:
    seen = looked_at(run, *size)
    assert seen["wrong"] == []
    assert seen["resources"] == 0
    drawn = read_ladder(run / "run.pcapng", run / "run.keys")
    for number, name in enumerate(("first", "second")):
        look, chart = seen[name], drawn.charts[number]
        assert look["width"] == size[0]
        assert look["page"] <= size[0]  # nobody has to scroll sideways
        assert look["titles"] == [chart.title]
        assert look["names"] == [arrow.name for arrow in chart.arrows]
        assert look["outside"] == []
        assert look["smallest"] >= 12
        assert look["lines"] == 0
        assert look["open"] == 0
    assert {"AttachAccept", "PduSessionAccept", "RrcReconfiguration", "DetachRequest"} <= set(seen["first"]["names"])
    assert not {name for name in seen["first"]["names"] if name.startswith("Protected")}
    assert seen["opened"]["more"] == len(drawn.charts[1].arrows)
    assert seen["opened"]["page"] <= size[0]


@pytest.mark.parametrize("name", ["run.html", "run.svg"])
def test_it_is_not_blank(run: Path, name: str) -> None:
    if name.endswith(".svg"):
        assert rprov(["trace", "ladder", str(run / "run.pcapng"), "-o", str(run / name)]) == 0
    target = run / f"{name}.png"
    chromium(run, f"--screenshot={target}", "--window-size=1200,1500", (run / name).as_uri())
    width, height, lines = picture(target)
    assert (width, height) == (1200, 1500)
    assert len(lines) > 300  # a blank page has hardly any that differ


def picture(path: Path) -> tuple[int, int, set[bytes]]:
    """Size of a PNG of 8 bits for each of 3 or 4 channels, and the lines in it that differ."""
    octets, at, data, width, height, channels = path.read_bytes(), 8, b"", 0, 0, 3
    while at < len(octets):
        (length,), kind = struct.unpack_from(">I", octets, at), octets[at + 4 : at + 8]
        body = octets[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack_from(">IIBB", body)
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data += body
        at += 12 + length
    raw, stride = zlib.decompress(data), 1 + width * channels
    return width, height, {raw[start : start + stride] for start in range(0, len(raw), stride)}
