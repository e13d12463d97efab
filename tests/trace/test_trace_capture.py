"""Messages out of captures: our own records, and what others have captured of our links."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from doubles.captures import LOWER, SIX, UPPER, data, ethernet, ip, pcap, sctp_packet, taps, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.model.numbers import Ppid
from rprov.model.tap import LinkName
from rprov.trace import pcapng_write, raw_ip
from rprov.trace.capture import Capture, Captured, read_capture
from rprov.trace.network_layers import transported
from rprov.trace.pcapng_read import read_packets
from rprov.trace.tap import interfaces
from rprov.wire.framing import encode_frame
from rprov.wire.link import N2Frame, N2Kind
from rprov.wire.messages import AuthenticationRequest, AuthenticationResponse, Eap
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio import RadioFrame, SrbKind, encode_srb

CAPTURES = Path(__file__).parents[1] / "captures" / "eap-tls"
FREE5GC = Path(__file__).parents[1] / "vectors" / "5g_aka-3gpp-enp0s3-free5gc.pcap"

NAS = b"\0" + encode_nas(AuthenticationRequest(0, b"\0\0", Eap(b"\x01\x07\x00\x06\x0d\x20")))
ANSWER = b"\0" + encode_nas(AuthenticationResponse(Eap(b"\x02\x07\x00\x06\x0d\x00")))
ON_N2 = N2Frame(0x11223344, 0x55667788, N2Kind.NAS, NAS).encode()  # type: ignore[arg-type]
ON_RADIO = RadioFrame(0x11223344, b"\0\0" + encode_srb(SrbKind.NAS, ANSWER) + bytes(4)).encode()  # type: ignore[arg-type]


def messages(path: Path) -> list[Captured]:
    return list(read_capture(path))


# --- ours -------------------------------------------------------------------------------------------------------------


def test_what_a_tap_saw(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    with taps(path) as tap:
        tap.message(LinkName.RADIO, UPPER, LOWER, inbound=True, stream=4, ppid=Ppid.RADIO, octets=ON_RADIO)
        tap.message(LinkName.N2, UPPER, LOWER, inbound=False, stream=5, ppid=Ppid.N2, octets=ON_N2)
        tap.datagram(LinkName.N3, UPPER, LOWER, inbound=True, octets=b"gtp-u")
        tap.datagram(LinkName.RADIO_USER, *SIX, inbound=False, octets=b"\0\0\0\x09\x01packet")
        tap.segment(LinkName.ES9, UPPER, LOWER, inbound=True, at=0, octets=b"hello")
    capture = Capture(path)
    radio, eap, n2, n3, user, es9 = capture.messages()
    assert (radio.link, radio.sender, radio.receiver, radio.inbound) == ("radio", LOWER, UPPER, True)
    assert (radio.octets, radio.ue, radio.stream, radio.ppid) == (ON_RADIO, 0x11223344, 4, Ppid.RADIO)
    assert (eap.link, eap.octets, eap.ue) == ("eap", b"\x02\x07\x00\x06\x0d\x00", 0x11223344)
    assert eap.sender == (LOWER[0], 0x11223344)  # the UE's id stands in the place of its port
    assert eap.receiver == UPPER
    assert (n2.link, n2.octets, n2.sender, n2.receiver, n2.inbound) == ("n2", ON_N2, UPPER, LOWER, False)
    assert (n3.link, n3.octets, n3.sender) == ("n3", b"gtp-u", LOWER)
    assert (user.link, user.ue, user.sender) == ("radio-user", 9, SIX[0])
    assert (es9.link, es9.octets) == ("es9", b"hello")
    assert [item.frame for item in (radio, eap, n2, n3, user, es9)] == [1, 2, 3, 4, 5, 6]
    assert not any(item.fault or item.redacted for item in (radio, eap, n2, n3, user, es9))
    assert len(capture.runs[0]) == 16


def test_eap_is_recorded_once_where_two_links_carry_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    with taps(path) as tap:
        tap.message(LinkName.RADIO, UPPER, LOWER, inbound=True, stream=4, ppid=Ppid.RADIO, octets=ON_RADIO)
        tap.message(LinkName.N2, LOWER, UPPER, inbound=False, stream=4, ppid=Ppid.N2, octets=ON_N2)
    assert [item.link for item in messages(path)] == ["radio", "eap", "n2"]


@given(st.integers(0, 2**64))
@settings(max_examples=40, deadline=None)
def test_a_changed_bit_around_a_message_of_ours_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, which: int
) -> None:
    """Tags, addresses and checksums: the record is told as faulty, or something of it has visibly changed."""
    path = tmp_path_factory.getbasetemp() / "flipped.pcapng"
    head = pcapng_write.section("test", "rprov run 0") + interfaces()
    record = raw_ip.udp_packet(LOWER, UPPER, b"payload")
    octets = bytearray(head + pcapng_write.packet(4, 1, record, inbound=True))
    path.write_bytes(octets)
    (before,) = read_packets(path)
    (plain,) = read_capture(path)
    bit = which % (8 * len(record))
    octets[before.offset + bit // 8] ^= 0x80 >> bit % 8
    path.write_bytes(octets)
    (after,) = read_capture(path)
    assert after != plain
    assert after.fault or bit // 8 == 0  # the first octet chooses the version of IP, and with it how all is read


def test_a_record_of_the_wrong_form_is_told(tmp_path: Path) -> None:
    path = tmp_path / "f"
    head = pcapng_write.section("test", "rprov run 0") + interfaces()
    path.write_bytes(head + pcapng_write.packet(1, 1, b"\0\x0c\0\4abcd\0\0\0\0x") + pcapng_write.packet(4, 1, b"\x45"))
    first, second = messages(path)
    assert "dissector" in first.fault
    assert second.fault
    assert first.link == "n2"


# --- packets made for records -----------------------------------------------------------------------------------------


@given(st.booleans(), st.binary(max_size=99), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_made_packets_have_right_checksums(six: bool, payload: bytes, sequence: int) -> None:
    source, destination = SIX if six else (LOWER, UPPER)
    for packet in (
        raw_ip.udp_packet(source, destination, payload),
        raw_ip.tcp_packet(source, destination, sequence, 0, payload),
    ):
        found = transported(101, packet)
        assert found is not None
        assert (found.source, found.destination, found.payload) == (source, destination, payload)
        segment = packet[40:] if six else packet[20:]
        addresses = packet[8:40] if six else packet[12:20]
        total = addresses + bytes((0, found.protocol)) + len(segment).to_bytes(4) + segment + bytes(len(segment) % 2)
        assert int.from_bytes(total) % 65535 == 0
        assert six or int.from_bytes(packet[:20]) % 65535 == 0


# --- captures of others -----------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_frames_on_tcp(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    """However segments are cut, doubled and out of order, each message comes once, and in its order."""
    payloads = draw.draw(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5))
    stream = b"".join(encode_frame(1, Ppid.N2, payload) for payload in payloads)
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)) | {0, len(stream)})
    begin = draw.draw(st.sampled_from((0, 1000, 2**32 - 7)))
    pieces = [(low, stream[low:high]) for low, high in pairwise(cuts)]
    order = [*draw.draw(st.permutations(pieces)), *draw.draw(st.lists(st.sampled_from(pieces), max_size=3))]
    packets = [tcp(LOWER, UPPER, begin - 1, flags=2), *(tcp(LOWER, UPPER, begin + low, part) for low, part in order)]
    path = pcap(tmp_path_factory.getbasetemp() / "tcp.pcap", map(ethernet, packets))
    found = messages(path)
    assert [(item.link, item.octets, item.stream) for item in found] == [("n2", payload, 1) for payload in payloads]
    assert all((item.sender, item.receiver) == (LOWER, UPPER) for item in found)


def test_a_capture_that_begins_in_the_middle(tmp_path: Path) -> None:
    frame = encode_frame(2, Ppid.RADIO, b"\0\0\0\1radio")
    path = pcap(
        tmp_path / "f",
        [ethernet(tcp(SIX[0], SIX[1], 5, frame), vlan=True), ethernet(tcp(LOWER, UPPER, 1, b"GET / HTTP/1.1"))],
    )
    (found,) = messages(path)
    assert (found.link, found.octets, found.ue, found.inbound) == ("radio", b"\0\0\0\1radio", 1, None)


def test_heartbeats_are_no_messages(tmp_path: Path) -> None:
    beat, frame = encode_frame(0, Ppid.HEARTBEAT, b"?"), encode_frame(2, Ppid.N2, b"a message")
    path = pcap(tmp_path / "f", [ethernet(tcp(LOWER, UPPER, 5, beat + frame + beat))])
    (found,) = messages(path)
    assert (found.link, found.octets) == ("n2", b"a message")


def test_messages_on_sctp(tmp_path: Path) -> None:
    whole, other = data(10, b"whole message", Ppid.N2), data(11, b"s1ap", 18)
    parts = [
        data(20, b"first ", Ppid.RADIO, flags=2),
        data(21, b"middle ", Ppid.RADIO, flags=0),
        data(22, b"last", Ppid.RADIO, flags=1),
    ]
    encapsulated = (LOWER[0], 9899), (UPPER[0], 50000)
    path = pcap(
        tmp_path / "f",
        [
            ip(LOWER, UPPER, 132, sctp_packet(LOWER, UPPER, [b"\x03\0\0\x04", whole, other])),
            ip(LOWER, UPPER, 132, sctp_packet(LOWER, UPPER, [whole])),  # sent again
            udp(*encapsulated, sctp_packet(UPPER, LOWER, [parts[2], parts[0]])),
            udp(*encapsulated, sctp_packet(UPPER, LOWER, [parts[1]])),
        ],
        link_type=101,
    )
    first, second = messages(path)
    assert (first.link, first.octets, first.stream, first.frame) == ("n2", b"whole message", 3, 1)
    assert (second.link, second.octets, second.frame) == ("radio", b"first middle last", 4)
    assert (second.sender, second.receiver) == ((LOWER[0], UPPER[1]), (UPPER[0], LOWER[1]))


def test_datagrams_by_their_ports(tmp_path: Path) -> None:
    ports = {2152: "n3", 29711: "radio-user", 1812: "aaa"}
    packets = [udp(LOWER, (UPPER[0], port), b"\0\0\0\5x") for port in (*ports, 53)]
    assert [item.link for item in messages(pcap(tmp_path / "f", packets, 228))] == list(ports.values())


@pytest.mark.parametrize("kind", [0, 113, 276])
def test_other_link_layers(tmp_path: Path, kind: int) -> None:
    head = {0: b"\2\0\0\0", 113: bytes(14) + b"\x08\x00", 276: b"\x08\x00" + bytes(18)}[kind]
    path = pcap(tmp_path / "f", [head + udp(LOWER, (UPPER[0], 2152), b"x")], kind)
    assert [item.link for item in messages(path)] == ["n3"]


def test_the_capture_of_another_core() -> None:
    links = [item.link for item in messages(FREE5GC)]
    assert (links.count("ngap"), links.count("n3"), len(links)) == (14, 10, 24)


def test_radius_of_others() -> None:
    found = messages(CAPTURES / "fr321-eapol210-tls13.pcapng")
    assert {item.link for item in found} == {"aaa"}
    assert len(found) == 16


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from((0, 1, 101, 113, 276, 252, 9)))
@settings(max_examples=100, deadline=None)
def test_any_packets_can_be_passed_over(
    tmp_path_factory: pytest.TempPathFactory, packets: list[bytes], kind: int
) -> None:
    list(read_capture(pcap(tmp_path_factory.getbasetemp() / "any.pcap", packets, kind)))
    hurt = [ip(LOWER, UPPER, 132, sctp_packet(LOWER, UPPER, [packet])) for packet in packets]
    hurt += [ip(LOWER, UPPER, number, packet) for packet in packets for number in (6, 17, 132, 50)]
    list(read_capture(pcap(tmp_path_factory.getbasetemp() / "any.pcap", hurt, 101)))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_capture_of_ours_never_ends_in_anything_but_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "hurt.pcapng"
    if not path.exists():
        with taps(path.with_suffix(".whole")) as tap:
            tap.message(LinkName.RADIO, UPPER, LOWER, inbound=True, stream=4, ppid=Ppid.RADIO, octets=ON_RADIO)
            tap.datagram(LinkName.N3, UPPER, LOWER, inbound=True, octets=b"gtp-u")
    octets = bytearray(path.with_suffix(".whole").read_bytes())
    for at in draw.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=3)):
        octets[at] = draw.draw(st.integers(0, 255))
    path.write_bytes(octets)
    with suppress(DecodeError):
        messages(path)
