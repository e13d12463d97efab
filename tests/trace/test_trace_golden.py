"""Captures that are kept (`tools/make_traces.py`): what was recorded then is read today as it was read then.

Whoever changes a message, a key or a check sees here what that does to runs of yesterday. A change that is meant is
recorded anew with the tool.
"""

import json
from pathlib import Path

import pytest
from doubles.recorded_runs import RUNS
from doubles.written_again import block

from rprov.causes import Cause
from rprov.cli.main import run as rprov
from rprov.trace.capture import Capture
from rprov.trace.decode import decode
from rprov.trace.keylog import read_keys
from rprov.trace.tap import interfaces
from rprov.trace.verify.check import Checked, check
from rprov.trace.verify.opener import opener

TRACES = Path(__file__).parents[1] / "traces"

EMSK, LOGGED = "EMSK of the TLS handshake", "K_AUSF of the key log"

SOURCES = {
    "provision": (EMSK, LOGGED),
    "euicc": (EMSK,),
    "initial-subscription": (LOGGED, LOGGED),
    "eap-aka-prime": (LOGGED,),
    "hide-eid": (EMSK,),
    "tls-1.2": (EMSK,),
    "power-lost": (EMSK,),
    "resumed": (EMSK, "EMSK of a resumed TLS session"),
    "download-refused": (EMSK,),
}
"""What the keys of each UE come from, as the check finds it; in runs that are not here nobody came to have keys."""

REFUSALS = {
    "no-order": ("AuthenticationReject", Cause.NO_ORDER),
    "revoked": ("AuthenticationReject", Cause.CERTIFICATE_REVOKED),
    "expired": ("AuthenticationReject", Cause.CERTIFICATE_EXPIRED),
    "other-eid": ("AuthenticationReject", Cause.EID_MISMATCH),
    "unknown-subscriber": ("AttachReject", Cause.IDENTITY_UNKNOWN),
    "mac-failure": ("AuthenticationFailure", Cause.MAC_FAILURE),
}
"""Who says no in plain words, and why."""


def checked(name: str) -> Checked:
    return check(TRACES / f"{name}.pcapng", read_keys(TRACES / f"{name}.keys"))


def test_every_run_is_kept_and_small() -> None:
    assert {path.name for path in TRACES.iterdir()} == {
        f"{name}.{kind}" for name in RUNS for kind in ("pcapng", "keys", "json")
    }
    assert sum(path.stat().st_size for path in TRACES.glob("*.pcapng")) < 400_000


@pytest.mark.parametrize("name", RUNS)
def test_it_is_read_as_it_was_read_then(name: str) -> None:
    """With the keys, so that what is ciphered is read, too; and without them as far as that goes."""
    path = TRACES / f"{name}.pcapng"
    opened, sealed = (
        [json.loads(json.dumps(row.as_json())) for row in decode(Capture(path).messages(), keys)]
        for keys in (opener(path, read_keys(TRACES / f"{name}.keys")), None)
    )
    kept = [json.loads(line) for line in (TRACES / f"{name}.json").read_text(encoding="utf-8").splitlines()]
    assert len(kept) >= 12
    assert not [row["message"] for row in kept if row["message"].startswith(("Protected", "Malformed"))]
    for row, then, shut in zip(opened, kept, sealed, strict=True):
        assert row == then
        ciphered = shut["message"].startswith("Protected") or shut["link"] == "radio-user"
        assert ciphered or shut["message"] == row["message"]


@pytest.mark.parametrize("name", RUNS)
def test_what_was_read_is_written_to_the_same_octets(name: str) -> None:
    path = TRACES / f"{name}.pcapng"
    file, capture = path.read_bytes(), Capture(path)
    section_length = int.from_bytes(file[4:8], "little")
    blocks = [block(raw, seen) for raw, seen in zip(capture.packets(), capture.messages(), strict=True)]
    assert file[:section_length].find(f"rprov run {capture.runs[0]}".encode()) > 0
    assert file[section_length:] == interfaces() + b"".join(blocks)


@pytest.mark.parametrize("name", RUNS)
def test_it_is_right(name: str) -> None:
    found = checked(name)
    assert found.ledger.faults == []
    roots = [ue.nas.root for ue in found.ues]
    assert tuple(root.source for root in roots if root is not None) == SOURCES.get(name, ())
    told = "\n".join(found.ledger.proofs)
    assert ("UE and RAN use the K_gNB" in told) is (name in SOURCES)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_why(name: str) -> None:
    message, cause = REFUSALS[name]
    rows = [row for row in decode(Capture(TRACES / f"{name}.pcapng").messages()) if row.message == message]
    assert {row.link for row in rows} == {"radio", "n2"}
    assert [row.fields["cause"] for row in rows] == [cause.name] * len(rows)


@pytest.mark.parametrize("name", RUNS)
def test_its_keys_are_its_own(name: str) -> None:
    """The keys of one run open no other, and a run without keys proves no handshake."""
    other = "provision" if name != "provision" else "hide-eid"
    found = check(TRACES / f"{name}.pcapng", read_keys(TRACES / f"{other}.keys"))
    assert bool(found.ledger.faults) is (name in SOURCES or read_keys(TRACES / f"{name}.keys").tls != {})


def test_the_command_says_that_a_run_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert rprov(["trace", "verify", str(TRACES / "provision.pcapng"), "--keylog", str(TRACES / "provision.keys")]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
