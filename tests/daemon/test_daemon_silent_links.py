"""Links on which nobody says anything: bounded, and ended in time; whoever is honest is served meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import Network, Seen, run, until

from rprov.cli.demo_files import LOCAL
from rprov.daemon import ran
from rprov.model.limits import CpLimits, RanLimits
from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost
from rprov.wiring.ran import open_ran


def limited(limits: Any) -> Callable[[Any], Any]:
    return lambda settings: replace(settings, limits=limits)


async def ended(link: Link) -> bool:
    """Read a link to its end; says whether it has one."""
    try:
        while await link.receive() is not None:
            pass
    except LinkLost:
        return True
    return True


def test_links_to_a_ran_without_a_ue_are_bounded_for_each_address_and_in_total(tmp_path: Path) -> None:
    async def scenario() -> None:
        few = RanLimits(silent_links_per_address=3, silent_links=3)
        async with Network(tmp_path, ran=limited(few)) as net:
            links = [await tcp.connect(LOCAL, net.ran.port) for _ in range(5)]
            for oldest in links[:2]:
                async with asyncio.timeout(5):
                    assert await ended(oldest)
            await until(lambda: len(net.ran._silent) == 3)
            assert (await net.attach(await net.device())).ok
            for link in links:
                link.abort()
            await until(lambda: not len(net.ran._silent))

    run(scenario())


def test_a_link_without_a_ue_ends_in_time_and_one_with_a_ue_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, ran=limited(RanLimits(silence=0.3))) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok
            silent = await tcp.connect(LOCAL, net.ran.port)
            async with asyncio.timeout(5):
                assert await ended(silent)
            assert ue.daemon.attached
            assert net.ran.ues == 1

    run(scenario())


def test_links_to_a_cp_that_say_nothing_are_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        few = CpLimits(silent_links_per_address=2, silent_links=2)
        async with Network(tmp_path, cp=limited(few)) as net, AsyncExitStack() as stack:
            await until(lambda: not len(net.cp._silent), 5)
            links = [await tcp.connect(LOCAL, net.cp.port) for _ in range(4)]
            for link in links:
                stack.callback(link.abort)
            for oldest in links[:2]:
                async with asyncio.timeout(5):
                    assert await ended(oldest)
            assert len(net.cp._silent) == 2
            # The RAN that is set up does not count, and goes on.
            assert (await net.attach(await net.device())).ok

    run(scenario())


def test_a_core_that_never_answers_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ran, "SETUP_SECONDS", 0.1)
    monkeypatch.setattr(ran, "FIRST_BACKOFF", 0.01)
    heard: list[Link] = []

    async def mute(link: Link) -> None:
        heard.append(link)
        await ended(link)

    async def scenario() -> None:
        listener = await tcp.listen(LOCAL, 0, mute)
        files = Network(tmp_path).files
        settings = files.ran(listener.port)
        node = await open_ran(replace(settings, cp=replace(settings.cp, tls=None)), Seen())
        start = asyncio.create_task(node.daemon.start())
        try:
            await until(lambda: len(heard) >= 3)
            assert not start.done(), "it waits for a core that is one"
        finally:
            start.cancel()
            await asyncio.wait([start])
            await node.close()
            await listener.close()

    run(scenario())
