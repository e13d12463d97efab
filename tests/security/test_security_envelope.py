import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.security.envelope import MAX_PDU, PlainPdu, ProtectedPdu, SecurityHeader, parse_pdu

messages = st.binary(min_size=1, max_size=60)
protected = st.builds(
    ProtectedPdu,
    st.sampled_from([header for header in SecurityHeader if header is not SecurityHeader.PLAIN]),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 255),
    messages,
)


def test_the_frames_as_drawn() -> None:
    assert parse_pdu(b"\x00hello") == PlainPdu(b"hello")
    header = SecurityHeader.INTEGRITY_NEW_CONTEXT
    assert parse_pdu(b"\x03\x01\x02\x03\x04\x05x") == ProtectedPdu(header, b"\1\2\3\4", 5, b"x")


@given(pdu=st.one_of(st.builds(PlainPdu, messages), protected))
def test_a_pdu_survives_its_octets(pdu: PlainPdu | ProtectedPdu) -> None:
    assert parse_pdu(pdu.encode()) == pdu


@given(octets=st.binary(max_size=30))
def test_any_octets_give_a_pdu_or_a_decode_error(octets: bytes) -> None:
    try:
        pdu = parse_pdu(octets)
    except DecodeError:
        return
    assert pdu.encode() == octets


@pytest.mark.parametrize(
    "octets", [b"", b"\0", b"\5abcdefgh", b"\xffabcdefgh", b"\1", b"\2MAC!\0", b"\0" + bytes(MAX_PDU)]
)
def test_what_is_no_pdu(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_pdu(octets)


def test_which_headers_cipher_and_which_begin() -> None:
    assert [header for header in SecurityHeader if header.ciphered] == [2, 4]
    assert [header for header in SecurityHeader if header.new_context] == [3, 4]
