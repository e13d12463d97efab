"""The audit log: whatever happens to a line after it was written is found, and named by its line."""

import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.cli.main import run
from rprov.errors import ConfigError, EnvironmentLacks
from rprov.trace.audit import NOTHING_BEFORE, AuditLog, Broken, Chain, follow, line_of, read_chain

AT = datetime(2026, 11, 24, 2, 31, 7, 123456, tzinfo=UTC)


def written(path: Path, count: int) -> list[bytes]:
    log = AuditLog(path, lambda: AT)
    for number in range(count):
        log.append({"role": "cp", "act": "admitted", "identity": f"device {number}", "cause": None})
    log.close()
    return path.read_bytes().splitlines(keepends=True)


def test_a_line_is_json_and_its_hash_is_of_what_stands_before_it(tmp_path: Path) -> None:
    first, second = written(tmp_path / "audit", 2)
    one, two = json.loads(first), json.loads(second)
    assert one["prev"] == NOTHING_BEFORE
    assert two["prev"] == one["hash"]
    assert (one["n"], one["t"], one["role"]) == (1, "2026-11-24T02:31:07.123456Z", "cp")
    # As `head -c -N | sha256sum` would have it: no code of ours.

    assert hashlib.sha256(first[: first.rindex(b',"hash"')]).hexdigest() == one["hash"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    written(tmp_path / "audit", 1)
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o600


def test_a_restart_goes_on_where_the_log_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    written(path, 2)
    lines = written(path, 3)
    chain = read_chain(path)
    assert (chain.lines, len(lines)) == (5, 5)
    assert chain.head == json.loads(lines[-1])["hash"]


def test_every_changed_octet_is_found_in_its_line(tmp_path: Path) -> None:
    lines = written(tmp_path / "audit", 3)
    whole = b"".join(lines)
    for position, octet in enumerate(whole):
        number = whole[:position].count(b"\n") + 1
        for changed in {octet ^ 1, octet ^ 0x20, 0x0A, 0x22} - {octet}:
            with pytest.raises(Broken) as caught:
                follow(iter((whole[:position] + bytes([changed]) + whole[position + 1 :]).splitlines(keepends=True)))
            assert caught.value.line == number


@pytest.mark.parametrize(
    ("lines", "first_bad"),
    [
        ([1, 2, 4], 3),
        ([2, 3, 4], 1),
        ([1, 3, 2, 4], 2),
        ([1, 1, 2, 3, 4], 2),
        ([1, 2, 3, 3, 4], 4),
    ],
)
def test_lines_that_are_missing_moved_or_doubled_are_found(tmp_path: Path, lines: list[int], first_bad: int) -> None:
    kept = written(tmp_path / "audit", 4)
    with pytest.raises(Broken) as caught:
        follow(kept[number - 1] for number in lines)
    assert caught.value.line == first_bad


def test_a_line_of_another_log_does_not_fit(tmp_path: Path) -> None:
    ours, others = written(tmp_path / "a", 3), written(tmp_path / "b", 2)
    forged, _ = line_of(3, AT, json.loads(others[0])["hash"], {"act": "admitted"})
    with pytest.raises(Broken, match="line 3: it does not follow"):
        follow(iter([*ours[:2], forged]))


def test_a_cut_off_or_new_end_is_found_only_by_a_head_that_was_kept(tmp_path: Path) -> None:
    lines = written(tmp_path / "audit", 3)
    head = json.loads(lines[2])["hash"]
    assert follow(iter(lines), head) == Chain(3, head, json.loads(lines[0])["t"], json.loads(lines[2])["t"])
    assert follow(iter(lines[:2])).lines == 2
    with pytest.raises(Broken, match="cut off or made up"):
        follow(iter(lines[:2]), head)
    made_up, _ = line_of(3, AT, json.loads(lines[1])["hash"], {"act": "nothing"})
    with pytest.raises(Broken, match="cut off or made up"):
        follow(iter([*lines[:2], made_up]), head)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_octets_that_are_no_log_are_broken_and_nothing_else(lines: list[bytes]) -> None:
    try:
        chain = follow(iter(lines))
    except Broken:
        return
    assert chain.lines == 0


def test_nothing_is_appended_to_a_broken_log(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    lines = written(path, 3)
    for broken in (lines[0] + lines[2], b"".join(lines)[:-5], b"something else\n", b"x" * 20_000):
        path.write_bytes(broken)
        with pytest.raises(ConfigError, match="move it away"):
            AuditLog(path)
        assert path.read_bytes() == broken


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    with pytest.raises(EnvironmentLacks, match="another process"):
        AuditLog(tmp_path / "audit")
    log.close()
    AuditLog(tmp_path / "audit").close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="cannot be written"):
        AuditLog(tmp_path / "nowhere" / "audit")


def test_a_full_disk_loses_entries_but_never_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit"
    log = AuditLog(path, lambda: AT)
    real = os.write
    full = [True]

    def write(fd: int, octets: bytes) -> int:
        if not full[0] or not bytes(octets).startswith((b'{"n"', b"half")):
            return real(fd, octets)
        full[0] = False
        real(fd, bytes(octets)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    log.append({"act": "lost"})
    while log.lost == 0:
        pass
    log.append({"act": "kept"})
    log.close()
    assert [json.loads(line)["act"] for line in path.read_bytes().splitlines()] == ["kept"]
    assert read_chain(path).lines == 1


def test_verify_says_what_it_has_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit"
    lines = written(path, 3)
    head = json.loads(lines[2])["hash"]
    assert run(["audit", "verify", str(path), "--head", head.upper()]) == 0
    told = capsys.readouterr().out
    assert "3 lines follow from each other" in told
    assert f"head {head}" in told
    path.write_bytes(lines[0] + lines[1])
    assert run(["audit", "verify", str(path), "--head", head]) == 1
    assert "line 2: the log ends without" in capsys.readouterr().out
    path.write_bytes(lines[0] + lines[1].replace(b"device 1", b"device 7") + lines[2])
    assert run(["audit", "verify", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "whole": False,
        "line": 2,
        "fault": "line 2: it was changed after it was written",
    }


def test_verify_refuses_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "verify", str(tmp_path / "none")]) == 2
    written(tmp_path / "audit", 1)
    assert run(["audit", "verify", str(tmp_path / "audit"), "--head", "12"]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err
