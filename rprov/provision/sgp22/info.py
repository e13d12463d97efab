"""What an eUICC tells about itself: EUICCInfo1 and EUICCInfo2 (SGP.22 5.7.8).

Owns how they are written and the few fields that a server looks at; the rest passes through unread.
"""

from dataclasses import dataclass
from typing import Self

from rprov.errors import DecodeError
from rprov.provision.sgp22.tlv import Reader, Tlv, bits, fixed, integer, open_tlv, read_integer, tlv

MAX_ISSUERS = 16

PROFILE_PACKAGE_VERSION = bytes((2, 3, 1))
SVN = bytes((2, 2, 2))
"""The version of SGP.22 that we speak; X-Admin-Protocol of ES9+ says the same."""


def _issuers(element: Tlv, what: str) -> tuple[bytes, ...]:
    """Read a list of CI public key ids, 20 octets each."""
    found: list[bytes] = []
    for item in Reader(element.value, what).rest():
        if item.tag != 0x04 or len(found) == MAX_ISSUERS:
            raise DecodeError(f"{what}: not a list of at most {MAX_ISSUERS} key ids")
        found.append(fixed(item.value, 20, what))
    return tuple(found)


def _issuer_list(tag: int, issuers: tuple[bytes, ...]) -> bytes:
    return tlv(tag, *(tlv(0x04, issuer) for issuer in issuers))


@dataclass(frozen=True, slots=True)
class EuiccInfo1:
    """Version, the CIs whose SM-DP+ the card believes, and the CIs under which it can sign, best first."""

    svn: bytes
    verification: tuple[bytes, ...]
    signing: tuple[bytes, ...]
    raw: bytes

    @classmethod
    def build(cls, verification: tuple[bytes, ...], signing: tuple[bytes, ...]) -> Self:
        """Make a BF20."""
        return cls.decode(
            tlv(0xBF20, tlv(0x82, SVN), _issuer_list(0xA9, verification), _issuer_list(0xAA, signing)),
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF20; extensions after the lists are skipped. Raises DecodeError."""
        what = "euiccInfo1"
        reader = open_tlv(octets, 0xBF20, what)
        svn = fixed(reader.take(0x82).value, 3, what)
        verification = _issuers(reader.take(0xA9), what)
        signing = _issuers(reader.take(0xAA), what)
        reader.rest()
        return cls(svn, verification, signing, octets)


@dataclass(frozen=True, slots=True)
class EuiccInfo2:
    """The long form; read are version and free memory."""

    svn: bytes
    free_memory: int
    raw: bytes

    @classmethod
    def build(
        cls, verification: tuple[bytes, ...], signing: tuple[bytes, ...], installed: int, free_memory: int
    ) -> Self:
        """Make a BF22 for a card with `installed` applications and `free_memory` octets."""
        resources = tlv(0x81, integer(installed)) + tlv(0x82, integer(free_memory)) + tlv(0x83, integer(8192))
        return cls.decode(
            tlv(
                0xBF22,
                tlv(0x81, PROFILE_PACKAGE_VERSION),
                tlv(0x82, SVN),
                tlv(0x83, bytes((1, 0, 0))),
                tlv(0x84, resources),
                tlv(0x85, bits((1, 4, 6, 7))),  # UICCCapability: usimSupport, akaMilenage, akaTuak128, akaTuak256
                tlv(0x88, b"\x00"),  # RspCapability: none of CRL, RPM, additional profile
                _issuer_list(0xA9, verification),
                _issuer_list(0xAA, signing),
                tlv(0x04, bytes(3)),
                tlv(0x0C),
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF22; raises DecodeError."""
        what = "euiccInfo2"
        elements = {element.tag: element.value for element in open_tlv(octets, 0xBF22, what).rest()}
        if 0x82 not in elements or 0x84 not in elements:
            raise DecodeError(f"{what}: version or resources are missing")
        resources = {element.tag: element.value for element in Reader(elements[0x84], what).rest()}
        # Cards in the field write this INTEGER without the leading zero octet, so it is read as unsigned.
        memory = resources.get(0x82, b"")
        if len(memory) > 8:
            raise DecodeError(f"{what}: free memory is too big a number")
        read_integer(resources.get(0x81, b"\x00"), what, 1 << 16)
        return cls(fixed(elements[0x82], 3, what), int.from_bytes(memory, "big"), octets)
