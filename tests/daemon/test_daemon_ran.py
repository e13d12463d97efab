"""The RAN daemon: its one link to the core, made again and again, and radio links that cannot disturb each other."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import Network, run, until

from rprov.causes import Cause
from rprov.cli.demo_files import LOCAL, PLMN, DemoFiles
from rprov.daemon import ran as ran_module
from rprov.daemon.ran import RanDaemon
from rprov.errors import EnvironmentLacks, Misuse, Refused
from rprov.model.identifiers import CpUeId, Plmn, RanUeId, UeRadioId
from rprov.model.limits import (
    RanLimits,
)
from rprov.model.numbers import Ppid
from rprov.transport import tcp
from rprov.transport.link import Link, LinkLost, Listener
from rprov.wire.link import N2Frame, N2Kind, N2SetupFailure, N2SetupRequest, N2SetupResponse, decode_n2_frame
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.radio import CellInfo, RadioFrame, RrcReject, RrcSetup, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import RadioAsn1
from rprov.wiring.ran import open_ran

N2, RADIO = LinkAsn1(), RadioAsn1()
YES = N2SetupResponse("core", PLMN, True)


class Core:
    """A CP that says what it is told to say, and keeps its links."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.links: list[Link] = []
        self.requests: list[Any] = []

    async def serve(self, link: Link) -> None:
        self.links.append(link)
        first = await link.receive()
        assert first is not None
        self.requests.append(N2.decode(decode_n2_frame(first.payload).payload))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            await answer(link)
        else:
            frame = N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, N2.encode(answer))
            await link.send(0, Ppid.N2, frame.encode())
        while await link.receive() is not None:
            pass


@asynccontextmanager
async def cell(
    place: Path, core: Core, change: Callable[[Any], Any] = lambda settings: settings, wait: bool = True
) -> AsyncIterator[tuple[RanDaemon, "asyncio.Task[None]"]]:
    """A RAN in front of such a core; gives its start, too."""
    files = DemoFiles(place)
    files.prepare()
    listener: Listener = await tcp.listen(LOCAL, 0, core.serve)
    settings = files.ran(listener.port)
    plain = replace(settings, cp=replace(settings.cp, tls=None))
    node = await open_ran(change(plain), _Silent())
    daemon: RanDaemon = node.daemon  # type: ignore[assignment]
    start = asyncio.create_task(daemon.start())
    try:
        if wait:
            async with asyncio.timeout(5):
                await start
        yield daemon, start
    finally:
        start.cancel()
        await asyncio.wait([start])
        await node.close()
        await listener.close()


class _Silent:
    def record(self, item: Any) -> None:
        pass


@asynccontextmanager
async def radio(daemon: RanDaemon) -> AsyncIterator[Link]:
    link = await tcp.connect(LOCAL, daemon.port)
    try:
        yield link
    finally:
        link.abort()


async def heard(link: Link) -> Any:
    """The next message to everyone on a radio link."""
    async with asyncio.timeout(5):
        frame = await link.receive()
    assert frame is not None
    return RADIO.decode(decode_radio_frame(frame.payload).payload)


async def ask(link: Link, transaction: bytes = b"\x00\x00\x00\x01") -> None:
    await link.send(0, Ppid.RADIO, RadioFrame(UeRadioId(0), RADIO.encode(RrcSetupRequest(transaction))).encode())


def scene(tmp_path: Path, core: Core, play: Callable[[RanDaemon], Awaitable[None]], **changes: Any) -> None:
    async def scenario() -> None:
        async with cell(tmp_path, core, lambda settings: replace(settings, **changes)) as (daemon, _):
            await play(daemon)

    run(scenario())


def test_it_says_who_it_is_and_announces_what_the_core_offers(tmp_path: Path) -> None:
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        assert core.requests == [N2SetupRequest("ran", PLMN, 1)]
        async with radio(daemon) as link:
            assert await heard(link) == CellInfo(PLMN, 1, True)

    scene(tmp_path, core, play)


def test_it_does_not_begin_where_the_core_refuses_it(tmp_path: Path) -> None:
    for answer, words in (
        (N2SetupFailure(Cause.PLMN_NOT_ALLOWED), "the CP refuses this RAN"),
        (N2SetupResponse("core", Plmn("999", "70"), True), "the CP is of 999-70, this RAN of 001-01"),
    ):
        with pytest.raises(Refused, match=words):
            scene(tmp_path, Core(answer), lambda _daemon: asyncio.sleep(0))


def test_it_waits_for_a_core_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ran_module, "SETUP_SECONDS", 0.02)
    monkeypatch.setattr(ran_module, "FIRST_BACKOFF", 0.01)

    async def silent(_link: Link) -> None:
        await asyncio.Event().wait()

    async def noise(link: Link) -> None:
        await link.send(0, Ppid.N2, os.urandom(20))

    async def goodbye(link: Link) -> None:
        await link.close()

    core = Core(silent, noise, goodbye, N2SetupRequest("who", PLMN, 1), YES)

    async def play(_daemon: RanDaemon) -> None:
        assert len(core.requests) == 5

    scene(tmp_path, core, play)


def test_it_tries_again_ever_later_and_never_in_step_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, last = 0.0005, 0.004
    monkeypatch.setattr(ran_module, "FIRST_BACKOFF", first)
    monkeypatch.setattr(ran_module, "LAST_BACKOFF", last)

    async def hang_up(link: Link) -> None:
        link.abort()

    async def scenario() -> list[float]:
        with caplog.at_level("WARNING", logger="rprov.ran"):
            async with cell(tmp_path, Core(hang_up), wait=False):
                await until(lambda: len(caplog.records) >= 12)
        return [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]  # type: ignore[misc]

    waits = run(scenario())
    steps = [min(first * 2**number, last) for number in range(len(waits))]
    assert all(0.5 * step <= wait < 1.5 * step for step, wait in zip(steps, waits, strict=True))
    assert len({round(wait / step, 6) for step, wait in zip(steps, waits, strict=True)}) > 3


def test_nobody_can_connect_before_the_core_has_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def later(link: Link) -> None:
            await gate.wait()
            await link.send(0, Ppid.N2, N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, N2.encode(YES)).encode())

        core = Core(later)
        async with cell(tmp_path, core, wait=False) as (daemon, start):
            await until(lambda: core.requests)
            assert not start.done()
            with pytest.raises(Misuse, match="does not listen"):
                _ = daemon.port
            gate.set()
            await start
            assert daemon.port

    run(scenario())


def test_a_lost_core_is_found_again_at_once_and_the_cell_announced_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ran_module, "FIRST_BACKOFF", 0.01)
    core = Core(YES, N2SetupResponse("core", PLMN, False), YES)

    async def play(daemon: RanDaemon) -> None:
        async with radio(daemon) as link, radio(daemon) as dead:
            assert (await heard(link)).provisioning_offered
            assert (await heard(dead)).provisioning_offered
            # One that dies just then is no reason to lose the core again.
            dead.abort()
            for offered in (False, True):
                core.links[-1].abort()
                assert (await heard(link)).provisioning_offered is offered
            assert len(core.links) == 3

    scene(tmp_path, core, play)


def test_a_ue_that_does_not_read_does_not_keep_the_core_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ran_module, "FIRST_BACKOFF", 0.01)
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        async with radio(daemon) as deaf, radio(daemon) as link:
            assert await heard(link)
            (stuck,) = [item for item in daemon._links if item.link.peer == deaf.local]

            async def never(*_: Any) -> None:
                await asyncio.Event().wait()

            stuck.link = _Stuck(stuck.link, never)  # type: ignore[assignment]
            core.links[-1].abort()
            assert await heard(link)
            core.links[-1].abort()
            assert await heard(link)

    scene(tmp_path, core, play)


class _Stuck:
    """A link whose other end reads nothing any more."""

    def __init__(self, link: Link, send: Any) -> None:
        self._link = link
        self.send = send

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


def test_without_a_core_the_cell_is_silent_and_takes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ran_module, "FIRST_BACKOFF", 60.0)
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        async with radio(daemon) as before:
            assert isinstance(await heard(before), CellInfo)
            await ask(before)
            assert isinstance(await heard(before), RrcSetup)
            core.links[-1].abort()
            await until(lambda: daemon._n2 is None and not daemon.ues)
            async with radio(daemon) as link:
                await ask(link, b"\x00\x00\x00\x02")
                # Nothing comes before it: the cell does not announce what it cannot serve.
                assert await heard(link) == RrcReject(b"\x00\x00\x00\x02", Cause.CONGESTION, 5)

    scene(tmp_path, core, play)


def test_where_there_is_no_room_a_ue_is_told_to_come_back(tmp_path: Path) -> None:
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        async with radio(daemon) as link, radio(daemon) as other, radio(daemon) as third:
            for each in (link, other, third):
                await heard(each)
            await ask(link)
            assert isinstance(await heard(link), RrcSetup)
            await ask(link)
            assert isinstance(await heard(link), RrcReject), "one on a link"
            await ask(other)
            assert isinstance(await heard(other), RrcSetup)
            await ask(third)
            assert isinstance(await heard(third), RrcReject), "two in all"
            # Who goes makes room.
            link.abort()
            await until(lambda: daemon.ues == 1)
            await ask(third)
            assert isinstance(await heard(third), RrcSetup)

    scene(tmp_path, core, play, limits=RanLimits(half_open_per_link=1, half_open=2))


def test_noise_on_a_radio_link_is_read_over(tmp_path: Path) -> None:
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        async with radio(daemon) as link:
            await heard(link)
            announcement = RadioFrame(UeRadioId(0), RADIO.encode(CellInfo(PLMN, 9, True))).encode()
            for octets in (b"\x01", os.urandom(40), RadioFrame(UeRadioId(5), b"x").encode(), announcement):
                await link.send(0, Ppid.RADIO, octets)
            await ask(link)
            assert isinstance(await heard(link), RrcSetup)
            assert daemon.ues == 1

    scene(tmp_path, core, play)


def test_noise_of_the_core_is_read_over(tmp_path: Path) -> None:
    core = Core(YES)

    async def play(daemon: RanDaemon) -> None:
        (n2,) = core.links
        for octets in (b"\x01", os.urandom(40), N2Frame(RanUeId(5), CpUeId(5), N2Kind.NAS, b"x").encode()):
            await n2.send(0, Ppid.N2, octets)
        async with radio(daemon) as link:
            await heard(link)
            await ask(link)
            setup = await heard(link)
            assert isinstance(setup, RrcSetup)
            number = int(setup.ue_radio_id)
            for kind in N2Kind:
                frame = N2Frame(RanUeId(number), CpUeId(5), kind, os.urandom(9))
                await n2.send(0, Ppid.N2, frame.encode())
            await ask(link, b"\x00\x00\x00\x03")
            while not isinstance(answer := await link.receive(), type(None)):
                frame_in = decode_radio_frame(answer.payload)
                if frame_in.ue_radio_id == 0:
                    break  # the answer to the second request: it serves on
        assert not n2_lost(core)

    scene(tmp_path, core, play)


def n2_lost(core: Core) -> bool:
    return len(core.links) > 1


def test_a_radio_address_that_is_taken_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        core = Core(YES)
        async with cell(tmp_path, core) as (daemon, _):
            taken = daemon.port
            with pytest.raises(EnvironmentLacks, match=rf"cannot listen at 127\.0\.0\.1:{taken}"):
                async with cell(
                    tmp_path, core, lambda settings: replace(settings, radio=replace(settings.radio, port=taken))
                ):
                    pass

    run(scenario())


def test_closing_it_ends_every_link(tmp_path: Path) -> None:
    async def scenario() -> None:
        core = Core(YES)
        async with cell(tmp_path, core) as (daemon, _):
            link = await tcp.connect(LOCAL, daemon.port)
            await heard(link)
        with pytest.raises(LinkLost):
            await link.receive()

    run(scenario())


def test_a_whole_network_without_provisioning_says_so(tmp_path: Path) -> None:
    def closed(settings: Any) -> Any:
        return replace(settings, provisioning=replace(settings.provisioning, offered=False))

    async def scenario() -> None:
        async with Network(tmp_path, cp=closed) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).cause is Cause.PROVISIONING_NOT_OFFERED

    run(scenario())
