"""Identifiers: known answers, round trips, and that whatever is wrong is refused in words that name it."""

from collections.abc import Callable
from typing import Any

import pytest
from doubles.known_answers import Answer, each, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.model.identifiers import (
    Dnn,
    Eid,
    EidHint,
    Guti,
    Iccid,
    Imsi,
    Plmn,
    SNssai,
    Suci,
    Supi,
    luhn_check_digit,
    swap_nibbles,
)

PLMN = Plmn("001", "01")


def digits(least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=least if most is None else most)


# --- EID and ICCID ----------------------------------------------------------------------------------------------------


@each("eid")
def test_eids_as_published(answer: Answer) -> None:
    match answer["expected"]:
        case "calculate":
            assert Eid.with_check_digits(answer["digits_30"]) == Eid.parse(answer["eid"])
        case "valid":
            eid = Eid.parse(answer["eid"])
            assert eid.octets == octets(answer["eid_octets"])
            assert Eid.from_octets(eid.octets) == eid
            if "digits_30" in answer:
                assert Eid.with_check_digits(answer["digits_30"]) == eid
        case _:
            with pytest.raises(DecodeError, match="EID"):
                Eid.parse(answer["eid"])


@each("luhn")
def test_check_digits_as_published(answer: Answer) -> None:
    number = answer["digits"]
    right = answer["expected"] == "valid"
    assert (luhn_check_digit(number[:-1]) == int(number[-1])) is right
    if "check_digit_expected" in answer:
        assert luhn_check_digit(number[:-1]) == int(answer["check_digit_expected"])
    if answer["kind"] == "iccid" and len(number) in (19, 20):
        if right:
            assert str(Iccid.parse(number)) == number
        else:
            with pytest.raises(DecodeError, match="wrong check digit"):
                Iccid.parse(number)


@given(digits(30), st.integers(0, 31), st.integers(1, 9))
def test_one_wrong_digit_makes_another_eid_wrong(first: str, place: int, by: int) -> None:
    eid = Eid.with_check_digits(first)
    changed = str((int(eid.digits[place]) + by) % 10)
    with pytest.raises(DecodeError, match="wrong check digits"):
        Eid.parse(eid.digits[:place] + changed + eid.digits[place + 1 :])


@given(digits(30))
def test_an_eid_is_what_its_octets_are_and_its_hint_covers_it(first: str) -> None:
    eid = Eid.with_check_digits(first)
    assert Eid.from_octets(eid.octets) == Eid.parse(str(eid)) == eid
    assert EidHint(eid.digits[:8]).covers(eid)
    assert not EidHint(f"{(int(eid.digits[:8]) + 1) % 10**8:08d}").covers(eid)


@given(digits(18, 19))
def test_an_iccid_comes_back_from_both_of_its_forms(first: str) -> None:
    iccid = Iccid(f"{first}{luhn_check_digit(first)}")
    assert Iccid.parse(iccid.padded) == iccid
    assert Iccid.parse(iccid.plain_octets.hex()) == iccid
    assert swap_nibbles(iccid.swapped_octets) == iccid.plain_octets


# --- networks and subscribers -----------------------------------------------------------------------------------------


@given(digits(3), digits(2, 3))
def test_a_network_comes_back_from_its_text(mcc: str, mnc: str) -> None:
    plmn = Plmn.parse(f"{mcc}-{mnc}")
    assert Plmn.parse(str(plmn)) == plmn
    assert plmn.serving_network_name == f"5G:mnc{mnc:0>3}.mcc{mcc}.3gppnetwork.org"


@given(digits(3), digits(2, 3), digits(1, 9))
def test_an_imsi_is_its_network_and_its_msin(mcc: str, mnc: str, msin: str) -> None:
    imsi = Imsi.parse(mcc + mnc + msin)
    assert imsi.msin(Plmn(mcc, mnc)) == msin
    assert Supi.of_imsi(imsi) == Supi(str(imsi))


# --- sessions ---------------------------------------------------------------------------------------------------------

slices = st.builds(SNssai, st.integers(0, 255), st.none() | st.integers(0, 0xFFFFFE))
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
dnns = st.lists(labels, min_size=1, max_size=4).map(lambda parts: Dnn(".".join(parts)))


@given(slices)
def test_a_slice_comes_back_from_text_and_octets(s_nssai: SNssai) -> None:
    assert SNssai.parse(str(s_nssai)) == s_nssai
    assert SNssai.from_octets(s_nssai.octets) == s_nssai
    assert len(s_nssai.octets) == (1 if s_nssai.sd is None else 4)


def test_slices_as_they_are_written() -> None:
    assert str(SNssai(1, 0xABC)) == "1-000ABC"
    assert SNssai(1, 0xABC).octets == octets("01000abc")
    assert SNssai.parse("1-000abc") == SNssai(1, 0xABC)
    assert SNssai.from_octets(octets("01ffffff")) == SNssai(1)
    assert SNssai(1) != SNssai(1, 0)


@given(dnns)
def test_a_data_network_comes_back_from_text_and_octets(dnn: Dnn) -> None:
    assert Dnn.parse(str(dnn)) == Dnn.parse(str(dnn).upper()) == dnn
    assert Dnn.from_octets(dnn.octets) == dnn


def test_data_networks_as_they_are_written() -> None:
    assert Dnn("Internet").octets == b"\x08internet"
    assert Dnn("rsp.example").octets == b"\x03rsp\x07example"
    assert len(Dnn("a" * 63 + "." + "b" * 35).octets) == 100


@given(st.binary(max_size=110))
def test_any_octets_are_a_data_network_or_refused(data: bytes) -> None:
    try:
        dnn = Dnn.from_octets(data)
    except DecodeError:
        return
    assert dnn.octets.lower() == data.lower()


# --- wrong ones -------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Eid.parse("1" * 31), "an EID must have 32 digits, not 31"),
    (lambda: Eid.parse("x" * 32), "an EID must be decimal digits"),
    (lambda: Eid.parse("١" * 32), "an EID must be decimal digits"),
    (lambda: Eid.parse("0" * 32), "wrong check digits"),
    (lambda: Eid.from_octets(bytes(15)), "an EID must have 16 octets, not 15"),
    (lambda: Eid.from_octets(b"\xff" * 16), "an EID must be decimal digits"),
    (lambda: Eid.with_check_digits("1" * 29), "an EID without its check digits must have 30 digits"),
    (lambda: EidHint("8904903"), "an EID hint must have 8 digits"),
    (lambda: Iccid.parse("8988211000000000014"), "wrong check digit"),
    (lambda: Iccid.parse("898821100000000001"), "an ICCID must have 19 to 20 digits"),
    (lambda: Iccid.parse("F"), "an ICCID must be decimal digits"),
    (lambda: Plmn.parse("00101"), "a PLMN is written MCC-MNC"),
    (lambda: Plmn.parse("01-01"), "an MCC must have 3 digits"),
    (lambda: Plmn.parse("001-1"), "an MNC must have 2 to 3 digits"),
    (lambda: Plmn.parse("001-0x"), "an MNC must be decimal digits"),
    (lambda: Imsi.parse("00101"), "an IMSI must have 6 to 15 digits"),
    (lambda: Imsi.parse("0" * 16), "an IMSI must have 6 to 15 digits"),
    (lambda: Imsi("001010000000001").msin(Plmn("999", "70")), "is not of PLMN 999-70"),
    (lambda: Supi("somebody"), "an IMSI must be decimal digits"),
    (lambda: Supi("ä@b"), "printable ASCII"),
    (lambda: Supi("a@" + "b" * 252), "at most 253 characters"),
    (lambda: Supi("@b"), "a username, @ and a realm"),
    (lambda: Supi("a@"), "a username, @ and a realm"),
    (lambda: Supi("a@b@c"), "a username, @ and a realm"),
    (lambda: Supi("a\n@b"), "printable ASCII"),
    (lambda: Suci(PLMN, "0", 0, 0, b"a", ""), "the realm of a SUCI"),
    (lambda: Suci(PLMN, "0", 0, 0, b"a", "a@b"), "the realm of a SUCI"),
    (lambda: Suci(PLMN, "0", 0, 0, b"a", "b" * 252), "1 to 251 printable ASCII characters"),
    (lambda: Suci(PLMN, "", 0, 0, b"1"), "a routing indicator"),
    (lambda: Suci(PLMN, "12345", 0, 0, b"1"), "a routing indicator must have 1 to 4 digits"),
    (lambda: Suci(PLMN, "0", 16, 0, b"1"), "a SUCI protection scheme is 0 to 15"),
    (lambda: Suci(PLMN, "0", 0, 256, b"1"), "a home network key id is 0 to 255"),
    (lambda: Suci(PLMN, "0", 0, 0, b""), "1 to 512 octets"),
    (lambda: Guti(PLMN, 1 << 24, 0), "the CP of a GUTI has 24 bits"),
    (lambda: Guti(PLMN, 0, 1 << 32), "the TMSI of a GUTI has 32 bits"),
    (lambda: SNssai(256), "a slice/service type is 0 to 255, not 256"),
    (lambda: SNssai(1, 0xFFFFFF), "FFFFFF is none"),
    (lambda: SNssai(1, -1), "a slice differentiator has 24 bits"),
    (lambda: SNssai.parse(""), "a slice/service type must be decimal digits"),
    (lambda: SNssai.parse("1-"), "6 hexadecimal digits"),
    (lambda: SNssai.parse("1-12345g"), "6 hexadecimal digits"),
    (lambda: SNssai.parse("1000"), "a slice/service type must have 1 to 3 digits"),
    (lambda: SNssai.from_octets(b"\x01\x02"), "1 or 4 octets, not 2"),
    (lambda: Dnn(""), "1 to 63 characters"),
    (lambda: Dnn("a..b"), "1 to 63 characters"),
    (lambda: Dnn("a" * 64), "1 to 63 characters"),
    (lambda: Dnn("inter net"), "letters, digits and hyphens"),
    (lambda: Dnn("-a"), "letters, digits and hyphens"),
    (lambda: Dnn("a-"), "letters, digits and hyphens"),
    (lambda: Dnn("ä"), "letters, digits and hyphens"),
    (lambda: Dnn("a" * 63 + "." + "b" * 36), "at most 100 octets"),
    (lambda: Dnn.from_octets(b""), "1 to 63 characters"),
    (lambda: Dnn.from_octets(b"\x03rs"), "labels with their lengths"),
    (lambda: Dnn.from_octets(b"\x03a.b"), "labels with their lengths"),
    (lambda: Dnn.from_octets(b"\x00"), "1 to 63 characters"),
]


@pytest.mark.parametrize(("make", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(DecodeError, match=words.replace("(", r"\(")):
        make()
