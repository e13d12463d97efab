"""What of a capture can be played again, and what holds in its own run only."""

from collections.abc import Sequence

import pytest
from doubles.captures import LOWER, UPPER

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.model.identifiers import CpUeId, Eid, Plmn, RanUeId, UeRadioId
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader
from rprov.trace.behaviour import Draws, Said
from rprov.trace.capture import Captured
from rprov.trace.script import Against, Script, script_of
from rprov.wire import eap, link, radio
from rprov.wire.eap_tls import ACKNOWLEDGEMENT, START_FRAGMENT, Fragment, encode_fragment
from rprov.wire.link_asn1 import encode_link
from rprov.wire.messages import (
    AkaAnswer,
    AkaChallenge,
    AttachReject,
    AttachRequest,
    AttachType,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
    NasMessage,
    SecurityModeCommand,
    SecurityModeComplete,
)
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio_asn1 import encode_radio

PLMN = Plmn("001", "01")
EID = Eid.parse("89049032123451234512345678901235")
CAPABILITY = SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,))
ATTACH = AttachRequest(AttachType.REMOTE_PROVISIONING, EID, 7, CAPABILITY)
COMMAND = SecurityModeCommand(Nea.NEA2, Nia.NIA2, 0, CAPABILITY, b"\0\0")
CHALLENGE = AuthenticationRequest(0, b"\0\0", AkaChallenge(bytes(16), bytes(16)))
RES = AuthenticationResponse(AkaAnswer(bytes(16)))
RECORD, SEALED, ALERT = b"\x16\x03\x03\x00\x01\x02", b"\x17\x03\x03\x00\x01\x02", b"\x15\x03\x03\x00\x02\x02\x46"
UE, OTHER = 0x0A0B0C0D, 0x0A0B0C0E


def ask(fragment: Fragment, number: int = 1) -> AuthenticationRequest:
    return AuthenticationRequest(
        0, b"\0\0", Eap(eap.encode(eap.Request(number, eap.EapType.TLS, encode_fragment(fragment))))
    )


def answer(fragment: Fragment, number: int = 1) -> AuthenticationResponse:
    return AuthenticationResponse(Eap(eap.encode(eap.Response(number, eap.EapType.TLS, encode_fragment(fragment)))))


def on_n2(*said: NasMessage | link.LinkMessage, ue: int = UE, protected: Sequence[type] = ()) -> list[Captured]:
    """Messages of a RAN and its CP, the direction by what they are; frames count from 1."""
    downlink = (AuthenticationRequest, AuthenticationReject, AttachReject, SecurityModeCommand, link.N2SetupResponse)
    found = []
    for number, message in enumerate(said, 1):
        control = isinstance(message, link.LinkMessage)
        if control:
            frame = link.N2Frame(RanUeId(0), CpUeId(0), link.N2Kind.CONTROL, encode_link(message))  # type: ignore[arg-type]
        else:
            octets = encode_nas(message)  # type: ignore[arg-type]
            head = SecurityHeader.INTEGRITY_NEW_CONTEXT
            sealed = ProtectedPdu(head, b"\1\2\3\4", 0, octets) if type(message) in protected else PlainPdu(octets)
            frame = link.N2Frame(RanUeId(ue), CpUeId(9), link.N2Kind.NAS, sealed.encode())
        ends = (UPPER, LOWER) if isinstance(message, downlink) else (LOWER, UPPER)
        found.append(Captured(number, 0.0, "n2", *ends, None, None if control else ue, frame.encode()))
    return found


SETUP = (link.N2SetupRequest("ran", PLMN, 1), link.N2SetupResponse("cp", PLMN, True))


def ends(script: Script) -> list[tuple[int, Draws]]:
    return [(line.frame, line.ends) for line in script.lines if line.ends]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((ATTACH, AttachReject(Cause.NO_ORDER)), []),
        ((ATTACH, ask(START_FRAGMENT), answer(Fragment(RECORD)), ask(Fragment(RECORD))), []),
        (
            (ATTACH, ask(START_FRAGMENT), answer(Fragment(RECORD)), ask(Fragment(RECORD)), answer(Fragment(SEALED))),
            [(7, Draws.TLS)],
        ),
        # Fragments are acknowledged by nothing that depends on anything, and a plain alert is the same for all.
        ((ask(START_FRAGMENT), answer(Fragment(RECORD)), ask(Fragment(RECORD, True)), answer(ACKNOWLEDGEMENT)), []),
        ((ask(START_FRAGMENT), answer(Fragment(RECORD)), ask(Fragment(RECORD)), answer(Fragment(ALERT))), []),
        ((CHALLENGE, RES, COMMAND), [(4, Draws.RAND)]),
        ((CHALLENGE, RES, AuthenticationReject(Cause.MAC_FAILURE)), []),
        ((CHALLENGE, AuthenticationFailure(Cause.MAC_FAILURE)), []),
        ((CHALLENGE, AuthenticationFailure(Cause.SYNCH_FAILURE, bytes(14))), [(4, Draws.RAND)]),
        ((SecurityModeComplete(b"x"),), [(3, Draws.KEYS)]),
    ],
)
def test_to_a_cp_everything_is_played_that_rests_on_nothing_drawn(
    said: tuple[NasMessage, ...], found: list[tuple[int, Draws]]
) -> None:
    script = script_of(on_n2(*SETUP, *said, protected=(SecurityModeCommand, SecurityModeComplete)), Against.CP)
    assert ends(script) == found
    assert script.lines[-1].frame == (found[-1][0] if found else 2 + len(said)), "what follows is left out"


def test_one_ue_ends_and_another_goes_on() -> None:
    first = on_n2(*SETUP, CHALLENGE, RES, COMMAND)
    second = on_n2(ATTACH, AttachReject(Cause.NO_ORDER), ue=OTHER)
    script = script_of([*first, *second], Against.CP)
    assert [(line.lane, str(line.heard.said)) for line in script.lines][2:] == [
        (UE, "AuthenticationRequest (5G-AKA)"),
        (UE, "AuthenticationResponse (5G-AKA)"),
        (OTHER, "AttachRequest (REMOTE_PROVISIONING, by Eid)"),
        (OTHER, "AttachReject (cause NO_ORDER)"),
    ]
    alone = script_of([*first, *second], Against.CP, OTHER)
    assert [line.lane for line in alone.lines] == [0, 0, OTHER, OTHER]
    with pytest.raises(DecodeError, match="no messages of UE 0x00000001"):
        script_of(first, Against.CP, 1)


def test_fragments_after_the_first_are_not_taken_for_records() -> None:
    said = [ask(Fragment(RECORD, True, 12)), answer(ACKNOWLEDGEMENT), ask(Fragment(ALERT, True)), ask(Fragment(ALERT))]
    script = script_of(on_n2(*SETUP, *said), Against.CP)
    kinds = [line.heard.said.kind for line in script.lines[2:]]
    assert kinds == ["EAP-TLS, handshake", "EAP-TLS acknowledgement", "EAP-TLS, more of it", "EAP-TLS, more of it"]


# --- to a device ------------------------------------------------------------------------------------------------------


def on_radio(*said: NasMessage, device: tuple[str, int] = LOWER, ue: int = UE) -> list[Captured]:
    """A cell and one device, which has a connection already."""

    def cell(message: radio.RadioMessage, up: bool, number: int) -> Captured:
        frame = radio.RadioFrame(UeRadioId(0), encode_radio(message))
        return Captured(number, 0.0, "radio", *((device, UPPER) if up else (UPPER, device)), None, None, frame.encode())

    found = [
        cell(radio.CellInfo(PLMN, 1, True), False, 1),
        cell(radio.RrcSetupRequest(b"abcd"), True, 2),
        cell(radio.RrcSetup(b"abcd", UeRadioId(ue)), False, 3),
    ]
    for number, message in enumerate(said, 4):
        octets = encode_nas(message)
        sealed = isinstance(message, SecurityModeCommand)
        head = SecurityHeader.INTEGRITY_NEW_CONTEXT
        nas = (ProtectedPdu(head, b"\1\2\3\4", 0, octets) if sealed else PlainPdu(octets)).encode()
        pdu = b"\0\0" + radio.encode_srb(radio.SrbKind.NAS, nas) + bytes(4)
        up = isinstance(message, AttachRequest | AuthenticationResponse | AuthenticationFailure)
        pair = (device, UPPER) if up else (UPPER, device)
        found.append(Captured(number, 0.0, "radio", *pair, None, ue, radio.RadioFrame(UeRadioId(ue), pdu).encode()))
    return found


def test_to_a_device_aka_is_played_whole_and_tls_as_far_as_its_hello() -> None:
    aka = script_of(on_radio(ATTACH, CHALLENGE, RES, COMMAND), Against.UE)
    assert (ends(aka), len(aka.lines)) == ([], 7)
    assert [line.played for line in aka.lines] == [True, False, True, False, True, False, True]
    tls = script_of(
        on_radio(ATTACH, ask(START_FRAGMENT), answer(Fragment(RECORD)), ask(Fragment(RECORD)), COMMAND), Against.UE
    )
    assert (ends(tls), len(tls.lines)) == ([(7, Draws.TLS)], 7)


def test_one_device_of_several_is_played_to() -> None:
    both = [*on_radio(ATTACH), *on_radio(ATTACH, CHALLENGE, device=("192.0.2.9", 5), ue=OTHER)]
    first, named = script_of(both, Against.UE), script_of(both, Against.UE, OTHER)
    assert (len(first.lines), first.others) == (4, 1)
    assert (len(named.lines), named.lines[-1].heard.said) == (5, Said("AuthenticationRequest", None, "5G-AKA"))
    with pytest.raises(DecodeError, match="no RrcSetup of UE 0x00000001"):
        script_of(both, Against.UE, 1)


@pytest.mark.parametrize("against", Against)
def test_a_capture_without_the_link_or_its_beginning_is_refused(against: Against) -> None:
    with pytest.raises(DecodeError, match="has no messages of"):
        script_of([], against)
    with pytest.raises(DecodeError, match="could begin with"):
        script_of(on_n2(ATTACH) if against is Against.CP else on_radio(ATTACH)[3:], against)
