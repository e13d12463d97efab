"""802.1X on a cable: wpa_supplicant proves a device, hostapd is the authenticator, `rprov aaa` decides over RADIUS.

All in a network namespace of its own. Needs root, wpasupplicant and hostapd; a test says which of them is missing.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from doubles.aaa_place import SECRET, AaaPlace
from doubles.eapol import BOTH_VERSIONS, VERSIONS, aaa, program
from doubles.pki import EID, EID_PREFIX, PLMN
from doubles.radius_servers import PATIENCE
from doubles.router import Namespace

from rprov.store.pki import init_pki, issue_device

pytestmark = [pytest.mark.slow, pytest.mark.privileged]

AUTHENTICATOR = """
interface=cable0
driver=wired
ieee8021x=1
own_ip_addr=127.0.0.1
nas_identifier=wired
auth_server_addr=127.0.0.1
auth_server_port={port}
auth_server_shared_secret={secret}
use_pae_group_addr=1
"""

SUPPLICANT = """
ap_scan=0
network={{
    key_mgmt=IEEE8021X
    eap=TLS
    identity="anonymous@example.org"
    ca_cert="{pki}/network-ca.pem"
    client_cert="{pki}/{device}.pem"
    private_key="{pki}/{device}.key"
    phase1="tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 {version}"
    altsubject_match="DNS:{name}"
    eapol_flags=0
}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> AaaPlace:
    return AaaPlace(tmp_path_factory.mktemp("wired"))


@pytest.fixture
def space() -> Iterator[Namespace]:
    """A namespace with a cable in it."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("a network namespace needs unshare and nsenter (util-linux) and ip (iproute2)")
    made = Namespace()
    try:
        if not made.made:
            pytest.skip("a network namespace cannot be made here")
        try:
            made.run("ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no veth in a network namespace here: {error.stderr.decode().strip()}")
        for end in ("cable0", "cable1"):
            made.run("ip", "link", "set", end, "up")
        yield made
    finally:
        made.close()


@contextmanager
def logged(space: Namespace, command: Sequence[str], log: Path) -> Iterator[Path]:
    """Run a program in the namespace; give the file that takes what it prints."""
    with (
        log.open("wb") as output,
        subprocess.Popen([*space.inside, *command], stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield log
        finally:
            process.terminate()
            process.wait(PATIENCE)


def said(log: Path, *words: str) -> str:
    """Wait until a log says one of these; give what it says by then."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        text = log.read_text(errors="replace")
        if any(word in text for word in words):
            return text
        time.sleep(0.05)
    raise AssertionError(f"none of {words} in {PATIENCE} s: {log.read_text(errors='replace')[-2000:]}")


def plug_in(
    space: Namespace, place: AaaPlace, port: int, here: Path, version: str, device: str = "device"
) -> list[str]:
    """Connect a device to the cable; give what the authenticator and the supplicant say of it in the end."""
    authenticator, supplicant = program("hostapd"), program("wpa_supplicant")
    (here / "hostapd.conf").write_text(AUTHENTICATOR.format(port=port, secret=SECRET.octets.decode()))
    (here / "wpa.conf").write_text(
        SUPPLICANT.format(pki=place.place, device=device, version=VERSIONS[version], name=PLMN.cp_name)
    )
    with ExitStack() as stack:
        guard = stack.enter_context(
            logged(space, [authenticator, "-d", str(here / "hostapd.conf")], here / "hostapd.log")
        )
        said(guard, "AP-ENABLED")
        command = [supplicant, "-d", "-Dwired", "-icable1", "-c", str(here / "wpa.conf")]
        log = stack.enter_context(logged(space, command, here / "wpa.log"))
        text = said(log, "CTRL-EVENT-EAP-SUCCESS", "CTRL-EVENT-EAP-FAILURE")
        return [said(guard, "CTRL-EVENT-EAP-SUCCESS2", "CTRL-EVENT-EAP-FAILURE2", "authorizing port"), text]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_is_let_onto_the_cable(place: AaaPlace, space: Namespace, tmp_path: Path, version: str) -> None:
    with aaa(place, inside=space.inside, eap_tls=BOTH_VERSIONS) as server:
        guard, supplicant = plug_in(space, place, server.port, tmp_path, version)
    assert "CTRL-EVENT-EAP-SUCCESS" in supplicant
    assert f"Using TLS version TLSv{version}" in supplicant
    assert ("ACKing Commitment Message" in supplicant) == (version == "1.3")
    assert "authorizing port" in guard
    assert f"accepted anonymous@example.org by cp: {EID}" in server.log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_of_another_ci_stays_outside(place: AaaPlace, space: Namespace, tmp_path: Path, version: str) -> None:
    own = tmp_path / "other-ci"
    own.mkdir()
    init_pki(own, place.issuing, PLMN, "smdp.example.com", EID_PREFIX)
    for path in issue_device(own, place.issuing, EID, "outsider"):
        shutil.copy2(path, place.place)
    with aaa(place, inside=space.inside, eap_tls=BOTH_VERSIONS) as server:
        guard, supplicant = plug_in(space, place, server.port, tmp_path, version, device="outsider")
    assert "CTRL-EVENT-EAP-FAILURE" in supplicant
    assert "CTRL-EVENT-EAP-SUCCESS" not in supplicant
    assert "unknown CA" in supplicant
    assert "authorizing port" not in guard.replace("unauthorizing port", "")
    assert "does not lead to a certificate issuer that the network trusts" in server.log
