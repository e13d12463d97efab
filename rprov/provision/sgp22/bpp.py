"""The bound profile package, BF36 (SGP.22 2.5.4): binding it to one card, and cutting it for the way to the card.

    BF36 { BF23 secure channel | A0 {87 configureISDP} | A1 {88 storeMetadata} | [A2 {87 session keys}] | A3 {86…} }

Opening it is the card's affair (`euicc/loading.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from rprov.errors import DecodeError, Misuse
from rprov.provision.sgp22.bsp import (
    CIPHERED_ROOM,
    CLEAR_ROOM,
    KEY_LENGTH,
    KEY_TYPE,
    MAC_LENGTH,
    Bsp,
    BspKeys,
    derive_keys,
    shared_info,
)
from rprov.provision.sgp22.keys import POINT_TAG, agree, load_point, point, sign, signature_do
from rprov.provision.sgp22.metadata import read_transaction_id
from rprov.provision.sgp22.tlv import Reader, fixed, header, integer, open_tlv, read, read_header, read_integer, tlv

MAX_PACKAGE = 1 << 19
"""The largest bound package, in octets: a card has about this much room for profiles, and nobody may make us buffer
more. Profiles in the field have 10 to 100 thousand octets."""

INSTALL_OPERATION = 1


@dataclass(frozen=True, slots=True)
class SecureChannel:
    """InitialiseSecureChannelRequest, BF23. `signed` are its elements before the signature, as they came."""

    operation: int
    transaction_id: bytes
    key_type: int
    key_length: int
    host_id: bytes
    one_time_key: bytes
    signed: bytes
    signature: bytes

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a whole BF23; raises DecodeError."""
        what = "initialiseSecureChannel"
        reader = open_tlv(octets, 0xBF23, what)
        elements = [reader.take(tag) for tag in (0x82, 0x80, 0xA6, POINT_TAG)]
        signature = fixed(reader.take(0x5F37).value, 64, what)
        reader.finish()
        operation, transaction_id, template, key = (element.value for element in elements)
        crt = Reader(template, what)
        key_type, key_length = (int.from_bytes(fixed(crt.take(tag).value, 1, what), "big") for tag in (0x80, 0x81))
        host_id = crt.take(0x84).value
        if not 1 <= len(host_id) <= 16:
            raise DecodeError(f"{what}: a host id has 1 to 16 octets")
        return cls(
            read_integer(operation, what, 127),
            read_transaction_id(transaction_id, what),
            key_type,
            key_length,
            host_id,
            fixed(key, 65, what),
            b"".join(element.raw for element in elements),
            signature,
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """For which card and in which transaction a package is bound. `card_key` is the card's one-time key, a point."""

    transaction_id: bytes
    eid: bytes
    card_key: bytes
    host_id: bytes


def bind(
    profile: bytes,
    metadata: bytes,
    binding: Binding,
    one_time_key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    replacement: BspKeys | None = None,
) -> bytes:
    """Bind a profile package; `replacement` are the session keys to hand over in A2, if any.

    Raises DecodeError when the card's key is no point of the curve.
    """
    card_key = load_point(binding.card_key, one_time_key.curve, "otPK.EUICC")
    secret = agree(one_time_key, card_key)
    bsp = Bsp(derive_keys(secret, shared_info(binding.host_id, binding.eid)))
    parts = [
        _secure_channel(binding, one_time_key, signing_key),
        tlv(0xA0, bsp.protect(0x87, tlv(0xBF24))),
        tlv(0xA1, *(bsp.authenticate(0x88, piece) for piece in _pieces(metadata, CLEAR_ROOM))),
    ]
    if replacement is not None:
        keys = tlv(
            0xBF26,
            tlv(0x80, replacement.chaining_value.octets),
            tlv(0x81, replacement.enc.octets),
            tlv(0x82, replacement.mac.octets),
        )
        parts.append(tlv(0xA2, bsp.protect(0x87, keys)))
        bsp = Bsp(replacement)  # counter and chain start anew (SGP.22 2.5.5)
    parts.append(tlv(0xA3, *(bsp.protect(0x86, piece) for piece in _pieces(profile, CIPHERED_ROOM))))
    package = tlv(0xBF36, *parts)
    if len(package) > MAX_PACKAGE:
        raise Misuse(f"a bound package of more than {MAX_PACKAGE} octets")
    return package


def _secure_channel(
    binding: Binding, one_time_key: ec.EllipticCurvePrivateKey, signing_key: ec.EllipticCurvePrivateKey
) -> bytes:
    crt = (tlv(0x80, bytes((KEY_TYPE,))), tlv(0x81, bytes((KEY_LENGTH,))), tlv(0x84, binding.host_id))
    signed = b"".join(
        (
            tlv(0x82, integer(INSTALL_OPERATION)),
            tlv(0x80, binding.transaction_id),
            tlv(0xA6, *crt),
            tlv(POINT_TAG, point(one_time_key)),
        )
    )
    # The card's key is signed too, though it is not repeated in the package (SGP.22 5.5.1).
    signature = sign(signing_key, signed, tlv(POINT_TAG, binding.card_key))
    return tlv(0xBF23, signed, signature_do(signature))


def _pieces(octets: bytes, room: int) -> Sequence[bytes]:
    return [octets[at : at + room] for at in range(0, len(octets), room)]


def cut(package: bytes) -> tuple[bytes, ...]:
    """Cut a package into the commands in which an LPA gives it to a card (SGP.22 5.7.6).

    Each is a command of its own: BF36's header with all of BF23, A0, the header of A1, each 88, A2, the header of A3,
    each 86. Raises DecodeError.
    """
    what = "bound profile package"
    if len(package) > MAX_PACKAGE:
        raise DecodeError(f"{what}: more than {MAX_PACKAGE} octets")
    reader = open_tlv(package, 0xBF36, what)
    front = read_header(package)
    if front is None:
        raise DecodeError(f"{what}: cut short")
    commands = [package[: front.octets] + reader.take(0xBF23).raw, reader.take(0xA0).raw]
    commands += _opened(reader, 0xA1, 0x88, what)
    keys = reader.optional(0xA2)
    if keys is not None:
        commands.append(keys.raw)
    commands += _opened(reader, 0xA3, 0x86, what)
    reader.finish()
    return tuple(commands)


def _opened(reader: Reader, tag: int, segment: int, what: str) -> list[bytes]:
    group = reader.take(tag)
    inside = Reader(group.value, what)
    commands = [header(tag, len(group.value))]
    while inside.peek() is not None:
        commands.append(inside.take(segment).raw)
    return commands


def metadata_in(package: bytes) -> bytes:
    """Give the profile metadata of a package: it lies there in clear, under MACs only. Raises DecodeError."""
    what = "bound profile package"
    reader = Reader(read(package, what).value, what)
    for tag in (0xBF23, 0xA0):
        reader.take(tag)
    segments = Reader(reader.take(0xA1).value, what).rest()
    if any(segment.tag != 0x88 or len(segment.value) <= MAC_LENGTH for segment in segments):
        raise DecodeError(f"{what}: metadata that is not in segments 88")
    return b"".join(segment.value[:-MAC_LENGTH] for segment in segments)
