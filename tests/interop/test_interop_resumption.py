"""Resumption with programs of others: eapol_test comes back to `rprov aaa`, our device to FreeRADIUS and hostapd."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.eapol import program
from doubles.pki import EID
from doubles.processes import Process, write_settings
from doubles.radius_nas import Nas
from doubles.radius_servers import PATIENCE, free_port, freeradius, hostapd, running

from rprov.cli.openssl_conf import VARIABLE
from rprov.model.tls import TlsChoices, TlsResumption
from rprov.wire.radius import Code

pytestmark = pytest.mark.slow

ON = TlsChoices(resumption=TlsResumption(enabled=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    made = AaaPlace(tmp_path_factory.mktemp("resumption"))
    made.make_plain_device()
    return made


def eapol_test(place: AaaPlace, port: int, again: int) -> str:
    """Authenticate, and `again` so many times in one process that keeps its tickets; give what it said."""
    here = place.place
    config = here / f"eapol-{port}.conf"
    config.write_text(
        f"""fast_reauth=1
network={{
    key_mgmt=WPA-EAP
    eap=TLS
    identity="anonymous@example.org"
    ca_cert="{here}/network-ca.pem"
    client_cert="{here}/device.pem"
    private_key="{here}/device.key"
    phase1="tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=0"
    fragment_size=1398
}}
"""
    )
    secret = SECRET.octets.decode()
    command = [program("eapol_test"), "-c", str(config), "-a127.0.0.1", f"-p{port}", f"-s{secret}", f"-r{again}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    assert done.stdout.rstrip().endswith("SUCCESS"), done.stdout[-3000:]
    return done.stdout


@pytest.mark.parametrize("enabled", [True, False])
def test_eapol_test_resumes_where_it_may(place: AaaPlace, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    program("eapol_test")
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = replace(place.settings(), eap_tls=ON if enabled else TlsChoices())
    file = write_settings(place.place / f"aaa-{enabled}.yaml", settings)
    with Process("aaa", "-c", str(file)) as aaa:
        said = eapol_test(place, int(aaa.ready()["port"]), again=2)
        assert aaa.terminate() == 0
    accepted = [line for line in aaa.err.so_far if f": {EID}" in line]
    assert [line.endswith(", resumed") for line in accepted] == [False, enabled, enabled]
    reused = re.findall(r"OpenSSL: Handshake finished - resumed=(\d)", said)
    assert [int(digit) for digit in reused[::2]] == [0, int(enabled), int(enabled)]  # each is said twice
    # the keys that it derived are those that the server gave away, in each of the three
    assert said.count("MPPE keys OK: 3  mismatch: 0") == 1


def test_our_device_resumes_with_freeradius(place: AaaPlace, tmp_path: Path) -> None:
    program("freeradius")
    port = free_port()
    command = freeradius(tmp_path, resumes=True, pki=place.place, port=port, fragment=1300)
    device = place.device("plain", fragment=1300, resumes=True)
    with running(command, tmp_path / "log") as server:
        nas = Nas(SECRET, server.asker(port))
        for resumed in (False, True, True):
            verdict = nas.run(device)
            assert verdict.code is Code.ACCESS_ACCEPT, server.said
            assert verdict.peer_msk is not None
            assert nas.keys(verdict) == verdict.peer_msk.octets
            assert device.resumed is resumed


def test_our_device_takes_no_keys_from_a_server_that_does_not_commit_itself(place: AaaPlace, tmp_path: Path) -> None:
    """hostapd 2.10 accepts a resumption of TLS 1.3 without the 0x00: nothing says that it has decided anything."""
    program("hostapd")
    port = free_port()
    command = hostapd(tmp_path, resumes=True, pki=place.place, port=port, fragment=1300)
    device = place.device("plain", fragment=1300, resumes=True)
    with running(command, tmp_path / "log") as server:
        nas = Nas(SECRET, server.asker(port))
        assert nas.run(device).peer_msk is not None, server.said
        verdict = nas.run(device)
        assert verdict.code is Code.ACCESS_ACCEPT, server.said
        assert (verdict.peer_msk is not None) == device.resumed
