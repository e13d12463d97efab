"""`rprov trace`: what can be done with a capture. The verbs stand in one table and are imported when they are used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rprov.cli.verb import Verb, VerbGroup
from rprov.errors import ConfigError, DecodeError

SUBCOMMANDS: dict[str, Verb] = {
    "decode": Verb("rprov.cli.trace_decode", "decode", "Show the messages of a capture."),
    "ladder": Verb("rprov.cli.trace_ladder", "ladder", "Draw a capture as a message sequence chart."),
    "verify": Verb("rprov.cli.trace_verify", "verify", "Check a run from its capture and keys."),
    "replay": Verb("rprov.cli.trace_replay", "replay", "Play one side of a capture against a live node."),
}
"""Every verb, in the order in which people need them."""


class TraceVerbs(VerbGroup):
    """Those of `rprov trace`."""

    verbs = SUBCOMMANDS


@click.command(cls=TraceVerbs)
def trace() -> None:
    """Read captures: what was said, and whether it was right."""


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Let a file that is no capture, or no key log, be wrong use and not a failed procedure."""
    try:
        yield
    except DecodeError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(str(path)) else f"{path}: {text}") from None
