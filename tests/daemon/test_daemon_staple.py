"""Stapling with the files of a running node: read again when the file changes, and never stale unsaid."""

import logging
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from doubles.loop import run

from rprov.causes import Cause
from rprov.cli.demo_files import DemoFiles
from rprov.errors import ConfigError
from rprov.model.kinds import ReadPath
from rprov.model.revocation import RevocationCheck
from rprov.model.settings import CpSettings, CredentialKind
from rprov.store.ocsp import write_responses
from rprov.store.pki import Issuing, load_chain
from rprov.wiring.certificates import CpCertificates
from rprov.wiring.cp import open_cp
from rprov.wiring.ran import open_ran
from rprov.wiring.ue import open_ue


class Place:
    """A demo's files, with a response about the CP's certificate."""

    def __init__(self, place: Path) -> None:
        self.files = DemoFiles(place)
        self.files.prepare()
        self.file = self.files.pki / "cp.ocsp"

    def write(self, *, ago: timedelta = timedelta(), days: int = 7, revoked: bool = False) -> None:
        cp = self.files.pki / "cp.pem"
        serials = frozenset({load_chain(cp)[0].serial_number}) if revoked else frozenset()
        now = datetime.now(UTC).replace(microsecond=0) - ago
        write_responses(self.files.pki, Issuing(now, secrets.token_bytes, days), [cp], serials)

    def settings(self) -> CpSettings:
        return replace(self.files.cp(1), staple=ReadPath(self.file))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write()
    return made


def stapled(certificates: CpCertificates) -> bytes:
    staple = certificates.engines.staple
    return staple.current(datetime.now(UTC)) if staple else b""


def test_a_file_that_changes_is_stapled_from_then_on(place: Place) -> None:
    certificates = CpCertificates(place.settings())
    first = place.file.read_bytes()
    assert stapled(certificates) == first
    engines = certificates.engines
    place.write(days=3)
    assert stapled(certificates) == place.file.read_bytes() != first
    assert certificates.engines is engines
    certificates.reload()
    assert certificates.engines is engines


def test_without_a_file_nothing_is_stapled(place: Place) -> None:
    assert stapled(CpCertificates(replace(place.settings(), staple=None))) == b""


@pytest.mark.parametrize("wrong", ["noise", "revoked", "gone"])
def test_a_file_that_goes_wrong_leaves_the_old_one_and_is_said_once(
    place: Place, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    certificates = CpCertificates(place.settings())
    good = stapled(certificates)
    match wrong:
        case "noise":
            place.file.write_bytes(b"noise")
        case "revoked":
            place.write(revoked=True)
        case _:
            place.file.unlink()
    with caplog.at_level(logging.ERROR, "rprov.certificates"):
        assert [stapled(certificates) for _ in range(3)] == [good] * 3
    assert len(caplog.records) == 1
    assert "cp.ocsp" in caplog.text
    with pytest.raises(ConfigError, match=r"cp\.ocsp"):
        certificates.reload()
    assert stapled(certificates) == good


def test_a_stale_file_is_said_and_not_stapled(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.write(ago=timedelta(days=9), days=7)
    with caplog.at_level(logging.ERROR, "rprov.certificates"):
        certificates = CpCertificates(place.settings())
        assert stapled(certificates) == b""
        assert stapled(certificates) == b""
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "nothing is stapled" in caplog.text
    place.write()
    assert stapled(certificates)


def test_a_device_that_demands_a_staple_attaches_where_there_is_one(place: Place) -> None:
    """UE, RAN and CP run; the same device is turned away by a CP that staples nothing."""

    async def attach(settings: CpSettings) -> Cause | None:
        cp = await open_cp(settings, _Silent())
        await cp.daemon.start()  # type: ignore[attr-defined]
        ran = await open_ran(place.files.ran(cp.daemon.port), _Silent())  # type: ignore[attr-defined]
        await ran.daemon.start()  # type: ignore[attr-defined]
        eid = place.files.new_device()
        given = place.files.ue(eid, ran.daemon.port, CredentialKind.DEVICE)  # type: ignore[attr-defined]
        demanding = replace(given.network, revocation=RevocationCheck.STAPLE_REQUIRED)
        ue, intent = await open_ue(replace(given, network=demanding, max_attempts=1), _Silent())
        try:
            await ue.daemon.start(intent)  # type: ignore[attr-defined]
            ended = await ue.daemon.outcome()  # type: ignore[attr-defined]
            return ended.cause  # type: ignore[no-any-return]
        finally:
            for node in (ue, ran, cp):
                await node.close()

    # There is no order for the device: the network is believed, and then it says no.
    assert run(attach(place.settings()), seconds=30) is Cause.NO_ORDER
    assert run(attach(replace(place.settings(), staple=None)), seconds=30) is Cause.NETWORK_REVOCATION_UNKNOWN


class _Silent:
    def record(self, item: object) -> None:
        """Keep nothing."""
