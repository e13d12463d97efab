"""The pages speak of files, tests and commands that exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

import rprov
from rprov.cli.main import rprov as command_line
from rprov.model.numbers import ExitCode

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "docs/architecture.md",
    "docs/conformance.md",
    "docs/threats.md",
    "docs/trace.md",
    *sorted(f"docs/how-to/{page.name}" for page in (ROOT / "docs" / "how-to").glob("*.md")),
)
PLACES = ("rprov", "tests", "docs", "tools", "benchmarks", "examples", "asn1")


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_spans(page: str) -> Iterator[str]:
    """What stands between backticks in running text."""
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL))


def blocks(page: str, language: str) -> Iterator[str]:
    """The fenced blocks of a language; `""` for those of none."""
    for found, block in re.findall(r"^```(\w*)\n(.*?)^```$", text(page), flags=re.DOTALL | re.MULTILINE):
        if found == language:
            yield block


def spread(name: str) -> list[str]:
    """`a{b,c}` as a shell reads it."""
    parts = [part.strip("{}").split(",") if part.startswith("{") else [part] for part in re.split(r"(\{[^}]*\})", name)]
    return ["".join(each) for each in product(*parts)]


def commands() -> Iterator[tuple[str, str]]:
    """Every command of rprov in a shell block, with its page."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                if line.strip().startswith("rprov "):
                    yield page, line.strip()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    named = [span for span in code_spans(page) if span.lstrip("./").split("/")[0] in PLACES and "/" in span]
    missing = [
        name
        for span in named
        for name in spread(span.split("::")[0].split()[0].removeprefix("./"))
        if not list(ROOT.glob(name.rstrip("/")))
    ]
    assert not missing


def test_the_pages_name_many_files():
    assert sum("/" in span for page in PAGES for span in code_spans(page)) > 100


def functions_of_tests() -> dict[str, set[str]]:
    return {
        path.name: set(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (ROOT / "tests").rglob("test_*.py")
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page):
    there = functions_of_tests()
    named = [span.split("::") for span in code_spans(page) if re.fullmatch(r"test_\w+\.py::test_\w+", span)]
    missing = [f"{file}::{function}" for file, function in named if function not in there.get(file, ())]
    assert not missing
    assert (page in ("docs/conformance.md", "docs/threats.md")) == (len(named) > 50)


def test_every_line_of_the_threats_names_a_test_or_says_that_there_is_none():
    for line in text("docs/threats.md").splitlines():
        if line.startswith("| ") and not line.startswith("| attack"):
            assert "::test_" in line.split(" | ")[-1] or re.search(r"no test|none", line, re.IGNORECASE), line


def test_every_line_of_the_conformance_names_a_test_or_says_that_it_is_not_built():
    lines = [line for line in text("docs/conformance.md").splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith(("| clause", "| file"))]
    assert len(rows) > 80
    for line in rows:
        assert "::test_" in line or "not built" in line, line


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_is_one_of_ours(page, line):
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "&"]
    words = words[: words.index(">")] if ">" in words else words
    verb: list[str] = []
    group = command_line
    while words and hasattr(group, "get_command") and (found := group.get_command(None, words[0])) is not None:
        verb.append(words.pop(0))
        group = found
    assert verb, f"{page}: {line}"
    done = CliRunner().invoke(command_line, [*verb, "--help"])
    assert done.exit_code == 0
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", done.output), f"{page}: {line}"


def test_there_are_commands():
    assert len(list(commands())) > 15


def test_the_ladder_names_files_of_the_procedure():
    ladder = next(block for block in blocks("README.md", "") if "s1_attach.py" in block)
    for name in re.findall(r"[\w/]+\.py", ladder):
        assert (ROOT / "rprov" / "procedure" / name).exists() or (ROOT / name).exists(), name
    steps = sorted(path.name for path in (ROOT / "rprov" / "procedure").glob("s[1-7]_*.py"))
    assert [name for name in steps if name not in ladder] == []


def test_the_exit_codes_are_those_of_the_command():
    rows = re.findall(r"^\| (\d+) \|", text("README.md"), re.MULTILINE)
    assert [int(row) for row in rows] == [int(code) for code in ExitCode]


def test_the_changelog_knows_this_version():
    assert re.search(rf"^## \[.*{re.escape(rprov.__version__)}", text("CHANGELOG.md"), re.MULTILINE)


def test_the_list_of_modules_is_not_stale():
    command = [sys.executable, str(ROOT / "tools" / "draw_modules.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_floors_of_the_page_are_those_of_the_house():
    from test_house import FLOORS

    spec = importlib.util.spec_from_file_location("draw_modules", ROOT / "tools" / "draw_modules.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    ground_up = [set(floor) - {"asn1", "__main__"} for floor in FLOORS]
    assert [set(floor) for floor in reversed(tool.FLOORS)] == [floor for floor in ground_up if floor]
