"""The options by which people ask a daemon or the demo for a capture and for keys, over what a file says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rprov.errors import ConfigError
from rprov.model.kinds import Unfit
from rprov.model.tracing import TraceSettings

_OUTPUT = click.Path(dir_okay=False, path_type=Path)


def trace_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--pcap` and `--keylog` to a command."""
    command = click.option(
        "--keylog", type=_OUTPUT, help="Add the keys of TLS and K_AUSF to this file: who reads it can read everything."
    )(command)
    return click.option(
        "--pcap", type=_OUTPUT, help="Write every message to this capture (pcapng), in place of what is there."
    )(command)


def chosen_trace(settings: TraceSettings, pcap: Path | None, keylog: Path | None) -> TraceSettings:
    """What the configuration says about captures, with what was typed in its place; raises `ConfigError`."""
    try:
        return replace(settings, pcap=pcap or settings.pcap, keylog=keylog or settings.keylog)
    except Unfit as error:
        raise ConfigError(f"trace.{error.key}: {error}") from None
