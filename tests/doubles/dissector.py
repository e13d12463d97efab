"""What tshark reads with our dissector, in a form that can be compared with what `rprov trace decode` reads.

for frame, reading in dissected(path): …      reading.message, reading.fields: [(path, what it shows)]
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rprov.causes import Cause

DISSECTOR = Path(__file__).parents[2] / "tools" / "wireshark" / "rprov.lua"
_OURS = ("rprov.nas", "rprov.n2", "rprov.radio", "rprov.user")
_EXPERTS = frozenset(
    f"rprov.{name}"
    for name in (
        "malformed",
        "unknown",
        "cause",
        "unprotected",
        "not_ciphered",
        "null_ciphering",
        "key",
        "ciphered",
        "inside",
    )
)


@dataclass
class Reading:
    """What tshark shows of one frame."""

    message: str | None = None
    fields: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, value, and the line in which it stands."""
    headers: dict[str, str] = field(default_factory=dict)
    malformed: list[str] = field(default_factory=list)
    experts: list[str] = field(default_factory=list)
    protocols: list[str] = field(default_factory=list)


def tshark(pcap: Path, *arguments: str) -> str:
    """Run tshark with our dissector; an error of Lua fails the test."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is missing: apt-get install tshark")
    environment = {**os.environ, "HOME": str(pcap.parent), "LC_ALL": "C.UTF-8"}
    command = [program, "-X", f"lua_script:{DISSECTOR}", "-r", str(pcap)]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line and "as user" not in line], done.stderr
    wrong = [line for line in done.stdout.splitlines() if "Lua Error" in line]
    assert not wrong, wrong[:3]
    return done.stdout


def dissected(pcap: Path, *arguments: str) -> Iterator[tuple[int, Reading]]:
    """Give the number of each frame and what is in it."""
    text = tshark(pcap, *arguments, "-T", "pdml")
    for packet in ElementTree.fromstring(text).iter("packet"):
        reading = Reading()
        for proto in packet.iter("proto"):
            name = proto.get("name", "")
            reading.protocols.append(name)
            if name in _OURS:
                _protocol(proto, f"{name}.", reading)
        parts = list(packet.iter("field"))
        reading.experts = [part.get("name", "") for part in parts if part.get("name") in _EXPERTS]
        (number,) = (int(part.get("show", "")) for part in parts if part.get("name") == "num")
        yield number, reading


def _protocol(proto: ElementTree.Element, prefix: str, reading: Reading) -> None:
    """Take the fields of one protocol: those of its header, the message's name, those of the message."""
    named = False
    for item in proto.findall("field"):
        name = item.get("name", "")
        if name == prefix + "message":
            named, reading.message = True, item.get("show", "")
        elif name == prefix + "malformed":
            reading.malformed.append(item.get("show", ""))
        elif named:
            _member(item, prefix, reading)
        elif name.startswith(prefix):
            reading.headers[name] = item.get("show", "")


def _member(item: ElementTree.Element, prefix: str, reading: Reading) -> None:
    path = item.get("name", "").removeprefix(prefix)
    if not item.get("name", "").startswith(prefix):
        return  # of another dissector
    reading.fields.append((path, item.get("show", ""), item.get("showname", "")))
    if path != "attach_request":  # what is inside is a message of its own
        for part in item.findall("field"):
            _member(part, prefix, reading)


# --- ours, in the same form -------------------------------------------------------------------------------------------


def flat(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give path and value of each member, as the dissector names them."""
    for name, value in fields.items():
        if not (prefix == "" and name == "security"):
            yield from _flat(value, prefix, name)


def _flat(value: Any, prefix: str, name: str) -> Iterator[tuple[str, Any]]:
    match value:
        case list():
            for item in value:
                yield from _flat(item, prefix, name)
        case {"packet": packet} if len(value) == 1:
            yield prefix + name, packet
        case dict() if len(value) == 1 and next(iter(value))[0].isupper():  # one of several types
            ((kind, inner),) = value.items()
            yield from _flat(inner, prefix, "aka" if kind.startswith("Aka") else _snake(kind))
        case dict():
            yield prefix + name, None
            yield from flat(value, f"{prefix}{name}.")
        case _:
            yield prefix + name, value


def _snake(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()


def same(ours: Iterable[tuple[str, Any]], theirs: Iterable[tuple[str, str, str]]) -> list[str]:
    """Say what differs, in the order of the paths."""
    mine, found = sorted(ours, key=_path), sorted(theirs, key=_path)
    if [path for path, _ in mine] != [path for path, _, _ in found]:
        return [f"{[path for path, _ in mine]} / {[path for path, _, _ in found]}"]
    return [
        f"{path}: {value!r} / {shown!r}"
        for (path, value), (_, shown, line) in zip(mine, found, strict=True)
        if not _agree(value, shown, line)
    ]


def _path(item: tuple[Any, ...]) -> str:
    return str(item[0])


def _agree(value: Any, shown: str, line: str) -> bool:
    match value:
        case None:
            return shown == ""
        case bool():
            return shown in (("1", "True") if value else ("0", "False"))
        case int():
            return int(shown, 0) == value
        case _ if str(value).startswith("Secret("):
            return len(shown.replace(":", "")) == 64
        case _:
            if value == Cause.PROTOCOL_ERROR.name and int(shown) not in list(Cause):
                return True  # a number that nobody knows; Wireshark shows the number
            named = re.search(r": (\w+) \(\d+\)$", line)
            return str(value) in (shown, shown.replace(":", ""), named and named[1])
