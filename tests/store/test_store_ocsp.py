"""OCSP responses as files: what a network staples, what it believes about devices, and how a test PKI writes them."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.pki import EID, EID_PREFIX, NOW, OTHER_EID, PLMN, SMDP_FQDN, seeded, shared_pki

from rprov.causes import Cause
from rprov.crypto.issue_ocsp import make_ocsp
from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_crl import Revocations
from rprov.errors import ConfigError, EnvironmentLacks, Refused
from rprov.store.crl import load_revocations, revoke, revoked_serials
from rprov.store.ocsp import load_response, load_staple, write_responses
from rprov.store.pki import Issuing, init_pki, issue_device, load_anchors, load_chain, load_key


def issuing(seed: str = "ocsp", later: timedelta = timedelta(), days: int = 7) -> Issuing:
    return Issuing(NOW + later, seeded(seed), days)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "pki"
    init_pki(place, issuing("pki", -timedelta(days=30), 3650), PLMN, SMDP_FQDN, EID_PREFIX)
    issue_device(place, issuing("one", -timedelta(days=30), 3650), EID)
    issue_device(place, issuing("two", -timedelta(days=30), 3650), OTHER_EID, "other")
    return place


def load(place: Path, *names: str, at=NOW, required: bool = True, crls: tuple[Path, ...] = ()) -> Revocations:
    files = [place / f"{name}.ocsp" for name in names]
    return load_revocations(crls, load_anchors([place / "ci.pem"]), at, required=required, ocsp=files)


def path(place: Path, name: str = "device"):
    return (*load_chain(place / f"{name}.pem"), *load_chain(place / "ci.pem"))


def refused(cause: Cause, found: Revocations, place: Path, name: str = "device", at=NOW) -> None:
    with pytest.raises(Refused) as caught:
        found.check(path(place, name), at)
    assert caught.value.cause is cause


def write(place: Path, *names: str, revoked: frozenset[int] = frozenset(), **terms) -> None:
    files = [place / f"{name}.pem" for name in names]
    assert write_responses(place, issuing(**terms), files, revoked) == [file.with_suffix(".ocsp") for file in files]


# --- about devices and EUMs ---------------------------------------------------------------------------------------


def test_responses_vouch_for_their_certificates_and_no_others(place: Path) -> None:
    write(place, "device", "eum")
    found = load(place, "device", "eum")
    found.check(path(place), NOW)
    refused(Cause.REVOCATION_UNKNOWN, found, place, "other")
    refused(Cause.REVOCATION_UNKNOWN, load(place, "device"), place)  # nothing speaks of the EUM
    refused(Cause.REVOCATION_UNKNOWN, found, place, at=NOW + timedelta(days=8))
    load(place, "device", required=False).check(path(place, "other"), NOW)


def test_a_revoked_device_is_refused_however_old_the_word_is(place: Path) -> None:
    serial = load_chain(place / "device.pem")[0].serial_number
    write(place, "device", "other", "eum", revoked=frozenset({serial}))
    found = load(place, "device", "other", "eum")
    assert found.certificates == {(subject_key_id(load_chain(place / "eum.pem")[0]), serial)}
    refused(Cause.CERTIFICATE_REVOKED, found, place)
    refused(Cause.CERTIFICATE_REVOKED, found, place, at=NOW + timedelta(days=99))
    found.check(path(place, "other"), NOW)


def test_the_newer_of_two_words_counts(place: Path) -> None:
    serial = load_chain(place / "device.pem")[0].serial_number
    write(place, "device", "eum", revoked=frozenset({serial}))
    (place / "device.ocsp").rename(place / "old.ocsp")
    write(place, "device", later=timedelta(hours=1))
    later = NOW + timedelta(hours=2)
    for order in (("old", "device", "eum"), ("device", "old", "eum")):
        load(place, *order, at=later).check(path(place), later)


def test_a_crl_and_a_response_together(place: Path) -> None:
    """The CRL speaks of all devices; where a response calls one good that the CRL names, it stays revoked."""
    write(place, "eum", "other")
    crls = (place / "eum.crl",)
    revoke(place, issuing(), [place / "other.pem"])
    found = load(place, "eum", "other", crls=crls)
    found.check(path(place), NOW)
    refused(Cause.CERTIFICATE_REVOKED, found, place, "other")
    assert revoked_serials(place) == {load_chain(place / "other.pem")[0].serial_number}


def test_an_eum_that_no_ci_here_certified_is_not_believed(place: Path) -> None:
    pki = shared_pki()
    held = pki.device
    made = make_ocsp(held.certificate, pki.eum.certificate, pki.eum.key, NOW, bring=[pki.eum.certificate])
    (place / "x.ocsp").write_bytes(made.public_bytes(Encoding.DER))
    with pytest.raises(ConfigError, match=r"x\.ocsp: .*not trusted"):
        load(place, "x")
    lone = make_ocsp(held.certificate, pki.eum.certificate, pki.eum.key, NOW)
    (place / "x.ocsp").write_bytes(lone.public_bytes(Encoding.DER))
    with pytest.raises(ConfigError, match=r"x\.ocsp: .*not known here"):
        load(place, "x")


def test_what_is_wrong_is_said_with_the_file(place: Path, tmp_path: Path) -> None:
    (place / "x.ocsp").write_bytes(b"noise")
    with pytest.raises(ConfigError, match=r"x\.ocsp: octets that are no OCSP response"):
        load(place, "x")
    with pytest.raises(ConfigError, match=r"gone\.ocsp: cannot be read"):
        load(place, "gone")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"there is no \*\.ocsp"):
        load_revocations([], [], NOW, ocsp=[empty])
    write(place, "device", later=timedelta(days=1))
    with pytest.raises(ConfigError, match=r"device\.ocsp: .*yet to come"):
        load(place, "device")


def test_a_directory_is_all_of_its_responses(place: Path, tmp_path: Path) -> None:
    write(place, "device", "eum")
    both = tmp_path / "responses"
    both.mkdir()
    for name in ("device", "eum"):
        (place / f"{name}.ocsp").rename(both / f"{name}.ocsp")
    found = load_revocations([], load_anchors([place / "ci.pem"]), NOW, required=True, ocsp=[both])
    found.check(path(place), NOW)


# --- about the network --------------------------------------------------------------------------------------------


def test_a_staple_is_of_the_networks_own_certificate(place: Path) -> None:
    write(place, "cp", "device")
    chain = load_chain(place / "cp.pem")
    staple = load_staple(place / "cp.ocsp", chain, NOW)
    assert staple.octets == (place / "cp.ocsp").read_bytes()
    assert staple.until == NOW + timedelta(days=7)
    assert load_staple(place / "cp.ocsp", chain, NOW + timedelta(days=9)).until == staple.until
    with pytest.raises(ConfigError, match=r"device\.ocsp: .*not about"):
        load_staple(place / "device.ocsp", chain, NOW)


def test_a_network_that_is_revoked_does_not_begin(place: Path) -> None:
    chain = load_chain(place / "cp.pem")
    write(place, "cp", revoked=frozenset({chain[0].serial_number}))
    with pytest.raises(ConfigError, match=r"cp\.ocsp: .* is revoked"):
        load_staple(place / "cp.ocsp", chain, NOW)


def test_a_staple_is_verified_where_the_issuer_is_in_the_chain(place: Path) -> None:
    pki = shared_pki()
    network, ca = pki.network_below_sub_ca, pki.network_sub_ca
    made = bytearray(make_ocsp(network.certificate, ca.certificate, ca.key, NOW).public_bytes(Encoding.DER))
    file = place / "below.ocsp"
    file.write_bytes(made)
    load_staple(file, network.chain, NOW)
    made[made.index(load_response(file).signature) + 30] ^= 1
    file.write_bytes(made)
    with pytest.raises(ConfigError, match=r"below\.ocsp: .*signature"):
        load_staple(file, network.chain, NOW)


def test_nobody_answers_for_what_he_has_not_issued(place: Path) -> None:
    for name in ("ci", "network-ca"):
        with pytest.raises(ConfigError, match=rf"{name}\.pem: no authority here has issued"):
            write_responses(place, issuing(), [place / f"{name}.pem"])
    assert load_key(place / "ci.key")
    (place / "cp.ocsp").mkdir()
    with pytest.raises(EnvironmentLacks, match=r"cp\.ocsp: cannot be written"):
        write_responses(place, issuing(), [place / "cp.pem"])
