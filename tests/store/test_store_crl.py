"""CRL files: what a CP reads, what is wrong with them in words, and how a test PKI writes them."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.pki import EID, EID_PREFIX, NOW, OTHER_EID, PLMN, SMDP_FQDN, seeded, shared_pki

from rprov.crypto import issue
from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_crl import Revocations
from rprov.errors import ConfigError
from rprov.store.crl import load_crl_file, load_revocations, revoke
from rprov.store.pki import Issuing, init_pki, issue_device, load_anchors, load_chain


def issuing(seed: str = "crl", later: timedelta = timedelta(), days: int = 30) -> Issuing:
    return Issuing(NOW + later, seeded(seed), days)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "pki"
    init_pki(place, issuing("pki", -timedelta(days=30), 3650), PLMN, SMDP_FQDN, EID_PREFIX)
    issue_device(place, issuing("one", -timedelta(days=30), 3650), EID)
    issue_device(place, issuing("two", -timedelta(days=30), 3650), OTHER_EID, "other")
    return place


def load(place: Path, at=NOW, **options) -> Revocations:
    return load_revocations([place / "ci.crl", place / "eum.crl"], load_anchors([place / "ci.pem"]), at, **options)


def serials(place: Path) -> set[int]:
    return {serial for _, serial in load(place).certificates}


def test_a_revoked_certificate_is_in_the_crl_of_its_issuer(place: Path) -> None:
    assert revoke(place, issuing(), [place / "device.pem"]) == [
        place / name for name in ("ci.crl", "eum.crl", "network-ca.crl")
    ]
    device, eum = load_chain(place / "device.pem")
    assert load(place).certificates == {(subject_key_id(eum), device.serial_number)}
    assert set(load(place).current_until.values()) == {NOW + timedelta(days=30)}
    load(place, required=True).check((*load_chain(place / "other.pem"), *load_chain(place / "ci.pem")), NOW)


def test_revoking_adds_and_numbers_grow(place: Path) -> None:
    revoke(place, issuing(), [place / "device.pem"])
    revoke(place, issuing(later=timedelta(seconds=1)), [place / "other.pem", place / "eum.pem"])
    assert load_crl_file(place / "eum.crl").crls[0].extensions[1].value.crl_number == 2
    first, second, eum = (load_chain(place / f"{name}.pem")[0] for name in ("device", "other", "eum"))
    when = NOW + timedelta(seconds=1)
    found = load_revocations([place / "ci.crl", place / "eum.crl"], load_anchors([place / "ci.pem"]), when)
    assert {serial for _, serial in found.certificates} == {c.serial_number for c in (first, second, eum)}
    (entry,) = [e for e in load_crl_file(place / "eum.crl").crls[0] if e.serial_number == first.serial_number]
    assert entry.revocation_date_utc == NOW.replace(microsecond=0)


def test_crls_can_be_written_without_revoking(place: Path) -> None:
    revoke(place, issuing())
    assert load(place, required=True).certificates == frozenset()


def test_no_authority_revokes_what_it_has_not_issued(place: Path) -> None:
    for name in ("ci", "network-ca"):
        with pytest.raises(ConfigError, match=rf"{name}\.pem: no authority here has issued"):
            revoke(place, issuing(), [place / f"{name}.pem"])
    assert not (place / "ci.crl").exists()


def test_a_directory_is_all_of_its_crls(place: Path, tmp_path: Path) -> None:
    revoke(place, issuing(), [place / "device.pem"])
    both = tmp_path / "crls"
    both.mkdir()
    with pytest.raises(ConfigError, match=r"there is no \*\.pem"):
        load_revocations([both], load_anchors([place / "ci.pem"]), NOW)
    (both / "a.pem").write_bytes((place / "eum.crl").read_bytes())
    (both / "b.der").write_bytes(load_crl_file(place / "ci.crl").crls[0].public_bytes(Encoding.DER))
    assert load_revocations([both], load_anchors([place / "ci.pem"]), NOW) == load(place)


def test_an_unknown_issuer_is_named_with_its_file(place: Path, tmp_path: Path) -> None:
    revoke(place, issuing())
    alone = tmp_path / "alone.der"
    alone.write_bytes(load_crl_file(place / "eum.crl").crls[0].public_bytes(Encoding.DER))
    with pytest.raises(ConfigError, match=r"alone\.der: .*its issuer is not known here"):
        load_revocations([alone], load_anchors([place / "ci.pem"]), NOW)


def test_the_issuer_beside_a_crl_must_stand_under_an_anchor(place: Path, tmp_path: Path) -> None:
    stranger = shared_pki().make_eum(shared_pki().other_ci)
    crl = issue.make_crl(stranger.certificate, stranger.key, {1: NOW}, 1, NOW)
    path = tmp_path / "stranger.pem"
    path.write_bytes(crl.public_bytes(Encoding.PEM) + stranger.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigError, match=r"stranger\.pem: .*is not trusted"):
        load_revocations([path], load_anchors([place / "ci.pem"]), NOW)


@pytest.mark.parametrize(
    "octets",
    [b"", b"noise", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", b"-----BEGIN X509 CRL-----"],
)
def test_what_is_no_crl_is_named(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.crl"
    path.write_bytes(octets)
    with pytest.raises(ConfigError, match=r"bad\.crl: "):
        load_crl_file(path)


def test_a_certificate_alone_is_no_crl(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"ci\.pem: there is no CRL in this file"):
        load_crl_file(place / "ci.pem")
