"""Configuration files: what is read, and how each mistake is told."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_load

from rprov.config import format_settings, load_aaa, load_cp, load_ran, load_smdp, load_ue
from rprov.errors import ConfigError
from rprov.model.aaa import AaaLimits, AaaSettings, RadiusClient, RadsecListen
from rprov.model.identifiers import Dnn, Eid, Plmn, SNssai
from rprov.model.kinds import DatabaseUrl, EidPrefix, Endpoint, Fqdn, Host, KeyId, ReadPath
from rprov.model.limits import (
    CpTimers,
    UeTimers,
)
from rprov.model.numbers import Port
from rprov.model.places import N2Listen, RadioPeer
from rprov.model.policy import Timers
from rprov.model.sections import (
    AlgorithmSettings,
    LogLevel,
    LogSettings,
    ProvisioningSettings,
    ServerSettings,
    SessionSettings,
    StoreSettings,
    SuciScheme,
)
from rprov.model.security import Nea, Nia
from rprov.model.session import ProvisioningProtocol
from rprov.model.settings import (
    CpSettings,
    CredentialKind,
    CredentialSettings,
    EuiccSettings,
    NetworkTrust,
    Plan,
    RanSettings,
    SmdpCertificates,
    SmdpSettings,
    UeSettings,
)
from rprov.model.trust import (
    CredentialFiles,
    DeviceRoles,
    DeviceTrust,
    EumEntry,
)

EXAMPLES = Path(__file__).parent.parent / "examples"
LOADERS: dict[str, Callable[..., Any]] = {
    "cp": load_cp,
    "ran": load_ran,
    "ue": load_ue,
    "smdp": load_smdp,
    "aaa": load_aaa,
}

CP = """\
plmn: 001-01
certificate: {chain: cp.pem, key: cp.key}
devices:
  anchors: [ci.pem]
store: {url: "sqlite://"}
"""
RAN = "plmn: 001-01\n"
UE = """\
euicc:
  store: {url: "sqlite://"}
  certificate: {chain: euicc.pem, key: euicc.key}
  anchors: [ci.pem]
credential: {chain: device.pem, key: device.key}
network: {anchors: [ca.pem]}
"""
SMDP = """\
fqdn: smdp.example.com
certificates:
  tls: {chain: a, key: b}
  auth: {chain: a, key: b}
  pb: {chain: a, key: b}
anchors: [ci.pem]
store: {url: "sqlite://"}
"""
AAA = """\
clients: [{name: cp, network: 127.0.0.0/8, secret: s}]
certificate: {chain: cp.pem, key: cp.key}
devices: {anchors: [ci.pem]}
"""
LEAST = {"cp": CP, "ran": RAN, "ue": UE, "smdp": SMDP, "aaa": AAA}


def load(directory: Path, role: str, text: str) -> Any:
    path = directory / f"{role}.yaml"
    path.write_text(text, encoding="utf-8")
    return LOADERS[role](path, files_must_exist=False)


def complaint(directory: Path, role: str, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(directory, role, text)
    return str(caught.value).replace(f"{directory}/", "")


def keys(kind: type) -> str:
    return ", ".join(field.name for field in fields(kind))


WRONG: list[tuple[str, str, str]] = [
    # role, what stands behind the least file (or instead of it, after a !), the whole complaint
    (
        "cp",
        "security:\n  integrity:\n    - NIA2\n    - NIA7\n",
        'cp.yaml:9: security.integrity[1]: unknown algorithm "NIA7" (expected one of NIA1, NIA2, NIA3)',
    ),
    (
        "cp",
        "security: {integrity: [NIA0]}\n",
        'cp.yaml:6: security.integrity[0]: unknown algorithm "NIA0" (expected one of NIA1, NIA2, NIA3)',
    ),
    (
        "cp",
        "security: {ciphering: [NEA2, NEA0]}\n",
        "cp.yaml:6: security.ciphering: NEA0 ciphers nothing: it needs danger_null_ciphering: true",
    ),
    ("cp", "security: {ciphering: [NEA2, NEA2]}\n", "cp.yaml:6: security.ciphering: an algorithm is named twice"),
    (
        "cp",
        "security: {ciphering: []}\n",
        "cp.yaml:6: security.ciphering: expected a list of at least 1, found an empty one",
    ),
    ("cp", "security: NEA2\n", 'cp.yaml:6: security: expected a section, found "NEA2"'),
    ("cp", "security: {ciphering: NEA2}\n", 'cp.yaml:6: security.ciphering: expected a list, found "NEA2"'),
    (
        "cp",
        "n2:\n  prot: 1\n",
        "cp.yaml:7: n2.prot: unknown key (expected one of host, port, transport, sctp, tls, insecure, heartbeat; "
        'did you mean "port"?)',
    ),
    (
        "cp",
        "colour: blue\n",
        f"cp.yaml:6: colour: unknown key (expected one of {keys(CpSettings)})",
    ),
    (
        "cp",
        "n2: {port: 99999}\n",
        'cp.yaml:6: n2.port: expected a whole number from 0 to 65535, found "99999"',
    ),
    (
        "cp",
        "n2: {port: 0x1F}\n",
        'cp.yaml:6: n2.port: expected a whole number from 0 to 65535, found "0x1F"',
    ),
    (
        "cp",
        "n2: {port: 010}\n",
        'cp.yaml:6: n2.port: expected a whole number from 0 to 65535, found "010"',
    ),
    (
        "cp",
        'n2: {port: "29712"}\n',
        'cp.yaml:6: n2.port: expected a whole number from 0 to 65535 without quotes, found "29712"',
    ),
    ("cp", "n2: {port: }\n", "cp.yaml:6: n2.port: expected a whole number from 0 to 65535, found nothing"),
    ("cp", "n2: {port: [1]}\n", "cp.yaml:6: n2.port: expected a whole number from 0 to 65535, found a list"),
    (
        "cp",
        "n2: {host: 10.0.0.1}\n",
        "cp.yaml:6: n2.tls: N2 to 10.0.0.1 would run unprotected: give it tls, use loopback, or say insecure: true",
    ),
    (
        "cp",
        "n2:\n  host: cp.example.com\n  insecure: false\n",
        "cp.yaml:7: n2.tls: N2 to cp.example.com would run unprotected: "
        "give it tls, use loopback, or say insecure: true",
    ),
    ("cp", "n2: {insecure: yes}\n", 'cp.yaml:6: n2.insecure: expected true or false, found "yes"'),
    ("cp", "n2: {host: a b}\n", 'cp.yaml:6: n2.host: expected a host name or an address, found "a b"'),
    ("cp", "n2: {host: 127.0.0.256}\n", 'cp.yaml:6: n2.host: expected a host name or an address, found "127.0.0.256"'),
    ("cp", "n3: {address: localhost}\n", 'cp.yaml:6: n3.address: expected an IPv4 address, found "localhost"'),
    ("cp", "name: one\nname: two\n", "cp.yaml:7: name: given twice (first in line 6)"),
    (
        "cp",
        "provisioning: {offered: true}\n",
        "cp.yaml:6: provisioning.servers: provisioning is offered, but there is no server to fetch a profile from",
    ),
    (
        "cp",
        "provisioning:\n  servers:\n    - {fqdn: a.example, addresses: [192.0.2.1], protocol: sgp99}\n",
        'cp.yaml:8: provisioning.servers[0].protocol: unknown protocol "sgp99" (expected one of sgp22, sgp02, sgp32)',
    ),
    (
        "cp",
        "provisioning:\n  servers:\n    - {fqdn: a.example, addresses: [10.45.1.1]}\n",
        "cp.yaml:7: provisioning: the server address 10.45.1.1 lies in a pool of UE addresses",
    ),
    (
        "cp",
        "provisioning:\n  servers:\n    - {fqdn: a.example, addresses: [192.0.2.1], upstream: localhost}\n",
        'cp.yaml:8: provisioning.servers[0].upstream: expected HOST:PORT, found "localhost"',
    ),
    (
        "cp",
        "provisioning:\n  servers:\n    - fqdn: a.example\n",
        "cp.yaml:8: provisioning.servers[0].addresses: missing",
    ),
    (
        "cp",
        "sessions: {ordinary_pool: 10.45.0.0/24}\n",
        "cp.yaml:6: sessions.ordinary_pool: 10.45.0.0/24 overlaps provisioning_pool 10.45.0.0/17",
    ),
    (
        "cp",
        "sessions: {ordinary_pool: 10.45.128.1/24}\n",
        "cp.yaml:6: sessions.ordinary_pool: 10.45.128.1/24 is an address in a network: the network is 10.45.128.0/24",
    ),
    (
        "cp",
        "sessions: {dnn: x-}\n",
        "cp.yaml:6: sessions.dnn: a label of a DNN has letters, digits and hyphens, the last not at its ends",
    ),
    (
        "cp",
        "sessions: {s_nssai: 300}\n",
        "cp.yaml:6: sessions.s_nssai: a slice/service type is 0 to 255, not 300",
    ),
    (
        "cp",
        "sessions:\n  ordinary_allow:\n    - {network: 192.0.2.0/24, port: 443}\n",
        "cp.yaml:8: sessions.ordinary_allow[0].port: a port needs protocol: tcp or protocol: udp",
    ),
    (
        "cp",
        "timers: {t3560: 0}\n",
        'cp.yaml:6: timers.t3560: expected a number from 0.001 to 86400, found "0"',
    ),
    (
        "cp",
        "timers: {t3510: 5}\n",
        "cp.yaml:6: timers.t3510: unknown key (expected one of t3512, t3522, t3550, t3560, t3570; "
        'did you mean "t3570"?)',
    ),
    (
        "cp",
        "limits: {half_open_per_link: 5000}\n",
        "cp.yaml:6: limits.half_open: expected half_open_per_link <= half_open_per_ran <= half_open",
    ),
    (
        "cp",
        "suci_keys:\n  - {id: 1, scheme: profile_c, key: a}\n",
        'cp.yaml:7: suci_keys[0].scheme: unknown scheme "profile_c" (expected one of profile_a, profile_b)',
    ),
    (
        "cp",
        "suci_keys:\n  - {id: 1, scheme: profile_a, key: a}\n  - {id: 1, scheme: profile_a, key: b}\n",
        "cp.yaml:7: suci_keys: two keys of one scheme have the same id",
    ),
    (
        "cp",
        "!" + CP.replace("anchors: [ci.pem]", "anchors: [ci.pem]\n  eum_table: [{key_id: 00, prefixes: [8904]}]"),
        'cp.yaml:5: devices.eum_table[0].key_id: expected a key identifier of 40 hexadecimal digits, found "00"',
    ),
    (
        "cp",
        "!" + CP.replace("anchors: [ci.pem]", "anchors: [ci.pem]\n  roles: eUICC"),
        'cp.yaml:5: devices.roles: unknown role "eUICC" (expected one of device, euicc, both)',
    ),
    (
        "cp",
        "!" + CP.replace("001-01", "00101"),
        "cp.yaml:1: plmn: a PLMN is written MCC-MNC, not '00101'",
    ),
    (
        "cp",
        "!" + CP.replace("sqlite://", "sqlite:///cp.db"),
        "cp.yaml:5: store.key_file: missing: a store that outlives the process needs a sealing key",
    ),
    (
        "cp",
        "!" + CP.replace("sqlite://", "postgresql+psycopg://rprov:hunter2@db/rprov"),
        "cp.yaml:5: store.url: a password does not belong in a configuration: use PGPASSFILE",
    ),
    (
        "cp",
        "!" + CP.replace("sqlite://", "mysql://db/rprov"),
        "cp.yaml:5: store.url: expected sqlite:///FILE, sqlite:// (memory) or "
        'postgresql+psycopg://USER@HOST/NAME, found "mysql://db/rprov"',
    ),
    ("cp", "!" + CP.replace("001-01", "!secret 001-01"), "cp.yaml:1: plmn: the tag !secret has no meaning here"),
    ("ran", "!name: ran\n", "ran.yaml:1: plmn: missing"),
    ("ran", "!- plmn\n", "ran.yaml:1: expected a section, found a list"),
    ("ran", "!", "ran.yaml:1: the file is empty"),
    ("ran", "!plmn: [001-01\n", "ran.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'"),
    ("ran", "!plmn: 001-01\n---\nplmn: 001-01\n", "ran.yaml:2: not YAML: but found another document"),
    ("ran", "!plmn: \x07\n", "ran.yaml: not YAML: unacceptable character #x0007: special characters are not allowed"),
    (
        "ran",
        "cp: {port: 0}\n",
        'ran.yaml:2: cp.port: expected a whole number from 1 to 65535, found "0"',
    ),
    ("ran", "name: ''\n", 'ran.yaml:2: name: expected text of 1 to 64 characters, found ""'),
    (
        "ran",
        "log: {level: loud}\n",
        'ran.yaml:2: log.level: unknown level "loud" (expected one of debug, info, warning, error)',
    ),
    ("ran", "? [a]\n: 1\n", f"ran.yaml:2: ?: unknown key (expected one of {keys(RanSettings)})"),
    (
        "ue",
        "eid: 89049032123451234512345678901234\n",
        "ue.yaml:7: eid: EID 89049032123451234512345678901234 has wrong check digits",
    ),
    ("ue", "plan: detach\n", 'ue.yaml:7: plan: unknown plan "detach" (expected one of provision, attach, download)'),
    (
        "ue",
        "!" + UE.replace("{chain: device.pem, key: device.key}", "{chain: device.pem}"),
        "ue.yaml:5: credential.key: missing (kind: device needs chain and key)",
    ),
    (
        "ue",
        "!" + UE.replace("{chain: device.pem", "{kind: euicc, chain: device.pem"),
        "ue.yaml:5: credential.chain: kind: euicc takes the certificate and key of the euicc section",
    ),
    (
        "aaa",
        "radius: {address: 192.0.2.1}\n",
        "aaa.yaml:4: radius.insecure: RADIUS over UDP at 192.0.2.1 would hide keys with MD5 only: "
        "use radsec, or say insecure: true",
    ),
    (
        "aaa",
        "!" + "\n".join(AAA.splitlines()[1:]) + "\n",
        "aaa.yaml:1: clients: nobody could ask: name clients, or give radsec",
    ),
    (
        "aaa",
        "!" + AAA.replace("secret: s}", "secret: s}, {name: cp, network: 10.0.0.0/8, secret: s}"),
        "aaa.yaml:1: clients: two clients have the same name",
    ),
    (
        "aaa",
        "!" + AAA.replace("secret: s}", "secret: s}, {name: b, network: 127.0.0.0/8, secret: s}"),
        "aaa.yaml:1: clients: two clients have the same network",
    ),
    ("aaa", "fragment: 1401\n", 'aaa.yaml:4: fragment: expected a whole number from 100 to 1400, found "1401"'),
    (
        "smdp",
        "!" + SMDP.replace("smdp.example.com", "smdp_.-x"),
        'smdp.yaml:1: fqdn: expected a domain name, found "smdp_.-x"',
    ),
]


@pytest.mark.parametrize(("role", "text", "expected"), WRONG)
def test_a_mistake_is_told_with_file_line_key_and_what_was_expected(
    tmp_path: Path, role: str, text: str, expected: str
) -> None:
    whole = text[1:] if text.startswith("!") else LEAST[role] + text
    assert complaint(tmp_path, role, whole) == expected


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "name: ''\nn2: {port: x, prt: 1}\nn3: 5\n"
    assert complaint(tmp_path, "ran", text.replace("n2", "cp")).splitlines() == [
        'ran.yaml:1: name: expected text of 1 to 64 characters, found ""',
        "ran.yaml:1: plmn: missing",
        "ran.yaml:2: cp.prt: unknown key (expected one of host, port, transport, sctp, tls, insecure, heartbeat; "
        'did you mean "port"?)',
        'ran.yaml:2: cp.port: expected a whole number from 1 to 65535, found "x"',
        'ran.yaml:3: n3: expected a section, found "5"',
    ]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "cp.yaml"
    with pytest.raises(ConfigError, match=r"cp.yaml: cannot be read: No such file or directory"):
        load_cp(missing)
    missing.write_bytes(b"plmn: \xff\xfe")
    with pytest.raises(ConfigError, match=r"cp.yaml: is not UTF-8 text"):
        load_cp(missing)
    missing.write_text("[" * 5000)
    with pytest.raises(ConfigError, match=r"cp.yaml: not YAML: nested too deeply"):
        load_cp(missing)


def test_files_that_must_be_there_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "cp.yaml"
    path.write_text(CP)
    with pytest.raises(ConfigError) as caught:
        load_cp(path)
    assert str(caught.value).splitlines() == [
        f"{path}:2: certificate.chain: there is no file or directory {tmp_path / 'cp.pem'}",
        f"{path}:2: certificate.key: there is no file or directory {tmp_path / 'cp.key'}",
        f"{path}:4: devices.anchors[0]: there is no file or directory {tmp_path / 'ci.pem'}",
    ]
    for name in ("cp.pem", "cp.key"):
        (tmp_path / name).touch()
    (tmp_path / "ci.pem").mkdir()
    assert load_cp(path).devices.anchors == (tmp_path / "ci.pem",)


@pytest.mark.parametrize("role", LOADERS)
def test_the_least_file_gives_safe_defaults(tmp_path: Path, role: str) -> None:
    settings = load(tmp_path, role, LEAST[role])
    assert settings == load(tmp_path, role, format_settings(settings))
    assert settings.log == LogSettings()
    if role in ("cp", "ran"):
        assert settings.security == AlgorithmSettings()
        assert Nea.NEA0 not in settings.security.ciphering
        assert settings.n3.port == Port.GTPU
    if role == "cp":
        assert not settings.provisioning.offered
        assert settings.devices.roles is DeviceRoles.DEVICE
        assert not settings.n2.insecure
        assert settings.sessions.ordinary_allow == ()
    if role == "ue":
        assert not settings.fall_back_to_provisioning
        assert settings.credential.kind is CredentialKind.DEVICE


@pytest.mark.parametrize("role", LOADERS)
def test_the_examples_are_right(tmp_path: Path, role: str) -> None:
    text = (EXAMPLES / f"{role}.yaml").read_text(encoding="utf-8")
    settings = load(tmp_path, role, text)
    assert load(tmp_path, role, format_settings(settings)) == settings
    with_files = [path for path in paths(settings) if "pki" in path.parts]
    for path in with_files:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert LOADERS[role](tmp_path / f"{role}.yaml") == settings
    assert with_files


def paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    if isinstance(value, tuple):
        return [path for item in value for path in paths(item)]
    if is_dataclass(value):
        return [path for field in fields(value) for path in paths(getattr(value, field.name))]
    return []


def test_the_examples_fit_each_other(tmp_path: Path) -> None:
    read = {role: load(tmp_path, role, (EXAMPLES / f"{role}.yaml").read_text()) for role in LOADERS}
    cp, ran, ue, smdp = read["cp"], read["ran"], read["ue"], read["smdp"]
    assert (ran.cp.host, ran.cp.port) == (cp.n2.host, cp.n2.port)
    assert (ue.radio.host, ue.radio.port) == (ran.radio.host, ran.radio.port)
    assert ran.plmn == cp.plmn
    server = cp.provisioning.servers[0]
    assert server.fqdn == smdp.fqdn
    assert server.upstream == Endpoint(smdp.listen.host, smdp.listen.port)
    assert smdp.cp_store == cp.store
    assert len({ran.n3.address, cp.n3.address, smdp.listen.host, str(ue.user_plane.address)}) == 4
    assert ran.radio.port == Port.RADIO
    assert ran.radio_user_plane.port == Port.RADIO_USER
    assert cp.n2.port == Port.N2
    assert cp.n3.port == Port.GTPU
    assert smdp.listen.port == Port.SMDP
    aaa = read["aaa"]
    assert (aaa.radius.port, aaa.certificate, aaa.devices) == (Port.RADIUS, cp.certificate, cp.devices)
    assert aaa.radius.address not in {ran.n3.address, cp.n3.address, smdp.listen.host}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """YAML would make false, 8, 1.1 and a number of these."""
    assert load(tmp_path, "ran", RAN + "name: no\n").name == "no"
    assert load(tmp_path, "ran", RAN + "name: 010\n").name == "010"
    assert load(tmp_path, "ran", RAN + "name: 1.10\n").name == "1.10"
    eid = "89049032123451234512345678901235"
    assert load(tmp_path, "ue", UE + f"eid: {eid}\n").eid == Eid(eid)
    assert load(tmp_path, "ue", UE + "eid: null\n").eid is None
    assert load(tmp_path, "ran", RAN + "cp: {host: '::1'}\n").cp.host == "::1"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "cp", CP.replace('"sqlite://"', '"sqlite:///data/cp.db", key_file: /keys/cp.key'))
    assert settings.certificate.chain == tmp_path / "cp.pem"
    assert settings.store.url == f"sqlite:///{tmp_path}/data/cp.db"
    assert settings.store.key_file == Path("/keys/cp.key")
    settings = load(tmp_path, "cp", CP.replace("sqlite://", 'sqlite:////var/cp.db", key_file: "k'))
    assert settings.store.url == "sqlite:////var/cp.db"


def test_timers_stand_in_the_policy(tmp_path: Path) -> None:
    settings = load(tmp_path, "cp", CP + "timers: {t3560: 0.5, t3512: 60}\n")
    assert settings.timers.policy == Timers(t3560=0.5, t3512=60.0)
    assert CpTimers().policy == UeTimers().policy == Timers()
    assert load(tmp_path, "ue", UE + "timers: {t3510: 2, cell: 1.5}\n").timers.policy == Timers(t3510=2.0, cell=1.5)


def test_a_server_is_told_as_the_ue_sees_it() -> None:
    server = ServerSettings(
        fqdn=Fqdn("a.example"), addresses=(IPv4Address("192.0.2.1"),), upstream=Endpoint(Host("127.0.0.1"), 8443)
    ).server
    assert (server.protocol, server.fqdn, server.port) == (ProvisioningProtocol.SGP22, "a.example", 443)


# --- round trip -------------------------------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=64)
ports = st.integers(1, 65535)
hosts = st.sampled_from([Host("127.0.0.1"), Host("localhost"), Host("::1"), Host("127.9.9.9")])
plmns = st.builds(Plmn, st.from_regex(r"[0-9]{3}", fullmatch=True), st.from_regex(r"[0-9]{2,3}", fullmatch=True))
fqdns = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){1,3}", fullmatch=True).map(Fqdn)
files = st.from_regex(r"/[a-z0-9 .:#'\"-]{1,20}x", fullmatch=True).map(Path)
reads = files.map(ReadPath)
credentials = st.builds(CredentialFiles, chain=reads, key=reads)
anchors = st.lists(reads, min_size=1, max_size=3).map(tuple)
stores = st.builds(
    StoreSettings,
    url=st.sampled_from(["sqlite://", "sqlite:////a/b c.db", "postgresql+psycopg://u@h:5/n?sslmode=require"]).map(
        DatabaseUrl
    ),
    key_file=files,
)
algorithms = st.builds(
    AlgorithmSettings,
    ciphering=st.permutations([Nea.NEA1, Nea.NEA2, Nea.NEA3, Nea.NEA0]).map(tuple),
    integrity=st.permutations([Nia.NIA1, Nia.NIA2, Nia.NIA3]).map(lambda order: tuple(order[:2])),
    danger_null_ciphering=st.just(True),
)
addresses = st.integers(0xC0000201, 0xC00002F0).map(IPv4Address)
upstreams = st.none() | st.builds(Endpoint, host=hosts.filter(lambda host: ":" not in host), port=ports)
servers = st.lists(
    st.builds(
        ServerSettings,
        protocol=st.sampled_from(ProvisioningProtocol),
        fqdn=fqdns,
        addresses=st.lists(addresses, min_size=1, max_size=8).map(tuple),
        port=ports,
        upstream=upstreams,
    ),
    min_size=1,
    max_size=2,
).map(tuple)
eum_tables = st.lists(
    st.builds(
        EumEntry,
        key_id=st.binary(min_size=20, max_size=20).map(KeyId),
        prefixes=st.lists(st.from_regex(r"[0-9]{1,8}", fullmatch=True).map(EidPrefix), min_size=1).map(tuple),
    ),
    max_size=2,
).map(tuple)
eids = st.integers(0, 10**30 - 1).map(lambda number: Eid.with_check_digits(f"{number:030d}"))
logs = st.builds(LogSettings, level=st.sampled_from(LogLevel), trace=st.none() | files)
seconds = st.integers(1, 86_400_000).map(lambda milliseconds: milliseconds / 1000)

EVERYTHING: dict[str, st.SearchStrategy[Any]] = {
    "cp": st.builds(
        CpSettings,
        name=names,
        plmn=plmns,
        n2=st.builds(N2Listen, host=hosts, port=ports),
        security=algorithms,
        certificate=credentials,
        devices=st.builds(DeviceTrust, anchors=anchors, eum_table=eum_tables, roles=st.sampled_from(DeviceRoles)),
        provisioning=st.builds(ProvisioningSettings, offered=st.booleans(), servers=servers),
        sessions=st.just(SessionSettings(ordinary_pool=IPv4Network("10.99.0.0/16"))),
        store=stores,
        timers=st.builds(CpTimers, t3560=seconds),
        log=logs,
    ),
    "ran": st.builds(RanSettings, name=names, plmn=plmns, security=algorithms, log=logs),
    "ue": st.builds(
        UeSettings,
        name=names,
        eid=st.none() | eids,
        radio=st.builds(RadioPeer, host=hosts, port=ports),
        euicc=st.builds(EuiccSettings, store=stores, certificate=credentials, anchors=anchors),
        credential=st.builds(CredentialSettings, chain=reads, key=reads)
        | st.just(CredentialSettings(kind=CredentialKind.EUICC)),
        network=st.builds(NetworkTrust, anchors=anchors, server_name=st.none() | fqdns),
        plan=st.sampled_from(Plan),
        log=logs,
    ),
    "smdp": st.builds(
        SmdpSettings,
        fqdn=fqdns,
        certificates=st.fixed_dictionaries({"tls": credentials, "auth": credentials, "pb": credentials}).map(
            lambda parts: SmdpCertificates(**parts)
        ),
        anchors=anchors,
        eum_table=eum_tables,
        store=stores,
        cp_store=st.none() | stores,
        log=logs,
    ),
    "aaa": st.builds(
        AaaSettings,
        name=names,
        clients=st.lists(
            st.builds(
                RadiusClient,
                name=names,
                network=st.integers(0, 255).map(lambda octet: IPv4Network(f"192.0.2.{octet}/32")),
                secret=reads,
            ),
            min_size=1,
            max_size=3,
            unique_by=(lambda client: client.name, lambda client: client.network),
        ).map(tuple),
        radsec=st.none()
        | st.builds(
            RadsecListen,
            host=hosts,
            port=ports,
            certificate=credentials,
            anchors=anchors,
            clients=st.lists(fqdns, min_size=1, max_size=3).map(tuple),
        ),
        certificate=credentials,
        devices=st.builds(DeviceTrust, anchors=anchors, eum_table=eum_tables, roles=st.sampled_from(DeviceRoles)),
        limits=st.builds(AaaLimits, lifetime=seconds),
        log=logs,
    ),
}


@pytest.mark.parametrize("role", LOADERS)
@given(st.data())
def test_what_is_formatted_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, role: str, data: st.DataObject
) -> None:
    settings = data.draw(EVERYTHING[role])
    assert load(tmp_path_factory.getbasetemp(), role, format_settings(settings)) == settings


@pytest.mark.parametrize("role", LOADERS)
@given(st.data())
def test_any_text_gives_settings_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, role: str, data: st.DataObject
) -> None:
    text = data.draw(st.text(max_size=80) | mutated(LEAST[role]))
    path = tmp_path_factory.getbasetemp() / f"{role}.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    told = f"{path}:"
    try:
        LOADERS[role](path, files_must_exist=False)
    except ConfigError as error:
        told = str(error)
    assert told.startswith(f"{path}:")


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    cut = draw(st.integers(0, len(text)))
    length = draw(st.integers(0, 10))
    return (
        text[:cut]
        + draw(st.text(max_size=6) | st.sampled_from(["[", "{", "*a", "&a", "!!x ", "- "]))
        + text[cut + length :]
    )


def test_what_is_formatted_is_plain_yaml(tmp_path: Path) -> None:
    written = safe_load(format_settings(load(tmp_path, "cp", CP + "suci_keys: [{id: 1, scheme: profile_b, key: a}]\n")))
    assert written["plmn"] == "001-01"
    assert written["security"]["integrity"] == ["NIA2", "NIA1", "NIA3"]
    assert written["suci_keys"] == [{"id": 1, "scheme": "profile_b", "key": str(tmp_path / "a")}]
    assert SuciScheme.PROFILE_B == 2


@pytest.mark.parametrize(
    ("text", "value"), [("1", SNssai(1)), ("1-000abc", SNssai(1, 0xABC)), ('"2-FFFFFE"', SNssai(2, 0xFFFFFE))]
)
def test_data_networks_and_slices_are_read_and_written(tmp_path: Path, text: str, value: SNssai) -> None:
    cp = load(tmp_path, "cp", CP + f"sessions: {{dnn: IMS.example, s_nssai: {text}}}\n")
    assert (cp.sessions.dnn, cp.sessions.provisioning_dnn, cp.sessions.s_nssai) == (
        Dnn("ims.example"),
        Dnn("rsp"),
        value,
    )
    assert load(tmp_path, "cp", format_settings(cp)) == cp
    ue = load(tmp_path, "ue", UE + f"dnn: internet\ns_nssai: {text}\n")
    assert (ue.dnn, ue.s_nssai) == (Dnn("internet"), value)
    assert load(tmp_path, "ue", format_settings(ue)) == ue
