"""`rprov ctl`: asks daemons on this machine, over their control sockets. Changes nothing in them."""

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rprov.cli.run_directory import run_directory
from rprov.daemon.control import ASK, LINKS
from rprov.errors import DecodeError, EnvironmentLacks
from rprov.model.control import LinkView
from rprov.model.numbers import ExitCode, Ppid
from rprov.wire.framing import FrameReader, encode_frame

SECONDS = 5.0
_PIECE = 65536

_COLUMNS = ("daemon", "kind", "name", "local", "peer", "carrier", "streams", "sent", "received", "age", "protection")


@click.group()
def ctl() -> None:
    """Ask the daemons that run on this machine."""


@ctl.command()
@click.option(
    "-s",
    "--socket",
    "sockets",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A daemon's control socket (`control.socket` of its file); without it, all in the run directory are asked.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def links(sockets: tuple[Path, ...], as_json: bool) -> int:
    """Show the control links of daemons: between whom, over what, who protects them, what went over them."""
    found: list[dict[str, Any]] = []
    for path in sockets or _in_run_directory():
        try:
            rows = list(_ask(path))
        except _NobodyThere as error:
            if sockets:
                raise EnvironmentLacks(str(error)) from None
            continue  # left over from a daemon that was killed
        found += [{"daemon": path.stem, **row} for row in rows]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print_table(found)
    return ExitCode.DONE


class _NobodyThere(Exception):
    """No daemon listens at a socket."""


def _in_run_directory() -> list[Path]:
    place = run_directory()
    found = sorted(place.glob("*.sock"))
    if not found:
        raise EnvironmentLacks(f"no daemon of yours has a control socket in {place} (--socket names one elsewhere)")
    return found


def _ask(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of one daemon."""
    frames = FrameReader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(encode_frame(0, Ppid.CONTROL, json.dumps({ASK: LINKS}).encode()))
            while octets := connection.recv(_PIECE):
                for frame in frames.feed(octets):
                    match json.loads(frame.payload):
                        case {"end": int()}:
                            return
                        case {"error": str(why)}:
                            raise EnvironmentLacks(f"{path}: {why}")
                        case row:
                            yield asdict(LinkView(**row))
        except (FileNotFoundError, ConnectionRefusedError):
            raise _NobodyThere(f"{path}: no daemon listens there") from None
        except TimeoutError:
            raise EnvironmentLacks(f"{path}: no answer in {SECONDS:g} s") from None
        except OSError as error:
            raise EnvironmentLacks(f"{path}: {error.strerror or error}") from None
        except (DecodeError, ValueError, TypeError) as error:
            raise EnvironmentLacks(f"{path}: this is no control socket of rprov ({error})") from None
    raise EnvironmentLacks(f"{path}: the daemon hung up in the middle of its answer")


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    lines = [_COLUMNS, *(tuple(_cells(row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        click.echo("no links")


def _cells(row: dict[str, Any]) -> Iterator[str]:
    for name in _COLUMNS[:-4]:
        yield str(row[name]) or "-"
    yield f"{row['sent']} ({row['sent_octets']} B)"
    yield f"{row['received']} ({row['received_octets']} B)"
    yield f"{row['age']:.0f} s"
    yield _protection(row)


def _protection(row: dict[str, Any]) -> str:
    if row["protected_for"]:
        return f"for {row['protected_for']}"
    return "of each UE" if row["kind"] == "radio" else "none"
