"""The audit log: who was let in, on what proof, and why. Append-only, one line of JSON each, chained by hashes.

    {"n":3,"t":"2026-11-24T02:31:07.123456Z","prev":"<hash of line 2>", ...what happened..., "hash":"<of this line>"}

`hash` is the SHA-256 over the line's octets up to `,"hash"`; `prev` repeats the one before, and is 64 zeros in line 1.
So nobody changes, removes, inserts or swaps a line and leaves the rest as it was. Whoever can write the file can still
make up a whole new end: keep the last hash (the head) somewhere else, and `verify` compares with it.

Knows no role and decides nothing. A daemon never waits for the disk: a thread of the log's own writes and syncs.
"""

import fcntl
import hashlib
import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from rprov.errors import ConfigError, EnvironmentLacks, RprovError
from rprov.model.report import ReportItem, Verdict
from rprov.trace.recorder import verdict_fields

_LOG = logging.getLogger("rprov.audit")

NOTHING_BEFORE = "0" * 64
MAX_LINE = 16_384
"""Octets of a line that is still read; ours have some 500."""

_MARK = b',"hash":"'
_END = b'"}\n'
_HASH_DIGITS = 64
_TAIL = len(_MARK) + _HASH_DIGITS + len(_END)

Value = str | int | None


class Broken(RprovError):
    """A line that does not follow from those before it."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {what}")


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a log ends: how many lines it has, the hash of the last, and when the first and the last were written."""

    lines: int = 0
    head: str = NOTHING_BEFORE
    first: str = ""
    last: str = ""


def line_of(number: int, at: datetime, previous: str, what: Mapping[str, Value]) -> tuple[bytes, str]:
    """Give a line of the log and its hash."""
    stamp = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    body = json.dumps({"n": number, "t": stamp, "prev": previous, **what}, ensure_ascii=True, separators=(",", ":"))
    begun = body[:-1].encode("ascii")
    digest = hashlib.sha256(begun).hexdigest()
    return begun + _MARK + digest.encode("ascii") + _END, digest


def follow(lines: Iterator[bytes], head: str | None = None) -> Chain:
    """Check a log from its first line to its last, and say where it ends; raises `Broken` at the first bad line.

    With a `head`, the line that had this hash must be there.
    """
    chain, known = Chain(), head in (None, NOTHING_BEFORE)
    for number, line in enumerate(lines, 1):
        entry, digest = _checked(number, line)
        if entry.get("n") != number:
            raise Broken(number, f"it says that it is line {entry.get('n')}: lines are missing, or are not in order")
        if entry.get("prev") != chain.head:
            raise Broken(number, "it does not follow the line before it")
        stamp = entry.get("t")
        if not isinstance(stamp, str):
            raise Broken(number, "it does not say when it was written")
        chain, known = Chain(number, digest, chain.first or stamp, stamp), known or digest == head
    if not known:
        raise Broken(chain.lines, f"the log ends without the line of head {head}: its end was cut off or made up")
    return chain


def _checked(number: int, line: bytes) -> tuple[dict[str, Any], str]:
    if not line.endswith(b"\n"):
        raise Broken(number, "it has no end: the log was cut off, or its writer was")
    begun, digest = line[:-_TAIL], line[-_HASH_DIGITS - len(_END) : -len(_END)]
    if len(line) <= _TAIL or line[-_TAIL : -_TAIL + len(_MARK)] != _MARK or not line.endswith(_END):
        raise Broken(number, "it is no line of an audit log")
    if hashlib.sha256(begun).hexdigest().encode("ascii") != digest:
        raise Broken(number, "it was changed after it was written")
    try:
        entry = json.loads(begun + b"}")
    except ValueError:
        raise Broken(number, "it is no JSON") from None
    if not isinstance(entry, dict):
        raise Broken(number, "it is no JSON object")
    return entry, digest.decode("ascii")


def read_chain(path: Path, head: str | None = None) -> Chain:
    """Check a file as `follow` does; raises `Broken`, and `ConfigError` for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return follow(_lines(file), head)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise Broken(number, f"it has more than {MAX_LINE} octets")
        yield line


class AuditLog:
    """One open audit log, and the thread that writes it."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open `path`, or make it, and go on where it ends.

        Raises `ConfigError` for a log that is broken or is no log, `EnvironmentLacks` for one that cannot be written.
        """
        self._path = path
        self._now = now
        self.lost = 0
        """How many entries the disk did not take."""
        self._fd = _open(path)
        try:
            self._chain = read_chain(path)
        except RprovError as error:
            os.close(self._fd)
            if not isinstance(error, Broken):
                raise
            raise ConfigError(
                f"{path}: {error}; nothing is appended to a broken audit log: keep it for whoever looks into it, "
                "and move it away to begin a new one"
            ) from error
        self._queue: queue.SimpleQueue[tuple[datetime, Mapping[str, Value]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"audit {path.name}", daemon=True)
        self._thread.start()

    def append(self, what: Mapping[str, Value]) -> None:
        """Take one entry; never waits. Keys `n`, `t`, `prev` and `hash` are the log's own."""
        self._queue.put((self._now(), what))

    def close(self) -> Chain:
        """Write what waits, close the file, and say where the log ends."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            os.close(self._fd)
        return self._chain

    def _run(self) -> None:
        while True:
            waiting = [self._queue.get()]
            with suppress(queue.Empty):
                while True:
                    waiting.append(self._queue.get_nowait())
            entries = [entry for entry in waiting if entry is not None]
            if entries:
                self._write(entries)
            if len(entries) < len(waiting):
                return

    def _write(self, entries: list[tuple[datetime, Mapping[str, Value]]]) -> None:
        """Write a batch and sync it once; the chain goes on only from what the disk has taken whole."""
        begun = os.fstat(self._fd).st_size
        chain, octets = self._chain, bytearray()
        for at, what in entries:
            line, digest = line_of(chain.lines + 1, at, chain.head, what)
            chain = Chain(chain.lines + 1, digest, chain.first, chain.last)
            octets += line
        try:
            written = 0
            while written < len(octets):
                written += os.write(self._fd, octets[written:])
            os.fsync(self._fd)
        except OSError as error:
            # Half a line would break the chain for good: better a batch less, and a line in the daemon's log.
            with suppress(OSError):
                os.ftruncate(self._fd, begun)
            self.lost += len(entries)
            _LOG.error("%s: %d entries are lost: %s", self._path, len(entries), error.strerror)
            return
        self._chain = chain


class AuditRecorder:
    """Takes every verdict of one node into its audit log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def record(self, item: ReportItem) -> None:
        """Take one item; only verdicts concern an audit."""
        if isinstance(item, Verdict):
            self._log.append({"role": item.role, "ue": item.ue, **verdict_fields(item)})


def _open(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise EnvironmentLacks(f"{path}: another process writes this audit log") from error
    return fd
