"""Captures as rows: names, members, direction, step and UE of each message, as far as that goes without keys."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from doubles.captures import LOWER, UPPER

from rprov.causes import Cause
from rprov.model.identifiers import CpUeId, Eid, Guti, Plmn, RanUeId, Teid, UeRadioId
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import TunnelEnd
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader
from rprov.session.ip.packet import encode_udp
from rprov.trace.capture import Captured, read_capture
from rprov.trace.decode import Row, decode
from rprov.trace.reading import Reading, read_value
from rprov.wire import link, radio
from rprov.wire.gtpu import PduType, encode_gpdu
from rprov.wire.link_asn1 import encode_link
from rprov.wire.messages import (
    AttachAccept,
    AttachRequest,
    AttachType,
    AuthenticationReject,
    Eap,
    IdentityRequest,
    IdentityResponse,
    IdentityType,
    NasMessage,
    SecurityModeCommand,
)
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio_asn1 import encode_radio
from rprov.wire.radio_user import user_header

CAPTURES = Path(__file__).parents[1] / "captures" / "eap-tls"
FREE5GC = Path(__file__).parents[1] / "vectors" / "5g_aka-3gpp-enp0s3-free5gc.pcap"

EID = Eid.parse("89049032123451234512345678901235")
CAPABILITY = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
ATTACH = AttachRequest(AttachType.REMOTE_PROVISIONING, EID, 7, CAPABILITY)
ACCEPT = AttachAccept(Guti(Plmn("001", "01"), 1, 2), Scope.PROVISIONING, 600, 54)
UE = 0x0A0B0C0D


def seen(name: str, octets: bytes, *, up: bool = True, ue: int | None = UE) -> Captured:
    return Captured(1, 1.5, name, *((LOWER, UPPER) if up else (UPPER, LOWER)), None, ue, octets)


def on_radio(message: radio.RadioMessage, *, up: bool) -> Captured:
    return seen("radio", radio.RadioFrame(UeRadioId(0), encode_radio(message)).encode(), up=up, ue=None)


def on_n2(message: link.LinkMessage, *, up: bool) -> Captured:
    return seen("n2", link.N2Frame(RanUeId(UE), CpUeId(9), link.N2Kind.CONTROL, encode_link(message)).encode(), up=up)


def nas(message: NasMessage, *, up: bool, header: SecurityHeader | None = None) -> Captured:
    octets = encode_nas(message)
    pdu = PlainPdu(octets).encode() if header is None else ProtectedPdu(header, b"\1\2\3\4", 5, octets).encode()
    return seen("n2", link.N2Frame(RanUeId(UE), CpUeId(9), link.N2Kind.NAS, pdu).encode(), up=up)


def srb(kind: radio.SrbKind, payload: bytes, mac: bytes = bytes(4), *, up: bool = True) -> Captured:
    pdu = b"\0\3" + radio.encode_srb(kind, payload) + mac
    return seen("radio", radio.RadioFrame(UeRadioId(UE), pdu).encode(), up=up)


def rows(*messages: Captured, opener: Callable[[Captured], Reading | None] | None = None) -> list[Row]:
    found = list(decode(messages, opener))
    for row in found:
        json.dumps(row.as_json())
    return found


def brief(found: Iterable[Row]) -> list[tuple[str, str | None, int | None]]:
    return [(row.message, row.direction, row.step) for row in found]


def test_an_attach_as_the_radio_carries_it() -> None:
    found = rows(
        on_radio(radio.CellInfo(Plmn("001", "01"), 1, True), up=False),
        on_radio(radio.RrcSetupRequest(b"\1\2\3\4"), up=True),
        on_radio(radio.RrcSetup(b"\1\2\3\4", UeRadioId(UE)), up=False),
        srb(radio.SrbKind.NAS, PlainPdu(encode_nas(ATTACH)).encode()),
    )
    assert brief(found) == [
        ("CellInfo", "downlink", None),
        ("RrcSetupRequest", "uplink", None),
        ("RrcSetup", "downlink", None),
        ("AttachRequest", "uplink", 1),
    ]
    assert [row.ue for row in found] == [None, None, UE, UE]
    assert found[3].fields == {
        "attach_type": "REMOTE_PROVISIONING",
        "identity": {"Eid": EID.digits},
        "ksi": 7,
        "capability": {"nea": 0x20, "nia": 0x20},
    }
    assert found[3].eid == EID.digits
    assert set(found[3].as_json()) == {
        "frame",
        "time",
        "link",
        "ue",
        "step",
        "direction",
        "message",
        "fields",
        "protected",
    }


def test_what_protects_a_message_stands_beside_it() -> None:
    command = SecurityModeCommand(Nea.NEA2, Nia.NIA2, 0, CAPABILITY, b"\0\0", Eap(b"\3\1\0\4"))
    found = rows(
        nas(ATTACH, up=True),
        nas(command, up=False, header=SecurityHeader.INTEGRITY_NEW_CONTEXT),
        nas(ACCEPT, up=False, header=SecurityHeader.INTEGRITY_CIPHERED),
        on_n2(link.InitialContextSetupRequest(Secret(bytes(32)), CAPABILITY), up=False),
        srb(radio.SrbKind.RRC, encode_radio(radio.AsSecurityModeCommand(Nea.NEA2, Nia.NIA2)), b"mac!", up=False),
        srb(radio.SrbKind.NAS, b"\2ciphered", b"mac!", up=False),
        seen("radio-user", user_header(UeRadioId(UE), 1) + b"\x80\0\7ciphered"),
    )
    assert brief(found)[1:] == [
        ("SecurityModeCommand", "downlink", 3),
        ("ProtectedNas", "downlink", None),
        ("InitialContextSetupRequest", "downlink", 3),
        ("AsSecurityModeCommand", "uplink", 3),  # nobody has spoken on the radio before
        ("ProtectedSrb", "uplink", None),
        ("UserPacket", "uplink", 5),
    ]
    assert [row.protected for row in found] == [False, True, True, False, True, True, True]
    head = {"header": "INTEGRITY_CIPHERED", "mac": "01020304", "sequence_number": 5}
    assert found[2].fields == {"security": head, "octets": len(encode_nas(ACCEPT))}
    assert found[3].fields["k_gnb"] == "Secret(32 octets)"
    assert found[6].fields == {"bearer": 1, "security": {"sequence_number": 7}, "octets": 8}


def test_with_keys_the_inner_message_is_shown() -> None:
    found = rows(
        nas(ATTACH, up=True),
        nas(ACCEPT, up=False, header=SecurityHeader.INTEGRITY_CIPHERED),
        opener=lambda item: read_value(ACCEPT, {"count": 1}) if item.octets[9:10] == b"\2" else None,
    )
    assert brief(found)[1] == ("AttachAccept", "downlink", 3)
    assert found[1].protected
    assert found[1].fields["guti"] == {"plmn": "001-01", "cp": 1, "tmsi": 2}
    assert found[1].fields["security"] == {"count": 1}


def test_an_ordinary_attach_is_wholly_step_7() -> None:
    found = rows(
        nas(replace(ATTACH, attach_type=AttachType.INITIAL), up=True),
        nas(AuthenticationReject(Cause.ILLEGAL_UE), up=False),
        nas(ACCEPT, up=False, header=SecurityHeader.INTEGRITY_CIPHERED),
        seen("radio-user", user_header(UeRadioId(UE), 1) + b"\x80\0\7ciphered"),
    )
    assert [row.step for row in found] == [7, 7, 7, 7]
    assert found[1].fields == {"cause": "ILLEGAL_UE"}


def test_tunnels_have_the_ue_that_n2_gave_them() -> None:
    inner = encode_udp(b"\x0a\0\0\1", 5353, b"\x0a\0\0\2", 53, b"question")
    up, down = TunnelEnd(IPv4Address(UPPER[0]), UPPER[1], Teid(5)), TunnelEnd(IPv4Address(LOWER[0]), LOWER[1], Teid(6))
    found = rows(
        nas(ATTACH, up=True),
        on_n2(link.SessionResourceSetupRequest(1, up, True, True), up=False),
        on_n2(link.SessionResourceSetupResponse(1, down), up=True),
        seen("n3", encode_gpdu(Teid(5), PduType.UPLINK, 1, inner), ue=None),
        seen("n3", encode_gpdu(Teid(6), PduType.DOWNLINK, 1, b"no packet"), up=False, ue=None),
        seen("n3", encode_gpdu(Teid(7), PduType.UPLINK, 1, inner), ue=None),
    )
    assert brief(found)[1:] == [
        ("SessionResourceSetupRequest", "downlink", 4),
        ("SessionResourceSetupResponse", "uplink", 4),
        ("Gpdu", "uplink", 5),
        ("Gpdu", "downlink", 5),
        ("Gpdu", "uplink", 5),
    ]
    assert [row.ue for row in found][3:] == [UE, UE, None]
    assert found[3].fields["packet"] == {
        "source": "10.0.0.1",
        "destination": "10.0.0.2",
        "octets": len(inner),
        "protocol": "UDP",
        "source_port": 5353,
        "destination_port": 53,
    }
    assert "error" in found[4].fields["packet"]


def test_an_eid_may_come_later() -> None:
    found = rows(nas(IdentityRequest(IdentityType.EID), up=False), nas(IdentityResponse(EID), up=True))
    assert [row.eid for row in found] == [None, EID.digits]


@pytest.mark.parametrize("name", ["radio", "n2", "eap", "radio-user", "n3", "aaa"])
def test_what_cannot_be_read_says_why(name: str) -> None:
    (found,) = rows(seen(name, b"\xff" * 12))
    if name != "radio-user":
        assert found.message in ("Malformed", "ProtectedSrb")
    (faulty,) = rows(replace(seen(name, b"x"), fault="a wrong checksum"))
    assert (faulty.message, faulty.fields) == ("Malformed", {"error": "a wrong checksum"})


def test_radius_of_others_shows_its_eap() -> None:
    found = rows(*read_capture(CAPTURES / "fr321-eapol210-tls13.pcapng"))
    assert [(row.message, row.direction) for row in found][:2] == [
        ("AccessRequest", "uplink"),
        ("AccessChallenge", "downlink"),
    ]
    assert found[-1].message == "AccessAccept"
    assert found[-1].fields["eap"]["message"] == "EapSuccess"
    assert found[1].fields["eap"] == {
        "message": "EapRequest",
        "identifier": found[1].fields["eap"]["identifier"],
        "type": "TLS",
        "start": True,
        "more": False,
        "total": None,
        "tls_octets": 0,
    }


def test_the_pings_of_another_core() -> None:
    found = [row for row in rows(*read_capture(FREE5GC)) if row.link == "n3"]
    assert {row.message for row in found} == {"Gpdu"}
    assert {row.fields["packet"]["destination"] for row in found} == {"8.8.8.8", "10.60.0.1"}
    assert [row.direction for row in found[:2]] == ["uplink", "downlink"]
