"""EAP packets: RFC 3748's shapes, both ways, and any octets."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, EncodeError
from rprov.wire.eap import LARGEST_PACKET, Failure, Request, Response, Success, decode, encode, nak, wanted_types

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "eap_tls_packets.json").read_text())
KINDS = {1: Request, 2: Response, 3: Success, 4: Failure}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors_both_ways(vector):
    octets = bytes.fromhex(vector["packet"])
    packet = decode(octets)
    assert type(packet) is KINDS[vector["code"]]
    assert packet.identifier == vector["identifier"]
    assert len(octets) == vector["length"]
    if "type" in vector:
        assert packet.type == vector["type"]
    assert encode(packet) == octets


short = (
    st.integers(0, 255),
    st.integers(1, 255).filter(lambda kind: kind != 254),
    st.binary(max_size=LARGEST_PACKET - 5),
)
long = (st.integers(0, 255), st.integers(1, 253), st.binary(max_size=LARGEST_PACKET - 12), st.just(True))
packets = st.one_of(
    *(st.builds(kind, *parts) for kind in (Request, Response) for parts in (short, long)),
    st.builds(Success, st.integers(0, 255)),
    st.builds(Failure, st.integers(0, 255)),
)


@given(packets)
def test_round_trip(packet):
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=64))
def test_any_octets_give_a_packet_or_a_decode_error(octets):
    try:
        packet = decode(octets)
    except DecodeError:
        return
    assert octets.startswith(encode(packet))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_truncation_is_refused(vector):
    octets = bytes.fromhex(vector["packet"])
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(octets[:size])


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "at least 4"),
        ("00010004", "unknown EAP code 0"),
        ("05010004", "unknown EAP code 5"),
        ("01010003", "without a type"),
        ("01010004", "without a type"),
        ("0201000500", "without a type"),
        ("0301000500", "has 4 octets, not 5"),
        ("04010003", "has 4 octets, not 3"),
        ("02010007010d", "says 7 octets and has 6"),
        ("0201ffff0d00", "says 65535"),
        ("0101000bfe00000000000d", "ends in its expanded type"),
    ],
)
def test_malformed_packets_say_why(octets, why):
    with pytest.raises(DecodeError, match=why):
        decode(bytes.fromhex(octets))


def test_padding_of_a_lower_layer_is_ignored():
    assert decode(bytes.fromhex("020700060d00ffff")) == Response(7, 13, b"\x00")


@pytest.mark.parametrize(
    ("body", "packet"),
    [
        ("fe000000 0000000d 00", Request(1, 13, b"\x00", True)),
        ("fe000137 00000001", Request(1, 254, bytes.fromhex("00013700000001"))),
        ("fe000000 000000fe", Request(1, 254, bytes.fromhex("000000000000fe"))),
        ("fe000000 00000100", Request(1, 254, bytes.fromhex("00000000000100"))),
    ],
)
def test_a_type_of_the_ietf_is_the_same_in_its_long_form_and_a_vendors_is_not(body, packet):
    octets = bytes.fromhex(body)
    octets = bytes((1, 1, 0, 4 + len(octets))) + octets
    assert decode(octets) == packet
    assert encode(packet) == octets


@given(st.binary(max_size=40), st.booleans())
def test_any_nak_names_types_or_none(data, expanded):
    assert all(0 < kind < 256 for kind in wanted_types(Response(1, 3, data, expanded)))
    assert wanted_types(nak(Request(1, 50, b"", expanded), 13)) == (13,)


def test_a_packet_that_does_not_fit_into_nas_is_refused_both_ways():
    with pytest.raises(DecodeError):
        decode(bytes.fromhex("010105dd0d") + bytes(LARGEST_PACKET - 4))
    with pytest.raises(EncodeError):
        encode(Request(1, 13, bytes(LARGEST_PACKET - 4)))


@pytest.mark.parametrize(
    "packet",
    [Request(256, 13, b""), Success(-1), Response(1, 0, b""), Request(1, 256, b""), Request(1, 254, b"", True)],
)
def test_values_that_have_no_octets_are_refused(packet):
    with pytest.raises(EncodeError):
        encode(packet)
