"""How values are typed on the command line: an EID is an EID before any verb sees it. Knows no verb."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from rprov.crypto.x509_nodes import is_label
from rprov.errors import DecodeError
from rprov.model.identifiers import Eid, Iccid, Imsi, Plmn
from rprov.model.secret import Secret

ValueT = TypeVar("ValueT")

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is there."""

DIRECTORY = click.Path(file_okay=False, path_type=Path)
"""A directory that may not be there yet."""


class Parsed(click.ParamType, Generic[ValueT]):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A value with a `parse` of its own; what it refuses is wrong use."""

    def __init__(self, name: str, parse: Callable[[str], ValueT]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ValueT:
        """Parse what was typed; a default is a value already."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return self._parse(value)
        except (DecodeError, ValueError, OSError) as error:
            self.fail(str(error), param, ctx)


def _eid(text: str) -> Eid:
    """Read 32 digits, or the first 30, to which the check digits are added."""
    return Eid.with_check_digits(text) if len(text) == 30 else Eid.parse(text)


def _key(text: str) -> Secret:
    """Read 32 or 64 hexadecimal digits, or a file of them: what is typed, every user of the machine can see."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="ascii").strip()
    key = Secret.parse(text)
    if len(key) not in (16, 32):
        raise ValueError(f"a key has 16 octets, or 32 with TUAK, not {len(key)}")
    return key


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 30):
        raise ValueError("the first digits of EIDs are 1 to 30 decimal digits")
    return text


def _ran_name(text: str) -> str:
    """Take a name that can stand in a certificate; the RAN's own file takes any, and N2 without TLS too."""
    if not is_label(text):
        raise ValueError("the name of a RAN with a certificate has 1 to 63 letters, digits and hyphens")
    return text


EID = Parsed("eid", _eid)
ICCID = Parsed("iccid", Iccid.parse)
IMSI = Parsed("imsi", Imsi.parse)
PLMN = Parsed("mcc-mnc", Plmn.parse)
KEY = Parsed("hex|@file", _key)
RAN_NAME = Parsed("ran name", _ran_name)
EID_PREFIX = Parsed("digits", _digits)
