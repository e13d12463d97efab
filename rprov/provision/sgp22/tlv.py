"""DER as SGP.22 uses it: tags of one or two octets, definite minimal lengths. Knows no object of SGP.22.

Reading keeps the octets as they came (`Tlv.raw`): whatever was signed is verified and forwarded in the very octets
that were signed, never encoded again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rprov.errors import DecodeError

MAX_LENGTH = 1 << 24
"""No object of SGP.22 comes near 16 MiB; a longer length is an attack or garbage."""


@dataclass(frozen=True, slots=True)
class Header:
    """Tag, length of the value, and how many octets tag and length take."""

    tag: int
    length: int
    octets: int


@dataclass(frozen=True, slots=True)
class Tlv:
    """One element: its tag, its value, and all its octets as received."""

    tag: int
    value: bytes
    raw: bytes


def header(tag: int, length: int) -> bytes:
    """Encode tag and minimal length (X.690 8.1.3, 10.1)."""
    tag_octets = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    if length < 0x80:
        return tag_octets + bytes((length,))
    size = (length.bit_length() + 7) // 8
    return tag_octets + bytes((0x80 | size,)) + length.to_bytes(size, "big")


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode one element whose value is the parts in their order."""
    value = b"".join(parts)
    return header(tag, len(value)) + value


def read_header(data: bytes | bytearray, at: int = 0) -> Header | None:
    """Read a header at `at`; None when it is not all there yet; raises DecodeError when it can never be one."""
    here = at
    if here >= len(data):
        return None
    tag = data[here]
    here += 1
    if tag & 0x1F == 0x1F:
        if here >= len(data):
            return None
        if data[here] & 0x80:
            raise DecodeError("a tag of more than two octets")
        if data[here] < 0x1F:
            raise DecodeError("a tag that should have one octet has two")  # X.690 8.1.2.2
        tag = tag << 8 | data[here]
        here += 1
    if here >= len(data):
        return None
    length = data[here]
    here += 1
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 3:
            raise DecodeError(f"element {tag:X} has a length that is indefinite or too big")
        if here + size > len(data):
            return None
        length = int.from_bytes(data[here : here + size], "big")
        if length < 0x80 or length >> 8 * (size - 1) == 0:
            raise DecodeError(f"the length of element {tag:X} is not minimal")
        here += size
    return Header(tag, length, here - at)


class Reader:
    """A cursor over the elements of a value. It never reads past the end; `finish` insists that nothing is left."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def peek(self) -> int | None:
        """The tag that comes next, None at the end."""
        return self._header().tag if self._at < len(self._data) else None

    def any(self) -> Tlv:
        """Take the next element, whatever it is."""
        head = self._header()
        start, end = self._at, self._at + head.octets + head.length
        if end > len(self._data):
            raise DecodeError(f"{self._what}: element {head.tag:X} is cut short")
        self._at = end
        return Tlv(head.tag, self._data[start + head.octets : end], self._data[start:end])

    def take(self, tag: int) -> Tlv:
        """Take the next element, which must be `tag`."""
        found = self.peek()
        if found != tag:
            raise DecodeError(f"{self._what}: {tag:X} expected, {'nothing' if found is None else f'{found:X}'} found")
        return self.any()

    def optional(self, tag: int) -> Tlv | None:
        """Take the next element if it is `tag`."""
        return self.any() if self.peek() == tag else None

    def rest(self) -> list[Tlv]:
        """Take all that is left: unknown extensions are skipped by whoever calls this and drops them."""
        elements = []
        while self._at < len(self._data):
            elements.append(self.any())
        return elements

    def finish(self) -> None:
        """Refuse anything that is left over."""
        if self._at != len(self._data):
            raise DecodeError(f"{self._what}: {len(self._data) - self._at} octets too many")

    def _header(self) -> Header:
        head = read_header(self._data, self._at)
        if head is None:
            raise DecodeError(f"{self._what}: cut short")
        return head


def read(data: bytes, what: str) -> Tlv:
    """Read `data` as exactly one element."""
    reader = Reader(data, what)
    element = reader.any()
    reader.finish()
    return element


def open_tlv(data: bytes, tag: int, what: str) -> Reader:
    """Read `data` as exactly one element `tag` and give a cursor over its inside."""
    reader = Reader(data, what)
    element = reader.take(tag)
    reader.finish()
    return Reader(element.value, what)


# --- primitive contents ----------------------------------------------------------------------------------------------


def integer(value: int) -> bytes:
    """Content octets of a non-negative INTEGER: a leading zero octet when the top bit would say negative."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def read_integer(octets: bytes, what: str, maximum: int) -> int:
    """Read a non-negative INTEGER of at most `maximum`."""
    if not octets:
        raise DecodeError(f"{what}: an empty number")
    if octets[0] & 0x80 or (len(octets) > 1 and octets[0] == 0 and not octets[1] & 0x80):
        raise DecodeError(f"{what}: a number that is negative or not minimal")
    value = int.from_bytes(octets, "big")
    if value > maximum:
        raise DecodeError(f"{what}: a number above {maximum}")
    return value


def boolean(value: bool) -> bytes:
    """Content octet of a BOOLEAN (X.690 11.1)."""
    return b"\xff" if value else b"\x00"


def read_boolean(octets: bytes, what: str) -> bool:
    """Read a BOOLEAN; any non-zero octet is true, as in BER (cards in the field send 01)."""
    if len(octets) != 1:
        raise DecodeError(f"{what}: a truth value has one octet")
    return octets != b"\x00"


def bits(numbers: Iterable[int]) -> bytes:
    """Content octets of a BIT STRING with named bits: trailing zero bits are left out (X.690 11.2.2)."""
    chosen = set(numbers)
    if not chosen:
        return b"\x00"
    size = max(chosen) // 8 + 1
    value = sum(1 << 8 * size - 1 - number for number in chosen)
    return bytes((7 - max(chosen) % 8,)) + value.to_bytes(size, "big")


def read_bits(octets: bytes, what: str) -> frozenset[int]:
    """Read the numbers of the bits that are set; trailing zero bits are tolerated."""
    if not octets or octets[0] > 7 or (octets[0] and len(octets) == 1) or len(octets) > 9:
        raise DecodeError(f"{what}: not a bit string of at most 64 bits")
    count = 8 * (len(octets) - 1) - octets[0]
    value = int.from_bytes(octets[1:], "big") >> octets[0]
    return frozenset(number for number in range(count) if value >> count - 1 - number & 1)


def read_text(octets: bytes, what: str, limit: int) -> str:
    """Read UTF-8 of at most `limit` octets, free of control characters: it ends on people's terminals."""
    if len(octets) > limit:
        raise DecodeError(f"{what}: more than {limit} octets of text")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"{what}: text that is not UTF-8") from error
    if text and not text.isprintable():
        raise DecodeError(f"{what}: text with control characters")
    return text


def fixed(octets: bytes, length: int, what: str) -> bytes:
    """Insist on a length."""
    if len(octets) != length:
        raise DecodeError(f"{what}: {length} octets expected, {len(octets)} found")
    return octets
