"""Strings of bits in octets, first bit most significant, as the algorithms of the 3GPP take them. Knows no key."""

from rprov.errors import Misuse


def leading(data: bytes, bits: int) -> bytes:
    """Give the first `bits` bits of `data`; what is left of the last octet is 0."""
    size = (bits + 7) // 8
    if bits < 0 or size > len(data):
        raise Misuse(f"{len(data)} octets do not hold {bits} bits")
    unused = -bits % 8
    if not unused:
        return data[:size]
    return data[: size - 1] + bytes((data[size - 1] & 0xFF << unused & 0xFF,))


def xor(left: bytes, right: bytes) -> bytes:
    """Add two strings of the same length, bit by bit."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
