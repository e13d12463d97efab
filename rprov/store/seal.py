"""Secrets at rest: AES-256-GCM under a key that stands in a file of its own.

    | version 1 (1) | nonce (12) | ciphertext | tag (16) |

What is sealed is bound to its place (table, column, row), so that a sealed value moved elsewhere does not open.
Refuses to know what is inside.
"""

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rprov.errors import ConfigError, RprovError
from rprov.model.secret import Secret

_VERSION = b"\x01"
_NONCE_LENGTH = 12
_KEY_LENGTH = 32


class SealBroken(RprovError):
    """A sealed value that does not open: another key, another place, or changed octets."""


class SealingKey(Secret):
    """The key of a store, 32 octets."""


class Seal:
    """Seals and opens values with one key."""

    def __init__(self, key: SealingKey) -> None:
        self._cipher = AESGCM(key.octets)

    def close(self, plain: bytes, place: str) -> bytes:
        """Seal `plain` for `place`."""
        # random nonces are safe for 2^32 values under one key (NIST SP 800-38D 8.3)
        nonce = os.urandom(_NONCE_LENGTH)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Open what was sealed for `place`; raises `SealBroken`."""
        if sealed[:1] != _VERSION or len(sealed) < 1 + _NONCE_LENGTH + 16:
            raise SealBroken(f"{place} is not sealed in a way that this version knows")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE_LENGTH], sealed[1 + _NONCE_LENGTH :], place.encode())
        except InvalidTag:
            raise SealBroken(f"{place} does not open with this key") from None


def new_sealing_key() -> SealingKey:
    """Make a key for a store that lives in memory only."""
    return SealingKey(os.urandom(_KEY_LENGTH))


def load_sealing_key(path: Path, make: bool) -> SealingKey:
    """Read the key file; with `make` write a new one first where there is none. Raises `ConfigError`."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory for this key file")
    try:
        if make and not path.exists():
            _write_new_key(path)
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(_KEY_LENGTH + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: the file with the key that sealed the store is missing") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot use this key file: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: others may read this key file: chmod 600 it")
    if len(octets) != _KEY_LENGTH:
        raise ConfigError(f"{path}: a key file has {_KEY_LENGTH} octets")
    return SealingKey(octets)


def _write_new_key(path: Path) -> None:
    # Written aside and linked into place: whoever sees the file sees all of it, and of two processes one wins.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_KEY_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        aside.unlink()
