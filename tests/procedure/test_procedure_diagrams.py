"""The pictures of the state machines are those of the tables, and no run goes where no arrow leads."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from doubles.certificates import cp_side, ue_side
from doubles.pki import EID
from doubles.world import World, ordinary, provisioning

from rprov.causes import Cause
from rprov.model.report import Transition
from rprov.procedure.events import DetachOrdered, DetachWanted

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "draw_states.py"


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("draw_states", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_states"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["draw_states"]


def test_the_page_is_not_stale():
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def drawn(tool, role, transition):
    """Where the page says that this event leads from this state, in whatever way it is handled."""
    places = set()
    for (state, event), targets in tool.rows(role):
        if event == "refused" or (event == transition.event and state in (None, named(tool, role, transition.state))):
            places |= targets
    return places


def named(tool, role, name):
    picture = next(picture for picture in tool.pictures() if picture.role.name == role)
    return next(state for state in tool.states_of(picture) if state.__name__ == name)


def runs() -> Iterator[World]:
    """A whole procedure, and some that end otherwise."""
    world = World(cp_side(), ue_side())
    ue = world.add_ue(provisioning())
    world.pump()
    world.cp_event(world.registered[str(next(iter(world.subscribers)))], DetachOrdered(Cause.IMPLICITLY_DETACHED))
    world.pump()
    world.fire_all()
    yield world
    world = World(cp_side(), ue_side())
    world.devices.pop(EID)
    world.add_ue(provisioning())
    world.pump()
    world.fire_all()
    yield world
    for frames in range(0, 24, 3):
        world = World()
        ue = world.add_ue(ordinary())
        world.pump_frames(frames)
        world.lose_radio(ue)
        world.pump()
        world.ue_event(ue, DetachWanted())
        world.pump()
        world.fire_all()
        yield world


def test_every_move_of_a_run_is_drawn(tool):
    seen = set()
    for world in runs():
        for move in (item for item in world.items if isinstance(item, Transition)):
            places = drawn(tool, move.role, move)
            ends = {place.__name__ for place in places if isinstance(place, type)}
            stays = tool.SAME in places and move.next_state == move.state
            assert stays or move.next_state in ends or ("Close" in move.actions and tool.END in places), move
            seen.add((move.role, move.state, move.event, move.next_state))
    assert {role for role, *_ in seen} == {"ue", "cp", "ran", "ue-access"}
    assert len(seen) > 50


@pytest.mark.parametrize("name", ["ue", "cp", "ran", "ue-access"])
def test_every_state_stands_in_its_picture(tool, name):
    picture = next(picture for picture in tool.pictures() if picture.role.name == name)
    lines = "\n".join(tool.arrows(picture))
    for state, _ in picture.role.table:
        assert state.__name__ in lines


def test_what_is_not_understood_is_an_error(tool):
    def handler(state, event, env):
        return [state][0]

    picture = next(iter(tool.pictures()))
    with pytest.raises(tool.Puzzled, match="is not understood"):
        tool.reach(picture.role, handler)
