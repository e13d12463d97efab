"""The UE daemon: how it looks for its cell, how it ends, and what it says of that."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from doubles.network import IMPATIENT, Cable, Network, enters, run, until

from rprov.causes import Cause
from rprov.daemon.ue import UeDaemon, sentence
from rprov.errors import Misuse, Refused, RprovError
from rprov.model.identifiers import Iccid
from rprov.model.numbers import Ppid
from rprov.model.places import UeUserPlane
from rprov.model.policy import Timers
from rprov.model.report import Discarded
from rprov.procedure.actions import Conclude
from rprov.store.writer import StoreFailed
from rprov.transport import tcp
from rprov.transport.link import Link
from rprov.wiring.ue import open_ue

SHORT = Timers(tombstone=0.05)
LOCAL = "127.0.0.1"


def test_a_failure_is_a_sentence() -> None:
    assert sentence(Conclude(True, Cause.NORMAL)) == ""
    assert sentence(Conclude(False, Cause.NO_ORDER)) == "no profile is ordered for this EID"
    assert sentence(Conclude(False, Cause.CONGESTION, "ask later")) == "the network is busy (ask later)"


def test_it_looks_for_its_cell_until_the_ran_is_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = (await net.device()).but(max_attempts=1)
            port = await net.stop_ran()
            async with net.ue(device) as ue:
                # To find nobody is no failed attempt: it has only one.
                await until(lambda: "Deregistered+AttachWanted" in net.seen.transitions("ue"))
                await net.start_ran(port)
                assert (await ue.outcome()).ok

    run(scenario())


def test_it_gives_up_when_there_is_no_cell(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = (await net.device()).but(max_attempts=2, timers=replace(IMPATIENT, cell=0.05))
            await net.stop_ran()
            async with net.ue(device) as ue:
                ended = await ue.outcome()
            assert (ended.cause, ended.detail) == (Cause.PEER_SILENT, "cell expired")

    run(scenario())


def test_it_must_be_started_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            node, _ = await open_ue((await net.device()).settings, net.seen)
            daemon = cast("UeDaemon", node.daemon)
            for ask in (daemon.outcome, daemon.left):
                with pytest.raises(Misuse, match="was not started"):
                    await ask()
            assert not daemon.attached
            await node.close()

    run(scenario())


def test_it_leaves_in_order_and_a_second_time_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok
            assert "address=10.45.128." in ue.daemon.summary
            async with asyncio.timeout(5):
                await ue.daemon.detach(60)
                assert not ue.daemon.attached
                assert "address" not in ue.daemon.summary
                assert (await ue.daemon.left()).cause is Cause.NORMAL
                await ue.daemon.detach(60)
            await until(lambda: net.empty)

    run(scenario())


def test_it_leaves_without_an_answer_when_none_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, Cable(net.ran.port) as cable:
            device = (await net.device()).but(timers=replace(IMPATIENT, t3521=60.0))
            async with net.ue(device, port=cable.port) as ue:
                assert (await ue.outcome()).ok
                cable.freeze_answers()
                async with asyncio.timeout(5):
                    await ue.daemon.detach(0.05)
                assert ue.daemon.attached, "it has only stopped waiting"

    run(scenario())


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        (
            Refused(Cause.PROVISIONING_FAILED, "no room"),
            Cause.PROVISIONING_FAILED,
            "could not be downloaded \\(no room\\)",
        ),
        (StoreFailed("the disk is full"), Cause.PROVISIONING_FAILED, "the disk is full"),
        (ZeroDivisionError("oops"), Cause.DEVICE_FAILURE, "an internal fault; see the log"),
    ],
    ids=["refused", "store", "bug"],
)
def test_a_download_that_fails_is_told_in_words(tmp_path: Path, error: Exception, cause: Cause, words: str) -> None:
    class Failing:
        async def download(self, *_: Any) -> Any:
            raise error

    async def scenario() -> None:
        async with Network(tmp_path) as net, net.ue(await net.device()) as ue:
            ue.daemon._setup = replace(ue.daemon._setup, provisioner=Failing())
            ended = await ue.outcome()
            assert ended.cause is cause
            assert re.search(words, sentence(ended)), sentence(ended)

    run(scenario())


def test_a_card_that_does_not_enable_its_profile_ends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net, net.ue(await net.device()) as ue:

            async def never(_iccid: Iccid) -> Any:
                raise RprovError("the card is broken")

            ue.daemon._setup.card.enable = never  # type: ignore[method-assign]
            ended = await ue.outcome()
            assert (ended.ok, ended.detail) == (False, "the card is broken")

    run(scenario())


def test_noise_of_a_cell_is_read_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            true = net.ran.port

            async def serve(link: Link) -> None:
                """Noise first, then what the true cell says."""
                for octets in (b"\x01", b"\xff" * 30, b"\x00\x00\x00\x00" + b"\x7f" * 20, b"\x00\x00\x00\x05abc"):
                    await link.send(0, Ppid.RADIO, octets)
                there = await tcp.connect(LOCAL, true)

                async def carry(source: Link, target: Link) -> None:
                    while (frame := await source.receive()) is not None:
                        await target.send(frame.stream, frame.ppid, frame.payload)

                try:
                    await asyncio.gather(carry(link, there), carry(there, link))
                finally:
                    there.abort()

            listener = await tcp.listen(LOCAL, 0, serve)
            async with net.ue(device, port=listener.port) as ue:
                assert (await ue.outcome()).ok
            await listener.close()
            assert any(item.role == "ue" for item in net.seen.of(Discarded))

    run(scenario())


def test_it_stays_attached_through_a_lost_link_and_left_does_not_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Network(tmp_path) as net,
            Cable(net.ran.port) as cable,
            net.ue(await net.device(), port=cable.port) as ue,
        ):
            assert (await ue.outcome()).ok
            again = net.seen.next(enters("ue", "Online"))
            left = asyncio.create_task(ue.daemon.left())
            cable.cut()
            await again
            assert not left.done()
            left.cancel()
            # Two attaches, and one more: the RAN gave each an id of its own.
            assert len(ue.daemon.radio_ids) == 3

    run(scenario())


def test_its_address_for_user_packets_may_be_chosen(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = (await net.device()).but(user_plane=UeUserPlane(port=0))
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                assert str(ue.daemon._setup.user_plane.address.address) == LOCAL

    run(scenario())
