"""K_AUSF for a key log: both ends tell the same one, once they hold it, and only where somebody listens."""

import pytest
from doubles.aka import EAP_AKA_PRIME, FIVE_G_AKA, FUNCTIONS, Way, usim

from rprov.auth.aka_peer import AkaPeerScheme
from rprov.auth.scheme import Answer, Authenticated, Challenge, Failed
from rprov.crypto.hierarchy import KAusf, k_seaf
from rprov.wire.messages import ABBA, AkaAnswer, AuthenticationRequest, AuthenticationResponse

MILENAGE = FUNCTIONS["MILENAGE"]
NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"


@pytest.mark.parametrize("way", [FIVE_G_AKA, EAP_AKA_PRIME], ids=lambda way: way.name)
def test_both_ends_tell_the_same_key(way: Way) -> None:
    lower: list[KAusf] = []
    upper: list[KAusf] = []
    network = way.network(MILENAGE, disclose=upper.append)
    card = usim(MILENAGE)
    peer = AkaPeerScheme(FIVE_G_AKA.peer(card), EAP_AKA_PRIME.peer(card), lower.append)
    challenge = network.begin()
    assert isinstance(challenge, Challenge)
    assert not upper
    answer = peer.on_request(AuthenticationRequest(0, ABBA, challenge.challenge))
    assert isinstance(answer, Answer)
    outcome = network.on_response(answer.message)
    assert isinstance(outcome, Authenticated)
    assert lower == upper == [answer.k_ausf]
    assert k_seaf(upper[0], NETWORK) == outcome.k_seaf


def test_a_run_that_fails_tells_nothing() -> None:
    told: list[KAusf] = []
    network = FIVE_G_AKA.network(MILENAGE, disclose=told.append)
    network.begin()
    assert isinstance(network.on_response(AuthenticationResponse(AkaAnswer(bytes(16)))), Failed)
    assert not told
