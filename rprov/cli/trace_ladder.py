"""`rprov trace ladder`: a capture as a message sequence chart; the `--ladder` of the demo writes the same."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import click

from rprov.cli.trace import usable
from rprov.cli.trace_decode import opener_of
from rprov.cli.words import FILE, Parsed
from rprov.errors import EnvironmentLacks
from rprov.model.tracing import TraceSettings
from rprov.trace.capture import read_capture
from rprov.trace.ladder.chart import Ladder
from rprov.trace.ladder.drawing import drawing_of
from rprov.trace.ladder.gather import gather
from rprov.trace.ladder.page import page_of
from rprov.trace.ladder.text import text_of

FORMATS: Mapping[str, Callable[[Ladder, str], str]] = MappingProxyType(
    {".html": page_of, ".svg": drawing_of, ".txt": lambda ladder, _: text_of(ladder)}
)


def _chart_file(text: str) -> Path:
    """Take the name of a file whose ending says what is drawn."""
    path = Path(text)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"the name of a chart ends in {', '.join(FORMATS)}")
    return path


CHART = Parsed("file", _chart_file)


@click.command()
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=CHART, help="The chart: .html, .svg or .txt. Without it, text is printed.")
@click.option("--keylog", type=FILE, help="Keys that open what is ciphered, where they do not stand in the capture.")
def ladder(file: Path, output: Path | None, keylog: Path | None) -> None:
    """Draw who said what to whom, step by step: a page, a drawing or text, a chart for each device."""
    drawn = read_ladder(file, keylog)
    if output is None:
        click.echo(text_of(drawn), nl=False)
    else:
        write_ladder(drawn, output, file.name)


def read_ladder(file: Path, keylog: Path | None) -> Ladder:
    """Draw up the charts of a capture; raises `ConfigError` for what is none."""
    with usable(file):
        return gather(read_capture(file), opener_of(file, keylog))


def write_ladder(drawn: Ladder, output: Path, source: str) -> None:
    """Write a chart as its ending says; raises `EnvironmentLacks` where the file cannot be written."""
    try:
        output.write_text(FORMATS[output.suffix.lower()](drawn, source), encoding="utf-8", errors="replace")
    except OSError as error:
        raise EnvironmentLacks(f"{output}: cannot be written: {error.strerror or error}") from None


@contextmanager
def drawn_run(chart: Path | None, settings: TraceSettings) -> Iterator[TraceSettings]:
    """Write the chart of a run when it is over; captures and keys that nobody wants are forgotten afterwards."""
    if chart is None:
        yield settings
        return
    if not chart.parent.is_dir():
        raise EnvironmentLacks(f"{chart}: there is no such directory")  # before a run that nobody will see
    with TemporaryDirectory(prefix="rprov-") as folder:
        name = "rprov demo" if settings.pcap is None else settings.pcap.name
        capture, keys = settings.pcap or Path(folder) / "run.pcapng", settings.keylog or Path(folder) / "run.keys"
        yield replace(settings, pcap=capture, keylog=keys)
        write_ladder(read_ladder(capture, keys), chart, name)
