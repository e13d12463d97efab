"""The CP as pass-through authenticator, without sockets: our device, an AAA server in memory, and what is no answer."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from doubles.memory_aaa import SECRET, TERMS, MemoryAaa, msk_side
from doubles.pki import EID, NOW, OTHER_EID, PLMN, shared_pki
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.radius_exchange import AccessAnswer, AccessRequest, Sealed
from rprov.auth.radius_scheme import RadiusNetworkScheme
from rprov.auth.scheme import (
    Answer,
    Authenticated,
    Challenge,
    Discarded,
    Failed,
    PeerProved,
    Pending,
    Refusal,
    TurnedAway,
)
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, Msk, k_ausf_from_msk, k_seaf
from rprov.errors import DecodeError, MacMismatch, Misuse, PeerError, Unprotected
from rprov.model.env import Env
from rprov.model.identifiers import Eid, EidHint
from rprov.wire import eap
from rprov.wire.messages import (
    ABBA,
    ABBA_MSK,
    AkaAnswer,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)
from rprov.wire.radius import Attribute, Code, Kind, Packet, SharedSecret, seal_answer, seal_request
from rprov.wire.radius_attributes import join_eap, mppe_keys, split_eap

NETWORK = PLMN.serving_network_name
UE_ENV: Any = Env(0.0, NOW, bytes, None, None)
HINT = EidHint.of(EID)


def scheme(claimed: Eid | EidHint = EID) -> RadiusNetworkScheme:
    return RadiusNetworkScheme(claimed, NETWORK, TERMS)


@dataclass
class Run:
    """One authentication, driven to its end."""

    claimed: Eid | EidHint = EID
    aaa: MemoryAaa = field(default_factory=MemoryAaa)
    ue: Any = field(default_factory=lambda: msk_side()(PLMN, UE_ENV))
    k_ausf: KAusf | None = None
    refusal: Refusal | None = None
    proved: PeerProved | None = None
    authorise: bool = True

    def run(self) -> Any:
        self.network = scheme(self.claimed)
        outcome: Any = self.network.begin()
        while True:
            match outcome:
                case Pending(request=request, listener=listener):
                    outcome = listener.on_aaa(self.aaa.answer(request))
                case Challenge(challenge=challenge, abba=abba):
                    outcome = self.network_after(self.ue.on_request(AuthenticationRequest(0, abba, challenge)))
                case PeerProved():
                    self.proved = outcome
                    outcome = self.network.authorise() if self.authorise else self.network.refuse(Cause.NO_ORDER)
                case _:
                    return outcome

    def network_after(self, answer: Any) -> Any:
        if isinstance(answer, Refusal):
            self.refusal = answer
            return self.network.on_failure(answer.message)
        self.k_ausf = answer.k_ausf or self.k_ausf
        return self.network.on_response(answer.message)


def said(request: AccessRequest, kind: Kind) -> list[bytes]:
    return [value for found, value in request.attributes if found == kind]


# --- as it should be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [EID, HINT], ids=["eid", "hint"])
def test_device_and_network_hold_the_same_keys_of_the_msk(claimed):
    run = Run(claimed)
    done = run.run()
    assert isinstance(done, Authenticated)
    assert (done.identity, done.abba) == (EID, ABBA_MSK)
    assert run.k_ausf is not None
    assert done.k_seaf == k_seaf(run.k_ausf, NETWORK)
    run.ue.accept_success(done.eap_success)
    assert run.proved.eid == EID
    assert run.proved.certificate == "AAA server aaa has seen its certificate"


def test_every_request_says_what_rfc_3579_wants():
    run = Run()
    run.run()
    first, *others = run.aaa.asked
    identity = eap.decode(b"".join(said(first, Kind.EAP_MESSAGE)))
    assert identity == eap.Response(0, eap.EapType.IDENTITY, b"anonymous@rsp.mnc001.mcc001.3gppnetwork.org")
    assert first.server is None
    assert not said(first, Kind.STATE)
    states = {value for request in others for value in said(request, Kind.STATE)}
    assert len(states) == 1
    for request in run.aaa.asked:
        assert said(request, Kind.USER_NAME) == [TERMS.identity]
        assert said(request, Kind.NAS_IDENTIFIER) == [b"cp"]
        assert said(request, Kind.FRAMED_MTU) == [(1400).to_bytes(4)]
        assert said(request, Kind.CHARGEABLE_USER_IDENTITY) == [b"\0"]
        assert said(request, Kind.CALLING_STATION_ID) == [EID.digits.encode()]
        assert Kind.PROXY_STATE not in [kind for kind, _ in request.attributes]
    assert {request.server for request in others} == {"aaa"}


def test_a_hidden_eid_is_in_no_request():
    run = Run(HINT)
    run.run()
    for request in run.aaa.asked:
        assert EID.digits.encode() not in b"".join(value for _, value in request.attributes)
        assert not said(request, Kind.CALLING_STATION_ID)


def test_the_message_authenticator_is_the_first_attribute_on_the_wire():
    request = scheme().begin().request
    assert Sealed.of(request, 7, bytes(range(16)), SECRET).packet.attributes[0].type == Kind.MESSAGE_AUTHENTICATOR


def test_no_eap_packet_is_longer_than_the_way_to_the_device_allows():
    run = Run(aaa=MemoryAaa(options={"fragment": 1400}))
    run.run()
    assert run.k_ausf is not None


@pytest.mark.parametrize("fragment", [100, 120])
def test_tiny_fragments(fragment):
    run = Run(aaa=MemoryAaa(options={"fragment": fragment}))
    assert isinstance(run.run(), Authenticated)
    assert len(run.aaa.asked) > 10


# --- everybody's no -----------------------------------------------------------------------------------------------


def test_no_order_is_told_under_the_keys():
    run = Run(authorise=False)
    ended = run.run()
    assert isinstance(ended, TurnedAway)
    assert ended.cause is Cause.NO_ORDER
    assert ended.authenticated.k_seaf == k_seaf(run.k_ausf, NETWORK)


def test_the_eid_of_another_is_told_under_the_keys_of_who_claimed_it():
    ended = Run(OTHER_EID).run()
    assert isinstance(ended, TurnedAway)
    assert (ended.cause, ended.authenticated.identity) == (Cause.EID_MISMATCH, OTHER_EID)


def test_a_hint_that_does_not_cover_the_certificate():
    ended = Run(EidHint("89044500")).run()
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.EID_MISMATCH


@pytest.mark.parametrize("claimed", [EID, HINT], ids=["eid", "hint"])
def test_a_server_that_does_not_say_whose_certificate_it_was(claimed):
    def anonymous(answer: AccessAnswer) -> AccessAnswer:
        kept = [item for item in answer.packet.attributes if item.type not in (Kind.USER_NAME, 89)]
        return replace(answer, packet=replace(answer.packet, attributes=(*kept, Attribute(1, TERMS.identity))))

    ended = Run(claimed, aaa=MemoryAaa(change=anonymous)).run()
    assert isinstance(ended, TurnedAway if claimed == EID else Failed)
    assert ended.cause is Cause.NETWORK_FAILURE
    assert "does not say whose certificate" in ended.detail


@pytest.mark.parametrize("device", ["device_of_other_ci", "expired_device", "foreign_device", "roleless_device"])
def test_a_device_that_the_server_does_not_believe(device):
    ended = Run(ue=msk_side(getattr(shared_pki(), device))(PLMN, UE_ENV)).run()
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.EAP_FAILED
    assert isinstance(eap.decode(ended.eap_failure.packet), eap.Failure)
    assert "AAA server aaa has refused the device" in ended.detail


def test_a_device_that_refuses_the_network_tells_the_server_why():
    run = Run(ue=msk_side(name="another.example")(PLMN, UE_ENV))
    ended = run.run()
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.NETWORK_NAME_MISMATCH
    assert run.k_ausf is None
    assert ended.farewell is not None
    run.aaa.answer(ended.farewell)
    assert [item.cause for item in run.aaa.ended] == [Cause.EAP_FAILED]


# --- downgrade ----------------------------------------------------------------------------------------------------


def test_a_device_begins_with_one_abba_and_stays_with_it():
    ue = msk_side()(PLMN, UE_ENV)
    start = Eap(eap.encode(eap.Request(1, eap.EapType.TLS, b"\x20")))
    assert isinstance(ue.on_request(AuthenticationRequest(0, ABBA, start)), Answer)
    assert ue.on_request(AuthenticationRequest(0, ABBA_MSK, start)) == Discarded()
    assert isinstance(ue.on_request(AuthenticationRequest(0, ABBA, start)), Answer)


def test_abba_that_nobody_offered_is_refused():
    ue = msk_side()(PLMN, UE_ENV)
    refusal = ue.on_request(AuthenticationRequest(0, b"\0\2", Eap(b"\1\1\0\6\x0d\x20")))
    assert isinstance(refusal, Refusal)
    assert refusal.message.cause is Cause.EAP_FAILED


# --- what a server may answer -------------------------------------------------------------------------------------


def request_packet(identifier: int = 9, kind: int = eap.EapType.TLS, data: bytes = b"\x20") -> bytes:
    return eap.encode(eap.Request(identifier, kind, data))


def answer(code: Code, *attributes: Attribute, packet: bytes | None = None, msk: Msk | None = None) -> AccessAnswer:
    carried = () if packet is None else split_eap(packet)
    return AccessAnswer("aaa", Packet(code, 1, bytes(16), (*carried, *attributes)), msk)


def begun(claimed: Eid | EidHint = EID) -> RadiusNetworkScheme:
    network = scheme(claimed)
    network.begin()
    return network


def challenged(claimed: Eid | EidHint = EID, kind: int = eap.EapType.TLS) -> RadiusNetworkScheme:
    network = begun(claimed)
    assert isinstance(network.on_aaa(answer(Code.ACCESS_CHALLENGE, packet=request_packet(kind=kind))), Challenge)
    return network


SUCCESS = eap.encode(eap.Success(9))
MSK = Msk(bytes(64))
NAMED = Attribute(Kind.USER_NAME, EID.digits.encode())


def test_an_accept_after_eap_tls_is_a_proof():
    assert isinstance(challenged().on_aaa(answer(Code.ACCESS_ACCEPT, NAMED, packet=SUCCESS, msk=MSK)), PeerProved)


@pytest.mark.parametrize("kind", [4, 25, 26, 52], ids=["MD5", "PEAP", "MSCHAPv2", "PWD"])
def test_an_accept_after_another_method_is_none(kind):
    ended = challenged(kind=kind).on_aaa(answer(Code.ACCESS_ACCEPT, NAMED, packet=SUCCESS, msk=MSK))
    assert isinstance(ended, Failed)
    assert f"by EAP type {kind}" in ended.detail


def test_an_accept_at_once_is_none():
    assert isinstance(begun().on_aaa(answer(Code.ACCESS_ACCEPT, NAMED, packet=SUCCESS, msk=MSK)), Failed)


IMPOSSIBLE = {
    "an accept without EAP": answer(Code.ACCESS_ACCEPT, NAMED, msk=MSK),
    "an accept with a failure": answer(Code.ACCESS_ACCEPT, NAMED, packet=eap.encode(eap.Failure(9)), msk=MSK),
    "an accept with a request": answer(Code.ACCESS_ACCEPT, NAMED, packet=request_packet(), msk=MSK),
    "an accept without keys": answer(Code.ACCESS_ACCEPT, NAMED, packet=SUCCESS),
    "a challenge without EAP": answer(Code.ACCESS_CHALLENGE),
    "a challenge with a success": answer(Code.ACCESS_CHALLENGE, packet=SUCCESS),
    "a challenge with a response": answer(Code.ACCESS_CHALLENGE, packet=eap.encode(eap.Response(9, 13, b""))),
    "two States": answer(
        Code.ACCESS_CHALLENGE, Attribute(Kind.STATE, b"a"), Attribute(Kind.STATE, b"b"), packet=request_packet()
    ),
    "EAP in pieces that do not follow": AccessAnswer(
        "aaa",
        Packet(Code.ACCESS_CHALLENGE, 1, bytes(16), (Attribute(79, b"\1"), Attribute(24, b"s"), Attribute(79, b""))),
    ),
    "an EAP packet that is too long for NAS": answer(
        Code.ACCESS_CHALLENGE, packet=bytes((1, 9)) + (1501).to_bytes(2) + bytes((13,)) + bytes(1496)
    ),
    "an answer that nobody can give": answer(Code.STATUS_SERVER),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_an_impossible_answer_is_the_networks_fault(what):
    ended = challenged().on_aaa(IMPOSSIBLE[what])
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.NETWORK_FAILURE
    assert "AAA server aaa" in ended.detail


@pytest.mark.parametrize("packet", [None, eap.encode(eap.Failure(9)), SUCCESS], ids=["nothing", "failure", "success"])
def test_a_reject_is_a_failure_whatever_is_in_it(packet):
    text = Attribute(Kind.REPLY_MESSAGE, b"go \x07away")
    ended = challenged().on_aaa(answer(Code.ACCESS_REJECT, text, packet=packet, msk=MSK))
    assert isinstance(ended, Failed)
    assert ended.cause is Cause.EAP_FAILED
    assert eap.decode(ended.eap_failure.packet) == eap.Failure(9)
    assert ended.detail.endswith("has refused the device: go ?away")


def test_rounds_have_an_end():
    network = begun()
    for number in range(MAX_ROUNDS):
        outcome = network.on_aaa(answer(Code.ACCESS_CHALLENGE, packet=request_packet(number)))
        assert isinstance(outcome, Challenge)
        network.on_response(AuthenticationResponse(Eap(eap.encode(eap.Response(number, 13, b"")))))
    ended = network.on_aaa(answer(Code.ACCESS_CHALLENGE, packet=request_packet(77)))
    assert isinstance(ended, Failed)
    assert "too many EAP rounds" in ended.detail


def test_nobody_answers():
    ended = begun().on_aaa_silent("no answer of aaa")
    assert isinstance(ended, Failed)
    assert (ended.cause, ended.detail) == (Cause.NETWORK_FAILURE, "no answer of aaa")


# --- what a device may answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"rubbish",
        eap.encode(eap.Response(8, 13, b"")),
        eap.encode(eap.Request(9, 13, b"")),
        SUCCESS,
        eap.encode(eap.Failure(9)),
    ],
)
def test_what_does_not_answer_the_request_reaches_no_server(packet):
    network = challenged()
    assert network.on_response(AuthenticationResponse(Eap(packet))) == Discarded()
    good = AuthenticationResponse(Eap(eap.encode(eap.Response(9, 13, b""))))
    assert isinstance(network.on_response(good), Pending)
    assert network.on_response(good) == Discarded()  # it is with the server already


def test_an_answer_of_another_scheme():
    assert isinstance(challenged().on_response(AuthenticationResponse(AkaAnswer(bytes(16)))), Failed)


@pytest.mark.parametrize("last", [None, Eap(eap.encode(eap.Response(3, 13, b"")))])
def test_a_refusal_without_last_words_of_this_exchange_goes_to_no_server(last):
    ended = challenged().on_failure(AuthenticationFailure(Cause.NETWORK_ANCHOR_UNKNOWN, eap=last))
    assert (ended.cause, ended.farewell) == (Cause.NETWORK_ANCHOR_UNKNOWN, None)


def test_our_own_mistakes_are_called_so():
    with pytest.raises(Misuse):
        begun().authorise()
    with pytest.raises(Misuse):
        begun().refuse(Cause.NO_ORDER)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8), st.sampled_from(list(Code)))
@settings(max_examples=200)
def test_any_answer_has_an_outcome(attributes, code):
    packet = Packet(code, 1, bytes(16), tuple(Attribute(*item) for item in attributes))
    outcome = challenged().on_aaa(AccessAnswer("aaa", packet, MSK))
    assert isinstance(outcome, Failed | Challenge | TurnedAway)


# --- what is believed of an answer --------------------------------------------------------------------------------


def sealed() -> Sealed:
    return Sealed.of(scheme().begin().request, 7, bytes(range(16)), SECRET)


def reply(question: Sealed, *attributes: Attribute, secret: SharedSecret = SECRET) -> bytes:
    return seal_answer(Code.ACCESS_CHALLENGE, question.packet, (*split_eap(request_packet()), *attributes), secret)


def test_a_true_answer_is_opened():
    question = sealed()
    assert join_eap(question.opened(reply(question), "aaa").packet) == request_packet()


def test_the_msk_is_read_and_never_shown():
    question, msk = sealed(), Msk(bytes(range(64)))
    keys = mppe_keys(msk, b"ab", question.packet.authenticator, SECRET)
    octets = seal_answer(Code.ACCESS_ACCEPT, question.packet, (*split_eap(SUCCESS), *keys), SECRET)
    opened = question.opened(octets, "aaa")
    assert opened.msk == msk
    assert k_ausf_from_msk(opened.msk).octets == bytes(range(32))
    assert bytes(range(32)).hex() not in repr(opened)
    assert SECRET.octets not in repr(question).encode()


FORGED = {
    "another secret": lambda question: reply(question, secret=SharedSecret(b"y" * 16)),
    "a Proxy-State that was not sent": lambda question: reply(question, Attribute(Kind.PROXY_STATE, b"x")),
    "another identifier": lambda question: bytes((11, 8)) + reply(question)[2:],
    "an answer to another request": lambda question: reply(Sealed.of(scheme().begin().request, 7, bytes(16), SECRET)),
    "an accept made of a reject": lambda question: b"\2" + reply(question)[1:],
    "our own request": lambda question: question.octets,
    "a request of somebody else": lambda question: seal_request(7, question.packet.authenticator, (), SECRET),
    "nothing": lambda question: b"",
    "half": lambda question: reply(question)[:30],
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_answer_is_no_answer(what):
    question = sealed()
    with pytest.raises(PeerError):
        question.opened(FORGED[what](question), "aaa")


def test_an_answer_without_message_authenticator_is_no_answer():
    """With a right Response Authenticator, as CVE-2024-3596 makes it."""
    question = sealed()
    octets = reply(question)
    stripped = octets[:2] + (len(octets) - 18).to_bytes(2) + octets[4:20] + octets[38:]
    with pytest.raises(Unprotected):
        question.opened(stripped, "aaa")


@given(st.binary(max_size=200))
def test_any_octets_are_no_answer(octets):
    with pytest.raises((DecodeError, MacMismatch, Unprotected)):
        sealed().opened(octets, "aaa")


@given(st.data())
@settings(max_examples=100)
def test_every_changed_bit_is_found(data):
    question = sealed()
    octets = bytearray(reply(question))
    bit = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PeerError):
        question.opened(bytes(octets), "aaa")
