"""Messages as asn1tools wants them: dictionaries, tuples and strings. Written without a look at rprov's own tables."""

import re
from dataclasses import fields
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Any

from rprov.causes import Cause
from rprov.model.identifiers import Dnn, Eid, EidHint, Guti, Plmn, SNssai, Suci
from rprov.model.secret import Secret
from rprov.model.security import SecurityCapability
from rprov.wire.messages import AkaAnswer, AkaChallenge, Eap

CHOICES = {
    "identity": {Eid: "eid", EidHint: "eidHint", Suci: "suci", Guti: "guti"},
    "challenge": {Eap: "eap", AkaChallenge: "aka"},
    "answer": {Eap: "eap", AkaAnswer: "aka"},
}
"""Fields that hold one of several classes, and how the grammar calls each."""


def camel(name: str) -> str:
    """`attach_type` to `attachType`, `ATTACH_TYPE` too."""
    return re.sub(r"_(.)", lambda match: match[1].upper(), name.lower())


def alternative(kind: type) -> str:
    """`AttachRequest` to `attachRequest`."""
    return kind.__name__[0].lower() + kind.__name__[1:]


def as_choice(message: object) -> tuple[str, Any]:
    """A message as the CHOICE of its interface."""
    return alternative(type(message)), as_dict(message)


def as_dict(value: object) -> Any:
    """A value of any class that stands in a message."""
    match value:
        case Cause():
            return int(value)
        case IntEnum():
            return camel(value.name)
        case bool() | int() | str() | bytes():
            return value
        case Eid():
            return bytes(int(value.digits[place : place + 2], 16) for place in range(0, 32, 2))
        case EidHint():
            return bytes(int(value.digits[place : place + 2], 16) for place in range(0, 8, 2))
        case Plmn(mcc, mnc):
            third = int(mnc[2]) if len(mnc) == 3 else 15
            first, second = int(mcc[1]) << 4 | int(mcc[0]), third << 4 | int(mcc[2])
            return bytes((first, second, int(mnc[1]) << 4 | int(mnc[0])))
        case Dnn(name):
            return b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
        case SNssai(sst, sd):
            return bytes((sst,)) + (b"" if sd is None else bytes((sd >> 16, sd >> 8 & 255, sd & 255)))
        case Eap(packet):
            return packet
        case IPv4Address():
            return value.packed
        case Secret():
            return value.octets
        case SecurityCapability(nea, nia):
            return {"nea": (bytes((nea,)), 8), "nia": (bytes((nia,)), 8)}
        case tuple():
            return [as_dict(item) for item in value]
        case _:
            return _record(value)


def _record(value: Any) -> dict[str, Any]:
    record = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if item is None:
            continue
        names = CHOICES.get(field.name)
        record[camel(field.name)] = (names[type(item)], as_dict(item)) if names else as_dict(item)
    return record
