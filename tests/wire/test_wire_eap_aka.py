"""EAP-AKA' packets: another implementation's octets, round trips, and whatever a stranger may send."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, EncodeError
from rprov.wire.eap import EapType, Request, Response, decode
from rprov.wire.eap_aka import (
    MOST_KDFS,
    AkaData,
    At,
    IdentityWanted,
    Notice,
    Subtype,
    decode_aka,
    encode_aka,
    zero_mac,
)

RUNS = json.loads((Path(__file__).parents[1] / "vectors" / "eap_aka_prime_packets.json").read_text())
PACKETS = [bytes.fromhex(packet["packet"]) for run in RUNS for packet in run["packets"]]
HEAD = b"\x01\0\0"


def octets_of(size):
    return st.binary(min_size=size, max_size=size)


numbers = st.integers(0, 0xFFFF)
texts = st.text(max_size=60)
data = st.builds(
    AkaData,
    st.sampled_from(Subtype),
    rand=st.none() | octets_of(16),
    autn=st.none() | octets_of(16),
    res=st.none() | st.binary(min_size=4, max_size=16),
    auts=st.none() | octets_of(14),
    kdf_input=st.none() | texts,
    kdfs=st.lists(numbers, max_size=MOST_KDFS).map(tuple),
    wanted=st.none() | st.sampled_from(IdentityWanted),
    identity=st.none() | texts,
    checkcode=st.none() | octets_of(0) | octets_of(32),
    bidding=st.none() | st.booleans(),
    notification=st.none() | numbers,
    client_error=st.none() | numbers,
    mac=st.none() | octets_of(16),
)


def test_every_recorded_packet_both_ways():
    seen = set()
    for octets in PACKETS:
        match decode(octets):
            case Request(type=kind, data=type_data) | Response(type=kind, data=type_data):
                assert kind == EapType.AKA_PRIME
                decoded = decode_aka(type_data)
                seen.add((type(decode(octets)).__name__, decoded.subtype))
                assert encode_aka(decoded) == type_data
    assert len(seen) == 9  # three kinds of request and six of response


def test_a_recorded_challenge_says_what_it_says():
    run = RUNS[0]
    challenge = decode_aka(decode(PACKETS[0]).data)
    assert challenge.rand.hex() == run["rand"]
    assert (challenge.kdf_input, challenge.kdfs, challenge.checkcode) == (run["network_name"], (1,), b"")
    answer = decode_aka(decode(PACKETS[1]).data)
    assert (answer.res.hex(), answer.checkcode, answer.rand) == ("a8866ac46a440436", b"", None)


@given(data)
def test_what_is_encoded_is_decoded(value):
    assert decode_aka(encode_aka(value)) == value


@given(data)
def test_a_packet_is_cut_anywhere(value):
    octets = encode_aka(value)
    for end in range(len(octets)):
        try:
            assert decode_aka(octets[:end]) != value
        except DecodeError:
            continue


@given(st.binary(max_size=300) | st.binary(max_size=120).map(lambda tail: HEAD + tail))
def test_any_octets_are_a_packet_or_a_decode_error(octets):
    for read in (decode_aka, zero_mac):
        try:
            read(octets)
        except DecodeError:
            continue


@given(st.sampled_from([packet for packet in PACKETS if len(packet) > 8]), st.data())
def test_a_recorded_packet_with_octets_changed_is_a_packet_or_a_decode_error(packet, draw):
    octets = bytearray(packet[5:])
    for _ in range(draw.draw(st.integers(1, 4))):
        octets[draw.draw(st.integers(0, len(octets) - 1))] = draw.draw(st.integers(0, 255))
    try:
        decode_aka(bytes(octets))
    except DecodeError:
        return


def test_attributes_that_may_be_skipped_are_skipped():
    plain = encode_aka(AkaData(Subtype.CHALLENGE, notification=1))
    for kind in (128, 129, 130, 132, 133, 135, 200, 255):
        assert decode_aka(HEAD + bytes((kind, 2)) + bytes(6) + plain[3:]) == decode_aka(plain)


def test_reserved_octets_are_ignored():
    assert decode_aka(b"\x01\xff\xff\x01\x05\xff\xff" + bytes(16)).rand == bytes(16)


@pytest.mark.parametrize("kind", [0, 5, 6, 7, 15, 16, 18, 19, 20, 21, 25, 127])
def test_attributes_that_must_be_known_are_refused(kind):
    with pytest.raises(DecodeError, match=f"attribute {kind},"):
        decode_aka(HEAD + bytes((kind, 1, 0, 0)))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "ends in its header"),
        (b"\x01\0", "ends in its header"),
        (b"\x03\0\0", "subtype 3"),
        (HEAD + b"\x01", "no length"),
        (HEAD + b"\x01\0", "no length"),
        (HEAD + b"\x80\0\0\0", "no length"),
        (HEAD + b"\x01\x05" + bytes(17), "beyond its packet"),
        (HEAD + b"\x01\x04" + bytes(14), "RAND"),
        (HEAD + b"\x02\x06" + bytes(22), "AUTN"),
        (HEAD + b"\x04\x05" + bytes(18), "AUTS"),
        (HEAD + b"\x0b\x06" + bytes(22), "MAC"),
        (HEAD + b"\x86\x02" + bytes(6), "CHECKCODE"),
        (HEAD + b"\x18\x02" + bytes(6), "KDF"),
        (HEAD + b"\x0c\x02" + bytes(6), "NOTIFICATION"),
        (HEAD + b"\x03\x02\0\x18" + bytes(4), "24 bits"),
        (HEAD + b"\x03\x06\0\x88" + bytes(20), "136 bits"),
        (HEAD + b"\x03\x02\0\x21" + bytes(4), "33 bits"),
        (HEAD + b"\x03\x02\0\x40" + bytes(4), "longer or shorter"),
        (HEAD + b"\x03\x04\0\x40" + bytes(12), "longer or shorter"),
        (HEAD + b"\x17\x01\0\x01", "longer or shorter"),
        (HEAD + b"\x17\x02\0\x00abcd", "longer or shorter"),
        (HEAD + b"\x17\x02\0\x02\xc3\x28\0\0", "UTF-8"),
        (HEAD + b"\x0d\x01\0\0\x0a\x01\0\0", "more than one identity"),
        (HEAD + b"\x16\x01\0\0\x16\x01\0\0", "stands twice"),
        (HEAD + b"\x18\x01\0\x01" * (MOST_KDFS + 1), "too many"),
    ],
)
def test_what_is_wrong_is_named(octets, why):
    with pytest.raises(DecodeError, match=why):
        decode_aka(octets)


@given(data, octets_of(16))
def test_the_mac_is_zeroed_and_nothing_else(value, mac):
    sealed = encode_aka(replace(value, mac=mac))
    assert zero_mac(sealed) == encode_aka(replace(value, mac=bytes(16)))
    behind = sealed + b"\xc8\x01\x07\x07"
    assert zero_mac(behind) == zero_mac(sealed) + b"\xc8\x01\x07\x07"
    with pytest.raises(DecodeError):
        zero_mac(encode_aka(replace(value, mac=None)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rand": bytes(15)},
        {"autn": bytes(17)},
        {"res": bytes(3)},
        {"res": bytes(17)},
        {"auts": bytes(16)},
        {"mac": bytes(12)},
        {"checkcode": bytes(20)},
        {"kdfs": (0x10000,)},
        {"kdfs": (1,) * (MOST_KDFS + 1)},
        {"notification": -1},
        {"client_error": 1 << 16},
        {"identity": "x" * 2000},
        {"kdf_input": "x" * 70000},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_does_not_fit_is_not_encoded(wrong):
    with pytest.raises(EncodeError):
        encode_aka(AkaData(Subtype.CHALLENGE, **wrong))


def test_every_attribute_of_ours_has_a_field():
    named = {field.name for field in fields(AkaData)} - {"subtype"}
    assert len(named) == len(At) - 2  # the three identity requests share one
    assert {At.PERMANENT_ID_REQ, At.ANY_ID_REQ, At.FULLAUTH_ID_REQ} == {At(kind) for kind in IdentityWanted}


def test_a_res_does_not_print():
    assert "res" not in repr(decode_aka(decode(PACKETS[1]).data))
    assert Notice.GENERAL_FAILURE == 0x4000
