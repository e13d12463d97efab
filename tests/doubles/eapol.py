"""`rprov aaa` as a process of its own, and eapol_test that asks it: what the tests in tests/interop share.

with aaa(place) as server:
    asked = eapol_test(place, server.port, version="1.2")
check_keys(asked); server.log
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.pki import PLMN
from doubles.radius_servers import PACKAGES, PATIENCE, find

from rprov.config import format_settings
from rprov.model.tls import TlsChoices, TlsVersion

BOTH_VERSIONS = TlsChoices(tls_versions=(TlsVersion.TLS_1_3, TlsVersion.TLS_1_2))
VERSIONS = {"1.3": "tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=0", "1.2": "tls_disable_tlsv1_2=0 tls_disable_tlsv1_3=1"}


def program(name: str) -> str:
    """Where a program is; a test that cannot do without it says what to install."""
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install {PACKAGES[name]}")
    return found


@dataclass
class Server:
    """A running `rprov aaa`; `log` is complete once it has ended."""

    port: int
    log: str = ""


@contextmanager
def aaa(place: AaaPlace, inside: Sequence[str] = (), **over: Any) -> Iterator[Server]:
    """Run `rprov aaa` as its own process; `inside` stands before the command."""
    file = place.place / "aaa.yaml"
    file.write_text(format_settings(place.settings(**over)))
    command = [*inside, sys.executable, "-m", "rprov", "aaa", "-c", str(file)]
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
    server_name: str = PLMN.cp_name,
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
            altsubject_match="DNS:{server_name}"
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
