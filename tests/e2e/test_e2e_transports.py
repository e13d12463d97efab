"""The whole procedure with control links over something else than TCP: here over libusrsctp.

Over the SCTP of a kernel it is `test_e2e_sctp.py`, which needs such a kernel.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rprov.cli.demo import demo
from rprov.transport.usrsctp_library import available


def test_the_demo_over_sctp_in_user_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not available():
        pytest.skip("libusrsctp is missing: apt-get install libusrsctp2")
    monkeypatch.setattr("rprov.transport.sctp_socket.available", lambda: False)
    arguments = ["--workdir", str(tmp_path), "--transport", "sctp", "--devices", "2", "--report", "json"]
    result = CliRunner().invoke(demo, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    report = json.loads(result.output)
    assert [device["ok"] for device in report["devices"]] == [True, True]
    assert "transport: sctp" in (tmp_path / "ran.yaml").read_text()
