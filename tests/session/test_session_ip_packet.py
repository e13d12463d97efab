"""IPv4, UDP, ICMP and DNS: known octets, round trips, and everything that must be refused."""

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.session.ip import dns
from rprov.session.ip.icmp import (
    RateLimit,
    Unreachable,
    decode_unreachable,
    encode_unreachable,
    may_be_answered,
)
from rprov.session.ip.packet import (
    IpProtocol,
    Ipv4,
    Udp,
    checksum,
    decode_ipv4,
    decode_udp,
    encode_ipv4,
    encode_udp,
)

UE = bytes((10, 45, 0, 2))
SERVER = bytes((198, 51, 100, 7))
ROUTER = bytes((10, 45, 0, 1))
addresses = st.binary(min_size=4, max_size=4)
ports = st.integers(0, 65535)


def words_added_up(octets):
    """RFC 1071 as it is written: add 16-bit words, fold, complement."""
    total = 0
    for i in range(0, len(octets), 2):
        total += int.from_bytes(octets[i : i + 2].ljust(2, b"\0"))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_the_example_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@given(st.binary(min_size=1, max_size=50).filter(any))
def test_the_checksum_is_the_sum_of_the_words(octets):
    assert checksum(octets) == words_added_up(octets)


def test_a_header_of_others():
    # the worked example that textbooks use for the header checksum, 0xb861
    packet = bytes.fromhex("450000730000400040 11b861c0a80001c0a800c7") + bytes(95)
    assert decode_ipv4(packet) == Ipv4(bytes((192, 168, 0, 1)), bytes((192, 168, 0, 199)), 17, bytes(95))
    assert encode_ipv4(bytes((192, 168, 0, 1)), bytes((192, 168, 0, 199)), 17, bytes(95)) == packet


@given(addresses, addresses, st.integers(0, 255), st.binary(max_size=40))
def test_every_packet_comes_back(source, destination, protocol, payload):
    packet = encode_ipv4(source, destination, protocol, payload)
    assert decode_ipv4(packet) == Ipv4(source, destination, protocol, payload)
    assert words_added_up(packet[:20]) == 0


@given(addresses, ports, addresses, ports, st.binary(max_size=40))
def test_every_datagram_comes_back(source, source_port, destination, destination_port, payload):
    packet = encode_udp(source, source_port, destination, destination_port, payload)
    assert decode_udp(decode_ipv4(packet)) == Udp(source_port, destination_port, payload)


@given(st.binary(max_size=60))
def test_any_octets_are_a_packet_or_an_error(octets):
    for candidate in (octets, b"\x45\0" + (len(octets) + 4).to_bytes(2) + octets):
        with contextlib.suppress(DecodeError):
            decode_udp(decode_ipv4(candidate))


@given(st.data())
def test_one_broken_bit_is_noticed(data):
    packet = encode_udp(UE, 1000, SERVER, 53, b"some text")
    place = data.draw(st.integers(0, len(packet) * 8 - 1))
    broken = bytearray(packet)
    broken[place // 8] ^= 1 << place % 8
    with pytest.raises(DecodeError):
        decode_udp(decode_ipv4(bytes(broken)))


def with_right_checksum(packet):
    header = packet[:10] + b"\0\0" + packet[12:20]
    return header[:10] + checksum(header).to_bytes(2) + header[12:] + packet[20:]


@pytest.mark.parametrize("flags", [0x8000, 0x2000, 0x0001, 0x1FFF])
def test_fragments_are_refused(flags):
    packet = encode_ipv4(UE, SERVER, 6, bytes(20))
    with pytest.raises(DecodeError, match="fragment"):
        decode_ipv4(with_right_checksum(packet[:6] + flags.to_bytes(2) + packet[8:]))


def test_a_datagram_without_checksum_is_refused():
    body = bytes.fromhex("0001000200080000")
    with pytest.raises(DecodeError, match="checksum"):
        decode_udp(Ipv4(UE, SERVER, 17, body))


class TestIcmp:
    def test_an_error_quotes_what_it_is_about(self):
        packet = encode_udp(UE, 1000, SERVER, 443, b"quic?" * 300)
        error = encode_unreachable(ROUTER, packet)
        read = decode_ipv4(error)
        assert (read.source, read.destination, read.protocol) == (ROUTER, UE, IpProtocol.ICMP)
        assert read.payload[:2] == bytes((3, 13))
        assert words_added_up(read.payload) == 0
        assert len(error) == 576
        assert read.payload[8:] == packet[:548]
        assert decode_unreachable(read)[:6] == (13, 17, UE, 1000, SERVER, 443)
        assert isinstance(decode_unreachable(read), Unreachable)

    @pytest.mark.parametrize("source", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
    def test_nothing_that_is_no_host_gets_an_error(self, source):
        assert not may_be_answered(encode_ipv4(IPv4Address(source).packed, SERVER, 17, bytes(8)))

    @pytest.mark.parametrize("destination", ["224.0.0.251", "255.255.255.255", "0.0.0.0"])
    def test_nothing_that_is_for_many_gets_an_error(self, destination):
        assert not may_be_answered(encode_ipv4(UE, IPv4Address(destination).packed, 17, bytes(8)))

    @pytest.mark.parametrize("kind", [3, 4, 5, 11, 12, 40, 255])
    def test_errors_get_no_error(self, kind):
        assert not may_be_answered(encode_ipv4(UE, SERVER, 1, bytes((kind,)) + bytes(7)))

    @pytest.mark.parametrize("kind", [0, 8, 13])
    def test_queries_may_get_one(self, kind):
        assert may_be_answered(encode_ipv4(UE, SERVER, 1, bytes((kind,)) + bytes(7)))

    def test_an_icmp_packet_without_type_gets_none(self):
        assert not may_be_answered(encode_ipv4(UE, SERVER, 1, b""))

    def test_later_fragments_get_none(self):
        packet = encode_ipv4(UE, SERVER, 17, bytes(8))
        assert may_be_answered(packet[:6] + b"\x20\x00" + packet[8:])
        assert not may_be_answered(packet[:6] + b"\x20\x01" + packet[8:])

    @given(st.binary(max_size=60))
    def test_any_octets_are_an_error_of_theirs_or_ours(self, octets):
        with contextlib.suppress(DecodeError):
            decode_unreachable(Ipv4(ROUTER, UE, 1, octets))

    def test_other_messages_are_refused(self):
        quoted = encode_udp(UE, 1, SERVER, 2, b"")
        good = decode_ipv4(encode_unreachable(ROUTER, quoted))
        other = bytes((11, 0, 0, 0)) + good.payload[4:]
        other = other[:2] + checksum(other).to_bytes(2) + other[4:]
        with pytest.raises(DecodeError, match="type 11"):
            decode_unreachable(good._replace(payload=other))
        with pytest.raises(DecodeError, match="not ours"):
            decode_unreachable(decode_ipv4(encode_unreachable(ROUTER, encode_ipv4(UE, SERVER, 47, bytes(8)))))

    def test_the_rate_is_limited(self):
        limit = RateLimit(per_second=2, burst=3)
        assert [limit.take(10.0) for _ in range(5)] == [True, True, True, False, False]
        assert [limit.take(11.0) for _ in range(3)] == [True, True, False]
        assert sum(limit.take(1000.0) for _ in range(10)) == 3


class TestDns:
    NAME = "smdp.example.com"
    HERE = (IPv4Address("198.51.100.7"), IPv4Address("198.51.100.8"))

    def known(self, name):
        return self.HERE if name == self.NAME else None

    def answer(self, query):
        return dns.answer_query(query, self.known)

    def test_the_octets_of_a_question(self):
        query = dns.encode_query(0x1234, "ab.c")
        assert query.hex() == "12340100000100000000000002616201630000010001"

    def test_the_octets_of_an_answer(self):
        answer = self.answer(dns.encode_query(0x1234, self.NAME))
        assert answer[:12].hex() == "123485000001000200000000"
        assert answer[-32:].hex() == "c00c00010001" + "0000003c0004c6336407" + "c00c00010001" + "0000003c0004c6336408"

    def test_the_known_name_is_answered(self):
        query = dns.encode_query(7, self.NAME)
        assert dns.decode_answer(self.answer(query), query) == dns.Answer(0, self.HERE)

    def test_upper_and_lower_case_are_one_and_come_back_as_sent(self):
        query = dns.encode_query(7, "SMdp.Example.COM")
        answer = self.answer(query)
        assert b"\x04SMdp\x07Example\x03COM" in answer
        assert dns.decode_answer(answer, query).addresses == self.HERE

    @pytest.mark.parametrize("name", ["example.com", "x.smdp.example.com", "smdp.example.com.evil.net", "a"])
    def test_other_names_are_refused(self, name):
        query = dns.encode_query(7, name)
        assert dns.decode_answer(self.answer(query), query) == dns.Answer(dns.ResponseCode.REFUSED, ())

    @pytest.mark.parametrize(("kind", "code"), [(28, 0), (16, 5), (255, 5), (65, 5), (5, 5)])
    def test_other_types_have_no_addresses(self, kind, code):
        query = dns.encode_query(7, self.NAME)[:-4] + kind.to_bytes(2) + b"\0\1"
        assert dns.decode_answer(self.answer(query), query) == dns.Answer(code, ())

    def test_another_class_is_refused(self):
        query = dns.encode_query(7, self.NAME)[:-2] + b"\0\3"
        assert dns.decode_answer(self.answer(query), query).code == dns.ResponseCode.REFUSED

    def test_edns_is_read(self):
        query = dns.encode_query(7, self.NAME)
        options = bytes.fromhex("000029100000000000000c000a0008") + bytes(8)
        query = query[:10] + b"\0\1" + query[12:] + options
        assert self.answer(query)[:4].hex() == "00078500"

    @pytest.mark.parametrize(
        "mangle",
        [
            lambda q: b"",
            lambda q: q[:12],
            lambda q: q[:-1],
            lambda q: q + b"\0",
            lambda q: q[:2] + b"\x81\0" + q[4:],  # an answer
            lambda q: q[:2] + b"\x29\0" + q[4:],  # UPDATE
            lambda q: q[:4] + b"\0\0" + q[6:],  # no question
            lambda q: q[:4] + b"\0\2" + q[6:],  # two
            lambda q: q[:6] + b"\0\1" + q[8:],
            lambda q: q[:8] + b"\0\1" + q[10:],
            lambda q: q[:10] + b"\0\1" + q[12:],  # an additional record that is not there
            lambda q: q[:10] + b"\0\1" + q[12:] + bytes.fromhex("0000010001000000000000"),  # not EDNS
            lambda q: q[:10] + b"\0\1" + q[12:] + bytes.fromhex("0000290200000000000005"),  # of the wrong length
            lambda q: q[:12] + b"\xc0\x0c\0\1\0\1",  # a name that points to itself
            lambda q: q[:12] + b"\x3f" + q[13:],
            lambda q: q[:12] + b"\x04\xff\xff\xff\xff" + q[17:],
            lambda q: q[:12] + b"\x3f" + b"a" * 63 + q[12:],  # fits: the control
            lambda q: q[:12] + (b"\x3f" + b"a" * 63) * 4 + q[12:],  # a name of more than 253
            lambda q: q + bytes(600),
        ],
    )
    def test_what_is_malformed_is_left_without_an_answer(self, mangle, request):
        query = mangle(dns.encode_query(7, self.NAME))
        if query.count(b"a" * 63) == 1:
            assert self.answer(query)[3] & 15 == dns.ResponseCode.REFUSED
            return
        with pytest.raises(DecodeError):
            self.answer(query)

    @given(st.binary(max_size=100))
    def test_any_octets_are_a_question_or_an_error(self, octets):
        for candidate in (octets, bytes.fromhex("000701000001000000000000") + octets):
            with contextlib.suppress(DecodeError):
                self.answer(candidate)

    @given(st.binary(max_size=60), st.integers(0, 20))
    def test_any_octets_are_an_answer_or_an_error(self, octets, count):
        query = dns.encode_query(7, self.NAME)
        header = query[:2] + b"\x80\0\0\1" + count.to_bytes(2) + bytes(4)
        for candidate in (octets, header + query[12:] + octets):
            with contextlib.suppress(DecodeError):
                dns.decode_answer(candidate, query)

    def test_an_answer_to_another_question_is_refused(self):
        query = dns.encode_query(7, self.NAME)
        for other in (dns.encode_query(8, self.NAME), dns.encode_query(7, "smdq.example.com")):
            with pytest.raises(DecodeError, match="another DNS question"):
                dns.decode_answer(self.answer(other), query)
        with pytest.raises(DecodeError):
            dns.decode_answer(query, query)

    @pytest.mark.parametrize("name", ["", "a..b", "a" * 64, "ä.example", ".".join(["abcdefg"] * 40)])
    def test_what_is_no_name_is_not_asked_for(self, name):
        with pytest.raises(DecodeError):
            dns.encode_query(1, name)
