"""A UE that answers whichever way of AKA the home network runs."""

import pytest
from doubles.aka import EAP_AKA_PRIME, FIVE_G_AKA, FUNCTIONS, NETWORK, SUPI, WAYS, Way, first_request, usim

from rprov.auth.aka_peer import AkaPeerScheme
from rprov.auth.scheme import Answer, Authenticated, PeerScheme, Refusal
from rprov.causes import Cause
from rprov.crypto.hierarchy import k_seaf
from rprov.crypto.milenage import AkaFunctions
from rprov.errors import Refused


def peer(functions: AkaFunctions) -> PeerScheme:
    card = usim(functions)
    return AkaPeerScheme(FIVE_G_AKA.peer(card), EAP_AKA_PRIME.peer(card))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_both_ends_agree_whatever_the_network_runs(way: Way, name: str) -> None:
    network, device = way.network(FUNCTIONS[name]), peer(FUNCTIONS[name])
    answer = device.on_request(first_request(network))
    assert isinstance(answer, Answer)
    assert answer.k_ausf is not None
    proved = network.on_response(answer.message)
    assert isinstance(proved, Authenticated)
    assert proved.identity == SUPI
    assert proved.k_seaf == k_seaf(answer.k_ausf, NETWORK)
    assert (proved.eap_success is not None) is (way is EAP_AKA_PRIME)
    device.accept_success(proved.eap_success)


@pytest.mark.parametrize(("begun", "other"), [WAYS, WAYS[::-1]], ids=lambda way: way.name)
def test_what_was_begun_is_not_changed_under_way(begun: Way, other: Way) -> None:
    functions = FUNCTIONS["MILENAGE"]
    device = peer(functions)
    network = begun.network(functions)
    request = first_request(network)
    answer = device.on_request(request)
    assert isinstance(answer, Answer)
    stranger = device.on_request(first_request(other.network(functions, sqn=1 << 10)))
    # A repeated answer is harmless; new keys would not be.
    assert isinstance(stranger, Refusal) or stranger == answer
    assert device.on_request(request) == answer


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_success_of_the_other_way_is_refused(way: Way) -> None:
    functions = FUNCTIONS["MILENAGE"]
    device, network = peer(functions), way.network(functions)
    answer = device.on_request(first_request(network))
    assert isinstance(answer, Answer)
    proved = network.on_response(answer.message)
    assert isinstance(proved, Authenticated)
    success = first_success() if way is FIVE_G_AKA else None
    with pytest.raises(Refused):
        device.accept_success(success)


def first_success() -> object:
    """The EAP-Success of some good run of EAP-AKA'."""
    functions = FUNCTIONS["MILENAGE"]
    device, network = peer(functions), EAP_AKA_PRIME.network(functions)
    answer = device.on_request(first_request(network))
    assert isinstance(answer, Answer)
    proved = network.on_response(answer.message)
    assert isinstance(proved, Authenticated)
    return proved.eap_success


def test_success_before_any_challenge_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        peer(FUNCTIONS["MILENAGE"]).accept_success(None)
    assert caught.value.cause is Cause.SEMANTICALLY_INCORRECT
