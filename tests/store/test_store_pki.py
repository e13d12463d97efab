"""PKI files as daemons read them: what is no key, whose key others may read, what is no certificate."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from doubles.odd_serials import ZERO, with_serial
from doubles.pki import EID, EID_PREFIX, NOW, PLMN, SMDP_FQDN, seeded, shared_pki
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprov.crypto.suci import PROFILE_A, PROFILE_B
from rprov.errors import ConfigError
from rprov.store.pki import (
    Issuing,
    check_pair,
    facts,
    init_pki,
    issue_device,
    load_anchors,
    load_chain,
    load_home_network_key,
    load_key,
)

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pki")
    init_pki(place, Issuing(NOW, seeded("files")), PLMN, SMDP_FQDN, EID_PREFIX)
    issue_device(place, Issuing(NOW, seeded("device")), EID)
    return place


def private(path: Path, octets: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(octets)
    return path


def test_the_same_entropy_makes_the_same_files(made: Path, tmp_path: Path) -> None:
    init_pki(tmp_path, Issuing(NOW, seeded("files")), PLMN, SMDP_FQDN, EID_PREFIX)
    assert (tmp_path / "cp.pem").read_bytes() == (made / "cp.pem").read_bytes()
    assert (tmp_path / "cp.key").read_bytes() == (made / "cp.key").read_bytes()


def test_a_chain_is_leaf_first_and_its_key_fits(made: Path) -> None:
    chain = load_chain(made / "device.pem")
    assert len(chain) == 2
    check_pair(chain, load_key(made / "device.key"), made / "device.key")
    with pytest.raises(ConfigError, match=r"cp\.key: the private key is not that of the certificate"):
        check_pair(chain, load_key(made / "cp.key"), made / "cp.key")


def test_a_directory_of_anchors_is_all_of_its_pem_files(made: Path, tmp_path: Path) -> None:
    both = load_anchors([made / "ci.pem", made / "network-ca.pem"])
    for number, certificate in enumerate(both):
        (tmp_path / f"{number}.pem").write_bytes(certificate.public_bytes(PEM))
    (tmp_path / "readme.txt").write_text("no certificate")
    assert load_anchors([tmp_path]) == both


def test_an_empty_directory_of_anchors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no \\*\\.pem file"):
        load_anchors([tmp_path])


def test_der_is_read_too(made: Path, tmp_path: Path) -> None:
    (certificate,) = load_chain(made / "ci.pem")
    der = tmp_path / "ci.der"
    der.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    assert load_chain(der) == (certificate,)


def test_a_key_that_others_may_read_is_refused(made: Path, tmp_path: Path) -> None:
    path = private(tmp_path / "open.key", (made / "cp.key").read_bytes())
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read this private key: chmod 600"):
        load_key(path)


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    with pytest.raises(ConfigError, match="on no elliptic curve"):
        load_key(private(tmp_path / "rsa.key", key.private_bytes(PEM, PKCS8, PLAIN)))


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    locked = serialization.BestAvailableEncryption(b"secret")
    octets = shared_pki().ci.key.private_bytes(PEM, PKCS8, locked)
    with pytest.raises(ConfigError, match="no unencrypted private key"):
        load_key(private(tmp_path / "locked.key", octets))


def test_home_network_keys_of_both_profiles_are_read(made: Path, tmp_path: Path) -> None:
    key = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32)))
    path = private(tmp_path / "a.key", key.private_bytes(PEM, PKCS8, PLAIN))
    assert load_home_network_key(path, PROFILE_A).public == key.public_key().public_bytes_raw()
    point = load_key(made / "cp.key").public_key()
    compressed = point.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    assert load_home_network_key(made / "cp.key", PROFILE_B).public == compressed
    with pytest.raises(ConfigError, match="no private key of X25519"):
        load_home_network_key(made / "cp.key", PROFILE_A)
    with pytest.raises(ConfigError, match="no private key of P-256"):
        load_home_network_key(path, PROFILE_B)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.pem: cannot be read: No such file"):
        load_chain(tmp_path / "nothing.pem")


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.pem"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="more than"):
        load_chain(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.booleans())
def test_any_octets_are_a_chain_or_a_config_error(tmp_path: Path, octets: bytes, framed: bool) -> None:
    path = tmp_path / "any.pem"
    if framed:
        octets = b"-----BEGIN CERTIFICATE-----\n" + octets + b"\n-----END CERTIFICATE-----\n"
    path.write_bytes(octets)
    with pytest.raises(ConfigError):
        load_chain(path)


def test_facts_of_a_certificate_are_what_it_says(made: Path) -> None:
    found = facts(load_chain(made / "device.pem")[0])
    assert (found.role, found.eid, found.not_before) == ("device, for the attach", str(EID), NOW)
    assert found.not_after > datetime(2036, 1, 1, tzinfo=UTC)
    assert facts(load_chain(made / "dp-tls.pem")[0]).names == (SMDP_FQDN,)
    assert facts(load_chain(made / "eum.pem")[0]).eid == ""


@pytest.mark.parametrize("pem", [True, False])
def test_a_serial_number_that_is_not_positive_is_said_and_no_warning_written(tmp_path, pem, recwarn):
    der = with_serial(shared_pki().device, shared_pki().eum, ZERO)
    file = tmp_path / "odd.pem"
    file.write_bytes(ssl.DER_cert_to_PEM_cert(der).encode() if pem else der)
    with pytest.raises(ConfigError, match=r"odd\.pem: .*serial number is not positive"):
        load_chain(file)
    assert not recwarn.list
