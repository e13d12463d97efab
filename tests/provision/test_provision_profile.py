"""Profile packages: files as others know them, the round trip, and what a package may not be."""

from dataclasses import replace
from typing import Any

import pytest
from doubles.known_answers import octets
from doubles.rsp import CONTENTS
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.model.identifiers import Iccid, Imsi, Plmn, luhn_check_digit
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm
from rprov.provision.profile import SQN_SLOTS, ProfileContents, SuciKey, build_profile, parse_profile
from rprov.provision.profile_files import (
    decode_imsi,
    decode_provider,
    decode_suci_calculation,
    encode_imsi,
    encode_suci_calculation,
)
from rprov.provision.sgp22.tlv import Reader, tlv


@pytest.mark.parametrize(
    ("imsi", "content"),
    [("001010123456063", "080910101032540636"), ("00101012345606", "0801101010325406F6")],
)
def test_ef_imsi_in_known_octets(imsi: str, content: str) -> None:
    assert encode_imsi(Imsi(imsi)) == octets(content)
    assert decode_imsi(octets(content)) == Imsi(imsi)


def test_ef_suci_calc_info_in_known_octets() -> None:
    # TS 31.102 4.4.11.8: list of schemes A0 (identifier, index), list of keys A1 (80 identifier, 81 key)
    content = "A0020101" + "A125" + "80011B" + "8120" + "11" * 32
    assert encode_suci_calculation(SuciKey(1, 27, b"\x11" * 32)) == octets(content)
    for padded in (content, content + "FF" * 9):
        assert decode_suci_calculation(octets(padded)) == SuciKey(1, 27, b"\x11" * 32)
    assert decode_suci_calculation(octets("A0020000")) is None
    assert decode_suci_calculation(octets("A0020000FFFF")) is None


@pytest.mark.parametrize("content", ["A0020101", "A00101", "A0020102A12580011B8120" + "11" * 32, "A1"])
def test_ef_suci_calc_info_that_contradicts_itself_is_refused(content: str) -> None:
    with pytest.raises(DecodeError):
        decode_suci_calculation(octets(content))


# --- the round trip --------------------------------------------------------------------------------------------------

TUAK = replace(
    CONTENTS, algorithm=AkaAlgorithm.TUAK, k=Secret(bytes(range(32))), opc=Secret(bytes(range(32, 64))), keccaks=3
)
plmns = st.builds(Plmn, st.from_regex(r"[0-9]{3}", fullmatch=True), st.from_regex(r"[0-9]{2,3}", fullmatch=True))
keys16 = st.binary(min_size=16, max_size=16).map(Secret)
keys32 = st.binary(min_size=32, max_size=32).map(Secret)
suci_keys = st.one_of(
    st.none(),
    st.builds(SuciKey, st.just(1), st.integers(0, 255), st.binary(min_size=32, max_size=32)),
    st.builds(SuciKey, st.just(2), st.integers(0, 255), st.binary(min_size=33, max_size=33)),
)
letters = st.characters(categories=("L", "N", "P"), max_codepoint=0xFFFF)
providers = st.one_of(
    st.text(alphabet="ABCxyz 019@$_Ωé", max_size=16).filter(lambda text: "_" not in text or len(text) <= 7),
    st.text(letters, max_size=7),
)


@st.composite
def contents(draw: st.DrawFn) -> ProfileContents:
    home = draw(plmns)
    front = home.mcc + home.mnc
    digits = draw(st.from_regex(r"[0-9]{18,19}", fullmatch=True))
    algorithm = draw(st.sampled_from(AkaAlgorithm))
    tuak = algorithm is AkaAlgorithm.TUAK
    return ProfileContents(
        iccid=Iccid(f"{digits}{luhn_check_digit(digits)}"),
        imsi=Imsi(front + draw(st.from_regex(rf"[0-9]{{3,{15 - len(front)}}}", fullmatch=True))),
        home=home,
        k=draw(st.one_of(keys16, keys32) if tuak else keys16),
        opc=draw(keys32 if tuak else keys16),
        name=draw(st.text(letters, max_size=16)),
        provider=draw(providers),
        suci_key=draw(suci_keys),
        routing_indicator=draw(st.from_regex(r"[0-9]{1,4}", fullmatch=True)),
        algorithm=algorithm,
        keccaks=draw(st.integers(1, 255)) if tuak else 1,
        sqn_array=tuple(draw(st.lists(st.integers(0, (1 << 48) - 1), min_size=SQN_SLOTS, max_size=SQN_SLOTS))),
    )


@given(contents())
def test_a_package_gives_back_what_was_put_in(profile: ProfileContents) -> None:
    assert parse_profile(build_profile(profile)) == profile


def test_the_numbers_of_the_elements_differ() -> None:
    reader = Reader(build_profile(CONTENTS), "x")
    reader.take(0xA0)
    numbers = [Reader(Reader(item.value, "x").take(0xA0).value, "x").rest()[1].value for item in reader.rest()]
    assert len(set(numbers)) == len(numbers) == 8


def test_neither_profile_nor_order_prints_the_key() -> None:
    shown = repr(CONTENTS)
    assert CONTENTS.k.octets.hex() not in shown
    assert str(CONTENTS.k.octets) not in shown
    assert "Secret(16 octets)" in shown


@pytest.mark.parametrize(
    "change",
    [
        {"home": Plmn("999", "70")},
        {"k": Secret(bytes(15))},
        {"opc": Secret(bytes(32))},
        {"k": Secret(bytes(32))},
        {"keccaks": 2},
        {"algorithm": AkaAlgorithm.TUAK},
        {"algorithm": AkaAlgorithm.TUAK, "opc": Secret(bytes(32)), "k": Secret(bytes(24))},
        {"algorithm": AkaAlgorithm.TUAK, "opc": Secret(bytes(32)), "keccaks": 0},
        {"algorithm": AkaAlgorithm.TUAK, "opc": Secret(bytes(32)), "keccaks": 256},
        {"name": "x" * 65},
        {"name": "a\x1b"},
        {"provider": "longer than sixteen"},
        {"provider": "жжжжжжжж"},
        {"provider": "😀"},
        {"routing_indicator": ""},
        {"routing_indicator": "12345"},
        {"routing_indicator": "1x"},
        {"sqn_array": (0,) * 31},
        {"sqn_array": (1 << 48,) * 32},
    ],
    ids=str,
)
def test_contents_that_no_usim_can_hold_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        replace(CONTENTS, **change)


@pytest.mark.parametrize(("scheme", "length"), [(0, 32), (1, 33), (2, 32), (3, 32)])
def test_suci_keys_that_fit_no_scheme_are_refused(scheme: int, length: int) -> None:
    with pytest.raises(DecodeError):
        SuciKey(scheme, 1, bytes(length))


# --- strict in content, tolerant in order ----------------------------------------------------------------------------


def elements() -> list[bytes]:
    return [item.raw for item in Reader(build_profile(CONTENTS), "x").rest()]


def test_elements_may_come_in_another_order() -> None:
    *inner, end = elements()
    assert parse_profile(b"".join([*reversed(inner), end])) == CONTENTS


@pytest.mark.parametrize("tag", [0xA1, 0xA6, 0xA7, 0xB2, 0xB4, 0xB8, 0xBB])
def test_elements_of_no_use_to_us_are_passed_over(tag: int) -> None:
    *inner, end = elements()
    assert parse_profile(b"".join([*inner, tlv(tag, b"whatever"), end])) == CONTENTS


def test_the_aka_parameters_of_an_isim_are_not_the_usims() -> None:
    *inner, end = elements()
    foreign = tlv(0xA4, tlv(0xA0), tlv(0xA1, tlv(0xA0)))
    assert parse_profile(b"".join([*inner, tlv(0xB5), foreign, end])) == CONTENTS


@pytest.mark.parametrize("tag", [0xA0, 0xB3, 0xA4, 0xAA])
def test_a_package_without_one_of_these_is_refused(tag: int) -> None:
    with pytest.raises(DecodeError, match="is missing"):
        parse_profile(b"".join(item for item in elements() if item[0] != tag))


@pytest.mark.parametrize("tag", [0xA0, 0xB0, 0xB3, 0xA4, 0xBC])
def test_a_package_with_two_of_these_is_refused(tag: int) -> None:
    *inner, end = elements()
    with pytest.raises(DecodeError, match="twice"):
        parse_profile(b"".join([*inner, *(item for item in inner if item[0] == tag), end]))


def test_unknown_elements_and_elements_behind_the_end_are_refused() -> None:
    with pytest.raises(DecodeError, match="BF30 is not known"):
        parse_profile(tlv(0xBF30) + build_profile(CONTENTS))
    with pytest.raises(DecodeError, match="after the end"):
        parse_profile(build_profile(CONTENTS) + tlv(0xA7))


def _with(old: bytes, new: bytes) -> bytes:
    """The package with one of its values changed for another of the same length."""
    package = build_profile(CONTENTS)
    assert package.count(old) == 1
    assert len(old) == len(new)
    return package.replace(old, new)


def test_other_algorithms_than_milenage_and_tuak_are_refused_by_number() -> None:
    with pytest.raises(DecodeError, match="algorithm 3 is not built"):
        parse_profile(_with(octets("800101810101"), octets("800103810101")))


def test_keys_of_another_length_than_the_algorithm_takes_are_refused() -> None:
    with pytest.raises(DecodeError, match="K of TUAK has 16 or 32 octets and TOPc 32"):
        parse_profile(_with(octets("800101810101"), octets("800102810101")))


@pytest.mark.parametrize("options", ["00", "02", "09"])
def test_tuak_with_lengths_that_are_not_built_is_refused(options: str) -> None:
    package = build_profile(TUAK)
    assert package.count(octets("800102810101")) == 1
    with pytest.raises(DecodeError, match="other lengths than a RES of 8 octets"):
        parse_profile(package.replace(octets("800102810101"), octets(f"8001028101{options}")))


@pytest.mark.parametrize(("size", "service"), [(16, "8500"), (32, "9000")])
def test_the_header_asks_for_the_algorithm_that_the_profile_needs(size: int, service: str) -> None:
    header = Reader(build_profile(replace(TUAK, k=Secret(bytes(size)))), "x").take(0xA0)
    assert octets("8100" + service) in header.value
    assert octets("81008400") in Reader(build_profile(CONTENTS), "x").take(0xA0).value


def test_other_rotations_are_refused() -> None:
    package = build_profile(CONTENTS)
    aka = next(item for item in elements() if item[0] == 0xA4)
    algorithm = Reader(Reader(Reader(aka, "x").any().value, "x").rest()[1].value, "x").any()
    wrong = tlv(0xA4, tlv(0xA0), tlv(0xA1, tlv(0xA1, algorithm.value, tlv(0x84, bytes(5)))))
    with pytest.raises(DecodeError, match="rotations"):
        parse_profile(package.replace(aka, wrong))
    right = tlv(0xA4, tlv(0xA0), tlv(0xA1, tlv(0xA1, algorithm.value, tlv(0x84, bytes((64, 0, 32, 64, 96))))))
    assert parse_profile(package.replace(aka, right)) == CONTENTS


def test_an_iccid_file_that_differs_from_the_header_is_refused() -> None:
    other = Iccid("8988211000000467343")
    with pytest.raises(DecodeError, match=r"EF\.ICCID"):
        parse_profile(_with(CONTENTS.iccid.swapped_octets, other.swapped_octets))


def test_wrong_imsis_and_check_digits_are_refused() -> None:
    with pytest.raises(DecodeError):
        parse_profile(_with(CONTENTS.iccid.plain_octets, octets("89494400000011553150"[:19] + "F")))
    with pytest.raises(DecodeError):
        parse_profile(_with(encode_imsi(CONTENTS.imsi), octets("08091010103254FFFF")))


@pytest.mark.parametrize("content", ["", "FF", "09" + "09" * 8, "0809101010325406", "00" + "FF" * 8, "0100"])
def test_strange_imsi_files_are_refused(content: str) -> None:
    with pytest.raises(DecodeError):
        decode_imsi(octets(content))


@pytest.mark.parametrize("content", ["", "00" * 16, "00" + "1B" * 16, "0080D800" + "FF" * 13, "00C0" + "FF" * 15])
def test_strange_provider_files_are_refused(content: str) -> None:
    with pytest.raises(DecodeError):
        decode_provider(octets(content))


@given(st.binary(max_size=300))
def test_any_octets_are_refused_with_a_decode_error(package: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_profile(package)


@given(st.data())
def test_a_damaged_package_is_read_or_refused(data: st.DataObject) -> None:
    package = bytearray(build_profile(CONTENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        package[data.draw(st.integers(0, len(package) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_profile(bytes(package))
    except DecodeError:
        return
    assert isinstance(parsed, ProfileContents)


# --- the published grammar, as another project compiled it -----------------------------------------------------------


@pytest.mark.parametrize(
    "profile",
    [CONTENTS, replace(CONTENTS, suci_key=None, routing_indicator="0", sqn_array=tuple(range(SQN_SLOTS))), TUAK],
    ids=["with SUCI key", "plain", "TUAK"],
)
def test_every_element_is_one_of_the_published_grammar(profile: ProfileContents) -> None:
    grammar = pytest.importorskip("pycrate_asn1dir.eUICCPP_IFTv3", reason="pycrate (extra bench) is not installed")
    element = grammar.PEDefinitions.ProfileElement
    names = []
    for item in Reader(build_profile(profile), "x").rest():
        element.from_der(item.raw)
        assert element.to_der() == item.raw
        names.append(element.get_val()[0])
    expected = ["header", "mf", "pukCodes", "pinCodes", "usim", "pinCodes", "akaParameter", "df-5gs", "end"]
    assert names == [name for name in expected if profile.suci_key is not None or name != "df-5gs"]


def test_a_profile_written_with_the_published_grammar_is_read() -> None:
    grammar = pytest.importorskip("pycrate_asn1dir.eUICCPP_IFTv3", reason="pycrate (extra bench) is not installed")
    element = grammar.PEDefinitions.ProfileElement

    def encoded(name: str, value: dict[str, Any]) -> bytes:
        element.set_val((name, value))
        octets_of_element: bytes = element.to_der()
        return octets_of_element

    front = {"mandated": 0, "identification": 7}
    package = b"".join(
        (
            encoded(
                "header",
                {
                    "major-version": 3,
                    "minor-version": 2,
                    "profileType": "by others",
                    "iccid": CONTENTS.iccid.plain_octets,
                    "eUICC-Mandatory-services": {"usim": 0, "milenage": 0},
                    "eUICC-Mandatory-GFSTEList": [(2, 23, 143, 1, 2, 4)],
                },
            ),
            encoded(
                "usim",
                {
                    "usim-header": front,
                    "templateID": (2, 23, 143, 1, 2, 4),
                    "adf-usim": [("fileDescriptor", {"fileID": b"\x7f\xd0"})],
                    "ef-imsi": [("fillFileContent", octets("0809101010325406")), ("fillFileContent", b"\x36")],
                    "ef-arr": [("fillFileOffset", 3)],
                    "ef-ust": [("doNotCreate", 0)],
                    "ef-spn": [],
                    "ef-est": [],
                    "ef-acc": [],
                    "ef-ecc": [],
                },
            ),
            encoded(
                "akaParameter",
                {
                    "aka-header": front,
                    "algoConfiguration": (
                        "algoParameter",
                        {"algorithmID": 1, "algorithmOptions": b"\1", "key": b"k" * 16, "opc": b"o" * 16},
                    ),
                    "sqnInit": [number.to_bytes(6, "big") for number in range(SQN_SLOTS)],
                },
            ),
            encoded("end", {"end-header": front}),
        )
    )
    assert parse_profile(package) == ProfileContents(
        CONTENTS.iccid,
        CONTENTS.imsi,
        Plmn("001", "01"),
        Secret(b"k" * 16),
        Secret(b"o" * 16),
        "by others",
        "",
        sqn_array=tuple(range(SQN_SLOTS)),
    )
