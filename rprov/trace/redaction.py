"""Keys that cross a link in clear, made zeros of equal length, so that everything else of a record still decodes.

Owns where such keys stand: K_gNB and whatever else is a `Secret` in a control message of N2, and the MS-MPPE keys of a
RADIUS answer, which only a shared secret hides. Everything else on our links is no key.
"""

from collections.abc import Iterator
from dataclasses import fields

from rprov.errors import DecodeError
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.wire.link import InitialContextSetupRequest, N2Kind, decode_n2_frame
from rprov.wire.link_asn1 import decode_link, encode_link
from rprov.wire.radius import HEADER, Kind
from rprov.wire.radius_attributes import MICROSOFT, MicrosoftKind

_N2_HEADER = 9
_CHOICE_BITS = 0xF8  # the first bits of a control message say which it is: extension bit, then 4 bits
_KEY_KINDS = frozenset(MicrosoftKind)


def redact_n2(octets: bytes) -> tuple[bytes, bool]:
    """Give an N2 message without its keys, and whether there were any."""
    try:
        frame = decode_n2_frame(octets)
    except DecodeError:
        return octets, False
    if frame.kind is not N2Kind.CONTROL:
        return octets, False
    try:
        message = decode_link(frame.payload)
    except DecodeError:
        if frame.payload[0] & _CHOICE_BITS != _carries_key():
            return octets, False
        # It says that it carries K_gNB, and nobody knows where.
        return octets[: _N2_HEADER + 1] + bytes(len(octets) - _N2_HEADER - 1), True
    payload = frame.payload
    for item in fields(message):
        value = getattr(message, item.name)
        if isinstance(value, Secret):
            payload = _without(payload, value.octets)
    return octets[:_N2_HEADER] + payload, payload != frame.payload


def redact_radius(octets: bytes) -> tuple[bytes, bool]:
    """Give a RADIUS packet without its MS-MPPE keys, and whether there were any; what is no packet stays as it is."""
    cleared = bytearray(octets)
    for start, end in _mppe_values(octets):
        cleared[start:end] = bytes(end - start)
    return bytes(cleared), bytes(cleared) != octets


def _mppe_values(octets: bytes) -> Iterator[tuple[int, int]]:
    for kind, start, end in _attributes(octets, HEADER, len(octets)):
        vendor = octets[start : start + 4]
        if kind != Kind.VENDOR_SPECIFIC or int.from_bytes(vendor) != MICROSOFT:
            continue
        for inner, value_start, value_end in _attributes(octets, start + 4, end):
            if inner in _KEY_KINDS:
                yield value_start, value_end


def _attributes(octets: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Walk type, length and value as far as they make sense."""
    while at + 2 <= end:
        length = octets[at + 1]
        if length < 2 or at + length > end:
            return
        yield octets[at], at + 2, at + length
        at += length


def _carries_key() -> int:
    nothing = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
    return encode_link(InitialContextSetupRequest(Secret(bytes(32)), nothing))[0] & _CHOICE_BITS


def _without(octets: bytes, key: bytes) -> bytes:
    """Clear a key wherever it stands; in UPER that is at any bit."""
    number, wanted = int.from_bytes(octets), int.from_bytes(key)
    bits = 8 * len(key)
    mask = (1 << bits) - 1
    for shift in range(8 * len(octets) - bits + 1):
        if (number >> shift) & mask == wanted:
            number &= ~(mask << shift)
    return number.to_bytes(len(octets))
