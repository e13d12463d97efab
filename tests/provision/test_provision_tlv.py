"""DER as SGP.22 uses it: known octets, round trips, and garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.provision.sgp22 import tlv as der

TAGS = st.sampled_from((0x30, 0x80, 0xA1, 0x5A, 0x9F70, 0xBF25, 0x5F37, 0xBF36))


@pytest.mark.parametrize(
    ("octets", "length"),
    [("8000", 0), ("807F", 127), ("818180", None), ("808180", 128), ("80820100", 256), ("8083010000", 65536)],
)
def test_lengths_are_minimal(octets: str, length: int | None) -> None:
    head = der.read_header(bytes.fromhex(octets))
    if length is None:
        assert head is not None
        assert head.tag == 0x81
    else:
        assert head == der.Header(0x80, length, len(octets) // 2)
        assert der.header(0x80, length).hex().upper() == octets


@pytest.mark.parametrize(
    "octets", ["80817F", "8082007F", "8083000100", "8080", "808401000000", "1F01", "BF1E00", "BF812500"]
)
def test_what_is_not_der_is_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        der.read(bytes.fromhex(octets) + bytes(300), "x")


@given(TAGS, st.binary(max_size=400))
def test_an_element_comes_back_with_its_octets(tag: int, value: bytes) -> None:
    raw = der.tlv(tag, value)
    assert der.read(raw, "x") == der.Tlv(tag, value, raw)


@given(TAGS, st.binary(max_size=300), st.data())
def test_a_header_cut_short_asks_for_more(tag: int, value: bytes, data: st.DataObject) -> None:
    raw = der.tlv(tag, value)
    size = len(raw) - len(value)
    assert der.read_header(raw[: data.draw(st.integers(0, size - 1))]) is None


@given(st.binary(max_size=60))
def test_any_octets_are_elements_or_a_decode_error(octets: bytes) -> None:
    try:
        elements = der.Reader(octets, "x").rest()
    except DecodeError:
        return
    assert b"".join(element.raw for element in elements) == octets
    assert b"".join(der.tlv(element.tag, element.value) for element in elements) == octets


def test_a_reader_says_what_it_wanted() -> None:
    reader = der.Reader(bytes.fromhex("800101"), "serverSigned1")
    with pytest.raises(DecodeError, match="serverSigned1: 81 expected, 80 found"):
        reader.take(0x81)
    reader.take(0x80)
    reader.finish()
    with pytest.raises(DecodeError, match="80 expected, nothing found"):
        reader.take(0x80)


def test_left_overs_are_refused() -> None:
    with pytest.raises(DecodeError, match="1 octets too many"):
        der.read(bytes.fromhex("80010100"), "x")


@given(st.integers(0, 1 << 70))
def test_numbers_come_back(number: int) -> None:
    assert der.read_integer(der.integer(number), "x", number) == number
    if number:
        with pytest.raises(DecodeError):
            der.read_integer(der.integer(number), "x", number - 1)


@pytest.mark.parametrize("octets", ["", "FF", "8000", "0001", "0000"])
def test_numbers_that_are_negative_or_padded_are_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        der.read_integer(bytes.fromhex(octets), "x", 1 << 40)


@pytest.mark.parametrize(
    ("numbers", "octets"),
    [((0,), "0780"), ((1,), "0640"), ((2,), "0520"), ((3,), "0410"), ((1, 2, 3), "0470"), ((), "00")],
)
def test_named_bits(numbers: tuple[int, ...], octets: str) -> None:
    assert der.bits(numbers).hex() == octets
    assert der.read_bits(bytes.fromhex(octets), "x") == frozenset(numbers)


@given(st.frozensets(st.integers(0, 63)))
def test_bits_come_back(numbers: frozenset[int]) -> None:
    assert der.read_bits(der.bits(numbers), "x") == numbers


@pytest.mark.parametrize("octets", ["", "0880", "01", "00" + "FF" * 9])
def test_strange_bit_strings_are_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        der.read_bits(bytes.fromhex(octets), "x")


@pytest.mark.parametrize("octets", [b"\xff", b"a\x1b[31m", b"a\n", b"x" * 9])
def test_text_that_would_hurt_a_terminal_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        der.read_text(octets, "x", 8)
