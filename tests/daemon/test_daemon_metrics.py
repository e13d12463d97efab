"""Metrics, audit log and log fields of a real run: one device through real daemons, scraped over HTTP."""

import asyncio
import io
import json
import logging
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession
from doubles.loop import run
from doubles.network import Network
from prometheus_client.parser import text_string_to_metric_families

from rprov.errors import ConfigError, EnvironmentLacks
from rprov.model.kinds import Host
from rprov.model.sections import LogFormat, LogLevel
from rprov.model.watch import MetricsListen
from rprov.trace.audit import read_chain
from rprov.trace.log import configure
from rprov.trace.metrics import SERIES, Metrics
from rprov.trace.recorder import Fan, LogRecorder
from rprov.wiring.node import Node

FREE = MetricsListen(host=Host("127.0.0.1"), port=0)
DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "rprov.json"


async def scraped(node: Node | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    assert node is not None
    async with ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{node.metrics_port}/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def network(place: Path, **change: Path | None) -> Network:
    return Network(
        place,
        cp=lambda settings: replace(settings, metrics=FREE, audit=change.get("cp")),
        ran=lambda settings: replace(settings, metrics=FREE),
        smdp=lambda settings: replace(settings, metrics=FREE, audit=change.get("smdp")),
    )


def entries(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_seen_in_metrics_audit_and_log(tmp_path: Path) -> None:
    """One run, since it takes the longest: whoever is ordered for gets in, whoever is not does not."""
    logs = {"cp": tmp_path / "cp.audit", "smdp": tmp_path / "smdp.audit"}
    written = io.StringIO()
    logger = configure(LogLevel.DEBUG, LogFormat.JSON, written)

    async def main() -> tuple[str, str, str]:
        net = network(tmp_path / "net", **logs)
        net.seen = Fan([net.seen, LogRecorder(logger)])  # type: ignore[assignment]
        async with net:
            device, stranger = await net.device(), await net.device(ordered=False)
            ue = replace(device.settings, metrics=FREE)
            async with net.ue(replace(device, settings=ue)) as on:
                assert (await on.outcome()).ok
                core, cell, server = (
                    await scraped(net.cp_node),
                    await scraped(net.ran_node),
                    await scraped(net.smdp_node),
                )
                own = await scraped(on.node)
            assert core["rprov_contexts", (("scope", "ordinary"),)] == 1
            assert core["rprov_sessions", ()] == 1
            assert core["rprov_links", (("link", "n2"),)] == 1
            assert core["rprov_attaches_total", (("cause", "NORMAL"), ("purpose", "provisioning"))] == 1
            assert core["rprov_attaches_total", (("cause", "NORMAL"), ("purpose", "ordinary"))] == 1
            assert core["rprov_detaches_total", (("cause", "NORMAL"), ("purpose", "provisioning"))] == 1
            assert core["rprov_authentication_seconds_count", (("purpose", "provisioning"),)] == 1
            assert core["rprov_authentication_rounds_sum", (("purpose", "provisioning"),)] >= 3
            assert core["rprov_user_octets_total", (("direction", "downlink"), ("link", "n3"))] > 5000
            assert core["rprov_store_seconds_count", (("kind", "write"),)] > 0
            assert cell["rprov_ues", ()] == 1
            assert cell["rprov_user_packets_total", (("direction", "uplink"), ("link", "radio"))] > 5
            assert server["rprov_downloads_total", (("outcome", "installed"),)] == 1
            assert server["rprov_store_seconds_count", (("kind", "write"),)] > 0
            assert all(own["rprov_steps_total", (("result", "done"), ("step", str(step)))] == 1 for step in range(1, 8))
            assert not (await net.attach(stranger)).ok
            core = await scraped(net.cp_node)
            assert core["rprov_attaches_total", (("cause", "NO_ORDER"), ("purpose", "provisioning"))] == 1
            assert core["rprov_rate_limited_total", (("by", "eid"),)] == 0
            return str(device.eid), str(stranger.eid), str(device.order.iccid)

    try:
        eid, stranger, iccid = run(main())
    finally:
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)

    for path in logs.values():
        assert read_chain(path).lines == len(entries(path)) > 0
    told = [
        (entry["act"], entry.get("purpose"), entry.get("identity"), entry.get("cause")) for entry in entries(logs["cp"])
    ]
    assert ("admitted", "provisioning", eid, "NORMAL") in told
    assert ("ended", "provisioning", eid, "NORMAL") in told
    assert ("refused", "provisioning", stranger, "NO_ORDER") in told
    first = entries(logs["cp"])[0]
    assert first["proved"] is True
    assert eid in first["certificate"]
    delivered = [entry for entry in entries(logs["smdp"]) if entry["act"] in ("delivered", "installed")]
    assert [(entry["act"], entry["identity"], entry["profile"]) for entry in delivered] == [
        ("delivered", eid, iccid),
        ("installed", eid, iccid),
    ]
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    of_core = [line for line in lines if line["role"] == "cp" and line["eid"] == eid]
    assert {"s2_authenticate", "s3_accept", "s4_session", "s6_detach"} <= {line["step"] for line in of_core}
    assert any(line["state"] and line["ue"] for line in of_core)
    assert any(line["role"] == "ue" and line["eid"] == eid and line["step"] == "s1_attach" for line in lines)
    assert not any(line["role"] == "ran" and line["eid"] for line in lines)


def test_only_the_page_is_served_and_bad_requests_disturb_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with network(tmp_path) as net:
            assert net.cp_node is not None
            port = net.cp_node.metrics_port
            for request in (
                b"\x00\xff" * 50 + b"\r\n\r\n",
                b"GET /" + b"a" * 20_000,
                b"POST /metrics HTTP/1.1\r\n\r\n",
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request + b"\r\n\r\n")
                answer = await reader.read(20)
                assert answer[9:10] == b"4", request[:20]
                writer.close()
                await writer.wait_closed()
            async with ClientSession() as session:
                assert (await session.get(f"http://127.0.0.1:{port}/")).status == 404
            assert (await scraped(net.cp_node))["rprov_links", (("link", "n2"),)] == 1

    run(main())


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with network(tmp_path) as net:
            assert net.cp_node is not None
            taken = MetricsListen(host=Host("127.0.0.1"), port=net.cp_node.metrics_port or 0)
            device = await net.device()
            with pytest.raises(EnvironmentLacks, match=r"cannot serve metrics at 127.0.0.1"):
                async with net.ue(replace(device, settings=replace(device.settings, metrics=taken))):
                    pass

    run(main())


@pytest.mark.parametrize("node", ["cp", "smdp"])
def test_a_broken_audit_log_stops_a_node_and_leaves_nothing_open(tmp_path: Path, node: str) -> None:
    """Nothing left open: a socket or a task that stays is an error of this test."""
    broken = tmp_path / "broken.audit"
    broken.write_bytes(b"no log\n")

    async def main() -> None:
        with pytest.raises(ConfigError, match="move it away"):
            async with network(tmp_path / "net", **{node: broken}):
                pass

    run(main())
    assert broken.read_bytes() == b"no log\n"


def test_the_dashboard_asks_only_for_what_is_served() -> None:
    served = {
        name
        for metric, kind in SERIES.items()
        for name in ([f"{metric}_bucket", f"{metric}_sum", f"{metric}_count"] if kind.buckets else [str(metric)])
    }
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 10
    words = {
        word
        for expression in asked
        for word in expression.replace("{", " ").replace("[", " ").replace("(", " ").replace(")", " ").split()
    }
    names = {word for word in words if word.startswith("rprov_")}
    assert names <= served
    assert {str(metric) for metric in SERIES} <= {name.removesuffix("_bucket") for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["ue", "ran", "cp", "smdp", "aaa"])
def test_prometheus_own_linter_has_nothing_to_say(role: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=Metrics(role).render(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
