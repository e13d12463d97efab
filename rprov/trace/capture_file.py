"""A capture as it grows: a queue that never blocks whoever records, a thread that writes, and files that take turns.

What does not fit into the queue, or onto the disk, is counted in `dropped`. Knows blocks, not what is in them.
"""

import logging
import os
import threading
import time
from collections import deque
from pathlib import Path

from rprov.errors import EnvironmentLacks
from rprov.trace.keylog import KeyLog
from rprov.trace.pcapng_write import secrets

_LOG = logging.getLogger("rprov.trace")

LARGEST_QUEUE = 64 * 1024 * 1024
"""Octets that may wait for the disk."""

WRITE_SECONDS = 0.2
"""How long a record waits at most before it is written."""

HOLD_SECONDS = 0.6
"""How long a record waits where keys are embedded: they are known a moment after the record that they open, and must
stand before it in the file."""

_MOST_SECRETS = 1024 * 1024
_WAKE_AT = 1024 * 1024


class CaptureFile:
    """One capture. `record` may be called from any thread."""

    def __init__(
        self, path: Path, header: bytes, *, max_size: int = 0, keep: int = 0, embedded: KeyLog | None = None
    ) -> None:
        """Begin a file with `header`; every later one begins so, too. Raises `EnvironmentLacks`."""
        self._path = path
        self._header = header
        self._max_size = max_size
        self._keep = keep
        self._keys = embedded
        self._keys_read = embedded.began_at if embedded is not None else 0
        self._keys_rest = b""
        self._secrets = b""
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_octets = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = False
        self.dropped = 0
        """Records that are not in the file."""
        self._failed = False
        try:
            self._file = self._begin()
        except OSError as error:
            raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._run, name=f"capture {path.name}", daemon=True)
        self._thread.start()

    def record(self, block: bytes) -> None:
        """Take one block."""
        with self._lock:
            if self._ending or self._waiting_octets + len(block) > LARGEST_QUEUE:
                self.dropped += 1
                return
            self._waiting.append((time.monotonic(), block))
            self._waiting_octets += len(block)
            full = self._waiting_octets >= _WAKE_AT
        if full:
            self._wake.set()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._lock:
            self._ending = True
        self._wake.set()
        self._thread.join()
        os.close(self._file)
        if self.dropped:
            _LOG.warning("%s: %d records are missing", self._path, self.dropped)

    def _begin(self) -> int:
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._size = 0
        try:
            self._put(number, self._header + (secrets(self._secrets) if self._secrets else b""))
        except OSError:
            os.close(number)
            raise
        return number

    def _put(self, number: int, octets: bytes) -> None:
        left = memoryview(octets)
        while left:
            left = left[os.write(number, left) :]
        self._size += len(octets)

    def _run(self) -> None:
        while True:
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()
            with self._lock:
                ending = self._ending
                batch = self._take(ending)
            self._write(batch)
            if ending:
                return

    def _take(self, everything: bool) -> list[bytes]:
        """Take what is due; the lock is held."""
        if everything or self._keys is None or self._waiting_octets > LARGEST_QUEUE // 2:
            batch = [block for _, block in self._waiting]
            self._waiting.clear()
            self._waiting_octets = 0
            return batch
        batch = []
        due = time.monotonic() - HOLD_SECONDS
        while self._waiting and self._waiting[0][0] <= due:
            batch.append(self._waiting.popleft()[1])
        self._waiting_octets -= sum(map(len, batch))
        return batch

    def _write(self, batch: list[bytes]) -> None:
        if self._failed:
            self.dropped += len(batch)
            return
        try:
            if lines := self._new_keys():
                self._put(self._file, secrets(lines))
            for block in batch:
                if self._max_size and self._size + len(block) > self._max_size:
                    self._turn()
                self._put(self._file, block)
        except OSError as error:
            # Half a block may be there: nothing that comes after it could be read.
            self._failed = True
            self.dropped += len(batch)
            _LOG.error("%s: nothing more is recorded: %s", self._path, error.strerror)

    def _turn(self) -> None:
        """Go on in a new file, and let the oldest go."""
        os.close(self._file)
        for age in range(self._keep, 0, -1):
            older = self._aged(age - 1)
            if older.exists():
                older.replace(self._aged(age))
        self._file = self._begin()

    def _aged(self, age: int) -> Path:
        return self._path if age == 0 else self._path.with_name(f"{self._path.name}.{age}")

    def _new_keys(self) -> bytes:
        """Give the whole lines that the key log has more than last time."""
        if self._keys is None:
            return b""
        with self._keys.path.open("rb") as file:
            file.seek(self._keys_read)
            new = file.read()
        self._keys_read += len(new)
        lines, end, rest = (self._keys_rest + new).rpartition(b"\n")
        self._keys_rest = rest
        # A new file must open by itself; of very many keys the latest will do.
        self._secrets = (self._secrets + lines + end)[-_MOST_SECRETS:]
        return lines + end
