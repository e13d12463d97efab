"""`rprov trace`: what can be done with a capture. The verbs stand in one table and are imported when they are used."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rprov.cli.verb import Verb
from rprov.errors import ConfigError, DecodeError

SUBCOMMANDS: dict[str, Verb] = {
    "decode": Verb("rprov.cli.trace_decode", "decode", "Show the messages of a capture."),
    "ladder": Verb("rprov.cli.trace_ladder", "ladder", "Draw a capture as a message sequence chart."),
    "verify": Verb("rprov.cli.trace_verify", "verify", "Check a run from its capture and keys."),
    "replay": Verb("rprov.cli.trace_replay", "replay", "Play one side of a capture against a live node."),
}
"""Every verb, in the order in which people need them."""


class TraceVerbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the verbs in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one verb."""
        verb = SUBCOMMANDS.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = getattr(importlib.import_module(verb.module), verb.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in SUBCOMMANDS.items()])


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
