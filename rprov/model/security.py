"""Security capabilities, chosen algorithms and scope, as values. Knows no key."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from rprov.errors import DecodeError


class Nea(IntEnum):
    """Ciphering algorithms (TS 33.501 5.11.1.1)."""

    NEA0 = 0
    NEA1 = 1
    NEA2 = 2
    NEA3 = 3


class Nia(IntEnum):
    """Integrity algorithms (TS 33.501 5.11.1.2)."""

    NIA0 = 0
    NIA1 = 1
    NIA2 = 2
    NIA3 = 3


class AkaAlgorithm(StrEnum):
    """The authentication functions that a subscriber's home network and USIM share (TS 33.102 6.3)."""

    MILENAGE = "milenage"
    """Over AES (TS 35.206); K and OPc of 16 octets."""
    TUAK = "tuak"
    """Over Keccak (TS 35.231); K of 16 or 32 octets, TOPc of 32."""

    @property
    def opc_size(self) -> int:
        """Octets of OP and OPc, or of TOP and TOPc."""
        return 32 if self is AkaAlgorithm.TUAK else 16

    def check_sizes(self, k: int, opc: int) -> None:
        """Insist on lengths of K and OPc (or TOPc) that the functions take; raises `DecodeError`."""
        if self is AkaAlgorithm.TUAK:
            if k not in (16, 32) or opc != self.opc_size:
                raise DecodeError("K of TUAK has 16 or 32 octets and TOPc 32")
        elif k != 16 or opc != self.opc_size:
            raise DecodeError("K and OPc have 16 octets each")


class AkaMethod(StrEnum):
    """How the home network runs AKA with a subscriber; it alone chooses (TS 33.501 6.1.2)."""

    FIVE_G_AKA = "5g-aka"
    """5G AKA (TS 33.501 6.1.3.2)."""
    EAP_AKA_PRIME = "eap-aka-prime"
    """EAP-AKA' (TS 33.501 6.1.3.1)."""


class Scope(IntEnum):
    """What a security context may be used for; it never changes in the life of a context."""

    PROVISIONING = 0
    ORDINARY = 1


@dataclass(frozen=True, slots=True)
class SecurityCapability:
    """What a UE can do: one octet for NEA0..7 and one for NIA0..7, the most significant bit is algorithm 0."""

    nea: int
    nia: int

    def __post_init__(self) -> None:
        if not (0 <= self.nea <= 0xFF and 0 <= self.nia <= 0xFF):
            raise DecodeError("a security capability has one octet for NEA and one for NIA")

    @classmethod
    def of(cls, nea: tuple[Nea, ...], nia: tuple[Nia, ...]) -> "SecurityCapability":
        """Set the bits of the algorithms named."""
        return cls(sum(0x80 >> item for item in set(nea)), sum(0x80 >> item for item in set(nia)))

    @property
    def without_null_ciphering(self) -> "SecurityCapability":
        """The same without NEA0, for whom null ciphering is not allowed."""
        return SecurityCapability(self.nea & ~(0x80 >> Nea.NEA0), self.nia)

    def supports_nea(self, algorithm: Nea) -> bool:
        """Say whether the UE can cipher with it."""
        return bool(self.nea & 0x80 >> algorithm)

    def supports_nia(self, algorithm: Nia) -> bool:
        """Say whether the UE can protect integrity with it."""
        return bool(self.nia & 0x80 >> algorithm)


@dataclass(frozen=True, slots=True)
class Algorithms:
    """The pair that both sides use."""

    nea: Nea
    nia: Nia
