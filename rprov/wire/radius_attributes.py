"""RADIUS attributes that EAP needs: EAP-Message in pieces (RFC 3579 3.1) and MSK in MS-MPPE keys (RFC 2548 2.4).

    Vendor-Specific: | 26 | length | 0 0 1 37 (311, Microsoft) | 16 or 17 | length | salt (2) | the key, hidden (16 n) |

The first half of MSK goes as MS-MPPE-Recv-Key, the second as MS-MPPE-Send-Key; EMSK never goes anywhere. Knows no EAP
method, and not what MSK becomes.
"""

import hashlib
from enum import IntEnum

from rprov.errors import DecodeError, Misuse
from rprov.model.secret import Secret
from rprov.wire.radius import LARGEST_VALUE, Attribute, Kind, Packet, SharedSecret

MICROSOFT = 311
MSK_OCTETS = 64
_HALF = MSK_OCTETS // 2
_BLOCK = 16
_EAP_MESSAGE = int(Kind.EAP_MESSAGE)
_LARGEST_MTU = 65535
_SMALLEST_MTU = 64  # RFC 2865 5.12


class MicrosoftKind(IntEnum):
    """Attributes of Microsoft's (RFC 2548 2.4.2 and 2.4.3)."""

    SEND_KEY = 16
    RECV_KEY = 17


def split_eap(packet: bytes) -> tuple[Attribute, ...]:
    """Cut an EAP packet into attributes of 253 octets at most; one that is empty means EAP-Start (RFC 3579 2.1)."""
    starts = range(0, max(len(packet), 1), LARGEST_VALUE)
    return tuple([Attribute(_EAP_MESSAGE, packet[at : at + LARGEST_VALUE]) for at in starts])


def join_eap(packet: Packet) -> bytes | None:
    """Put the EAP packet together, if there is one; raises `DecodeError`."""
    pieces = packet.values(_EAP_MESSAGE)
    if not pieces:
        return None
    kinds = packet.kinds
    first = kinds.index(_EAP_MESSAGE)
    if kinds[first : first + len(pieces)].count(_EAP_MESSAGE) != len(pieces):
        raise DecodeError("EAP-Message attributes must follow each other (RFC 3579 3.1)")
    return b"".join(pieces)


def framed_mtu(packet: Packet) -> int | None:
    """Read how many octets an EAP packet may have on its way to the peer (RFC 3579 2.4); raises `DecodeError`."""
    value = packet.single(Kind.FRAMED_MTU)
    if value is None:
        return None
    mtu = int.from_bytes(value)
    if len(value) != 4 or not _SMALLEST_MTU <= mtu <= _LARGEST_MTU:
        raise DecodeError("a Framed-MTU is a number from 64 to 65535")
    return mtu


def vendor_attributes(packet: Packet, vendor: int) -> list[Attribute]:
    """Read what one vendor has put in; raises `DecodeError`. What others have is opaque (RFC 2865 5.26)."""
    found = []
    for value in packet.values(Kind.VENDOR_SPECIFIC):
        if len(value) < 4:
            raise DecodeError("a Vendor-Specific attribute without its vendor")
        if int.from_bytes(value[:4]) != vendor:
            continue
        at = 4
        while at < len(value):
            end = at + (value[at + 1] if at + 1 < len(value) else 0)
            if not at + 2 <= end <= len(value):
                # A length of 0 or 1 would never move on.
                raise DecodeError(f"attribute {value[at]} of vendor {vendor} has an impossible length")
            found.append(Attribute(value[at], value[at + 2 : end]))
            at = end
    return found


def mppe_keys(msk: Secret, salts: bytes, authenticator: bytes, secret: SharedSecret) -> tuple[Attribute, Attribute]:
    """Give the two attributes that carry MSK to whoever sent the request with this `authenticator`.

    `salts` are two fresh random octets; the two salts of a packet differ, and their first bit is set.
    """
    if len(msk) != MSK_OCTETS or len(salts) != 2:
        raise Misuse("MSK has 64 octets and salts begin with two")
    recv_salt = bytes((salts[0] | 0x80, salts[1] | 1))
    send_salt = bytes((recv_salt[0], recv_salt[1] ^ 1))
    return (
        _vendor_attribute(MicrosoftKind.RECV_KEY, _hide(msk.octets[:_HALF], recv_salt, authenticator, secret)),
        _vendor_attribute(MicrosoftKind.SEND_KEY, _hide(msk.octets[_HALF:], send_salt, authenticator, secret)),
    )


def msk_of(packet: Packet, authenticator: bytes, secret: SharedSecret) -> Secret:
    """Read MSK from an answer that was checked; `authenticator` is that of the request. Raises `DecodeError`."""
    sent = vendor_attributes(packet, MICROSOFT)
    halves = []
    for kind in (MicrosoftKind.RECV_KEY, MicrosoftKind.SEND_KEY):
        values = [value for found, value in sent if found == kind]
        if len(values) != 1:
            raise DecodeError(f"{len(values)} MS-MPPE keys of type {kind} in place of one")
        halves.append(_reveal(values[0], authenticator, secret))
    if any(len(half) != _HALF for half in halves):
        raise DecodeError("MS-MPPE keys that are not the halves of an MSK")
    return Secret(b"".join(halves))


def _vendor_attribute(kind: MicrosoftKind, value: bytes) -> Attribute:
    return Attribute(Kind.VENDOR_SPECIFIC, MICROSOFT.to_bytes(4) + bytes((kind, len(value) + 2)) + value)


def _hide(key: bytes, salt: bytes, authenticator: bytes, secret: SharedSecret) -> bytes:
    """RFC 2548 2.4.2: the length, the key and zeros up to whole blocks, each masked by MD5 over the block before."""
    plain = bytes((len(key),)) + key
    plain += bytes(-len(plain) % _BLOCK)
    hidden = b""
    previous = authenticator + salt
    for at in range(0, len(plain), _BLOCK):
        previous = _xor(plain[at : at + _BLOCK], _mask(secret, previous))
        hidden += previous
    return salt + hidden


def _reveal(value: bytes, authenticator: bytes, secret: SharedSecret) -> bytes:
    salt, hidden = value[:2], value[2:]
    if not hidden or len(hidden) % _BLOCK or not salt[0] & 0x80:
        raise DecodeError("an MS-MPPE key of an impossible form")
    plain = b""
    previous = authenticator + salt
    for at in range(0, len(hidden), _BLOCK):
        block = hidden[at : at + _BLOCK]
        plain += _xor(block, _mask(secret, previous))
        previous = block
    if 1 + plain[0] > len(plain):
        raise DecodeError("an MS-MPPE key that was hidden with another secret")
    return plain[1 : 1 + plain[0]]


def _mask(secret: SharedSecret, previous: bytes) -> bytes:
    # MD5 is what the format demands; off this machine RADIUS goes over TLS, which hides it all.
    return hashlib.md5(secret.octets + previous, usedforsecurity=False).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(_BLOCK)
