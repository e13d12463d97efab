from dataclasses import dataclass, replace
from typing import Any

import pytest
from doubles.known_answers import Answer, each, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.aka import AMF_5G, AkaVector, FiveGAkaNetworkScheme, FiveGAkaPeerScheme, SubscriberKeys
from rprov.auth.scheme import (
    Answer as PeerAnswer,
)
from rprov.auth.scheme import (
    Authenticated,
    Challenge,
    Failed,
    NetworkScheme,
    PeerScheme,
    Refusal,
    Resynchronise,
)
from rprov.auth.usim import ARRAY_SIZE, AkaResult, Usim, next_sqn
from rprov.causes import Cause
from rprov.crypto.hierarchy import k_seaf
from rprov.crypto.milenage import Milenage
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.wire.messages import (
    AkaAnswer,
    AkaChallenge,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)

K, OPC = Secret(bytes(range(16))), Secret(bytes(range(16, 32)))
SUPI = Supi("001010000000001")
NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"
RAND = bytes(range(32, 48))
FIRST_SQN = next_sqn(0)


def _network(sqn: int = FIRST_SQN, rand: bytes = RAND, k: Secret = K, network: str = NETWORK) -> FiveGAkaNetworkScheme:
    return FiveGAkaNetworkScheme(supi=SUPI, k=k, opc=OPC, amf=AMF_5G, sqn=sqn, network=network, rand=rand)


def _peer(usim: Usim | None = None, network: str = NETWORK) -> FiveGAkaPeerScheme:
    return FiveGAkaPeerScheme(usim or Usim(K, OPC), network)


def _request(scheme: NetworkScheme) -> AuthenticationRequest:
    outcome = scheme.begin()
    assert isinstance(outcome, Challenge)
    return AuthenticationRequest(1, b"\0\0", outcome.challenge)


def _challenge(rand: bytes, autn: bytes, abba: bytes = b"\0\0") -> AuthenticationRequest:
    return AuthenticationRequest(1, abba, AkaChallenge(rand, autn))


def _answered(peer: PeerScheme, request: AuthenticationRequest) -> PeerAnswer:
    outcome = peer.on_request(request)
    assert isinstance(outcome, PeerAnswer)
    return outcome


def _refused(peer: PeerScheme, request: AuthenticationRequest) -> Refusal:
    outcome = peer.on_request(request)
    assert isinstance(outcome, Refusal)
    return outcome


@each("chain_5g_aka")
def test_a_run_gives_the_known_answers(answer: Answer) -> None:
    k, opc, sqn = Secret.parse(answer["k"]), Secret.parse(answer["opc"]), int(answer["sqn"], 16)
    name, rand = answer["serving_network_name"], octets(answer["rand"])
    vector = AkaVector.make(SubscriberKeys(k, opc, sqn), name, rand)
    assert vector.autn.hex() == answer["autn"]
    assert vector.autn[6:8].hex() == answer["amf"]
    assert vector.xres_star.hex() == answer["res_star"]
    assert vector.hxres_star.hex() == answer["hres_star"]
    assert vector.k_ausf.octets.hex() == answer["k_ausf"]

    scheme: NetworkScheme = FiveGAkaNetworkScheme(
        supi=Supi(answer["imsi"]), k=k, opc=opc, amf=octets(answer["amf"]), sqn=sqn, network=name, rand=rand
    )
    array = ((sqn >> 5) - 1,) * ARRAY_SIZE  # the published SQN leaps further than a fresh USIM allows
    peer: PeerScheme = FiveGAkaPeerScheme(Usim(k, opc, array), name)
    answered = _answered(peer, _request(scheme))
    assert answered.message == AuthenticationResponse(AkaAnswer(octets(answer["res_star"])))
    outcome = scheme.on_response(answered.message)
    assert isinstance(outcome, Authenticated)
    assert outcome.k_seaf.octets.hex() == answer["k_seaf"]
    assert (outcome.identity, outcome.eap_success) == (Supi(answer["imsi"]), None)


@given(rand=st.binary(min_size=16, max_size=16), seq=st.integers(1, 1 << 28), ind=st.integers(0, 31))
def test_both_sides_have_the_same_key(rand: bytes, seq: int, ind: int) -> None:
    scheme, peer = _network(seq << 5 | ind, rand), _peer()
    answered = _answered(peer, _request(scheme))
    outcome = scheme.on_response(answered.message)
    assert isinstance(outcome, Authenticated)
    assert answered.k_ausf is not None
    assert k_seaf(answered.k_ausf, NETWORK) == outcome.k_seaf
    peer.accept_success(None)


def test_another_network_name_is_found_out() -> None:
    scheme = _network(network="5G:mnc001.mcc001.3gppnetwork.org")
    answered = _answered(_peer(network="5G:mnc002.mcc001.3gppnetwork.org"), _request(scheme))
    outcome = scheme.on_response(answered.message)
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.RES_MISMATCH


@given(bit=st.integers(0, 255))
def test_any_bit_flipped_in_the_challenge_is_a_mac_failure(bit: int) -> None:
    scheme, peer = _network(), _peer()
    request = _request(scheme)
    assert isinstance(request.challenge, AkaChallenge)
    changed = (int.from_bytes(request.challenge.rand + request.challenge.autn) ^ 1 << bit).to_bytes(32)
    refusal = _refused(peer, _challenge(changed[:16], changed[16:]))
    assert refusal.message == AuthenticationFailure(Cause.MAC_FAILURE)
    assert not refusal.resynchronising
    outcome = scheme.on_failure(refusal.message)
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.MAC_FAILURE


def test_a_network_without_the_key_is_refused() -> None:
    refusal = _refused(_peer(), _request(_network(k=Secret(bytes(16)))))
    assert refusal.message.cause is Cause.MAC_FAILURE


@given(bit=st.integers(0, 127))
def test_any_bit_flipped_in_the_answer_is_a_mismatch(bit: int) -> None:
    scheme = _network()
    answer = _answered(_peer(), _request(scheme)).message.answer
    assert isinstance(answer, AkaAnswer)
    changed = (int.from_bytes(answer.res_star) ^ 1 << bit).to_bytes(16)
    outcome = scheme.on_response(AuthenticationResponse(AkaAnswer(changed)))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.RES_MISMATCH


def test_seaf_and_ausf_compare_each_for_itself() -> None:
    for changed, detail in (("hxres_star", "HRES* differs from HXRES*"), ("xres_star", "RES* differs from XRES*")):
        scheme = _network()
        answer = _answered(_peer(), _request(scheme)).message
        scheme._vector = replace(scheme._vector, **{changed: bytes(16)})
        assert scheme.on_response(answer) == Failed(Cause.RES_MISMATCH, None, detail)


@pytest.mark.parametrize("size", [0, 8, 15, 17])
def test_an_answer_of_another_size_is_a_mismatch(size: int) -> None:
    scheme = _network()
    scheme.begin()
    outcome = scheme.on_response(AuthenticationResponse(AkaAnswer(bytes(size))))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.RES_MISMATCH


@given(seq=st.integers(1, 1000), repeated=st.integers(1, 1000))
def test_a_replayed_sqn_is_resynchronised_and_the_next_run_succeeds(seq: int, repeated: int) -> None:
    usim = Usim(K, OPC)
    ind = 7
    scheme = _network(seq << 5 | ind)
    assert isinstance(scheme.on_response(_answered(_peer(usim), _request(scheme)).message), Authenticated)
    old = min(seq, repeated)
    scheme = _network(old << 5 | ind, rand=bytes(16))
    refusal = _refused(_peer(usim), _request(scheme))
    assert refusal.resynchronising
    assert refusal.message.cause is Cause.SYNCH_FAILURE
    outcome = scheme.on_failure(refusal.message)
    assert outcome == Resynchronise(usim.sqn_ms)
    assert isinstance(outcome, Resynchronise)
    scheme = _network(next_sqn(outcome.sqn_ms), rand=bytes(range(16)))
    assert isinstance(scheme.on_response(_answered(_peer(usim), _request(scheme)).message), Authenticated)


def test_a_sqn_too_far_ahead_is_resynchronised_too() -> None:
    scheme = _network((1 << 40) << 5)
    outcome = scheme.on_failure(_refused(_peer(), _request(scheme)).message)
    assert outcome == Resynchronise(0)


@given(bit=st.integers(0, 14 * 8 - 1))
def test_a_changed_auts_resynchronises_nothing(bit: int) -> None:
    scheme = _network(0)
    auts = _refused(_peer(), _request(scheme)).message.auts
    assert auts is not None
    changed = (int.from_bytes(auts) ^ 1 << bit).to_bytes(14)
    outcome = scheme.on_failure(AuthenticationFailure(Cause.SYNCH_FAILURE, changed))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.MAC_FAILURE


def test_the_auts_of_another_run_resynchronises_nothing() -> None:
    auts = _refused(_peer(), _request(_network(0))).message.auts
    scheme = _network(0, rand=bytes(16))
    scheme.begin()
    outcome = scheme.on_failure(AuthenticationFailure(Cause.SYNCH_FAILURE, auts))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.MAC_FAILURE


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (AuthenticationFailure(Cause.MAC_FAILURE), Cause.MAC_FAILURE),
        (AuthenticationFailure(Cause.NON_5G_AUTHENTICATION), Cause.NON_5G_AUTHENTICATION),
        (AuthenticationFailure(Cause.NGKSI_IN_USE), Cause.NGKSI_IN_USE),
        (AuthenticationFailure(Cause.SYNCH_FAILURE), Cause.INVALID_MANDATORY_INFORMATION),
        (AuthenticationFailure(Cause.SYNCH_FAILURE, bytes(13)), Cause.MAC_FAILURE),
        (AuthenticationFailure(Cause.NORMAL), Cause.USER_AUTHENTICATION_FAILED),
        (AuthenticationFailure(Cause.EAP_FAILED, eap=Eap(b"x")), Cause.USER_AUTHENTICATION_FAILED),
    ],
)
def test_a_refusal_ends_the_run(message: AuthenticationFailure, cause: Cause) -> None:
    scheme = _network()
    scheme.begin()
    outcome = scheme.on_failure(message)
    assert isinstance(outcome, Failed)
    assert outcome.cause is cause


def test_a_challenge_that_is_not_of_5g_is_refused() -> None:
    vector = AkaVector.make(SubscriberKeys(K, OPC, FIRST_SQN, amf=b"\x7f\xff"), NETWORK, RAND)
    refusal = _refused(_peer(), _challenge(vector.rand, vector.autn))
    assert refusal.message == AuthenticationFailure(Cause.NON_5G_AUTHENTICATION)
    assert not refusal.resynchronising


@dataclass
class Counting:
    """A USIM that counts how often it was asked."""

    usim: Usim
    asked: int = 0

    def authenticate(self, rand: bytes, autn: bytes) -> AkaResult:
        self.asked += 1
        return self.usim.authenticate(rand, autn)


def test_a_repeated_challenge_gets_the_same_answer_without_the_usim() -> None:
    usim = Counting(Usim(K, OPC))
    peer, request = FiveGAkaPeerScheme(usim, NETWORK), _request(_network())
    first = _answered(peer, request)
    array = usim.usim.sqn_array
    assert _answered(peer, request) == first
    assert usim.asked == 1
    assert usim.usim.sqn_array == array
    second = _answered(peer, _request(_network(next_sqn(FIRST_SQN), rand=bytes(16))))
    assert second != first
    assert usim.asked == 2


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (_challenge(bytes(15), bytes(16)), Cause.INVALID_MANDATORY_INFORMATION),
        (_challenge(bytes(16), bytes(17)), Cause.INVALID_MANDATORY_INFORMATION),
        (_challenge(bytes(16), bytes(16), b"\0"), Cause.INVALID_MANDATORY_INFORMATION),
        (AuthenticationRequest(1, b"\0\0", Eap(b"start")), Cause.SEMANTICALLY_INCORRECT),
    ],
)
def test_rude_requests_are_refused_without_the_usim(request_: AuthenticationRequest, cause: Cause) -> None:
    usim = Counting(Usim(K, OPC))
    assert _refused(FiveGAkaPeerScheme(usim, NETWORK), request_).message.cause is cause
    assert usim.asked == 0


def test_an_eap_packet_is_no_answer() -> None:
    scheme = _network()
    scheme.begin()
    outcome = scheme.on_response(AuthenticationResponse(Eap(b"packet")))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.SEMANTICALLY_INCORRECT


def test_success_is_no_eap_packet_and_comes_after_an_answer() -> None:
    peer = _peer()
    with pytest.raises(Refused):
        peer.accept_success(None)
    peer.on_request(_request(_network()))
    peer.accept_success(None)
    with pytest.raises(Refused):
        peer.accept_success(Eap(b"success"))


def test_a_scheme_is_driven_by_one_exchange() -> None:
    scheme = _network()
    response, failure = AuthenticationResponse(AkaAnswer(bytes(16))), AuthenticationFailure(Cause.MAC_FAILURE)
    for early in (lambda: scheme.on_response(response), lambda: scheme.on_failure(failure)):
        with pytest.raises(Misuse):
            early()
    scheme.begin()
    scheme.on_response(response)
    with pytest.raises(Misuse):
        scheme.on_response(response)
    with pytest.raises(Misuse):
        scheme.authorise()
    with pytest.raises(Misuse):
        scheme.refuse(Cause.NO_ORDER)


@pytest.mark.parametrize("amf", [b"\x7f\xff", b"\x80", b""])
def test_our_own_challenges_are_of_5g(amf: bytes) -> None:
    with pytest.raises(Misuse):
        FiveGAkaNetworkScheme(supi=SUPI, k=K, opc=OPC, amf=amf, sqn=1, network=NETWORK, rand=RAND)


def test_a_key_comes_in_one_way() -> None:
    rest: dict[str, Any] = {"supi": SUPI, "amf": AMF_5G, "sqn": 1, "network": NETWORK, "rand": RAND}
    functions = Milenage(K, OPC)
    bad: list[dict[str, Any]] = [{}, {"k": K}, {"opc": OPC}, {"k": K, "opc": OPC, "functions": functions}]
    for key in bad:
        with pytest.raises(Misuse):
            FiveGAkaNetworkScheme(**rest, **key)
    one = FiveGAkaNetworkScheme(**rest, functions=functions)
    assert one.begin() == FiveGAkaNetworkScheme(**rest, k=K, opc=OPC).begin()


def test_nothing_prints_a_key() -> None:
    vector = AkaVector.make(SubscriberKeys(K, OPC, 1), NETWORK, RAND)
    text = repr(vector) + repr(SubscriberKeys(K, OPC, 1)) + repr(_peer()) + repr(_network())
    for secret in (K.octets, OPC.octets, vector.xres_star, vector.k_ausf.octets):
        assert secret.hex() not in text
        assert repr(secret) not in text
