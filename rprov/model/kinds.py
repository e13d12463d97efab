"""Kinds of single values in a configuration, and the words to refuse one. `config.py` reads and writes them.

Bounds stand in annotations, so that a type says everything about the values that it takes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NewType

from rprov.errors import ConfigError


class Unfit(ConfigError):
    """A value that does not fit the other values of its section; `key` is the one to change."""

    def __init__(self, key: str, text: str) -> None:
        self.key = key
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number, both included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The least number of items in a list."""

    items: int


Host = NewType("Host", str)
"""A host name or an IP address."""

Fqdn = NewType("Fqdn", str)
"""A domain name, as in a certificate's dNSName."""

DatabaseUrl = NewType("DatabaseUrl", str)
"""`sqlite:///FILE`, `sqlite://` (memory) or `postgresql+psycopg://USER@HOST/NAME`; never with a password in it."""

ReadPath = NewType("ReadPath", Path)
"""A file or directory that must be there."""

KeyId = NewType("KeyId", bytes)
"""A subjectKeyIdentifier, 20 octets."""

EidPrefix = NewType("EidPrefix", str)
"""The first digits of EIDs."""

PortNumber = Annotated[int, Within(1, 65535)]
ListenPort = Annotated[int, Within(0, 65535)]
Seconds = Annotated[float, Within(0.001, 86_400)]
WholeSeconds = Annotated[int, Within(1, 86_400)]
Files = Annotated[tuple[ReadPath, ...], AtLeast(1)]
MaxMessage = Annotated[int, Within(2048, 65535)]
HalfOpen = Annotated[int, Within(1, 1_000_000)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a TCP port, written `HOST:PORT`."""

    host: Host
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
