"""RADIUS servers of others in the foreground, each EAP-TLS alone with TLS 1.3: for tests and benchmarks.

    with running(freeradius(here, pki=files, port=port, fragment=1300), here / "log") as server:
        Nas(SECRET, server.asker(port)).run(device)

`pki` is the directory of an `AaaPlace`: they show cp.pem and trust ci.pem.
"""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from doubles.aaa_place import SECRET

from rprov.wire.radius import LARGEST_PACKET

PATIENCE = 20
PACKAGES = {
    "eapol_test": "eapoltest",
    "freeradius": "freeradius",
    "hostapd": "hostapd",
    "wpa_supplicant": "wpasupplicant",
}
"""Programs, and the packages of Debian that have them."""


def find(name: str) -> str | None:
    """Where a program is; daemons lie beside the usual path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


FREERADIUS = """
name = freeradius
prefix = /usr
confdir = {here}
raddbdir = {here}
logdir = {here}
run_dir = {here}
libdir = /usr/lib/freeradius
pidfile = {here}/radiusd.pid
max_request_time = 30
cleanup_delay = 1
log {{
    destination = stdout
}}
thread pool {{
    start_servers = 1
    max_servers = 1
    min_spare_servers = 1
    max_spare_servers = 1
}}
security {{
    reject_delay = 0
    status_server = no
    allow_vulnerable_openssl = yes
}}
client loop {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
    require_message_authenticator = yes
}}
modules {{
    eap {{
        default_eap_type = tls
        tls-config main {{
            private_key_file = {pki}/cp.key
            certificate_file = {pki}/cp.pem
            auto_chain = no
            ca_file = {pki}/ci.pem
            fragment_size = {fragment}
            tls_min_version = "1.3"
            tls_max_version = "1.3"
            ecdh_curve = "X25519:prime256v1"
            cache {{
                enable = {yes_or_no}
                name = "tickets"
                lifetime = 1
                persist_dir = "{here}/sessions"
                store {{
                    User-Name
                }}
            }}
        }}
        tls {{
            tls = main
        }}
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
}}
"""

HOSTAPD = """
driver=none
eap_server=1
eap_user_file={here}/users
ca_cert={pki}/ci.pem
server_cert={pki}/cp.pem
private_key={pki}/cp.key
fragment_size={fragment}
tls_flags=[ENABLE-TLSv1.3][DISABLE-TLSv1.2]
tls_session_lifetime={lifetime}
radius_server_clients={here}/clients
radius_server_auth_port={port}
"""


def freeradius(here: Path, resumes: bool = False, **values: Any) -> Sequence[str]:
    """Write its files; give the command."""
    values["yes_or_no"] = "yes" if resumes else "no"
    here.chmod(0o755)
    (here / "sessions").mkdir()
    (here / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
    (here / "radiusd.conf").write_text(FREERADIUS.format(here=here, secret=SECRET.octets.decode(), **values))
    for path in (here / "dictionary", here / "radiusd.conf"):
        path.chmod(0o640)
    return [find("freeradius") or "freeradius", "-f", "-l", "stdout", "-d", str(here), "-D", str(here), "-n", "radiusd"]


def hostapd(here: Path, resumes: bool = False, **values: Any) -> Sequence[str]:
    """Write its files; give the command."""
    values["lifetime"] = 3600 if resumes else 0
    (here / "users").write_text("* TLS\n")
    (here / "clients").write_text(f"127.0.0.1/32 {SECRET.octets.decode()}\n")
    (here / "hostapd.conf").write_text(HOSTAPD.format(here=here, **values))
    return [find("hostapd") or "hostapd", str(here / "hostapd.conf")]


class Running(NamedTuple):
    """A server process, and the file that takes what it prints."""

    process: "subprocess.Popen[bytes]"
    log: Path
    sender: socket.socket

    @property
    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-3000:]

    def asker(self, port: int) -> Callable[[bytes], bytes]:
        """What a `Nas` takes: ask until there is an answer, for the server may still be starting."""

        def exchange(octets: bytes) -> bytes:
            for _ in range(4 * PATIENCE):
                self.sender.sendto(octets, ("127.0.0.1", port))
                try:
                    return self._answer(octets[1])
                except TimeoutError:
                    if self.process.poll() is not None:
                        break
            raise AssertionError(f"no answer; it said: {self.said}")

        return exchange

    def _answer(self, identifier: int) -> bytes:
        """The answer to this request: one that was sent again, to a slow server, may have been answered twice."""
        while True:
            answer = self.sender.recv(LARGEST_PACKET)
            if answer[1:2] == bytes((identifier,)):
                return answer


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[Running]:
    """Run a server, and end it."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.settimeout(0.25)
        try:
            yield Running(process, log, sender)
        finally:
            process.terminate()
            process.wait(PATIENCE)
