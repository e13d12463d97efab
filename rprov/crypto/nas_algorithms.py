"""Ciphering and integrity as NAS and PDCP use them: 128-NEA and 128-NIA, one object per key.

Owns the inputs COUNT, BEARER and DIRECTION (TS 33.501 D.2, D.3) and the algorithms made of AES; SNOW 3G and ZUC have
modules of their own. Refuses to know where a COUNT comes from and what may be sent without protection.

An object prepares its key once and keeps a working context: it belongs to one owner and serves one call at a time.
"""

from struct import Struct, error
from typing import Protocol, assert_never

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from rprov.crypto.bits import leading
from rprov.crypto.hierarchy import KNasEnc, KNasInt, KRrcEnc, KRrcInt, KUpEnc, KUpInt
from rprov.crypto.snow3g import Nea1, Nia1
from rprov.crypto.zuc import Nea3, Nia3
from rprov.errors import Misuse
from rprov.model.security import Nea, Nia

UPLINK = 0
"""DIRECTION of what the UE sends."""

DOWNLINK = 1
"""DIRECTION of what the UE receives."""

CipherKey = KNasEnc | KRrcEnc | KUpEnc
IntegrityKey = KNasInt | KRrcInt | KUpInt


class Ciphering(Protocol):
    """A ciphering algorithm under one key; deciphering is the same operation."""

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Cipher `data`, or its first `bits` bits (the rest of the last octet is then 0).

        `count` has 32 bits, `bearer` 5, `direction` 1. Raises `Misuse` for values beyond.
        """


class Integrity(Protocol):
    """An integrity algorithm under one key."""

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Give the 4 octets that protect `data`, or its first `bits` bits. Raises `Misuse` as `Ciphering.apply`."""


def cipher(algorithm: Nea, key: CipherKey) -> Ciphering:
    """Prepare a ciphering algorithm for `key`."""
    match algorithm:
        case Nea.NEA0:
            return Nea0()
        case Nea.NEA1:
            return Nea1(_octets(key))
        case Nea.NEA2:
            return Nea2(_octets(key))
        case Nea.NEA3:
            return Nea3(_octets(key))
    assert_never(algorithm)


def integrity(algorithm: Nia, key: IntegrityKey) -> Integrity:
    """Prepare an integrity algorithm for `key`; raises `Misuse` for NIA0, which protects nothing."""
    match algorithm:
        case Nia.NIA0:
            # TS 33.501 D.1: NIA0 only for unauthenticated emergency sessions, which are not built
            raise Misuse("NIA0 protects nothing and is never used")
        case Nia.NIA1:
            return Nia1(_octets(key))
        case Nia.NIA2:
            return Nia2(_octets(key))
        case Nia.NIA3:
            return Nia3(_octets(key))
    assert_never(algorithm)


def _octets(key: CipherKey | IntegrityKey) -> bytes:
    if len(key) != 16:
        raise Misuse(f"{key!r}: an algorithm key has 16 octets")
    return key.octets


_HEAD = Struct(">IB3x")  # COUNT | BEARER | DIRECTION | 26 zero bits
_NONCE = Struct(">IB11x")  # the same, and 64 zero bits more


def _pack(layout: Struct, count: int, bearer: int, direction: int) -> bytes:
    if direction >> 1:
        raise Misuse("DIRECTION has 1 bit")
    try:
        return layout.pack(count, bearer << 3 | direction << 2)
    except error:
        raise Misuse("COUNT has 32 bits and BEARER 5") from None


class Nea0:
    """NEA0: what goes in comes out (TS 33.501 D.1)."""

    __slots__ = ()

    def apply(
        self,
        count: int,  # noqa: ARG002
        bearer: int,  # noqa: ARG002
        direction: int,  # noqa: ARG002
        data: bytes,
        bits: int | None = None,
    ) -> bytes:
        """Give `data` as it is, or its first `bits` bits."""
        return data if bits is None else leading(data, bits)


class Nea2:
    """128-NEA2: AES in counter mode; the first block is COUNT | BEARER | DIRECTION | zeros (TS 33.501 D.2.1.3)."""

    __slots__ = ("_stream",)

    def __init__(self, key: bytes) -> None:
        # setting a new nonce in a living context costs a sixth of making a context
        self._stream = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Cipher `data`, or its first `bits` bits."""
        self._stream.reset_nonce(_pack(_NONCE, count, bearer, direction))
        if bits is None:
            return self._stream.update(data)
        return leading(self._stream.update(leading(data, bits)), bits)


class Nia2:
    """128-NIA2: AES-CMAC of COUNT | BEARER | DIRECTION | 26 zero bits | message, first 32 bits (TS 33.501 D.3.1.3)."""

    __slots__ = ("_fresh", "_k1_xor_k2")

    def __init__(self, key: bytes) -> None:
        self._fresh = CMAC(AES(key))
        # the subkeys of SP 800-38B 6.1, for messages that end inside an octet
        one_block = Cipher(AES(key), ECB()).encryptor()  # noqa: S305
        k1 = _double(int.from_bytes(one_block.update(bytes(16))))
        self._k1_xor_k2 = k1 ^ _double(k1)

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bits: int | None = None) -> bytes:
        """Give the 4 octets that protect `data`, or its first `bits` bits."""
        message = _pack(_HEAD, count, bearer, direction) + (data if bits is None else leading(data, bits))
        if bits is not None and bits % 8:
            message = self._completed(message, 64 + bits)
        run = self._fresh.copy()
        run.update(message)
        return run.finalize()[:4]

    def _completed(self, message: bytes, bits: int) -> bytes:
        """Fill a message that ends inside an octet up to whole blocks.

        The library pads octets only and adds K1 to a whole last block; SP 800-38B 6.2 wants one bit 1, zeros, and K2.
        """
        size = (bits // 128 + 1) * 16
        padded = int.from_bytes(message.ljust(size, b"\0")) | 1 << (size * 8 - bits - 1)
        return (padded ^ self._k1_xor_k2).to_bytes(size)


def _double(value: int) -> int:
    """Multiply by x in GF(2^128) (SP 800-38B 5.3: R128 = 0x87)."""
    return (value << 1 & (1 << 128) - 1) ^ (0x87 if value >> 127 else 0)
