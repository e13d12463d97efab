"""Step 7 with every way of AKA: the home network chooses method and functions, and the UE goes along."""

from dataclasses import replace

import pytest
from doubles import fake_scheme
from doubles.world import IMSI, OPC, K, World, ordinary, plain_nas, provisioning

from rprov.auth.usim import ARRAY_SIZE, Usim
from rprov.causes import Cause
from rprov.crypto.aka_functions import aka_functions
from rprov.model.identifiers import Supi
from rprov.model.report import MessageSeen
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.procedure import actions as act
from rprov.wire import messages as nas

SUPI = Supi.of_imsi(IMSI)
TOPC = Secret(bytes(range(32)))
K256 = Secret(bytes(range(100, 132)))
KEYS = {
    AkaAlgorithm.MILENAGE: (K, OPC),
    AkaAlgorithm.TUAK: (K256, TOPC),
}
both = pytest.mark.parametrize("method", AkaMethod)


def world_of(algorithm: AkaAlgorithm, method: AkaMethod) -> World:
    """A world whose subscriber is authenticated so."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    k, opc = KEYS[algorithm]
    world.subscribers[SUPI] = replace(world.subscribers[SUPI], k=k, opc=opc, algorithm=algorithm, method=method)
    return world


def usim(algorithm: AkaAlgorithm, seq: int = 0, opc: Secret | None = None) -> Usim:
    """The USIM of the profile."""
    k, right = KEYS[algorithm]
    return Usim(k, opc or right, (seq,) * ARRAY_SIZE, aka_functions(algorithm, k, opc or right))


def challenges(world: World) -> list[type]:
    """What the CP has challenged subscribers with."""
    asked = [message for message in plain_nas(world, up=False) if isinstance(message, nas.AuthenticationRequest)]
    return [type(message.challenge) for message in asked]


KINDS = {AkaMethod.FIVE_G_AKA: nas.AkaChallenge, AkaMethod.EAP_AKA_PRIME: nas.Eap}


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@both
def test_a_subscriber_attaches(algorithm, method):
    world = world_of(algorithm, method)
    ue = world.add_ue(ordinary(), usim=usim(algorithm))
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert challenges(world) == [KINDS[method]]
    assert list(world.gutis.values()) == [SUPI]
    assert world.discards() == []


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@both
def test_a_device_without_a_subscription_ends_as_an_ordinary_subscriber(algorithm, method):
    world = world_of(algorithm, method)
    ue = world.add_ue(provisioning(), usim=usim(algorithm))
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert world.steps("ue") == [(step, True) for step in range(1, 8)]


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@both
def test_a_usim_that_is_ahead_is_followed_once(algorithm, method):
    world = world_of(algorithm, method)
    ue = world.add_ue(ordinary(), usim=usim(algorithm, seq=1 << 20))
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert challenges(world) == [KINDS[method]] * 2
    assert world.subscribers[SUPI].sqn >> 5 == (1 << 20) + 1


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@both
def test_a_usim_with_another_code_refuses_the_network(algorithm, method):
    world = world_of(algorithm, method)
    other = Secret(bytes(len(KEYS[algorithm][1])))
    ue = world.add_ue(ordinary(), usim=usim(algorithm, opc=other), max_attempts=1)
    world.pump()
    world.fire_all(until=60)
    assert ue.outcome is not None
    assert not ue.outcome.ok
    assert ue.outcome.cause is Cause.MAC_FAILURE
    assert world.gutis == {}


@both
def test_success_of_eap_travels_under_the_new_keys(method):
    world = world_of(AkaAlgorithm.MILENAGE, method)
    world.add_ue(ordinary(), usim=usim(AkaAlgorithm.MILENAGE))
    world.pump()
    commands = [item for item in world.items if isinstance(item, MessageSeen) and item.name == "SecurityModeCommand"]
    assert all(item.protected for item in commands if item.link == "radio")
    assert not any(isinstance(item, nas.AuthenticationResult) for item in plain_nas(world, up=False))


@both
def test_a_usim_with_the_other_functions_refuses_the_network(method):
    world = world_of(AkaAlgorithm.TUAK, method)
    ue = world.add_ue(ordinary(), usim=usim(AkaAlgorithm.MILENAGE), max_attempts=1)
    world.pump()
    world.fire_all(until=60)
    assert ue.outcome is not None
    assert ue.outcome.cause is Cause.MAC_FAILURE
