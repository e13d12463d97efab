"""The data of EAP-TLS packets: flags, TLS message length, fragments (RFC 5216 3, RFC 9190 2.1.9). Knows no TLS.

| L M S 0 0 0 0 0 | TLS message length (4, iff L) | a piece of the TLS message …
"""

from dataclasses import dataclass

from rprov.errors import DecodeError, Misuse

LENGTH_INCLUDED = 0x80
MORE_FRAGMENTS = 0x40
START = 0x20

LARGEST_EXCHANGE = 65536
"""Octets of TLS that one side may send in one exchange; a handshake with two chains has about 2,500."""

SMALLEST_PACKET = 24
"""Below this a fragment would be mostly header."""

_OVERHEAD = 6  # EAP header 4, type 1, flags 1


@dataclass(frozen=True, slots=True)
class Fragment:
    """The data of one EAP-TLS packet. `total` is the TLS message length, where it is told."""

    data: bytes = b""
    more: bool = False
    total: int | None = None
    start: bool = False

    @property
    def is_acknowledgement(self) -> bool:
        """Whether this only asks for the next fragment (RFC 5216 2.1.5: no data, no flags)."""
        return self == ACKNOWLEDGEMENT


ACKNOWLEDGEMENT = Fragment()
START_FRAGMENT = Fragment(start=True)


def encode_fragment(fragment: Fragment) -> bytes:
    """Give the type data of an EAP-TLS packet; there is always a flags octet, also in an acknowledgement."""
    flags = MORE_FRAGMENTS * fragment.more | START * fragment.start
    if fragment.total is None:
        return bytes((flags,)) + fragment.data
    return bytes((flags | LENGTH_INCLUDED,)) + fragment.total.to_bytes(4) + fragment.data


def decode_fragment(octets: bytes) -> Fragment:
    """Read the type data of an EAP-TLS packet; raises `DecodeError`."""
    if not octets:
        raise DecodeError("an EAP-TLS packet without flags")
    flags = octets[0]  # RFC 5216 3.1: the five reserved bits are ignored
    total = None
    data = octets[1:]
    if flags & LENGTH_INCLUDED:
        if len(data) < 4:
            raise DecodeError("an EAP-TLS packet ends in its message length")
        total, data = int.from_bytes(data[:4]), data[4:]
    fragment = Fragment(data, bool(flags & MORE_FRAGMENTS), total, bool(flags & START))
    if fragment.start and (fragment.more or data):
        raise DecodeError("an EAP-TLS start carries nothing")
    if fragment.more and not data:
        raise DecodeError("an EAP-TLS fragment without data promises more")
    if total is not None and total < len(data):
        raise DecodeError(f"an EAP-TLS packet carries {len(data)} octets of a message of {total}")
    return fragment


def split(message: bytes, packet_size: int) -> list[Fragment]:
    """Cut a TLS message so that no EAP packet is larger than `packet_size`; an empty message is an acknowledgement.

    L stands in the first fragment only, and never in an unfragmented message (RFC 9190 2.1.9).
    """
    if packet_size < SMALLEST_PACKET:
        raise Misuse(f"EAP-TLS packets have at least {SMALLEST_PACKET} octets")
    room = packet_size - _OVERHEAD
    if len(message) <= room:
        return [Fragment(message)]
    first = room - 4
    starts = range(first, len(message), room)
    rest = [Fragment(message[at : at + room], more=at + room < len(message)) for at in starts]
    return [Fragment(message[:first], more=True, total=len(message)), *rest]


class Reassembly:
    """Puts fragments together; what one side may send in the whole exchange is bounded.

    Accepts the message length in the first fragment, in every one, or in none: all three are seen in the field.
    """

    __slots__ = ("_allowance", "_parts", "_size", "_total")

    def __init__(self, limit: int = LARGEST_EXCHANGE) -> None:
        self._allowance = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._total: int | None = None

    def add(self, fragment: Fragment) -> bytes | None:
        """Take one fragment; give the message when it is complete. Raises `DecodeError`."""
        if fragment.start:
            raise DecodeError("an EAP-TLS start in the middle")
        if fragment.total is not None:
            if self._total not in (None, fragment.total):
                raise DecodeError("the EAP-TLS message length changes between fragments")
            self._total = fragment.total
        self._size += len(fragment.data)
        if max(self._size, self._total or 0) > self._allowance:
            raise DecodeError("more TLS octets than an exchange may have")
        if self._total is not None and self._size > self._total:
            raise DecodeError("more EAP-TLS fragments than the message length allows")
        self._parts.append(fragment.data)
        if fragment.more:
            return None
        if self._total not in (None, self._size):
            raise DecodeError(f"an EAP-TLS message of {self._size} octets says it has {self._total}")
        message = b"".join(self._parts)
        self._allowance -= self._size
        self._parts, self._size, self._total = [], 0, None
        return message
