"""The OCSP response that a network staples, in its file: read again when that changes, and never stale unsaid.

Whoever fetches responses from the network's CA replaces the file; nothing here asks anybody.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.x509 import Certificate

from rprov.crypto.ocsp import Staple
from rprov.errors import ConfigError
from rprov.store.ocsp import load_staple

_LOG = logging.getLogger("rprov.certificates")


class StapleFile:
    """What is to be stapled now, if there is a file."""

    __slots__ = ("_chain", "_path", "_seen", "_stale_said", "_staple")

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._chain: Sequence[Certificate] = ()
        self._seen: tuple[int, int, int] | None = None
        self._staple: Staple | None = None
        self._stale_said = False

    def read(self, chain: Sequence[Certificate], now: datetime) -> None:
        """Read it for the first certificate of `chain`; raises `ConfigError`, and then everything stays as it was."""
        if self._path is None:
            return
        seen = self._mark(self._path)
        self._staple = load_staple(self._path, chain, now)
        self._chain, self._seen, self._stale_said = chain, seen, False
        if now <= self._staple.until:
            _LOG.info("stapled: the OCSP response of %s, good until %s", self._path, self._staple.until)
        self._say_stale(self._staple, now)

    def refreshed(self) -> Staple | None:
        """Give what is to be stapled, after a look at the file: one call to the system for each handshake."""
        if self._path is None:
            return None
        now = datetime.now(UTC)
        if (seen := self._mark(self._path)) != self._seen:
            try:
                self.read(self._chain, now)
            except ConfigError as error:
                self._seen = seen  # said once for each change
                _LOG.error("the OCSP response is not exchanged: %s", error)
        if self._staple is not None:
            self._say_stale(self._staple, now)
        return self._staple

    def _say_stale(self, staple: Staple, now: datetime) -> None:
        if now > staple.until and not self._stale_said:
            self._stale_said = True
            _LOG.error("the OCSP response of %s was good until %s: nothing is stapled", self._path, staple.until)

    @staticmethod
    def _mark(path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
