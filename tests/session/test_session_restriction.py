"""The filter of a session: what passes, what is answered, and every trick that was thought of against it."""

import random
from ipaddress import IPv4Address, IPv4Network
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import Misuse
from rprov.model.session import ProvisioningProtocol, ProvisioningServer
from rprov.session.ip import dns
from rprov.session.ip.packet import checksum, decode_ipv4, decode_udp, encode_ipv4, encode_udp
from rprov.session.ip.segment import Flag, SegmentWriter
from rprov.session.restriction import (
    FORWARD,
    Answer,
    Destination,
    Drop,
    Reason,
    Restriction,
    SessionFilter,
    Unrestricted,
)

UE = IPv4Address("10.45.0.2")
GATEWAY = IPv4Address("10.45.0.1")
SERVER = IPv4Address("198.51.100.7")
ALLOWED = frozenset({(SERVER, 6, 443)})
NAME = "smdp.example.com"


def rules(quota=10_000_000, expires_at=1000.0, allowed=ALLOWED, **more):
    return SessionFilter(Restriction(UE, GATEWAY, NAME, allowed, quota, expires_at, **more))


def tcp(source=UE, destination=SERVER, port=443, payload=b"hello", source_port=50000):
    return SegmentWriter(source.packed, source_port, destination.packed, port).write(1, 2, Flag.ACK, 1000, payload)


def udp(destination, port, source=UE, payload=b"x"):
    return encode_udp(source.packed, 50000, destination.packed, port, payload)


def header(packet, **fields):
    """Change octets of the IPv4 header and make its checksum right again."""
    octets = bytearray(packet)
    for name, value in fields.items():
        octets[int(name[1:])] = value
    octets[10:12] = b"\0\0"
    octets[10:12] = checksum(bytes(octets[:20])).to_bytes(2)
    return bytes(octets)


def question(name=NAME, source=UE, resolver=GATEWAY):
    return encode_udp(source.packed, 50000, resolver.packed, 53, dns.encode_query(9, name))


def test_what_is_allowed_passes_both_ways():
    session = rules()
    there = tcp()
    back = tcp(source=SERVER, destination=UE, port=50000, source_port=443)
    assert session.uplink(there, 0.0) is FORWARD
    assert session.downlink(back, 0.0) is FORWARD
    assert session.octets == len(there) + len(back)
    assert session.packets == 2
    assert not session.dropped


def with_options():
    """443 stands where the port would be without options, 80 where it is."""
    packet = tcp(port=80)
    options = bytes((1, 1)) + (443).to_bytes(2)
    packet = bytes((0x46,)) + packet[1:20] + options + packet[20:]
    return header(packet[:2] + len(packet).to_bytes(2) + packet[4:])


ANSWERED = {
    "another address": tcp(destination=IPv4Address("198.51.100.8")),
    "another port": tcp(port=80),
    "QUIC": udp(SERVER, 443),
    "DNS elsewhere": udp(IPv4Address("9.9.9.9"), 53),
    "DNS at the server": udp(SERVER, 53),
    "DNS over TCP at the gateway": tcp(destination=GATEWAY, port=53),
    "another port of the gateway": udp(GATEWAY, 54),
    "ping": encode_ipv4(UE.packed, SERVER.packed, 1, bytes((8, 0, 0xF7, 0xFF)) + bytes(4)),
    "IP in IP": encode_ipv4(UE.packed, SERVER.packed, 4, tcp()),
    "IPv6 in IP": encode_ipv4(UE.packed, SERVER.packed, 41, bytes(40)),
    "GRE": encode_ipv4(UE.packed, SERVER.packed, 47, bytes(40)),
    "SCTP": encode_ipv4(UE.packed, SERVER.packed, 132, tcp()[20:]),
    "a protocol without ports": encode_ipv4(UE.packed, SERVER.packed, 253, b""),
    "LAN": tcp(destination=IPv4Address("192.168.1.1")),
    "another UE": tcp(destination=IPv4Address("10.45.0.3")),
    "itself": tcp(destination=UE),
    "loopback": tcp(destination=IPv4Address("127.0.0.1")),
    "cloud metadata": tcp(destination=IPv4Address("169.254.169.254"), port=80),
}
SILENT = {
    "empty": (b"", Reason.EMPTY),
    "one octet": (b"\x45", Reason.MALFORMED),
    "IPv6": (bytes((0x60,)) + bytes(47), Reason.IPV6),
    "version 5": (header(tcp(), _0=0x55), Reason.MALFORMED),
    "junk": (b"\xff" * 100, Reason.MALFORMED),
    "zeros": (bytes(100), Reason.MALFORMED),
    "header of 4 words": (header(tcp(), _0=0x44), Reason.MALFORMED),
    "no header": (header(tcp(), _0=0x40), Reason.MALFORMED),
    "options that shift the port": (with_options(), Reason.OPTIONS),
    "header of 15 words": (header(tcp(payload=bytes(60)), _0=0x4F), Reason.OPTIONS),
    "shorter than it says": (tcp()[:-1], Reason.MALFORMED),
    "longer than it says": (tcp() + b"x", Reason.MALFORMED),
    "wrong checksum": (tcp()[:10] + b"\1\1" + tcp()[12:], Reason.MALFORMED),
    "TCP without its header": (encode_ipv4(UE.packed, SERVER.packed, 6, tcp()[20:39]), Reason.MALFORMED),
    "TCP ports only": (encode_ipv4(UE.packed, SERVER.packed, 6, tcp()[20:24]), Reason.MALFORMED),
    "TCP header of 4 words": (tcp()[:32] + b"\x40" + tcp()[33:], Reason.MALFORMED),
    "TCP header of 15 words": (tcp()[:32] + b"\xf0" + tcp()[33:], Reason.MALFORMED),
    "UDP of the wrong length": (udp(SERVER, 443)[:24] + b"\0\7" + udp(SERVER, 443)[26:], Reason.MALFORMED),
    "first fragment": (header(tcp(), _6=0x20), Reason.FRAGMENT),
    "tiny first fragment": (
        header(encode_ipv4(UE.packed, SERVER.packed, 6, tcp()[20:28]), _6=0x20),
        Reason.FRAGMENT,
    ),
    "later fragment": (header(tcp(), _6=0, _7=1), Reason.FRAGMENT),
    "fragment that looks like the header": (header(tcp(), _6=0x1F, _7=0xFF), Reason.FRAGMENT),
    "reserved bit": (header(tcp(), _6=0x80), Reason.FRAGMENT),
    "spoofed source": (tcp(source=IPv4Address("10.45.0.3")), Reason.SPOOFED),
    "spoofed source that is the server": (tcp(source=SERVER), Reason.SPOOFED),
    "spoofed question": (question(source=IPv4Address("10.45.0.3")), Reason.SPOOFED),
    "an ICMP error": (
        encode_ipv4(UE.packed, SERVER.packed, 1, bytes((3, 3)) + bytes(30)),
        Reason.DESTINATION,
    ),
    "broadcast": (udp(IPv4Address("255.255.255.255"), 67), Reason.DESTINATION),
    "multicast": (udp(IPv4Address("224.0.0.251"), 5353), Reason.DESTINATION),
    "a malformed question": (udp(GATEWAY, 53, payload=b"who are you"), Reason.BAD_DNS),
    "a question with a broken checksum": (question()[:-1] + b"\x7f", Reason.BAD_DNS),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_forbidden_is_answered_with_icmp(name):
    session = rules()
    packet = ANSWERED[name]
    verdict = session.uplink(packet, 0.0)
    assert isinstance(verdict, Answer)
    answer = decode_ipv4(verdict.packet)
    assert (answer.source, answer.destination) == (GATEWAY.packed, UE.packed)
    assert answer.payload[:2] == bytes((3, 13))
    assert answer.payload[8:28] == packet[:20]
    assert session.dropped == {Reason.DESTINATION: 1}
    assert session.octets == 0


@pytest.mark.parametrize("name", SILENT)
def test_what_is_broken_or_a_trick_is_dropped(name):
    session = rules()
    packet, reason = SILENT[name]
    verdict = session.uplink(packet, 0.0)
    assert verdict == Drop(reason)
    assert session.dropped == {reason: 1}
    assert session.octets == 0


@pytest.mark.parametrize("name", [name for name, (packet, _) in SILENT.items() if packet])
def test_no_trick_works_downlink_either(name):
    packet, _ = SILENT[name]
    session = rules()
    assert isinstance(session.downlink(packet, 0.0), Drop)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (tcp(source=IPv4Address("198.51.100.8"), destination=UE, port=50000, source_port=443), Reason.SOURCE),
        (tcp(source=SERVER, destination=UE, port=50000, source_port=80), Reason.SOURCE),
        (udp(UE, 50000, source=SERVER), Reason.SOURCE),
        (encode_ipv4(SERVER.packed, UE.packed, 1, bytes(8)), Reason.SOURCE),
        (tcp(source=SERVER, destination=IPv4Address("10.45.0.3"), port=50000, source_port=443), Reason.NOT_FOR_UE),
        (b"", Reason.EMPTY),
        (bytes((0x60,)) + bytes(47), Reason.IPV6),
    ],
)
def test_only_the_server_may_send_to_the_ue(packet, reason):
    session = rules()
    assert session.downlink(packet, 0.0) == Drop(reason)
    assert session.dropped == {reason: 1}


def test_icmp_answers_are_limited_in_rate():
    session = rules()
    kinds = [type(session.uplink(tcp(port=80), 0.0)) for _ in range(100)]
    assert kinds.count(Answer) == 20
    assert session.dropped == {Reason.DESTINATION: 100}
    assert isinstance(session.uplink(tcp(port=80), 1.0), Answer)


def ask(session, packet, now=0.0):
    verdict = session.uplink(packet, now)
    assert isinstance(verdict, Answer)
    read = decode_ipv4(verdict.packet)
    assert (read.source, read.destination) == (GATEWAY.packed, UE.packed)
    datagram = decode_udp(read)
    assert (datagram.source_port, datagram.destination_port) == (53, 50000)
    return dns.decode_answer(datagram.payload, decode_udp(decode_ipv4(packet)).payload)


def test_the_one_name_is_told_and_no_other():
    session = rules()
    assert ask(session, question()) == dns.Answer(0, (SERVER,))
    assert ask(session, question(NAME.upper())) == dns.Answer(0, (SERVER,))
    for name in ("example.com", f"secret.{NAME}", "exfiltrated-data.attacker.net"):
        assert ask(session, question(name)).code == dns.ResponseCode.REFUSED
    assert not session.dropped
    assert session.octets > 0  # it counts


def test_several_servers_each_have_their_name():
    other = ProvisioningServer(ProvisioningProtocol.SGP22, "Second.example", (IPv4Address("203.0.113.1"),), 8443)
    first = ProvisioningServer(ProvisioningProtocol.SGP22, NAME, (SERVER,), 443)
    policy = Restriction.to_servers((first, other), ue=UE, gateway=GATEWAY, quota_octets=0, expires_at=inf)
    session = SessionFilter(policy)
    assert ask(session, question()).addresses == (SERVER,)
    assert ask(session, question("second.example")).addresses == other.addresses
    assert session.uplink(tcp(destination=other.addresses[0], port=8443), 0.0) is FORWARD
    assert session.uplink(tcp(destination=other.addresses[0], port=443), 0.0) is not FORWARD
    with pytest.raises(Misuse):
        Restriction.to_servers((), ue=UE, gateway=GATEWAY, quota_octets=0, expires_at=inf)


def test_nothing_passes_after_the_end():
    session = rules(expires_at=100.0)
    assert session.uplink(tcp(), 99.9) is FORWARD
    back = tcp(source=SERVER, destination=UE, port=50000, source_port=443)
    for verdict in (session.uplink(tcp(), 100.0), session.downlink(back, 100.0), session.uplink(question(), 100.0)):
        assert verdict == Drop(Reason.EXPIRED)


def test_nothing_passes_beyond_the_quota():
    packet = tcp()
    session = rules(quota=3 * len(packet))
    back = tcp(source=SERVER, destination=UE, port=50000, source_port=443)
    assert session.uplink(packet, 0.0) is session.downlink(back, 0.0) is session.uplink(packet, 0.0) is FORWARD
    assert session.uplink(packet, 0.0) == session.downlink(back, 0.0) == Drop(Reason.QUOTA)
    assert session.uplink(question(), 0.0) == Drop(Reason.QUOTA)
    assert session.octets == 3 * len(packet)


def test_a_quota_of_nothing_is_no_limit():
    session = rules(quota=0)
    assert session.uplink(tcp(), 0.0) is FORWARD


@pytest.mark.parametrize(
    "entry",
    [
        (IPv4Address("127.0.0.1"), 6, 443),
        (IPv4Address("169.254.169.254"), 6, 80),
        (IPv4Address("0.0.0.0"), 6, 443),
        (IPv4Address("224.0.0.1"), 17, 443),
        (IPv4Address("255.255.255.255"), 17, 67),
        (UE, 6, 443),
        (GATEWAY, 6, 443),
        (SERVER, 1, 443),
        (SERVER, 6, 0),
        (SERVER, 6, 65536),
    ],
)
def test_a_restriction_that_would_open_the_network_is_refused(entry):
    with pytest.raises(Misuse):
        rules(allowed=ALLOWED | {entry})


class TestOrdinary:
    def test_it_reaches_what_the_list_says(self):
        destinations = (
            Destination(IPv4Network("203.0.113.0/24"), 6, 443),
            Destination(IPv4Network("198.51.100.0/24"), 17),
            Destination(IPv4Network("192.0.2.1/32")),
        )
        session = SessionFilter(Unrestricted(UE, GATEWAY, destinations))
        for packet in (
            tcp(destination=IPv4Address("203.0.113.9")),
            udp(IPv4Address("198.51.100.9"), 5000),
            udp(IPv4Address("192.0.2.1"), 1),
            tcp(destination=IPv4Address("192.0.2.1"), port=1),
        ):
            assert session.uplink(packet, 0.0) is session.uplink(packet, 0.0) is FORWARD
        for packet in (
            tcp(destination=IPv4Address("203.0.113.9"), port=80),
            udp(IPv4Address("203.0.113.9"), 443),
            tcp(destination=IPv4Address("198.51.100.9")),
            tcp(destination=IPv4Address("192.0.2.2")),
            encode_ipv4(UE.packed, IPv4Address("192.0.2.1").packed, 1, bytes((8, 0)) + bytes(6)),
        ):
            assert isinstance(session.uplink(packet, 0.0), Answer)

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", str(GATEWAY), str(UE)]
    )
    def test_anywhere_is_not_the_machine_itself(self, address):
        session = SessionFilter(Unrestricted(UE, GATEWAY))
        assert session.uplink(tcp(), 0.0) is FORWARD
        assert session.uplink(tcp(destination=IPv4Address(address)), 0.0) is not FORWARD
        back = tcp(source=IPv4Address(address), destination=UE, port=50000, source_port=443)
        assert session.downlink(back, 0.0) is not FORWARD

    def test_its_names_are_the_operators_table(self):
        session = SessionFilter(Unrestricted(UE, GATEWAY, names={NAME: (SERVER,)}))
        assert ask(session, question()).addresses == (SERVER,)
        assert ask(session, question("example.com")).code == dns.ResponseCode.REFUSED

    def test_many_flows_are_not_all_remembered(self):
        session = SessionFilter(Unrestricted(UE, GATEWAY))
        for port in range(1, 3000):
            assert session.uplink(tcp(port=port), 0.0) is FORWARD
        assert len(session._flows) <= 1024


@given(st.binary(max_size=80))
def test_any_octets_get_a_verdict_and_never_pass(octets):
    session = rules()
    assert session.uplink(octets, 0.0) is not FORWARD
    assert session.downlink(octets, 0.0) is not FORWARD


@given(st.integers(0, 2**32))
def test_a_packet_that_passes_is_the_servers_whatever_was_changed(seed):
    rng = random.Random(seed)
    packet = bytearray(tcp())
    for _ in range(rng.randrange(1, 4)):
        packet[rng.randrange(len(packet))] = rng.randrange(256)
    packet = header(bytes(packet))
    if rules().uplink(packet, 0.0) is FORWARD:
        assert packet[0] == 0x45
        assert packet[9] == 6
        assert packet[12:16] == UE.packed
        assert packet[16:20] == SERVER.packed
        assert packet[22:24] == (443).to_bytes(2)
        assert not packet[6] & 0xBF
        assert not packet[7]
