"""Messages as values of JSON: names as in the code, octets as hexadecimal digits, enumerations by name. Knows no link.

A member that may be one of several types says which: `{"Eid": "8904…"}`. Key material shows its length, never itself.
"""

import dataclasses
import types
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Union, get_args, get_origin, get_type_hints

from rprov.model.identifiers import Dnn, Eid, EidHint, Iccid, Imsi, Plmn, SNssai, Supi
from rprov.model.secret import Secret

_WRITTEN_OUT = (Dnn, Eid, EidHint, Iccid, Imsi, Plmn, SNssai, Supi, IPv4Address, IPv6Address, Secret)
"""What has one way of being written, which people know."""


def fields_of(message: object) -> dict[str, Any]:
    """Give the members of a dataclass, those that are absent left out."""
    kind: Any = type(message)
    found = {}
    for item in dataclasses.fields(message):  # type: ignore[arg-type]  # an instance, as the caller promises
        value = getattr(message, item.name)
        if value is None:
            continue
        plain = plain_value(value)
        found[item.name] = {type(value).__name__: plain} if _is_choice(kind, item.name) else plain
    return found


def plain_value(value: object) -> Any:
    """Give a value as JSON has it."""
    match value:
        case Enum():
            return value.name
        case bytes():
            return value.hex()
        case tuple() | list():
            return [plain_value(item) for item in value]
        case bool() | int() | float() | str() | None:
            return value
        case _ if isinstance(value, EidHint):
            return value.digits
        case _ if isinstance(value, _WRITTEN_OUT):
            return str(value)
        case _:
            return fields_of(value)


@cache
def _is_choice(kind: Any, name: str) -> bool:
    """Say whether a member may be of several types."""
    shape = get_type_hints(kind)[name]
    if get_origin(shape) not in (Union, types.UnionType):
        return False
    return sum(option is not types.NoneType for option in get_args(shape)) > 1
