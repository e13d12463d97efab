"""What a CP's file says about AAA servers: its mistakes, and secrets and certificates that are exchanged at SIGHUP."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.aaa_place import AaaPlace
from doubles.behind_aaa import SECRET, BehindAaa, trusting
from doubles.network import run

from rprov.config import format_settings, load_cp, load_ue
from rprov.errors import ConfigError, Misuse
from rprov.model.aaa_client import AaaClientSettings, AaaServerSettings, EidAttribute, RadsecPeer
from rprov.model.kinds import Fqdn, Host, ReadPath, Unfit
from rprov.model.settings import CpSettings
from rprov.wiring.certificates import CpCertificates


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> BehindAaa:
    made = BehindAaa(tmp_path_factory.mktemp("pass-through"), aaa=())
    made.know("127.0.0.1", 1812)
    return made


def settings(net: BehindAaa) -> CpSettings:
    return net.pass_through(net.files.cp(1))


def test_the_section_stands_in_the_file(net: BehindAaa, tmp_path: Path) -> None:
    path = tmp_path / "cp.yaml"
    wanted = settings(net)
    wanted = replace(wanted, aaa=replace(wanted.aaa, realm=Fqdn("example.org"), eid_in=(EidAttribute.CLASS,)))
    path.write_text(format_settings(wanted))
    assert load_cp(path) == wanted
    assert "\ncertificate:" not in path.read_text()


def test_msk_stands_in_the_file_of_a_device(net: BehindAaa, tmp_path: Path) -> None:
    async def scenario() -> Any:
        return trusting(net, await net.device(ordered=False), server_name=Fqdn("aaa.example.org")).settings

    wanted = run(scenario())
    path = tmp_path / "ue.yaml"
    path.write_text(format_settings(wanted))
    assert load_ue(path).network.msk == wanted.network.msk


MISTAKES = {
    "both": (lambda text: text.replace("aaa:", "staple: cp.pem\naaa:", 1), "staple: belongs to the AAA servers"),
    "a server twice": (
        lambda text: text.replace("  servers:\n", "  servers:\n  - host: 127.0.0.1\n    port: 1812\n    secret: S\n"),
        "the same server stands there twice",
    ),
    "no servers": (lambda text: text.split("  servers:")[0] + "  servers: []\n", "at least 1"),
    "no word for it": (lambda text: text.replace("  - user_name", "  - surname"), 'unknown attribute "surname"'),
    "patience": (lambda text: text.replace("  retransmit: 0.1", "  retransmit: 30"), "longer than patience"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_with_its_key(net: BehindAaa, tmp_path: Path, what: str) -> None:
    change, words = MISTAKES[what]
    path = tmp_path / "cp.yaml"
    text = format_settings(settings(net))
    changed = change(text).replace("secret: S", f"secret: {net.secret}")
    assert changed != text
    path.write_text(changed)
    with pytest.raises(ConfigError, match=words):
        load_cp(path, files_must_exist=False)


def test_a_cp_authenticates_or_asks(net: BehindAaa) -> None:
    own = net.files.cp(1)
    for key in ("certificate", "devices"):
        with pytest.raises(Unfit, match="authenticates devices itself"):
            replace(own, **{key: None})
    with pytest.raises(Unfit, match="one of the two must go"):
        replace(own, aaa=settings(net).aaa)
    with pytest.raises(Misuse):
        CpCertificates(settings(net))


def test_a_server_is_over_udp_or_over_tls_and_udp_stays_here(net: BehindAaa) -> None:
    tls = RadsecPeer(certificate=net.pair("cp"), anchors=(net.pki("network-ca.pem"),))
    for over in ({}, {"secret": net.secret, "radsec": tls}):
        with pytest.raises(Unfit, match="either a secret"):
            AaaServerSettings(host=Host("127.0.0.1"), **over)
    for host in ("192.0.2.1", "aaa.example.org"):
        with pytest.raises(Unfit, match="use radsec"):
            AaaServerSettings(host=Host(host), secret=net.secret)
    assert AaaServerSettings(host=Host("192.0.2.1"), secret=net.secret, insecure=True).at == ("192.0.2.1", 1812)
    assert AaaServerSettings(host=Host("192.0.2.1"), radsec=tls).at == ("192.0.2.1", 2083)
    assert AaaClientSettings(servers=(AaaServerSettings(host=Host("localhost"), secret=net.secret),)).eid_hints


def test_another_secret_counts_after_reloading_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    other = "a secret of quite another kind"

    async def scenario() -> None:
        async with BehindAaa(tmp_path) as net:
            (standing,) = net.client._servers.values()
            net.secret.write_text("short")
            with pytest.raises(ConfigError, match="16 to 128 octets"):
                net.cp_node.reload()
            assert standing.peer.secret.octets == SECRET.encode()
            net.secret.write_text(other)
            net.cp_node.reload()
            assert standing.peer.secret.octets == other.encode()

    run(scenario())


def test_another_certificate_counts_for_the_next_connection(tmp_path: Path) -> None:
    place = AaaPlace(tmp_path)
    peer = RadsecPeer(certificate=place.credentials("radsec-client"), anchors=(ReadPath(tmp_path / "radsec-ca.pem"),))

    async def scenario() -> None:
        net = BehindAaa(tmp_path / "net", aaa=())
        net.know("127.0.0.1", 2083, secret=None, radsec=peer)
        async with net:
            (standing,) = net.client._servers.values()
            before = standing.peer.tls
            net.cp_node.reload()
            assert standing.peer.tls is not before

    run(scenario())
