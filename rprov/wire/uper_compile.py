"""Makes codecs of a parsed grammar and of a table that says which class of ours each of its types becomes.

The grammar says everything about bits, the table everything about values, and both must agree: every SEQUENCE has a
dataclass with the same fields in the same order, every ENUMERATED an IntEnum with the same items and numbers. What
does not agree, or is not built, is `Misuse` before the first message. Knows no message of its own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar, cast

from rprov.errors import DecodeError, EncodeError, Misuse
from rprov.wire.uper import (
    Codec,
    bit_string,
    boolean,
    character_string,
    check_filled,
    converted,
    enumerated,
    integer,
    octet_string,
)
from rprov.wire.uper_compound import DecodeErrorAt, EncodeErrorAt, Member, choice, sequence, sequence_of

Description = dict[str, Any]
"""A type as asn1tools describes it: its kind, and beside it bounds, members, items or an element."""

Grammar = Mapping[str, Description]
"""The types of a grammar by their names."""

MAX_OCTETS = 16383
"""No message is longer. The longest that the grammars allow has some 2,200 octets; the rest is room for additions."""

_ALPHABETS = {
    "NumericString": " 0123456789",
    "VisibleString": "".join(map(chr, range(0x20, 0x7F))),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A type of the grammar that becomes a value of ours as a whole. `from_wire` may raise `DecodeError`."""

    kind: type
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


Table = Mapping[str, type | Leaf]
"""By name of a type: the dataclass of a SEQUENCE, the IntEnum of an ENUMERATED, or a `Leaf` for any other."""

MessageT = TypeVar("MessageT")


class MessageCodec(Generic[MessageT]):
    """Messages to octets and back, for one CHOICE of all messages of an interface."""

    def __init__(self, grammar: Grammar, table: Table, root: str) -> None:
        self._root = root
        codec = _Compiler(grammar, table).named(root)
        self._encode, self._decode = codec.encode, codec.decode

    def encode(self, message: MessageT) -> bytes:
        """Give the octets; raises `EncodeError` that names the path."""
        try:
            bits, width = self._encode(message)
        except EncodeErrorAt:
            raise
        except EncodeError as error:
            raise EncodeErrorAt(self._root, str(error)) from None
        size = width + 7 >> 3
        return (bits << 8 * size - width).to_bytes(size)

    def decode(self, octets: bytes) -> MessageT:
        """Read one message that fills the octets; raises `DecodeError` that names the path."""
        if len(octets) > MAX_OCTETS:
            raise DecodeErrorAt(self._root, f"longer than {MAX_OCTETS} octets")
        source = int.from_bytes(octets)
        try:
            message, left = self._decode(source, 8 * len(octets))
            check_filled(source, left)
        except DecodeErrorAt:
            raise
        except DecodeError as error:
            raise DecodeErrorAt(self._root, str(error)) from None
        return cast(MessageT, message)


class _Compiler:
    """One walk over a grammar; a type that is used twice is compiled once."""

    def __init__(self, grammar: Grammar, table: Table) -> None:
        self._grammar = grammar
        self._table = table
        self._done: dict[str, Codec] = {}
        self._open: set[str] = set()

    def named(self, name: str) -> Codec:
        """Give the codec of a type by its name. A type within itself is refused, so depth is bounded."""
        if name not in self._grammar:
            raise Misuse(f"the grammar has no type {name}")
        if name in self._open:
            raise Misuse(f"{name}: a type that contains itself is not built")
        if name not in self._done:
            self._open.add(name)
            self._done[name] = self._mapped(name, self._grammar[name], self._table.get(name))
            self._open.remove(name)
        return self._done[name]

    def _mapped(self, name: str, description: Description, entry: type | Leaf | None) -> Codec:
        match entry:
            case None:
                return self._plain(name, description)
            case Leaf(kind, to_wire, from_wire):
                return converted(self._plain(name, description), kind, to_wire, from_wire)
            case _ if description["type"] == "ENUMERATED" and issubclass(entry, IntEnum):
                return _enumerated(name, description, entry)
            case _ if description["type"] == "SEQUENCE" and is_dataclass(entry):
                return self._sequence(name, description, entry)
            case _:
                raise Misuse(f"{name}: {entry.__name__} does not fit {description['type']}")

    def _plain(self, name: str, description: Description) -> Codec:
        """A type whose values are Python's own, or another type by its name."""
        match description["type"]:
            case "INTEGER":
                return integer(*_bounds(name, description.get("restricted-to")))
            case "BOOLEAN":
                return boolean()
            case "OCTET STRING":
                return octet_string(*_bounds(name, description.get("size")))
            case "BIT STRING":
                least, most = _bounds(name, description.get("size"))
                if least != most:
                    raise Misuse(f"{name}: a BIT STRING of varying size is not built")
                return bit_string(most)
            case "NumericString" | "VisibleString" as kind:
                return character_string(_ALPHABETS[kind], *_bounds(name, description.get("size")))
            case "SEQUENCE OF":
                item = self._plain(f"{name}[]", description["element"])
                return sequence_of(item, *_bounds(name, description.get("size")))
            case "CHOICE":
                return self._choice(name, description)
            case str(other) if other in self._grammar:
                return self.named(other)
            case other:
                raise Misuse(f"{name}: {other} is not built, or has no class in the table")

    def _choice(self, name: str, description: Description) -> Codec:
        alternatives = [(item["name"], self._plain(item["name"], item)) for item in _root_members(name, description)]
        if len({codec.kind for _, codec in alternatives}) != len(alternatives):
            raise Misuse(f"{name}: two alternatives of the same class")
        return choice(alternatives)

    def _sequence(self, name: str, description: Description, kind: type) -> Codec:
        root, added = _around_ellipsis(name, description["members"])
        members = [self._member(name, item) for item in root]
        additions = [self._member(name, item) for item in added]
        if not all(member.optional for member in additions):
            raise Misuse(f"{name}: an addition that is not OPTIONAL is not built")
        expected = [field.name for field in fields(kind)]
        if [member.attribute for member in (*members, *additions)] != expected:
            raise Misuse(f"{name}: its members must be those of {kind.__name__}, in order: {', '.join(expected)}")
        return sequence(kind, members, additions)

    def _member(self, name: str, item: Any) -> Member:
        if not isinstance(item, dict):
            raise Misuse(f"{name}: a group of additions is not built")
        if "default" in item:
            raise Misuse(f"{name}.{item['name']}: DEFAULT is not built")
        codec = self._plain(f"{name}.{item['name']}", item)
        return Member(item["name"], _snake(item["name"]), codec, item.get("optional", False))


def _enumerated(name: str, description: Description, kind: type[IntEnum]) -> Codec:
    items = sorted(_before_ellipsis(name, description["values"]), key=lambda item: int(item[1]))
    if [(_snake(label).upper(), number) for label, number in items] != [(item.name, item.value) for item in kind]:
        raise Misuse(f"{name}: its items must be those of {kind.__name__}, by name and number")
    return enumerated(tuple(kind))


def _root_members(name: str, description: Description) -> list[Description]:
    return cast(list[Description], _before_ellipsis(name, description["members"]))


def _before_ellipsis(name: str, items: list[Any]) -> list[Any]:
    """Give what stands before the ellipsis, behind which only a SEQUENCE of ours has anything."""
    root, added = _around_ellipsis(name, items)
    if added:
        raise Misuse(f"{name}: must end in an ellipsis")
    return root


def _around_ellipsis(name: str, items: list[Any]) -> tuple[list[Any], list[Any]]:
    """Give what stands before the ellipsis, which is None, and what was added behind it."""
    if items.count(None) != 1:
        raise Misuse(f"{name}: must have one ellipsis")
    place = items.index(None)
    return items[:place], items[place + 1 :]


def _bounds(name: str, ranges: Any) -> tuple[int, int]:
    match ranges:
        case [(int(lower), int(upper))]:
            return lower, upper
        case [int(size)]:
            return size, size
        case _:
            raise Misuse(f"{name}: needs one range with two bounds")


def _snake(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()
