"""A ladder as one page: no script is needed to read it, no other file, and it fits a phone. Knows no capture.

Each arrow is a `details` that opens the decoded message. Whatever stands in a capture was said by strangers: all of it
is escaped, and the page forbids itself to load anything.
"""

from collections.abc import Iterator
from html import escape
from importlib import resources
from typing import Any

from rprov.trace.ladder.chart import Arrow, Band, Chart, Ladder, Lane, count, duration

LONGEST_TEXT = 400
"""Characters of one value in the page; the size of the rest is told."""
MOST_ITEMS = 40
MOST_DETAILS = 2500
"""Messages of one page that can be opened; those behind show what their arrow says."""

_SERVER = "Provisioning server"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_LEGEND = (
    ("plain", "plain on the radio"),
    ("link", "not on the radio: protected by its link, if at all"),
    ("integrity", "integrity protected"),
    ("ciphered", "ciphered, too"),
    ("refused", "refused"),
    ("relay", "passed on unread by the RAN"),
)


def page_of(ladder: Ladder, source: str) -> str:
    """Give the page; `source` names the capture."""
    return "".join(_page(ladder, source))


def _page(ladder: Ladder, source: str) -> Iterator[str]:
    folder = resources.files("rprov.trace.ladder")
    name = escape(source)
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{name}: message sequence chart</title>\n"
        f"<style>\n{folder.joinpath('page.css').read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
    )
    yield f"<header>\n<h1>Message sequence chart</h1>\n<p>{_lead(ladder, name)}</p>\n"
    yield '<div class="tools">\n'
    if len(ladder.charts) > 1:
        options = "".join(
            f'<option value="{place}">{escape(chart.title)}</option>' for place, chart in enumerate(ladder.charts)
        )
        yield f'<label hidden>Device <select id="which" autocomplete="off">{options}</select></label>\n'
    yield '<button id="all" type="button" aria-pressed="false" hidden>Open all messages</button>\n</div>\n'
    yield (
        '<ul class="legend">' + "".join(f'<li class="{kind}"><i></i>{text}</li>' for kind, text in _LEGEND) + "</ul>\n"
    )
    yield "</header>\n<main>\n"
    budget = _Budget(MOST_DETAILS)
    for place, chart in enumerate(ladder.charts):
        yield from _chart(chart, place, budget)
    if not ladder.charts:
        yield "<p>There is no message in it.</p>\n"
    yield f"</main>\n<footer>{_foot(ladder)}</footer>\n"
    yield f"<script>\n{folder.joinpath('page.js').read_text(encoding='utf-8')}</script>\n</body>\n</html>\n"


class _Budget:
    def __init__(self, left: int) -> None:
        self._left = left

    def take(self) -> bool:
        """Say whether one more message may be shown in full."""
        self._left -= 1
        return self._left >= 0


def _lead(ladder: Ladder, name: str) -> str:
    messages = sum(len(chart.arrows) for chart in ladder.charts)
    return f"{name}: {count(messages, 'arrow')}. Choose one to see the decoded message."


def _foot(ladder: Ladder) -> str:
    parts = ["Times count from a device's first message. Drawn by rprov trace ladder."]
    if not ladder.deciphered:
        parts.insert(0, "Drawn without keys: the step of what is ciphered is that of its neighbours.")
    if ladder.left_out:
        parts.append(f"{count(ladder.left_out, 'more device')} not drawn.")
    return " ".join(parts)


def _chart(chart: Chart, place: int, budget: _Budget) -> Iterator[str]:
    facts = [duration(chart.milliseconds), count(len(chart.arrows), "arrow")]
    if chart.radio_octets:
        facts.append(f"{count(chart.radio_octets, 'octet')} on the radio")
    if chart.left_out:
        facts.append(f"{chart.left_out:,} more not drawn")
    yield f'<article class="chart" aria-labelledby="chart-{place}">\n'
    yield f'<h2 id="chart-{place}">{escape(chart.title)}</h2>\n'
    yield '<div class="facts">' + "".join(f"<span>{fact}</span>" for fact in facts) + "</div>\n"
    heads = "".join(f"<span>{_SERVER if lane is Lane.SERVER else lane.title}</span>" for lane in Lane)
    yield f'<div class="lanes" aria-hidden="true"><span></span><div class="heads">{heads}</div><span></span></div>\n'
    for band in chart.bands:
        yield from _band(band, chart, budget)
    yield "</article>\n"


def _band(band: Band, chart: Chart, budget: _Budget) -> Iterator[str]:
    number = f"<b>{band.step}</b> " if band.step else ""
    facts = f"{duration(band.milliseconds)}, {count(len(band.arrows), 'arrow')}"
    yield f'<section class="band s{band.step or 0}">\n<h3>{number}{band.title} <small>{facts}</small></h3>\n<ol>\n'
    for arrow in band.arrows:
        yield "<li>" + "".join(_arrow(arrow, (arrow.at - chart.began) * 1000, budget.take())) + "</li>\n"
    yield "</ol>\n</section>\n"


def _arrow(arrow: Arrow, milliseconds: float, whole: bool) -> Iterator[str]:
    kind = "refused" if arrow.refused else arrow.protection.value
    shape = " packets" if arrow.packets else ""
    way = "up" if arrow.sender < arrow.receiver else "down"
    left, right = 10 + 20 * arrow.left, 10 + 20 * arrow.right
    name, about = escape(arrow.name), escape(arrow.about)
    ends = f"{arrow.sender.title} to {arrow.receiver.title}"
    # Roughly how wide a label is, for it must not leave the page: in the browser it is only clamped.
    narrow, wide = 0.58 * len(arrow.name) + 1, 0.58 * len(arrow.name) + 0.48 * len(arrow.about) + 1.6
    place = f"--l:{left};--r:{right};--c:{(left + right) // 2};--n:{narrow:.1f}rem;--w:{wide:.1f}rem"
    label = f"<b>{name}</b>" + (f" <i>{about}</i>" if about else "")
    relay = '<span class="dot"></span>' if arrow.relayed else ""
    time, size = duration(milliseconds), count(arrow.octets, "octet")
    yield f'<details class="{kind} {way}{shape}"><summary class="row"><span class="time">{time}</span>'
    yield f'<span class="way" style="{place}"><span class="name"><span class="sr">{ends}: </span>'
    yield f"<span>{label}</span></span>"
    yield f'<span class="line"></span>{relay}</span>'
    yield f'<span class="meta"><span class="at">{time} · </span><span class="size">{size}</span> '
    yield f"<em>{arrow.protection.value}</em>"
    yield f' <span class="about" aria-hidden="true">{about}</span></span></summary>' if about else "</span></summary>"
    yield '<div class="more"><dl>'
    yield from _fields(_facts(arrow) | (arrow.fields if whole else {}))
    yield "</dl></div></details>"


def _facts(arrow: Arrow) -> dict[str, Any]:
    frames = ", ".join(map(str, arrow.frames[:MOST_ITEMS])) + (", …" if len(arrow.frames) > MOST_ITEMS else "")
    label = "frame" if len(arrow.frames) == 1 else "frames"
    found: dict[str, Any] = {label: frames, "link": ", ".join(dict.fromkeys(arrow.links))}
    return found | {"packets": arrow.packets} if arrow.packets else found


def _fields(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>"
        yield from _value(value)
        yield "</dd>"


def _value(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield "<dl>"
            yield from _fields(value)
            yield "</dl>"
        case list() if value:
            yield "<dl>"
            yield from _fields({str(place): item for place, item in enumerate(value[:MOST_ITEMS], 1)})
            if len(value) > MOST_ITEMS:
                yield f"<dt>…</dt><dd>{len(value) - MOST_ITEMS} more</dd>"
            yield "</dl>"
        case list():
            yield "none"
        case bool():
            yield "yes" if value else "no"
        case _:
            text = str(value)
            yield escape(text[:LONGEST_TEXT])
            if len(text) > LONGEST_TEXT:
                yield f"… ({len(text):,} characters)"
