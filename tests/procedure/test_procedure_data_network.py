"""Which data network and slice a session is of: the UE may leave both open, and may not have another than there is."""

from dataclasses import replace

import pytest
from doubles import fake_scheme
from doubles.world import World, ordinary, provisioning

from rprov.causes import Cause
from rprov.model.identifiers import Dnn, SNssai
from rprov.procedure import actions as act
from rprov.wire import messages as nas

IMS, INTERNET, RSP = Dnn("ims"), Dnn("internet"), Dnn("rsp")
SLICE, OTHER_SLICE = SNssai(1), SNssai(1, 0xABC)


def fake_world(**policy) -> World:
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    world.cp_policy = replace(world.cp_policy, **policy)
    return world


def accepted(world: World, ue) -> nas.PduSessionAccept:
    return world.cp_ue(ue).nas.machine.state.accept


@pytest.mark.parametrize("s_nssai", [None, SLICE])
@pytest.mark.parametrize("dnn", [None, INTERNET, Dnn("Internet")])
def test_a_device_gets_the_data_network_that_it_names_or_leaves_open(dnn, s_nssai):
    world = fake_world()
    ue = world.add_ue(ordinary(), dnn=dnn, s_nssai=s_nssai)
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert (accepted(world, ue).dnn, accepted(world, ue).s_nssai) == (INTERNET, SLICE)


@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        ({"dnn": IMS}, Cause.MISSING_OR_UNKNOWN_DNN),
        ({"dnn": RSP}, Cause.MISSING_OR_UNKNOWN_DNN),
        ({"s_nssai": OTHER_SLICE}, Cause.UNKNOWN_DNN_IN_SLICE),
        ({"dnn": IMS, "s_nssai": OTHER_SLICE}, Cause.MISSING_OR_UNKNOWN_DNN),
    ],
)
def test_another_data_network_or_slice_is_refused_and_the_device_leaves(wanted, cause):
    world = fake_world()
    ue = world.add_ue(ordinary(), max_attempts=1, **wanted)
    world.pump()
    world.fire_all(until=60)
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, cause)
    assert world.tunnels == {}
    assert not any(isinstance(ask, act.OpenTunnel) for ask in world.asks)


def test_the_operator_names_the_data_networks():
    world = fake_world(dnn=IMS, provisioning_dnn=Dnn("rsp.example"), s_nssai=OTHER_SLICE)
    ue = world.add_ue(ordinary(), dnn=IMS, s_nssai=OTHER_SLICE)
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert (accepted(world, ue).dnn, accepted(world, ue).s_nssai) == (IMS, OTHER_SLICE)


def test_a_device_without_a_subscription_names_none_and_is_told():
    world = fake_world()
    ue = world.add_ue(provisioning(), dnn=IMS, s_nssai=OTHER_SLICE)
    ue.download_answer = None
    world.pump()
    assert world.state(ue) == "AwaitDownload"
    assert (accepted(world, ue).dnn, accepted(world, ue).s_nssai) == (RSP, SLICE)


class Lying:
    """A codec that says something else than its owner means, in messages of one kind."""

    def __init__(self, codec, kind, **changed) -> None:
        self.codec, self.kind, self.changed = codec, kind, changed

    def encode(self, message):
        return self.codec.encode(replace(message, **self.changed) if isinstance(message, self.kind) else message)

    def decode(self, octets):
        return self.codec.decode(octets)


@pytest.mark.parametrize("wanted", [{"dnn": INTERNET}, {"s_nssai": OTHER_SLICE}])
def test_an_attach_for_provisioning_leads_to_no_other_data_network(wanted):
    world = fake_world()
    ue = world.add_ue(provisioning(), max_attempts=1)
    ue.endpoint.nas.codec = Lying(world.nas, nas.PduSessionRequest, **wanted)
    world.pump()
    world.fire_all(until=60)
    assert ue.outcome is not None
    assert ue.outcome.cause in (Cause.MISSING_OR_UNKNOWN_DNN, Cause.UNKNOWN_DNN_IN_SLICE)
    assert world.tunnels == {}
    assert ue.downloads == []


@pytest.mark.parametrize("changed", [{"dnn": IMS}, {"dnn": None}, {"s_nssai": OTHER_SLICE}, {"s_nssai": None}])
def test_a_device_does_not_use_a_session_of_another_data_network(changed):
    world = fake_world()
    ue = world.add_ue(ordinary(), dnn=INTERNET, s_nssai=SLICE, max_attempts=1)
    world.pump_frames(4)
    for endpoint in world.cps.values():
        endpoint.nas.codec = Lying(world.nas, nas.PduSessionAccept, **changed)
    world.pump()
    assert ue.network is None
    assert ue.outcome is not None
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.SEMANTICALLY_INCORRECT)
