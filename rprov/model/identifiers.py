"""Identifiers of devices, subscribers, networks and sessions: parse, format, compare.

A value of these types is right by construction; nobody checks its length again. Knows no message and no key.
"""

from dataclasses import dataclass
from typing import NewType, Self

from rprov.errors import DecodeError

Teid = NewType("Teid", int)
"""A GTP-U tunnel endpoint identifier, 32 bits, unique at the node that receives with it."""

UeRadioId = NewType("UeRadioId", int)
"""Names one UE on one radio link, 32 bits, chosen by the RAN; 0 is the link itself."""

RanUeId = NewType("RanUeId", int)
"""Names one UE on N2 from the RAN's side, 32 bits."""

CpUeId = NewType("CpUeId", int)
"""Names one UE on N2 from the CP's side, 32 bits; 0 in the first message, before the CP has chosen."""


def _digits(text: str, what: str, lengths: range | tuple[int, ...]) -> str:
    if not (text.isascii() and text.isdigit()):
        raise DecodeError(f"{what} must be decimal digits")
    if len(text) not in lengths:
        raise DecodeError(f"{what} must have {_or(lengths)} digits, not {len(text)}")
    return text


def _or(lengths: range | tuple[int, ...]) -> str:
    return f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])


def luhn_check_digit(digits: str) -> int:
    """The digit that ITU-T E.118 (ISO/IEC 7812-1) puts after `digits`."""
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = int(char) * (2 - position % 2)
        total += value - 9 if value > 9 else value
    return -total % 10


@dataclass(frozen=True, slots=True, order=True)
class Eid:
    """An eUICC identifier: 32 decimal digits, the last two check digits (SGP.02 2.2.2, SGP.29 clause 10).

    The whole number is 1 modulo 97. A leading 89 is not demanded: SGP.29 allows others.
    """

    digits: str

    def __post_init__(self) -> None:
        _digits(self.digits, "an EID", (32,))
        if int(self.digits) % 97 != 1:
            raise DecodeError(f"EID {self.digits} has wrong check digits")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 32 digits."""
        return cls(text)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Read 16 octets, two digits each, first digit in the high half (tag 5A; no nibble swap)."""
        if len(octets) != 16:
            raise DecodeError(f"an EID must have 16 octets, not {len(octets)}")
        return cls(octets.hex())

    @classmethod
    def with_check_digits(cls, first30: str) -> Self:
        """Append the check digits to the first 30 digits."""
        _digits(first30, "an EID without its check digits", (30,))
        return cls(f"{first30}{98 - int(first30) * 100 % 97:02d}")

    @property
    def octets(self) -> bytes:
        """16 octets as they stand in tag 5A and in the eid identity."""
        return bytes.fromhex(self.digits)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True)
class EidHint:
    """The issuer part of an EID, enough to choose an authentication policy (8 digits; the rest stays secret)."""

    digits: str

    def __post_init__(self) -> None:
        _digits(self.digits, "an EID hint", (8,))

    @classmethod
    def of(cls, eid: Eid) -> Self:
        """The issuer part of an EID."""
        return cls(eid.digits[:8])

    def covers(self, eid: Eid) -> bool:
        """Say whether `eid` begins with this hint."""
        return eid.digits.startswith(self.digits)

    def __str__(self) -> str:
        return f"{self.digits}…"


@dataclass(frozen=True, slots=True, order=True)
class Iccid:
    """A profile's number, 19 or 20 digits, the last a Luhn digit (ITU-T E.118)."""

    digits: str

    def __post_init__(self) -> None:
        _digits(self.digits, "an ICCID", (19, 20))
        if luhn_check_digit(self.digits[:-1]) != int(self.digits[-1]):
            raise DecodeError(f"ICCID {self.digits} has a wrong check digit")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 19 or 20 digits; a 19 digit one may end in the filler F of SGP.22."""
        return cls(text[:-1] if text[-1:] in "Ff" else text)

    @property
    def padded(self) -> str:
        """20 characters, filled with F."""
        return self.digits.ljust(20, "F")

    @property
    def plain_octets(self) -> bytes:
        """10 octets in digit order, as the profile header has them."""
        return bytes.fromhex(self.padded)

    @property
    def swapped_octets(self) -> bytes:
        """10 octets with swapped halves, as EF.ICCID and tag 5A of the metadata have them."""
        return swap_nibbles(self.plain_octets)

    def __str__(self) -> str:
        return self.digits


def swap_nibbles(octets: bytes) -> bytes:
    """Exchange the two halves of every octet."""
    return bytes((octet << 4 | octet >> 4) & 0xFF for octet in octets)


@dataclass(frozen=True, slots=True, order=True)
class Plmn:
    """A network: MCC of three digits, MNC of two or three (TS 23.003 2.2)."""

    mcc: str
    mnc: str

    def __post_init__(self) -> None:
        _digits(self.mcc, "an MCC", (3,))
        _digits(self.mnc, "an MNC", (2, 3))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `MCC-MNC`."""
        mcc, dash, mnc = text.partition("-")
        if not dash:
            raise DecodeError(f"a PLMN is written MCC-MNC, not {text!r}")
        return cls(mcc, mnc)

    @property
    def domain(self) -> str:
        """`mnc<3 digits>.mcc<3 digits>.3gppnetwork.org` (TS 23.003 28.2)."""
        return f"mnc{self.mnc:0>3}.mcc{self.mcc}.3gppnetwork.org"

    @property
    def serving_network_name(self) -> str:
        """The name bound into K_SEAF, `5G:` and the domain (TS 24.501 9.12.1)."""
        return f"5G:{self.domain}"

    @property
    def cp_name(self) -> str:
        """The dNSName that a CP's certificate carries unless configured otherwise."""
        return f"cp.{self.domain}"

    def __str__(self) -> str:
        return f"{self.mcc}-{self.mnc}"


@dataclass(frozen=True, slots=True, order=True)
class Imsi:
    """An IMSI, 6 to 15 digits, MCC and MNC first (TS 23.003 2.2)."""

    digits: str

    def __post_init__(self) -> None:
        _digits(self.digits, "an IMSI", range(6, 16))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the digits."""
        return cls(text)

    def belongs_to(self, plmn: Plmn) -> bool:
        """Say whether `plmn` is the home network."""
        return self.digits.startswith(plmn.mcc + plmn.mnc)

    def msin(self, plmn: Plmn) -> str:
        """The digits after MCC and MNC."""
        if not self.belongs_to(plmn):
            raise DecodeError(f"IMSI {self.digits} is not of PLMN {plmn}")
        return self.digits[3 + len(plmn.mnc) :]

    def __str__(self) -> str:
        return self.digits


_MAX_NAI = 253


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and "@" not in text


@dataclass(frozen=True, slots=True, order=True)
class Supi:
    """What names a subscriber inside the network and in K_AMF: IMSI digits, or an NAI (TS 33.501 A.7)."""

    text: str

    def __post_init__(self) -> None:
        if "@" in self.text:
            username, _, realm = self.text.partition("@")
            if not (username and realm and _is_printable(username) and _is_printable(realm)):
                raise DecodeError("a SUPI of the NAI kind must be printable ASCII: a username, @ and a realm")
            if len(self.text) > _MAX_NAI:
                raise DecodeError(f"a SUPI of the NAI kind has at most {_MAX_NAI} characters")
        else:
            Imsi(self.text)

    @classmethod
    def of_imsi(cls, imsi: Imsi) -> Self:
        """The SUPI of the IMSI kind."""
        return cls(imsi.digits)

    @classmethod
    def of_eid(cls, eid: Eid, plmn: Plmn) -> Self:
        """The NAI that both sides of a provisioning attach put into K_AMF."""
        return cls(f"{eid}@rsp.{plmn.domain}")

    @property
    def is_nai(self) -> bool:
        """Whether it is of the NAI kind: a username, and the realm that knows it."""
        return "@" in self.text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Suci:
    """A concealed SUPI (TS 23.003 2.2B): home network, routing indicator, scheme, key id, scheme output.

    Scheme 0 is null (the output is the MSIN in swapped BCD), 1 Profile A, 2 Profile B (TS 33.501 C.3). With a `realm`
    the SUPI is an NAI, and what is concealed is its username.
    """

    home: Plmn
    routing_indicator: str
    scheme: int
    key_id: int
    output: bytes
    realm: str | None = None

    def __post_init__(self) -> None:
        _digits(self.routing_indicator, "a routing indicator", range(1, 5))
        if not 0 <= self.scheme <= 15:
            raise DecodeError(f"a SUCI protection scheme is 0 to 15, not {self.scheme}")
        if not 0 <= self.key_id <= 255:
            raise DecodeError(f"a home network key id is 0 to 255, not {self.key_id}")
        if not 1 <= len(self.output) <= 512:
            raise DecodeError("a SUCI scheme output has 1 to 512 octets")
        if self.realm is not None and not (_is_printable(self.realm) and 1 <= len(self.realm) <= _MAX_NAI - 2):
            raise DecodeError(f"the realm of a SUCI must be 1 to {_MAX_NAI - 2} printable ASCII characters without @")

    def __str__(self) -> str:
        return f"suci-{self.home}-{self.routing_indicator}-{self.scheme}-{self.key_id}"


@dataclass(frozen=True, slots=True, order=True)
class Guti:
    """A temporary identity: the PLMN, the CP that gave it (24 bits) and a random TMSI (32 bits) (TS 23.003 2.10)."""

    plmn: Plmn
    cp: int
    tmsi: int

    def __post_init__(self) -> None:
        if not 0 <= self.cp < 1 << 24:
            raise DecodeError("the CP of a GUTI has 24 bits")
        if not 0 <= self.tmsi < 1 << 32:
            raise DecodeError("the TMSI of a GUTI has 32 bits")

    def __str__(self) -> str:
        return f"{self.plmn}-{self.cp:06x}-{self.tmsi:08x}"


@dataclass(frozen=True, slots=True)
class SNssai:
    """A network slice: its type (8 bits), and what tells slices of one type apart (24 bits) (TS 23.003 28.4.2)."""

    sst: int
    sd: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sst <= 0xFF:
            raise DecodeError(f"a slice/service type is 0 to 255, not {self.sst}")
        if self.sd is not None and not 0 <= self.sd < _NO_SD:
            raise DecodeError("a slice differentiator has 24 bits, and FFFFFF is none")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `SST` or `SST-SD`: a decimal number, and six hexadecimal digits."""
        sst, dash, sd = text.partition("-")
        number = int(_digits(sst, "a slice/service type", range(1, 4)))
        if not dash:
            return cls(number)
        if len(sd) != 6 or not set(sd) <= _HEXADECIMAL:
            raise DecodeError("a slice differentiator must have 6 hexadecimal digits")
        return cls(number, int(sd, 16))

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Read one octet, or four with the differentiator, of which FFFFFF is none (TS 24.501 9.11.2.8)."""
        if len(octets) not in (1, 4):
            raise DecodeError(f"an S-NSSAI must have 1 or 4 octets, not {len(octets)}")
        sd = int.from_bytes(octets[1:]) if len(octets) == 4 else _NO_SD
        return cls(octets[0], None if sd == _NO_SD else sd)

    @property
    def octets(self) -> bytes:
        """One octet, or four."""
        return bytes((self.sst,)) + (b"" if self.sd is None else self.sd.to_bytes(3))

    def __str__(self) -> str:
        return str(self.sst) if self.sd is None else f"{self.sst}-{self.sd:06X}"


_NO_SD = 0xFFFFFF
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True, order=True)
class Dnn:
    """A data network's name: labels as in a domain name, letters of either case alike (TS 23.003 9A, 9.1)."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.lower())
        for label in self.name.split("."):
            if not 1 <= len(label) <= 63:
                raise DecodeError("a label of a DNN has 1 to 63 characters")
            if not set(label) <= _LABEL or label.startswith("-") or label.endswith("-"):
                raise DecodeError("a label of a DNN has letters, digits and hyphens, the last not at its ends")
        if len(self.name) + 1 > _MAX_DNN:
            raise DecodeError(f"a DNN has at most {_MAX_DNN} octets, lengths of labels included")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read labels with dots between them."""
        return cls(text)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Read labels with their lengths before them (TS 24.501 9.11.2.1B)."""
        labels, at = [], 0
        while at < len(octets):
            begin, at = at + 1, at + 1 + octets[at]
            label = octets[begin:at]
            if at > len(octets) or b"." in label:
                raise DecodeError("a DNN is labels with their lengths, to the end")
            labels.append(label.decode("latin-1"))
        return cls(".".join(labels))

    @property
    def octets(self) -> bytes:
        """Each label with its length before it."""
        return b"".join(bytes((len(label),)) + label.encode("ascii") for label in self.name.split("."))

    def __str__(self) -> str:
        return self.name


_MAX_DNN = 100  # TS 23.003 9.1
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
