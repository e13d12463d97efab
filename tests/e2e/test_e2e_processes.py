"""Four processes with four files, as a person starts them: ready lines, signals, logs, certificates exchanged."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import IMPATIENT
from doubles.processes import Process, write_settings
from doubles.wrong_certificates import issuing, written

from rprov.cli.demo_files import LOCAL, PLMN, DemoFiles
from rprov.cli.main import run as rprov
from rprov.config import load_ran, load_ue
from rprov.crypto import issue
from rprov.model.identifiers import Eid, Plmn
from rprov.model.places import N3Address, RadioListen, RadioPeer
from rprov.model.settings import CredentialKind, NetworkTrust

EXAMPLES = Path(__file__).parents[2] / "examples"
EID = str(Eid.with_check_digits("890490320000000000000000000042"))


class Running:
    """SM-DP+, CP and RAN, each in a process of its own."""

    def __init__(self, place: Path, stack: ExitStack) -> None:
        self.files = DemoFiles(place)
        self.files.prepare()
        self.place = place
        self.files.smdp()
        self.smdp = stack.enter_context(self.daemon("smdp"))
        self.files.cp(int(self.smdp.ready()["port"]))
        self.cp = stack.enter_context(self.daemon("cp"))
        self.files.ran(int(self.cp.ready()["port"]))
        self.ran = stack.enter_context(self.daemon("ran"))
        self.port = int(self.ran.ready()["port"])

    def daemon(self, role: str, *more: str) -> Process:
        return Process(role, "-c", str(self.place / f"{role}.yaml"), "--log-format", "json", "-v", *more)

    def device(self, ordered: bool = True, **changes: Any) -> Path:
        """A device and its order; gives its file."""
        eid = self.files.new_device()
        settings = replace(self.files.ue(eid, self.port, CredentialKind.DEVICE), timers=IMPATIENT, **changes)
        if ordered:
            smdp, cp = str(self.place / "smdp.yaml"), str(self.place / "cp.yaml")
            assert rprov(["order", "add", "--smdp", smdp, "--cp", cp, "--eid", str(eid)]) == 0
        return write_settings(self.place / f"ue-{eid}.yaml", settings)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ExitStack() as stack:
        yield Running(tmp_path_factory.mktemp("running"), stack)


def test_a_device_gets_its_subscription_says_so_and_leaves(running: Running, capsys: Any) -> None:
    file = running.device()
    with Process("ue", "-c", str(file)) as ue:
        line = ue.out.wait_for("ue ready attached")
        assert ue.end() == 0, ue.err.so_far
    assert "supi=001" in line
    assert "address=10.45.128." in line
    capsys.readouterr()
    assert rprov(["euicc", "show", "--ue", str(file)]) == 0
    assert "enabled" in capsys.readouterr().out


def test_a_refusal_is_one_line_and_exit_code_1(running: Running, capsys: Any) -> None:
    assert ue(running.device(ordered=False, name="box-7"), capsys) == (
        1,
        "",
        "rprov: box-7: no profile is ordered for this EID (the network said so)",
    )


def ue(file: Path, capsys: Any) -> tuple[int, str, str]:
    """Run a device within this process: exit code, what it printed, its last line on stderr."""
    capsys.readouterr()
    code = rprov(["ue", "-c", str(file)])
    out, err = capsys.readouterr()
    return code, out, (err.splitlines() or [""])[-1]


def test_new_certificates_are_used_after_sighup_and_broken_ones_are_not(running: Running, capsys: Any) -> None:
    pki, terms = running.files.pki, issuing()
    old = {name: (pki / name).read_bytes() for name in ("cp.pem", "cp.key")}
    ca_key, key = terms.key(), terms.key()
    ca = issue.make_network_ca(ca_key, name="the next network CA", **terms.terms)
    anchor = written(pki, "next-ca", ca_key, ca).chain
    trust = NetworkTrust(anchors=(anchor,))
    try:
        # Who trusts only the new authority is not served yet,
        device = running.device(network=trust)
        code, _, line = ue(device, capsys)
        assert code == 1
        assert "does not lead to an anchor that the device trusts" in line
        # and is as soon as the CP was told, without a restart.
        written(pki, "cp", key, issue.make_network(ca, ca_key, key, [PLMN.cp_name], **terms.terms))
        running.cp.send(signal.SIGHUP)
        running.cp.err.wait_for("certificates are read anew")
        assert ue(device, capsys)[0] == 0
        # A broken file changes nothing but the log.
        (pki / "cp.pem").write_text("no certificate")
        running.cp.send(signal.SIGHUP)
        logged = json.loads(running.cp.err.wait_for("certificates stay as they were"))
        assert logged["level"] == "error"
        assert f"{pki}/cp.pem: there is no certificate" in logged["text"]
        assert ue(running.device(network=trust), capsys)[0] == 0
    finally:
        for name, octets in old.items():
            (pki / name).write_bytes(octets)
        running.cp.send(signal.SIGHUP)
        running.cp.err.wait_for("certificates are read anew", times=2)


def test_a_device_that_stays_leaves_when_asked(running: Running) -> None:
    with Process("ue", "--stay", "-c", str(running.device())) as ue:
        ue.out.wait_for("ue ready attached")
        assert ue.terminate() == 0
        assert "Traceback" not in "".join(ue.err.so_far)


def test_ctrl_c_ends_a_device_at_once_and_without_a_traceback(running: Running) -> None:
    settings = replace(load_ue(running.device()), radio=RadioPeer(host=LOCAL, port=1))  # nobody is there
    with Process("ue", "-c", str(write_settings(running.place / "nowhere.yaml", settings))) as ue:
        ue.err.wait_for("Connection refused")
        ue.send(signal.SIGINT)
        assert ue.end() == 130
        assert ue.err.so_far[-1] == "rprov: interrupted"
        assert "Traceback" not in "".join(ue.err.so_far)


def test_every_daemon_ends_in_order_and_every_line_is_json(tmp_path: Path) -> None:
    with ExitStack() as stack:
        running = Running(tmp_path, stack)
        file = running.device()
        stays = stack.enter_context(Process("ue", "--stay", "-c", str(file)))
        stays.out.wait_for("ue ready attached")
        # The core detaches whom it serves, and the device that wanted to stay says so.
        assert running.cp.terminate() == 0
        assert stays.end() == 1
        assert "the network has detached the device" in stays.err.so_far[-1]
        # The RAN waits for its core.
        running.ran.err.wait_for("N2: ")
        assert running.ran.terminate() == 0
        assert running.smdp.terminate() == 0
        for process in (running.cp, running.ran, running.smdp):
            lines = [json.loads(line) for line in process.err.so_far]
            assert lines
            assert all(set(line) >= {"t", "level", "text", "role", "ue", "step", "state", "event"} for line in lines)
        assert any(json.loads(line)["state"] == "AwaitAttachComplete" for line in running.cp.err.so_far)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["smdp", "cp", "ran", "ue"])
def test_check_only_reads(running: Running, role: str, capsys: Any) -> None:
    file = running.device(ordered=False) if role == "ue" else running.place / f"{role}.yaml"
    capsys.readouterr()
    assert rprov([role, "--check", "-c", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: is right\n"


def test_a_wrong_file_is_told_line_by_line(running: Running, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "cp.yaml"
    text = (running.place / "cp.yaml").read_text().replace("lifetime: 600", "lifetime: soon")
    file.write_text(text.replace("plmn: 001-01", "plmn: 1-1") + "colour: red\n")
    for arguments in (["cp", "-c", str(file)], ["cp", "--check", "-c", str(file)]):
        assert rprov(arguments) == 2
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert out == ""
        assert len(lines) == 3
        assert all(line.startswith(f"rprov: {file}:") for line in lines), lines
        assert any("plmn" in line for line in lines)
        assert any("provisioning.lifetime: expected" in line for line in lines)
        assert any('unknown key "colour"' in line or "colour" in line for line in lines)


def test_an_address_that_is_taken_is_named(running: Running, tmp_path: Path, capsys: Any) -> None:
    ran = load_ran(running.place / "ran.yaml")
    taken = replace(ran, radio=RadioListen(host=LOCAL, port=running.port))
    assert rprov(["ran", "-c", str(write_settings(tmp_path / "ran.yaml", taken))]) == 3
    assert f"rprov: cannot listen at 127.0.0.1:{running.port}: " in capsys.readouterr().err.splitlines()[-1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOCAL, 0))
        port = other.getsockname()[1]
        taken = replace(ran, n3=N3Address(port=port))
        assert rprov(["ran", "-c", str(write_settings(tmp_path / "ran.yaml", taken))]) == 3
    assert f"rprov: cannot receive at 127.0.0.1:{port} (UDP, n3): " in capsys.readouterr().err.splitlines()[-1]


def test_a_ran_of_another_network_than_its_certificate_does_not_start(
    running: Running, tmp_path: Path, capsys: Any
) -> None:
    other = replace(load_ran(running.place / "ran.yaml"), plmn=Plmn("999", "70"))
    assert rprov(["ran", "-c", str(write_settings(tmp_path / "ran.yaml", other))]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("not ran.ran.mnc070.mcc999.3gppnetwork.org")


# --- the examples -----------------------------------------------------------------------------------------------------


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples, copied, with the certificates that they speak of and an order: four commands."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")
    assert rprov(["pki", "init", "pki"]) == 0
    for kind in ("device", "euicc"):
        assert rprov(["pki", "issue", kind, "--eid", EID]) == 0
    assert rprov(["order", "add", "--eid", EID]) == 0
    return tmp_path / "examples"


@pytest.fixture
def own_network() -> Iterator[list[str]]:
    """A network namespace with a loopback of its own; gives what to put before a command to run in it."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("a network namespace needs unshare and nsenter (util-linux) and ip (iproute2)")
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != "up\n":
            pytest.skip("network namespaces cannot be made here")
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()


@pytest.mark.slow
@pytest.mark.privileged
def test_the_examples_run_as_they_are_whoever_is_first(examples: Path, own_network: list[str]) -> None:
    with ExitStack() as stack:
        roles = ("ue", "ran", "cp", "smdp")  # the wrong way round: each waits for whom it needs
        started = [
            stack.enter_context(Process(role, "--config", f"{role}.yaml", cwd=examples, before=own_network))
            for role in roles
        ]
        assert started[0].end() == 0, started[0].err.so_far
        assert "ue ready attached supi=00101" in started[0].out.so_far[-1]
        assert [process.terminate() for process in started[1:]] == [0, 0, 0]


@pytest.mark.slow
def test_the_examples_run_on_other_ports(examples: Path) -> None:
    def change(name: str, *pairs: tuple[str, str]) -> None:
        text = (examples / name).read_text()
        for old, new in pairs:
            assert old in text, (name, old)
            text = text.replace(old, new)
        (examples / name).write_text(text)

    change("smdp.yaml", ("port: 8443", "port: 0"))
    change("cp.yaml", ("port: 29712", "port: 0"), ("port: 2152", "port: 0"))
    change("ran.yaml", ("port: 29710", "port: 0"), ("port: 29711", "port: 0"), ("port: 2152", "port: 0"))

    follows = {
        "smdp": ("cp.yaml", "127.0.0.4:8443", "127.0.0.4:"),
        "cp": ("ran.yaml", "port: 29712", "port: "),
        "ran": ("ue.yaml", "port: 29710", "port: "),
    }
    with ExitStack() as stack:
        running = []
        for role, (file, old, new) in follows.items():
            running.append(stack.enter_context(Process(role, "--config", f"{role}.yaml", cwd=examples)))
            change(file, (old, f"{new}{running[-1].ready()['port']}"))
        with Process("ue", "--config", "ue.yaml", cwd=examples) as ue:
            assert ue.end() == 0, ue.err.so_far
        assert [process.terminate() for process in running] == [0, 0, 0]
