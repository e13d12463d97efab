"""`rprov pki ocsp`, and what the files of CP and UE say about OCSP."""

from pathlib import Path

import pytest

from rprov.cli.main import run
from rprov.config import load_cp, load_ue
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid
from rprov.model.revocation import RevocationCheck
from rprov.store.ocsp import load_response

EID = Eid.with_check_digits("890490321234512345123456789012")
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(["pki", "init", "pki"]) == 0
    assert run(["pki", "issue", "device", "--eid", str(EID)]) == 0
    assert run(["pki", "issue", "euicc", "--eid", str(EID)]) == 0
    return tmp_path / "pki"


def status(file: Path) -> str:
    return str(load_response(file).certificate_status.name)


def test_ocsp_says_what_it_has_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["pki", "ocsp", "pki/cp.pem", "pki/device.pem"]) == 0
    assert capsys.readouterr().out.split() == ["pki/cp.ocsp", "pki/device.ocsp"]
    assert [status(place / name) for name in ("cp.ocsp", "device.ocsp")] == ["GOOD", "GOOD"]
    assert run(["pki", "revoke", "pki/device.pem"]) == 0
    assert run(["pki", "ocsp", "pki/cp.pem", "pki/device.pem"]) == 0
    assert [status(place / name) for name in ("cp.ocsp", "device.ocsp")] == ["GOOD", "REVOKED"]
    assert run(["pki", "ocsp", "--revoked", "--days", "1", "pki/cp.pem"]) == 0
    assert status(place / "cp.ocsp") == "REVOKED"


def test_a_certificate_of_nobody_here_is_not_answered_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pki", "ocsp", "pki/ci.pem"]) == 2
    assert "no authority here has issued" in capsys.readouterr().err
    assert not (place / "ci.ocsp").exists()


def test_the_files_of_cp_and_ue(place: Path) -> None:
    assert run(["pki", "ocsp", "pki/cp.pem", "pki/device.pem", "pki/eum.pem"]) == 0
    text = (EXAMPLES / "cp.yaml").read_text(encoding="utf-8")
    file = place.parent / "cp.yaml"
    more = "\nstaple: pki/cp.ocsp\ndevices:\n  ocsp: [pki/device.ocsp, pki/eum.ocsp]\n  require_crl: true\n"
    file.write_text(text.replace("\ndevices:\n", more))
    settings = load_cp(file)
    assert settings.staple == place / "cp.ocsp"
    assert settings.devices.require_crl
    assert [path.name for path in settings.devices.ocsp] == ["device.ocsp", "eum.ocsp"]
    file.write_text(text.replace("\ndevices:\n", "\nstaple: pki/none.ocsp\ndevices:\n"))
    with pytest.raises(ConfigError, match="staple"):
        load_cp(file)
    text = (EXAMPLES / "ue.yaml").read_text(encoding="utf-8")
    file = place.parent / "ue.yaml"
    file.write_text(text)
    assert load_ue(file).network.revocation is RevocationCheck.STAPLE_IF_PRESENT
    file.write_text(text.replace("\nnetwork:\n", "\nnetwork:\n  revocation: staple_required\n"))
    assert load_ue(file).network.revocation is RevocationCheck.STAPLE_REQUIRED
    file.write_text(text.replace("\nnetwork:\n", "\nnetwork:\n  revocation: sometimes\n"))
    with pytest.raises(ConfigError, match=r"network\.revocation"):
        load_ue(file)
