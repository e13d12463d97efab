"""ZUC, and what NAS and PDCP make of it: 128-NEA3 and 128-NIA3.

Owns the generator (TS 35.222) and the two algorithms over it (TS 35.221). Refuses to know where a COUNT comes from.
In Python this is hundreds of times slower than AES: it is there because a UE or a network may ask for it, not for
bulk data.
"""

from functools import cache
from struct import pack, unpack

from rprov.crypto.bits import leading, xor
from rprov.crypto.octet_field import inverses
from rprov.errors import Misuse

_WORD = 0xFFFFFFFF
_PRIME = (1 << 31) - 1

# the constants D of the key loading, 15 bits each (TS 35.222 3.5)
_D = bytes.fromhex("44D726BC626B135E578935E2713509AF4D782F136BC41AF15E263C4D789A47AC")


def _s0() -> list[int]:
    """S0: three rounds of a Feistel network over two halves of an octet, then a rotation by 5."""
    p1 = (9, 15, 0, 14, 15, 15, 2, 10, 0, 4, 0, 12, 7, 5, 3, 9)
    p2 = (8, 13, 6, 5, 7, 0, 12, 4, 11, 1, 14, 10, 15, 3, 9, 2)
    p3 = (2, 6, 10, 6, 0, 13, 10, 15, 3, 3, 13, 5, 0, 9, 12, 13)
    box = []
    for value in range(256):
        left, right = value >> 4, value & 15
        left ^= p1[right]
        right ^= p2[left]
        left ^= p3[right]
        joined = left << 4 | right
        box.append((joined << 5 | joined >> 3) & 0xFF)
    return box


def _s1() -> list[int]:
    """S1: the inverse modulo x^8 + x^7 + x^3 + x + 1, a linear map given by its columns, and 0x55."""
    columns = (0x97, 0x3E, 0x6D, 0xCB, 0xEE, 0xDD, 0xBB, 0x77)
    box = [0x55] * 256
    for value, inverse in enumerate(inverses(0x18B, generator=6)):
        for bit, column in enumerate(columns):
            if inverse >> bit & 1:
                box[value] ^= column
    return box


@cache
def _pairs() -> list[int]:
    """S works on octets as S0 S1 S0 S1 (TS 35.222 3.4); joined to pairs, two look-ups do a word. Made once."""
    s0, s1 = _s0(), _s1()
    return [high << 8 | low for high in s0 for low in s1]


def keystream(key: bytes, iv: bytes, words: int) -> list[int]:
    """Generate `words` words of 32 bits from a key and an IV of 16 octets (TS 35.222 3.6)."""
    # the register is a list that grows: s[t] is its first stage at time t
    s = [k << 23 | d << 8 | v for k, d, v in zip(key, unpack(">16H", _D), iv, strict=True)]
    registers = _run(s, 0, 32, (0, 0), None)
    registers = _run(s, 32, 33, registers, [])  # one clock whose output is discarded
    out: list[int] = []
    _run(s, 33, 33 + words, registers, out)
    return out


def _run(s: list[int], start: int, end: int, registers: tuple[int, int], out: list[int] | None) -> tuple[int, int]:
    """Clock the generator; feeds W back while `out` is None (initialisation mode), else appends the keystream."""
    r1, r2 = registers
    pairs = _pairs()
    for t in range(start, end):
        s0, s15 = s[t], s[t + 15]
        # bit reorganisation (3.3); X3 further down
        x0 = s15 << 1 & 0xFFFF0000 | s[t + 14] & 0xFFFF
        w = (x0 ^ r1) + r2 & _WORD
        w1 = r1 + ((s[t + 11] & 0xFFFF) << 16 | s[t + 9] >> 15) & _WORD
        w2 = r2 ^ ((s[t + 7] & 0xFFFF) << 16 | s[t + 5] >> 15)
        # L1 and L2 (3.4) on a word written twice, so that a shift is a rotation
        u = (w1 << 16 & _WORD | w2 >> 16) * 0x100000001
        u = (u ^ u >> 30 ^ u >> 22 ^ u >> 14 ^ u >> 8) & _WORD
        v = (w2 << 16 & _WORD | w1 >> 16) * 0x100000001
        v = (v ^ v >> 24 ^ v >> 18 ^ v >> 10 ^ v >> 2) & _WORD
        r1 = pairs[u >> 16] << 16 | pairs[u & 0xFFFF]
        r2 = pairs[v >> 16] << 16 | pairs[v & 0xFFFF]
        # the feedback, modulo 2^31 - 1, in which 0 is written 2^31 - 1 (3.2)
        feedback = (s15 << 15) + (s[t + 13] << 17) + (s[t + 10] << 21) + (s[t + 4] << 20) + (s0 << 8) + s0
        if out is None:
            feedback += w >> 1
        else:
            out.append(w ^ ((s[t + 2] & 0xFFFF) << 16 | s0 >> 15))
        s.append(feedback % _PRIME or _PRIME)
    return r1, r2


class Nea3:
    """128-NEA3 (TS 33.501 D.2.1.4, TS 35.221 clause 3)."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Cipher `data`, or its first `bits` bits."""
        _check(count, bearer, direction)
        length = len(data) * 8 if bits is None else bits
        plain = leading(data, length)
        iv = pack(">IB3x", count, bearer << 3 | direction << 2) * 2
        words = keystream(self._key, iv, (length + 31) // 32)
        return leading(xor(plain, pack(f">{len(words)}I", *words)[: len(plain)]), length)


class Nia3:
    """128-NIA3 (TS 33.501 D.3.1.4, TS 35.221 clause 4)."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Give the 4 octets that protect `data`, or its first `bits` bits."""
        _check(count, bearer, direction)
        length = len(data) * 8 if bits is None else bits
        half = pack(">IB3x", count, bearer << 3)
        iv = half + pack(">IB3x", count ^ direction << 31, bearer << 3)
        iv = iv[:14] + bytes((iv[14] ^ direction << 7, iv[15]))
        words = keystream(self._key, iv, (length + 31) // 32 + 2)
        stream = int.from_bytes(pack(f">{len(words)}I", *words))
        # T adds the 32 bits of keystream from bit i on for every bit i of the message that is set, and once more at its
        # end (4.3). Read by columns: bit j of T is the parity of message AND (keystream from bit j on).
        message = int.from_bytes(leading(data, length)) >> (-length % 8) << 1 | 1
        shift = len(words) * 32 - (length + 1)
        tag = 0
        for column in range(32):
            tag = tag << 1 | ((message & stream >> (shift - column)).bit_count() & 1)
        return (tag ^ words[-1]).to_bytes(4)


def _check(count: int, bearer: int, direction: int) -> None:
    if not (0 <= count <= _WORD and 0 <= bearer < 32 and 0 <= direction < 2):
        raise Misuse("COUNT has 32 bits, BEARER 5 and DIRECTION 1")
