"""`rprov ue | ran | cp | smdp | aaa`: one daemon in the foreground, from one file."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import click

from rprov.cli.running import chosen_log, recording, run, serve
from rprov.cli.words import FILE
from rprov.config import load_aaa, load_cp, load_ran, load_smdp, load_ue
from rprov.daemon.ue import UeDaemon, sentence
from rprov.model.numbers import ExitCode
from rprov.model.report import Recorder
from rprov.model.sections import (
    LogSettings,
)
from rprov.model.settings import Plan, UeSettings
from rprov.wiring.aaa import open_aaa
from rprov.wiring.cp import open_cp
from rprov.wiring.node import Node
from rprov.wiring.ran import open_ran
from rprov.wiring.smdp import open_smdp
from rprov.wiring.ue import open_ue

DRAIN_SECONDS = 5.0


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("-v", "--verbose", count=True, help="Log every transition."),
        click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines look."),
        click.option("--check", is_flag=True, help="Only read the configuration, and say what is wrong with it."),
        click.option("-c", "--config", "file", type=FILE, required=True, help="The daemon's configuration."),
    ):
        command = option(command)
    return command


def _run(
    check: bool, file: Path, log: LogSettings, log_format: str | None, verbose: int, work: Callable[[Recorder], Any]
) -> int:
    if check:
        click.echo(f"{file}: is right")
        return ExitCode.DONE
    with recording(chosen_log(log, log_format, verbose)) as recorder:
        return cast("int", run(work(recorder)))


async def _serve(node: Node, ready: Callable[[Any], str], drain: Callable[[Any], Awaitable[None]] | None = None) -> int:
    """Start a node's daemon, say that it is ready, and run it until a signal ends it; `drain` lets it end in order."""
    daemon: Any = node.daemon  # of the kind that the command has opened
    try:
        await daemon.start()
        await serve(node, lambda: ready(daemon), None if drain is None else lambda: drain(daemon))
    finally:
        await node.close()
    return ExitCode.DONE


@click.command()
@_options
def cp(file: Path, check: bool, log_format: str | None, verbose: int) -> int:
    """Run a core: authentication, mobility, sessions, subscribers, and the user plane."""
    settings = load_cp(file)

    async def work(recorder: Recorder) -> int:
        return await _serve(
            await open_cp(settings, recorder),
            lambda daemon: f"cp ready n2={settings.n2.host}:{daemon.port} plmn={settings.plmn}",
            lambda daemon: daemon.drain(DRAIN_SECONDS),
        )

    return _run(check, file, settings.log, log_format, verbose, work)


@click.command()
@_options
def ran(file: Path, check: bool, log_format: str | None, verbose: int) -> int:
    """Run a base station."""
    settings = load_ran(file)

    async def work(recorder: Recorder) -> int:
        return await _serve(
            await open_ran(settings, recorder),
            lambda daemon: f"ran ready radio={settings.radio.host}:{daemon.port} plmn={settings.plmn}",
        )

    return _run(check, file, settings.log, log_format, verbose, work)


@click.command()
@_options
def smdp(file: Path, check: bool, log_format: str | None, verbose: int) -> int:
    """Run a provisioning server (SM-DP+)."""
    settings = load_smdp(file)

    async def work(recorder: Recorder) -> int:
        return await _serve(
            await open_smdp(settings, recorder),
            lambda daemon: f"smdp ready es9={settings.listen.host}:{daemon.port} fqdn={settings.fqdn}",
        )

    return _run(check, file, settings.log, log_format, verbose, work)


@click.command()
@_options
def aaa(file: Path, check: bool, log_format: str | None, verbose: int) -> int:
    """Run an AAA server: EAP-TLS behind RADIUS, over UDP and over TLS."""
    settings = load_aaa(file)

    async def work(recorder: Recorder) -> int:
        return await _serve(
            await open_aaa(settings, recorder),
            lambda daemon: f"aaa ready {daemon.places}",
        )

    return _run(check, file, settings.log, log_format, verbose, work)


@click.command()
@_options
@click.option("--stay", is_flag=True, help="Stay attached until a signal comes, instead of ending when attached.")
@click.option("--plan", type=click.Choice([plan.value for plan in Plan]), help="In place of the file's plan.")
def ue(file: Path, check: bool, log_format: str | None, verbose: int, stay: bool, plan: str | None) -> int:
    """Run a device: get a subscription if it has none, attach, say how it went."""
    settings = load_ue(file)
    return _run(check, file, settings.log, log_format, verbose, lambda recorder: _ue(settings, recorder, stay, plan))


async def _ue(settings: UeSettings, recorder: Recorder, stay: bool, plan: str | None) -> int:
    node, intent = await open_ue(settings, recorder, plan=Plan(plan) if plan else None)
    daemon = cast("UeDaemon", node.daemon)
    try:
        await daemon.start(intent)
        ended = await daemon.outcome()
        line = f"ue ready attached {daemon.summary}"
        if ended.ok and stay and not await serve(node, lambda: line, lambda: daemon.detach(DRAIN_SECONDS), daemon.left):
            ended = await daemon.left()
        elif ended.ok and not stay:
            click.echo(line)
            await daemon.detach(DRAIN_SECONDS)
        if not ended.ok:
            click.echo(f"rprov: {settings.name}: {sentence(ended)}", err=True)
            return ExitCode.FAILED
    finally:
        await node.close()
    return ExitCode.DONE
