"""The whole procedure with control links over the SCTP of a kernel: alone, beside TCP, and with a path that is lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from doubles.network import IMPATIENT, Network, enters, run
from doubles.sockets import deafen
from doubles.two_wires import OURS, QUICK, THEIRS, two_wires, within_far

from rprov.cli.demo import demo
from rprov.daemon.ue import sentence
from rprov.model.kinds import Host
from rprov.model.sctp import Carrier, SctpListen, SctpPeer
from rprov.model.settings import CpSettings, RanSettings
from rprov.transport.link import Link, Listener
from rprov.transport.sctp import KernelSctp

pytestmark = pytest.mark.sctp_kernel


@pytest.mark.parametrize("carrier", Carrier)
def test_the_demo_over(carrier: Carrier, tmp_path: Path) -> None:
    arguments = ["--workdir", str(tmp_path), "--transport", carrier.value, "--devices", "3", "--report", "json"]
    result = CliRunner().invoke(demo, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    report = json.loads(result.output)
    assert [device["ok"] for device in report["devices"]] == [True] * 3


@pytest.mark.parametrize("n2_tls", [False, True], ids=["plain", "TLS"])
def test_ends_that_leave_it_to_chance_use_sctp(tmp_path: Path, n2_tls: bool) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=n2_tls) as net:
            device = await net.device()
            ended = await net.attach(device)
            assert ended.ok
            assert net.ran._n2 is not None
            assert "sctp" in net.ran._n2.carrier
            assert net.ran._n2.streams == 256
            assert (net.ran._n2.peer_names is not None) is n2_tls

    run(scenario())


# --- two paths --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def far() -> Iterator[None]:
    with two_wires():
        yield


def core_of_two_addresses(settings: CpSettings) -> CpSettings:
    sctp = SctpListen(addresses=(Host(THEIRS[1]),), **QUICK)
    return replace(settings, n2=replace(settings.n2, host=Host(THEIRS[0]), transport=Carrier.SCTP, sctp=sctp))


def cell_of_two_addresses(settings: RanSettings) -> RanSettings:
    sctp = SctpPeer(addresses=(Host(OURS[1]),), peer_addresses=(Host(THEIRS[1]),), **QUICK)
    return replace(settings, cp=replace(settings.cp, host=Host(THEIRS[0]), transport=Carrier.SCTP, sctp=sctp))


def socket_of(link: Any) -> Any:
    """The socket below whatever wraps a link."""
    while not hasattr(link, "_socket"):
        link = getattr(link, "_link", None) or link._below
    return link._socket


@pytest.mark.privileged
@pytest.mark.parametrize("state", ["AwaitAuthentication", "AwaitAttachAccept", "AwaitDownload", "AwaitVerdict"])
def test_the_loss_of_one_of_two_paths_between_ran_and_core_loses_no_nas(
    far: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    listen = KernelSctp.listen

    async def listen_far(self: KernelSctp, host: str, *arguments: Any) -> Listener:
        if host not in THEIRS:
            return await listen(self, host, *arguments)
        with within_far():
            return await listen(self, host, *arguments)

    monkeypatch.setattr(KernelSctp, "listen", listen_far)

    async def scenario() -> None:
        async with Network(tmp_path, cp=core_of_two_addresses, ran=cell_of_two_addresses, n2_tls=True) as net:
            # It asks once and waits: were a message lost, or N2, the device would not get there.
            patient = replace(IMPATIENT, t3510=15.0, t3580=15.0, t3521=15.0)
            device = (await net.device()).but(max_attempts=1, timers=patient)
            (ran,) = net.cp._links
            n2: Link | None = net.ran._n2
            assert n2 is not None
            assert {address.host for address in n2.peer_addresses} == {*THEIRS}

            def cut(_item: object) -> None:
                deafen(socket_of(n2), [OURS[0]])
                deafen(socket_of(ran.link), [THEIRS[0]])

            net.seen.once(enters("ue", state), cut)
            with caplog.at_level("INFO", logger="rprov.transport"):
                ended = await net.attach(device)
            assert ended.ok, sentence(ended)
            assert net.seen.steps() == [(step, True) for step in range(1, 8)]
            assert not [name for name in net.seen.transitions("ue") if name.endswith("+TimerFired")]
            assert net.ran._n2 is n2
            assert {*net.cp._links} == {ran}

    run(scenario(), 60)
    assert f"the path to {THEIRS[0]} is unreachable" in caplog.text
