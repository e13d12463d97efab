"""The whole procedure with control links over a transport that was asked for, on a machine whose kernel has no SCTP.

Over the SCTP of a kernel it is `test_e2e_sctp.py`, which needs such a kernel.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rprov.cli.demo import demo
from rprov.transport.usrsctp_library import available


@pytest.mark.parametrize("transport", ["tcp", "sctp"])
def test_the_demo_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    if transport == "sctp" and not available():
        pytest.skip("libusrsctp is missing: apt-get install libusrsctp2")
    monkeypatch.setattr("rprov.transport.sctp_socket.available", lambda: False)
    arguments = ["--workdir", str(tmp_path), "--transport", transport, "--devices", "2", "--report", "json"]
    result = CliRunner().invoke(demo, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    report = json.loads(result.output)
    assert [device["ok"] for device in report["devices"]] == [True, True]
    assert f"transport: {transport}" in (tmp_path / "ran.yaml").read_text()
