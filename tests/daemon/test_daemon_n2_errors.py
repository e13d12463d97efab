"""One end of N2 speaks of a UE that the other does not know: it is told, and what it held of that UE goes."""

import asyncio
from pathlib import Path
from typing import Any

from doubles.network import LOCAL, PLMN, Network, run, until

from rprov.causes import Cause
from rprov.model.identifiers import CpUeId, RanUeId
from rprov.model.numbers import Ppid
from rprov.model.policy import Timers
from rprov.transport import tcp
from rprov.transport.link import Link
from rprov.wire.link import (
    ErrorIndication,
    N2Frame,
    N2Kind,
    N2SetupRequest,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    decode_n2_frame,
)
from rprov.wire.link_asn1 import LinkAsn1

CODEC = LinkAsn1()
SHORT = Timers(tombstone=0.05)
UNKNOWN = ErrorIndication(Cause.IDENTITY_UNKNOWN)


async def send(link: Link, message: Any, ran_ue_id: int = 0, cp_ue_id: int = 0) -> None:
    frame = N2Frame(RanUeId(ran_ue_id), CpUeId(cp_ue_id), N2Kind.CONTROL, CODEC.encode(message))
    await link.send(0, Ppid.N2, frame.encode())


async def said(link: Link) -> tuple[int, int, Any]:
    async with asyncio.timeout(5):
        received = await link.receive()
    assert received is not None
    frame = decode_n2_frame(received.payload)
    return frame.ran_ue_id, frame.cp_ue_id, CODEC.decode(frame.payload)


def test_the_core_says_which_ue_it_does_not_know_but_answers_no_last_word(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            link = await tcp.connect(LOCAL, net.cp.port)
            await send(link, N2SetupRequest("other", PLMN, 2))
            await said(link)
            await send(link, UNKNOWN, 5, 6)
            await send(link, UeContextReleaseComplete(), 6, 6)
            await link.send(0, Ppid.N2, N2Frame(RanUeId(7), CpUeId(8), N2Kind.NAS, b"x").encode())
            assert await said(link) == (7, 8, UNKNOWN)
            link.abort()

    run(scenario())


def test_a_ue_that_the_core_has_forgotten_is_released_and_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            device = (await net.device()).but(max_attempts=100)
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
                await until(lambda: net.cp.ues == net.ran.ues == 1)
                (known,) = net.cp._ues.values()
                before = ue.daemon.ue_radio_id
                net.cp._forget(known)
                # The RAN hears of it as soon as it speaks of that UE.
                assert net.ran._n2 is not None
                await send(net.ran._n2, UeContextReleaseCommand(Cause.NORMAL), int(known.endpoint.ran_ue_id))
                await until(lambda: ue.daemon.ue_radio_id not in (0, before))
                await until(lambda: net.cp.ues == net.ran.ues == len(net.sessions) == 1)

    run(scenario())


def test_a_ue_that_the_ran_does_not_know_is_given_up_by_the_core(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net, net.ue(await net.device()) as ue:
            assert (await ue.outcome()).ok
            await until(lambda: net.cp.ues == net.ran.ues == len(net.sessions) == 1)
            (known,) = net.cp._ues.values()
            assert net.ran._n2 is not None
            await send(net.ran._n2, UNKNOWN, int(known.endpoint.ran_ue_id), int(known.endpoint.cp_ue_id))
            await until(lambda: not len(net.sessions))

    run(scenario())
