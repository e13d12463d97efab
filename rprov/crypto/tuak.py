"""TUAK, the authentication functions f1 to f5* over Keccak (TS 35.231); the other standard set beside MILENAGE.

Owns the layout of the Keccak state and the permutation itself, which no library gives bare. Refuses to know what an
SQN means. Octet strings stand in the state last octet first (TS 35.231 clause 6).
"""

import hashlib
from dataclasses import dataclass

from rprov.crypto.milenage import AkaKeys
from rprov.errors import Misuse
from rprov.model.secret import Secret

_LANE = (1 << 64) - 1
_STATE = 200
_ALGORITHM_NAME = b"TUAK1.0"
_AK = slice(96, 102)
_OUT = 102


def keccak_f1600(state: bytes) -> bytes:
    """Apply the permutation Keccak-f[1600] to 200 octets (FIPS 202 3.3)."""
    if len(state) != _STATE:
        raise Misuse("the state of Keccak-f[1600] has 200 octets")
    lanes = [int.from_bytes(state[8 * i : 8 * i + 8], "little") for i in range(25)]
    for constant in _ROUND_CONSTANTS:
        lanes = _round(lanes, constant)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes)


def _round(lanes: list[int], constant: int) -> list[int]:
    # theta; lane (x, y) stands at x + 5 y
    parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
    change = [parity[x - 1] ^ _rotated(parity[(x + 1) % 5], 1) for x in range(5)]
    # rho and pi: (x, y) goes to (y, 2x + 3y)
    moved = [0] * 25
    for place, (target, offset) in enumerate(_MOVES):
        moved[target] = _rotated(lanes[place] ^ change[place % 5], offset)
    # chi
    out = []
    for row in range(0, 25, 5):
        a = moved[row : row + 5]
        out += [a[x] ^ ~a[(x + 1) % 5] & a[(x + 2) % 5] for x in range(5)]
    out[0] ^= constant  # iota
    return out


def _rotated(lane: int, bits: int) -> int:
    return (lane << bits | lane >> (64 - bits)) & _LANE


def _moves() -> list[tuple[int, int]]:
    """Where rho and pi take each lane, and by how much it is rotated (FIPS 202 3.2.2, 3.2.3)."""
    moves = [(0, 0)] * 25
    x, y = 1, 0
    for t in range(24):
        moves[x + 5 * y] = (y + 5 * ((2 * x + 3 * y) % 5), (t + 1) * (t + 2) // 2 % 64)
        x, y = y, (2 * x + 3 * y) % 5
    return moves


def _round_constants() -> list[int]:
    """The constants of iota, from the shift register of FIPS 202 3.2.5 (x^8 + x^6 + x^5 + x^4 + 1)."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << ((1 << j) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        constants.append(constant)
    return constants


_MOVES = _moves()
_ROUND_CONSTANTS = _round_constants()


@dataclass(frozen=True, slots=True)
class TuakSizes:
    """The lengths that an operator chooses, in octets (TS 35.231 clause 5), and how often Keccak runs."""

    mac: int = 8
    res: int = 8
    ck: int = 16
    ik: int = 16
    iterations: int = 1

    def __post_init__(self) -> None:
        if self.mac not in (8, 16, 32) or self.res not in (4, 8, 16, 32):
            raise Misuse("TUAK has a MAC of 8, 16 or 32 octets and a RES of 4, 8, 16 or 32")
        if self.ck not in (16, 32) or self.ik not in (16, 32) or self.iterations < 1:
            raise Misuse("TUAK has CK and IK of 16 or 32 octets and runs Keccak at least once")


STANDARD_SIZES = TuakSizes()
_LENGTH_CODE = {4: 0, 8: 1, 16: 2, 32: 4}  # of MAC and RES in INSTANCE


def topc(k: Secret, top: Secret, iterations: int = 1) -> Secret:
    """Derive TOPc, 32 octets, from K (16 or 32 octets) and TOP (32 octets) (TS 35.231 6.1)."""
    out = _run(top, k, 0, bytes(16), bytes(6), bytes(2), iterations)
    return Secret(out[31::-1])


class Tuak:
    """f1 to f5* for one subscriber; K has 16 or 32 octets, TOPc 32. MAC and RES as `sizes` says."""

    __slots__ = ("_k", "_sizes", "_topc")

    def __init__(self, k: Secret, topc: Secret, sizes: TuakSizes = STANDARD_SIZES) -> None:
        self._k, self._topc, self._sizes = k, topc, sizes

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Give MAC-A."""
        return self._mac(0x00, rand, sqn, amf)

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Give MAC-S."""
        return self._mac(0x80, rand, sqn, amf)

    def f2345(self, rand: bytes) -> AkaKeys:
        """Give RES, CK, IK and AK."""
        sizes = self._sizes
        instance = 0x40 | _LENGTH_CODE[sizes.res] << 3 | (sizes.ck == 32) << 2 | (sizes.ik == 32) << 1
        out = self._out(instance, rand, bytes(6), bytes(2))
        return AkaKeys(
            out[: sizes.res][::-1], out[32 : 32 + sizes.ck][::-1], out[64 : 64 + sizes.ik][::-1], out[_AK][::-1]
        )

    def f5_star(self, rand: bytes) -> bytes:
        """Give AK of a resynchronisation, 6 octets."""
        return self._out(0xC0, rand, bytes(6), bytes(2))[_AK][::-1]

    def _mac(self, instance: int, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        size = self._sizes.mac
        return self._out(instance | _LENGTH_CODE[size] << 3, rand, sqn, amf)[:size][::-1]

    def _out(self, instance: int, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return _run(self._topc, self._k, instance, rand, sqn, amf, self._sizes.iterations)


def _run(top: Secret, k: Secret, instance: int, rand: bytes, sqn: bytes, amf: bytes, iterations: int) -> bytes:
    """Fill the state (TS 35.231 clause 6) and permute it; INSTANCE without its last bit, the length of K."""
    if len(k) not in (16, 32) or len(top) != 32:
        raise Misuse("TUAK has a K of 16 or 32 octets and a TOP of 32")
    if (len(rand), len(sqn), len(amf)) != (16, 6, 2):
        raise Misuse("RAND has 16 octets, SQN 6 and AMF 2")
    first = top.octets[::-1] + bytes((instance | (len(k) == 32),)) + _ALGORITHM_NAME[::-1]
    inputs = rand[::-1] + amf[::-1] + sqn[::-1] + k.octets[::-1].ljust(32, b"\0")
    # 0x1F and 0x80 pad to the rate of 1088 bits as SHAKE256 does, of which OUT needs the first 102 octets; so one
    # permutation, the usual case, is that function, and a library's is two hundred times faster than ours
    if iterations == 1:
        return hashlib.shake_256(first + inputs).digest(_OUT)
    state = (first + inputs + b"\x1f").ljust(135, b"\0") + b"\x80" + bytes(64)
    for _ in range(iterations):
        state = keccak_f1600(state)
    return state[:_OUT]
