"""Step 7 with every way of AKA and of concealing the SUPI: the home network chooses, and the UE goes along."""

from dataclasses import replace

import pytest
from doubles import fake_scheme
from doubles.pki import PLMN
from doubles.world import (
    IMSI,
    OPC,
    K,
    World,
    left_over,
    ordinary,
    plain_nas,
    provisioning,
    read_plain,
    rewrite_plain,
)

from rprov.auth.usim import ARRAY_SIZE, Usim
from rprov.causes import Cause
from rprov.crypto.aka_functions import aka_functions
from rprov.crypto.suci import HomeNetworkKey, reveal
from rprov.model.identifiers import Supi
from rprov.model.report import MessageSeen
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.procedure import actions as act
from rprov.procedure.purpose import Intent, Purpose, Subscription
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


# --- concealed identities ---------------------------------------------------------------------------------------------

HOME_KEYS = {
    1: HomeNetworkKey(1, Secret(bytes(range(1, 33)))),
    2: HomeNetworkKey(2, Secret(bytes(range(1, 33)))),
}
OTHER_KEYS = {
    1: HomeNetworkKey(1, Secret(bytes(range(2, 34)))),
    2: HomeNetworkKey(2, Secret(bytes(range(2, 34)))),
}


def concealing(scheme: int, key_id: int, public: bytes) -> Intent:
    return Intent(Purpose.ORDINARY, Subscription(IMSI, PLMN, "17", scheme, key_id, public))


def world_that_reveals(scheme: int) -> World:
    """A world whose network has one key, with the number of its scheme."""
    world = World()
    keys = {scheme: HOME_KEYS[scheme]}
    world.cp_engines = replace(world.cp_engines, reveal=lambda suci: reveal(suci, keys))
    return world


@pytest.mark.parametrize("scheme", [1, 2])
def test_a_concealed_subscriber_attaches_and_nobody_hears_who_it_is(scheme):
    world = world_that_reveals(scheme)
    ue = world.add_ue(concealing(scheme, scheme, HOME_KEYS[scheme].public))
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert list(world.gutis.values()) == [SUPI]
    (request,) = (item for item in plain_nas(world, up=True) if isinstance(item, nas.AttachRequest))
    assert (request.identity.scheme, request.identity.key_id) == (scheme, scheme)
    assert not any(IMSI.digits[-10:].encode() in frame.octets for frame in world.log)
    assert f"concealed (Profile {'AB'[scheme - 1]}, key {scheme})" in " ".join(world.proofs())


@pytest.mark.parametrize("scheme", [1, 2])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda suci: replace(suci, key_id=9),
        lambda suci: replace(suci, scheme=3 - suci.scheme),
        lambda suci: replace(suci, scheme=5),
        lambda suci: replace(suci, output=suci.output[:-1] + bytes([suci.output[-1] ^ 1])),
        lambda suci: replace(suci, output=suci.output[:-9] + bytes([suci.output[-9] ^ 1]) + suci.output[-8:]),
        lambda suci: replace(suci, output=b"\x05" + bytes(31) + suci.output[32:]),
        lambda suci: replace(suci, output=suci.output[:20]),
    ],
    ids=["key id", "scheme", "unknown scheme", "tag", "cipher text", "ephemeral key", "cut off"],
)
def test_a_suci_that_reveals_nobody_is_refused_and_the_device_is_told(scheme, wrong):
    world = world_that_reveals(scheme)

    def tamper(frame):
        message = read_plain(world, frame) if frame.link == "radio" and frame.up else None
        if not isinstance(message, nas.AttachRequest):
            return [frame]
        return [rewrite_plain(world, frame, replace(message, identity=wrong(message.identity)))]

    world.between = tamper
    ue = world.add_ue(concealing(scheme, scheme, HOME_KEYS[scheme].public), max_attempts=1)
    world.pump()
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.IDENTITY_UNKNOWN)
    assert challenges(world) == []
    assert left_over(world, ue) == {}


@pytest.mark.parametrize("scheme", [1, 2])
def test_a_profile_with_the_key_of_another_network_is_refused(scheme):
    world = world_that_reveals(scheme)
    ue = world.add_ue(concealing(scheme, scheme, OTHER_KEYS[scheme].public), max_attempts=1)
    world.pump()
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.IDENTITY_UNKNOWN)


@pytest.mark.parametrize(("scheme", "public"), [(1, bytes(32)), (2, b"\x02" + bytes(31) + b"\x01")])
def test_a_profile_whose_key_is_none_sends_no_identity_at_all(scheme, public):
    world = world_that_reveals(scheme)
    ue = world.add_ue(concealing(scheme, scheme, public))
    world.pump()
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.DEVICE_FAILURE)
    assert "no public key of its scheme" in ue.outcome.detail
    assert plain_nas(world, up=True) == []


# --- subscribers that are named by an NAI -----------------------------------------------------------------------------

NAI = Supi("device7@operator.example")


def world_with_nai(scheme: int, method: AkaMethod = AkaMethod.FIVE_G_AKA) -> World:
    world = world_that_reveals(scheme or 1)
    world.subscribers = {NAI: replace(world.subscribers[SUPI], supi=NAI, method=method)}
    return world


def nai_intent(scheme: int, nai: Supi = NAI) -> Intent:
    public = HOME_KEYS[scheme].public if scheme else None
    return Intent(Purpose.ORDINARY, Subscription(nai, PLMN, "0", scheme, scheme, public))


@both
@pytest.mark.parametrize("scheme", [0, 1, 2])
def test_a_subscriber_with_an_nai_attaches(scheme, method):
    world = world_with_nai(scheme, method)
    ue = world.add_ue(nai_intent(scheme), imsi=NAI)
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert list(world.gutis.values()) == [NAI]
    (request,) = (item for item in plain_nas(world, up=True) if isinstance(item, nas.AttachRequest))
    assert request.identity.realm == "operator.example"
    assert (b"device7" in request.identity.output) is (scheme == 0)


@pytest.mark.parametrize("scheme", [1, 2])
def test_an_nai_is_bound_to_the_realm_that_knows_it(scheme):
    world = world_with_nai(scheme)
    ue = world.add_ue(nai_intent(scheme, Supi("device7@elsewhere.example")), imsi=NAI, max_attempts=1)
    world.pump()
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.IDENTITY_UNKNOWN)


@pytest.mark.parametrize("scheme", [1, 2])
@pytest.mark.parametrize("realm", ["elsewhere.example", None])
def test_a_realm_that_is_changed_on_the_way_leads_to_nobody(scheme, realm):
    world = world_with_nai(scheme)

    def tamper(frame):
        message = read_plain(world, frame) if frame.link == "radio" and frame.up else None
        if not isinstance(message, nas.AttachRequest):
            return [frame]
        changed = replace(message, identity=replace(message.identity, realm=realm))
        return [rewrite_plain(world, frame, changed)]

    world.between = tamper
    ue = world.add_ue(nai_intent(scheme), imsi=NAI, max_attempts=1)
    world.pump()
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.IDENTITY_UNKNOWN)
