"""EAP-TLS flags, lengths, fragments and their reassembly."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, Misuse
from rprov.wire.eap import Failure as EapFailure
from rprov.wire.eap import Response, Success, decode, encode
from rprov.wire.eap_tls import (
    ACKNOWLEDGEMENT,
    LARGEST_EXCHANGE,
    SMALLEST_PACKET,
    START_FRAGMENT,
    Fragment,
    Reassembly,
    decode_fragment,
    encode_fragment,
    split,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "eap_tls_packets.json").read_text())
LONG = bytes(position % 256 for position in range(2500))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors_both_ways(vector):
    packet = decode(bytes.fromhex(vector["packet"]))
    if isinstance(packet, EapFailure | Success):
        assert "flags" not in vector
        return
    fragment = decode_fragment(packet.data)
    flags = int(vector["flags"], 16)
    assert fragment.more == bool(flags & 0x40)
    assert fragment.start == bool(flags & 0x20)
    assert fragment.total == vector.get("tls_message_length")
    if "fragment_octets" in vector:
        offset = vector["fragment_offset"]
        assert fragment.data == LONG[offset : offset + vector["fragment_octets"]]
    assert encode_fragment(fragment) == packet.data


def test_an_acknowledgement_keeps_its_flags_octet():
    assert encode(Response(7, 13, encode_fragment(ACKNOWLEDGEMENT))).hex() == "020700060d00"
    assert decode_fragment(b"\x00").is_acknowledgement


def test_a_start_has_no_length():
    assert encode_fragment(START_FRAGMENT) == b"\x20"


def test_reserved_bits_are_ignored():
    assert decode_fragment(b"\x1fabc") == Fragment(b"abc")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "without flags"),
        ("80000000", "ends in its message length"),
        ("40", "without data promises more"),
        ("c000000009", "without data promises more"),
        ("2061", "start carries nothing"),
        ("6061", "start carries nothing"),
        ("80000000016162", "carries 2 octets of a message of 1"),
    ],
)
def test_malformed_data_says_why(octets, why):
    with pytest.raises(DecodeError, match=why):
        decode_fragment(bytes.fromhex(octets))


@given(st.binary(max_size=40))
def test_any_octets_give_a_fragment_or_a_decode_error(octets):
    try:
        fragment = decode_fragment(octets)
    except DecodeError:
        return
    again = encode_fragment(fragment)
    assert again[1:] == octets[1:]
    assert again[0] == octets[0] & 0xE0


@given(st.binary(max_size=5000), st.integers(SMALLEST_PACKET, 1500))
def test_split_and_reassemble(message, size):
    fragments = split(message, size)
    reassembly = Reassembly()
    for fragment in fragments[:-1]:
        assert reassembly.add(decode_fragment(encode_fragment(fragment))) is None
    assert reassembly.add(fragments[-1]) == message
    assert all(len(encode_fragment(fragment)) + 5 <= size for fragment in fragments)
    # RFC 9190 2.1.9: L in the first of several, never in an unfragmented message
    assert [fragment.total for fragment in fragments[1:]] == [None] * (len(fragments) - 1)
    assert fragments[0].total == (len(message) if len(fragments) > 1 else None)


@pytest.mark.parametrize("lengths", ["every", "first", "none", "last"])
def test_reassembly_takes_the_length_wherever_it_stands(lengths):
    pieces = [LONG[:1000], LONG[1000:2000], LONG[2000:]]
    told = {"every": {0, 1, 2}, "first": {0}, "none": set(), "last": {2}}[lengths]
    reassembly = Reassembly()
    message = None
    for position, piece in enumerate(pieces):
        message = reassembly.add(Fragment(piece, position < 2, len(LONG) if position in told else None))
    assert message == LONG


@pytest.mark.parametrize(
    ("fragments", "why"),
    [
        ([Fragment(b"ab", True, 9), Fragment(b"cd", True, 8)], "changes between fragments"),
        ([Fragment(b"ab", True, 3), Fragment(b"cd")], "more EAP-TLS fragments"),
        ([Fragment(b"ab", True, 9), Fragment(b"cd")], "of 4 octets says it has 9"),
        ([Fragment(b"ab", total=9)], "of 2 octets says it has 9"),
        ([Fragment(b"ab", True, LARGEST_EXCHANGE + 1)], "more TLS octets"),
        ([Fragment(b"ab", True, 0xFFFFFFFF)], "more TLS octets"),
        ([Fragment(b"ab", True, 9), START_FRAGMENT], "start in the middle"),
    ],
)
def test_reassembly_refuses_contradictions(fragments, why):
    reassembly = Reassembly()
    for fragment in fragments[:-1]:
        reassembly.add(fragment)
    with pytest.raises(DecodeError, match=why):
        reassembly.add(fragments[-1])


def test_an_endless_message_without_a_length_ends_at_the_limit():
    reassembly = Reassembly(limit=10_000)
    for _ in range(10):
        reassembly.add(Fragment(bytes(1000), True))
    with pytest.raises(DecodeError):
        reassembly.add(Fragment(b"x", True))


def test_the_limit_counts_the_whole_exchange():
    reassembly = Reassembly(limit=2500)
    assert reassembly.add(Fragment(bytes(2000))) is not None
    with pytest.raises(DecodeError):
        reassembly.add(Fragment(bytes(501)))


def test_tiny_packets_are_a_mistake_of_ours():
    with pytest.raises(Misuse):
        split(b"x", SMALLEST_PACKET - 1)
