"""What the types of `asn1/rprov-types.asn` become: identities, causes, algorithms, addresses. Knows no message."""

from functools import lru_cache
from ipaddress import IPv4Address
from operator import attrgetter, index

from rprov.causes import Cause
from rprov.model.identifiers import Dnn, Eid, EidHint, Guti, Plmn, SNssai, Suci, swap_nibbles
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.wire.uper_compile import Leaf, Table

_CAUSES = {int(cause): cause for cause in Cause}


def _cause(number: int) -> Cause:
    # TS 24.501 9.11.3.2: a value that is not known "shall be treated as protocol error, unspecified" (111)
    return _CAUSES.get(number, Cause.PROTOCOL_ERROR)


def _eid_hint(octets: bytes) -> EidHint:
    return EidHint(octets.hex())


def _hint_octets(hint: EidHint) -> bytes:
    return bytes.fromhex(hint.digits)


# A node meets few networks, and nearly every message names one: what was checked once is remembered.
@lru_cache(maxsize=64)
def _plmn_octets(plmn: Plmn) -> bytes:
    mnc3 = plmn.mnc[2:] or "f"
    return swap_nibbles(bytes.fromhex(plmn.mcc + mnc3 + plmn.mnc[:2]))


@lru_cache(maxsize=64)
def _plmn(octets: bytes) -> Plmn:
    digits = swap_nibbles(octets).hex()
    mnc3 = digits[3]
    return Plmn(digits[:3], digits[4:] + (mnc3 if mnc3 != "f" else ""))


TYPES: Table = {
    "Eid": Leaf(Eid, attrgetter("octets"), Eid.from_octets),
    "EidHint": Leaf(EidHint, _hint_octets, _eid_hint),
    "Plmn": Leaf(Plmn, _plmn_octets, _plmn),
    "Suci": Suci,
    "Guti": Guti,
    "Dnn": Leaf(Dnn, attrgetter("octets"), Dnn.from_octets),
    "SNssai": Leaf(SNssai, attrgetter("octets"), SNssai.from_octets),
    "Cause": Leaf(Cause, index, _cause),
    "Nea": Nea,
    "Nia": Nia,
    "SecurityCapability": SecurityCapability,
    "Ipv4Address": Leaf(IPv4Address, attrgetter("packed"), IPv4Address),
    "TunnelEnd": TunnelEnd,
    "UserPlaneAddress": UserPlaneAddress,
}
