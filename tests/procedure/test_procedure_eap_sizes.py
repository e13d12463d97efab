"""The largest and the smallest EAP packets on their way through NAS, N2 and the radio."""

import pytest
from doubles.certificates import credentials
from doubles.pki import shared_pki
from doubles.world import World, left_over, plain_nas, provisioning

from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.causes import Cause
from rprov.model.tls import TlsChoices, TlsGroup
from rprov.wire import messages as nas
from rprov.wire.eap import LARGEST_PACKET
from rprov.wire.eap_tls import SMALLEST_PACKET


def world_of(size: int, choices: TlsChoices) -> World:
    pki = shared_pki()
    cp = EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate], fragment=size, choices=choices)
    ue = EapTlsPeerEngines(credentials(pki.device), [pki.network_ca.certificate], fragment=size, choices=choices)
    return World(
        lambda eid, env: cp.scheme(eid, env.policy.plmn.serving_network_name, env.wall),
        lambda plmn, env: ue.scheme(plmn, env.wall),
    )


def sizes(world: World, up: bool) -> list[int]:
    kind = nas.AuthenticationResponse if up else nas.AuthenticationRequest
    found = [message for message in plain_nas(world, up=up) if isinstance(message, kind)]
    inside = [message.answer if up else message.challenge for message in found]
    return [len(eap.packet) for eap in inside if isinstance(eap, nas.Eap)]  # step 7 is AKA


@pytest.mark.parametrize("group", [TlsGroup.X25519, TlsGroup.POST_QUANTUM])
@pytest.mark.parametrize("size", [LARGEST_PACKET, 1400, 255])
def test_packets_of_any_size_lead_through(size, group):
    world = world_of(size, TlsChoices(groups=(group,)))
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome.ok
    for up in (True, False):
        assert max(sizes(world, up)) <= size
    if size == LARGEST_PACKET and group is TlsGroup.POST_QUANTUM:
        assert LARGEST_PACKET in sizes(world, up=True) + sizes(world, up=False)


def test_packets_that_would_take_too_many_rounds_end_the_attach_at_both_ends():
    world = world_of(SMALLEST_PACKET, TlsChoices())
    ue = world.add_ue(provisioning(), max_attempts=1)
    world.pump()
    world.fire_all()
    assert not ue.outcome.ok
    assert ue.outcome.cause is Cause.EAP_FAILED
    assert len(sizes(world, up=False)) == MAX_ROUNDS
    assert left_over(world, ue) == {}
