"""A node whose process is stopped: its machine acknowledges and answers probes, and it serves nobody."""

import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.network import IMPATIENT
from doubles.processes import Process, write_settings

from rprov.cli.demo_files import DemoFiles
from rprov.cli.main import run as rprov
from rprov.model.settings import CredentialKind

SOON = 0.3
"""Seconds without a word after which the other end is asked."""


@pytest.mark.slow
@pytest.mark.parametrize("stopped", ["cp", "ran"])
def test_a_stopped_process_is_noticed_by_its_neighbour_and_served_by_again(tmp_path: Path, stopped: str) -> None:
    files = DemoFiles(tmp_path)
    files.prepare()
    with ExitStack() as stack:

        def daemon(role: str, *more: str) -> Process:
            return stack.enter_context(Process(role, "-c", str(tmp_path / f"{role}.yaml"), *more))

        files.smdp()
        smdp = daemon("smdp")
        cp = files.cp(int(smdp.ready()["port"]))
        write_settings(tmp_path / "cp.yaml", replace(cp, n2=replace(cp.n2, heartbeat=SOON)))
        core = daemon("cp")
        ran = files.ran(int(core.ready()["port"]))
        write_settings(tmp_path / "ran.yaml", replace(ran, cp=replace(ran.cp, heartbeat=SOON)))
        cell = daemon("ran")
        port = int(cell.ready()["port"])
        eid = files.new_device()
        order = ("--smdp", str(tmp_path / "smdp.yaml"), "--cp", str(tmp_path / "cp.yaml"), "--eid", str(eid))
        assert rprov(["order", "add", *order]) == 0
        settings = files.ue(eid, port, CredentialKind.DEVICE)
        write_settings(tmp_path / "ue.yaml", replace(settings, max_attempts=100, timers=IMPATIENT))
        ue = daemon("ue", "--stay")
        ue.ready()

        node, neighbour = (core, cell) if stopped == "cp" else (cell, core)
        node.send(signal.SIGSTOP)
        neighbour.err.wait_for("no word in 0.3 s, though it was asked")
        node.send(signal.SIGCONT)
        ue.err.wait_for("an ordinary subscriber with an ordinary session", times=2)
        assert ue.terminate() == 0
        assert [process.terminate() for process in (cell, core, smdp)] == [0, 0, 0]
