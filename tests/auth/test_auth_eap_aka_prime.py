"""EAP-AKA' of both ends: against another implementation's packets, and against rude peers and networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from doubles.aka import (
    EAP_AKA_PRIME,
    FIRST_SQN,
    NETWORK,
    OPC,
    RAND,
    SUPI,
    K,
    eap_request,
    eap_response,
    first_request,
    usim,
)
from doubles.known_answers import Answer as Known
from doubles.known_answers import known_answers, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.aka import AMF_5G
from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.eap_aka_packet import check_mac, checkcode, request, response
from rprov.auth.eap_aka_prime import EapAkaPrimeNetworkScheme, EapAkaVector
from rprov.auth.eap_aka_prime_peer import EapAkaPrimePeerScheme
from rprov.auth.scheme import Answer, Authenticated, Challenge, Failed, PeerOutcome, Refusal, Resynchronise
from rprov.auth.usim import ARRAY_SIZE, AkaSuccess, AkaSynchFailure, Usim, next_sqn
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, k_ausf_from_emsk, k_seaf
from rprov.crypto.milenage import Milenage
from rprov.crypto.prf_prime import KAut
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode, wanted_types
from rprov.wire.eap_aka import AkaData, IdentityWanted, Notice, Subtype, decode_aka
from rprov.wire.messages import AkaChallenge, AuthenticationFailure, AuthenticationRequest, AuthenticationResponse, Eap

FUNCTIONS = Milenage(K, OPC)
VECTOR = EapAkaVector.make(FUNCTIONS, FIRST_SQN, AMF_5G, NETWORK, RAND, SUPI.text)
K_AUT = VECTOR.keys.k_aut
SUCI = "type0.rid0.schid0.userid0000000001@5gc.mnc001.mcc001.3gppnetwork.org"
CHALLENGE = AkaData(Subtype.CHALLENGE, rand=VECTOR.rand, autn=VECTOR.autn, kdf_input=NETWORK, kdfs=(1,), checkcode=b"")


def _network(**other: Any) -> EapAkaPrimeNetworkScheme:
    scheme = EAP_AKA_PRIME.network(FUNCTIONS, **other)
    assert isinstance(scheme, EapAkaPrimeNetworkScheme)
    return scheme


def _peer(card: Usim | None = None, suci: str | None = None) -> EapAkaPrimePeerScheme:
    return EapAkaPrimePeerScheme(card or usim(FUNCTIONS), SUPI, NETWORK, suci)


def _packet(outcome: object) -> bytes:
    """The EAP packet in whatever an end gives."""
    match outcome:
        case Answer(message=AuthenticationResponse(answer=Eap(packet))) | Challenge(challenge=Eap(packet)):
            return packet
        case Authenticated(eap_success=Eap(packet)) | Failed(eap_failure=Eap(packet)):
            return packet
        case Refusal(message=AuthenticationFailure(eap=Eap(packet))):
            return packet
    raise AssertionError(f"{outcome} has no packet")


def _says(outcome: object) -> AkaData:
    packet = decode(_packet(outcome))
    assert isinstance(packet, Request | Response)
    assert packet.type == EapType.AKA_PRIME
    return decode_aka(packet.data)


def _ask(peer: EapAkaPrimePeerScheme, data: AkaData, identifier: int = 5, sealed: bool = True) -> PeerOutcome:
    """Let the UE take a request, with a right AT_MAC or without any."""
    packet = request(identifier, data, K_AUT if sealed else None)
    return peer.on_request(eap_request(encode(packet)))


def _reply(network: EapAkaPrimeNetworkScheme, data: AkaData, sealed: bool = True, ahead: int = 0) -> Any:
    """Let the network take a response to its outstanding request (or to one `ahead` of it)."""
    packet = response((RAND[0] + ahead) % 256, data, K_AUT if sealed else None)
    return network.on_response(eap_response(encode(packet)))


def _begun(**other: Any) -> EapAkaPrimeNetworkScheme:
    network = _network(**other)
    network.begin()
    return network


# --- against other people's answers -----------------------------------------------------------------------------------


class KnownUsim:
    """A USIM that gives RES, CK and IK of a known answer."""

    def __init__(self, answer: Known) -> None:
        self.answer = answer

    def authenticate(self, rand: bytes, autn: bytes) -> AkaSuccess:
        assert (rand.hex(), autn.hex()) == (self.answer["rand"], self.answer["autn"])
        res, ck, ik = (octets(self.answer[name]) for name in ("res", "ck", "ik"))
        return AkaSuccess(res, ck, ik, autn[:6])


KNOWN = [answer for answer in known_answers("eap_aka_prime") if answer["network_name"].startswith("5G:")]


@pytest.mark.parametrize("answer", KNOWN, ids=lambda answer: answer["id"])
def test_a_known_challenge_gives_the_known_key(answer: Known) -> None:
    """The published cases have no name of 5G and no SUPI: their keys are compared in tests/crypto."""
    peer = EapAkaPrimePeerScheme(KnownUsim(answer), Supi(answer["identity"]), answer["network_name"])
    data = replace(
        CHALLENGE, rand=octets(answer["rand"]), autn=octets(answer["autn"]), kdf_input=answer["network_name"]
    )
    outcome = peer.on_request(eap_request(encode(request(1, data, KAut.parse(answer["k_aut"])))))
    assert isinstance(outcome, Answer)
    assert outcome.k_ausf == KAusf.parse(answer["k_ausf"])
    assert _says(outcome).res == octets(answer["res"])
    response_ = decode(_packet(outcome))
    assert isinstance(response_, Response)
    check_mac(response_, KAut.parse(answer["k_aut"]))


RUNS = known_answers("eap_aka_prime_packets")


def _card(run: Known) -> Usim:
    return Usim(Secret.parse(run["k"]), Secret.parse(run["opc"]), (int(run["card_sqn"], 16) >> 5,) * ARRAY_SIZE)


@pytest.mark.parametrize("run", [run for run in RUNS if "outcome" in run], ids=lambda run: run["id"])
def test_our_network_and_the_recorded_peer(run: Known) -> None:
    k = Secret.parse(run.get("network_k", run["k"]))
    scheme = EapAkaPrimeNetworkScheme(
        supi=Supi(run["supi"]),
        functions=Milenage(k, Secret.parse(run["opc"])),
        amf=AMF_5G,
        sqn=int(run["sqn"], 16),
        network=run["network_name"],
        rand=octets(run["rand"]),
    )
    outcome = scheme.begin()
    for packet in run["packets"]:
        if packet["from"] == "network":
            assert _packet(outcome).hex() == packet["packet"]
        else:
            outcome = scheme.on_response(eap_response(octets(packet["packet"])))
    assert type(outcome).__name__ == run["outcome"]
    if isinstance(outcome, Resynchronise):
        assert outcome.sqn_ms == _card(run).sqn_ms
    if isinstance(outcome, Authenticated):
        assert scheme._vector.keys.msk.octets.hex() == run["msk"]
        assert scheme._vector.keys.k_aut.octets.hex() == run["k_aut"]
        assert outcome.k_seaf == k_seaf(k_ausf_from_emsk(scheme._vector.keys.emsk), run["network_name"])


@pytest.mark.parametrize("run", [run for run in RUNS if run["id"] != "wrong-res"], ids=lambda run: run["id"])
def test_our_ue_answers_as_the_recorded_peer(run: Known) -> None:
    peer = EapAkaPrimePeerScheme(_card(run), Supi(run["supi"]), run["network_name"], run["supi"])
    outcome: Any = None
    key = None
    for packet in run["packets"]:
        eap = octets(packet["packet"])
        if packet["from"] == "peer":
            assert _packet(outcome).hex() == packet["packet"]
        elif isinstance(decode(eap), Request):
            outcome = peer.on_request(eap_request(eap))
            key = getattr(outcome, "k_ausf", None) or key
        elif isinstance(decode(eap), Success):
            peer.accept_success(Eap(eap))
            assert key is not None
            assert key.octets.hex() == run["emsk"][:64]
        else:
            with pytest.raises(Refused):
                peer.accept_success(Eap(encode(Success(eap[1]))))


# --- the network's end ------------------------------------------------------------------------------------------------


@given(bit=st.integers(0, 44 * 8 - 1))
def test_any_bit_flipped_in_the_answer_fails_or_changes_nothing(bit: int) -> None:
    network = _network()
    challenge = network.begin()
    answer = _packet(_peer().on_request(eap_request(_packet(challenge))))
    assert len(answer) == 44
    changed = (int.from_bytes(answer) ^ 1 << bit).to_bytes(44)
    outcome = network.on_response(eap_response(changed))
    if changed[1] != answer[1]:
        assert outcome == challenge  # another identifier is no answer
        assert isinstance(network.on_response(eap_response(answer)), Authenticated)
        return
    while isinstance(outcome, Challenge):
        assert _says(outcome).subtype is Subtype.NOTIFICATION
        outcome = network.on_response(eap_response(encode(Response(_packet(outcome)[1], EapType.NAK, b""))))
    assert isinstance(outcome, Failed)
    assert decode(_packet(outcome)) == Failure(network._identifier)


@pytest.mark.parametrize(
    ("data", "sealed", "cause"),
    [
        (AkaData(Subtype.CHALLENGE, res=bytes(8)), True, Cause.RES_MISMATCH),
        (AkaData(Subtype.CHALLENGE, res=VECTOR.xres[:4]), True, Cause.RES_MISMATCH),
        (AkaData(Subtype.CHALLENGE, res=VECTOR.xres), False, Cause.RES_MISMATCH),
        (AkaData(Subtype.CHALLENGE, res=VECTOR.xres, mac=bytes(16)), False, Cause.RES_MISMATCH),
        (AkaData(Subtype.CHALLENGE, res=VECTOR.xres, checkcode=bytes(32)), True, Cause.EAP_FAILED),
        (AkaData(Subtype.CHALLENGE), True, Cause.INVALID_MANDATORY_INFORMATION),
        (AkaData(Subtype.CHALLENGE, kdfs=(1,)), False, Cause.INVALID_MANDATORY_INFORMATION),
        (AkaData(Subtype.CHALLENGE, kdfs=(2,)), False, Cause.INVALID_MANDATORY_INFORMATION),
        (AkaData(Subtype.IDENTITY, identity=SUCI), False, Cause.EAP_FAILED),
        (AkaData(Subtype.NOTIFICATION), False, Cause.EAP_FAILED),
        (AkaData(Subtype.REAUTHENTICATION), True, Cause.EAP_FAILED),
        (AkaData(Subtype.SYNCHRONIZATION_FAILURE), False, Cause.INVALID_MANDATORY_INFORMATION),
        (AkaData(Subtype.SYNCHRONIZATION_FAILURE, auts=bytes(14)), False, Cause.MAC_FAILURE),
        (AkaData(Subtype.SYNCHRONIZATION_FAILURE, auts=bytes(14), kdfs=(2, 1)), False, Cause.EAP_FAILED),
    ],
)
def test_what_is_wrong_is_notified_before_it_fails(data: AkaData, sealed: bool, cause: Cause) -> None:
    network = _begun()
    notified = _reply(network, data, sealed)
    assert _says(notified) == AkaData(Subtype.NOTIFICATION, notification=Notice.GENERAL_FAILURE)
    outcome = _reply(network, AkaData(Subtype.NOTIFICATION), sealed=False, ahead=1)
    assert isinstance(outcome, Failed)
    assert outcome.cause is cause
    assert decode(_packet(outcome)) == Failure((RAND[0] + 1) % 256)


def test_after_a_notification_even_the_right_answer_does_not_help() -> None:
    network = _begun()
    _reply(network, AkaData(Subtype.CHALLENGE, res=bytes(8)))
    outcome = _reply(network, AkaData(Subtype.CHALLENGE, res=VECTOR.xres), ahead=1)
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.RES_MISMATCH


@pytest.mark.parametrize(
    ("subtype", "cause"),
    [(Subtype.AUTHENTICATION_REJECT, Cause.MAC_FAILURE), (Subtype.CLIENT_ERROR, Cause.EAP_FAILED)],
)
def test_a_refusal_inside_eap_ends_it(subtype: Subtype, cause: Cause) -> None:
    outcome = _reply(_begun(), AkaData(subtype), sealed=False)
    assert isinstance(outcome, Failed)
    assert outcome.cause is cause


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\2",
        bytes((2, RAND[0], 0, 99)),
        encode(Request(RAND[0], EapType.AKA_PRIME, b"\1\0\0")),
        encode(Success(RAND[0])),
        encode(Response(RAND[0], EapType.NAK, b"\x0d")),
        encode(Response(RAND[0], EapType.TLS, b"\0")),
        encode(Response(RAND[0], EapType.IDENTITY, b"me")),
    ],
)
def test_what_is_no_answer_at_all_ends_it(packet: bytes) -> None:
    outcome = _begun().on_response(eap_response(packet))
    assert isinstance(outcome, Failed)
    assert decode(_packet(outcome)) == Failure(RAND[0])


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: _framed(2, tail)))
def test_the_network_never_raises_and_never_believes(octets_: bytes) -> None:
    network = _begun()
    outcome = network.on_response(eap_response(octets_))
    assert isinstance(outcome, Challenge | Failed)


def _framed(code: int, tail: bytes) -> bytes:
    """Arbitrary type data in a right EAP header."""
    return bytes((code, RAND[0])) + (5 + len(tail)).to_bytes(2) + bytes((EapType.AKA_PRIME,)) + tail


def test_a_late_answer_gets_the_request_again_and_not_for_ever() -> None:
    network = _network()
    challenge = network.begin()
    outcomes = [_reply(network, AkaData(Subtype.CHALLENGE, res=VECTOR.xres), ahead=7) for _ in range(MAX_ROUNDS + 1)]
    assert outcomes[:-1] == [challenge] * MAX_ROUNDS
    assert isinstance(outcomes[-1], Failed)


def test_after_the_end_nothing_changes() -> None:
    right = AkaData(Subtype.CHALLENGE, res=VECTOR.xres)
    network = _begun()
    end = _reply(network, right)
    assert isinstance(end, Authenticated)
    assert _reply(network, AkaData(Subtype.AUTHENTICATION_REJECT), sealed=False) == end
    assert network.on_failure(AuthenticationFailure(Cause.MAC_FAILURE)) == end
    network = _begun()
    end = network.on_failure(AuthenticationFailure(Cause.SYNCH_FAILURE, bytes(14)))
    assert end.cause is Cause.USER_AUTHENTICATION_FAILED
    assert _reply(network, right) == end


def test_an_answer_without_checkcode_is_as_good() -> None:
    assert isinstance(_reply(_begun(), AkaData(Subtype.CHALLENGE, res=VECTOR.xres)), Authenticated)


def test_a_run_after_resynchronisation_begins_with_another_identifier() -> None:
    first, second = _network(), _network(rand=bytes(range(16)))
    assert _packet(first.begin())[1] != _packet(second.begin())[1]


@given(bit=st.integers(0, 14 * 8 - 1))
def test_a_changed_auts_resynchronises_nothing(bit: int) -> None:
    synch = usim(FUNCTIONS).authenticate(RAND, EapAkaVector.make(FUNCTIONS, 0, AMF_5G, NETWORK, RAND, "").autn)
    assert isinstance(synch, AkaSynchFailure)
    changed = (int.from_bytes(synch.auts) ^ 1 << bit).to_bytes(14)
    for auts, expected in ((changed, Challenge), (synch.auts, Resynchronise)):
        data = AkaData(Subtype.SYNCHRONIZATION_FAILURE, auts=auts, kdfs=(1,))
        assert isinstance(_reply(_begun(sqn=0), data, sealed=False), expected)


# --- the UE's end -----------------------------------------------------------------------------------------------------


@given(bit=st.integers(0, 112 * 8 - 1))
def test_any_bit_flipped_in_the_challenge_gives_no_key(bit: int) -> None:
    challenge = _packet(_network().begin())
    assert len(challenge) == 112
    changed = (int.from_bytes(challenge) ^ 1 << bit).to_bytes(112)
    outcome = _peer().on_request(eap_request(changed))
    assert getattr(outcome, "k_ausf", None) is None


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: _framed(1, tail)))
def test_the_ue_never_raises_and_never_believes(octets_: bytes) -> None:
    outcome = _peer(suci=SUCI).on_request(eap_request(octets_))
    assert getattr(outcome, "k_ausf", None) is None


REJECT = AkaData(Subtype.AUTHENTICATION_REJECT)
ERROR = AkaData(Subtype.CLIENT_ERROR, client_error=0)


@pytest.mark.parametrize(
    ("change", "sealed", "cause", "says"),
    [
        ({"rand": None}, True, Cause.INVALID_MANDATORY_INFORMATION, ERROR),
        ({"autn": None}, True, Cause.INVALID_MANDATORY_INFORMATION, ERROR),
        ({}, False, Cause.INVALID_MANDATORY_INFORMATION, ERROR),
        ({"kdf_input": None}, True, Cause.INVALID_MANDATORY_INFORMATION, REJECT),
        ({"kdf_input": ""}, True, Cause.INVALID_MANDATORY_INFORMATION, REJECT),
        ({"kdf_input": "WLAN"}, True, Cause.EAP_FAILED, REJECT),
        ({"kdf_input": NETWORK + ":0"}, True, Cause.EAP_FAILED, REJECT),
        ({"kdfs": ()}, True, Cause.EAP_FAILED, REJECT),
        ({"kdfs": (2,)}, True, Cause.EAP_FAILED, REJECT),
        ({"kdfs": (2, 3)}, True, Cause.EAP_FAILED, REJECT),
        ({"kdfs": (1, 1)}, True, Cause.EAP_FAILED, REJECT),
        ({"kdfs": (1, 2, 2)}, True, Cause.EAP_FAILED, REJECT),
        ({"autn": bytes(16)}, True, Cause.MAC_FAILURE, REJECT),
        ({"rand": bytes(16)}, True, Cause.MAC_FAILURE, REJECT),
        ({"mac": bytes(16)}, False, Cause.EAP_FAILED, ERROR),
        ({"checkcode": bytes(32)}, True, Cause.EAP_FAILED, ERROR),
    ],
)
def test_a_wrong_challenge_is_refused(change: dict[str, Any], sealed: bool, cause: Cause, says: AkaData) -> None:
    peer = _peer()
    refusal = _ask(peer, replace(CHALLENGE, **change), sealed=sealed)
    assert isinstance(refusal, Refusal)
    assert refusal.message.cause is cause
    assert not refusal.resynchronising
    assert _says(refusal) == says
    # the UE has made up its mind: the right challenge comes too late
    assert _ask(peer, CHALLENGE, identifier=6) == refusal
    with pytest.raises(Refused):
        peer.accept_success(Eap(encode(Success(5))))


@pytest.mark.parametrize("extra", [{"bidding": True}, {"bidding": False}, {"kdfs": (1, 2)}, {"checkcode": None}])
def test_what_says_nothing_here_is_ignored(extra: dict[str, Any]) -> None:
    outcome = _ask(_peer(), replace(CHALLENGE, **extra))
    assert isinstance(outcome, Answer)
    assert outcome.k_ausf == k_ausf_from_emsk(VECTOR.keys.emsk)
    assert _says(outcome).checkcode == b""


def test_the_ue_chooses_the_function_that_it_knows() -> None:
    peer = _peer()
    chosen = _ask(peer, replace(CHALLENGE, kdfs=(2, 1)))
    assert isinstance(chosen, Answer)
    assert chosen.k_ausf is None
    assert _says(chosen) == AkaData(Subtype.CHALLENGE, kdfs=(1,))
    outcome = _ask(peer, replace(CHALLENGE, kdfs=(1, 2, 1)), identifier=6)
    assert isinstance(outcome, Answer)
    assert outcome.k_ausf is not None


@pytest.mark.parametrize("kdfs", [(1,), (1, 2), (1, 1, 2), (2, 1), (1, 2, 1, 3), (1, 3, 1), ()])
def test_an_offer_that_changes_under_way_is_refused(kdfs: tuple[int, ...]) -> None:
    peer = _peer()
    _ask(peer, replace(CHALLENGE, kdfs=(2, 1)))
    refusal = _ask(peer, replace(CHALLENGE, kdfs=kdfs), identifier=6)
    assert isinstance(refusal, Refusal)
    assert _says(refusal) == REJECT


@pytest.mark.parametrize("kind", [EapType.TLS, EapType.AKA, 18, 254])
def test_another_method_is_refused_with_a_nak(kind: int) -> None:
    peer = _peer()
    nak = peer.on_request(eap_request(encode(Request(5, kind, b"\1\0\0\0\0\0\1"))))
    answer = decode(_packet(nak))
    assert isinstance(answer, Response)
    assert (answer.identifier, answer.type, answer.expanded) == (5, EapType.NAK, kind == EapType.EXPANDED)
    assert wanted_types(answer) == (EapType.AKA_PRIME,)
    assert isinstance(_ask(peer, CHALLENGE, identifier=6), Answer)


def test_identity_and_notification_of_eap_itself_are_answered() -> None:
    peer = _peer(suci=SUCI)
    answers = [peer.on_request(eap_request(encode(Request(9, kind, b"hi")))) for kind in (1, 2)]
    assert [decode(_packet(answer)) for answer in answers] == [Response(9, 1, SUCI.encode()), Response(9, 2, b"")]


def _identities(*wanted: IdentityWanted) -> tuple[EapAkaPrimePeerScheme, list[Request | Response], PeerOutcome]:
    peer = _peer(suci=SUCI)
    seen: list[Request | Response] = []
    outcome: Any = None
    for identifier, kind in enumerate(wanted):
        asked = request(identifier, AkaData(Subtype.IDENTITY, wanted=kind))
        outcome = peer.on_request(eap_request(encode(asked)))
        answered = decode(_packet(outcome))
        assert isinstance(answered, Response)
        seen += (asked, answered)
    return peer, seen, outcome


def test_identity_requests_get_the_suci_and_are_covered_by_the_checkcode() -> None:
    peer, seen, outcome = _identities(IdentityWanted.ANY, IdentityWanted.FULL_AUTHENTICATION)
    assert _says(outcome) == AkaData(Subtype.IDENTITY, identity=SUCI)
    answer = _ask(peer, replace(CHALLENGE, checkcode=checkcode(seen)), identifier=9)
    assert isinstance(answer, Answer)
    assert answer.k_ausf is not None
    assert _says(answer).checkcode == checkcode(seen)


def test_an_identity_round_that_the_network_knows_nothing_of_is_found_out() -> None:
    peer, seen, _ = _identities(IdentityWanted.ANY)
    for wrong in (b"", checkcode(seen[:1]), checkcode([*seen, *seen])):
        again, _, _ = _identities(IdentityWanted.ANY)
        assert isinstance(_ask(again, replace(CHALLENGE, checkcode=wrong), identifier=9), Refusal)
    assert isinstance(_ask(peer, replace(CHALLENGE, checkcode=None), identifier=9), Answer)


@pytest.mark.parametrize(
    "wanted",
    [
        (IdentityWanted.PERMANENT,),
        (IdentityWanted.ANY, IdentityWanted.PERMANENT),
        (IdentityWanted.ANY, IdentityWanted.ANY),
        (IdentityWanted.FULL_AUTHENTICATION, IdentityWanted.ANY),
    ],
)
def test_the_permanent_identity_is_never_given_and_none_twice(wanted: tuple[IdentityWanted, ...]) -> None:
    _, _, outcome = _identities(*wanted)
    assert isinstance(outcome, Refusal)
    assert _says(outcome) == ERROR
    assert SUPI.text not in str(_packet(outcome))


def test_without_a_suci_identity_requests_are_refused() -> None:
    data = AkaData(Subtype.IDENTITY, wanted=IdentityWanted.ANY)
    assert isinstance(_ask(_peer(), data, sealed=False), Refusal)
    assert isinstance(_ask(_peer(suci=SUCI), replace(data, wanted=None), sealed=False), Refusal)


@pytest.mark.parametrize("subtype", [Subtype.REAUTHENTICATION, Subtype.CLIENT_ERROR, Subtype.SYNCHRONIZATION_FAILURE])
def test_requests_that_nobody_may_make_are_refused(subtype: Subtype) -> None:
    assert _says(_ask(_peer(), AkaData(subtype))) == ERROR


@pytest.mark.parametrize(
    "message",
    [
        AuthenticationRequest(1, b"\0\0", AkaChallenge(bytes(16), bytes(16))),
        AuthenticationRequest(1, b"\0", Eap(encode(request(5, CHALLENGE, K_AUT)))),
        eap_request(b""),
        eap_request(encode(Success(5))),
        eap_request(encode(Failure(5))),
        eap_request(encode(response(5, CHALLENGE, K_AUT))),
    ],
)
def test_what_is_no_request_at_all_ends_it(message: AuthenticationRequest) -> None:
    peer = _peer()
    refusal = peer.on_request(message)
    assert isinstance(refusal, Refusal)
    assert refusal.message.eap is None


def test_too_many_rounds_end_it() -> None:
    peer = _peer()
    outcomes = [peer.on_request(eap_request(encode(Request(n, EapType.NOTIFICATION, b"")))) for n in range(51)]
    assert all(isinstance(outcome, Answer) for outcome in outcomes[:-1])
    assert isinstance(outcomes[-1], Refusal)


# --- after the answer -------------------------------------------------------------------------------------------------


def _answered() -> tuple[EapAkaPrimePeerScheme, Answer]:
    peer = _peer()
    answer = _ask(peer, CHALLENGE)
    assert isinstance(answer, Answer)
    assert answer.k_ausf is not None
    return peer, answer


SUCCESS = Eap(encode(Success(5)))


@given(st.binary(max_size=120) | st.binary(max_size=80).map(lambda tail: _framed(1, tail)))
def test_nothing_without_a_mac_changes_anything_any_more(octets_: bytes) -> None:
    peer, _ = _answered()
    assert isinstance(peer.on_request(eap_request(octets_)), Answer)
    peer.accept_success(SUCCESS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AuthenticationRequest(1, b"\0\0", AkaChallenge(bytes(16), bytes(16))),
        lambda: eap_request(encode(request(6, replace(CHALLENGE, autn=bytes(16)), K_AUT))),
        lambda: first_request(_network(sqn=next_sqn(FIRST_SQN), rand=bytes(16))),
        lambda: eap_request(encode(Request(6, EapType.TLS, b"\x20"))),
        lambda: eap_request(encode(Failure(5))),
        lambda: eap_request(encode(request(6, AkaData(Subtype.NOTIFICATION, notification=0)))),
        lambda: eap_request(encode(request(6, AkaData(Subtype.NOTIFICATION, notification=0, mac=bytes(16))))),
        lambda: eap_request(encode(request(6, AkaData(Subtype.IDENTITY, wanted=IdentityWanted.PERMANENT)))),
        lambda: eap_request(encode(request(6, AkaData(Subtype.NOTIFICATION), K_AUT))),
    ],
)
def test_late_requests_get_the_last_answer_again(make: Callable[[], AuthenticationRequest]) -> None:
    peer, answer = _answered()
    assert peer.on_request(make()) == answer
    peer.accept_success(SUCCESS)


def test_a_late_notification_of_failure_with_a_mac_makes_success_impossible() -> None:
    peer, _ = _answered()
    told = _ask(peer, AkaData(Subtype.NOTIFICATION, notification=Notice.TEMPORARILY_DENIED), identifier=6)
    assert _says(told).mac is not None
    for identifier in (5, 6):
        with pytest.raises(Refused):
            peer.accept_success(Eap(encode(Success(identifier))))


@pytest.mark.parametrize(
    ("code", "sealed"), [(Notice.GENERAL_FAILURE, False), (Notice.GENERAL_FAILURE, True), (Notice.SUCCESS, True)]
)
def test_other_notifications_are_acknowledged_and_change_nothing(code: Notice, sealed: bool) -> None:
    peer, _ = _answered()
    told = _ask(peer, AkaData(Subtype.NOTIFICATION, notification=code), identifier=6, sealed=sealed)
    assert _says(told).subtype is Subtype.NOTIFICATION
    peer.accept_success(SUCCESS)


@pytest.mark.parametrize("code", [Notice.SUCCESS, Notice.GENERAL_FAILURE_AFTER, Notice.NOT_SUBSCRIBED, None])
def test_an_early_notification_that_needs_a_mac_is_refused(code: Notice | None) -> None:
    refusal = _ask(_peer(), AkaData(Subtype.NOTIFICATION, notification=code), sealed=False)
    assert isinstance(refusal, Refusal)
    assert _says(refusal) == ERROR


def test_an_early_notification_is_acknowledged() -> None:
    peer = _peer()
    told = _ask(peer, AkaData(Subtype.NOTIFICATION, notification=Notice.GENERAL_FAILURE), sealed=False)
    assert _says(told) == AkaData(Subtype.NOTIFICATION)


@pytest.mark.parametrize("eap", [None, Eap(b""), Eap(encode(Success(6))), Eap(encode(Failure(5))), Eap(b"\3\5\0\5\0")])
def test_only_the_success_of_the_last_round_is_accepted(eap: Eap | None) -> None:
    peer, _ = _answered()
    with pytest.raises(Refused):
        peer.accept_success(eap)
    with pytest.raises(Refused):
        _peer().accept_success(SUCCESS)
    peer.accept_success(SUCCESS)


def test_a_packet_cut_short_is_no_packet() -> None:
    packet = _packet(_network().begin())
    for end in range(len(packet)):
        with pytest.raises(DecodeError):
            decode(packet[:end])
