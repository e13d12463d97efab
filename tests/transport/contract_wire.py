"""What every transport with a wire promises beside `contract`: that a peer which went without a word is noticed.

The test file of a transport imports these tests and says how they are played:

    impatient   as `play` of `contract`, on a transport that takes seconds to lose patience, not minutes
    cut         called with both ends of a link: neither hears the other from then on, and nobody is told
"""

import asyncio
from collections.abc import Callable

import pytest
from contract import Play, linked, send_many

from rprov.transport.link import Link, LinkLost, Transport

Cut = Callable[[Link, Link], None]


def test_silence_is_noticed_by_both_ends_though_nobody_sends(impatient: Play, cut: Cut) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            await here.send(1, 1, b"all is well")
            await there.receive()
            cut(here, there)
            for outcome in await asyncio.gather(here.receive(), there.receive(), return_exceptions=True):
                assert isinstance(outcome, LinkLost)
                assert "lost" in str(outcome)

    impatient(scenario)


def test_silence_is_noticed_by_a_sender(impatient: Play, cut: Cut) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            cut(here, there)
            with pytest.raises(LinkLost, match="lost"):
                await send_many(here)
            there.abort()

    impatient(scenario)


def test_closing_towards_a_peer_that_is_gone_ends(impatient: Play, cut: Cut) -> None:
    async def scenario(transport: Transport) -> None:
        async with linked(transport) as (here, there):
            cut(here, there)
            await here.send(1, 1, b"nobody hears this")
            await here.close()
            there.abort()

    impatient(scenario)
