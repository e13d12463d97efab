"""OCSP stapling with programs of others: eapol_test demands a staple of `rprov aaa`, our device one of hostapd.

They come from Debian's packages eapoltest and hostapd; a test says which program is missing.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.eapol import program
from doubles.pki import PLMN
from doubles.radius_nas import Nas
from doubles.radius_servers import PATIENCE, free_port, hostapd, running

from rprov.config import format_settings
from rprov.crypto.x509_network import check_staple
from rprov.errors import Refused
from rprov.model.kinds import ReadPath
from rprov.model.tls import TlsChoices, TlsVersion
from rprov.store.ocsp import write_responses
from rprov.store.pki import Issuing, load_chain
from rprov.wire.radius import Code

pytestmark = pytest.mark.slow

BOTH = TlsChoices(tls_versions=tuple(TlsVersion))
VERSIONS = {"1.3": "tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=0", "1.2": "tls_disable_tlsv1_2=0 tls_disable_tlsv1_3=1"}


@pytest.fixture
def place(tmp_path: Path) -> AaaPlace:
    return AaaPlace(tmp_path / "pki")


def respond(place: AaaPlace, *, revoked: bool = False) -> ReadPath:
    cp = place.place / "cp.pem"
    serials = frozenset({load_chain(cp)[0].serial_number}) if revoked else frozenset()
    now = Issuing(place.now.replace(microsecond=0) - timedelta(hours=1), place.issuing.entropy, 7)
    return ReadPath(write_responses(place.place, now, [cp], serials)[0])


@contextmanager
def aaa(place: AaaPlace, staple: ReadPath | None) -> Iterator[int]:
    file = place.place / "aaa.yaml"
    file.write_text(format_settings(place.settings(staple=staple, eap_tls=BOTH)))
    command = [sys.executable, "-m", "rprov", "aaa", "-c", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = re.fullmatch(r"aaa ready radius=127\.0\.0\.1:(\d+)\n", process.stdout.readline())
        try:
            assert ready
            yield int(ready[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


def eapol_test(place: AaaPlace, port: int, version: str) -> str:
    """Ask with `ocsp=2`: the server must staple."""
    tool, here = program("eapol_test"), place.place
    config = here / "eapol.conf"
    config.write_text(
        f"""network={{
            key_mgmt=WPA-EAP
            eap=TLS
            identity="anonymous@example.org"
            ca_cert="{here}/network-ca.pem"
            client_cert="{here}/device.pem"
            private_key="{here}/device.key"
            phase1="tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 {VERSIONS[version]}"
            altsubject_match="DNS:{PLMN.cp_name}"
            ocsp=2
        }}
        """
    )
    secret = SECRET.octets.decode()
    command = [tool, "-c", str(config), "-a", "127.0.0.1", "-p", str(port), "-s", secret, "-t", str(PATIENCE)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=2 * PATIENCE)
    return done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_demands_a_staple_and_gets_it(place, version):
    with aaa(place, respond(place)) as port:
        said = eapol_test(place, port, version)
    assert said.rstrip().endswith("SUCCESS"), said[-3000:]
    assert "OpenSSL: OCSP status for server certificate: good" in said


@pytest.mark.parametrize("version", VERSIONS)
def test_eapol_test_refuses_us_without_a_staple(place, version):
    with aaa(place, None) as port:
        said = eapol_test(place, port, version)
    assert not said.rstrip().endswith("SUCCESS")
    assert "OCSP" in said


@pytest.mark.parametrize("revoked", [False, True])
def test_our_device_demands_a_staple_of_hostapd(place, tmp_path, revoked):
    program("hostapd")
    place.make_plain_device()
    file = respond(place, revoked=revoked)
    port, seen = free_port(), []

    def judge_status(path, staple: bytes) -> None:
        seen.append(staple)
        check_staple(path, staple, place.now, required=True)

    here = tmp_path / "hostapd"
    here.mkdir()
    command = hostapd(here, pki=place.place, port=port, fragment=1300)
    with (here / "hostapd.conf").open("a") as config:
        config.write(f"ocsp_stapling_response={file}\n")
    device = place.device("plain", fragment=1300, judge_status=judge_status)
    with running(command, here / "log") as other:
        verdict = Nas(SECRET, other.asker(port)).run(device)
    assert seen == [file.read_bytes()]
    assert verdict.code is (Code.ACCESS_REJECT if revoked else Code.ACCESS_ACCEPT), other.said
    assert (verdict.denied is None) != revoked
    with pytest.raises(Refused):
        check_staple((load_chain(place.place / "cp.pem")[0], *device.anchors), b"", place.now, required=True)
