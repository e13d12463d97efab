"""Core and RAN as processes of two machines, and the cable between them cut: noticed in bounded time, and recovered."""

import time
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from doubles.processes import Process, write_settings
from doubles.router import HERE, THERE, routed

from rprov.cli.demo_files import DemoFiles
from rprov.cli.main import run as rprov
from rprov.model.kinds import Host
from rprov.model.places import N3Address
from rprov.model.settings import CredentialKind

NOTICED = 60.0
"""Seconds; TCP gives up after 30 without an answer, probes or data."""
BACK = 60.0
"""Seconds, with the longest pause between attempts of the RAN and of the device."""


def wait_for(process: Process, text: str, seconds: float, times: int = 1) -> None:
    """Wait until a process has logged so many lines with this text."""
    until = time.monotonic() + seconds
    while sum(text in line for line in process.err.so_far) < times:
        assert time.monotonic() < until, f"no {text!r} in {seconds} s, but {process.err.so_far}"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.privileged
def test_a_cut_cable_between_ran_and_core_is_noticed_and_recovered_from(tmp_path: Path) -> None:
    with ExitStack() as stack:
        network = stack.enter_context(routed())
        files = DemoFiles(tmp_path)
        files.prepare()

        def daemon(role: str, before: list[str], *more: str) -> Process:
            file = tmp_path / f"{role}.yaml"
            return stack.enter_context(Process(role, "-c", str(file), "--log-format", "json", *more, before=before))

        files.smdp()
        smdp = daemon("smdp", network.here.inside)
        cp = files.cp(int(smdp.ready()["port"]))
        n2, n3 = replace(cp.n2, host=Host(HERE), port=29712), N3Address(address=IPv4Address(HERE), port=2152)
        write_settings(tmp_path / "cp.yaml", replace(cp, n2=n2, n3=n3))
        core = daemon("cp", network.here.inside)
        core.ready()

        ran = files.ran(29712)
        n3 = N3Address(address=IPv4Address(THERE), port=2152)
        write_settings(tmp_path / "ran.yaml", replace(ran, cp=replace(ran.cp, host=Host(HERE)), n3=n3))
        cell = daemon("ran", network.there.inside)
        port = int(cell.ready()["port"])

        eid = files.new_device()
        smdp_file, cp_file = str(tmp_path / "smdp.yaml"), str(tmp_path / "cp.yaml")
        assert rprov(["order", "add", "--smdp", smdp_file, "--cp", cp_file, "--eid", str(eid)]) == 0
        device = replace(files.ue(eid, port, CredentialKind.DEVICE), max_attempts=100)
        write_settings(tmp_path / "ue.yaml", device)
        ue = daemon("ue", network.there.inside, "--stay")
        ue.ready()

        network.cut()
        wait_for(cell, "N2: ", NOTICED)
        wait_for(core, "was lost", NOTICED)
        network.plug()
        wait_for(ue, "an ordinary subscriber with an ordinary session", BACK, times=2)
        assert ue.terminate() == 0
        assert [process.terminate() for process in (cell, core, smdp)] == [0, 0, 0]
