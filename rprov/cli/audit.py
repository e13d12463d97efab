"""`rprov audit`: whether an audit log is whole, and what its head is."""

import json
from pathlib import Path

import click

from rprov.errors import ConfigError
from rprov.model.numbers import ExitCode
from rprov.trace.audit import Broken, Chain, read_chain

_FILE = click.argument("file", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def audit() -> None:
    """Check audit logs of cp, smdp and aaa."""


@audit.command()
@_FILE
@click.option("--head", help="The hash that the last line once had: nothing up to that line may be missing.")
@_JSON
def verify(file: Path, head: str | None, as_json: bool) -> int:
    """Check that no line was changed, removed, inserted or moved; exit code 1 names the first that was."""
    expected = _digits(head) if head is not None else None
    try:
        chain = read_chain(file, expected)
    except Broken as error:
        if as_json:
            click.echo(json.dumps({"whole": False, "line": error.line, "fault": str(error)}))
        else:
            click.echo(f"{file}: {error}")
        return ExitCode.FAILED
    _print(file, chain, as_json)
    return ExitCode.DONE


def _digits(head: str) -> str:
    digits = head.strip().lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise ConfigError("a head is 64 hexadecimal digits, as `rprov audit verify` prints it")
    return digits


def _print(file: Path, chain: Chain, as_json: bool) -> None:
    if as_json:
        values = {"whole": True, "lines": chain.lines, "head": chain.head, "first": chain.first, "last": chain.last}
        click.echo(json.dumps(values))
        return
    when = f", from {chain.first} to {chain.last}" if chain.lines else ""
    click.echo(f"{file}: {chain.lines} lines follow from each other{when}")
    click.echo(f"head {chain.head}")
