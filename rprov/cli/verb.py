"""Verbs of the command line, imported when they are called and not when they are listed: `--help` answers at once."""

import importlib
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import click


class Verb(NamedTuple):
    """Where a verb lives, and what the list of verbs says about it."""

    module: str
    attribute: str
    summary: str


class VerbGroup(click.Group):
    """A group whose commands stand in a table, in the order in which people need them."""

    verbs: ClassVar[Mapping[str, Verb]]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the verbs in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one verb."""
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        command = getattr(importlib.import_module(verb.module), verb.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{verb.module}.{verb.attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self.verbs.items()])
