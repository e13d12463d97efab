"""GTP-U and the header of radio user packets: other people's octets first, then round trips, then rubbish."""

import contextlib
from ipaddress import IPv4Address

import pytest
from doubles.known_answers import known_answers
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, EncodeError
from rprov.model.identifiers import Teid, UeRadioId
from rprov.wire.gtpu import (
    EchoRequest,
    EchoResponse,
    EndMarker,
    ErrorIndication,
    Gpdu,
    PduType,
    decode_gtpu,
    encode_gpdu,
    encode_gtpu,
    read_gpdu,
)
from rprov.wire.radio_user import split_user_datagram, user_header

VECTORS = {vector["id"]: vector for vector in known_answers("gtpu")}
PACKET = bytes.fromhex(VECTORS["gtpu-plain"]["t_pdu"])
MESSAGES = {
    "gtpu-plain": Gpdu(Teid(1), PACKET),
    "gtpu-dl-qfi9": Gpdu(Teid(0xCAFEF00D), PACKET, PduType.DOWNLINK, 9),
    "gtpu-echo-req": EchoRequest(1),
    "gtpu-echo-rsp": EchoResponse(1),
    "gtpu-end-marker": EndMarker(Teid(0x12345678)),
}
teids = st.integers(0, 0xFFFFFFFF).map(Teid)


def test_every_vector_is_used():
    assert VECTORS.keys() == MESSAGES.keys()


@pytest.mark.parametrize("name", MESSAGES)
def test_the_octets_of_others(name):
    octets = bytes.fromhex(VECTORS[name]["packet"])
    assert decode_gtpu(octets) == MESSAGES[name]
    assert encode_gtpu(MESSAGES[name]) == octets


def test_the_header_of_an_uplink_packet():
    # measured against scapy and tshark: 34ff LLLL TTTTTTTT 0000 00 85 01 10 09 00
    packet = encode_gpdu(Teid(0x01020304), PduType.UPLINK, 9, b"x" * 5)
    assert packet[:16].hex() == "34ff000d01020304000000850110" + "0900"
    assert read_gpdu(packet, PduType.UPLINK) == (0x01020304, b"xxxxx")


@given(
    st.one_of(
        st.builds(Gpdu, teids, st.binary(max_size=60)),
        st.builds(Gpdu, teids, st.binary(max_size=60), st.sampled_from(PduType), st.integers(0, 63)),
        st.builds(EchoRequest, st.integers(0, 65535)),
        st.builds(EchoResponse, st.integers(0, 65535)),
        st.builds(EndMarker, teids),
        st.builds(ErrorIndication, teids, st.ip_addresses(v=4)),
    )
)
def test_every_message_comes_back(message):
    octets = encode_gtpu(message)
    assert decode_gtpu(octets) == message
    assert encode_gtpu(decode_gtpu(octets)) == octets


@given(st.binary(max_size=60))
def test_any_octets_are_a_message_or_an_error(octets):
    for candidate in (octets, b"\x30\x1a" + len(octets).to_bytes(2) + bytes(4) + octets, b"\x34\xff" + octets):
        with contextlib.suppress(DecodeError):
            decode_gtpu(candidate)


@given(st.data(), teids, st.sampled_from(PduType), st.binary(max_size=20))
def test_the_short_way_and_the_long_way_agree_on_broken_packets(data, teid, pdu_type, payload):
    packet = bytearray(encode_gpdu(teid, pdu_type, 9, payload))
    for _ in range(data.draw(st.integers(0, 2))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    octets = bytes(packet[: data.draw(st.integers(len(packet) - 2, len(packet)))])
    try:
        short = read_gpdu(octets, pdu_type)
    except DecodeError:
        short = None
    try:
        message = decode_gtpu(octets)
        long = None
        if isinstance(message, Gpdu) and message.pdu_type in (None, pdu_type):
            long = (message.teid, message.payload)
    except DecodeError:
        long = None
    assert short == long


def with_extensions(*extensions, flags=0x34, kind=0xFF):
    body = b"\x00\x00\x00" + b"".join(bytes((number,)) + content for number, content in extensions) + b"\x00"
    # each extension names the next one in its last octet, so number and content interleave
    body += b"text"
    return bytes((flags, kind)) + len(body).to_bytes(2) + bytes(4) + body


@pytest.mark.parametrize(
    ("packet", "pdu_type", "qfi"),
    [
        (with_extensions((0x85, b"\x01\x00\x09")), PduType.DOWNLINK, 9),
        (with_extensions((0x85, b"\x01\x00\x49")), PduType.DOWNLINK, 9),  # RQI set
        (with_extensions((0x85, b"\x02\x00\x89\x20\x00\x00\x00")), PduType.DOWNLINK, 9),  # PPP and PPI: 8 octets
        (with_extensions((0x40, b"\x01\x08\x68"), (0x85, b"\x01\x10\x3f")), PduType.UPLINK, 63),  # UDP port first
        (with_extensions((0x40, b"\x01\x08\x68")), None, None),
    ],
)
def test_extension_headers_are_walked(packet, pdu_type, qfi):
    assert decode_gtpu(packet) == Gpdu(Teid(0), b"text", pdu_type, qfi)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "shorter than its header"),
        (bytes.fromhex("10ff000000000001"), "not GTP-U version 1"),
        (bytes.fromhex("20ff000000000001"), "not GTP-U version 1"),  # GTP'
        (bytes.fromhex("50ff000000000001"), "not GTP-U version 1"),
        (bytes.fromhex("30ff000100000001"), "length"),
        (bytes.fromhex("30ff00000000000100"), "length"),
        (bytes.fromhex("32ff000200000001") + b"\0\0", "optional octets"),
        (bytes.fromhex("34ff000400000001") + b"\0\0\0\x85", "does not fit"),
        (with_extensions((0x85, b"\x00\x00\x09")), "does not fit"),
        (with_extensions((0x85, b"\x09\x00\x09")), "does not fit"),
        (with_extensions((0x85, b"\x01\x20\x09")), "unknown type"),
        (with_extensions((0x85, b"\x01\x00\x09"), (0x85, b"\x01\x00\x09")), "two PDU session containers"),
        (with_extensions((0xC1, b"\x01\x00\x09")), "0xc1 is required"),
        (bytes.fromhex("3001000000000000"), "without a sequence number"),
        (bytes.fromhex("3003000000000000"), "type 3 is not built"),
        (bytes.fromhex("301a000000000000"), "lacks a mandatory element"),
        (bytes.fromhex("301a000300000000") + b"\x10\0\0", "does not fit"),
        (bytes.fromhex("301a000100000000") + b"\x05", "no known length"),
        (bytes.fromhex("301a000400000000") + b"\x85\0\1\0", "no IPv4 address"),
    ],
)
def test_what_is_refused(octets, words):
    with pytest.raises(DecodeError, match=words):
        decode_gtpu(octets)


def test_an_unknown_element_of_an_error_indication_is_skipped():
    body = b"\xff\x00\x01x" + b"\x10\x00\x00\x00\x07" + b"\x85\x00\x04\x7f\x00\x00\x01"
    octets = b"\x30\x1a" + len(body).to_bytes(2) + bytes(4) + body
    assert decode_gtpu(octets) == ErrorIndication(Teid(7), IPv4Address("127.0.0.1"))


def test_the_wrong_direction_is_refused():
    with pytest.raises(DecodeError, match="direction"):
        read_gpdu(encode_gpdu(Teid(1), PduType.UPLINK, 9, b"x"), PduType.DOWNLINK)
    with pytest.raises(DecodeError, match="no user packet"):
        read_gpdu(encode_gtpu(EchoRequest(1)), PduType.DOWNLINK)


@pytest.mark.parametrize("message", [Gpdu(Teid(1), bytes(65536)), Gpdu(Teid(1), bytes(65530), PduType.UPLINK, 1)])
def test_what_no_length_can_say_is_not_encoded(message):
    with pytest.raises(EncodeError):
        encode_gtpu(message)


def test_a_radio_datagram_is_header_and_pdu():
    header = user_header(UeRadioId(0x01020304), 5)
    assert header.hex() == "0102030405"
    assert split_user_datagram(header + b"pdu") == (header, b"pdu")


@pytest.mark.parametrize("size", range(6))
def test_a_radio_datagram_without_pdu_is_refused(size):
    with pytest.raises(DecodeError):
        split_user_datagram(bytes(size))
