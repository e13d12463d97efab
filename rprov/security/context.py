"""A NAS security context: its keys, its COUNTs, and what they make of messages. Knows no message and no socket.

Owned by one endpoint and changed by every message. COUNTs begin at 0 and are never set back: fresh keys are a fresh
context (TS 33.501 6.4.3.1). What may travel without protection is decided elsewhere.
"""

import hmac
from dataclasses import dataclass
from enum import Enum

from rprov.causes import Cause
from rprov.crypto.hierarchy import KAmf, k_nas_enc, k_nas_int
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK, Ciphering, Integrity, cipher, integrity
from rprov.errors import DecodeError, MacMismatch, Misuse, Refused, Replayed
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.security.envelope import MAC_SIZE, ProtectedPdu, SecurityHeader

BEARER = 1
"""The NAS connection identifier of 3GPP access (TS 33.501 6.4.3.1)."""

MAX_COUNT = (1 << 24) - 1
_NONE = -1


class Side(Enum):
    """Which end of the context this is."""

    UE = "ue"
    CP = "cp"


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose MAC is right and whose COUNT is new."""

    plain: bytes
    count: int
    header: SecurityHeader


class SecurityContext:
    """One NAS security context at one of its two ends.

    Raises `Refused` for algorithms that its scope does not allow and `Misuse` for a key or identifier out of range.
    """

    __slots__ = (
        "_accepted",
        "_algorithms",
        "_ciphering",
        "_integrity",
        "_k_amf",
        "_ksi",
        "_receives",
        "_scope",
        "_sends",
        "_sent",
        "_side",
    )

    def __init__(self, side: Side, ksi: int, k_amf: KAmf, algorithms: Algorithms, scope: Scope) -> None:
        if not 0 <= ksi <= 6:
            raise Misuse("a key set identifier in use is 0 to 6")
        if len(k_amf) != 32:
            raise Misuse("K_AMF has 32 octets")
        check_allowed(algorithms, scope)
        self._side = side
        self._ksi = ksi
        self._algorithms = algorithms
        self._scope = scope
        self._k_amf: KAmf | None = k_amf
        self._sends, self._receives = (UPLINK, DOWNLINK) if side is Side.UE else (DOWNLINK, UPLINK)
        self._sent = self._accepted = _NONE
        self._integrity: Integrity = integrity(algorithms.nia, k_nas_int(k_amf, algorithms.nia))
        self._ciphering: Ciphering = cipher(algorithms.nea, k_nas_enc(k_amf, algorithms.nea))

    def __repr__(self) -> str:
        return (
            f"SecurityContext({self._side.value}, ksi {self._ksi}, {self._algorithms.nea.name}, "
            f"{self._algorithms.nia.name}, {self._scope.name.lower()}, sent {self._sent}, accepted {self._accepted})"
        )

    @property
    def side(self) -> Side:
        """Which end this is."""
        return self._side

    @property
    def ksi(self) -> int:
        """The key set identifier, 0 to 6."""
        return self._ksi

    @property
    def algorithms(self) -> Algorithms:
        """The algorithms in use."""
        return self._algorithms

    @property
    def scope(self) -> Scope:
        """What the context may be used for."""
        return self._scope

    @property
    def k_amf(self) -> KAmf:
        """The key of which K_gNB and NH are made."""
        if self._k_amf is None:
            raise Misuse("the security context is erased")
        return self._k_amf

    @property
    def last_uplink_count(self) -> int:
        """The COUNT of the last uplink message sent or accepted; raises `Misuse` before the first."""
        return self._counted(self._sent if self._side is Side.UE else self._accepted)

    @property
    def last_downlink_count(self) -> int:
        """The COUNT of the last downlink message sent or accepted; raises `Misuse` before the first."""
        return self._counted(self._accepted if self._side is Side.UE else self._sent)

    @staticmethod
    def _counted(count: int) -> int:
        if count == _NONE:
            raise Misuse("no message was counted yet in this direction")
        return count

    def protect(self, plain: bytes, header: SecurityHeader) -> bytes:
        """Give the PDU that carries a message, ciphered first and then protected (TS 24.501 4.4.3.3, 4.4.5).

        Raises `Misuse` where a COUNT would be used twice: the context is at its end, a new authentication is due.
        """
        if header is SecurityHeader.PLAIN:
            raise Misuse("a plain message is not protected")
        if not plain:
            raise Misuse("an empty message is not protected")
        count = self._sent + 1
        if count > MAX_COUNT:
            raise Misuse("the NAS COUNT is used up: authenticate again")
        self._sent = count
        if header.ciphered:
            plain = self._ciphering.apply(count, BEARER, self._sends, plain)
        numbered = bytes((count & 0xFF,)) + plain
        return bytes((header,)) + self._integrity.mac(count, BEARER, self._sends, numbered) + numbered

    def unprotect(self, pdu: ProtectedPdu) -> Verified:
        """Verify a PDU, then decipher it where its header says so.

        Raises `MacMismatch`; `Replayed` where the MAC is right for a COUNT that is not above the last accepted one;
        `DecodeError` for a PDU that is not framed as protected. NAS is delivered in order, so an older COUNT is never
        waited for. A COUNT is taken down after its MAC was right, not before.
        """
        if pdu.header is SecurityHeader.PLAIN or len(pdu.mac) != MAC_SIZE or not pdu.payload:
            raise DecodeError("not a protected PDU")
        numbered = bytes((pdu.sequence_number,)) + pdu.payload
        # the lowest COUNT above the last accepted one that ends in this SQN (TS 24.501 4.4.3.1)
        count = (self._accepted + 1 & ~0xFF) | pdu.sequence_number
        if count <= self._accepted:
            count += 0x100
        if count > MAX_COUNT or not self._matches(count, numbered, pdu.mac):
            older = count - 0x100
            if older >= 0 and self._matches(older, numbered, pdu.mac):
                raise Replayed(f"a message with NAS COUNT {older}, while {self._accepted} is the last accepted")
            raise MacMismatch("the MAC of a NAS message is wrong")
        self._accepted = count
        if not pdu.header.ciphered:
            return Verified(pdu.payload, count, pdu.header)
        return Verified(self._ciphering.apply(count, BEARER, self._receives, pdu.payload), count, pdu.header)

    def _matches(self, count: int, numbered: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(self._integrity.mac(count, BEARER, self._receives, numbered), mac)

    def erase(self) -> None:
        """Let go of all keys; whoever uses the context after that gets `Misuse`."""
        self._k_amf = None
        self._integrity = self._ciphering = _Erased()


class _Erased:
    """Stands where algorithms and their keys were."""

    __slots__ = ()

    def apply(self, *_arguments: object, **_options: object) -> bytes:
        """Refuse."""
        raise Misuse("the security context is erased")

    mac = apply


def check_allowed(algorithms: Algorithms, scope: Scope) -> None:
    """Refuse algorithms that protect too little; raises `Refused`.

    NIA0 is for emergency calls without authentication, which are not built (TS 33.501 5.11.1.2); a provisioning attach
    is always ciphered.
    """
    if algorithms.nia is Nia.NIA0:
        raise Refused(Cause.SECURITY_MODE_REJECTED, "null integrity is never accepted")
    if algorithms.nea is Nea.NEA0 and scope is Scope.PROVISIONING:
        raise Refused(Cause.SECURITY_MODE_REJECTED, "null ciphering is not accepted for provisioning")
