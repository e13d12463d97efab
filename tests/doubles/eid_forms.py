"""Every form in which an EID could cross a link, and a search for them bit by bit: UPER aligns nothing to octets."""

import base64
from collections.abc import Iterable

from rprov.model.identifiers import Eid, swap_nibbles


def bits(octets: bytes) -> str:
    return "".join(f"{octet:08b}" for octet in octets)


def forms_of(eid: Eid) -> dict[str, str]:
    """The secret part of an EID (all but the issuer's eight digits), and the whole where it would be another number."""
    secret, whole = eid.digits[8:], eid.digits
    forms = {
        "ASCII": bits(secret.encode()),
        "PrintableString": bits(b"\x13\x20" + whole.encode()),
        "UTF8String": bits(b"\x0c\x20" + whole.encode()),
        "7 bits": "".join(f"{ord(digit):07b}" for digit in secret),
        "UTF-16": bits(secret.encode("utf-16-be")),
        "BCD": "".join(f"{int(digit):04b}" for digit in secret),
        "NumericString": "".join(f"{int(digit) + 1:04b}" for digit in secret),
        "swapped BCD": bits(swap_nibbles(eid.octets)[4:]),
        "half of it, BCD": "".join(f"{int(digit):04b}" for digit in secret[-14:]),
        "OCTET STRING": bits(b"\x04\x10" + eid.octets),
        "tag 5A": bits(b"\x5a\x10" + eid.octets),
        "number": f"{int(whole):b}",
        "number of the secret part": f"{int(secret):b}",
        "hexadecimal": bits(whole.encode().hex().encode()),
    }
    for shift in range(3):
        # what stands before moves base64 by two bits an octet; the first and last characters depend on the neighbours
        forms[f"base64, {shift}"] = bits(base64.b64encode(b"=" * shift + secret.encode())[4:-4])
        forms[f"base64 of octets, {shift}"] = bits(base64.b64encode(b"=" * shift + eid.octets[4:])[4:-4])
    return forms


def shown_in(streams: Iterable[bytes], eid: Eid) -> list[str]:
    """The forms in which it stands in one of these."""
    written = [bits(stream) for stream in streams]
    return [form for form, wanted in forms_of(eid).items() if any(wanted in text for text in written)]
