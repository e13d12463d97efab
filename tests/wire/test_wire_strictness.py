"""What is refused, and what the refusal says."""

import subprocess
import sys
from dataclasses import dataclass, replace
from enum import IntEnum
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rprov.causes import Cause
from rprov.errors import DecodeError, EncodeError, Misuse
from rprov.model.identifiers import Eid, EidHint, Guti, Plmn, Suci, Teid
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind, TunnelEnd, UserPlaneAddress
from rprov.wire.codec import LinkCodec, NasCodec, RadioCodec
from rprov.wire.link import InitialContextSetupRequest, N2SetupRequest, SessionResourceSetupResponse
from rprov.wire.link_asn1 import LinkAsn1, encode_link
from rprov.wire.messages import (
    AttachAccept,
    AttachReject,
    AttachRequest,
    AttachType,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
    IdentityResponse,
    PduSessionAccept,
    PduSessionRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    Status,
)
from rprov.wire.nas_asn1 import NasAsn1, decode_nas, encode_nas
from rprov.wire.radio import BearerAddition, RrcReconfiguration, RrcSetup
from rprov.wire.radio_asn1 import RadioAsn1, encode_radio
from rprov.wire.uper_compile import Leaf, MessageCodec

ROOT = Path(__file__).parents[2]
CAPABILITY = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
GUTI = Guti(Plmn("001", "01"), 1, 2)
REQUEST = AttachRequest(AttachType.REMOTE_PROVISIONING, EidHint("89049032"), 7, CAPABILITY)
SERVER = ProvisioningServer(ProvisioningProtocol.SGP22, "smdp.example.com", (IPv4Address("10.45.0.100"),), 443)
ACCEPT = PduSessionAccept(
    1, SessionKind.PROVISIONING, IPv4Address("10.45.0.2"), IPv4Address("10.45.0.1"), 1400, 60, 0, (SERVER,)
)
COMMAND = SecurityModeCommand(Nea.NEA2, Nia.NIA2, 0, CAPABILITY, b"\0\0")

UNFIT_NAS = [
    (replace(REQUEST, ksi=8), "attachRequest.ksi: 8 is not in 0..7"),
    (replace(REQUEST, ksi=-1), "attachRequest.ksi: -1 is not in 0..7"),
    (replace(REQUEST, ksi=None), "attachRequest.ksi: missing"),
    (replace(REQUEST, ksi="7"), "attachRequest.ksi: a value of the wrong kind"),
    (replace(REQUEST, ksi=1.5), "attachRequest.ksi: a value of the wrong kind"),
    (replace(REQUEST, attach_type=None), "attachRequest.attachType: missing"),
    (replace(REQUEST, attach_type=5), "attachRequest.attachType: int is no item of it"),
    (replace(REQUEST, attach_type=[]), "attachRequest.attachType: a value of the wrong kind"),
    (replace(REQUEST, identity=None), "attachRequest.identity: missing"),
    (replace(REQUEST, identity=Plmn("001", "01")), "attachRequest.identity: Plmn is no alternative of it"),
    (replace(REQUEST, capability=GUTI), "attachRequest.capability.nea: a value of the wrong kind"),
    (replace(REQUEST, requested_session=9), "attachRequest.requestedSession: int is no item of it"),
    (AuthenticationRequest(7, b"\0\0", Eap(bytes(4))), "authenticationRequest.ksi: 7 is not in 0..6"),
    (AuthenticationRequest(0, b"\0", Eap(bytes(4))), "authenticationRequest.abba: 1 octets, not 2"),
    (AuthenticationResponse(Eap(bytes(3))), "authenticationResponse.answer.eap: 3 octets, not 4..1500"),
    (AuthenticationResponse(Eap(bytes(1501))), "authenticationResponse.answer.eap: 1501 octets, not 4..1500"),
    (AuthenticationResponse(Eap("text")), "authenticationResponse.answer.eap: a value of the wrong kind"),
    (SecurityModeComplete(b""), "securityModeComplete.attachRequest: 0 octets, not 1..2048"),
    (SecurityModeComplete(bytes(2049)), "securityModeComplete.attachRequest: 2049 octets, not 1..2048"),
    (replace(COMMAND, abba=None), "securityModeCommand.abba: missing"),
    (AttachAccept(GUTI, Scope.PROVISIONING, 1 << 32, 0), "attachAccept.lifetime: 4294967296 is not in 0..4294967295"),
    (AttachReject(None), "attachReject.cause: missing"),
    (Status("MAC failure"), "status.cause: a value of the wrong kind"),
    (PduSessionRequest(0, SessionKind.ORDINARY), "pduSessionRequest.sessionId: 0 is not in 1..15"),
    (replace(ACCEPT, mtu=67), "pduSessionAccept.mtu: 67 is not in 68..65535"),
    (replace(ACCEPT, address="10.45.0.2"), "pduSessionAccept.address: a value of the wrong kind"),
    (
        replace(ACCEPT, provisioning_servers=(SERVER,) * 9),
        "pduSessionAccept.provisioningServers: 9 items, not 0..8",
    ),
    (
        replace(ACCEPT, provisioning_servers=(SERVER, None)),
        "pduSessionAccept.provisioningServers[1].protocol: a value of the wrong kind",
    ),
    (
        replace(ACCEPT, provisioning_servers=(SERVER, replace(SERVER, fqdn="a\tb"))),
        "pduSessionAccept.provisioningServers[1].fqdn: a character that the type does not have",
    ),
    ("attach me", "NasMessage: str is no alternative of it"),
    (None, "NasMessage: NoneType is no alternative of it"),
]


@pytest.mark.parametrize(("message", "text"), UNFIT_NAS, ids=[text for _, text in UNFIT_NAS])
def test_what_the_grammar_cannot_carry_is_refused_by_path(message, text):
    with pytest.raises(EncodeError) as refusal:
        encode_nas(message)
    assert str(refusal.value) == text


def test_link_and_radio_refuse_by_path_too():
    tunnel = TunnelEnd(IPv4Address("127.0.0.1"), 2152, Teid(0))
    with pytest.raises(EncodeError, match=r"^sessionResourceSetupResponse.downlink.teid: 0 is not in 1\.\.4294967295$"):
        encode_link(SessionResourceSetupResponse(1, tunnel))
    with pytest.raises(EncodeError, match=r"^n2SetupRequest.ranName: 0 characters, not 1\.\.150$"):
        encode_link(N2SetupRequest("", Plmn("001", "01"), 1))
    with pytest.raises(EncodeError, match=r"^n2SetupRequest.ranName: a character that the type does not have$"):
        encode_link(N2SetupRequest("Köln", Plmn("001", "01"), 1))
    with pytest.raises(EncodeError, match=r"^rrcSetup.transaction: 3 octets, not 4$"):
        encode_radio(RrcSetup(b"abc", 1))
    bearer = BearerAddition(30, 1, True, True, UserPlaneAddress(IPv4Address("127.0.0.1"), 1))
    with pytest.raises(EncodeError, match=r"^rrcReconfiguration.add.bearer: 30 is not in 1\.\.29$"):
        encode_radio(RrcReconfiguration(bearer))
    with pytest.raises(EncodeError, match=r"^rrcReconfiguration.add.integrity: neither true nor false$"):
        encode_radio(RrcReconfiguration(replace(bearer, bearer=1, integrity=2)))


def test_a_key_of_a_wrong_length_is_refused_without_showing_it():
    with pytest.raises(EncodeError) as refusal:
        encode_link(InitialContextSetupRequest(Secret(b"\xaa" * 31), CAPABILITY))
    assert str(refusal.value) == "initialContextSetupRequest.kGnb: 31 octets, not 32"
    with pytest.raises(EncodeError, match="a value of the wrong kind") as refusal:
        encode_link(InitialContextSetupRequest(b"\xaa" * 32, CAPABILITY))
    assert "aa" not in str(refusal.value)


def test_a_subclass_of_secret_is_carried_as_its_octets():
    class KGnb(Secret):
        __slots__ = ()

    message = InitialContextSetupRequest(KGnb(bytes(range(32))), CAPABILITY)
    found = LinkAsn1().decode(encode_link(message))
    assert found.k_gnb == Secret(bytes(range(32)))


def bit_lengths(octets):
    """How many bits at the end of these octets are padding, by trying: each of them may not be set."""
    number = int.from_bytes(octets)
    refused = []
    for bit in range(8):
        try:
            decode_nas((number ^ 1 << bit).to_bytes(len(octets)))
        except DecodeError as error:
            refused.append("padding that is not zero" in str(error))
        else:
            refused.append(False)
    return refused


@pytest.mark.parametrize(
    ("message", "padding"),
    [
        (PduSessionRequest(1, SessionKind.PROVISIONING), 3),  # 6 + 1 + 4 + 2 bits
        (Status(Cause.NORMAL), 1),  # 6 + 1 + 8
        (SecurityModeComplete(b"x"), 6),  # 6 + 1 + 11 + 8
    ],
)
def test_padding_that_is_not_zero_is_refused(message, padding):
    assert bit_lengths(encode_nas(message))[:padding] == [True] * padding


def test_octets_that_no_value_stands_for_are_refused_by_path():
    eid = Eid.with_check_digits("890490321234512345678901234567")
    octets = encode_nas(IdentityResponse(eid))
    wrong = int.from_bytes(octets) ^ 1 << 8  # a check digit, or the one beside it
    with pytest.raises(DecodeError, match=r"^identityResponse.identity.eid: EID .* wrong check digits$"):
        decode_nas(wrong.to_bytes(len(octets)))
    letters = bytes.fromhex("fafafafa")
    octets = encode_nas(IdentityResponse(EidHint("00000000")))
    wrong = int.from_bytes(octets) | int.from_bytes(letters) << 8 * len(octets) - 10 - 32
    with pytest.raises(DecodeError, match=r"^identityResponse.identity.eidHint: an EID hint must be decimal digits$"):
        decode_nas(wrong.to_bytes(len(octets)))


def test_a_number_out_of_range_is_refused_by_path():
    octets = encode_nas(PduSessionRequest(15, SessionKind.PROVISIONING))
    wrong = int.from_bytes(octets) | 0b1111 << 16 - 11  # four bits for 1..15 leave one place free
    with pytest.raises(DecodeError, match=r"^pduSessionRequest.sessionId: 16 is not in 1\.\.15$"):
        decode_nas(wrong.to_bytes(2))


def test_a_suci_with_a_space_for_a_digit_is_refused():
    suci = Suci(Plmn("001", "01"), "1", 0, 0, b"\x10")
    octets = encode_nas(IdentityResponse(suci))
    # 6 message, 1 extension, 3 alternative, 1 extension, 24 network, 2 length: then 4 bits, 0 is the space
    wrong = int.from_bytes(octets) & ~(0b1111 << 8 * len(octets) - 41)
    with pytest.raises(DecodeError, match=r"^identityResponse.identity.suci: a routing indicator must be decimal"):
        decode_nas(wrong.to_bytes(len(octets)))


def test_a_server_without_a_good_name_is_refused_by_its_place():
    octets = encode_nas(replace(ACCEPT, provisioning_servers=(SERVER, replace(SERVER, fqdn="a.b"))))
    name = sum(ord(char) << 7 * place for place, char in enumerate(reversed("a.b")))
    bad = sum(ord(char) << 7 * place for place, char in enumerate(reversed("..b")))
    shift = next(shift for shift in range(8 * len(octets)) if int.from_bytes(octets) >> shift & (1 << 21) - 1 == name)
    wrong = int.from_bytes(octets) ^ (name ^ bad) << shift
    with pytest.raises(DecodeError, match=r"^pduSessionAccept.provisioningServers\[1\]: the name of a provisioning"):
        decode_nas(wrong.to_bytes(len(octets)))


def test_an_unknown_cause_reads_as_protocol_error():
    # lossy on purpose (TS 24.501 9.11.3.2): the number that came is not kept
    octets = encode_nas(Status(Cause.MAC_FAILURE))
    unknown = int.from_bytes(octets) ^ (20 ^ 250) << 1
    assert decode_nas(unknown.to_bytes(2)) == Status(Cause.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("plmn", "octets"),
    [(Plmn("001", "01"), "00f110"), (Plmn("310", "410"), "130014"), (Plmn("262", "099"), "629290")],
)
def test_a_network_is_packed_as_everywhere(plmn, octets):
    # TS 24.501 9.11.3.4: MCC 2|1, MNC 3|MCC 3, MNC 2|1
    message = AttachAccept(Guti(plmn, 0, 0), Scope.PROVISIONING, 0, 0)
    bits = int.from_bytes(encode_nas(message))
    width = 8 * len(encode_nas(message))
    assert (bits >> width - 8 - 24 & 0xFFFFFF).to_bytes(3).hex() == octets
    assert decode_nas(encode_nas(message)) == message


def test_no_octets_are_no_message():
    for decode in (NasAsn1().decode, LinkAsn1().decode, RadioAsn1().decode):
        with pytest.raises(DecodeError, match="Message: the octets end too early"):
            decode(b"")


def test_the_classes_are_what_the_seam_asks_for():
    nas: NasCodec = NasAsn1()
    link: LinkCodec = LinkAsn1()
    radio: RadioCodec = RadioAsn1()
    assert nas.decode(nas.encode(REQUEST)) == REQUEST
    assert link.decode(link.encode(N2SetupRequest("r", Plmn("001", "01"), 1))).ran_name == "r"
    assert radio.decode(radio.encode(RrcSetup(b"abcd", 1))).transaction == b"abcd"


@pytest.mark.parametrize("module", ["messages", "link", "radio", "codec", "nas_asn1", "link_asn1", "radio_asn1"])
def test_asn1tools_is_not_loaded_before_it_is_used(module):
    code = f"import sys, rprov.wire.{module}; sys.exit('asn1tools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- grammar and table must agree -----------------------------------------------------------------------------------


class Colour(IntEnum):
    RED = 0
    DARK_BLUE = 1


@dataclass(frozen=True)
class Paint:
    colour: Colour
    litres: int


COLOUR = {"type": "ENUMERATED", "values": [("red", 0), ("darkBlue", 1), None]}
LITRES = {"name": "litres", "type": "INTEGER", "restricted-to": [(0, 9)]}
MEMBERS = [{"name": "colour", "type": "Colour"}, LITRES, None]
PAINT = {"type": "SEQUENCE", "members": MEMBERS}
TABLE = {"Colour": Colour, "Paint": Paint}


def test_a_grammar_of_ones_own_works():
    codec = MessageCodec({"Colour": COLOUR, "Paint": PAINT}, TABLE, "Paint")
    assert codec.decode(codec.encode(Paint(Colour.DARK_BLUE, 7))) == Paint(Colour.DARK_BLUE, 7)


def member(**changes):
    return {"type": "SEQUENCE", "members": [MEMBERS[0], LITRES | changes, None]}


@pytest.mark.parametrize(
    ("colour", "paint", "text"),
    [
        (COLOUR, member(name="liters"), "its members must be those of Paint, in order: colour, litres"),
        (COLOUR, PAINT | {"members": [LITRES, MEMBERS[0], None]}, "its members must be those of Paint, in order"),
        (COLOUR, PAINT | {"members": MEMBERS[:2]}, "Paint: must have one ellipsis"),
        (COLOUR, PAINT | {"members": [*MEMBERS, None]}, "Paint: must have one ellipsis"),
        (COLOUR, PAINT | {"members": [MEMBERS[0], None, LITRES]}, "Paint: an addition that is not OPTIONAL"),
        (COLOUR, PAINT | {"members": [MEMBERS[0], None, [LITRES]]}, "Paint: a group of additions is not built"),
        (COLOUR | {"values": [("red", 0), None, ("darkBlue", 1)]}, PAINT, "Colour: must end in an ellipsis"),
        (COLOUR, member(**{"restricted-to": None}), "Paint.litres: needs one range with two bounds"),
        (COLOUR, member(**{"restricted-to": [(0, "MAX")]}), "Paint.litres: needs one range with two bounds"),
        (COLOUR, member(default=3), "Paint.litres: DEFAULT is not built"),
        (COLOUR, member(type="REAL"), "Paint.litres: REAL is not built, or has no class in the table"),
        (COLOUR, member(type="BIT STRING", size=[(1, 8)]), "a BIT STRING of varying size is not built"),
        (COLOUR, member(type="Paint"), "Paint: a type that contains itself is not built"),
        (COLOUR, {"type": "CHOICE", "members": MEMBERS}, "Paint: Paint does not fit CHOICE"),
        (COLOUR | {"values": [("red", 0), None]}, PAINT, "its items must be those of Colour, by name and number"),
        (COLOUR | {"values": [("red", 0), ("darkBlue", 2), None]}, PAINT, "by name and number"),
        (COLOUR | {"values": [("red", 0), ("blue", 1), None]}, PAINT, "by name and number"),
        (COLOUR | {"values": [("red", 0), ("darkBlue", 1)]}, PAINT, "Colour: must have one ellipsis"),
    ],
)
def test_grammar_and_table_that_disagree_are_misuse(colour, paint, text):
    with pytest.raises(Misuse, match=text):
        MessageCodec({"Colour": colour, "Paint": paint}, TABLE, "Paint")


def test_a_root_that_the_grammar_does_not_have_is_misuse():
    with pytest.raises(Misuse, match="the grammar has no type Message"):
        MessageCodec({"Colour": COLOUR}, TABLE, "Message")


def test_a_type_without_a_class_is_misuse():
    with pytest.raises(Misuse, match="ENUMERATED is not built, or has no class in the table"):
        MessageCodec({"Colour": COLOUR, "Paint": PAINT}, {"Paint": Paint}, "Paint")


def test_two_alternatives_of_one_class_are_misuse():
    number = {"type": "INTEGER", "restricted-to": [(0, 9)]}
    either = {"type": "CHOICE", "members": [number | {"name": "a"}, number | {"name": "b"}, None]}
    with pytest.raises(Misuse, match="two alternatives of the same class"):
        MessageCodec({"Either": either}, {}, "Either")


def test_a_converter_that_refuses_names_the_path():
    def even(value: int) -> int:
        if value % 2:
            raise DecodeError("must be even")
        return value

    litres = {"type": "INTEGER", "restricted-to": [(0, 9)]}
    grammar = {"Colour": COLOUR, "Litres": litres, "Paint": member(type="Litres")}
    codec = MessageCodec(grammar, TABLE | {"Litres": Leaf(int, int, even)}, "Paint")
    with pytest.raises(DecodeError, match=r"^litres: must be even$"):
        codec.decode(codec.encode(Paint(Colour.RED, 3)))
