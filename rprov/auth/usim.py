"""AKA of UMTS, which all ways of 5G build on: the USIM in software with its Protocol, and the home network's vector.

Owns AUTN on both sides and the USIM's array of sequence numbers (TS 33.102 6.3, Annex C). Refuses to know networks and
messages. The array is a value, so that a card's store can keep it.
"""

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from rprov.causes import Cause
from rprov.crypto.bits import xor
from rprov.crypto.milenage import AkaFunctions, Milenage
from rprov.errors import Misuse, Refused
from rprov.model.secret import Secret

IND_BITS = 5
ARRAY_SIZE = 1 << IND_BITS
"""How many sequence numbers a USIM remembers (TS 33.102 C.2.2: 32)."""

DELTA = 1 << 28
"""How far SEQ may leap (TS 33.102 C.3.2)."""

FRESH_ARRAY = (0,) * ARRAY_SIZE

_MAX_SQN = (1 << 48) - 1
_DUMMY_AMF = bytes(2)  # TS 33.102 6.3.3: AMF of a resynchronisation


@dataclass(frozen=True, slots=True)
class AkaSuccess:
    """AUTN is right and fresh. RES has 4 to 16 octets, CK and IK 16, SQN xor AK 6."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    sqn_xor_ak: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AkaMacFailure:
    """Whoever made AUTN does not hold K."""


@dataclass(frozen=True, slots=True)
class AkaSynchFailure:
    """AUTN is right but its SQN is out of range; AUTS has 14 octets."""

    auts: bytes


AkaResult = AkaSuccess | AkaMacFailure | AkaSynchFailure


class UsimAka(Protocol):
    """What a UE asks of a USIM."""

    def authenticate(self, rand: bytes, autn: bytes) -> AkaResult:
        """Check AUTN (16 octets) for RAND (16 octets) and answer; an accepted SQN is not accepted again."""


class Usim:
    """A USIM with MILENAGE, or with other functions where they are given.

    `age_limit` is L of TS 33.102 C.2.2: how far SEQ may lie behind the highest accepted; `None`: as far as it likes.
    """

    __slots__ = ("_age_limit", "_functions", "_sqn_array")

    def __init__(
        self,
        k: Secret,
        opc: Secret,
        sqn_array: tuple[int, ...] = FRESH_ARRAY,
        functions: AkaFunctions | None = None,
        *,
        age_limit: int | None = None,
    ) -> None:
        if len(sqn_array) != ARRAY_SIZE or not all(0 <= seq <= _MAX_SQN >> IND_BITS for seq in sqn_array):
            raise Misuse(f"a USIM keeps {ARRAY_SIZE} sequence numbers of 43 bits")
        if age_limit is not None and age_limit < 1:
            raise Misuse("the age limit of sequence numbers is at least 1")
        self._functions = functions or Milenage(k, opc)
        self._sqn_array = sqn_array
        self._age_limit = age_limit

    @property
    def sqn_array(self) -> tuple[int, ...]:
        """The highest SEQ accepted for each IND; what a store has to keep."""
        return self._sqn_array

    @property
    def sqn_ms(self) -> int:
        """The highest SQN accepted, 48 bits."""
        seq = max(self._sqn_array)
        return seq << IND_BITS | self._sqn_array.index(seq)

    def authenticate(self, rand: bytes, autn: bytes) -> AkaResult:
        """Check MAC-A first, then SQN (TS 33.102 6.3.3)."""
        if len(autn) != 16:
            raise Misuse("AUTN has 16 octets")
        keys = self._functions.f2345(rand)
        sqn_xor_ak, amf, mac = autn[:6], autn[6:8], autn[8:]
        sqn = xor(sqn_xor_ak, keys.ak)
        if not hmac.compare_digest(self._functions.f1(rand, sqn, amf), mac):
            return AkaMacFailure()
        if not self._take(int.from_bytes(sqn)):
            return AkaSynchFailure(self._auts(rand))
        return AkaSuccess(keys.res, keys.ck, keys.ik, sqn_xor_ak)

    def _take(self, sqn: int) -> bool:
        """Take SQN down and say so, unless it is out of range (TS 33.102 C.2.1, C.2.2)."""
        seq, ind = sqn >> IND_BITS, sqn & (ARRAY_SIZE - 1)
        seq_ms = max(self._sqn_array)
        if seq - seq_ms > DELTA or seq <= self._sqn_array[ind]:
            return False
        # TS 33.102 C.2.2: SEQ_MS - SEQ >= L is too old, so that a vector kept for long is of no use to a thief
        if self._age_limit is not None and seq_ms - seq >= self._age_limit:
            return False
        self._sqn_array = (*self._sqn_array[:ind], seq, *self._sqn_array[ind + 1 :])
        return True

    def _auts(self, rand: bytes) -> bytes:
        sqn_ms = self.sqn_ms.to_bytes(6)
        return xor(sqn_ms, self._functions.f5_star(rand)) + self._functions.f1_star(rand, sqn_ms, _DUMMY_AMF)


@dataclass(frozen=True, slots=True)
class UmtsVector:
    """What a home network makes of one RAND: AUTN has 16 octets, XRES 4 to 16, CK and IK 16, SQN xor AK 6."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    sqn_xor_ak: bytes = field(repr=False)

    @classmethod
    def make(cls, functions: AkaFunctions, sqn: int, amf: bytes, rand: bytes) -> "UmtsVector":
        """Make the vector of a RAND, 16 octets, with an SQN of 48 bits (TS 33.102 6.3.2).

        Raises `Misuse` for functions whose lengths 5G cannot carry: TUAK knows longer ones.
        """
        if not 0 <= sqn <= _MAX_SQN:
            raise Misuse("SQN has 48 bits")
        keys = functions.f2345(rand)
        sqn_octets = sqn.to_bytes(6)
        sqn_xor_ak = xor(sqn_octets, keys.ak)
        # TS 33.102 6.3.2: AUTN = SQN xor AK | AMF | MAC-A
        autn = sqn_xor_ak + amf + functions.f1(rand, sqn_octets, amf)
        if len(autn) != 16 or not 4 <= len(keys.res) <= 16 or len(keys.ck) != 16 or len(keys.ik) != 16:
            raise Misuse("5G carries a MAC of 8 octets, RES of 4 to 16, and CK and IK of 16")
        return cls(rand, autn, keys.res, keys.ck, keys.ik, sqn_xor_ak)


def sqn_of_auts(functions: AkaFunctions, rand: bytes, auts: bytes) -> int:
    """Give SQN_MS of an AUTS whose MAC-S is right; the home network's side (TS 33.102 6.3.5).

    Raises `Refused(MAC_FAILURE)` for any other.
    """
    if len(auts) != 14:
        raise Refused(Cause.MAC_FAILURE, "AUTS has 14 octets")
    sqn_ms = xor(auts[:6], functions.f5_star(rand))
    if not hmac.compare_digest(functions.f1_star(rand, sqn_ms, _DUMMY_AMF), auts[6:]):
        raise Refused(Cause.MAC_FAILURE, "MAC-S of AUTS is wrong")
    return int.from_bytes(sqn_ms)


def next_sqn(sqn: int) -> int:
    """Give the SQN of the next challenge: SEQ + 1, IND rotates (TS 33.102 C.1.1.1, C.3.2).

    Raises `Refused(SEQUENCE_OUT_OF_RANGE)` when SEQ is used up.
    """
    if not 0 <= sqn <= _MAX_SQN:
        raise Misuse("SQN has 48 bits")
    seq, ind = (sqn >> IND_BITS) + 1, (sqn + 1) % ARRAY_SIZE
    if seq > _MAX_SQN >> IND_BITS:
        raise Refused(Cause.SEQUENCE_OUT_OF_RANGE, "the sequence numbers of this subscriber are used up")
    return seq << IND_BITS | ind
