"""The seven steps over real sockets with every choice that EAP-TLS has: groups, versions, keys, a hidden EID."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from doubles.network import PLMN, Network, run

from rprov.causes import Cause
from rprov.config import format_settings, load_cp, load_ue
from rprov.crypto import issue
from rprov.errors import ConfigError
from rprov.model.eap import EapSettings
from rprov.model.kinds import ReadPath
from rprov.model.report import MessageSeen
from rprov.model.settings import CpSettings, CredentialKind
from rprov.model.tls import TlsChoices, TlsGroup, TlsVersion
from rprov.model.trust import (
    CredentialFiles,
)
from rprov.procedure.actions import Conclude

BOTH = (TlsVersion.TLS_1_3, TlsVersion.TLS_1_2)
CHOICES = {
    "post-quantum": TlsChoices(groups=(TlsGroup.POST_QUANTUM,)),
    "P-384": TlsChoices(groups=(TlsGroup.P384,)),
    "TLS 1.2": TlsChoices(tls_versions=(TlsVersion.TLS_1_2,)),
    "both versions": TlsChoices(tls_versions=BOTH),
}


def attach(
    place: Path,
    cp: Callable[[CpSettings], CpSettings] = lambda settings: settings,
    **device: object,
) -> tuple[Conclude, Network]:
    async def scenario() -> tuple[Conclude, Network]:
        async with Network(place, cp=cp) as net:
            made = await net.device()
            return await net.attach(made.but(**device)), net

    ended, net = run(scenario())
    return ended, net


def with_choices(choices: TlsChoices) -> Callable[[CpSettings], CpSettings]:
    return lambda settings: replace(settings, eap_tls=choices)


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_leads_through_all_steps(tmp_path: Path, name: str) -> None:
    ended, net = attach(tmp_path, with_choices(CHOICES[name]), eap_tls=CHOICES[name])
    assert ended.ok, ended
    assert net.seen.steps() == [(step, True) for step in range(1, 8)]


def test_eap_may_ask_for_an_identity_and_go_in_small_packets(tmp_path: Path) -> None:
    small = EapSettings(fragment=100, ask_identity=True)
    ended, net = attach(tmp_path, lambda settings: replace(settings, eap=small))
    assert ended.ok, ended
    asked = [item for item in net.seen.of(MessageSeen) if item.name == "AuthenticationRequest"]
    assert len(asked) > 12, "one for the identity, one for the start, and the flights in pieces"


def test_tls_1_2_is_not_taken_where_one_side_does_not_want_it(tmp_path: Path) -> None:
    ended, _ = attach(tmp_path, eap_tls=CHOICES["TLS 1.2"])
    assert (ended.ok, ended.cause) == (False, Cause.EAP_FAILED)


def test_a_device_that_hides_its_eid_goes_through_all_steps(tmp_path: Path) -> None:
    ended, net = attach(tmp_path, with_choices(CHOICES["both versions"]), hide_eid=True)
    assert ended.ok, ended
    assert net.seen.steps() == [(step, True) for step in range(1, 8)]
    assert "AwaitProvedDevice+DeviceFound" in net.seen.transitions("cp")


def test_a_network_may_want_the_whole_eid(tmp_path: Path) -> None:
    def wants_it(settings: CpSettings) -> CpSettings:
        return replace(settings, devices=replace(settings.devices, eid_hints=False))

    ended, _ = attach(tmp_path, wants_it, hide_eid=True)
    assert (ended.ok, ended.cause) == (False, Cause.REQUEST_REJECTED)


@pytest.mark.parametrize("kind", ["P-384", "brainpoolP256r1", issue.ED25519])
def test_the_networks_own_certificate_may_have_other_keys(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "network"
    place.mkdir()
    ca_key, key = (issue.network_key(secrets.token_bytes, kind) for _ in range(2))
    terms = {"now": datetime.now(UTC) - timedelta(minutes=5), "entropy": secrets.token_bytes}
    ca = issue.make_network_ca(ca_key, **terms)
    cp = issue.make_network(ca, ca_key, key.public_key(), [PLMN.cp_name], **terms)
    pem = serialization.Encoding.PEM
    (place / "ca.pem").write_bytes(ca.public_bytes(pem))
    (place / "cp.pem").write_bytes(cp.public_bytes(pem))
    (place / "cp.key").touch(mode=0o600)
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (place / "cp.key").write_bytes(key.private_bytes(*plain))
    files = CredentialFiles(chain=ReadPath(place / "cp.pem"), key=ReadPath(place / "cp.key"))

    async def scenario() -> None:
        async with Network(tmp_path, cp=lambda settings: replace(settings, certificate=files)) as net:
            device = await net.device()
            trusting = replace(device.settings.network, anchors=(ReadPath(place / "ca.pem"),))
            assert (await net.attach(device)).cause is Cause.NETWORK_ANCHOR_UNKNOWN
            assert (await net.attach(device.but(network=trusting))).ok

    run(scenario())


# --- the files ----------------------------------------------------------------------------------------------------


def test_choices_stand_in_the_files_of_both_sides(tmp_path: Path) -> None:
    net = Network(tmp_path)
    eid = net.files.new_device()
    chosen = TlsChoices(groups=(TlsGroup.POST_QUANTUM, TlsGroup.X25519), tls_versions=BOTH)
    path = tmp_path / "changed.yaml"
    path.write_text(format_settings(replace(net.files.cp(1), eap_tls=chosen)))
    assert "post_quantum" in path.read_text()
    assert load_cp(path).eap_tls == chosen
    device = net.files.ue(eid, 1, CredentialKind.DEVICE)
    path.write_text(format_settings(replace(device, hide_eid=True)))
    assert load_ue(path).hide_eid
    hidden = path.read_text()
    assert hidden.count("'1.3'") == 1
    path.write_text(hidden.replace("- '1.3'", "- '1.3'\n  - '1.2'"))
    with pytest.raises(ConfigError, match=r"hide_eid: needs TLS 1\.3 alone"):
        load_ue(path)
    path.write_text(hidden.replace("'1.3'", "'1.1'"))
    with pytest.raises(ConfigError, match=r'eap_tls\.tls_versions\[0\]: unknown version "1\.1"'):
        load_ue(path)
