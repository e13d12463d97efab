"""A link is cut or a node dies after any frame of the seven steps: the device gets there, and nothing stays behind.

Over sockets it is `test_e2e_failures.py` and `test_e2e_robustness.py`, for one moment in each step.
"""

from collections import Counter, deque

import pytest
from doubles import fake_scheme
from doubles.world import UeNode, World, left_over, ordinary, provisioning

from rprov.causes import Cause
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.wire.link import N2Kind, decode_n2_frame
from rprov.wire.messages import AttachRequest, AttachType

LONG = 2000.0
"""Seconds; longer than any scope of provisioning, and than a network waits for a device that does not come back."""


def radio_at_both_ends(world: World, ue: UeNode) -> None:
    without(world, "radio")
    world.lose_radio(ue)
    world.hear_cell(ue)  # as on every new link


def radio_at_the_ue(world: World, ue: UeNode) -> None:
    without(world, "radio")
    world.lose_radio(ue, at_ran=False)
    world.hear_cell(ue)


def n2(world: World, _ue: UeNode) -> None:
    without(world, "n2")
    world.lose_n2()


def cp(world: World, _ue: UeNode) -> None:
    world.kill_cp()


def ran(world: World, ue: UeNode) -> None:
    world.kill_ran()
    world.hear_cell(ue)


def power(world: World, ue: UeNode) -> None:
    """The RAN notices, too: that the radio link of a device without power is gone, its transport tells."""
    without(world, "radio")
    enabled = any("the enabled profile" in proof for proof in world.proofs())
    world.lose_radio(ue, at_ue=False)
    world.restart(ue)
    world.want(ue, ordinary() if enabled else provisioning())


def without(world: World, link: str) -> None:
    """Frames that are on their way over a link are lost with it."""
    world.flying = deque(frame for frame in world.flying if frame.link != link)


def after(frames: int, happen=None) -> tuple[World, UeNode, bool]:
    """A run in which something happens after so many frames; says whether there were so many."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    ue = world.add_ue(provisioning())
    world.pump_frames(frames)
    reached = bool(world.flying)
    if reached and happen is not None:
        happen(world, ue)
    world.pump()
    world.fire_all(until=world.now + 100)
    return world, ue, reached


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("happen", [radio_at_both_ends, radio_at_the_ue, n2, cp, ran, power])
def test_whatever_breaks_after_any_frame_the_device_ends_as_a_subscriber(happen, every: int) -> None:
    frames = 1
    while True:
        world, ue, reached = after(frames, happen)
        if not reached:
            break
        assert ue.outcome == act.Conclude(True, Cause.NORMAL), frames
        assert world.state(ue) == "Online", frames
        if happen is not power:
            assert len(ue.downloads) == 1, "what is downloaded is not downloaded again"
        world.fire_all(until=world.now + LONG)
        assert world.state(ue) == "Online", frames
        for kept in (world.cps, world.rans, world.registered, world.gutis, world.tunnels, world.ran_bearers):
            assert len(kept) == 1, frames
        world.ue_event(ue, ev.DetachWanted())
        world.pump()
        world.fire_all(until=world.now + 100)
        assert left_over(world, ue) == {}, frames
        assert not world.cps, frames
        frames += every
    assert frames > 50


def attaches(world: World) -> Counter[AttachType]:
    """The attaches that were begun, by their type."""
    first = (decode_n2_frame(frame.octets) for frame in world.log if frame.link == "n2")
    begun = [world.nas.decode(n2.payload[1:]) for n2 in first if n2.kind is N2Kind.INITIAL_NAS and not n2.payload[0]]
    return Counter(message.attach_type for message in begun if isinstance(message, AttachRequest))


def test_a_loss_leads_back_to_the_first_attach_until_the_profile_is_there_and_then_to_the_second() -> None:
    first, second = AttachType.REMOTE_PROVISIONING, AttachType.INITIAL
    assert attaches(after(0)[0]) == {first: 1, second: 1}
    seen = []
    frames = 1
    while True:
        world, _, reached = after(frames, radio_at_both_ends)
        if not reached:
            break
        counted = attaches(world)
        seen.append((counted[first], counted[second]))
        frames += 4
    # The first attach again; neither, where nothing of it had reached the CP or step 6 was ending it; the second again.
    assert set(seen) == {(2, 1), (1, 1), (1, 2)}
    assert seen.index((1, 2)) > max(index for index, counts in enumerate(seen) if counts == (2, 1))
