"""EAP-TLS over RADIUS with programs of others: eapol_test asks `rprov aaa`; our device asks FreeRADIUS and hostapd.

They come from Debian's packages eapoltest, freeradius and hostapd; a test says which program is missing.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.pki import EID, EID_PREFIX, OTHER_EID, PLMN
from doubles.radius_nas import Nas
from doubles.radius_servers import PACKAGES, PATIENCE, find, free_port, freeradius, hostapd, running

from rprov.config import format_settings
from rprov.model.kinds import ReadPath
from rprov.model.tls import TlsChoices, TlsVersion
from rprov.model.trust import (
    DeviceTrust,
)
from rprov.store.pki import Issuing, init_pki, issue_device
from rprov.wire import eap
from rprov.wire.radius import Code

pytestmark = pytest.mark.slow

VERSIONS = {"1.3": "tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=0", "1.2": "tls_disable_tlsv1_2=0 tls_disable_tlsv1_3=1"}


def program(name: str) -> str:
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install {PACKAGES[name]}")
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    return AaaPlace(tmp_path_factory.mktemp("interop"))


# --- rprov aaa, asked by eapol_test -------------------------------------------------------------------------------


@dataclass
class Server:
    """A running `rprov aaa`; `log` is complete once it has ended."""

    port: int
    log: str = ""


@contextmanager
def aaa(place: AaaPlace, **over: Any) -> Iterator[Server]:
    """Run `rprov aaa` as its own process."""
    file = place.place / "aaa.yaml"
    file.write_text(format_settings(place.settings(**over)))
    command = [sys.executable, "-m", "rprov", "aaa", "-c", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = re.fullmatch(r"aaa ready radius=127\.0\.0\.1:(\d+)\n", process.stdout.readline())
        server = Server(int(ready[1]) if ready else 0)
        try:
            if ready:
                yield server
        finally:
            process.send_signal(signal.SIGTERM)
            _, server.log = process.communicate(timeout=PATIENCE)
    assert ready, server.log
    assert process.returncode == 0, server.log


@dataclass
class Asked:
    """What eapol_test printed."""

    text: str
    ok: bool

    def octets(self, label: str) -> bytes:
        found = re.findall(rf"{re.escape(label)} - hexdump\(len=\d+\): ([0-9a-f ]+)", self.text)
        return bytes.fromhex(found[-1]) if found else b""

    @property
    def requests(self) -> int:
        return len(re.findall(r"EAP: Received EAP-Request id=", self.text))


def eapol_test(
    place: AaaPlace,
    port: int,
    device: str = "device",
    version: str = "1.3",
    fragment: int = 1398,
    ca: str = "network-ca",
    identity: str = "anonymous@example.org",
) -> Asked:
    tool = program("eapol_test")
    here = place.place
    config = here / f"eapol-{port}.conf"
    config.write_text(
        f"""network={{
            key_mgmt=WPA-EAP
            eap=TLS
            identity="{identity}"
            ca_cert="{here}/{ca}.pem"
            client_cert="{here}/{device}.pem"
            private_key="{here}/{device}.key"
            phase1="tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 {VERSIONS[version]}"
            fragment_size={fragment}
            eap_workaround=0
            altsubject_match="DNS:{PLMN.cp_name}"
        }}
        """
    )
    secret = SECRET.octets.decode()
    command = [tool, "-c", str(config), "-a", "127.0.0.1", "-p", str(port), "-s", secret, "-t", str(PATIENCE)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=2 * PATIENCE)
    return Asked(done.stdout, done.returncode == 0 and done.stdout.rstrip().endswith("SUCCESS"))


def check_keys(asked: Asked) -> None:
    """The MSK that the peer derived is what came in the MS-MPPE keys."""
    msk = asked.octets("EAP-TLS: Derived key")
    assert len(msk) == 64
    assert asked.octets("MS-MPPE-Recv-Key (crypt)") + asked.octets("MS-MPPE-Send-Key (sign)") == msk
    assert "MPPE keys OK: 1  mismatch: 0" in asked.text


def test_eapol_test_is_accepted_and_has_our_keys(place):
    with aaa(place) as server:
        asked = eapol_test(place, server.port)
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert "ACKing Commitment Message" in asked.text  # the 0x00 of RFC 9190 2.5
    assert EID.digits in asked.text  # User-Name of the Access-Accept
    assert f"accepted anonymous@example.org by cp: {EID}" in server.log


def test_eapol_test_in_fragments_of_100_octets(place):
    with aaa(place, fragment=100) as server:
        asked = eapol_test(place, server.port, fragment=100)
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert asked.requests > 15


def test_eapol_test_with_tls_1_2_where_it_is_let_in(place):
    both = TlsChoices(tls_versions=(TlsVersion.TLS_1_3, TlsVersion.TLS_1_2))
    with aaa(place, eap_tls=both) as server:
        asked = eapol_test(place, server.port, version="1.2")
    assert asked.ok, asked.text[-2000:]
    check_keys(asked)
    assert "Using TLS version TLSv1.2" in asked.text


def test_eapol_test_with_tls_1_2_is_refused_otherwise(place):
    with aaa(place) as server:
        assert not eapol_test(place, server.port, version="1.2").ok
    assert "refused anonymous@example.org by cp" in server.log


def test_eapol_test_that_claims_the_eid_of_another_is_refused(place):
    with aaa(place) as server:
        assert eapol_test(place, server.port, identity=f"{EID}@example.org").ok
        assert not eapol_test(place, server.port, identity=f"{OTHER_EID}@example.org").ok
    assert "the EID of the request is not the EID of the certificate" in server.log


def test_eapol_test_refuses_a_network_of_another_authority(place):
    with aaa(place) as server:
        asked = eapol_test(place, server.port, ca="radsec-ca")
    assert not asked.ok
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR" in asked.text
    assert "CTRL-EVENT-EAP-FAILURE" in asked.text
    assert "refused anonymous@example.org by cp" in server.log


def test_a_device_of_another_ci_is_refused_with_an_alert(place, tmp_path):
    init_pki(tmp_path, place.issuing, PLMN, "smdp.example.com", EID_PREFIX)
    for path in issue_device(tmp_path, place.issuing, EID, "stranger"):
        shutil.copy2(path, place.place)
    with aaa(place) as server:
        asked = eapol_test(place, server.port, device="stranger")
    assert not asked.ok
    assert "unknown CA" in asked.text  # the alert, in words of OpenSSL
    assert "does not lead to a certificate issuer that the network trusts" in server.log


def test_an_expired_device_is_refused_with_an_alert(place):
    issue_device(place.place, Issuing(place.now - timedelta(days=9), place.issuing.entropy, 2), EID, "expired")
    with aaa(place) as server:
        asked = eapol_test(place, server.port, device="expired")
    assert not asked.ok
    assert "certificate expired" in asked.text
    assert "a certificate of the device has expired" in server.log


def test_a_revoked_device_is_refused_with_an_alert(place):
    issue_device(place.place, place.issuing, EID, "revoked")
    command = [
        sys.executable,
        "-m",
        "rprov",
        "pki",
        "revoke",
        "--dir",
        str(place.place),
        str(place.place / "revoked.pem"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    crls = tuple(ReadPath(path) for path in sorted(place.place.glob("*.crl")))
    trust = DeviceTrust(anchors=(ReadPath(place.place / "ci.pem"),), crls=crls, require_crl=True)
    with aaa(place, devices=trust) as server:
        asked = eapol_test(place, server.port, device="revoked")
        assert eapol_test(place, server.port).ok
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
