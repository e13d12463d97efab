"""The UE's hold on its card: which USIM a profile makes, and what survives the power."""

from dataclasses import replace

import pytest
from doubles.loop import run
from doubles.pki import Pki
from doubles.rsp import CONTENTS, make_card

from rprov.auth.aka import AkaVector
from rprov.auth.usim import AkaMacFailure, AkaSuccess, AkaSynchFailure
from rprov.crypto.aka_functions import aka_functions
from rprov.crypto.tuak import Tuak, TuakSizes
from rprov.daemon.card import CardHolder
from rprov.model.identifiers import Eid
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm
from rprov.provision.euicc.state import CardState
from rprov.provision.profile import ProfileContents, build_profile

NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"
RAND = bytes(range(16))
TUAK = replace(
    CONTENTS, algorithm=AkaAlgorithm.TUAK, k=Secret(bytes(range(32))), opc=Secret(bytes(range(32, 64))), keccaks=2
)
SHORT_TUAK = replace(TUAK, k=Secret(bytes(range(16))), keccaks=1)


class Kept:
    """A store of one card."""

    def __init__(self) -> None:
        self.state = b""

    async def save(self, eid: Eid, state: bytes, after: int = 0) -> int:
        self.state = state
        return after + 1


def holder(pki: Pki, contents: ProfileContents, age_limit: int | None = None) -> tuple[CardHolder, Kept]:
    kept = Kept()
    card = CardHolder(make_card(pki), kept, 0, age_limit)
    card.give(build_profile(contents))
    return card, kept


def autn(contents: ProfileContents, sqn: int) -> bytes:
    functions = aka_functions(contents.algorithm, contents.k, contents.opc, contents.keccaks)
    return AkaVector.make_with(functions, sqn, b"\x80\0", NETWORK, RAND).autn


@pytest.mark.parametrize("contents", [CONTENTS, TUAK, SHORT_TUAK], ids=["milenage", "tuak256", "tuak128"])
def test_the_usim_computes_as_the_profile_says(contents: ProfileContents) -> None:
    card, _ = holder(Pki(), contents)
    assert isinstance(card.usim().authenticate(RAND, autn(contents, 32)), AkaSuccess)
    assert isinstance(card.usim().authenticate(RAND, autn(contents, 32)), AkaSynchFailure)


def test_a_usim_with_another_count_of_permutations_does_not_know_the_network() -> None:
    card, _ = holder(Pki(), TUAK)
    assert isinstance(card.usim().authenticate(RAND, autn(replace(TUAK, keccaks=1), 32)), AkaMacFailure)


def test_the_functions_of_a_profile_are_those_of_the_standard() -> None:
    functions = aka_functions(AkaAlgorithm.TUAK, TUAK.k, TUAK.opc, 2)
    assert functions.f2345(RAND) == Tuak(TUAK.k, TUAK.opc, TuakSizes(iterations=2)).f2345(RAND)


@pytest.mark.parametrize("contents", [CONTENTS, TUAK], ids=["milenage", "tuak"])
def test_algorithm_and_sequence_numbers_survive_the_power(contents: ProfileContents) -> None:
    card, kept = holder(Pki(), contents)
    assert isinstance(card.usim().authenticate(RAND, autn(contents, 32)), AkaSuccess)
    run(card.save())
    card = make_card(Pki())
    card.state = CardState.decode(kept.state)
    assert card.state.profiles[0].algorithm is contents.algorithm
    assert card.state.profiles[0].keccaks == contents.keccaks
    again = CardHolder(card, kept, 1)
    assert isinstance(again.usim().authenticate(RAND, autn(contents, 32)), AkaSynchFailure)
    assert isinstance(again.usim().authenticate(RAND, autn(contents, 64)), AkaSuccess)


def test_the_age_limit_of_the_settings_is_the_usims() -> None:
    card, _ = holder(Pki(), CONTENTS, age_limit=5)
    assert isinstance(card.usim().authenticate(RAND, autn(CONTENTS, 100 << 5 | 1)), AkaSuccess)
    assert isinstance(card.usim().authenticate(RAND, autn(CONTENTS, 95 << 5 | 2)), AkaSynchFailure)
    assert isinstance(card.usim().authenticate(RAND, autn(CONTENTS, 96 << 5 | 2)), AkaSuccess)
