"""`rprov …` as processes of their own: their lines as they come, their signals, their exit codes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rprov.config import format_settings

SECONDS = 30.0


class Lines:
    """What a process says on one stream; can be waited on."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def so_far(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    def wait_for(self, text: str, times: int = 1) -> str:
        """Wait until so many lines have this text; gives the last of them."""

        def found() -> list[str]:
            return [line for line in self._lines if text in line]

        with self._changed:
            there = self._changed.wait_for(lambda: len(found()) >= times or self._ended, SECONDS)
            assert there, f"no {text!r} in {SECONDS} s, but {self._lines}"
            assert len(found()) >= times, f"no {text!r}, but {self._lines}"
            return found()[times - 1]

    def close(self) -> None:
        self._thread.join(SECONDS)
        self._stream.close()


class Process:
    """One `rprov` that runs."""

    def __init__(self, *arguments: str, cwd: Path | None = None, before: Sequence[str] = ()) -> None:
        """`before` is what stands in front of the command (setpriv, nsenter)."""
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", "rprov", *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background job ignores SIGINT, and what it starts would too
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"},
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out, self.err = Lines(self._process.stdout), Lines(self._process.stderr)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.out.close()
        self.err.close()

    def ready(self) -> dict[str, str]:
        """Wait for the ready line; gives what it names, and the port of its first address as `port`."""
        words = dict(word.split("=", 1) for word in self.out.wait_for(" ready ").split() if "=" in word)
        first = next(iter(words.values()))
        return {**words, "port": first.rpartition(":")[2]}

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for the exit code."""
        code = self._process.wait(SECONDS)
        self.out.close()
        self.err.close()
        return code

    def terminate(self) -> int:
        """Ask to end in order; gives the exit code."""
        self.send(signal.SIGTERM)
        return self.end()


def write_settings(path: Path, settings: object) -> Path:
    """Write settings as the file that a process reads."""
    path.write_text(format_settings(settings))  # type: ignore[arg-type]
    return path
