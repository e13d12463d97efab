"""Session tickets: none where our OPENSSL_CONF is read, one where resumption is enabled. OpenSSL reads it once.

Two where the file is somebody else's. So each mode is measured in a process of its own.
"""

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from doubles.processes import write_settings

from rprov.cli.demo_files import DemoFiles
from rprov.cli.main import run
from rprov.cli.openssl_conf import FILE, FILE_WITH_TICKETS, VARIABLE, choose_openssl_conf
from rprov.model.aaa import AaaSettings, RadiusClient, RadiusListen
from rprov.model.kinds import ReadPath
from rprov.model.tls import TlsChoices, TlsResumption

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
from rprov.crypto.tls_context import TlsCredentials
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
    assert FILE_WITH_TICKETS.read_text(encoding="utf-8").endswith("NumTickets = 1\n")
    for before, after in (({}, str(FILE)), ({VARIABLE: "/etc/own.cnf"}, "/etc/own.cnf"), ({VARIABLE: ""}, "")):
        choose_openssl_conf(before)
        assert before[VARIABLE] == after


RESUME = """
sys.path.insert(0, "tests")
from doubles.eap_tls_run import Run
from doubles.pki import shared_pki
from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.ticket import TicketPocket
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.tls_openssl import ticket_octets
from rprov.model.tls import TlsChoices, TlsResumption
pki, pocket = shared_pki(), TicketPocket()
on = TlsChoices(resumption=TlsResumption(enabled=True))
cp = EapTlsServerEngines(TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate], choices=on)
own = TlsCredentials(pki.device.chain, pki.device.key)
ue = EapTlsPeerEngines(own, [pki.network_ca.certificate], choices=on, pocket=pocket)
runs = [Run(cp, ue) for _ in range(2)]
assert all(run.ok for run in runs)
print(int(pocket.ticket is not None), int(runs[1].resumed), ticket_octets(), len(runs[0].to_ue[-1]))
"""


def daemon_file(place: Path, role: str, enabled: bool) -> Path:
    """Enough of a configuration to be looked at; whether it can be served from is not asked here."""
    files = DemoFiles(place)
    files.prepare()
    choices = TlsChoices(resumption=TlsResumption(enabled=enabled))
    cp = replace(files.cp(1), eap_tls=choices)
    path = place / f"{role}.yaml"
    if role == "cp":
        return write_settings(path, cp)
    (place / "secret").write_text("s" * 20 + "\n")
    (place / "secret").chmod(0o600)
    client = RadiusClient(name="nas", network=IPv4Network("127.0.0.1/32"), secret=ReadPath(place / "secret"))
    listen = RadiusListen(port=0)
    aaa = AaaSettings(certificate=cp.certificate, devices=cp.devices, clients=(client,), radius=listen, eap_tls=choices)
    return write_settings(path, aaa)


@pytest.mark.parametrize("role", ["cp", "aaa"])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_daemons_file_decides_how_many_tickets_there_are(tmp_path: Path, role: str, enabled: bool) -> None:
    file = str(daemon_file(tmp_path, role, enabled))
    chosen = str(FILE_WITH_TICKETS if enabled else FILE)
    for arguments in ([role, "-c", file], [role, "-v", f"--config={file}"], [role, "--check", "-vc", file]):
        environment: dict[str, str] = {}
        choose_openssl_conf(environment, arguments)
        assert environment == {VARIABLE: chosen}


@pytest.mark.parametrize(
    "arguments",
    [
        ["cp"],
        ["cp", "-c"],
        ["cp", "-c", "/nowhere"],
        ["cp", "-c", "/dev/null"],
        ["cp", "-c", "/"],
        ["cp", "--nonsense", "-h"],
        ["demo"],
        ["--version"],
    ],
)
def test_a_command_line_that_says_nothing_gets_no_tickets(arguments: list[str]) -> None:
    environment: dict[str, str] = {}
    choose_openssl_conf(environment, arguments)
    assert environment == {VARIABLE: str(FILE)}


def resumes(program: str, conf: Path | None) -> list[int]:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if conf is not None:
        environment[VARIABLE] = str(conf)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.splitlines()[-1].split()]


def test_a_daemon_with_resumption_sends_one_ticket_and_takes_it(tmp_path: Path) -> None:
    file = daemon_file(tmp_path, "cp", enabled=True)
    after = AFTER_MAIN.replace('["rprov", "--version"]', f'["rprov", "cp", "--check", "-c", {str(file)!r}]')
    kept, resumed, octets, commitment = resumes(after + RESUME, None)
    assert (kept, resumed) == (1, 1)
    assert 0 < octets < 100  # without a client's certificate in it, and there is one
    assert 700 < commitment < 1000


def test_where_openssl_sends_no_tickets_nothing_is_kept() -> None:
    assert resumes("import sys\n" + RESUME, FILE) == [0, 0, 0, EAP_AND_TLS]


@pytest.mark.parametrize("role", ["cp", pytest.param("aaa", marks=pytest.mark.slow)])
def test_a_daemon_that_cannot_give_the_tickets_it_should_says_so(tmp_path: Path, role: str) -> None:
    file = daemon_file(tmp_path, role, enabled=True)
    done = subprocess.run(
        [sys.executable, "-m", "rprov", role, "-c", str(file)],
        env={**os.environ, VARIABLE: str(FILE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("rprov: eap_tls.resumption is enabled, and the file that OPENSSL_CONF names")
    assert "Traceback" not in done.stderr


def test_a_file_with_a_mistake_is_told_by_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = daemon_file(tmp_path, "cp", enabled=True)
    file.write_text(file.read_text().replace("- '1.3'", "- '1.3'\n  - '1.2'"))
    environment: dict[str, str] = {}
    choose_openssl_conf(environment, ["cp", "-c", str(file)])
    assert environment == {VARIABLE: str(FILE)}
    assert run(["cp", "--check", "-c", str(file)]) == 2
    assert "eap_tls.resumption: needs TLS 1.3 alone" in capsys.readouterr().err
