"""`rprov pki revoke` and `crl`, and what the CP's file says about CRLs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rprov.cli.main import run
from rprov.config import load_cp
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid
from rprov.store.crl import load_revocations
from rprov.store.pki import load_anchors, load_chain

EID = Eid.with_check_digits("890490321234512345123456789012")
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "cp.yaml"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(["pki", "init", "pki"]) == 0
    assert run(["pki", "issue", "device", "--eid", str(EID)]) == 0
    return tmp_path / "pki"


def revoked(place: Path) -> set[int]:
    found = load_revocations(
        [place / "ci.crl", place / "eum.crl"], load_anchors([place / "ci.pem"]), datetime.now(UTC), required=True
    )
    assert len(found.current_until) == 2
    return {serial for _, serial in found.certificates}


def test_revoke_says_what_it_has_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["pki", "revoke", "pki/device.pem"]) == 0
    assert capsys.readouterr().out.split() == ["pki/ci.crl", "pki/eum.crl", "pki/network-ca.crl"]
    device = load_chain(place / "device.pem")[0].serial_number
    assert revoked(place) == {device}
    assert run(["pki", "crl", "--days", "7"]) == 0
    assert revoked(place) == {device}


def test_a_certificate_of_another_pki_is_not_revoked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pki", "revoke", "pki/network-ca.pem"]) == 2
    assert "no authority here has issued" in capsys.readouterr().err


def test_the_cp_takes_crls_and_does_not_require_what_is_not_there(place: Path) -> None:
    assert run(["pki", "crl"]) == 0
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count("\ndevices:\n") == 1
    file = place.parent / "cp.yaml"
    file.write_text(
        text.replace("\ndevices:\n", "\ndevices:\n  crls: [pki/ci.crl, pki/eum.crl]\n  require_crl: true\n")
    )
    devices = load_cp(file).devices
    assert devices.require_crl
    assert [path.name for path in devices.crls] == ["ci.crl", "eum.crl"]
    file.write_text(text.replace("\ndevices:\n", "\ndevices:\n  require_crl: true\n"))
    with pytest.raises(ConfigError, match=r"devices\.require_crl: needs crls"):
        load_cp(file)
