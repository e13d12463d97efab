"""`rprov trace verify`: whether a run was right, from its capture and a key log alone."""

import json
from pathlib import Path

import click

from rprov.cli.trace import usable
from rprov.cli.words import FILE
from rprov.model.numbers import ExitCode
from rprov.store.pki import load_anchors
from rprov.trace.keylog import Keys, read_keys
from rprov.trace.verify.chains import Anchors
from rprov.trace.verify.check import Checked
from rprov.trace.verify.check import check as check_capture


@click.command()
@click.argument("file", type=FILE)
@click.option("--keylog", type=FILE, help="The keys of the run, where they do not stand in the capture itself.")
@click.option(
    "--anchors",
    type=FILE,
    multiple=True,
    help="Certificates that those of devices (a CI) and of networks must lead to, PEM; may be repeated.",
)
@click.option("--coverage", is_flag=True, help="Say which octets of each frame are covered, and by what.")
@click.option("--lossy", is_flag=True, help="Allow for user packets that the network has lost or reordered.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    file: Path, keylog: Path | None, anchors: tuple[Path, ...], coverage: bool, lossy: bool, as_json: bool
) -> int:
    """Check keys, MACs, COUNTs, certificates, order and restriction of a run; name the first thing that is wrong."""
    keys = Keys()
    if keylog is not None:
        with usable(keylog):
            keys = read_keys(keylog)
    with usable(file):
        checked = check_capture(file, keys, anchors=Anchors(load_anchors(anchors)), lossy=lossy)
    if coverage:
        _print_coverage(checked)
    elif as_json:
        _print_json(checked)
    else:
        _print(file, checked)
    if checked.ledger.faults and not (keys.tls or keys.k_ausf):
        click.echo(f"{file}: there are no keys in it: --keylog names a file of them", err=True)
    return ExitCode.FAILED if checked.ledger.faults else ExitCode.DONE


def _print(file: Path, checked: Checked) -> None:
    ledger = checked.ledger
    for text in ledger.proofs:
        click.echo(text)
    for text in ledger.unchecked:
        click.echo(f"not checked: {text}")
    first = ledger.first
    if first is None:
        click.echo(f"{file}: {checked.gathered.frames} frames, nothing is wrong")
        return
    click.echo(f"{file}: frame {first.frame}: {first.what}")
    if (others := len(ledger.faults) - 1) > 0:
        click.echo(f"and {others} more; --json tells them all")


def _print_json(checked: Checked) -> None:
    ledger = checked.ledger
    first = ledger.first
    report = {
        "right": first is None,
        "frames": checked.gathered.frames,
        "first": None if first is None else {"frame": first.frame, "fault": first.what},
        "faults": [{"frame": fault.frame, "fault": fault.what} for fault in sorted(ledger.faults)],
        "proved": ledger.proofs,
        "unchecked": ledger.unchecked,
    }
    click.echo(json.dumps(report, indent=2))


def _print_coverage(checked: Checked) -> None:
    for span in sorted(checked.ledger.spans, key=lambda span: (span.frame, span.offset, span.by)):
        values = {"frame": span.frame, "offset": span.offset, "length": span.length, "by": span.by}
        click.echo(json.dumps(values))
