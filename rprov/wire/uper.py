"""UPER (ITU-T X.691, unaligned) of the few simple types that rprov's grammars use, from values to bits and back.

A message is one integer. A type is a `Codec`, a pair of functions:

    encode(value) -> (bits, width)              the value's bits as an integer, and how many they are
    decode(source, left) -> (value, left)       `left` counts the bits of `source` that are not read yet

so there is no cursor to move and no dictionary in between. Decoding raises `DecodeError` and nothing else. Encoding
raises `EncodeError`, or `TypeError` or `AttributeError` for a value of a wrong class. Types that contain others are in
`uper_compound.py`. Knows no grammar and no message: `uper_compile.py` puts codecs together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rprov.errors import DecodeError, EncodeError

Encode = Callable[[Any], tuple[int, int]]
Decode = Callable[[int, int], tuple[Any, int]]

ENDS = "the octets end too early"


@dataclass(frozen=True, slots=True)
class Codec:
    """How values of one type become bits and come back; `kind` is their Python class, by which a CHOICE chooses."""

    encode: Encode
    decode: Decode
    kind: type = object


def integer(lower: int, upper: int) -> Codec:
    """INTEGER (lower..upper): the distance from `lower` in as few bits as the range needs (X.691 11.5.6)."""
    span = upper - lower
    width = span.bit_length()
    mask = (1 << width) - 1

    def encode(value: int) -> tuple[int, int]:
        if not lower <= value <= upper:
            raise EncodeError(f"{value} is not in {lower}..{upper}")
        return value - lower, width

    def decode(source: int, left: int) -> tuple[int, int]:
        left -= width
        if left < 0:
            raise DecodeError(ENDS)
        distance = source >> left & mask
        if distance > span:
            raise DecodeError(f"{distance + lower} is not in {lower}..{upper}")
        return distance + lower, left

    return Codec(encode, decode, int)


def boolean() -> Codec:
    """BOOLEAN: one bit (X.691 12)."""

    def encode(value: bool) -> tuple[int, int]:
        if value is not True and value is not False:
            raise EncodeError("neither true nor false")
        return int(value), 1

    def decode(source: int, left: int) -> tuple[bool, int]:
        left -= 1
        if left < 0:
            raise DecodeError(ENDS)
        return source >> left & 1 == 1, left

    return Codec(encode, decode, bool)


def bit_string(size: int) -> Codec:
    """BIT STRING (SIZE (size)), whose value is an integer with the first bit on top: its bits as they are (16.9)."""
    return integer(0, (1 << size) - 1)


def octet_string(least: int, most: int) -> Codec:
    """OCTET STRING (SIZE (least..most)): the length if it can vary, then the octets (X.691 17.5 to 17.8)."""
    length = integer(least, most)

    def encode(value: bytes) -> tuple[int, int]:
        size = len(value)
        if not least <= size <= most:
            raise EncodeError(f"{size} octets, not {bounds(least, most)}")
        bits, width = length.encode(size)
        return bits << 8 * size | int.from_bytes(value), width + 8 * size

    def decode(source: int, left: int) -> tuple[bytes, int]:
        size, left = length.decode(source, left)
        left -= 8 * size
        if left < 0:
            raise DecodeError(ENDS)
        return (source >> left & (1 << 8 * size) - 1).to_bytes(size), left

    def decode_fixed(source: int, left: int) -> tuple[bytes, int]:
        left -= width
        if left < 0:
            raise DecodeError(ENDS)
        return (source >> left & mask).to_bytes(least), left

    width = 8 * least
    mask = (1 << width) - 1
    return Codec(encode, decode_fixed if least == most else decode, bytes)


def character_string(alphabet: str, least: int, most: int) -> Codec:
    """A string of known alphabet, in ascending order, with SIZE (least..most): so many bits each (X.691 30.5)."""
    length = integer(least, most)
    width = (len(alphabet) - 1).bit_length()
    mask = (1 << width) - 1
    # 30.5.4: characters stand for themselves where that takes no more bits, else for their place in the alphabet
    own = ord(alphabet[-1]) <= mask
    codes = {char: ord(char) if own else place for place, char in enumerate(alphabet)}
    chars = {code: char for char, code in codes.items()}

    def encode(value: str) -> tuple[int, int]:
        size = len(value)
        if not least <= size <= most:
            raise EncodeError(f"{size} characters, not {bounds(least, most)}")
        bits, total = length.encode(size)
        try:
            for char in value:
                bits = bits << width | codes[char]
        except KeyError:
            raise EncodeError("a character that the type does not have") from None
        return bits, total + width * size

    def decode(source: int, left: int) -> tuple[str, int]:
        size, left = length.decode(source, left)
        end = left - width * size
        if end < 0:
            raise DecodeError(ENDS)
        text = source >> end & (1 << width * size) - 1
        try:
            value = "".join([chars[text >> shift & mask] for shift in range(width * (size - 1), -1, -width)])
        except KeyError:
            raise DecodeError("a character that the type does not have") from None
        return value, end

    return Codec(encode, decode, str)


def bounds(least: int, most: int) -> str:
    """Say a size constraint in words."""
    return str(least) if least == most else f"{least}..{most}"


def converted(inner: Codec, kind: type, to_wire: Callable[[Any], Any], from_wire: Callable[[Any], Any]) -> Codec:
    """A type of the grammar whose values are of a class of ours; `from_wire` may raise `DecodeError`."""
    inner_encode, inner_decode = inner.encode, inner.decode

    def encode(value: object) -> tuple[int, int]:
        return inner_encode(to_wire(value))

    def decode(source: int, left: int) -> tuple[object, int]:
        value, left = inner_decode(source, left)
        return from_wire(value), left

    return Codec(encode, decode, kind)


def enumerated(items: Sequence[Any]) -> Codec:
    """An extensible ENUMERATED: 0 and the place among the items in order of their numbers (X.691 14)."""
    width = 1 + (len(items) - 1).bit_length()
    mask = (1 << width) - 1
    added = 1 << (width - 1)
    known = {item: (place, width) for place, item in enumerate(items)}

    def encode(value: object) -> tuple[int, int]:
        if value not in known:
            raise EncodeError(f"{type(value).__name__} is no item of it")
        return known[value]

    def decode(source: int, left: int) -> tuple[object, int]:
        left -= width
        if left < 0:
            raise DecodeError(ENDS)
        place = source >> left & mask
        if place < len(items):
            return items[place], left
        if place & added:  # 14.3: the bit stands alone, the place among the added items follows in a form of its own
            place = len(items) + small_number(source, left + width - 1)[0]
        raise DecodeError(f"unknown value {place}")

    return Codec(encode, decode)


def small_number(source: int, left: int) -> tuple[int, int]:
    """Read a normally small number (11.6). Sixty-four additions are enough: the longer form is refused."""
    left -= 7
    if left < 0:
        raise DecodeError(ENDS)
    number = source >> left & 0x7F
    if number > 0x3F:
        raise DecodeError("an addition beyond the 64th")
    return number, left


def open_type_length(source: int, left: int) -> tuple[int, int]:
    """Read a length of one or two octets (11.9.3.6 and 7). No message of ours comes near the fragments of 16384."""
    left -= 8
    first = source >> left & 0xFF if left >= 0 else 0
    if first & 0x80:
        left -= 8
        if first & 0x40:
            raise DecodeError("an addition in fragments")
        first = source >> left & 0x3FFF if left >= 0 else 0
    if left < 0:
        raise DecodeError(ENDS)
    return first, left


def open_type(encoded: tuple[int, int]) -> tuple[int, int]:
    """Put a length before what was encoded, filled up to whole octets, of which there is one at least (11.2)."""
    bits, width = encoded
    size = max(1, width + 7 >> 3)
    if size >= 1 << 14:
        raise EncodeError("an addition of more than 16383 octets")
    length, bits_of_length = (size, 8) if size < 0x80 else (0x8000 | size, 16)
    return length << 8 * size | bits << 8 * size - width, bits_of_length + 8 * size


def check_filled(source: int, left: int) -> None:
    """Insist that what is left fills up an octet, with zeros."""
    if left >= 8:
        raise DecodeError(f"trailing octets: {left // 8}")
    if source & (1 << left) - 1:
        raise DecodeError("padding that is not zero")
