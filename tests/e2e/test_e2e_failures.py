"""A node dies, or the cable between RAN and core is cut, at every step: nothing is left behind, and devices get there.

What happens on the radio is in `test_e2e_robustness.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import Cable, Network, ends, enters, run, until

from rprov.daemon.ue import sentence
from rprov.model.policy import Timers

SHORT = Timers(tombstone=0.05)

STATES = (
    "AwaitAuthentication",
    "AwaitSecurityMode",
    "AwaitAttachAccept",
    "AwaitSession",
    "AwaitDownload",
    "AwaitDetachAccept",
    "AwaitProfileEnabled",
    "AwaitVerdict",
    "Online",
)
"""Of the UE, through all seven steps."""

Happen = Callable[[Network, Cable], Awaitable[None]]


async def the_cable_is_cut(_net: Network, cable: Cable) -> None:
    cable.cut()


async def the_core_dies(net: Network, _cable: Cable) -> None:
    await net.start_cp(await net.stop_cp())


async def the_ran_dies(net: Network, _cable: Cable) -> None:
    await net.start_ran(await net.stop_ran())


CASES = [
    pytest.param(happen, state, marks=() if quick else pytest.mark.slow, id=f"{happen.__name__}-{state}")
    for happen in (the_cable_is_cut, the_core_dies, the_ran_dies)
    for state in STATES
    for quick in [(happen, state) == (the_ran_dies, "AwaitSecurityMode")]  # the others wait for a cell to be back
]


@asynccontextmanager
async def by_cable(place: Path) -> Any:
    """A network whose N2 runs through a cable."""
    async with Network(place, timers=SHORT, n2_tls=True) as net, Cable(net.cp.port) as cable:
        await net.stop_ran()
        net._change_ran = lambda settings: replace(settings, cp=replace(settings.cp, port=cable.port))
        await net.start_ran()
        yield net, cable


@pytest.mark.parametrize(("happen", "state"), CASES)
def test_between_ran_and_core_anything_may_break_at_any_step(tmp_path: Path, happen: Happen, state: str) -> None:
    # A detach that never arrived leaves a registration, which ends with the time for provisioning.
    left = int(state == "AwaitDetachAccept" and happen is not the_core_dies)

    async def scenario() -> None:
        async with by_cable(tmp_path) as (net, cable):
            device = (await net.device()).but(max_attempts=100)
            broken: list[asyncio.Task[None]] = []
            reached = asyncio.get_running_loop().create_future()

            def begin(_item: object) -> None:
                broken.append(asyncio.get_running_loop().create_task(happen(net, cable)))  # type: ignore[arg-type]
                reached.set_result(None)

            net.seen.once(enters("ue", state), begin)
            async with net.ue(device) as ue:
                await reached
                await broken[0]
                ended = await ue.outcome()
                assert ended.ok, sentence(ended)
                if state == "Online":
                    await net.seen.next(ends(7))
                await until(lambda: net.ran.ues == len(net.sessions) == 1 and net.cp.ues == 1 + left)
                assert net.ran_plane.bearers == 1
                assert ue.daemon.subscriber == device.names
                await ue.daemon.detach(5)
            await until(lambda: net.cp.ues == left and not len(net.sessions) and not net.ran.ues)
            assert not net.ran_plane.bearers

    run(scenario(), 30)
