"""Session tickets: none where our OPENSSL_CONF is read, two useless ones where it is not. OpenSSL reads it once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rprov.cli.openssl_conf import FILE, VARIABLE, choose_openssl_conf

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent

AFTER_MAIN = """
import sys
from rprov.cli import main
heavy = {"cryptography", "OpenSSL", "ssl", "_ssl"} & set(sys.modules)
assert not heavy, f"imported before OPENSSL_CONF could be chosen: {heavy}"
sys.argv = ["rprov", "--version"]
try:
    main.main()
except SystemExit as end:
    assert end.code == 0
"""

MEASURE = """
sys.path.insert(0, "tests")
from doubles.pki import EID, NOW, PLMN, shared_pki
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Authenticated, PeerProved
from rprov.crypto.tls import TlsCredentials
from rprov.crypto.tls_openssl import ticket_octets
from rprov.wire.messages import AuthenticationRequest
pki = shared_pki()
cp = EapTlsServerEngines(TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate])
ue = EapTlsPeerEngines(TlsCredentials(pki.device.chain, pki.device.key), [pki.network_ca.certificate])
network, device = cp.scheme(EID, PLMN.serving_network_name, NOW), ue.scheme(PLMN, NOW)
outcome = network.begin()
while not isinstance(outcome, Authenticated):
    if isinstance(outcome, PeerProved):
        outcome = network.authorise()
        commitment = len(outcome.challenge.packet)
    answer = device.on_request(AuthenticationRequest(0, bytes(2), outcome.challenge))
    outcome = network.on_response(answer.message)
device.accept_success(outcome.eap_success)
print(ticket_octets(), commitment)
"""

EAP_AND_TLS = 4 + 1 + 1 + 5 + 1 + 1 + 16
"""EAP header, type, flags; record header, the 0x00, its content type, the tag."""


def measured(program: str, conf: str | None) -> tuple[int, int]:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if conf is not None:
        environment[VARIABLE] = conf
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    tickets, commitment = done.stdout.splitlines()[-1].split()
    return int(tickets), int(commitment)


def test_the_command_sends_no_ticket() -> None:
    assert measured(AFTER_MAIN + MEASURE, None) == (0, EAP_AND_TLS)


@pytest.mark.parametrize("program", [AFTER_MAIN + MEASURE, "import sys\n" + MEASURE], ids=["command", "library"])
def test_a_file_of_somebody_else_is_left_alone_and_works(program: str, tmp_path: Path) -> None:
    own = tmp_path / "own.cnf"
    own.write_text("# nothing\n")
    tickets, commitment = measured(program, str(own))
    assert tickets > 0
    assert commitment == EAP_AND_TLS + tickets


def test_ours_is_chosen_where_nobody_has_chosen() -> None:
    assert FILE.read_text(encoding="utf-8").endswith("NumTickets = 0\n")
    for before, after in (({}, str(FILE)), ({VARIABLE: "/etc/own.cnf"}, "/etc/own.cnf"), ({VARIABLE: ""}, "")):
        choose_openssl_conf(before)
        assert before[VARIABLE] == after
