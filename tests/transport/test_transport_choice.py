"""Which transport is chosen, that it is said, and that two ends agree whatever each of them has."""

import asyncio
import logging

import pytest
from contract import linked
from doubles.loop import run

from rprov.errors import EnvironmentLacks
from rprov.model.sctp import Carrier
from rprov.transport import choice, sctp_socket, tcp, usrsctp_library
from rprov.transport.choice import Both, Ends, choose
from rprov.transport.link import Link, LinkLost, Listener, OnLink, Transport
from rprov.transport.memory import MemoryNetwork
from rprov.transport.sctp import KernelSctp
from rprov.transport.usrsctp import UserSctp
from rprov.wire.framing import Frame

HOST = "127.0.0.1"


class Silent:
    """A network on which nobody ever answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = 0) -> Listener:
        raise EnvironmentLacks("cannot listen: Address already in use")

    async def connect(self, host: str, port: int, limit: int = 0) -> Link:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError


async def served_by(listening: Transport, connecting: Transport) -> tuple[Link, Link]:
    """Connect the two; gives both ends, the listener stays."""
    accepted: asyncio.Queue[Link] = asyncio.Queue()

    async def on_link(link: Link) -> None:
        accepted.put_nowait(link)
        while (frame := await link.receive()) is not None:
            await link.send(frame.stream, frame.ppid, frame.payload)

    listener = await listening.listen(HOST, 0, on_link)
    here = await connecting.connect(HOST, listener.port)
    await here.send(1, 2, b"x")
    assert await here.receive() == Frame(1, 2, b"x")
    there = await accepted.get()
    await here.close()
    await listener.close()
    return here, there


@pytest.mark.parametrize("one_sided", ["neither", "no sctp at the listener", "no tcp at the listener"])
def test_whoever_listens_for_both_is_found_over_sctp_and_others_over_what_they_have(one_sided: str) -> None:
    async def scenario() -> None:
        sctp, tcp = MemoryNetwork(), MemoryNetwork()
        connecting = Both(sctp, tcp)
        listening: Transport = {
            "neither": Both(sctp, tcp),
            "no sctp at the listener": tcp,
            "no tcp at the listener": sctp,
        }[one_sided]
        here, there = await served_by(listening, connecting)
        assert here._other is there  # type: ignore[attr-defined]

    run(scenario())


@pytest.mark.parametrize("only", [0, 1])
def test_whoever_has_only_one_of_them_finds_who_listens_for_both(only: int) -> None:
    async def scenario() -> None:
        networks = MemoryNetwork(), MemoryNetwork()
        await served_by(Both(*networks), networks[only])

    run(scenario())


def test_sctp_is_first_where_both_ends_have_it() -> None:
    async def scenario() -> None:
        sctp, tcp = MemoryNetwork(), MemoryNetwork()

        async def on_link(link: Link) -> None:
            await link.receive()

        listener = await Both(sctp, tcp).listen(HOST, 0, on_link)
        link = await Both(sctp, Silent()).connect(HOST, listener.port)
        link.abort()
        await listener.close()

    run(scenario())


def test_a_host_that_says_nothing_over_sctp_is_asked_over_tcp_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(choice, "SCTP_SECONDS", 0.01)
    silent, tcp = Silent(), MemoryNetwork()
    with caplog.at_level(logging.INFO, logger="rprov.transport"):
        run(served_by(tcp, Both(silent, tcp)))  # type: ignore[arg-type]
    assert silent.asked == 1
    assert "no answer over SCTP" in caplog.text


def test_a_port_that_only_one_of_them_can_have_is_nobodys() -> None:
    async def scenario() -> None:
        network = MemoryNetwork()

        async def on_link(link: Link) -> None:
            await link.close()

        with pytest.raises(EnvironmentLacks, match="in use"):
            await Both(Silent(), network).listen(HOST, 4000, on_link)
        with pytest.raises(LinkLost, match="refused"):
            await network.connect(HOST, 4000)

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "kernel", "kind", "said"),
    [
        (Carrier.TCP, True, None, "N2: TCP, as asked for"),
        (Carrier.TCP, False, None, "N2: TCP, as asked for"),
        (Carrier.AUTO, True, Both, "N2: SCTP or TCP (auto: this kernel has SCTP)"),
        (Carrier.AUTO, False, None, "N2: TCP (auto: this kernel has no SCTP"),
        (Carrier.SCTP, True, KernelSctp, "N2: SCTP of the kernel, as asked for"),
        (Carrier.SCTP, False, UserSctp, "N2: SCTP of libusrsctp, in UDP, as asked for (this kernel has no SCTP)"),
    ],
)
def test_what_is_chosen_is_said(
    asked: Carrier,
    kernel: bool,
    kind: type | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sctp_socket, "available", lambda: kernel)
    with caplog.at_level(logging.INFO, logger="rprov.transport"):
        chosen = choose(asked, Ends(), "N2")
    assert said in caplog.text
    if kind is None:
        assert chosen is tcp
        assert choose(asked, Ends(), "N2", bare=True) is tcp.bare_tcp
    else:
        assert type(chosen) is kind


def test_sctp_where_there_is_none_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EnvironmentLacks("user-space SCTP needs libusrsctp: apt-get install libusrsctp2")

    monkeypatch.setattr(sctp_socket, "available", lambda: False)
    monkeypatch.setattr(usrsctp_library, "library", missing)
    with pytest.raises(EnvironmentLacks, match=r"^N2: this kernel has no SCTP, and .*apt-get install libusrsctp2"):
        choose(Carrier.SCTP, Ends(), "N2")
    assert choose(Carrier.AUTO, Ends(), "N2") is tcp


@pytest.mark.sctp_kernel
def test_auto_is_sctp_in_a_kernel_that_has_it_and_tcp_beside_it() -> None:
    async def scenario() -> None:
        auto = choose(Carrier.AUTO, Ends(), "N2")
        async with linked(auto) as (here, there):
            assert here.carrier == there.carrier == "sctp"
        here, there = await served_by(auto, tcp)  # type: ignore[arg-type]
        assert here.carrier == there.carrier == "tcp"
        here, there = await served_by(tcp, auto)  # type: ignore[arg-type]
        assert here.carrier == there.carrier == "tcp"

    run(scenario())
