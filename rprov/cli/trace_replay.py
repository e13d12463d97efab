"""`rprov trace replay`: one side of a capture against a live node, and where that behaves otherwise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rprov.cli.running import run
from rprov.cli.trace import usable
from rprov.cli.trace_decode import UE
from rprov.cli.words import FILE, Parsed
from rprov.config import load_ran, load_ue
from rprov.daemon.replay import CLOSED, Played, Replay, Replayed
from rprov.errors import ConfigError
from rprov.model.numbers import ExitCode
from rprov.trace.behaviour import Said
from rprov.trace.capture import read_capture
from rprov.trace.script import Against, Line, Script, script_of
from rprov.transport.link import Address, Link, LinkLost
from rprov.wiring.replay import CpPlace, UePlace, cell_at, cell_of, cp_at, cp_of

_NODE = {Against.CP: "the CP", Against.UE: "the device"}


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host, int(port))


ADDRESS = Parsed("host:port", _address)


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--against",
    type=click.Choice([item.value for item in Against]),
    required=True,
    help="The live node: a CP, to which RAN and UEs of the capture are played, or a device, to which the cell is.",
)
@click.option(
    "-c", "--config", type=FILE, help="Against a CP the configuration of its RAN, against a device the device's own."
)
@click.option("--at", type=ADDRESS, help="Where the CP is, without TLS; or where the device looks for its cell.")
@click.option("--ue", type=UE, help="Only one UE, by ueRadioId or ranUeId (decimal, or 0x…).")
@click.option(
    "--wait", type=click.FloatRange(0.01, 3600), default=5.0, show_default=True, help="Seconds for each message."
)
@click.option(
    "--arrival",
    type=click.FloatRange(0.01, 86400),
    default=60.0,
    show_default=True,
    help="Seconds until the device has to be there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(
    file: Path,
    against: str,
    config: Path | None,
    at: Address | None,
    ue: int | None,
    wait: float,
    arrival: float,
    as_json: bool,
) -> int:
    """Say to a live node what a capture has, as far as that is not drawn anew in every run, and hold its answers
    against those of the capture.

    Ends with 0 where it behaves alike as far as that can be compared, with 1 at the first difference, with 2 where
    nothing could be compared."""
    side = Against(against)
    with usable(file):
        script = script_of(read_capture(file), side, ue)
    tell = _quiet if as_json else _tell
    if side is Against.CP:
        outcome = run(_against_cp(_cp(config, at), script, wait, tell))
    else:
        outcome = run(_against_ue(_cell(config, at), script, wait, arrival, tell))
    if as_json:
        click.echo(json.dumps(_report(script, outcome), indent=2))
    else:
        click.echo(f"{file}: {_sentence(script, outcome)}")
    return ExitCode.DONE if outcome.difference is None else ExitCode.FAILED


# --- the live node ----------------------------------------------------------------------------------------------------


def _only_one(config: Path | None, at: Address | None) -> None:
    if (config is None) == (at is None):
        raise ConfigError("say where the live node is: either -c FILE or --at HOST:PORT")


def _cp(config: Path | None, at: Address | None) -> CpPlace:
    _only_one(config, at)
    return cp_of(load_ran(config)) if config is not None else cp_at(*(at or Address("", 0)))


def _cell(config: Path | None, at: Address | None) -> UePlace:
    _only_one(config, at)
    return cell_of(load_ue(config)) if config is not None else cell_at(*(at or Address("", 0)))


async def _against_cp(place: CpPlace, script: Script, wait: float, tell: Callable[[Played], None]) -> Replayed:
    try:
        link = await place.connect()
    except LinkLost as error:
        raise ConfigError(f"nothing was played: {error}") from None
    try:
        outcome = await Replay(script, link, wait, place.ran_name).run(tell)
    finally:
        link.abort()
    first = outcome.difference
    if first is not None and first.live == CLOSED and not outcome.compared:
        raise ConfigError(
            f"the CP at {link.peer} closed the link before it answered; it may want TLS (-c takes the file of its RAN)"
        )
    return outcome


async def _against_ue(
    place: UePlace, script: Script, wait: float, arrival: float, tell: Callable[[Played], None]
) -> Replayed:
    outcomes: list[Replayed] = []

    async def serve(link: Link) -> None:
        outcomes.append(await Replay(script, link, wait).run(tell))

    def ready(port: int) -> None:
        click.echo(f"waiting for the device at {Address(place.host, port)}", err=True)

    if not await place.meet(ready, serve, arrival):
        raise ConfigError(f"nothing was played: no device came to {place.host} in {arrival:g} s")
    return outcomes[0]


# --- what is told -----------------------------------------------------------------------------------------------------


def _quiet(_played: Played) -> None:
    return


def _tell(played: Played) -> None:
    line = played.line
    arrow = "→" if line.played else "←"
    ue = "" if line.seen.ue is None else f"{line.seen.ue:08x}"
    click.echo(f"{line.frame:>6} {ue:<8} {arrow} {line.heard.said!s:<58} {_word(played)}")


def _word(played: Played) -> str:
    if played.line.ends:
        return f"not played: {played.line.ends.value}"
    if played.line.played:
        return "played"
    return "agrees" if played.agrees else f"DIFFERS: {played.live}"


def _sentence(script: Script, outcome: Replayed) -> str:
    node = _NODE[script.against]
    first = outcome.difference
    if first is not None:
        return f"frame {first.line.frame}: the capture has {first.line.heard.said}, {node} says {first.live}"
    alike = f"{node} behaves alike in the {outcome.compared} messages that were compared"
    ends = [f"frame {line.frame}{_of(line)}" for line in (played.line for played in outcome.done) if line.ends]
    return f"{alike}; from {' and '.join(ends)} on nothing can be" if ends else f"{alike}, to the end of the capture"


def _of(line: Line) -> str:
    return "" if line.seen.ue is None else f" of UE {line.seen.ue:08x}"


def _report(script: Script, outcome: Replayed) -> dict[str, Any]:
    first = outcome.difference
    return {
        "against": script.against.value,
        "alike": first is None,
        "compared": outcome.compared,
        "first": None if first is None else _line(first),
        "not_played": [_line(played) for played in outcome.done if played.line.ends],
        "lines": [_line(played) for played in outcome.done],
        "other_connections": script.others,
    }


def _line(played: Played) -> dict[str, Any]:
    line = played.line
    found: dict[str, Any] = {"frame": line.frame, "ue": line.seen.ue, "capture": _said(line.heard.said)}
    if line.ends:
        return found | {"did": "not played", "why": line.ends.value}
    if line.played:
        return found | {"did": "played"}
    live = None if played.live is None else _said(played.live)
    return found | {"did": "agrees" if played.agrees else "differs", "live": live}


def _said(said: Said) -> dict[str, str | None]:
    return {"message": said.message, "cause": None if said.cause is None else said.cause.name, "kind": said.kind}
