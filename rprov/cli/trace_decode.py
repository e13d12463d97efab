"""`rprov trace decode`: the messages of a capture, as a table for a person or as lines of JSON."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from rprov.cli.trace import usable
from rprov.cli.words import EID, FILE, Parsed
from rprov.errors import DecodeError
from rprov.model.identifiers import Eid
from rprov.model.tap import LinkName
from rprov.trace.capture import NGAP, Capture, read_capture
from rprov.trace.decode import UPLINK, Opener, Row
from rprov.trace.decode import decode as decode_rows
from rprov.trace.keylog import Keys, read_keys
from rprov.trace.verify.opener import opener

_LINKS = [link.value for link in LinkName] + [NGAP]
_HEAD = f"{'frame':>6} {'time':>10} {'link':<10} {'ue':<8} {'step':>4}   {'message':<28} fields"
_WIDEST = 100
"""Characters of the members in a row of the table; `--json` has all of them."""


def _number(text: str) -> int:
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        raise ValueError("a UE is a decimal number, as in `--json`, or 0x and the digits of the table") from None


UE = Parsed("number", _number)


@click.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--keylog", type=FILE, help="Keys that open what is ciphered, where they do not stand in the capture.")
@click.option("--eid", type=EID, help="Only what belongs to a device that has claimed this EID.")
@click.option("--ue", type=UE, help="Only one UE, by ueRadioId or ranUeId (decimal, or 0x…).")
@click.option("--message", "names", multiple=True, help="Only messages of this name; may be repeated.")
@click.option("--link", "links", multiple=True, type=click.Choice(_LINKS), help="Only this link; may be repeated.")
def decode(
    file: Path,
    as_json: bool,
    keylog: Path | None,
    eid: Eid | None,
    ue: int | None,
    names: tuple[str, ...],
    links: tuple[str, ...],
) -> None:
    """Show the messages of a capture: of rprov, or of others on ports that rprov knows."""
    wanted = frozenset(name.lower() for name in names)
    with usable(file):
        opened = opener_of(file, keylog)
        ues = _claimants(file, eid)
        rows = (
            row
            for row in decode_rows(read_capture(file), opened)
            if (not links or row.link in links)
            and (ue is None or row.ue == ue)
            and (not wanted or row.message.lower() in wanted)
            and (eid is None or row.ue in ues or eid.digits in json.dumps(row.fields))
        )
        if as_json:
            for row in rows:
                print(json.dumps(row.as_json(), ensure_ascii=False))
        else:
            _print_table(rows)


def opener_of(file: Path, keylog: Path | None) -> Opener | None:
    """Take the keys of a file, and those in the capture; None where there are none."""
    keys = Keys()
    if keylog is not None:
        with usable(keylog):
            keys = read_keys(keylog)
    else:
        capture = Capture(file)
        try:
            for _ in capture.packets():
                pass
        except DecodeError:
            return None  # a file that is cut: whoever reads it shows what there is, and says so
        if not capture.key_lines:
            return None
    return opener(file, keys)


def _claimants(file: Path, eid: Eid | None) -> frozenset[int]:
    """Find the UEs of a device: what they are called before they have said who they are counts, too."""
    if eid is None:
        return frozenset()
    rows = decode_rows(read_capture(file))
    return frozenset(row.ue for row in rows if row.eid == eid.digits and row.ue is not None)


def _print_table(rows: Iterable[Row]) -> None:
    began = None
    for row in rows:
        if began is None:
            began = row.time
            print(_HEAD)
        print(_line(row, began))
    if began is None:
        print("no messages")


def _line(row: Row, began: float) -> str:
    ue = "" if row.ue is None else f"{row.ue:08x}"
    arrow = {None: " ", UPLINK: "→"}.get(row.direction, "←")
    name = row.message + (" *" if row.protected else "")
    head = f"{row.frame:>6} {row.time - began:>10.6f} {row.link:<10} {ue:<8} {row.step or '':>4} {arrow} {name:<28} "
    members = " ".join(_member(row.fields))
    return head + (members if len(members) <= _WIDEST else members[: _WIDEST - 1] + "…")


def _member(fields: dict[str, Any]) -> Iterator[str]:
    for key, value in fields.items():
        match value:
            case dict():
                yield f"{key}={{{' '.join(_member(value))}}}"
            case list():
                yield f"{key}=[{len(value)}]"
            case _:
                yield f"{key}={value}"
