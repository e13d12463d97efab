"""A ladder as plain text: lanes of characters, for terminals and mails."""

from collections.abc import Iterator

from rprov.trace.ladder.chart import Arrow, Chart, Ladder, Lane, Protection, count, duration

_GAP = 10
_TIME = 11
_PROTECTED = (Protection.INTEGRITY, Protection.CIPHERED)


def text_of(ladder: Ladder) -> str:
    """Give all charts, one below the other."""
    parts = ["\n".join(_chart(chart)) for chart in ladder.charts]
    if ladder.left_out:
        parts.append(f"and {count(ladder.left_out, 'more device')}")
    return "\n\n".join(parts) + "\n" if parts else "no messages\n"


def _chart(chart: Chart) -> Iterator[str]:
    yield chart.title
    yield ""
    heads = [" "] * (_GAP * len(Lane) + 2)
    for lane in Lane:
        start = lane * _GAP + max(0, (3 - len(lane.title)) // 2)
        heads[start : start + len(lane.title)] = lane.title
    yield " " * (_TIME - 1) + "".join(heads).rstrip()
    for band in chart.bands:
        number = f"{band.step} " if band.step else ""
        yield f"{number}{band.title} ({duration(band.milliseconds)})"
        for arrow in band.arrows:
            yield _line(arrow, (arrow.at - chart.began) * 1000)
    if chart.left_out:
        yield f"and {count(chart.left_out, 'more message')}"


def _line(arrow: Arrow, milliseconds: float) -> str:
    lanes = [" "] * (_GAP * (len(Lane) - 1) + 1)
    for lane in Lane:
        lanes[lane * _GAP] = "|"
    left, right = arrow.left * _GAP, arrow.right * _GAP
    dash = "=" if arrow.protection in _PROTECTED else "-"
    for at in range(left + 1, right):
        lanes[at] = dash
    if arrow.sender < arrow.receiver:
        lanes[right - 1] = ">"
    else:
        lanes[left + 1] = "<"
    if arrow.relayed:
        lanes[Lane.RAN * _GAP] = "o"
    mark = f", {arrow.protection.value}" if arrow.protection in _PROTECTED else ""
    facts = f"{arrow.name}, {count(arrow.octets, 'octet')}{mark}"
    about = f": {arrow.about}" if arrow.about else ""
    return f"{duration(milliseconds):>{_TIME - 1}} {''.join(lanes)}  {facts}{about}"
