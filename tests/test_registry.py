"""The registry page says what the code says."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from rprov.model.numbers import ExitCode, LogField, Metric, Port, Ppid

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")


def test_the_page_is_not_stale() -> None:
    command = [sys.executable, str(ROOT / "tools" / "draw_registry.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [Ppid, Port, ExitCode])
def test_every_number_is_given_once(kind: type[Ppid] | type[Port] | type[ExitCode]) -> None:
    assert len({member.value for member in kind}) == len(kind.__members__)
    for member in kind:
        assert f"`{member.name}`" in PAGE


def test_every_name_stands_on_the_page() -> None:
    for name in [*LogField, *Metric]:
        assert f"`{name.value}`" in PAGE


def test_every_extra_stands_on_the_page() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for extra in setup["options.extras_require"]:
        assert f"| `{extra}` |" in PAGE
