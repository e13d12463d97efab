"""`rprov demo` as a new user meets it: one command, all nodes, and a report that can be believed."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles.processes import Process
from doubles.sockets import sockets

from rprov.cli.main import run as rprov
from rprov.trace.report import STEP_NAMES

Demo = Callable[..., tuple[int, str, str]]

STEP_KEYS = {"step", "name", "ok", "skipped", "ms", "radio_octets", "round_trips", "messages"}
MESSAGE_KEYS = {"from", "to", "link", "name", "octets", "protected"}


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Demo:
    """Run `rprov demo` within this process, in a directory of its own; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str) -> tuple[int, str, str]:
        before = sockets()
        code = rprov(["demo", *arguments])
        assert sockets() == before, "a socket is left open"
        return (code, *capsys.readouterr())

    return go


def report(out: str) -> Any:
    """Read the one JSON object of stdout, and check it against the schema."""
    made = json.loads(out)
    assert set(made) == {"ok", "devices", "totals"}
    assert set(made["totals"]) == {"seconds", "radio_octets", "round_trips"}
    for device in made["devices"]:
        assert {"eid", "ok", "supi", "iccid", "steps"} <= set(device) <= {"eid", "ok", "supi", "iccid", "steps", "why"}
        assert [step["step"] for step in device["steps"]] == list(range(1, 8))
        assert [step["name"] for step in device["steps"]] == list(STEP_NAMES.values())
        for step in device["steps"]:
            assert set(step) >= STEP_KEYS
            for message in step["messages"]:
                assert set(message) == MESSAGE_KEYS
                assert message["link"] in ("radio", "n2", "n3", "es9")
                assert isinstance(message["protected"], bool)
    steps = [step for device in made["devices"] for step in device["steps"]]
    for total in ("radio_octets", "round_trips"):
        assert made["totals"][total] == sum(step[total] for step in steps)
    return made


def test_the_first_run_in_an_empty_directory_and_the_second(demo: Demo, tmp_path: Path) -> None:
    code, out, err = demo()
    assert (code, err) == (0, "")
    assert re.search(
        r"^1 of 1 device provisioned and attached in \d+\.\d\d s, \d+ round trips and \d+ octets", out.splitlines()[-1]
    )
    assert re.findall(r"^([1-7]) .* ok ", out, re.MULTILINE) == list("1234567")
    assert "FAILED" not in out
    ci = (tmp_path / "rprov-demo/pki/ci.pem").read_bytes()
    code, again, err = demo()
    assert (code, err) == (0, "")
    assert (tmp_path / "rprov-demo/pki/ci.pem").read_bytes() == ci, "the PKI is made once"
    eids = re.findall(r"^EID (\d{32})$", out + again, re.MULTILINE)
    assert len(set(eids)) == 2, "each run has a new device"


def test_json_is_one_object_and_nothing_else(demo: Demo) -> None:
    code, out, err = demo("--report", "json")
    made = report(out)
    assert (code, err, made["ok"]) == (0, "", True)
    (device,) = made["devices"]
    assert device["supi"].startswith("00101")
    assert all(step["ok"] and not step["skipped"] and step["messages"] for step in device["steps"])
    # What crosses the radio after the security mode is protected; what goes before it cannot be.
    late = [message for step in device["steps"][3:6] for message in step["messages"] if message["link"] == "radio"]
    assert all(message["protected"] for message in late)
    assert {"n3", "es9"} <= {message["link"] for message in device["steps"][4]["messages"]}
    assert made["totals"]["seconds"] < 20


def test_the_euicc_as_credential(demo: Demo) -> None:
    code, out, _ = demo("--credential", "euicc", "--report", "json")
    assert (code, report(out)["ok"]) == (0, True)


def test_the_variant_with_an_initial_subscription(demo: Demo) -> None:
    code, out, _ = demo("--initial-subscription", "--report", "json")
    (device,) = report(out)["devices"]
    assert (code, device["ok"]) == (0, True)
    names = {message["name"] for step in device["steps"][:3] for message in step["messages"]}
    assert "AuthenticationRequest" in names
    assert all(step["ok"] and not step["skipped"] for step in device["steps"])


def test_five_devices(demo: Demo) -> None:
    code, out, err = demo("--devices", "5", "--report", "json")
    made = report(out)
    assert (code, err, made["ok"], len(made["devices"])) == (0, "", True, 5)
    for key in ("eid", "supi", "iccid"):
        assert len({device[key] for device in made["devices"]}) == 5
    octets = {sum(step["radio_octets"] for step in device["steps"]) for device in made["devices"]}
    assert max(octets) < 2 * min(octets), "messages of one were counted for another"


def test_verbose_tells_every_transition_and_keeps_the_report_apart(demo: Demo) -> None:
    code, out, err = demo("-v", "--report", "json")
    assert code == 0
    report(out)
    for role, states in {
        "ue": ("AwaitAuthentication", "AwaitSecurityMode", "AwaitDownload", "AwaitProfileEnabled", "Online"),
        "ran": ("RanConnected", "RanSecured", "RanServing"),
        "cp": ("AwaitDevice", "AwaitSecurityModeComplete", "Attached", "Releasing", "Connected"),
    }.items():
        lines = [line for line in err.splitlines() if f"[{role} " in line]
        for state in states:
            assert any(f"-> {state}:" in line for line in lines), (role, state)
    assert "Traceback" not in err


def test_exit_code_1_unless_attached_with_what_was_downloaded(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    from rprov.daemon.ue import UeDaemon

    # It says that it is attached, as somebody else than the profile that was ordered makes of it.
    other = property(lambda _ue: ("001010000000001", "8988211000000000000"))
    monkeypatch.setattr(UeDaemon, "subscriber", other)
    code, out, _ = demo()
    assert code == 1
    assert out.splitlines()[-1].startswith("0 of 1 device provisioned and attached")
    assert "not with the profile that was ordered" in out


def test_a_failure_is_told_where_it_happened(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    from rprov.store.smdp import SmdpStore

    async def lost(_store: Any, *_: Any) -> int:
        return 0

    monkeypatch.setattr(SmdpStore, "deliver", lost)  # the CP never hears of the order
    code, out, _ = demo()
    assert code == 1
    assert re.search(r"^2 authenticate +FAILED", out, re.MULTILINE)
    assert "no profile is ordered for this EID" in out
    code, out, _ = demo("--report", "json")
    (device,) = report(out)["devices"]
    assert (code, device["ok"], device["steps"][1]["ok"]) == (1, False, False)
    assert "no profile is ordered" in device["why"]


@pytest.fixture
def unprivileged(tmp_path: Path) -> tuple[str, ...]:
    """What to put before a command so that it runs as an ordinary user, who owns `tmp_path`."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("to give up its privileges, root needs setpriv (util-linux)")
    places = (Path(sys.executable).resolve(), Path(rprov.__code__.co_filename), Path(json.__file__), tmp_path)
    if all(part.stat().st_mode & 0o001 for place in places for part in place.parents):
        os.chown(tmp_path, 65534, 65534)
        return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    # Python lies where only root may look: then root it is, without a single capability.
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def test_an_ordinary_user_needs_no_privileges(tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    with Process("demo", "--report", "json", cwd=tmp_path, before=unprivileged) as process:
        assert process.end() == 0, process.err.so_far
    assert report("\n".join(process.out.so_far))["ok"]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    tmp_path.chmod(0o555)
    with Process("demo", cwd=tmp_path, before=unprivileged) as process:
        assert process.end() == 3
    assert process.out.so_far == []
    assert process.err.so_far == ["rprov: rprov-demo: cannot be made: Permission denied"]


def test_a_workdir_that_cannot_be_is_named(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, err = demo("--workdir", "file/below")
    assert (code, out) == (3, "")
    assert err.splitlines() == ["rprov: file/below: cannot be made: Not a directory"]


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with Process("demo", "-v", "--devices", "20", "--workdir", str(tmp_path / "demo")) as process:
        process.err.wait_for("AwaitDownload")
        process.send(signal.SIGINT)
        assert process.end() == 130
    assert process.out.so_far == []
    assert process.err.so_far[-1] == "rprov: interrupted"
    assert "Traceback" not in "\n".join(process.err.so_far)


@pytest.mark.slow
def test_fifty_devices(demo: Demo) -> None:
    code, out, err = demo("--devices", "50", "--report", "json")
    made = report(out)
    assert (code, err, made["ok"]) == (0, "", True)
    assert made["totals"]["seconds"] < 60
