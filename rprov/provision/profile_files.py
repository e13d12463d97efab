"""Elementary files of the USIM, octets <-> values (TS 31.102 clause 4). Knows no profile package."""

from dataclasses import dataclass

from rprov.errors import DecodeError
from rprov.model.identifiers import Imsi, Plmn, swap_nibbles
from rprov.provision.sgp22.tlv import Reader, fixed, tlv

USIM_AID = bytes.fromhex("A0000000871002FF33FF018900000100")
"""A USIM application (TS 101 220 annex E); the last octets are the provider's to choose."""

# TS 23.038 6.2.1, the default alphabet; position is the code. LF, CR and ESC have no place in a name.
_ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_CODES = {char: code for code, char in enumerate(_ALPHABET) if char not in "\n\r\x1b"}
_SPN_ROOM = 16


@dataclass(frozen=True, slots=True)
class SuciKey:
    """The home network's public key for concealing the SUPI: scheme 1 (Profile A) or 2 (Profile B), its id, the key."""

    scheme: int
    key_id: int
    public_key: bytes

    def __post_init__(self) -> None:
        lengths = {1: (32,), 2: (33, 65)}.get(self.scheme)  # TS 33.501 C.3.4; TS 31.102 4.4.11.8 for the long form
        if lengths is None:
            raise DecodeError(f"a SUCI key is for scheme 1 or 2, not {self.scheme}")
        if len(self.public_key) not in lengths:
            raise DecodeError(f"a SUCI key of {len(self.public_key)} octets does not fit scheme {self.scheme}")
        if not 0 <= self.key_id <= 255:
            raise DecodeError("a home network key id is 0 to 255")


def encode_imsi(imsi: Imsi) -> bytes:
    """EF.IMSI: length, then a nibble 9 (odd) or 1 (even) and the digits, halves swapped (TS 31.102 4.2.2)."""
    odd = len(imsi.digits) % 2
    digits = ("9" if odd else "1") + imsi.digits + ("" if odd else "F")
    octets = swap_nibbles(bytes.fromhex(digits))
    return bytes((len(octets),)) + octets.ljust(8, b"\xff")


def decode_imsi(content: bytes) -> Imsi:
    """Read EF.IMSI; raises DecodeError."""
    if not 2 <= len(content) <= 9 or not 1 <= content[0] < len(content):
        raise DecodeError("EF.IMSI has a wrong length")
    digits = swap_nibbles(content[1 : 1 + content[0]]).hex()
    # Bit 4 of the first nibble is the parity of the count of digits; the lower three say "IMSI" (TS 24.008 10.5.1.4).
    if digits[0] == "9":
        return Imsi(digits[1:])
    if digits[0] == "1" and digits.endswith("f"):
        return Imsi(digits[1:-1])
    raise DecodeError("EF.IMSI holds no IMSI")


def encode_administrative_data(home: Plmn) -> bytes:
    """EF.AD: normal operation, and the length of the MNC in the fourth octet (TS 31.102 4.2.18)."""
    return bytes((0, 0, 0, len(home.mnc)))


def decode_home(administrative_data: bytes | None, imsi: Imsi) -> Plmn:
    """Split the home network off the IMSI; without EF.AD its template default says two digits of MNC."""
    length = 2
    if administrative_data is not None:
        if len(administrative_data) < 4:
            raise DecodeError("EF.AD does not tell the length of the MNC")
        length = administrative_data[3] & 0x0F
    if length not in (2, 3):
        raise DecodeError(f"EF.AD tells an MNC of {length} digits")
    return Plmn(imsi.digits[:3], imsi.digits[3 : 3 + length])


def encode_provider(name: str) -> bytes:
    """EF.SPN: display condition, then 16 octets of default alphabet or UCS2 (TS 31.102 4.2.12); raises DecodeError."""
    if all(char in _CODES for char in name):
        octets = bytes(_CODES[char] for char in name)
    elif all(char.isprintable() and ord(char) <= 0xFFFF for char in name):
        octets = b"\x80" + name.encode("utf-16-be")  # TS 102 221 annex A
    else:
        raise DecodeError("the provider's name has characters that EF.SPN cannot hold")
    if len(octets) > _SPN_ROOM:
        raise DecodeError("the provider's name is too long for EF.SPN: 16 plain characters or 7 others")
    return b"\x00" + octets.ljust(_SPN_ROOM, b"\xff")


def decode_provider(content: bytes) -> str:
    """Read EF.SPN; raises DecodeError."""
    octets = fixed(content, 1 + _SPN_ROOM, "EF.SPN")[1:]
    if octets.startswith(b"\x80"):
        pairs = (octets[at : at + 2] for at in range(1, _SPN_ROOM - 1, 2))
        try:
            name = b"".join(pair for pair in pairs if pair != b"\xff\xff").decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise DecodeError("EF.SPN holds no UCS2 text") from error
    else:
        codes = octets.rstrip(b"\xff")
        if any(code >= len(_ALPHABET) for code in codes):
            raise DecodeError("EF.SPN holds codes outside the default alphabet")
        name = "".join(_ALPHABET[code] for code in codes)
    if name and not name.isprintable():
        raise DecodeError("EF.SPN holds control characters")
    return name


def encode_routing_indicator(digits: str) -> bytes:
    """EF.Routing_Indicator: up to four digits with swapped halves, F behind them, two octets reserved (4.4.11.11)."""
    return swap_nibbles(bytes.fromhex(digits.ljust(4, "F"))) + b"\xff\xff"


def decode_routing_indicator(content: bytes) -> str:
    """Read EF.Routing_Indicator; raises DecodeError."""
    digits = swap_nibbles(fixed(content, 4, "EF.Routing_Indicator")[:2]).hex().rstrip("f")
    if not digits.isdecimal():
        raise DecodeError("EF.Routing_Indicator holds no digits")
    return digits


def encode_suci_calculation(key: SuciKey) -> bytes:
    """EF.SUCI_Calc_Info: schemes by priority, each with the index (from 1) of its key; then the keys (4.4.11.8)."""
    keys = tlv(0x80, bytes((key.key_id,))) + tlv(0x81, key.public_key)
    return tlv(0xA0, bytes((key.scheme, 1))) + tlv(0xA1, keys)


def decode_suci_calculation(content: bytes) -> SuciKey | None:
    """Read EF.SUCI_Calc_Info and give the key that is preferred; None when the null scheme is. Raises DecodeError."""
    what = "EF.SUCI_Calc_Info"
    listed = Reader(content, what).take(0xA0)
    schemes, behind = listed.value, content[len(listed.raw) :]
    keys: list[tuple[int, bytes]] = []
    # The file may be longer than what is in it, filled up with FF: an element is read only where one begins.
    inside = Reader(Reader(behind, what).take(0xA1).value if behind.startswith(b"\xa1") else b"", what)
    while inside.peek() is not None:
        key_id = fixed(inside.take(0x80).value, 1, what)[0]
        keys.append((key_id, inside.take(0x81).value))
    if len(schemes) % 2:
        raise DecodeError(f"{what}: a scheme without a key index")
    for scheme, index in zip(schemes[::2], schemes[1::2], strict=True):
        if scheme == 0:
            return None
        if scheme in (1, 2):
            if not 1 <= index <= len(keys):
                raise DecodeError(f"{what}: there is no key {index}")
            return SuciKey(scheme, *keys[index - 1])
    return None


def encode_services(numbers: set[int], octets: int) -> bytes:
    """EF.UST: service n is bit n, counted from 1 (TS 31.102 4.2.8)."""
    return sum(1 << number - 1 for number in numbers).to_bytes(octets, "little")


def encode_access_rules() -> tuple[bytes, bytes]:
    """Two records of EF.ARR: everybody reads, ADM writes; the holder of the PIN reads and writes (TS 102 221 9.2.7)."""
    always, pin, adm = b"\x90\x00", tlv(0xA4, bytes.fromhex("830101950108")), tlv(0xA4, bytes.fromhex("83010A950108"))
    read, update, manage = (tlv(0x80, bytes((mode,))) for mode in (0x01, 0x02, 0x58))
    open_rule = read + always + update + adm + manage + adm
    own_rule = tlv(0x80, b"\x03") + pin + manage + adm
    width = len(open_rule)
    return open_rule, own_rule.ljust(width, b"\xff")


def encode_directory(label: str) -> bytes:
    """A record of EF.DIR for the USIM (TS 102 221 13.1)."""
    return tlv(0x61, tlv(0x4F, USIM_AID), tlv(0x50, label.encode("ascii")))
