"""Known answers that others published, read from tests/vectors. Each file says from where in its own words."""

import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent.parent / "vectors"

Answer = dict[str, Any]


def known_answers(name: str) -> list[Answer]:
    """All objects of one file; none may be left out by whoever calls."""
    answers: list[Answer] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return answers


def each(name: str) -> Any:
    """One test per object of a file, named by its id."""
    return pytest.mark.parametrize("answer", known_answers(name), ids=lambda answer: str(answer["id"]))


def octets(text: str) -> bytes:
    return bytes.fromhex(text)
