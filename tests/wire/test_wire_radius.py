"""RADIUS: packets that FreeRADIUS and eapol_test exchanged, both ways; properties; packets nobody should send."""

import hashlib
import re
from functools import cache
from pathlib import Path

import pytest
from doubles.pcapng import RADIUS_PORT, read
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, EncodeError, MacMismatch, Misuse, PeerError, Unprotected
from rprov.model.secret import Secret
from rprov.wire import eap
from rprov.wire.radius import (
    LARGEST_PACKET,
    Attribute,
    Code,
    Kind,
    Packet,
    SharedSecret,
    check_answer,
    check_request,
    decode,
    encode,
    length_of,
    seal_answer,
    seal_request,
)
from rprov.wire.radius_attributes import (
    MICROSOFT,
    framed_mtu,
    join_eap,
    mppe_keys,
    msk_of,
    split_eap,
    vendor_attributes,
)

PLACE = Path(__file__).parents[1] / "captures" / "eap-tls"
TLS13, TLS12 = "fr321-eapol210-tls13", "fr321-eapol210-tls12"
REJECTS = ("fr321-eapol210-tls13-peer-unknown-ca", "fr321-eapol210-tls12-server-rejects-client")
ALL = (TLS13, TLS12, *REJECTS)
TESTING = SharedSecret(b"testing123")
SECRET = SharedSecret(b"0123456789abcdef")
ANSWERS = [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE]
AUTHENTICATOR = bytes(range(16))
STATE = Attribute(Kind.STATE, b"state")


@cache
def exchange(name: str) -> list[tuple[bytes, bytes]]:
    """Requests with their answers."""
    datagrams = read(PLACE / f"{name}.pcapng").datagrams
    pairs = list(zip(datagrams[::2], datagrams[1::2], strict=True))
    assert all(asked.destination == RADIUS_PORT == answered.source for asked, answered in pairs)
    return [(asked.payload, answered.payload) for asked, answered in pairs]


def printed(name: str, what: str) -> bytes:
    text = (PLACE / f"{name}.eapol_test.txt").read_text()
    return bytes.fromhex(re.findall(rf"{re.escape(what)} - hexdump\(len=\d+\): ([0-9a-f ]+)", text)[-1])


# --- what two other implementations said --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_captured_packets_both_ways(name):
    assert len(exchange(name)) >= 5
    for octets in (packet for pair in exchange(name) for packet in pair):
        assert encode(decode(octets)) == octets


@pytest.mark.parametrize("name", ALL)
def test_captured_authenticators_are_right(name):
    for asked, answered in exchange(name):
        request, answer = decode(asked), decode(answered)
        check_request(request, TESTING)
        check_answer(answer, request, TESTING)
        with pytest.raises(MacMismatch):
            check_request(request, SECRET)
        with pytest.raises(MacMismatch):
            check_answer(answer, request, SECRET)


@pytest.mark.parametrize("name", ALL)
def test_captured_attributes_sealed_by_us_are_as_good(name):
    """The same attributes, with ours first: what these two would have to take from us."""
    for asked, answered in exchange(name):
        request, answer = decode(asked), decode(answered)
        others = [item for item in request.attributes if item.type != Kind.MESSAGE_AUTHENTICATOR]
        ours = decode(seal_request(request.identifier, request.authenticator, others, TESTING))
        check_request(ours, TESTING)
        assert ours.attributes[0].type == Kind.MESSAGE_AUTHENTICATOR
        assert list(ours.attributes[1:]) == others
        others = [item for item in answer.attributes if item.type != Kind.MESSAGE_AUTHENTICATOR]
        check_answer(decode(seal_answer(answer.code, request, others, TESTING)), request, TESTING)


@pytest.mark.parametrize("name", ALL)
def test_captured_eap_is_joined_and_split_in_the_same_way(name):
    for packet in (decode(octets) for pair in exchange(name) for octets in pair):
        whole = join_eap(packet)
        assert whole is not None
        eap.decode(whole)
        assert list(split_eap(whole)) == [item for item in packet.attributes if item.type == Kind.EAP_MESSAGE]


@pytest.mark.parametrize("name", [TLS13, TLS12])
def test_captured_mppe_keys_are_what_eapol_test_printed(name):
    asked, answered = exchange(name)[-1]
    answer = decode(answered)
    assert answer.code is Code.ACCESS_ACCEPT
    recv = printed(name, "MS-MPPE-Recv-Key (crypt)")
    send = printed(name, "MS-MPPE-Send-Key (sign)")
    assert msk_of(answer, decode(asked).authenticator, TESTING).octets == recv + send


@pytest.mark.parametrize("name", REJECTS)
def test_captured_rejects_carry_eap_failure_and_no_keys(name):
    asked, answered = exchange(name)[-1]
    answer = decode(answered)
    assert answer.code is Code.ACCESS_REJECT
    assert isinstance(eap.decode(join_eap(answer) or b""), eap.Failure)
    with pytest.raises(DecodeError):
        msk_of(answer, decode(asked).authenticator, TESTING)


def test_framed_mtu_of_eapol_test():
    assert framed_mtu(decode(exchange(TLS13)[0][0])) == 1400


# --- properties ---------------------------------------------------------------------------------------------------

attributes = st.lists(
    st.builds(Attribute, st.integers(0, 255).filter(lambda kind: kind != 80), st.binary(max_size=253)), max_size=8
).map(tuple)
identifiers = st.integers(0, 255)
authenticators = st.binary(min_size=16, max_size=16)
packets = st.builds(Packet, st.sampled_from(Code), identifiers, authenticators, attributes)


@given(packets)
def test_round_trip(packet):
    assert decode(encode(packet)) == packet
    assert decode(encode(packet) + b"padding") == packet


@given(
    st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"\x01\x00\x00" + bytes((20 + len(tail),)) + tail)
)
def test_any_octets_give_a_packet_or_a_decode_error(octets):
    try:
        packet = decode(octets)
    except DecodeError:
        return
    assert octets.startswith(encode(packet))


@given(packets)
def test_reading_attributes_gives_values_or_a_decode_error(packet):
    for read_one in (
        join_eap,
        framed_mtu,
        lambda given: vendor_attributes(given, MICROSOFT),
        lambda given: msk_of(given, AUTHENTICATOR, SECRET),
    ):
        try:
            read_one(packet)
        except DecodeError:
            continue


@given(st.binary(max_size=200))
def test_vendor_octets_give_attributes_or_a_decode_error(octets):
    packet = Packet(Code.ACCESS_ACCEPT, 1, AUTHENTICATOR, (Attribute(Kind.VENDOR_SPECIFIC, b"\0\0\1\x37" + octets),))
    try:
        found = vendor_attributes(packet, MICROSOFT)
    except DecodeError:
        return
    assert b"".join(bytes((kind, len(value) + 2)) + value for kind, value in found) == octets


@given(identifiers, authenticators, attributes, st.data())
def test_one_changed_octet_breaks_a_request(identifier, authenticator, given_attributes, data):
    octets = bytearray(seal_request(identifier, authenticator, given_attributes, SECRET))
    check_request(decode(octets), SECRET)
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PeerError):
        check_request(decode(bytes(octets)), SECRET)


@given(identifiers, authenticators, attributes, st.sampled_from(ANSWERS), st.data())
def test_one_changed_octet_breaks_an_answer(identifier, authenticator, given_attributes, code, data):
    unproxied = [item for item in given_attributes if item.type != Kind.PROXY_STATE]
    request = decode(seal_request(identifier, authenticator, (), SECRET))
    octets = bytearray(seal_answer(code, request, unproxied, SECRET))
    check_answer(decode(bytes(octets)), request, SECRET)
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PeerError):
        check_answer(decode(bytes(octets)), request, SECRET)


@given(st.binary(max_size=1500))
def test_eap_survives_splitting(octets):
    pieces = split_eap(octets)
    assert all(len(piece.value) <= 253 for piece in pieces)
    assert join_eap(Packet(Code.ACCESS_REQUEST, 0, AUTHENTICATOR, (STATE, *pieces, STATE))) == octets


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=2, max_size=2), authenticators)
def test_msk_survives_hiding(msk, salts, authenticator):
    keys = mppe_keys(Secret(msk), salts, authenticator, SECRET)
    assert msk not in b"".join(key.value for key in keys)
    recv_salt, send_salt = (key.value[6:8] for key in keys)
    assert recv_salt != send_salt  # RFC 2548 2.4.2: unique in the packet, and the first bit set
    assert recv_salt[0] & send_salt[0] & 0x80
    answer = Packet(Code.ACCESS_ACCEPT, 0, authenticator, (STATE, *keys))
    assert msk_of(answer, authenticator, SECRET) == Secret(msk)


# --- rude packets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "20 to 4096 octets"),
        (b"\x01\x00\x00", "20 to 4096 octets"),
        (b"\x01\x00\x00\x13" + bytes(16), "20 to 4096 octets"),
        (b"\x01\x00\x10\x01" + bytes(4093), "20 to 4096 octets"),
        (b"\x01\x00\x00\x15" + bytes(16), "says 21 octets and has 20"),
        (b"\x04\x00\x00\x14" + bytes(16), "code 4 is not spoken"),
        (b"\x01\x00\x00\x15" + bytes(16) + b"\x01", "attribute 1 is shorter"),
        (b"\x01\x00\x00\x16" + bytes(16) + b"\x01\x00", "attribute 1 is shorter"),
        (b"\x01\x00\x00\x16" + bytes(16) + b"\x01\x01", "attribute 1 is shorter"),
        (b"\x01\x00\x00\x16" + bytes(16) + b"\x01\x03", "attribute 1 is shorter"),
    ],
)
def test_octets_that_are_no_packet(octets, why):
    with pytest.raises(DecodeError, match=why):
        decode(octets)


def test_every_truncation_of_a_captured_packet_is_refused():
    octets = exchange(TLS13)[2][0]
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            decode(octets[:size])


def test_the_length_of_a_packet_in_a_stream():
    assert length_of(b"\x01\x00\x10\x00") == LARGEST_PACKET
    for header in (b"", b"\x01\x00\x10", b"\x01\x00\x10\x01", b"\x01\x00\x00\x13"):
        with pytest.raises(DecodeError):
            length_of(header)


@pytest.mark.parametrize("length", [0, 1])
def test_a_vendor_attribute_of_no_length_is_refused_and_not_read_for_ever(length):
    """One unauthenticated packet like this has hung another implementation."""
    value = b"\0\0\1\x37" + bytes((16, length)) + bytes(40)
    with pytest.raises(DecodeError, match="impossible length"):
        vendor_attributes(Packet(Code.ACCESS_ACCEPT, 0, AUTHENTICATOR, (Attribute(26, value),)), MICROSOFT)


def test_other_vendors_are_opaque():
    packet = Packet(Code.ACCESS_ACCEPT, 0, AUTHENTICATOR, (Attribute(26, b"\0\0\0\x09" + bytes(40)),))
    assert vendor_attributes(packet, MICROSOFT) == []
    with pytest.raises(DecodeError, match="without its vendor"):
        vendor_attributes(Packet(Code.ACCESS_ACCEPT, 0, AUTHENTICATOR, (Attribute(26, b"\0\0\1"),)), MICROSOFT)


def test_a_packet_without_message_authenticator_is_refused():
    bare = Packet(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, (STATE,))
    with pytest.raises(Unprotected):
        check_request(bare, SECRET)


def test_a_packet_with_two_message_authenticators_is_refused():
    good = decode(seal_request(7, AUTHENTICATOR, (STATE,), SECRET))
    with pytest.raises(Unprotected):
        check_request(Packet(good.code, 7, AUTHENTICATOR, (*good.attributes, good.attributes[0])), SECRET)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_message_authenticator_of_another_size_is_refused(size):
    packet = Packet(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, (Attribute(Kind.MESSAGE_AUTHENTICATOR, bytes(size)),))
    with pytest.raises(MacMismatch):
        check_request(packet, SECRET)


def test_an_answer_with_a_right_response_authenticator_alone_is_refused():
    """CVE-2024-3596: MD5 collisions forge the Response Authenticator; what counts is the Message-Authenticator."""
    request = decode(seal_request(7, AUTHENTICATOR, (STATE,), SECRET))
    blank = encode(Packet(Code.ACCESS_ACCEPT, 7, AUTHENTICATOR, (STATE,)))
    forged = blank[:4] + hashlib.md5(blank + SECRET.octets).digest() + blank[20:]
    with pytest.raises(Unprotected):
        check_answer(decode(forged), request, SECRET)


def test_an_answer_to_another_request_is_refused():
    request = decode(seal_request(7, AUTHENTICATOR, (STATE,), SECRET))
    for other in (
        decode(seal_request(8, AUTHENTICATOR, (STATE,), SECRET)),
        decode(seal_request(7, bytes(16), (STATE,), SECRET)),
    ):
        with pytest.raises(MacMismatch):
            check_answer(decode(seal_answer(Code.ACCESS_ACCEPT, other, (), SECRET)), request, SECRET)
    with pytest.raises(MacMismatch):  # our own request, sent back to us
        check_answer(request, request, SECRET)


def test_proxy_state_comes_back_as_it_was_sent_and_not_otherwise():
    hops = (Attribute(Kind.PROXY_STATE, b"one"), Attribute(Kind.PROXY_STATE, b"two"))
    request = decode(seal_request(7, AUTHENTICATOR, hops, SECRET))
    check_answer(decode(seal_answer(Code.ACCESS_ACCEPT, request, hops, SECRET)), request, SECRET)
    for wrong in ((), hops[:1], hops[::-1], (*hops, hops[0])):
        with pytest.raises(MacMismatch):
            check_answer(decode(seal_answer(Code.ACCESS_ACCEPT, request, wrong, SECRET)), request, SECRET)


def test_eap_in_pieces_that_do_not_follow_each_other_is_refused():
    first, second = split_eap(bytes(300))
    with pytest.raises(DecodeError, match="follow each other"):
        join_eap(Packet(Code.ACCESS_REQUEST, 0, AUTHENTICATOR, (first, STATE, second)))


def test_an_attribute_that_stands_twice_is_refused_where_one_is_meant():
    with pytest.raises(DecodeError, match="stands 2 times"):
        Packet(Code.ACCESS_REQUEST, 0, AUTHENTICATOR, (STATE, STATE)).single(Kind.STATE)


@pytest.mark.parametrize("value", [b"", b"\0\0\0\x3f", b"\0\1\0\0", b"\0\0\5", b"\0\0\0\5\x78"])
def test_a_framed_mtu_that_makes_no_sense_is_refused(value):
    with pytest.raises(DecodeError):
        framed_mtu(Packet(Code.ACCESS_REQUEST, 0, AUTHENTICATOR, (Attribute(Kind.FRAMED_MTU, value),)))


def test_keys_hidden_for_another_request_or_secret_are_not_those_keys():
    msk = Secret(bytes(64))
    answer = Packet(Code.ACCESS_ACCEPT, 0, AUTHENTICATOR, mppe_keys(msk, b"\1\2", AUTHENTICATOR, SECRET))
    for authenticator, secret in ((bytes(16), SECRET), (AUTHENTICATOR, TESTING)):
        try:
            assert msk_of(answer, authenticator, secret) != msk
        except DecodeError:
            continue


@pytest.mark.parametrize("drop", ["recv", "send", "twice", "short", "salt", "blocks"])
def test_keys_that_are_not_two_halves_are_refused(drop):
    recv, send = mppe_keys(Secret(bytes(64)), b"\1\2", AUTHENTICATOR, SECRET)
    unmarked = Attribute(26, recv.value[:6] + bytes((recv.value[6] & 0x7F,)) + recv.value[7:])
    cut = Attribute(26, recv.value[:5] + bytes((recv.value[5] - 1,)) + recv.value[6:-1])
    empty = Attribute(26, recv.value[:5] + b"\x04" + recv.value[6:8])
    keys = {
        "recv": (send,),
        "send": (recv,),
        "twice": (recv, recv, send),
        "short": (empty, send),
        "salt": (unmarked, send),
        "blocks": (cut, send),
    }[drop]
    with pytest.raises(DecodeError):
        msk_of(Packet(Code.ACCESS_ACCEPT, 0, AUTHENTICATOR, keys), AUTHENTICATOR, SECRET)


def test_what_cannot_be_encoded():
    for packet in (
        Packet(Code.ACCESS_REQUEST, 256, AUTHENTICATOR, ()),
        Packet(Code.ACCESS_REQUEST, 1, b"short", ()),
        Packet(Code.ACCESS_REQUEST, 1, AUTHENTICATOR, (Attribute(1, bytes(254)),)),
        Packet(Code.ACCESS_REQUEST, 1, AUTHENTICATOR, (Attribute(256, b""),)),
        Packet(Code.ACCESS_REQUEST, 1, AUTHENTICATOR, (Attribute(1, bytes(253)),) * 17),
    ):
        with pytest.raises(EncodeError):
            encode(packet)
    with pytest.raises(Misuse):
        mppe_keys(Secret(bytes(32)), b"\1\2", AUTHENTICATOR, SECRET)


def test_the_secret_never_prints():
    assert "testing" not in repr(TESTING)
