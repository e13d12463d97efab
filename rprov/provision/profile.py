"""The profile package: what the SM-DP+ hands over and the card installs (TCA interoperable format 2.3).

Owns `ProfileContents`, what a USIM of ours is made of, and the two ways between it and the package's octets. A package
is a row of elements; parsing takes them in any order, passes over those that a software USIM has no use for, and is
strict about every value that it uses. Knows nothing of how a package is protected on its way.

    header | MF | PUK | PIN | USIM | local PIN | AKA | [DF.5GS] | end
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rprov.errors import DecodeError
from rprov.model.identifiers import Iccid, Imsi, Plmn
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm
from rprov.provision.profile_files import (
    USIM_AID,
    SuciKey,
    decode_home,
    decode_imsi,
    decode_provider,
    decode_routing_indicator,
    decode_suci_calculation,
    encode_access_rules,
    encode_administrative_data,
    encode_directory,
    encode_imsi,
    encode_provider,
    encode_routing_indicator,
    encode_services,
    encode_suci_calculation,
)
from rprov.provision.sgp22.tlv import Reader, Tlv, fixed, integer, read_integer, read_text, tlv

__all__ = ["SQN_SLOTS", "ProfileContents", "SuciKey", "build_profile", "parse_profile"]

SQN_SLOTS = 32
"""Entries of the array of sequence numbers (TS 33.102 C.3.2)."""

DEFAULT_ROUTING_INDICATOR = "0"

_MAX_PROFILE = 31 << 14
"""Octets of a package: bound, with what the protection adds, it still fits into half a MiB (`bpp.MAX_PACKAGE`)."""
_MAX_FILE = 1 << 16
_MAX_NAME = 64
_ALGORITHMS = {AkaAlgorithm.MILENAGE: 1, AkaAlgorithm.TUAK: 2}
_RES_OF_64_BITS = b"\x01"
"""Algorithm options: MAC, CK and IK as short as they can be, RES of 8 octets."""
_MAX_KECCAKS = 255

_HEADER, _PIN, _PUK, _AKA, _END, _MF, _USIM, _DF_5GS = 0xA0, 0xA2, 0xA3, 0xA4, 0xAA, 0xB0, 0xB3, 0xBC
_OTHER_NAAS = frozenset({0xB5, 0xB9})  # ISIM, CSIM
_KNOWN = frozenset(range(0xA0, 0xAB)) | frozenset(range(0xB0, 0xBF)) | {0xBF1F, 0xBF20, 0xBF21}


@dataclass(frozen=True, slots=True)
class ProfileContents:
    """A subscription: who the subscriber is, the key, and how the SUPI is concealed.

    `name` is the profile's name, `provider` what EF.SPN shows (16 plain characters, or 7 of any script). With TUAK
    `opc` is TOPc, and `keccaks` says how often its permutation runs.
    """

    iccid: Iccid
    imsi: Imsi
    home: Plmn
    k: Secret
    opc: Secret
    name: str
    provider: str
    suci_key: SuciKey | None = None
    routing_indicator: str = DEFAULT_ROUTING_INDICATOR
    sqn_array: tuple[int, ...] = (0,) * SQN_SLOTS
    algorithm: AkaAlgorithm = AkaAlgorithm.MILENAGE
    keccaks: int = 1

    def __post_init__(self) -> None:
        if not self.imsi.belongs_to(self.home):
            raise DecodeError(f"IMSI {self.imsi} is not of the home network {self.home}")
        self.algorithm.check_sizes(len(self.k), len(self.opc))
        if not 1 <= self.keccaks <= (_MAX_KECCAKS if self.algorithm is AkaAlgorithm.TUAK else 1):
            raise DecodeError(f"Keccak runs 1 to {_MAX_KECCAKS} times, and with TUAK only")
        if len(self.name.encode()) > _MAX_NAME or not self.name.isprintable():
            raise DecodeError(f"a profile's name has at most {_MAX_NAME} octets of printable text")
        encode_provider(self.provider)
        if not (self.routing_indicator.isascii() and self.routing_indicator.isdigit()):
            raise DecodeError("a routing indicator is decimal digits")
        if not 1 <= len(self.routing_indicator) <= 4:
            raise DecodeError("a routing indicator has 1 to 4 digits")
        if len(self.sqn_array) != SQN_SLOTS or not all(0 <= sqn < 1 << 48 for sqn in self.sqn_array):
            raise DecodeError(f"{SQN_SLOTS} sequence numbers of 48 bits are needed")


# --- building --------------------------------------------------------------------------------------------------------


def build_profile(contents: ProfileContents) -> bytes:
    """Make the smallest package that a USIM needs; raises nothing, for the contents are right by construction."""
    numbers = iter(range(1, 256))
    elements = [
        _build_header(contents),
        _build_mf(contents, numbers),
        _build_puk(contents, numbers),
        tlv(_PIN, _front(numbers), tlv(0xA1, tlv(0xA0, _pin(0x01, b"1234", 0x01, attributes=6), _adm(contents)))),
        _build_usim(contents, numbers),
        tlv(_PIN, _front(numbers), tlv(0xA1, tlv(0xA0, _pin(0x81, b"1234", 0x81, attributes=1)))),
        _build_aka(contents, numbers),
    ]
    if contents.suci_key is not None or contents.routing_indicator != DEFAULT_ROUTING_INDICATOR:
        elements.append(_build_df_5gs(contents, numbers))
    elements.append(tlv(_END, _front(numbers)))
    return b"".join(elements)


def _front(numbers: Iterator[int]) -> bytes:
    """Every element but the header begins with: mandated, and a number of its own."""
    return tlv(0xA0, tlv(0x80), tlv(0x81, integer(next(numbers))))


def _template(number: int) -> bytes:
    """Content octets of a template's OID, 2.23.143.1.2.<number>."""
    return bytes((0x67, 0x81, 0x0F, 0x01, 0x02, number))


def _build_header(contents: ProfileContents) -> bytes:
    templates = [1, 4] if contents.suci_key is None else [1, 4, 13]
    return tlv(
        _HEADER,
        tlv(0x80, b"\x02"),
        tlv(0x81, b"\x03"),
        tlv(0x82, contents.name.encode()),
        tlv(0x83, contents.iccid.plain_octets),
        tlv(0xA5, tlv(0x81), tlv(_service(contents))),  # services: usim, and the algorithm
        tlv(0xA6, *(tlv(0x06, _template(number)) for number in templates)),
    )


def _service(contents: ProfileContents) -> int:
    """The service that the card must have: milenage, tuak128 or tuak256, after the length of K."""
    if contents.algorithm is AkaAlgorithm.MILENAGE:
        return 0x84
    return 0x85 if len(contents.k) == 16 else 0x90


def _file(content: bytes, descriptor: bytes = b"") -> bytes:
    return (tlv(0xA1, descriptor) if descriptor else b"") + tlv(0x83, content)


def _records(*records: bytes) -> bytes:
    """A linear fixed file (TS 102 221 11.1.1.4.3)."""
    width = len(records[0])
    descriptor = tlv(0x82, b"\x42\x21", width.to_bytes(2, "big")) + tlv(0x80, integer(width * len(records)))
    return _file(b"".join(records), descriptor)


def _build_mf(contents: ProfileContents, numbers: Iterator[int]) -> bytes:
    return tlv(
        _MF,
        _front(numbers),
        tlv(0x81, _template(1)),
        tlv(0xA2, tlv(0xA1, tlv(0xC6, b"\x01\x81\x0a"))),
        tlv(0xA4, _file(contents.iccid.swapped_octets)),
        tlv(0xA5, _records(encode_directory("USIM"))),
        tlv(0xA6, _records(*encode_access_rules())),
    )


def _code(contents: ProfileContents, purpose: bytes) -> bytes:
    """Eight digits that differ from card to card and that nobody without K can tell."""
    digest = hmac.digest(contents.k.octets, purpose + contents.iccid.plain_octets, "sha256")
    return f"{int.from_bytes(digest[:8], 'big') % 10**8:08d}".encode()


def _build_puk(contents: ProfileContents, numbers: Iterator[int]) -> bytes:
    references = ((0x01, b"PUK1"), (0x81, b"PUK2"))
    codes = (tlv(0x30, tlv(0x80, integer(ref)), tlv(0x81, _code(contents, name))) for ref, name in references)
    return tlv(_PUK, _front(numbers), tlv(0xA1, *codes))


def _pin(reference: int, digits: bytes, puk: int, attributes: int) -> bytes:
    """One PIN; attributes: 1 enabled, 2 may be changed, 4 may be disabled. A device without a person has PIN1 off."""
    return tlv(
        0x30,
        tlv(0x80, integer(reference)),
        tlv(0x81, digits.ljust(8, b"\xff")),
        tlv(0x82, integer(puk)),
        tlv(0x83, integer(attributes)),
    )


def _adm(contents: ProfileContents) -> bytes:
    return tlv(0x30, tlv(0x80, integer(0x0A)), tlv(0x81, _code(contents, b"ADM1")), tlv(0x83, integer(1)))


def _build_usim(contents: ProfileContents, numbers: Iterator[int]) -> bytes:
    services = {19, 33}  # TS 31.102 4.2.8: service provider name; 33 shall be set
    if contents.suci_key is not None:
        services |= {124}  # subscription identifier privacy; 125 unset: the ME conceals, not the USIM
    adf = tlv(0xA1, tlv(0x83, b"\x7f\xd0"), tlv(0x84, USIM_AID), tlv(0xC6, b"\x01\x81\x0a"))
    return tlv(
        _USIM,
        _front(numbers),
        tlv(0x81, _template(4)),
        tlv(0xA2, adf),
        tlv(0xA3, _file(encode_imsi(contents.imsi))),
        tlv(0xA4, _records(*encode_access_rules())),
        tlv(0xA8, _file(encode_services(services, 16))),
        tlv(0xAD, _file(encode_provider(contents.provider))),
        tlv(0xAE, _file(b"\x00")),
        # Access class: one of 0 to 9 by the last digit of the IMSI (TS 22.011 4.2).
        tlv(0xB2, _file((1 << int(contents.imsi.digits[-1])).to_bytes(2, "big"))),
        tlv(0xB5, _file(encode_administrative_data(contents.home))),
        tlv(0xB6, _records(b"\x11\xf2\xff\x00")),
    )


def _build_aka(contents: ProfileContents, numbers: Iterator[int]) -> bytes:
    algorithm = tlv(
        0xA1,
        tlv(0x80, integer(_ALGORITHMS[contents.algorithm])),
        tlv(0x81, _RES_OF_64_BITS),
        tlv(0x82, contents.k.octets),
        tlv(0x83, contents.opc.octets),
        tlv(0x87, integer(contents.keccaks)) if contents.keccaks > 1 else b"",  # DER: a default is left out
    )
    initial = b""
    if any(contents.sqn_array):
        initial = tlv(0xA5, *(tlv(0x04, sqn.to_bytes(6, "big")) for sqn in contents.sqn_array))
    return tlv(_AKA, _front(numbers), tlv(0xA1, algorithm), initial)


def _build_df_5gs(contents: ProfileContents, numbers: Iterator[int]) -> bytes:
    files = [tlv(0xA2)]
    if contents.suci_key is not None:
        files.append(tlv(0xA9, _file(encode_suci_calculation(contents.suci_key))))
    files.append(tlv(0xAC, _file(encode_routing_indicator(contents.routing_indicator))))
    return tlv(_DF_5GS, _front(numbers), tlv(0x81, _template(13)), *files)


# --- parsing ---------------------------------------------------------------------------------------------------------


def parse_profile(package: bytes) -> ProfileContents:
    """Read a package; raises DecodeError when it has not what a USIM needs, or needs what is not built here."""
    elements = _elements(package)
    name, iccid = _parse_header(elements[_HEADER])
    if _MF in elements:
        _check_iccid_file(elements[_MF], iccid)
    usim = _files(elements[_USIM])
    if 0xA3 not in usim:
        raise DecodeError("profile: EF.IMSI is missing")
    imsi = decode_imsi(usim[0xA3])
    aka = _parse_aka(elements[_AKA])
    df_5gs = _files(elements[_DF_5GS]) if _DF_5GS in elements else {}
    return ProfileContents(
        iccid=iccid,
        imsi=imsi,
        home=decode_home(usim.get(0xB5), imsi),
        k=aka.k,
        opc=aka.opc,
        name=name,
        provider=decode_provider(usim[0xAD]) if 0xAD in usim else "",
        suci_key=decode_suci_calculation(df_5gs[0xA9]) if 0xA9 in df_5gs else None,
        routing_indicator=(decode_routing_indicator(df_5gs[0xAC]) if 0xAC in df_5gs else DEFAULT_ROUTING_INDICATOR),
        sqn_array=aka.sqn_array,
        algorithm=aka.algorithm,
        keccaks=aka.keccaks,
    )


def _elements(package: bytes) -> dict[int, bytes]:
    """Give the values of the elements that matter, one of each."""
    if len(package) > _MAX_PROFILE:
        raise DecodeError(f"profile: more than {_MAX_PROFILE} octets")
    reader = Reader(package, "profile")
    found: dict[int, bytes] = {}
    foreign_naa = False
    while reader.peek() is not None:
        element = reader.any()
        if element.tag not in _KNOWN:
            raise DecodeError(f"profile: element {element.tag:X} is not known")
        if _END in found:
            raise DecodeError("profile: elements after the end")
        if element.tag in _OTHER_NAAS or element.tag == _USIM:
            foreign_naa = element.tag != _USIM
        if element.tag == _AKA and foreign_naa:
            continue  # AKA parameters belong to the application before them: these are an ISIM's or a CSIM's
        if element.tag in (_HEADER, _MF, _USIM, _AKA, _DF_5GS, _END):
            if element.tag in found:
                raise DecodeError(f"profile: element {element.tag:X} stands twice")
            found[element.tag] = element.value
    for tag, name in ((_HEADER, "header"), (_USIM, "USIM"), (_AKA, "AKA parameters"), (_END, "end")):
        if tag not in found:
            raise DecodeError(f"profile: the {name} is missing")
    return found


def _parse_header(value: bytes) -> tuple[str, Iccid]:
    what = "profile header"
    reader = Reader(value, what)
    read_integer(reader.take(0x80).value, what, 127)
    read_integer(reader.take(0x81).value, what, 127)
    name = reader.optional(0x82)
    iccid = Iccid.parse(fixed(reader.take(0x83).value, 10, what).hex())
    reader.rest()
    return read_text(name.value, what, _MAX_NAME) if name else "", iccid


def _check_iccid_file(value: bytes, iccid: Iccid) -> None:
    content = _files(value).get(0xA4)
    if content is not None and content != iccid.swapped_octets:
        raise DecodeError("profile: EF.ICCID is not the ICCID of the header")


def _files(value: bytes) -> dict[int, bytes]:
    """Give the contents of the files of one element, by their tags; files without content are left out."""
    reader = Reader(value, "profile files")
    reader.take(0xA0)
    files: dict[int, bytes] = {}
    for element in reader.rest():
        if element.tag < 0xA2:
            continue  # 81: the template's OID
        content = _content(element)
        if content:
            if element.tag in files:
                raise DecodeError(f"profile files: file {element.tag:X} stands twice")
            files[element.tag] = content
    return files


def _content(file: Tlv) -> bytes:
    content = bytearray()
    for part in Reader(file.value, "profile file").rest():
        if part.tag == 0x82:  # offset from where the last content ended
            content += b"\xff" * read_integer(part.value, "profile file", _MAX_FILE)
        elif part.tag == 0x83:
            content += part.value
        if len(content) > _MAX_FILE:
            raise DecodeError(f"profile file: more than {_MAX_FILE} octets")
    return bytes(content)


@dataclass(frozen=True, slots=True)
class _Aka:
    algorithm: AkaAlgorithm
    k: Secret
    opc: Secret
    keccaks: int
    sqn_array: tuple[int, ...]


def _parse_aka(value: bytes) -> _Aka:
    what = "AKA parameters"
    reader = Reader(value, what)
    reader.take(0xA0)
    choice = Reader(reader.take(0xA1).value, what)
    if choice.peek() != 0xA1:
        raise DecodeError(f"{what}: mapped onto another application, which is not built")
    fields = {element.tag: element.value for element in Reader(choice.take(0xA1).value, what).rest()}
    algorithm = _parse_algorithm(fields, what)
    k, opc = (Secret(fields.get(tag, b"")) for tag in (0x82, 0x83))
    algorithm.check_sizes(len(k), len(opc))
    keccaks = read_integer(fields[0x87], what, _MAX_KECCAKS) if 0x87 in fields else 1
    sqn_array = (0,) * SQN_SLOTS
    for element in reader.rest():
        if element.tag == 0xA5:
            values = Reader(element.value, what).rest()
            sqn_array = tuple(int.from_bytes(fixed(item.value, 6, what), "big") for item in values)
    return _Aka(algorithm, k, opc, keccaks if algorithm is AkaAlgorithm.TUAK else 1, sqn_array)


def _parse_algorithm(fields: Mapping[int, bytes], what: str) -> AkaAlgorithm:
    number = read_integer(fields.get(0x80, b""), what, 127)
    algorithm = next((item for item, known in _ALGORITHMS.items() if known == number), None)
    if algorithm is None:
        raise DecodeError(f"{what}: algorithm {number} is not built, only Milenage (1) and TUAK (2)")
    if algorithm is AkaAlgorithm.TUAK and fields.get(0x81) != _RES_OF_64_BITS:
        raise DecodeError(f"{what}: TUAK with other lengths than a RES of 8 octets is not built")
    # TS 35.206 4.1: r1..r5 and c1..c5 as given there; a package may bring others, a Milenage of ours cannot.
    if algorithm is AkaAlgorithm.MILENAGE and (
        fields.get(0x84, _ROTATIONS) != _ROTATIONS or fields.get(0x85, _CONSTANTS) != _CONSTANTS
    ):
        raise DecodeError(f"{what}: rotations and constants other than those of TS 35.206 are not built")
    return algorithm


_ROTATIONS = bytes((64, 0, 32, 64, 96))
_CONSTANTS = b"".join(value.to_bytes(16, "big") for value in (0, 1, 2, 4, 8))
