"""A ladder as a drawing, SVG: for documents and slides. One chart below the other, what an arrow says as its title."""

from collections.abc import Iterator
from html import escape

from rprov.trace.ladder.chart import Arrow, Chart, Ladder, Lane, Protection, count, duration

MOST_CHARTS = 10
"""Devices of one drawing."""

_WIDTH, _MARGIN, _FIRST, _APART = 1180, 20, 150, 190
_ROW, _BAND, _AFTER, _HEAD = 34, 34, 6, 70
_STYLE = """
svg { background: #fff; color: #182030; font-family: system-ui, sans-serif; }
text { fill: currentColor; font-size: 14px; }
.head { font-weight: 650; font-size: 16px; } .title { font-weight: 650; font-size: 18px; }
.small { font-size: 12px; fill: #566075; } .life { stroke: #c3cad8; } .under { fill: #fff; opacity: .88; }
.plain { stroke: #5b6578; fill: #5b6578; stroke-dasharray: 6 4; } .integrity { stroke: #925b00; fill: #925b00; }
.link { stroke: #5b6578; fill: #5b6578; }
.ciphered { stroke: #0a6b50; fill: #0a6b50; } .refused { stroke: #b3231b; fill: #b3231b; }
.relay { fill: #fff; stroke-dasharray: none; } polygon { stroke: none; }
.s0 { fill: #eef1f6; } .s1 { fill: #e8f0fe; } .s2 { fill: #fdeee0; } .s3 { fill: #e6f5ec; } .s4 { fill: #f3eafc; }
.s5 { fill: #fdf6d8; } .s6 { fill: #fde8ea; } .s7 { fill: #e2f4f6; }
@media (prefers-color-scheme: dark) {
svg { background: #10141c; color: #e8ecf4; } .small { fill: #a3adbf; } .life { stroke: #3d4759; }
.under, .relay { fill: #10141c; } .plain, .link { stroke: #a3adbf; fill: #a3adbf; }
 .integrity { stroke: #f0b557; fill: #f0b557; }
.ciphered { stroke: #54cfa4; fill: #54cfa4; } .refused { stroke: #ff8a80; fill: #ff8a80; }
.relay.plain, .relay.link, .relay.integrity, .relay.ciphered, .relay.refused { fill: #10141c; }
.s0 { fill: #222a38; } .s1 { fill: #1b2b4a; } .s2 { fill: #3d2b18; } .s3 { fill: #17362a; } .s4 { fill: #2f2345; }
.s5 { fill: #38331a; } .s6 { fill: #3f2228; } .s7 { fill: #153539; } }
"""


def drawing_of(ladder: Ladder, source: str) -> str:
    """Give the drawing; `source` names the capture."""
    drawn = ladder.charts[:MOST_CHARTS]
    parts: list[str] = []
    at = _MARGIN
    for chart in drawn:
        at = _chart(chart, at, parts)
    left_out = ladder.left_out + len(ladder.charts) - len(drawn)
    if left_out or not drawn:
        text = f"and {count(left_out, 'more device')}" if left_out else "no messages"
        parts.append(f'<text x="{_MARGIN}" y="{at + 20}">{text}</text>')
        at += 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{at}" viewBox="0 0 {_WIDTH} {at}" '
        f'role="img" aria-labelledby="name">\n<title id="name">Message sequence chart of {_clean(source)}</title>\n'
    )
    return f"{head}<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"


def _chart(chart: Chart, top: int, parts: list[str]) -> int:
    """Draw one chart from `top` on; gives where the next one begins."""
    bands = chart.bands
    height = _HEAD + sum(_BAND + _ROW * len(band.arrows) + _AFTER for band in bands)
    facts = f"{duration(chart.milliseconds)}, {count(len(chart.arrows), 'arrow')}"
    if chart.left_out:
        facts += f", {chart.left_out} more not drawn"
    parts.append(f'<text class="title" x="{_MARGIN}" y="{top + 18}">{_clean(chart.title)}</text>')
    parts.append(f'<text class="small" x="{_MARGIN}" y="{top + 38}">{facts}</text>')
    for lane in Lane:
        x = _FIRST + _APART * lane
        title = "Provisioning server" if lane is Lane.SERVER else lane.title
        parts.append(f'<text class="head" x="{x}" y="{top + _HEAD - 8}" text-anchor="middle">{title}</text>')
        parts.append(f'<path class="life" d="M{x} {top + _HEAD}V{top + height}"/>')
    at = top + _HEAD
    for band in bands:
        number = f"{band.step}  " if band.step else ""
        parts.append(
            f'<rect class="s{band.step or 0}" x="{_MARGIN}" y="{at + 2}" width="{_WIDTH - 2 * _MARGIN}" '
            f'height="{_BAND - 6}" rx="5"/>'
            f'<text class="head" x="{_MARGIN + 12}" y="{at + 22}">{number}{band.title}</text>'
            f'<text class="small" x="{_WIDTH - _MARGIN - 12}" y="{at + 21}" text-anchor="end">'
            f"{duration(band.milliseconds)}</text>"
        )
        at += _BAND
        for arrow in band.arrows:
            parts.append("".join(_arrow(arrow, (arrow.at - chart.began) * 1000, at + _ROW - 8)))
            at += _ROW
        at += _AFTER
    return at + 2 * _MARGIN


def _arrow(arrow: Arrow, milliseconds: float, y: int) -> Iterator[str]:
    start, end = (_FIRST + _APART * lane for lane in (arrow.sender, arrow.receiver))
    kind = "refused" if arrow.refused else arrow.protection.value
    towards = 1 if end > start else -1
    middle, size = (start + end) // 2, 5 if arrow.packets else 2
    label = f"{arrow.name}  {arrow.about}" if arrow.about else arrow.name
    wide = min(7.4 * len(label), _APART * 4.2)
    middle = round(max(_FIRST - 20 + wide / 2, min(middle, _FIRST + _APART * 4 + 20 - wide / 2)))
    protected = "" if arrow.protection is Protection.LINK else f", {arrow.protection.value}"
    facts = f"{count(arrow.octets, 'octet')}{protected}"
    yield f"<g><title>{_clean(f'{arrow.name}: {arrow.about}')} ({facts}, frame {arrow.frames[0]})</title>"
    yield f'<text class="small" x="{_FIRST - 28}" y="{y + 4}" text-anchor="end">{duration(milliseconds)}</text>'
    yield f'<rect class="under" x="{middle - wide / 2:.0f}" y="{y - 19}" width="{wide:.0f}" height="15"/>'
    yield f'<text x="{middle}" y="{y - 7}" text-anchor="middle">{_clean(arrow.name)}'
    yield f' <tspan class="small">{_clean(arrow.about)}</tspan></text>' if arrow.about else "</text>"
    yield f'<path class="{kind}" stroke-width="{size}" d="M{start} {y}H{end - towards * 9}"/>'
    head, base = 4 + size, end - towards * 11
    yield f'<polygon class="{kind}" points="{end},{y} {base},{y - head} {base},{y + head}"/>'
    if arrow.relayed:
        yield f'<circle class="relay {kind}" cx="{_FIRST + _APART}" cy="{y}" r="5" stroke-width="2"/>'
    yield f'<text class="small" x="{_FIRST + _APART * 4 + 28}" y="{y + 4}">{facts}</text></g>'


def _clean(text: str) -> str:
    """Escape a text for XML, without the characters that XML has no way to write."""
    return escape("".join(char if char.isprintable() else "?" for char in text))
