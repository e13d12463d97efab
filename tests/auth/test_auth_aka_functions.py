"""Both ways of AKA with both sets of authentication functions: what must hold whichever of them a subscriber has."""

from dataclasses import replace
from typing import Any

import pytest
from doubles.aka import FIRST_SQN, FUNCTIONS, NAI, NETWORK, RAND, SUPI, WAYS, Way, first_request, usim
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.aka import AMF_5G
from rprov.auth.scheme import Answer, Authenticated, Challenge, Failed, NetworkScheme, PeerScheme, Resynchronise
from rprov.auth.usim import ARRAY_SIZE, UmtsVector, next_sqn
from rprov.causes import Cause
from rprov.crypto.hierarchy import k_seaf
from rprov.crypto.milenage import AkaFunctions
from rprov.crypto.tuak import Tuak, TuakSizes
from rprov.errors import Misuse
from rprov.model.secret import Secret
from rprov.wire.messages import AkaAnswer, AuthenticationFailure, AuthenticationRequest, AuthenticationResponse, Eap

pytestmark = [
    pytest.mark.parametrize("functions", FUNCTIONS.values(), ids=FUNCTIONS),
    pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name),
]


def _run(network: NetworkScheme, peer: PeerScheme) -> tuple[Any, list[Answer]]:
    """Carry messages until the network has an end; give it and what the UE answered."""
    answers: list[Answer] = []
    outcome: Any = network.begin()
    while isinstance(outcome, Challenge):
        reply = peer.on_request(AuthenticationRequest(1, b"\0\0", outcome.challenge))
        if isinstance(reply, Answer):
            answers.append(reply)
            outcome = network.on_response(reply.message)
        else:
            outcome = network.on_failure(reply.message)
    return outcome, answers


@given(rand=st.binary(min_size=16, max_size=16), seq=st.integers(1, 1 << 28), ind=st.integers(0, ARRAY_SIZE - 1))
def test_both_sides_have_the_same_key(way: Way, functions: AkaFunctions, rand: bytes, seq: int, ind: int) -> None:
    peer = way.peer(usim(functions))
    outcome, answers = _run(way.network(functions, rand=rand, sqn=seq << 5 | ind), peer)
    assert isinstance(outcome, Authenticated)
    assert outcome.identity == SUPI
    key = answers[-1].k_ausf
    assert key is not None
    assert k_seaf(key, NETWORK) == outcome.k_seaf
    peer.accept_success(outcome.eap_success)


def test_a_subscriber_with_an_nai_is_authenticated(way: Way, functions: AkaFunctions) -> None:
    outcome, answers = _run(way.network(functions, supi=NAI), way.peer(usim(functions), NAI))
    assert isinstance(outcome, Authenticated)
    assert outcome.identity == NAI
    assert answers[-1].k_ausf is not None


def test_every_run_has_a_key_of_its_own(way: Way, functions: AkaFunctions) -> None:
    card = usim(functions)
    first, _ = _run(way.network(functions), way.peer(card))
    second, _ = _run(way.network(functions, sqn=next_sqn(FIRST_SQN), rand=bytes(16)), way.peer(card))
    assert first.k_seaf != second.k_seaf


def test_a_network_with_another_name_is_found_out(way: Way, functions: AkaFunctions) -> None:
    outcome, _ = _run(way.network(functions, network="5G:mnc002.mcc001.3gppnetwork.org"), way.peer(usim(functions)))
    assert isinstance(outcome, Failed)


def test_a_network_with_another_key_is_refused(way: Way, functions: AkaFunctions) -> None:
    stranger = Tuak(Secret(bytes(16)), Secret(bytes(32)))
    outcome, answers = _run(way.network(stranger), way.peer(usim(functions)))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.MAC_FAILURE
    assert answers == []


def test_a_sqn_out_of_range_is_resynchronised_and_the_next_run_succeeds(way: Way, functions: AkaFunctions) -> None:
    card = usim(functions)
    _run(way.network(functions, sqn=1000 << 5), way.peer(card))
    peer = way.peer(card)
    outcome, answers = _run(way.network(functions, sqn=999 << 5, rand=bytes(16)), peer)
    assert outcome == Resynchronise(card.sqn_ms)
    assert [answer.k_ausf for answer in answers] in ([], [None])
    # the UE keeps its scheme: for it the attach goes on
    outcome, answers = _run(way.network(functions, sqn=next_sqn(outcome.sqn_ms), rand=bytes(range(16))), peer)
    assert isinstance(outcome, Authenticated)
    peer.accept_success(outcome.eap_success)


def test_a_sqn_too_far_ahead_is_resynchronised_too(way: Way, functions: AkaFunctions) -> None:
    outcome, _ = _run(way.network(functions, sqn=(1 << 40) << 5), way.peer(usim(functions)))
    assert outcome == Resynchronise(0)


def test_a_repeated_challenge_gets_the_same_answer_without_the_usim(way: Way, functions: AkaFunctions) -> None:
    card = usim(functions)
    peer, request = way.peer(card), first_request(way.network(functions))
    answer, array = peer.on_request(request), card.sqn_array
    assert peer.on_request(request) == answer
    assert card.sqn_array == array


def test_our_own_challenges_are_of_5g(way: Way, functions: AkaFunctions) -> None:
    for amf in (b"\x7f\xff", b"\x80", b""):
        with pytest.raises(Misuse):
            way.network(functions, amf=amf)


def test_the_answer_of_the_other_way_ends_it(way: Way, functions: AkaFunctions) -> None:
    for answer in (AkaAnswer(bytes(16)), Eap(b"\2\0\0\4")):
        network = way.network(functions)
        network.begin()
        assert isinstance(network.on_response(AuthenticationResponse(answer)), Failed)


@pytest.mark.parametrize(
    "cause", [Cause.MAC_FAILURE, Cause.NON_5G_AUTHENTICATION, Cause.NGKSI_IN_USE, Cause.INVALID_MANDATORY_INFORMATION]
)
def test_a_refusal_ends_the_run_with_the_cause_of_the_ue(way: Way, functions: AkaFunctions, cause: Cause) -> None:
    network = way.network(functions)
    network.begin()
    outcome = network.on_failure(AuthenticationFailure(cause))
    assert isinstance(outcome, Failed)
    assert outcome.cause is cause


def test_nothing_comes_before_the_beginning(way: Way, functions: AkaFunctions) -> None:
    network = way.network(functions)
    for early in (
        lambda: network.on_response(AuthenticationResponse(AkaAnswer(bytes(16)))),
        lambda: network.on_failure(AuthenticationFailure(Cause.MAC_FAILURE)),
        network.authorise,
        lambda: network.refuse(Cause.NO_ORDER),
    ):
        with pytest.raises(Misuse):
            early()


def test_nothing_prints_a_key(way: Way, functions: AkaFunctions) -> None:
    network, peer = way.network(functions), way.peer(usim(functions))
    outcome, answers = _run(network, peer)
    keys = functions.f2345(RAND)
    assert isinstance(outcome, Authenticated)
    key = answers[-1].k_ausf
    assert key is not None
    text = repr((network, peer, outcome, answers, UmtsVector.make(functions, FIRST_SQN, AMF_5G, RAND)))
    for secret in (keys.ck, keys.ik, outcome.k_seaf.octets, key.octets):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


def test_lengths_that_5g_cannot_carry_are_our_mistake(way: Way, functions: AkaFunctions) -> None:
    for sizes in (TuakSizes(mac=16), TuakSizes(res=32), TuakSizes(ck=32), TuakSizes(ik=32)):
        with pytest.raises(Misuse):
            way.network(Tuak(Secret(bytes(16)), Secret(bytes(32)), sizes))
    with pytest.raises(Misuse):
        way.network(functions, sqn=1 << 48)


def test_a_request_with_a_wrong_abba_does_not_reach_the_usim(way: Way, functions: AkaFunctions) -> None:
    card = usim(functions)
    request = replace(first_request(way.network(functions)), abba=b"\0")
    refusal = way.peer(card).on_request(request)
    assert not isinstance(refusal, Answer)
    assert card.sqn_ms == 0
