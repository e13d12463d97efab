"""The report of a run for a person: the seven steps as a ladder, then what was proved. Knows no recorder.

Without a terminal it is plain text of `WIDTH` columns; progress goes to stderr, and only to a terminal.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rprov.model.report import MessageSeen
from rprov.trace.report import DeviceReport, Report, StepReport

WIDTH = 100
LANES = ("ue", "ran", "cp", "smdp")
"""Nodes from left to right: a message towards the UE points to the left."""

DISPLAY = {"ue": "UE", "ran": "RAN", "cp": "CP", "smdp": "SM-DP+", "up": "UP"}
MAX_ROWS = 20
"""How many devices that went well are listed; of those that failed all are."""


def print_report(report: Report, file: TextIO | None = None) -> None:
    """Print a report; of several devices a table, and the procedure of the first."""
    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else WIDTH, highlight=False, soft_wrap=False)
    if len(report.devices) > 1:
        _print_devices(console, report.devices)
    if report.devices:
        _print_device(console, report.devices[0])
    _print_totals(console, report)


@contextmanager
def progress(total: int, text: str = "devices") -> Iterator[Callable[[], None]]:
    """Show how far a run of several devices is; call what is given once for each device that ended."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda: bar.advance(task)


def _print_device(console: Console, device: DeviceReport) -> None:
    console.print(f"[bold]EID {device.result.eid}[/bold]")
    for step in device.steps:
        _print_step(console, step)
    console.print()


def _print_step(console: Console, step: StepReport) -> None:
    word, style = _verdict(step)
    facts = "" if step.skipped else f"{step.ms:.1f} ms, {_count(step.round_trips, 'round trip')}, {_radio(step)}"
    console.print()
    console.print(f"[bold]{step.step:d} {step.name:<16}[/bold] [{style}]{word:<8}[/{style}] {facts}".rstrip())
    for message in step.messages:
        _print_message(console, message)
    for proof in step.proofs:
        _print_words(console, "proved", "green", proof.text)
    if step.why:
        _print_words(console, "why", "red", step.why)


def _print_words(console: Console, label: str, style: str, text: str) -> None:
    first, *others = wrap(text, max(console.width - 11, 20), break_on_hyphens=False) or [""]
    console.print(f"    [{style}]{label:<6}[/{style}] {escape(first)}")
    for line in others:
        console.print(f"{'':11}{escape(line)}")


def _print_message(console: Console, message: MessageSeen) -> None:
    ends = sorted((message.sender, message.receiver), key=_lane)
    arrow = "--->" if ends[0] == message.sender else "<---"
    left, right = (DISPLAY.get(node, node) for node in ends)
    mark = "protected" if message.protected else ""
    size = f"{message.octets} octets"
    line = f"    {left:<4}{arrow} {right:<7} {message.link:<6} {message.name:<34} {size:>13}  {mark}"
    console.print(escape(line.rstrip()), style="" if message.link == "radio" else "dim")


def _print_devices(console: Console, devices: Sequence[DeviceReport]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("EID", "", "SUPI", "ICCID"):
        table.add_column(column, no_wrap=True)
    for column in ("s", "octets"):
        table.add_column(column, justify="right", no_wrap=True)
    well = [device for device in devices if device.result.ok]
    failed = [device for device in devices if not device.result.ok]
    for device in [*failed, *well[:MAX_ROWS]]:
        result = device.result
        word = "[green]ok[/green]" if result.ok else "[red]failed[/red]"
        seconds = f"{result.ended - result.started:.2f}"
        table.add_row(result.eid, word, result.supi, result.iccid, seconds, str(device.radio_octets))
    console.print(table)
    for device in failed:
        console.print(f"[red]failed[/red] {device.result.eid}: {escape(device.why)}")
    if len(well) > MAX_ROWS:
        console.print(f"and {len(well) - MAX_ROWS} more that went well")
    console.print()


def _print_totals(console: Console, report: Report) -> None:
    well = sum(device.result.ok for device in report.devices)
    total = len(report.devices)
    octets = sum(device.radio_octets for device in report.devices)
    trips = sum(device.round_trips for device in report.devices)
    style = "bold green" if report.ok else "bold red"
    console.print(
        f"[{style}]{well} of {_count(total, 'device')} provisioned and attached[/{style}] in {report.seconds:.2f} s, "
        f"{_count(trips, 'round trip')} and {octets} octets on the radio"
    )


def _verdict(step: StepReport) -> tuple[str, str]:
    if step.skipped:
        return ("skipped", "dim") if step.ok else ("not run", "dim")
    return ("ok", "green") if step.ok else ("FAILED", "bold red")


def _lane(node: str) -> int:
    return LANES.index(node) if node in LANES else len(LANES)


def _radio(step: StepReport) -> str:
    return f"{step.radio_octets} octets on the radio"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
