"""Runs that were right, good and refused, are found right: of every kind, and as any one node has recorded them."""

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from doubles.behind_aaa import trusting
from doubles.network import Network, ends, until
from doubles.traced_runs import (
    CP_ALONE,
    RAN_ALONE,
    UE_ALONE,
    Made,
    Scenario,
    Views,
    record,
    refused_run,
    tries,
    whole_run,
)
from doubles.wrong_certificates import network_certificate, other_pki, pair

from rprov.cli.demo_files import PLMN
from rprov.model.identifiers import Plmn
from rprov.model.kinds import ReadPath
from rprov.model.secret import Secret
from rprov.model.settings import CpSettings, CredentialKind
from rprov.model.tls import TlsChoices, TlsGroup, TlsResumption, TlsVersion
from rprov.store.crl import revoke
from rprov.store.pki import Issuing, load_anchors
from rprov.trace.verify.chains import Anchors
from rprov.trace.verify.check import Checked, check

OLD = TlsChoices(tls_versions=(TlsVersion.TLS_1_2,))
POST_QUANTUM = TlsChoices(groups=(TlsGroup.POST_QUANTUM,))
OTHER_GROUP = TlsChoices(groups=(TlsGroup.P384,))
TWO_GROUPS = TlsChoices(groups=(TlsGroup.X25519, TlsGroup.P384))
TICKETS = TlsChoices(resumption=TlsResumption(enabled=True))


def right(made: Made) -> str:
    """Check a capture that must be right; gives what was proved."""
    found = made.check()
    assert found.ledger.first is None, found.ledger.faults
    return "\n".join(found.ledger.proofs)


def with_tls(choices: TlsChoices) -> Callable[[CpSettings], CpSettings]:
    return lambda settings: replace(settings, eap_tls=choices)


def device(given: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """A run of one device with other settings."""

    async def scenario(net: Network) -> None:
        await tries(net, (await net.device(**(given or {}))).but(**changes))

    return scenario


def test_a_whole_run(tmp_path: Path) -> None:
    proved = right(record(tmp_path, whole_run))
    for words in (
        "K_AMF comes of EMSK of the TLS handshake",
        "K_AMF comes of K_AUSF of the key log",
        "UE and RAN use the K_gNB that UE and CP have derived",
        "all with smdp.example.com or its resolver",
    ):
        assert words in proved


def test_a_refusal_is_no_fault(tmp_path: Path) -> None:
    proved = right(record(tmp_path, refused_run))
    assert "no keys were taken into use" in proved
    assert "AuthenticationReject NO_ORDER" in proved


async def several(net: Network) -> None:
    """Two devices and one that is refused, at once."""
    devices = [await net.device(), await net.device(ordered=False), await net.device()]
    await asyncio.gather(*(tries(net, item) for item in devices))


@pytest.mark.slow
def test_several_devices_at_once(tmp_path: Path) -> None:
    proved = right(record(tmp_path, several))
    assert proved.count(": is ") == 4
    assert proved.count("no keys were taken into use") == 1


@pytest.mark.parametrize(
    "views",
    [
        pytest.param(UE_ALONE, id="ue"),
        pytest.param(RAN_ALONE, id="ran", marks=pytest.mark.slow),
        pytest.param(CP_ALONE, id="cp"),
    ],
)
def test_what_one_node_has_recorded(tmp_path: Path, views: Views) -> None:
    proved = right(record(tmp_path, whole_run, views=views))
    assert proved.count(": is ") == 2
    assert ("K_gNB" in proved) is (views is not CP_ALONE)


def test_a_node_without_keys_is_opened_by_the_key_log_of_another(tmp_path: Path) -> None:
    made = record(tmp_path, whole_run, views=RAN_ALONE | {"ue": ()})
    lines = made.keylog.read_text()
    assert made.check().ledger.first is None
    made.keylog.write_text(re.sub(r"^(RPROV_\w+) [0-9a-f]{16} ", r"\1 0123456789abcdef ", lines, flags=re.MULTILINE))
    assert made.keylog.read_text() != lines
    assert "K_AUSF of the key log" in right(made)


def test_keys_in_the_capture_itself(tmp_path: Path) -> None:
    made = record(tmp_path, whole_run, embed=True)
    assert not made.keylog.exists()
    assert "K_AUSF of the key log" in right(made)


KINDS: dict[str, tuple[Scenario, dict[str, Any]]] = {
    "hidden EID": (device(hide_eid=True), {}),
    "certificate of the eUICC": (device({"credential": CredentialKind.EUICC}), {}),
    "TLS 1.2": (device(eap_tls=OLD), {"cp": with_tls(OLD)}),
    "TLS 1.2, refused": (device({"ordered": False}, eap_tls=OLD), {"cp": with_tls(OLD)}),
    "post-quantum": (device(eap_tls=POST_QUANTUM), {"cp": with_tls(POST_QUANTUM)}),
    "HelloRetryRequest": (device(eap_tls=TWO_GROUPS), {"cp": with_tls(OTHER_GROUP)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run(tmp_path: Path, kind: str) -> None:
    scenario, changes = KINDS[kind]
    right(record(tmp_path, scenario, **changes))


async def behind_aaa(net: Any, **changes: Any) -> None:
    assert (await net.attach(trusting(net, await net.device()).but(**changes))).ok
    await until(lambda: not net.ran.ues and all_gone(net))


def all_gone(net: Network) -> bool:
    """Whether the CP has the last word of every RAN: a capture that ends in between lacks an answer."""
    return all(type(ue.endpoint.nas.machine.state).__name__ == "Gone" for ue in net.cp._ues.values())


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [False, True])
def test_behind_an_aaa_server_the_key_log_of_the_cp_has_what_it_needs(tmp_path: Path, hidden: bool) -> None:
    async def scenario(net: Any) -> None:
        await behind_aaa(net, hide_eid=hidden)

    made = record(tmp_path, scenario, behind_aaa=True)
    proved = right(made)
    assert proved.count("K_AUSF of the key log") == 2
    assert "EID " in proved
    assert any("certificates and TLS" in text for text in made.check().ledger.unchecked)


@pytest.mark.slow
def test_a_device_behind_an_aaa_server_opens_tls_itself(tmp_path: Path) -> None:
    assert "MSK of the TLS handshake" in right(record(tmp_path, behind_aaa, behind_aaa=True, views=UE_ALONE))


def test_a_device_that_hangs_up_at_the_first_word_of_eap(tmp_path: Path) -> None:
    async def scenario(net: Any) -> None:
        assert not (await net.attach(await net.device())).ok  # it gives its MSK to nobody
        await until(lambda: net.empty)
        await behind_aaa(net)

    made = record(tmp_path, scenario, behind_aaa=True, views=CP_ALONE)
    assert "no keys were taken into use; " in right(made)


async def lost_and_back(net: Network) -> None:
    """A device that loses power once it is attached, and comes back."""
    made = (await net.device()).but(eap_tls=TICKETS)
    accepted = net.seen.next(ends(3))
    async with net.ue(made) as there:
        await accepted
        await until(lambda: there.daemon._setup.tickets._kept is not None)
    await tries(net, made)


@pytest.mark.slow
def test_a_resumed_session_of_a_device_that_had_lost_power(tmp_path: Path) -> None:
    proved = right(record(tmp_path, lost_and_back, cp=with_tls(TICKETS)))
    assert "EMSK of a resumed TLS session" in proved


# --- refusals ---------------------------------------------------------------------------------------------------------


def unknown_ci(place: Path) -> dict[str, Any]:
    anchors = (ReadPath(other_pki(place / "other", PLMN) / "ci.pem"),)
    return {"cp": lambda settings: replace(settings, devices=replace(settings.devices, anchors=anchors))}


def other_network(place: Path) -> dict[str, Any]:
    return {"cp": lambda settings: replace(settings, certificate=pair(other_pki(place / "other", PLMN), "cp"))}


def other_plmn(place: Path) -> dict[str, Any]:
    name = Plmn("999", "70").cp_name
    pki = place / "net" / "pki"
    return {"cp": lambda settings: replace(settings, certificate=network_certificate(pki, "cp-of-another", name))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (unknown_ci, "TLS alert unknown_ca of the network; AuthenticationReject UNKNOWN_CI"),
        (other_network, "AuthenticationFailure NETWORK_ANCHOR_UNKNOWN"),
        (other_plmn, "AuthenticationFailure NETWORK_NAME_MISMATCH"),
    ],
)
def test_refusals_in_the_handshake(tmp_path: Path, change: Callable[[Path], dict[str, Any]], words: str) -> None:
    assert words in right(record(tmp_path, device(), **change(tmp_path)))


@pytest.mark.slow
def test_a_revoked_device(tmp_path: Path) -> None:
    pki = tmp_path / "net" / "pki"

    def write_crls(*names: str) -> None:
        revoke(pki, Issuing(datetime.now(UTC), secrets.token_bytes, 1), [pki / f"{name}.pem" for name in names])

    def with_crls(settings: CpSettings) -> CpSettings:
        write_crls()
        crls = tuple(ReadPath(pki / name) for name in ("ci.crl", "eum.crl"))
        return replace(settings, devices=replace(settings.devices, crls=crls, require_crl=True))

    async def scenario(net: Network) -> None:
        made = await net.device()
        write_crls(f"device-{made.eid}")
        assert net.cp_node is not None
        net.cp_node.reload()
        await tries(net, made)

    assert "TLS alert certificate_revoked of the network" in right(record(tmp_path, scenario, cp=with_crls))


@pytest.mark.slow
def test_a_network_without_the_subscribers_key(tmp_path: Path) -> None:
    async def scenario(net: Network) -> None:
        made = await net.device(ordered=False)
        wrong = replace(made.new.subscriber, k=Secret(bytes(16)))
        async with net.stores() as (store, cp_store):
            await store.add_order_and_subscriber(made.order, made.new.package, wrong)
            await store.deliver(cp_store)
        await tries(net, made)

    assert "AuthenticationFailure MAC_FAILURE" in right(record(tmp_path, scenario))


# --- anchors ----------------------------------------------------------------------------------------------------------


def anchored(made: Made, *names: str) -> Checked:
    pki = made.pcap.parent / "net" / "pki"
    return check(made.pcap, made.keys, anchors=Anchors(load_anchors([pki / name for name in names])))


def test_certificates_lead_to_anchors_at_the_time_of_the_capture(tmp_path: Path) -> None:
    made = record(tmp_path, device())
    good = anchored(made, "ci.pem", "network-ca.pem")
    assert good.ledger.first is None
    assert any("lead to anchors" in text for text in good.ledger.proofs)
    assert any("--anchors" in text for text in made.check().ledger.unchecked)
    for name, who in (("ci.pem", "the network's certificate"), ("network-ca.pem", "the device's certificate")):
        found = anchored(made, name).ledger.first
        assert found is not None
        assert who in found.what
        assert found.frame > 1
    claims = good.ues[0].claims
    assert claims.opened is not None
    anchors = Anchors(load_anchors([tmp_path / "net" / "pki" / name for name in ("ci.pem", "network-ca.pem")]))
    later = anchors.faults(claims.opened, PLMN, datetime(2150, 1, 1, tzinfo=UTC).timestamp())
    assert len(later) == 2
    assert all("expired" in text or "valid" in text for text in later)
