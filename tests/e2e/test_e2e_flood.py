"""Slow, stuck and garbage peers by the thousand, on real sockets: honest devices are served, memory has its bounds."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.flood import How, Stranger, client_hello
from doubles.network import Network, run, until
from doubles.pki import shared_pki

from rprov.cli.demo_files import LOCAL
from rprov.daemon.ue import sentence
from rprov.model.limits import CpLimits, RanLimits

CP = CpLimits(half_open_per_link=300, half_open_per_ran=300, half_open=300, backoff=1)
RAN = RanLimits(half_open_per_link=200, half_open=1000, backoff=1, silent_links_per_address=400, silent_links=400)


def limited(limits: Any) -> Callable[[Any], Any]:
    return lambda settings: replace(settings, limits=limits)


@asynccontextmanager
async def strangers(net: Network, how: How, links: int, attaches: int) -> AsyncIterator[list[Stranger]]:
    """Each on a link of its own, with so many attaches."""
    hello = client_hello(shared_pki().device)
    async with AsyncExitStack() as stack:
        crowd = []
        for _ in range(links):
            crowd.append(await Stranger.connect(net.ran.port, how, hello))
            stack.push_async_callback(crowd[-1].close)
        for stranger in crowd:
            await stranger.begin(attaches)
        yield crowd


async def all_served(net: Network, devices: int) -> None:
    for _ in range(devices):
        ended = await net.attach(await net.device())
        assert ended.ok, sentence(ended)


def bounded(net: Network) -> None:
    assert len(net.cp._half_open) <= CP.half_open
    assert len(net.cp._evicted) <= CP.half_open
    assert net.cp.ues <= 2 * CP.half_open + net.cp.registered
    assert len(net.ran._half_open) <= RAN.half_open


@pytest.mark.parametrize(
    "how", [How.STUCK, *(pytest.param(how, marks=pytest.mark.slow) for how in (How.HELLO, How.GARBAGE))]
)
def test_a_thousand_attaches_that_prove_nothing_leave_honest_devices_served(tmp_path: Path, how: How) -> None:
    """Five times as many as the core holds: the oldest of them go, and never an honest one on its way."""

    async def scenario() -> None:
        async with (
            Network(tmp_path, cp=limited(CP), ran=limited(RAN)) as net,
            strangers(net, how, links=10, attaches=100) as crowd,
        ):
            await until(lambda: sum(stranger.heard["RrcSetup"] for stranger in crowd) == 1000)
            bounded(net)
            await all_served(net, 2)
            bounded(net)
            if how is not How.STUCK:
                assert sum(stranger.heard["start"] for stranger in crowd) > CP.half_open
            for stranger in crowd:
                stranger.link.abort()
            await until(lambda: not len(net.cp._half_open) and not len(net.ran._half_open))

    run(scenario())


@pytest.mark.slow
def test_one_link_cannot_take_the_place_of_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Network(tmp_path, cp=limited(CP), ran=limited(RAN)) as net,
            strangers(net, How.STUCK, links=1, attaches=1000) as (greedy,),
        ):
            await until(lambda: greedy.heard["RrcSetup"] + greedy.heard["RrcReject"] == 1000)
            assert greedy.heard["RrcReject"] >= 1000 - 300
            await all_served(net, 1)

    run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("says", ["nothing", "one octet", "noise"])
def test_thousands_of_links_that_lead_nowhere_leave_honest_devices_served(tmp_path: Path, says: str) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, cp=limited(CP), ran=limited(RAN)) as net:
            stop = asyncio.Event()
            opened = 0

            async def keep_opening() -> None:
                nonlocal opened
                writers: list[asyncio.StreamWriter] = []
                while not stop.is_set() or opened < 2000:
                    for port in (net.ran.port, net.cp.port):
                        _, writer = await asyncio.open_connection(LOCAL, port)
                        writer.write({"nothing": b"", "one octet": b"\0", "noise": os.urandom(64)}[says])
                        writers.append(writer)
                        opened += 1
                    for writer in writers[:-500]:  # a stranger has a limit of its own on what it holds
                        writer.transport.abort()
                    del writers[:-500]
                for writer in writers:
                    writer.transport.abort()

            flood = asyncio.create_task(keep_opening())
            await until(lambda: opened > 500)
            await all_served(net, 3)
            stop.set()
            await flood
            assert len(net.cp._silent) <= CP.silent_links
            assert len(net.ran._silent) <= RAN.silent_links
            await until(lambda: len(net.ran._silent) == len(net.cp._silent) == 0)

    run(scenario(), 60)
