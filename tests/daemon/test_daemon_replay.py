"""One side of a capture against live nodes: how far it goes, and that the first thing that is otherwise is found."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import SECONDS, Device, Network, run, until
from doubles.recorded_runs import Recorded, tries

from rprov.causes import Cause
from rprov.cli.demo_files import LOCAL, PLMN
from rprov.cli.main import run as rprov
from rprov.config import format_settings
from rprov.model.places import RadioPeer
from rprov.model.settings import CpSettings, Plan
from rprov.model.tracing import TraceSettings
from rprov.store.ordering import draw_order
from rprov.trace.tracing import tracing
from rprov.transport import tcp
from rprov.transport.link import Link
from rprov.wiring.ue import give_initial_profile, open_ue

TRACES = Path(__file__).parents[1] / "traces"


async def replay(*arguments: object) -> int:
    """The command, in a loop of its own beside the nodes'."""
    return await asyncio.to_thread(rprov, ["trace", "replay", *map(str, arguments)])


def against_cp(
    place: Path,
    name: str,
    *options: object,
    cp: Callable[[CpSettings], CpSettings] = lambda settings: settings,
    prepare: Callable[[Network], Awaitable[object]] | None = None,
) -> int:
    """Play RAN and UE of a kept capture to a fresh core of the same network."""

    async def scenario() -> int:
        async with Network(place, cp=cp) as net:
            if prepare is not None:
                await prepare(net)
            at = f"127.0.0.1:{net.cp.port}"
            return await replay(TRACES / f"{name}.pcapng", "--against", "cp", "--at", at, "--json", *options)

    code: int = run(scenario())
    return code


def report(capsys: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(("name", "compared", "ends"), [("no-order", 3, [18]), ("unknown-subscriber", 3, [])])
def test_another_core_behaves_alike_until_something_is_drawn(
    tmp_path: Path, capsys: Any, name: str, compared: int, ends: list[int]
) -> None:
    assert against_cp(tmp_path, name) == 0
    found = report(capsys)
    assert (found["alike"], found["first"], found["compared"]) == (True, None, compared)
    assert [line["frame"] for line in found["not_played"]] == ends
    assert all("drawn anew" in line["why"] for line in found["not_played"])


def not_offered(settings: CpSettings) -> CpSettings:
    return replace(settings, provisioning=replace(settings.provisioning, offered=False))


@pytest.mark.parametrize(
    ("name", "cp", "frame", "live"),
    [
        ("tls-1.2", None, 14, ("AuthenticationRequest", None, "EAP-TLS, alert 70")),
        ("mac-failure", None, 8, ("AttachReject", "IDENTITY_UNKNOWN", "")),
        ("provision", not_offered, 2, ("N2SetupResponse", None, "provisioning not offered")),
    ],
)
def test_the_first_difference_is_named(
    tmp_path: Path, capsys: Any, name: str, cp: Any, frame: int, live: tuple[str, str | None, str]
) -> None:
    assert against_cp(tmp_path, name, cp=cp or (lambda settings: settings)) == 1
    first = report(capsys)["first"]
    assert (first["frame"], first["did"]) == (frame, "differs")
    assert tuple(first["live"].values()) == live


def served(on_link: Callable[[Link], Awaitable[None]], *options: str) -> int:
    """Play a run to somebody who is no core."""

    async def scenario() -> int:
        listener = await tcp.listen(LOCAL, 0, on_link)
        try:
            at = f"{LOCAL}:{listener.port}"
            return await replay(TRACES / "no-order.pcapng", "--against", "cp", "--at", at, *options)
        finally:
            await listener.close()

    code: int = run(scenario())
    return code


def test_silence_is_a_difference(capsys: Any) -> None:
    async def listens(link: Link) -> None:
        while await link.receive() is not None:
            pass

    assert served(listens, "--wait", "0.05") == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith(
        "no-order.pcapng: frame 2: the capture has N2SetupResponse (provisioning offered), the CP says nothing"
    )


def test_a_core_that_wants_tls_is_not_called_different(capsys: Any) -> None:
    async def hangs_up(link: Link) -> None:
        await link.receive()

    assert served(hangs_up) == 2
    assert "it may want TLS (-c takes the file of its RAN)" in capsys.readouterr().err


def test_a_core_under_tls_is_met_with_the_file_of_its_ran(tmp_path: Path, capsys: Any) -> None:
    async def scenario() -> int:
        async with Network(tmp_path, n2_tls=True) as net:
            file = tmp_path / "other-ran.yaml"
            file.write_text(format_settings(net.files.ran(net.cp.port)))
            return await replay(TRACES / "no-order.pcapng", "--against", "cp", "-c", file)

    assert run(scenario()) == 0
    assert "behaves alike in the 3 messages that were compared" in capsys.readouterr().out


# --- against a device -------------------------------------------------------------------------------------------------


async def with_subscription(net: Network, device: Device, package: bytes) -> None:
    """Give the card of a device its first profile, as if nothing had been before."""
    for file in net.files.place.glob("euicc.db*"):
        file.unlink()
    await give_initial_profile(device.settings, package)


async def plays_the_cell(device: Device, pcap: Path, plan: Plan, capsys: Any, *, leaves: bool = False) -> Any:
    """Switch a device on where the capture is its cell; give the exit code and the report."""
    said: list[str] = []

    def port() -> int:
        said.append(capsys.readouterr().err)
        return int("".join(said).rstrip().rpartition(":")[2] or 0)

    arguments = [pcap, "--against", "ue", "--at", f"{LOCAL}:0", "--json", "--wait", "3"]
    playing = asyncio.create_task(replay(*arguments))
    await until(port)
    settings = replace(device.settings, radio=RadioPeer(host=LOCAL, port=port()), max_attempts=1)
    node, intent = await open_ue(settings, _Deaf(), plan)
    try:
        daemon: Any = node.daemon
        await daemon.start(intent)
        if leaves:
            assert (await daemon.outcome()).ok
            await daemon.detach(SECONDS)
        code = await playing
    finally:
        await node.close()
    return code, report(capsys)


class _Deaf:
    def record(self, _item: object) -> None:
        return


def recorded_attach(place: Path, then: Callable[[Recorded, Device, bytes, Path], Coroutine[Any, Any, None]]) -> None:
    """Record how a subscriber attaches and leaves; then see what the same device says to the capture."""
    pcap = place / "run.pcapng"

    async def scenario() -> None:
        with tracing(TraceSettings(pcap=pcap)) as traced:
            async with Recorded(place, traced, lambda settings: settings) as net:
                device = await net.device()
                new = draw_order(device.eid, PLMN, lambda size: bytes(range(size)))
                async with net.stores() as (_, cp_store):
                    await cp_store.add_subscriber(new.subscriber)
                await with_subscription(net, device, new.package)
                assert (await tries(net, device, Plan.ATTACH)).ok
        await then(net, device, new.package, pcap)

    run(scenario())


def test_a_device_with_the_same_card_behaves_alike_to_the_end(tmp_path: Path, capsys: Any) -> None:
    """5G-AKA rests on nothing that the device draws: keys, MACs and all are those of the capture."""

    async def again(net: Recorded, device: Device, package: bytes, pcap: Path) -> None:
        await with_subscription(net, device, package)
        code, found = await plays_the_cell(device, pcap, Plan.ATTACH, capsys, leaves=True)
        messages = [line["capture"]["message"] for line in found["lines"] if line["did"] == "agrees"]
        assert (code, found["first"], found["not_played"]) == (0, None, [])
        assert messages[:3] == ["RrcSetupRequest", "AttachRequest", "AuthenticationResponse"]
        assert messages.count("ProtectedSrb") >= 4

    recorded_attach(tmp_path, again)


def test_a_device_that_has_seen_the_challenge_before_says_so(tmp_path: Path, capsys: Any) -> None:
    async def again(_net: Recorded, device: Device, _package: bytes, pcap: Path) -> None:
        code, found = await plays_the_cell(device, pcap, Plan.ATTACH, capsys)
        assert code == 1
        assert found["first"]["capture"]["message"] == "AuthenticationResponse"
        assert found["first"]["live"] == {
            "message": "AuthenticationFailure",
            "cause": Cause.SYNCH_FAILURE.name,
            "kind": "",
        }

    recorded_attach(tmp_path, again)


def test_a_device_without_subscription_is_compared_as_far_as_its_hello(tmp_path: Path, capsys: Any) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            code, found = await plays_the_cell(device, TRACES / "provision.pcapng", Plan.PROVISION, capsys)
        assert (code, found["first"], found["compared"]) == (0, None, 3)
        (ends,) = found["not_played"]
        assert (ends["frame"], ends["capture"]["kind"]) == (16, "EAP-TLS, handshake")

    run(scenario())


def test_a_device_that_never_comes_is_no_difference(tmp_path: Path, capsys: Any) -> None:
    arguments = ["trace", "replay", str(TRACES / "provision.pcapng"), "--against", "ue", "--at", f"{LOCAL}:0"]
    assert rprov([*arguments, "--arrival", "0.02"]) == 2
    assert "no device came" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "either -c FILE or --at HOST:PORT"),
        (["--at", "127.0.0.1"], "is not HOST:PORT"),
        (["--at", "127.0.0.1:1"], "nothing was played"),
        (["--at", "127.0.0.1:1", "--ue", "7"], "has no messages of UE 0x00000007"),
        (["--at", "127.0.0.1:1", "-c", str(TRACES / "provision.json")], "either -c FILE or --at HOST:PORT"),
    ],
)
def test_wrong_use(capsys: Any, options: list[str], says: str) -> None:
    assert rprov(["trace", "replay", str(TRACES / "provision.pcapng"), "--against", "cp", *options]) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True), err
