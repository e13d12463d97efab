"""`rprov ue | ran | cp | smdp | aaa`: one daemon in the foreground, from one file."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from rprov.cli.controlling import controlled
from rprov.cli.running import chosen_log, recording, run, serve
from rprov.cli.trace_options import chosen_trace, trace_options
from rprov.cli.words import FILE
from rprov.config import load_aaa, load_cp, load_ran, load_smdp, load_ue
from rprov.daemon.ue import UeDaemon, sentence
from rprov.model.aaa import AaaSettings
from rprov.model.control import ControlSettings
from rprov.model.numbers import ExitCode
from rprov.model.report import Recorder
from rprov.model.settings import CpSettings, Plan, RanSettings, SmdpSettings, UeSettings
from rprov.trace.tracing import Tracing, tracing
from rprov.wiring.aaa import open_aaa
from rprov.wiring.cp import open_cp
from rprov.wiring.node import Node
from rprov.wiring.ran import open_ran
from rprov.wiring.smdp import open_smdp
from rprov.wiring.ue import open_ue

DRAIN_SECONDS = 5.0
NO_CONTROL = ControlSettings(enabled=False)


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands on the command line of every daemon."""

    file: Path
    check: bool
    log_format: str | None
    verbose: int
    pcap: Path | None
    keylog: Path | None


def _options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a daemon's command the options of all, as its first argument."""

    @wraps(command)
    def take(
        *,
        file: Path,
        check: bool,
        log_format: str | None,
        verbose: int,
        pcap: Path | None,
        keylog: Path | None,
        **own: Any,
    ) -> int:
        return command(Typed(file, check, log_format, verbose, pcap, keylog), **own)

    taken: Callable[..., Any] = trace_options(take)
    for option in (
        click.option("-v", "--verbose", count=True, help="Log every transition."),
        click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines look."),
        click.option("--check", is_flag=True, help="Only read the configuration, and say what is wrong with it."),
        click.option("-c", "--config", "file", type=FILE, required=True, help="The daemon's configuration."),
    ):
        taken = option(taken)
    return taken


def _run(
    typed: Typed,
    settings: CpSettings | RanSettings | SmdpSettings | AaaSettings | UeSettings,
    work: Callable[[Recorder, Tracing], Any],
) -> int:
    chosen = chosen_trace(settings.trace, typed.pcap, typed.keylog)
    if typed.check:
        click.echo(f"{typed.file}: is right")
        return ExitCode.DONE
    log = chosen_log(settings.log, typed.log_format, typed.verbose)
    with recording(log) as recorder, tracing(chosen) as traced:
        return cast("int", run(work(recorder, traced)))


async def _serve(
    node: Node,
    ready: Callable[[Any], str],
    drain: Callable[[Any], Awaitable[None]] | None = None,
    *,
    role: str = "",
    control: ControlSettings = NO_CONTROL,
) -> int:
    """Start a node's daemon, say that it is ready, and run it until a signal ends it; `drain` lets it end in order."""
    daemon: Any = node.daemon  # of the kind that the command has opened
    try:
        async with controlled(control, role, lambda: daemon.links):
            await daemon.start()
            await serve(node, lambda: ready(daemon), None if drain is None else lambda: drain(daemon))
    finally:
        await node.close()
    return ExitCode.DONE


@click.command()
@_options
def cp(typed: Typed) -> int:
    """Run a core: authentication, mobility, sessions, subscribers, and the user plane."""
    settings = load_cp(typed.file)

    async def work(recorder: Recorder, traced: Tracing) -> int:
        return await _serve(
            await open_cp(settings, recorder, traced),
            lambda daemon: f"cp ready n2={settings.n2.host}:{daemon.port} plmn={settings.plmn}",
            lambda daemon: daemon.drain(DRAIN_SECONDS),
            role="cp",
            control=settings.control,
        )

    return _run(typed, settings, work)


@click.command()
@_options
def ran(typed: Typed) -> int:
    """Run a base station."""
    settings = load_ran(typed.file)

    async def work(recorder: Recorder, traced: Tracing) -> int:
        return await _serve(
            await open_ran(settings, recorder, traced),
            lambda daemon: f"ran ready radio={settings.radio.host}:{daemon.port} plmn={settings.plmn}",
            role="ran",
            control=settings.control,
        )

    return _run(typed, settings, work)


@click.command()
@_options
def smdp(typed: Typed) -> int:
    """Run a provisioning server (SM-DP+)."""
    settings = load_smdp(typed.file)

    async def work(recorder: Recorder, traced: Tracing) -> int:
        return await _serve(
            await open_smdp(settings, recorder, traced),
            lambda daemon: f"smdp ready es9={settings.listen.host}:{daemon.port} fqdn={settings.fqdn}",
        )

    return _run(typed, settings, work)


@click.command()
@_options
def aaa(typed: Typed) -> int:
    """Run an AAA server: EAP-TLS behind RADIUS, over UDP and over TLS."""
    settings = load_aaa(typed.file)

    async def work(recorder: Recorder, traced: Tracing) -> int:
        return await _serve(
            await open_aaa(settings, recorder, traced),
            lambda daemon: f"aaa ready {daemon.places}",
        )

    return _run(typed, settings, work)


@click.command()
@_options
@click.option("--stay", is_flag=True, help="Stay attached until a signal comes, instead of ending when attached.")
@click.option("--plan", type=click.Choice([plan.value for plan in Plan]), help="In place of the file's plan.")
def ue(typed: Typed, stay: bool, plan: str | None) -> int:
    """Run a device: get a subscription if it has none, attach, say how it went."""
    settings = load_ue(typed.file)
    return _run(typed, settings, lambda recorder, traced: _ue(settings, recorder, traced, stay, plan))


async def _ue(settings: UeSettings, recorder: Recorder, traced: Tracing, stay: bool, plan: str | None) -> int:
    node, intent = await open_ue(settings, recorder, Plan(plan) if plan else None, traced)
    daemon = cast("UeDaemon", node.daemon)
    try:
        async with controlled(settings.control, "ue", lambda: daemon.links):
            await daemon.start(intent)
            ended = await daemon.outcome()
            line = f"ue ready attached {daemon.summary}"
            if ended.ok and stay:
                if not await serve(node, lambda: line, lambda: daemon.detach(DRAIN_SECONDS), daemon.left):
                    ended = await daemon.left()
            elif ended.ok:
                click.echo(line)
                await daemon.detach(DRAIN_SECONDS)
        if not ended.ok:
            click.echo(f"rprov: {settings.name}: {sentence(ended)}", err=True)
            return ExitCode.FAILED
    finally:
        await node.close()
    return ExitCode.DONE
