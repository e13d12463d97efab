"""The scripts that a newcomer runs first: whole, executable, and clear about what is missing."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ("tools/check", "tools/demo", ".ci/run")


def bash(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("script", [*SCRIPTS, "tools/venv.sh"])
def test_a_script_is_whole(script: str) -> None:
    done = bash("bash", "-n", ROOT / script)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_and_stops_at_the_first_failure(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail" in (ROOT / script).read_text(encoding="utf-8")


def test_check_tells_how_it_is_used_from_anywhere(tmp_path: Path) -> None:
    done = bash(ROOT / "tools/check", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "tools/check --all" in done.stdout


@pytest.mark.parametrize("script", ["tools/check", "tools/demo"])
def test_a_missing_python_is_named(script: str, tmp_path: Path) -> None:
    done = bash(ROOT / script, cwd=tmp_path, PYTHON="/no/such/python")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "/no/such/python is missing; rprov needs Python 3.11 or newer" in done.stderr


@pytest.mark.parametrize("script", ["tools/check", "tools/demo"])
def test_an_old_python_is_refused(script: str, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = bash(ROOT / script, PYTHON=str(old))
    assert done.returncode == 3
    assert "needs Python 3.11 or newer; Python 3.9.2 is at" in done.stderr
