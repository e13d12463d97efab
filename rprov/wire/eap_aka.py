"""The data of EAP-AKA' packets: subtype and attributes (RFC 4187 8, 10; RFC 9048 3). Knows no key, checks no MAC.

| type 50 | subtype | 0000 |  then attributes:  | type | length / 4 | value … |

Attributes below 128 must be known to the receiver, the others are skipped (RFC 4187 8.1). What 5GS does not use is
skipped too: AT_IV, AT_ENCR_DATA, AT_NEXT_PSEUDONYM, AT_NEXT_REAUTH_ID, AT_RESULT_IND.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from rprov.errors import DecodeError, EncodeError

HEADER = 3
MAC_SIZE = 16
SKIPPABLE = 128
MOST_KDFS = 16
"""A server that offers more key derivation functions than this is no server."""


class Subtype(IntEnum):
    """What a packet says (RFC 4187 8.1, 11)."""

    CHALLENGE = 1
    AUTHENTICATION_REJECT = 2
    SYNCHRONIZATION_FAILURE = 4
    IDENTITY = 5
    NOTIFICATION = 12
    REAUTHENTICATION = 13
    CLIENT_ERROR = 14


class At(IntEnum):
    """Attributes that are understood here (RFC 4187 10, RFC 9048 3.1, 3.2, 4)."""

    RAND = 1
    AUTN = 2
    RES = 3
    AUTS = 4
    PERMANENT_ID_REQ = 10
    MAC = 11
    NOTIFICATION = 12
    ANY_ID_REQ = 13
    IDENTITY = 14
    FULLAUTH_ID_REQ = 17
    CLIENT_ERROR_CODE = 22
    KDF_INPUT = 23
    KDF = 24
    CHECKCODE = 134
    BIDDING = 136


class IdentityWanted(IntEnum):
    """Which identity an AKA-Identity request asks for (RFC 4187 4.1.2)."""

    PERMANENT = At.PERMANENT_ID_REQ
    ANY = At.ANY_ID_REQ
    FULL_AUTHENTICATION = At.FULLAUTH_ID_REQ


class Notice(IntEnum):
    """Codes of AT_NOTIFICATION (RFC 4187 10.19). `SUCCESS_BIT` and `EARLY_BIT` have a meaning in any code."""

    GENERAL_FAILURE_AFTER = 0
    TEMPORARILY_DENIED = 1026
    NOT_SUBSCRIBED = 1031
    GENERAL_FAILURE = 16384
    SUCCESS = 32768


SUCCESS_BIT = 0x8000
EARLY_BIT = 0x4000
"""P: the notification comes before a challenge was answered, and has no AT_MAC."""

UNABLE_TO_PROCESS = 0
"""The only code of AT_CLIENT_ERROR_CODE (RFC 4187 10.20)."""


@dataclass(frozen=True, slots=True)
class AkaData:
    """One packet without its EAP header; an attribute that is not there is `None`, or empty where there may be many.

    RAND, AUTN and `mac` have 16 octets, RES 4 to 16, AUTS 14, `checkcode` 0 or 32. The mac is not checked here.
    """

    subtype: Subtype
    rand: bytes | None = None
    autn: bytes | None = None
    res: bytes | None = field(default=None, repr=False)
    auts: bytes | None = None
    kdf_input: str | None = None
    kdfs: tuple[int, ...] = ()
    wanted: IdentityWanted | None = None
    identity: str | None = None
    checkcode: bytes | None = None
    bidding: bool | None = None
    """AT_BIDDING of an EAP-AKA challenge, whether EAP-AKA' is preferred; it says nothing in EAP-AKA' itself."""
    notification: int | None = None
    client_error: int | None = None
    mac: bytes | None = None


# --- encoding -----------------------------------------------------------------------------------------------------


def encode_aka(data: AkaData) -> bytes:
    """Give the type data, AT_MAC last; raises `EncodeError`."""
    out = bytearray((data.subtype, 0, 0))
    for attribute, value in _values(data):
        size = 2 + len(value)
        if size % 4:
            value += bytes(-size % 4)
        if len(value) > 255 * 4 - 2:
            raise EncodeError(f"{attribute.name} of EAP-AKA' is too long")
        out += bytes((attribute, (2 + len(value)) // 4)) + value
    return bytes(out)


def _values(data: AkaData) -> Iterator[tuple[At, bytes]]:
    if data.rand is not None:
        yield At.RAND, bytes(2) + _sized(data.rand, "RAND", 16)
    if data.autn is not None:
        yield At.AUTN, bytes(2) + _sized(data.autn, "AUTN", 16)
    if data.res is not None:
        # RFC 4187 10.8: the length of RES in bits
        yield At.RES, (len(_sized(data.res, "RES", *range(4, 17))) * 8).to_bytes(2) + data.res
    if data.auts is not None:
        yield At.AUTS, _sized(data.auts, "AUTS", 14)
    if data.wanted is not None:
        yield At(data.wanted), bytes(2)
    if data.identity is not None:
        yield At.IDENTITY, _text(data.identity)
    if data.kdf_input is not None:
        yield At.KDF_INPUT, _text(data.kdf_input)
    if len(data.kdfs) > MOST_KDFS:
        raise EncodeError(f"EAP-AKA' offers at most {MOST_KDFS} key derivation functions here")
    for kdf in data.kdfs:
        yield At.KDF, _number(kdf)
    if data.checkcode is not None:
        yield At.CHECKCODE, bytes(2) + _sized(data.checkcode, "AT_CHECKCODE", 0, 32)
    if data.bidding is not None:
        yield At.BIDDING, _number(data.bidding << 15)
    if data.notification is not None:
        yield At.NOTIFICATION, _number(data.notification)
    if data.client_error is not None:
        yield At.CLIENT_ERROR_CODE, _number(data.client_error)
    if data.mac is not None:
        yield At.MAC, bytes(2) + _sized(data.mac, "AT_MAC", MAC_SIZE)


def _sized(octets: bytes, what: str, *sizes: int) -> bytes:
    if len(octets) not in sizes:
        raise EncodeError(f"{what} of EAP-AKA' does not have {len(octets)} octets")
    return octets


def _number(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise EncodeError("a number in EAP-AKA' has two octets")
    return value.to_bytes(2)


def _text(text: str) -> bytes:
    octets = text.encode()
    return _number(len(octets)) + octets


# --- decoding -----------------------------------------------------------------------------------------------------


def decode_aka(octets: bytes) -> AkaData:
    """Read type data; raises `DecodeError`."""
    subtype = _subtype(octets)
    found: dict[At, bytes] = {}
    kdfs: list[int] = []
    for attribute, start, end in _attributes(octets):
        value = octets[start:end]
        if attribute is At.KDF:
            kdfs.append(_two_octets(attribute, value))
        elif attribute in found:
            raise DecodeError(f"{attribute.name} stands twice in an EAP-AKA' packet")
        else:
            found[attribute] = value
    if len(kdfs) > MOST_KDFS:
        raise DecodeError("too many key derivation functions in an EAP-AKA' packet")
    bidding = _numeric(found, At.BIDDING)
    return AkaData(
        subtype,
        rand=_reserved_and(found, At.RAND, 16),
        autn=_reserved_and(found, At.AUTN, 16),
        res=_res(found.get(At.RES)),
        auts=_exactly(found, At.AUTS, 14),
        kdf_input=_string(found, At.KDF_INPUT),
        kdfs=tuple(kdfs),
        wanted=_wanted(found),
        identity=_string(found, At.IDENTITY),
        checkcode=_reserved_and(found, At.CHECKCODE, 0, 32),
        bidding=None if bidding is None else bool(bidding & 0x8000),
        notification=_numeric(found, At.NOTIFICATION),
        client_error=_numeric(found, At.CLIENT_ERROR_CODE),
        mac=_reserved_and(found, At.MAC, MAC_SIZE),
    )


def zero_mac(octets: bytes) -> bytes:
    """Give the type data with the octets of AT_MAC zeroed, as it goes into the MAC (RFC 4187 10.15)."""
    for attribute, start, end in _attributes(octets):
        if attribute is At.MAC and end - start == 2 + MAC_SIZE:
            return octets[: start + 2] + bytes(MAC_SIZE) + octets[end:]
    raise DecodeError("an EAP-AKA' packet without AT_MAC")


def _subtype(octets: bytes) -> Subtype:
    if len(octets) < HEADER:
        raise DecodeError("an EAP-AKA' packet ends in its header")
    try:
        return Subtype(octets[0])  # RFC 4187 8.1: the two reserved octets are ignored
    except ValueError:
        raise DecodeError(f"unknown EAP-AKA' subtype {octets[0]}") from None


def _attributes(octets: bytes) -> Iterator[tuple[At, int, int]]:
    """Every known attribute with the beginning and the end of its value."""
    at = HEADER
    while at < len(octets):
        end = at + 4 * octets[at + 1] if at + 1 < len(octets) else at
        if end == at or end > len(octets):
            raise DecodeError("an EAP-AKA' attribute has no length, or ends beyond its packet")
        kind = octets[at]
        if kind in _KNOWN:
            yield At(kind), at + 2, end
        elif kind < SKIPPABLE:
            raise DecodeError(f"unknown EAP-AKA' attribute {kind}, which must not be skipped")
        at = end


_KNOWN = frozenset(At)


def _exactly(found: dict[At, bytes], attribute: At, *sizes: int) -> bytes | None:
    value = found.get(attribute)
    if value is not None and len(value) not in sizes:
        raise DecodeError(f"{attribute.name} of EAP-AKA' does not have {len(value)} octets")
    return value


def _reserved_and(found: dict[At, bytes], attribute: At, *sizes: int) -> bytes | None:
    value = _exactly(found, attribute, *(2 + size for size in sizes))
    return None if value is None else value[2:]


def _two_octets(attribute: At, value: bytes) -> int:
    if len(value) != 2:
        raise DecodeError(f"{attribute.name} of EAP-AKA' has two octets")
    return int.from_bytes(value)


def _numeric(found: dict[At, bytes], attribute: At) -> int | None:
    value = found.get(attribute)
    return None if value is None else _two_octets(attribute, value)


def _counted(value: bytes, size: int, what: str) -> bytes:
    """Take `size` octets after a length of two, and nothing but padding to a multiple of four behind them."""
    if not 0 <= len(value) - 2 - size < 4:
        raise DecodeError(f"{what} of EAP-AKA' is longer or shorter than it says")
    return value[2 : 2 + size]


def _res(value: bytes | None) -> bytes | None:
    if value is None:
        return None
    bits = int.from_bytes(value[:2])
    if bits % 8 or not 32 <= bits <= 128:
        raise DecodeError(f"RES of EAP-AKA' has 4 to 16 octets, not {bits} bits")
    return _counted(value, bits // 8, "RES")


def _string(found: dict[At, bytes], attribute: At) -> str | None:
    value = found.get(attribute)
    if value is None:
        return None
    try:
        return _counted(value, int.from_bytes(value[:2]), attribute.name).decode()
    except UnicodeDecodeError:
        raise DecodeError(f"{attribute.name} of EAP-AKA' is no UTF-8") from None


def _wanted(found: dict[At, bytes]) -> IdentityWanted | None:
    asked = [kind for kind in IdentityWanted if _exactly(found, At(kind), 2) is not None]
    if len(asked) > 1:
        # RFC 4187 9.1: only one of the three
        raise DecodeError("an EAP-AKA' packet asks for more than one identity")
    return asked[0] if asked else None
