"""EAP-TLS over RADIUS with programs of others: eapol_test asks `rprov aaa`; our device asks FreeRADIUS and hostapd.

They come from Debian's packages eapoltest, freeradius and hostapd; a test says which program is missing.
"""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.eapol import BOTH_VERSIONS, VERSIONS, aaa, check_keys, eapol_test, program
from doubles.pki import EID, EID_PREFIX, OTHER_EID, PLMN
from doubles.radius_nas import Nas
from doubles.radius_servers import free_port, freeradius, hostapd, running

from rprov.model.kinds import ReadPath
from rprov.model.tls import TlsChoices, TlsVersion
from rprov.model.trust import (
    DeviceTrust,
)
from rprov.store.pki import Issuing, init_pki, issue_device
from rprov.wire import eap
from rprov.wire.radius import Code

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    return AaaPlace(tmp_path_factory.mktemp("interop"))


# --- rprov aaa, asked by eapol_test -------------------------------------------------------------------------------


def test_eapol_test_is_accepted_and_has_our_keys(place):
    with aaa(place) as server:
        asked = eapol_test(place, server.port)
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert "ACKing Commitment Message" in asked.text  # the 0x00 of RFC 9190 2.5
    assert EID.digits in asked.text  # User-Name of the Access-Accept
    assert f"accepted anonymous@example.org by cp: {EID}" in server.log


@pytest.mark.parametrize("size", [100, 120])
@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_in_tiny_fragments(place, version, size):
    with aaa(place, fragment=size, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, version=version, fragment=size)
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert asked.requests > 15


def test_eapol_test_with_tls_1_2_where_it_is_let_in(place):
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, version="1.2")
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert "Using TLS version TLSv1.2" in asked.text


def test_eapol_test_with_tls_1_2_is_refused_otherwise(place):
    with aaa(place) as server:
        assert not eapol_test(place, server.port, version="1.2").ok
    assert "refused anonymous@example.org by cp" in server.log


def test_eapol_test_with_tls_1_3_where_only_1_2_is_let_in(place):
    with aaa(place, eap_tls=TlsChoices(tls_versions=(TlsVersion.TLS_1_2,))) as server:
        asked = eapol_test(place, server.port, version="1.3")
        assert eapol_test(place, server.port, version="1.2").ok
    assert not asked.ok
    assert "protocol version" in asked.text  # the alert
    assert "refused anonymous@example.org by cp" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_refuses_a_network_of_another_name(place, version):
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, version=version, server_name="cp.mnc099.mcc999.3gppnetwork.org")
    assert not asked.ok
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR" in asked.text
    assert "refused anonymous@example.org by cp" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_that_claims_the_eid_of_another_is_refused(place, version):
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        assert eapol_test(place, server.port, version=version, identity=f"{EID}@example.org").ok
        assert not eapol_test(place, server.port, version=version, identity=f"{OTHER_EID}@example.org").ok
    assert "the EID of the request is not the EID of the certificate" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_refuses_a_network_of_another_authority(place, version):
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, version=version, ca="radsec-ca")
    assert not asked.ok
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR" in asked.text
    assert "CTRL-EVENT-EAP-FAILURE" in asked.text
    assert "refused anonymous@example.org by cp" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_of_another_ci_is_refused_with_an_alert(place, tmp_path, version):
    init_pki(tmp_path, place.issuing, PLMN, "smdp.example.com", EID_PREFIX)
    for path in issue_device(tmp_path, place.issuing, EID, "stranger"):
        shutil.copy2(path, place.place)
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, device="stranger", version=version)
    assert not asked.ok
    assert "unknown CA" in asked.text  # the alert, in words of OpenSSL
    assert "does not lead to a certificate issuer that the network trusts" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_an_expired_device_is_refused_with_an_alert(place, version):
    issue_device(
        place.place, Issuing(place.now - timedelta(days=9), place.issuing.entropy, 2), EID, f"expired-{version}"
    )
    with aaa(place, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, device=f"expired-{version}", version=version)
    assert not asked.ok
    assert "certificate expired" in asked.text
    assert "a certificate of the device has expired" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_with_an_alert(place, version):
    issue_device(place.place, place.issuing, EID, f"revoked-{version}")
    command = [
        sys.executable,
        "-m",
        "rprov",
        "pki",
        "revoke",
        "--dir",
        str(place.place),
        str(place.place / f"revoked-{version}.pem"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    crls = tuple(ReadPath(path) for path in (place.place / "ci.crl", place.place / "eum.crl"))
    trust = DeviceTrust(anchors=(ReadPath(place.place / "ci.pem"),), crls=crls, require_crl=True)
    with aaa(place, devices=trust, eap_tls=BOTH_VERSIONS) as server:
        asked = eapol_test(place, server.port, device=f"revoked-{version}", version=version)
        assert eapol_test(place, server.port, version=version).ok
    assert not asked.ok
    assert "certificate revoked" in asked.text
    assert "a certificate of the device is revoked" in server.log


# --- our device, against the servers of others --------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(place: AaaPlace) -> Path:
    place.make_plain_device()
    return place.place


@pytest.mark.parametrize("fragment", [1300, 120])
@pytest.mark.parametrize("server", [freeradius, hostapd])
def test_our_device_is_accepted_and_the_server_has_its_keys(place, plain, tmp_path, server, fragment):
    program(server.__name__)
    port = free_port()
    with running(server(tmp_path, pki=plain, port=port, fragment=fragment), tmp_path / "log") as other:
        nas = Nas(SECRET, other.asker(port))
        verdict = nas.run(place.device("plain", fragment=fragment))
    assert verdict.code is Code.ACCESS_ACCEPT, other.said
    assert isinstance(verdict.eap, eap.Success)
    assert verdict.peer_msk is not None
    assert nas.keys(verdict) == verdict.peer_msk.octets
