"""The command line as a whole: help at once, one line for each error, the exit codes, never a traceback."""

import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rprov import __version__
from rprov.causes import Cause
from rprov.cli import main
from rprov.errors import ConfigError, EnvironmentLacks, Refused
from rprov.model.numbers import ExitCode

HEAVY = ("cryptography", "sqlalchemy", "rich", "asn1tools", "OpenSSL", "yaml", "httpcore", "uvloop", "asyncio")


def rprov(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rprov", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Give `rprov` one verb, and let it fail."""

    @click.command()
    def verb() -> None:
        raise error

    monkeypatch.setitem(sys.modules, "a_verb", type(sys)("a_verb"))
    monkeypatch.setattr(sys.modules["a_verb"], "verb", verb, raising=False)
    monkeypatch.setitem(main.VERBS, "verb", main.Verb("a_verb", "verb", "Fails."))


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rprov.cli.main import run\ncode = run(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    for verb in main.VERBS.values():
        assert verb.summary in done.stdout


def test_help_answers_at_once() -> None:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    # The processor's time, not the clock's: other tests run beside this one.
    begin = spent()
    assert rprov("--help").returncode == 0
    assert spent() - begin < 0.3


def test_every_verb_can_be_imported_and_has_help() -> None:
    for name in main.VERBS:
        assert main.run([name, "--help"]) == 0


def test_the_version_is_that_of_the_package() -> None:
    assert rprov("--version").stdout == f"rprov {__version__}\n"


def test_no_verb_is_wrong_use_and_shows_the_help() -> None:
    done = rprov()
    assert done.returncode == ExitCode.WRONG_USE
    assert "Commands" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["pki", "--nonsense"], ["pki", "issue", "device", "--eid", "12"], ["pki", "show"]]
)
def test_wrong_use_is_said_on_stderr(arguments: list[str]) -> None:
    done = rprov(*arguments)
    assert done.returncode == ExitCode.WRONG_USE
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("cp.yaml:3: a\ncp.yaml:4: b"), ExitCode.WRONG_USE, "rprov: cp.yaml:3: a\nrprov: cp.yaml:4: b\n"),
        (EnvironmentLacks("no /dev/net/tun"), ExitCode.ENVIRONMENT_LACKS, "rprov: no /dev/net/tun\n"),
        (Refused(Cause.NO_ORDER), ExitCode.FAILED, "rprov: no profile is ordered for this EID\n"),
        (
            PermissionError(13, "Permission denied", "x.db"),
            ExitCode.ENVIRONMENT_LACKS,
            "rprov: x.db: Permission denied\n",
        ),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "rprov: interrupted\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: ExitCode,
    text: str,
) -> None:
    raising(monkeypatch, error)
    assert main.run(["verb"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.lstrip("\n") == text  # click ends the line of the ^C


def test_a_mistake_of_ours_is_no_traceback_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("division by zero"))
    monkeypatch.delenv("RPROV_DEBUG", raising=False)
    assert main.run(["verb"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert said.startswith("rprov: a mistake of rprov itself, ZeroDivisionError: division by zero")
    monkeypatch.setenv("RPROV_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main.run(["verb"])


def test_a_verb_says_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def verb() -> ExitCode:
        return ExitCode.FAILED

    monkeypatch.setitem(sys.modules, "a_verb", type(sys)("a_verb"))
    monkeypatch.setattr(sys.modules["a_verb"], "verb", verb, raising=False)
    monkeypatch.setitem(main.VERBS, "verb", main.Verb("a_verb", "verb", "Says it."))
    assert main.run(["verb"]) == ExitCode.FAILED


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m rprov --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
