"""The three planes carry a packet from end to end, and count what a stranger or a rude peer sends."""

from ipaddress import IPv4Address
from math import inf

import pytest
from doubles.bearers import bearer_ends
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import Misuse
from rprov.model.identifiers import Teid, UeRadioId
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.session.ip.packet import encode_udp
from rprov.session.ip.segment import Flag, SegmentWriter
from rprov.session.restriction import Restriction, SessionFilter
from rprov.session.tunnel import RanPlane, ToN3, ToN6, ToRadio, UePlane, UpPlane
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
)

UE, GATEWAY, SERVER = IPv4Address("10.45.0.2"), IPv4Address("10.45.0.1"), IPv4Address("198.51.100.7")
RAN_N3, UP_N3 = ("127.0.0.2", 2152), ("127.0.0.3", 2152)
UE_RADIO, STRANGER = ("127.0.0.4", 40000), ("127.0.0.66", 2152)
UPLINK, DOWNLINK = Teid(0xAAAA0001), Teid(0xBBBB0001)
RADIO_ID = UeRadioId(7)
THERE = SegmentWriter(UE.packed, 50000, SERVER.packed, 443).write(1, 0, Flag.SYN, 1000)
BACK = SegmentWriter(SERVER.packed, 443, UE.packed, 50000).write(1, 2, Flag.SYN | Flag.ACK, 1000)


class Chain:
    """UE, RAN and UP with one session, all in memory."""

    def __init__(self, ue=UserPlaneAddress(IPv4Address(UE_RADIO[0]), UE_RADIO[1]), joined=True):
        ue_pdcp, ran_pdcp = bearer_ends()
        self.ue = UePlane(RADIO_ID, 1, ue_pdcp)
        self.ran = RanPlane(IPv4Address(RAN_N3[0]))
        self.up = UpPlane(IPv4Address(UP_N3[0]))
        self.ran_end = TunnelEnd(IPv4Address(RAN_N3[0]), RAN_N3[1], DOWNLINK)
        self.up_end = TunnelEnd(IPv4Address(UP_N3[0]), UP_N3[1], UPLINK)
        self.ran.add(RADIO_ID, 1, ran_pdcp, self.up_end, DOWNLINK, ue)
        allowed = frozenset({(SERVER, 6, 443)})
        self.rules = SessionFilter(Restriction(UE, GATEWAY, "smdp.example.com", allowed, 0, inf))
        self.up.add_session(UPLINK, self.rules, self.ran_end if joined else None)

    def uplink(self, packet=THERE):
        gtpu, to = self.ran.from_radio(self.ue.to_radio(packet), UE_RADIO)
        assert to == UP_N3
        return gtpu


def test_a_packet_goes_there_and_back():
    chain = Chain()
    gtpu = chain.uplink()
    assert decode_gtpu(gtpu) == Gpdu(UPLINK, THERE, PduType.UPLINK, 9)
    assert chain.up.from_n3(gtpu, RAN_N3, 0.0) == ToN6(THERE, UPLINK)
    out = chain.up.to_ue(UPLINK, BACK, 0.0)
    assert decode_gtpu(out.octets) == Gpdu(DOWNLINK, BACK, PduType.DOWNLINK, 9)
    assert out.to == RAN_N3
    radio = chain.ran.from_n3(out.octets, UP_N3)
    assert isinstance(radio, ToRadio)
    assert radio.to == UE_RADIO
    assert BACK not in radio.octets  # ciphered
    assert chain.ue.from_radio(radio.octets) == BACK
    assert not chain.ue.dropped + chain.ran.dropped + chain.up.dropped


def test_what_the_filter_answers_goes_back_down():
    chain = Chain()
    gtpu = chain.uplink(SegmentWriter(UE.packed, 50000, SERVER.packed, 80).write(1, 0, Flag.SYN, 1000))
    out = chain.up.from_n3(gtpu, RAN_N3, 0.0)
    assert isinstance(out, ToN3)
    packet = chain.ue.from_radio(chain.ran.from_n3(out.octets, UP_N3).octets)
    assert packet[20:22] == bytes((3, 13))


def test_what_the_filter_drops_is_gone():
    chain = Chain()
    spoofed = encode_udp(GATEWAY.packed, 1, SERVER.packed, 443, b"")
    assert chain.up.from_n3(chain.uplink(spoofed), RAN_N3, 0.0) is None
    assert chain.up.to_ue(UPLINK, spoofed, 0.0) is None
    assert chain.rules.dropped.total() == 2


def test_a_tunnel_checks_its_peers_address_but_not_its_port():
    chain = Chain()
    gtpu = chain.uplink()
    assert chain.up.from_n3(gtpu, STRANGER, 0.0) is None
    assert chain.up.dropped == {"wrongN3Peer": 1}
    assert chain.up.from_n3(gtpu, (RAN_N3[0], 50000), 0.0) is not None
    down = chain.up.to_ue(UPLINK, BACK, 0.0).octets
    assert chain.ran.from_n3(down, STRANGER) is None
    assert chain.ran.dropped == {"wrongN3Peer": 1}
    assert chain.ran.from_n3(down, (UP_N3[0], 50000)) is not None


def test_an_unknown_teid_gets_an_error_indication():
    chain = Chain()
    out = chain.up.from_n3(encode_gpdu(Teid(5), PduType.UPLINK, 9, THERE), STRANGER, 0.0)
    assert out == ToN3(encode_gtpu(ErrorIndication(Teid(5), IPv4Address(UP_N3[0]))), STRANGER)
    out = chain.ran.from_n3(encode_gpdu(Teid(6), PduType.DOWNLINK, 9, BACK), STRANGER)
    assert out == ToN3(encode_gtpu(ErrorIndication(Teid(6), IPv4Address(RAN_N3[0]))), STRANGER)
    assert chain.up.dropped == chain.ran.dropped == {"unknownTeid": 1}


def test_control_messages():
    chain = Chain()
    planes = (chain.ran.from_n3, lambda packet, source: chain.up.from_n3(packet, source, 0.0))
    for plane in planes:
        assert plane(encode_gtpu(EchoRequest(77)), STRANGER) == ToN3(encode_gtpu(EchoResponse(77)), STRANGER)
        assert plane(encode_gtpu(EchoResponse(77)), STRANGER) is None
        assert plane(encode_gtpu(EndMarker(UPLINK)), STRANGER) is None
        assert plane(encode_gtpu(ErrorIndication(UPLINK, GATEWAY)), STRANGER) is None  # forged: ends nothing
        assert plane(b"", STRANGER) is None
        assert plane(b"\x30\xff\x00", STRANGER) is None
    assert chain.up.dropped == chain.ran.dropped == {"errorIndication": 1, "malformed": 2}
    assert chain.up.from_n3(chain.uplink(), RAN_N3, 0.0) is not None


def test_the_wrong_direction_is_malformed():
    chain = Chain()
    assert chain.up.from_n3(encode_gpdu(UPLINK, PduType.DOWNLINK, 9, THERE), RAN_N3, 0.0) is None
    assert chain.ran.from_n3(encode_gpdu(DOWNLINK, PduType.UPLINK, 9, BACK), UP_N3) is None
    assert chain.up.dropped == chain.ran.dropped == {"malformed": 1}


def test_radio_packets_that_are_not_the_ues():
    chain = Chain()
    datagram = chain.ue.to_radio(THERE)
    ran = chain.ran
    assert ran.from_radio(b"", UE_RADIO) is None
    assert ran.from_radio(datagram[:5], UE_RADIO) is None
    assert ran.from_radio(b"\0\0\0\x08" + datagram[4:], UE_RADIO) is None
    assert ran.from_radio(datagram[:4] + b"\2" + datagram[5:], UE_RADIO) is None
    assert ran.from_radio(datagram[:-1] + bytes((datagram[-1] ^ 1,)), UE_RADIO) is None
    assert ran.from_radio(datagram, STRANGER) is None
    assert ran.from_radio(datagram, UE_RADIO) is not None
    assert ran.from_radio(datagram, UE_RADIO) is None
    assert ran.dropped == {"malformed": 2, "unknownBearer": 2, "macMismatch": 1, "wrongRadioPeer": 1, "replayed": 1}


def test_the_ue_drops_what_is_not_for_it():
    chain = Chain()
    radio = chain.ran.from_n3(chain.up.to_ue(UPLINK, BACK, 0.0).octets, UP_N3).octets
    assert chain.ue.from_radio(radio[:4] + b"\2" + radio[5:]) is None
    assert chain.ue.from_radio(radio[:-1]) is None
    assert chain.ue.from_radio(b"") is None
    assert chain.ue.from_radio(radio) == BACK
    assert chain.ue.from_radio(radio) is None
    assert chain.ue.dropped == {"unknownBearer": 1, "macMismatch": 1, "malformed": 1, "replayed": 1}


def test_what_pdcp_does_not_carry_is_counted():
    chain = Chain()
    assert chain.ue.to_radio(b"") is None
    assert chain.ue.dropped == {"pdcpFailure": 1}
    assert chain.ran.from_n3(encode_gpdu(DOWNLINK, PduType.DOWNLINK, 9, b""), UP_N3) is None
    assert chain.ran.from_n3(encode_gpdu(DOWNLINK, PduType.DOWNLINK, 9, bytes(60_000)), UP_N3) is None
    assert chain.ran.dropped == {"pdcpFailure": 2}


def test_the_ran_learns_where_the_ue_is_from_a_packet_that_proves_it():
    chain = Chain(ue=None)
    down = chain.up.to_ue(UPLINK, BACK, 0.0).octets
    assert chain.ran.from_n3(down, UP_N3) is None
    datagram = chain.ue.to_radio(THERE)
    assert chain.ran.from_radio(datagram[:-1] + b"x", STRANGER) is None
    assert chain.ran.from_n3(down, UP_N3) is None
    assert chain.ran.from_radio(datagram, UE_RADIO) is not None
    assert chain.ran.from_n3(down, UP_N3).to == UE_RADIO
    assert chain.ran.dropped == {"ueNotPlaced": 2, "macMismatch": 1}


def test_the_ran_is_told_where_the_ue_is():
    chain = Chain(ue=None)
    chain.ran.connect(RADIO_ID, 1, UserPlaneAddress(IPv4Address("127.0.0.9"), 1234))
    assert chain.ran.from_n3(chain.up.to_ue(UPLINK, BACK, 0.0).octets, UP_N3).to == ("127.0.0.9", 1234)
    with pytest.raises(Misuse):
        chain.ran.connect(RADIO_ID, 2, UserPlaneAddress(IPv4Address("127.0.0.9"), 1234))


def test_the_up_holds_a_few_packets_until_it_knows_the_ran():
    chain = Chain(joined=False)
    packets = [chain.uplink() for _ in range(10)]
    for packet in packets:
        assert chain.up.from_n3(packet, RAN_N3, 0.0) is None
    assert chain.up.to_ue(UPLINK, BACK, 0.0) is None
    assert chain.up.dropped == {"ranNotKnown": 3}
    held = chain.up.connect(UPLINK, chain.ran_end)
    assert held == [(packet, RAN_N3) for packet in packets[:8]]
    assert all(chain.up.from_n3(packet, source, 0.0) == ToN6(THERE, UPLINK) for packet, source in held)
    assert chain.up.connect(UPLINK, chain.ran_end) == []
    with pytest.raises(Misuse):
        chain.up.connect(Teid(1), chain.ran_end)


def test_nothing_is_left_after_removal():
    chain = Chain()
    up, down, radio = chain.uplink(), chain.up.to_ue(UPLINK, BACK, 0.0).octets, chain.ue.to_radio(THERE)
    assert chain.ran.knows(DOWNLINK)
    chain.ran.remove(RADIO_ID, 1)
    chain.up.remove_session(UPLINK)
    assert len(chain.ran) == len(chain.up) == 0
    assert not chain.ran.knows(DOWNLINK)
    assert chain.ran.from_radio(radio, UE_RADIO) is None
    assert decode_gtpu(chain.ran.from_n3(down, UP_N3).octets) == ErrorIndication(DOWNLINK, IPv4Address(RAN_N3[0]))
    assert decode_gtpu(chain.up.from_n3(up, RAN_N3, 0.0).octets) == ErrorIndication(UPLINK, IPv4Address(UP_N3[0]))
    assert chain.up.to_ue(UPLINK, BACK, 0.0) is None
    chain.ran.remove(RADIO_ID, 1)  # again: nothing
    chain.up.remove_session(UPLINK)


def test_nothing_is_added_twice():
    chain = Chain()
    _, pdcp = bearer_ends()
    with pytest.raises(Misuse):
        chain.ran.add(RADIO_ID, 1, pdcp, chain.up_end, Teid(1))
    with pytest.raises(Misuse):
        chain.ran.add(RADIO_ID, 2, pdcp, chain.up_end, DOWNLINK)
    with pytest.raises(Misuse):
        chain.up.add_session(UPLINK, chain.rules)
    assert len(chain.ran) == len(chain.up) == 1


@given(st.binary(max_size=60))
def test_any_octets_anywhere_are_counted_and_nothing_else(octets):
    chain = Chain()
    for candidate in (octets, b"\x34\xff" + len(octets).to_bytes(2) + UPLINK.to_bytes(4) + octets):
        chain.ran.from_n3(candidate, UP_N3)
        chain.up.from_n3(candidate, RAN_N3, 0.0)
    assert chain.ue.from_radio(octets) is None
    assert chain.ran.from_radio(octets, UE_RADIO) is None
    assert chain.ran.from_radio(chain.ue.to_radio(THERE)[:8] + octets, UE_RADIO) is None
    assert chain.up.from_n3(chain.uplink(), RAN_N3, 0.0) == ToN6(THERE, UPLINK)
