"""Key logs: the lines of SSLKEYLOGFILE that OpenSSL writes, and our own for what TLS does not know.

    RPROV_KAUSF <run> <ue> <K_AUSF>      all hexadecimal: run 16 digits, ue 8 digits, K_AUSF 64 digits
    RPROV_SUPI <run> <ue> <SUPI>         the octets of its text: a SUCI conceals what K_AMF is made of

`run` names the node or demo that wrote the line, as the comment of its captures does; `ue` is what that node calls the
UE: ueRadioId at a UE, cpUeId at a CP. Whoever reads such a file reads everything; it belongs to its owner alone.
"""

import logging
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rprov.errors import DecodeError, EnvironmentLacks
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret

_LOG = logging.getLogger("rprov.trace")

OURS = "RPROV_KAUSF"
SUPI = "RPROV_SUPI"
LARGEST_FILE = 256 * 1024 * 1024
_LINE = re.compile(r"([A-Z][A-Z0-9_]{0,63}) ([0-9A-Fa-f]{2,128}) ([0-9A-Fa-f]{2,512})")
_SUPI = re.compile(r"RPROV_SUPI ([0-9a-f]{16}) ([0-9a-f]{8}) ((?:[0-9a-f]{2}){5,253})")
_OURS = re.compile(r"RPROV_KAUSF ([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{64})")


class KeyLog:
    """Takes lines for as long as a node runs. Without a path, a file that only this process knows."""

    def __init__(self, path: Path | None, run: str) -> None:
        """Open the file, readable by its owner only; raises `EnvironmentLacks`."""
        self._run = run
        self._passing = path is None
        try:
            if path is None:
                made, name = tempfile.mkstemp(prefix="rprov-keys-")
                os.close(made)
                path = Path(name)
            # Appending: TLS libraries write into the same file.
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.fchmod(number, 0o600)
        except OSError as error:
            raise EnvironmentLacks(f"{path}: cannot be written: {error.strerror}") from error
        self._number = number
        self.path = path
        """For TLS libraries that write such a file themselves."""
        self.began_at = os.fstat(number).st_size
        """How many octets were there before."""

    def line(self, line: bytes) -> None:
        """Take a line as TLS has it, without its end."""
        self._write(line.rstrip(b"\r\n") + b"\n")

    def k_ausf(self, ue: int, key: Secret) -> None:
        """Take K_AUSF of a UE."""
        self._write(f"{OURS} {self._run} {ue & 0xFFFFFFFF:08x} {key.octets.hex()}\n".encode("ascii"))

    def supi(self, ue: int, supi: Supi) -> None:
        """Take the SUPI that goes into K_AMF of a UE: its SUCI does not show it."""
        self._write(f"{SUPI} {self._run} {ue & 0xFFFFFFFF:08x} {supi.text.encode().hex()}\n".encode("ascii"))

    def _write(self, octets: bytes) -> None:
        try:
            os.write(self._number, octets)  # one call: lines of several writers stay whole
        except OSError as error:
            _LOG.error("%s: a key is not kept: %s", self.path, error.strerror)

    def close(self) -> None:
        """End; a file of our own goes."""
        os.close(self._number)
        if self._passing:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class LoggedKAusf:
    """One of our own lines."""

    run: str
    ue: int
    key: Secret


@dataclass(frozen=True, slots=True)
class LoggedSupi:
    """The other one of our own lines."""

    run: str
    ue: int
    supi: Supi


@dataclass(slots=True)
class Keys:
    """What key logs hold: secrets of TLS by label and client random, and K_AUSF in the order of the lines."""

    tls: dict[tuple[str, bytes], Secret] = field(default_factory=dict)
    k_ausf: list[LoggedKAusf] = field(default_factory=list)
    supis: list[LoggedSupi] = field(default_factory=list)

    def add(self, lines: Iterable[str]) -> None:
        """Take lines; comments and empty ones are skipped. Raises `DecodeError`."""
        for number, line in enumerate(lines, 1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            if stripped.startswith(OURS):
                found = _OURS.fullmatch(stripped)
                if found is None:
                    raise DecodeError(f"line {number} of the key log: {OURS} has a run, a UE and a key")
                self.k_ausf.append(LoggedKAusf(found[1], int(found[2], 16), Secret(bytes.fromhex(found[3]))))
                continue
            if stripped.startswith(SUPI):
                self.supis.append(_supi(number, stripped))
                continue
            found = _LINE.fullmatch(stripped)
            if found is None or len(found[2]) % 2 or len(found[3]) % 2:
                raise DecodeError(f"line {number} of the key log: expected LABEL RANDOM SECRET")
            self.tls[found[1], bytes.fromhex(found[2])] = Secret(bytes.fromhex(found[3]))


def _supi(number: int, line: str) -> LoggedSupi:
    found = _SUPI.fullmatch(line)
    if found is None:
        raise DecodeError(f"line {number} of the key log: {SUPI} has a run, a UE and a SUPI")
    try:
        return LoggedSupi(found[1], int(found[2], 16), Supi(bytes.fromhex(found[3]).decode("ascii")))
    except (UnicodeDecodeError, DecodeError):
        raise DecodeError(f"line {number} of the key log: that is no SUPI") from None


def read_keys(path: Path) -> Keys:
    """Read a key log; raises `DecodeError`, and `OSError` where there is none."""
    if path.stat().st_size > LARGEST_FILE:
        raise DecodeError(f"{path}: a key log has at most {LARGEST_FILE} octets")
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError(f"{path}: is no key log") from None
    keys = Keys()
    try:
        keys.add(text.splitlines())
    except DecodeError as error:
        raise DecodeError(f"{path}: {error}") from None
    return keys
