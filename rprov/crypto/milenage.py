"""MILENAGE, the authentication functions f1 to f5* over AES-128 (TS 35.206). Refuses to know what an SQN means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from rprov.errors import Misuse
from rprov.model.secret import Secret

_MASK = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class AkaKeys:
    """What f2 to f5 make of a RAND: RES (4 to 32 octets), CK and IK (16; TUAK also 32), AK (6)."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)


class AkaFunctions(Protocol):
    """A set of authentication functions under one subscriber key (TS 33.102 6.3)."""

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """MAC-A, 8 octets, of RAND (16), SQN (6) and AMF (2)."""

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """MAC-S, 8 octets, for resynchronisation."""

    def f2345(self, rand: bytes) -> AkaKeys:
        """RES, CK, IK and AK."""

    def f5_star(self, rand: bytes) -> bytes:
        """AK of a resynchronisation, 6 octets."""


def _int(octets: bytes, size: int, what: str) -> int:
    if len(octets) != size:
        raise Misuse(f"{what} has {size} octets")
    return int.from_bytes(octets)


def _encryption(key: bytes) -> Callable[[int], int]:
    """Prepare AES for single blocks; setting up a context costs more than five blocks."""
    update = Cipher(AES(key), ECB()).encryptor().update  # noqa: S305 - one block
    return lambda block: int.from_bytes(update(block.to_bytes(16)))


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (128 - bits)) & _MASK


def opc(k: Secret, op: Secret) -> Secret:
    """Derive OPc = OP xor E_K(OP) (TS 35.206 4.1)."""
    if len(k) != 16:
        raise Misuse("K has 16 octets")
    plain = _int(op.octets, 16, "OP")
    return Secret((plain ^ _encryption(k.octets)(plain)).to_bytes(16))


class Milenage:
    """f1 to f5* for one subscriber, with the rotations and constants of TS 35.206 4.1. Serves one call at a time."""

    __slots__ = ("_encrypt", "_opc")

    def __init__(self, k: Secret, opc: Secret) -> None:
        if len(k) != 16:
            raise Misuse("K has 16 octets")
        self._encrypt = _encryption(k.octets)
        self._opc = _int(opc.octets, 16, "OPc")

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Give MAC-A, 8 octets."""
        return self._out1(rand, sqn, amf)[:8]

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Give MAC-S, 8 octets."""
        return self._out1(rand, sqn, amf)[8:]

    def f2345(self, rand: bytes) -> AkaKeys:
        """Give RES (8 octets), CK, IK and AK."""
        temp = self._temp(rand)
        out2 = self._out(temp, 0, 1)
        return AkaKeys(out2[8:], self._out(temp, 32, 2), self._out(temp, 64, 4), out2[:6])

    def f5_star(self, rand: bytes) -> bytes:
        """Give AK of a resynchronisation, 6 octets."""
        return self._out(self._temp(rand), 96, 8)[:6]

    def _temp(self, rand: bytes) -> int:
        return self._encrypt(_int(rand, 16, "RAND") ^ self._opc)

    def _out1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        half = _int(sqn, 6, "SQN") << 16 | _int(amf, 2, "AMF")
        in1 = _rotated((half << 64 | half) ^ self._opc, 64)  # r1 = 64, c1 = 0
        return (self._encrypt(self._temp(rand) ^ in1) ^ self._opc).to_bytes(16)

    def _out(self, temp: int, rotation: int, constant: int) -> bytes:
        return (self._encrypt(_rotated(temp ^ self._opc, rotation) ^ constant) ^ self._opc).to_bytes(16)
