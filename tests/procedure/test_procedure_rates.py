"""Rates of attempts in the procedure: what is proved counts, what is only said costs its owner nothing."""

from dataclasses import replace
from typing import Any

import pytest
from doubles import certificates
from doubles.pki import shared_pki
from doubles.world import World, plain_nas, provisioning, read_plain

from rprov.auth.rates import Attempts
from rprov.causes import Cause
from rprov.model.rates import AttemptRates
from rprov.wire import messages as nas


def world_with(rates: AttemptRates, device: Any = None) -> World:
    world = World(certificates.cp_side(), certificates.ue_side(device) if device else certificates.ue_side())
    world.cp_engines = replace(world.cp_engines, admit=Attempts(rates).admit)
    return world


def attach(world: World, **options: Any) -> Any:
    ue = world.add_ue(max_attempts=1, **options)
    world.want(ue, provisioning())
    world.pump()
    return ue


def refused(world: World) -> list[Cause]:
    return [message.cause for message in plain_nas(world, up=False) if isinstance(message, nas.AttachReject)]


@pytest.mark.parametrize("hides", [False, True])
def test_a_device_that_comes_too_often_is_told_to_wait_and_then_let_in(hides: bool) -> None:
    world = world_with(AttemptRates(eid_burst=1, eid_seconds=20.0))
    assert attach(world).outcome.ok
    ue = world.add_ue(max_attempts=5)
    ue.policy = replace(ue.policy, hide_eid=hides)
    world.cp_policy = replace(world.cp_policy, eid_hints=True)
    world.want(ue, provisioning())
    world.pump()
    assert world.state(ue) == "AwaitRetry"
    (reject,) = [message for message in plain_nas(world, up=False) if isinstance(message, nas.AttachReject)]
    assert (reject.cause, reject.backoff) == (Cause.CONGESTION, world.cp_policy.backoff)
    began = world.now
    while world.state(ue) == "AwaitRetry":
        world.fire()
    assert world.now - began == reject.backoff
    assert ue.outcome.ok


def test_what_is_only_said_costs_its_owner_nothing() -> None:
    """Strangers with the victim's EID: some never answer, some answer with a certificate of another device."""
    world = world_with(AttemptRates(eid_burst=1, eid_seconds=86_400.0))

    def silent(frame: Any) -> list[Any]:
        return [] if frame.up and isinstance(read_plain(world, frame), nas.AuthenticationResponse) else [frame]

    world.between = silent
    for _ in range(20):
        attach(world)
    assert len(world.cps) == 20
    world.between = lambda frame: [frame]
    pki = shared_pki()
    honest = world.ue_certificate
    world.ue_certificate = certificates.ue_side(pki.other_device)
    for _ in range(20):
        assert attach(world).outcome.cause is Cause.EID_MISMATCH
    world.ue_certificate = honest
    assert attach(world).outcome.ok
    assert attach(world).outcome.cause is Cause.CONGESTION


def test_too_many_devices_of_one_issuer_wait_too() -> None:
    world = world_with(AttemptRates(eum_burst=1, eum_per_second=1))
    assert attach(world).outcome.ok
    assert attach(world).outcome.cause is Cause.CONGESTION
    assert refused(world) == [Cause.CONGESTION]
    world.now += 1.0
    assert attach(world).outcome.ok
