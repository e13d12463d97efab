"""A registration and a ping in a network that others made (UERANSIM and free5GC; netlabufjf/wd-2025-pcaps, CC0-1.0).

What it shares with this project is read with the same code: AKA, NAS security, K_gNB on N2, GTP-U.
"""

import json
from typing import Any

import pytest
from doubles.known_answers import VECTORS
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.auth.aka import AkaVector, SubscriberKeys
from rprov.cli.main import run as rprov
from rprov.crypto.bits import xor
from rprov.crypto.hierarchy import KAmf, k_amf, k_gnb, k_seaf
from rprov.crypto.milenage import Milenage, opc
from rprov.errors import DecodeError
from rprov.model.identifiers import Plmn, Supi
from rprov.model.secret import Secret
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.security.context import SecurityContext, Side
from rprov.security.envelope import SecurityHeader, parse_pdu
from rprov.trace.capture import NGAP, Captured, read_capture
from rprov.trace.ngap import Element, elements, fields_of_ngap, octet_string, procedure_of, read_5g_nas
from rprov.trace.reading import read_message
from rprov.wire.gtpu import decode_gtpu, encode_gtpu

FREE5GC = VECTORS / "5g_aka-3gpp-enp0s3-free5gc.pcap"
K = Secret.parse("8baf473f2f8fd09487cccbd7097c6862")
OP = Secret.parse("8e27b6af0e692e750f32667a3b14605d")
SUPI = Supi("208930000000001")
NETWORK = Plmn("208", "93").serving_network_name
ABBA = b"\0\0"


def on_n2() -> list[Captured]:
    return [seen for seen in read_capture(FREE5GC) if seen.link == NGAP]


def nas_pdus() -> list[tuple[bool, bytes]]:
    """Whether the UE sent it, and the PDU."""
    found = on_n2()
    ran = found[0].sender
    return [
        (seen.sender == ran, octet_string(value))
        for seen in found
        for number, value in elements(seen.octets)
        if number == Element.NAS_PDU
    ]


def shown(capsys: Any, *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert rprov(["trace", "decode", "--json", str(FREE5GC), *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def k_amf_of(nas: list[dict[str, Any]]) -> KAmf:
    """What follows from K and from what the capture shows of AKA."""
    (challenge,) = (item for item in nas if item["message"] == "AuthenticationRequest")
    (answer,) = (item for item in nas if item["message"] == "AuthenticationResponse")
    rand, autn = bytes.fromhex(challenge["rand"]), bytes.fromhex(challenge["autn"])
    sqn = int.from_bytes(xor(autn[:6], Milenage(K, opc(K, OP)).f2345(rand).ak))
    vector = AkaVector.make(SubscriberKeys(K, opc(K, OP), sqn), NETWORK, rand)
    assert (vector.autn, vector.xres_star.hex()) == (autn, answer["res_star"])
    return k_amf(k_seaf(vector.k_ausf, NETWORK), SUPI, ABBA)


def test_the_procedures_are_named(capsys: Any) -> None:
    assert [line["message"] for line in shown(capsys, "--link", "ngap")] == [
        "NGSetupRequest",
        "NGSetupResponse",
        "InitialUEMessage",
        "DownlinkNASTransport",
        "UplinkNASTransport",
        "DownlinkNASTransport",
        "UplinkNASTransport",
        "InitialContextSetupRequest",
        "InitialContextSetupResponse",
        "UplinkNASTransport",
        "UplinkNASTransport",
        "DownlinkNASTransport",
        "PDUSessionResourceSetupRequest",
        "PDUSessionResourceSetupResponse",
    ]


def test_aka_and_k_gnb_are_what_the_command_shows(capsys: Any) -> None:
    nas = [line["fields"]["nas"] for line in shown(capsys, "--link", "ngap") if "nas" in line["fields"]]
    key = k_amf_of(nas)
    keys = [value for seen in on_n2() for number, value in elements(seen.octets) if number == Element.SECURITY_KEY]
    assert keys == [k_gnb(key, 0).octets]
    assert not any(keys[0].hex() in json.dumps(line) for line in shown(capsys))


def test_every_mac_and_count_is_right(capsys: Any) -> None:
    nas = [line["fields"]["nas"] for line in shown(capsys, "--link", "ngap") if "nas" in line["fields"]]
    key, algorithms = k_amf_of(nas), Algorithms(Nea.NEA0, Nia.NIA2)
    ends = {
        up: SecurityContext(side, 0, key, algorithms, Scope.ORDINARY)
        for up, side in ((True, Side.CP), (False, Side.UE))
    }
    counts: dict[bool, list[int]] = {True: [], False: []}
    for up, pdu in nas_pdus():
        parsed = parse_pdu(pdu[1:])  # theirs has the protocol discriminator before what ours begins with
        if pdu[1] != SecurityHeader.PLAIN:
            counts[up].append(ends[up].unprotect(parsed).count)  # type: ignore[arg-type]
    assert counts == {True: [0, 1, 2], False: [0, 1, 2]}
    assert [item["security"]["sequence_number"] for item in nas if "security" in item] == [0, 0, 1, 1, 2, 2]


def test_gtpu_is_written_to_the_same_octets_but_for_its_number(capsys: Any) -> None:
    found = [seen for seen in read_capture(FREE5GC) if seen.link == "n3"]
    assert len(found) == 10
    for seen in found:
        # free5GC numbers its packets, which nobody has asked for (TS 29.281 5.1: flag S, octets 9 and 10); we do not.
        unnumbered = bytes((seen.octets[0] & ~0x02,)) + seen.octets[1:8] + b"\0\0" + seen.octets[10:]
        assert encode_gtpu(decode_gtpu(seen.octets)) == unnumbered
    lines = shown(capsys, "--link", "n3")
    assert [line["direction"] for line in lines] == ["uplink", "downlink"] * 5
    assert {line["fields"]["packet"]["protocol"] for line in lines} == {"ICMP"}


def test_eap_in_5g_nas_is_found() -> None:
    packet = bytes.fromhex("010200060d20")
    element = b"\x78" + len(packet).to_bytes(2) + packet
    assert read_5g_nas(b"\x7e\0\x56\x03\x02\0\0" + element)["eap"] == packet.hex()
    assert read_5g_nas(b"\x7e\0\x57" + element) == {"message": "AuthenticationResponse", "eap": packet.hex()}
    assert read_5g_nas(b"\x7e\x02" + bytes(5) + b"\x99\x88\x77")["message"] == "Ciphered"


@pytest.mark.parametrize(
    "octets", [b"", b"\0\x15", b"\x60\x15\0\0", b"\0\x15\0\xff\0", b"\0\x15\0\x05\0\0\x01\0\x26", b"\0\x04\0\x81"]
)
def test_what_is_no_ngap_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        (procedure_of(octets), list(elements(octets)))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_changed_message_is_read_or_called_malformed(data: st.DataObject) -> None:
    seen = data.draw(st.sampled_from(on_n2()))
    octets = bytearray(seen.octets)
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    cut = bytes(octets[: data.draw(st.integers(0, len(octets)))])
    reading = read_message(Captured(1, 0.0, NGAP, seen.sender, seen.receiver, None, None, cut))
    json.dumps(reading.fields)
    if reading.message == "Malformed":
        with pytest.raises(DecodeError):
            (fields_of_ngap(cut), procedure_of(cut))
