"""The keys of EAP-AKA': PRF' and what its output is cut into (RFC 9048 3.3, 3.4). Refuses to know packets.

MK = PRF'(IK' | CK', "EAP-AKA'" | identity)
| K_encr 16 | K_aut 32 | K_re 32 | MSK 64 | EMSK 64 |
"""

import hmac
from dataclasses import dataclass

from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import Misuse
from rprov.model.secret import Secret

_BLOCK = 32
_LABEL = b"EAP-AKA'"


class KEncr(Secret):
    """K_encr, 16 octets: for AT_ENCR_DATA, which 5GS does not use."""


class KAut(Secret):
    """K_aut, 32 octets: for AT_MAC."""


class KRe(Secret):
    """K_re, 32 octets: for fast re-authentication, which 5GS does not use (TS 33.501 Annex F)."""


@dataclass(frozen=True, slots=True)
class EapAkaKeys:
    """Everything that one full authentication of EAP-AKA' gives."""

    k_encr: KEncr
    k_aut: KAut
    k_re: KRe
    msk: Msk
    emsk: Emsk

    @classmethod
    def derive(cls, ck_prime: bytes, ik_prime: bytes, identity: str) -> "EapAkaKeys":
        """Derive all keys of CK' and IK', 16 octets each; in 5GS `identity` is the SUPI (TS 33.501 F.3)."""
        if len(ck_prime) != 16 or len(ik_prime) != 16:
            raise Misuse("CK' and IK' have 16 octets each")
        mk = prf_prime(ik_prime + ck_prime, _LABEL + identity.encode(), 208)
        return cls(KEncr(mk[:16]), KAut(mk[16:48]), KRe(mk[48:80]), Msk(mk[80:144]), Emsk(mk[144:]))


def prf_prime(key: bytes, s: bytes, size: int) -> bytes:
    """Give `size` octets of PRF'(key, s): T1 | T2 | … with Ti = HMAC-SHA-256(key, Ti-1 | s | i) (RFC 9048 3.4.1)."""
    if not 0 <= size <= 255 * _BLOCK:
        raise Misuse("PRF' counts its blocks in one octet")
    out, block = bytearray(), b""
    for index in range(1, -(-size // _BLOCK) + 1):
        block = hmac.digest(key, block + s + bytes((index,)), "sha256")
        out += block
    return bytes(out[:size])
