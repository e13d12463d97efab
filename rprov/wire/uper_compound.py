"""UPER of the types that contain others: CHOICE, SEQUENCE OF, SEQUENCE; and where in a message an error was.

A failure inside comes out as a `DecodeErrorAt` or an `EncodeErrorAt`, to whose path every container adds its part.
Knows no grammar and no message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rprov.errors import DecodeError, EncodeError
from rprov.wire.uper import ENDS, Codec, bounds, check_filled, integer, open_type, open_type_length, small_number


class DecodeErrorAt(DecodeError):
    """What was wrong, and where in the message."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        super().__init__(f"{path}: {text}")


class EncodeErrorAt(EncodeError):
    """What cannot be carried, and where in the message."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        super().__init__(f"{path}: {text}")


def _decode_error(name: str, error: DecodeError) -> DecodeErrorAt:
    """Put the name of a part before the path of what went wrong in it."""
    if isinstance(error, DecodeErrorAt):
        return DecodeErrorAt(_join(name, error.path), error.text)
    return DecodeErrorAt(name, str(error))


def _encode_error(name: str, error: Exception) -> EncodeErrorAt:
    """Do the same for a value that cannot be encoded. A value of a wrong class shows as a Python error."""
    if isinstance(error, EncodeErrorAt):
        return EncodeErrorAt(_join(name, error.path), error.text)
    return EncodeErrorAt(name, str(error) if isinstance(error, EncodeError) else "a value of the wrong kind")


def _join(name: str, path: str) -> str:
    return name + path if path.startswith("[") else f"{name}.{path}"


_UNFIT = (EncodeError, TypeError, AttributeError)
"""What encoding a value of a wrong class raises."""


def choice(alternatives: Sequence[tuple[str, Codec]]) -> Codec:
    """An extensible CHOICE: 0, the place of the alternative and its value (X.691 23). The value's class chooses."""
    width = 1 + (len(alternatives) - 1).bit_length()
    mask = (1 << width) - 1
    added = 1 << (width - 1)
    by_kind = {item.kind: (place, name, item.encode) for place, (name, item) in enumerate(alternatives)}
    decoders = [(name, item.decode) for name, item in alternatives]

    def encode(value: object) -> tuple[int, int]:
        found = by_kind.get(type(value))
        if found is None:
            raise EncodeError(f"{type(value).__name__} is no alternative of it")
        place, name, item_encode = found
        try:
            bits, size = item_encode(value)
        except _UNFIT as error:
            raise _encode_error(name, error) from None
        return place << size | bits, width + size

    def decode(source: int, left: int) -> tuple[object, int]:
        left -= width
        if left < 0:
            raise DecodeError(ENDS)
        place = source >> left & mask
        if place >= len(decoders):
            if place & added:  # 23.8: as in an ENUMERATED
                place = len(decoders) + small_number(source, left + width - 1)[0]
            raise DecodeError(f"unknown alternative {place}")
        name, item_decode = decoders[place]
        try:
            return item_decode(source, left)
        except DecodeError as error:
            raise _decode_error(name, error) from None

    return Codec(encode, decode)


def sequence_of(item: Codec, least: int, most: int) -> Codec:
    """SEQUENCE (SIZE (least..most)) OF item, whose value is a tuple: the count, then the items (X.691 20)."""
    length = integer(least, most)
    item_encode, item_decode = item.encode, item.decode

    def encode(value: tuple[Any, ...]) -> tuple[int, int]:
        if not least <= len(value) <= most:
            raise EncodeError(f"{len(value)} items, not {bounds(least, most)}")
        bits, total = length.encode(len(value))
        for place, part in enumerate(value):
            try:
                part_bits, width = item_encode(part)
                bits = bits << width | part_bits
            except _UNFIT as error:
                raise _encode_error(f"[{place}]", error) from None
            total += width
        return bits, total

    def decode(source: int, left: int) -> tuple[tuple[Any, ...], int]:
        count, left = length.decode(source, left)
        parts: list[Any] = []
        for place in range(count):
            try:
                part, left = item_decode(source, left)
            except DecodeError as error:
                raise _decode_error(f"[{place}]", error) from None
            parts.append(part)
        return tuple(parts), left

    return Codec(encode, decode, tuple)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a SEQUENCE: its name in the grammar, the attribute it becomes, and its type."""

    name: str
    attribute: str
    codec: Codec
    optional: bool


def sequence(kind: type, members: Sequence[Member], additions: Sequence[Member] = ()) -> Codec:
    """An extensible SEQUENCE whose value is a `kind`: 0, a bit for each OPTIONAL member, then the members (X.691 19).

    Members, then additions are given to `kind` in order; an OPTIONAL one that is absent is None, and additions are all
    OPTIONAL. Without one the octets are those of an earlier release; additions of later releases are skipped.
    """
    head, flags = _presence_flags(members)
    head_mask = (1 << head) - 1
    extended = 1 << (head - 1)
    encoders = [(item.name, item.attribute, flags.get(item.name, 0), item.codec.encode) for item in members]
    decoders = [(item.name, flags.get(item.name, 0), item.codec.decode) for item in members]
    nothing_added = (None,) * len(additions)

    def encode(record: object) -> tuple[int, int]:
        presence = bits = total = 0
        for name, attribute, flag, item_encode in encoders:
            try:
                item = getattr(record, attribute)
                if item is None:
                    if flag:
                        continue
                    raise EncodeError("missing")
                item_bits, width = item_encode(item)
                bits = bits << width | item_bits
            except _UNFIT as error:
                raise _encode_error(name, error) from None
            presence |= flag
            total += width
        if additions:
            added, width = _encode_additions(record, additions)
            if width:
                presence, bits, total = presence | extended, bits << width | added, total + width
        return presence << total | bits, head + total

    def decode(source: int, left: int) -> tuple[object, int]:
        left -= head
        if left < 0:
            raise DecodeError(ENDS)
        presence = source >> left & head_mask
        items: list[Any] = []
        for name, flag, item_decode in decoders:
            if flag and not presence & flag:
                items.append(None)
                continue
            try:
                item, left = item_decode(source, left)
            except DecodeError as error:
                raise _decode_error(name, error) from None
            items.append(item)
        if presence & extended:
            added, left = _decode_additions(source, left, additions)
            return kind(*items, *added), left
        return kind(*items, *nothing_added), left

    return Codec(encode, decode, kind)


def _presence_flags(members: Sequence[Member]) -> tuple[int, Mapping[str, int]]:
    """Give how many bits stand before the members, and which of them tells of each OPTIONAL one."""
    names = [item.name for item in members if item.optional]
    return 1 + len(names), {name: 1 << place for place, name in enumerate(reversed(names))}


def _encode_additions(record: object, additions: Sequence[Member]) -> tuple[int, int]:
    """Write a bitmap of all additions and those that are there as open types, or nothing when none is (19.7)."""
    present = bits = total = 0
    for item in additions:
        value = getattr(record, item.attribute)
        present <<= 1
        if value is None:
            continue
        try:
            inner, width = open_type(item.codec.encode(value))
        except _UNFIT as error:
            raise _encode_error(item.name, error) from None
        present |= 1
        bits = bits << width | inner
        total += width
    if not present:
        return 0, 0
    # 11.6: how many there could be, less one, as a normally small number
    return (len(additions) - 1 << len(additions) | present) << total | bits, 7 + len(additions) + total


def _decode_additions(source: int, left: int, additions: Sequence[Member]) -> tuple[list[Any], int]:
    """Read the additions that are known, and step over those of a later release: each tells its length (19.7)."""
    last, left = small_number(source, left)
    count = last + 1
    left -= count
    if left < 0:
        raise DecodeError(ENDS)
    present = source >> left & (1 << count) - 1
    if not present:
        raise DecodeError("additions are announced but there are none")  # 19.1: the bit says that one is there
    found: list[Any] = [None] * len(additions)
    for place in range(count):
        if not present >> (last - place) & 1:
            continue
        size, left = open_type_length(source, left)
        left -= 8 * size
        if left < 0:
            raise DecodeError(ENDS)
        if place < len(additions):
            found[place] = _open_type(source >> left & (1 << 8 * size) - 1, size, additions[place])
    return found, left


def _open_type(content: int, size: int, item: Member) -> object:
    try:
        value, rest = item.codec.decode(content, 8 * size)
        check_filled(content, rest)
    except DecodeError as error:
        raise _decode_error(item.name, error) from None
    return value
