"""SNOW 3G, and what NAS and PDCP make of it: 128-NEA1 (UEA2) and 128-NIA1 (UIA2).

Owns the generator (ETSI SAGE, UEA2 & UIA2 document 2) and the two algorithms over it (document 1, TS 35.215).
Refuses to know where a COUNT comes from. In Python this is hundreds of times slower than AES: it is there because a
UE or a network may ask for it, not for bulk data.
"""

from dataclasses import dataclass
from functools import cache
from struct import Struct, pack, unpack

from rprov.crypto.bits import leading, xor
from rprov.crypto.octet_field import inverses, product, times_x
from rprov.errors import Misuse

_WORD = 0xFFFFFFFF


def _s_r() -> list[int]:
    """The S-box of AES (3.3.1): the inverse, then the affine map with 0x63."""
    box = []
    for inverse in inverses(0x11B, generator=3):
        twice = inverse | inverse << 8  # so that a shift is a rotation
        box.append((twice ^ twice >> 4 ^ twice >> 5 ^ twice >> 6 ^ twice >> 7) & 0xFF ^ 0x63)
    return box


def _s_q() -> list[int]:
    """The S-box S_Q (3.3.2): the Dickson polynomial g49, plus 0x25."""
    box = []
    for value in range(256):
        power, total = value, 0x25
        for exponent in range(1, 50):
            if exponent in (1, 9, 13, 15, 33, 41, 45, 47, 49):
                total ^= power
            power = product(power, value, 0x169)
        box.append(total)
    return box


def _mixed(box: list[int], polynomial: int) -> list[list[int]]:
    """Join an S-box and its column mixing (3.3.1, 3.3.2) into one table of words per octet of the input."""
    first = []
    for value in box:
        double = times_x(value, polynomial)
        first.append(double << 24 | (double ^ value) << 16 | value << 8 | value)
    return [[(word >> 8 * i | word << (32 - 8 * i)) & _WORD for word in first] for i in range(4)]


def _alpha_table(powers: tuple[int, int, int, int]) -> list[int]:
    """MULalpha or DIValpha (3.4.2, 3.4.3): four products with powers of x, most significant octet first."""
    factors = []
    for power in powers:
        factor = 1
        for _ in range(power):
            factor = times_x(factor, 0x1A9)
        factors.append(factor)
    return [int.from_bytes(bytes(product(value, factor, 0x1A9) for factor in factors)) for value in range(256)]


@dataclass(frozen=True, slots=True)
class _Tables:
    s1: list[list[int]]
    s2: list[list[int]]
    mul_alpha: list[int]
    div_alpha: list[int]


@cache
def _tables() -> _Tables:
    """Make the tables, once and only where they are used."""
    return _Tables(
        _mixed(_s_r(), 0x11B),
        _mixed(_s_q(), 0x169),
        _alpha_table((23, 245, 48, 239)),
        _alpha_table((16, 39, 6, 64)),
    )


def keystream(key: bytes, iv: bytes, words: int) -> list[int]:
    """Generate `words` words of 32 bits from a key, k0 to k3, and an IV, IV0 to IV3 (clause 4); 16 octets each."""
    k0, k1, k2, k3 = unpack(">4I", key)
    iv0, iv1, iv2, iv3 = unpack(">4I", iv)
    ones = _WORD
    # 4.1; the register is a list that grows: s[t] is its first stage at time t
    s = [k0 ^ ones, k1 ^ ones, k2 ^ ones, k3 ^ ones, k0, k1, k2, k3]
    s += [k0 ^ ones, k1 ^ ones ^ iv3, k2 ^ ones ^ iv2, k3 ^ ones, k0 ^ iv1, k1, k2, k3 ^ iv0]
    registers = _run(s, 0, 32, (0, 0, 0), None)
    registers = _run(s, 32, 33, registers, [])  # 4.2: one clock whose output is discarded
    out: list[int] = []
    _run(s, 33, 33 + words, registers, out)
    return out


def _run(
    s: list[int], start: int, end: int, registers: tuple[int, int, int], out: list[int] | None
) -> tuple[int, int, int]:
    """Clock the generator; feeds F back while `out` is None (initialisation mode), else appends the keystream."""
    r1, r2, r3 = registers
    tables = _tables()
    s1a, s1b, s1c, s1d = tables.s1
    s2a, s2b, s2c, s2d = tables.s2
    mul_alpha, div_alpha = tables.mul_alpha, tables.div_alpha
    for t in range(start, end):
        s0 = s[t]
        s11 = s[t + 11]
        f = (s[t + 15] + r1 & _WORD) ^ r2
        v = (s0 << 8 & _WORD) ^ mul_alpha[s0 >> 24] ^ s[t + 2] ^ s11 >> 8 ^ div_alpha[s11 & 0xFF]
        if out is None:
            s.append(v ^ f)
        else:
            s.append(v)
            out.append(f ^ s0)
        r = r2 + (r3 ^ s[t + 5]) & _WORD
        r3 = s2a[r2 >> 24] ^ s2b[r2 >> 16 & 0xFF] ^ s2c[r2 >> 8 & 0xFF] ^ s2d[r2 & 0xFF]
        r2 = s1a[r1 >> 24] ^ s1b[r1 >> 16 & 0xFF] ^ s1c[r1 >> 8 & 0xFF] ^ s1d[r1 & 0xFF]
        r1 = r
    return r1, r2, r3


class Nea1:
    """128-NEA1, which is UEA2 (TS 33.501 D.2.1.2): f8 of TS 35.215 clause 3."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = _from_last(key)

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Cipher `data`, or its first `bits` bits."""
        _check(count, bearer, direction)
        length = len(data) * 8 if bits is None else bits
        plain = leading(data, length)
        # IV0 = IV2 = BEARER | DIRECTION | 26 zero bits, IV1 = IV3 = COUNT
        iv = pack(">II", bearer << 27 | direction << 26, count) * 2
        words = keystream(self._key, iv, (length + 31) // 32)
        return leading(xor(plain, pack(f">{len(words)}I", *words)[: len(plain)]), length)


class Nia1:
    """128-NIA1, which is UIA2 with FRESH = BEARER | 27 zero bits (TS 33.501 D.3.1.2)."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Give the 4 octets that protect `data`, or its first `bits` bits."""
        _check(count, bearer, direction)
        return f9(self._key, count, bearer << 27, direction, data, len(data) * 8 if bits is None else bits)


def f9(key: bytes, count: int, fresh: int, direction: int, data: bytes, bits: int) -> bytes:
    """UIA2 itself: the MAC of the first `bits` bits of `data`, 4 octets (TS 35.215 clause 4)."""
    iv = pack(">4I", fresh ^ direction << 15, count ^ direction << 31, fresh, count)
    z1, z2, z3, z4, z5 = keystream(_from_last(key), iv, 5)
    by_p = _multiplier(z1 << 32 | z2)
    value = 0
    message = leading(data, bits)
    for (block,) in _BLOCK.iter_unpack(message.ljust((len(message) + 7) // 8 * 8, b"\0")):
        value = _times(by_p, value ^ block)
    value = _times(_multiplier(z3 << 32 | z4), value ^ bits)
    return (value >> 32 ^ z5).to_bytes(4)


_BLOCK = Struct(">Q")


def _multiplier(factor: int) -> list[list[int]]:
    """Prepare products with `factor` modulo x^64 + 0x1B: 16 tables, one for each four bits of the other factor."""
    tables = []
    for _ in range(16):
        table = [0]
        for _ in range(4):
            table += [entry ^ factor for entry in table]
            factor = (factor << 1 & (1 << 64) - 1) ^ (0x1B if factor >> 63 else 0)
        tables.append(table)
    return tables


def _times(tables: list[list[int]], value: int) -> int:
    result = 0
    for table in tables:
        result ^= table[value & 15]
        value >>= 4
    return result


def _from_last(key: bytes) -> bytes:
    """Put the words of a key as the generator wants them: k3 is the key's first word (TS 35.215 3.4, 4.4)."""
    return key[12:] + key[8:12] + key[4:8] + key[:4]


def _check(count: int, bearer: int, direction: int) -> None:
    if not (0 <= count <= _WORD and 0 <= bearer < 32 and 0 <= direction < 2):
        raise Misuse("COUNT has 32 bits, BEARER 5 and DIRECTION 1")
