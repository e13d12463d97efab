"""Resumption over real sockets: a device that was switched off in the middle comes back with its ticket."""

import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles.network import IMPATIENT, Device, Network, ends, run, until
from doubles.processes import Process, write_settings
from doubles.wrong_certificates import issuing, written

from rprov.causes import Cause
from rprov.cli.demo_files import PLMN, DemoFiles
from rprov.cli.main import run as rprov
from rprov.cli.openssl_conf import VARIABLE
from rprov.config import format_settings, load_cp
from rprov.crypto import issue
from rprov.model.kinds import ReadPath
from rprov.model.report import Proof
from rprov.model.settings import CpSettings, CredentialKind
from rprov.model.tls import TlsChoices, TlsResumption
from rprov.store.crl import revoke
from rprov.store.euicc import open_euicc_store
from rprov.store.pki import Issuing, load_chain, load_key

ON = TlsChoices(resumption=TlsResumption(enabled=True))


def with_resumption(settings: CpSettings) -> CpSettings:
    return replace(settings, eap_tls=ON)


def network(place: Path, change: Callable[[CpSettings], CpSettings] = with_resumption) -> Network:
    return Network(place, cp=change)


async def new_device(net: Network) -> Device:
    return (await net.device()).but(eap_tls=ON)


async def switched_off_once_it_is_let_in(net: Network, device: Device) -> None:
    """Attach for provisioning, and lose power after step 3: nothing is provisioned yet."""
    accepted = net.seen.next(ends(3))
    async with net.ue(device) as ue:
        await accepted
        await until(lambda: ue.daemon._setup.tickets._kept is not None)


def proofs(net: Network) -> list[str]:
    """What was proved by certificates, by both sides in any order."""
    return [
        item.text for item in net.seen.of(Proof) if "device is EID" in item.text or "certificate names" in item.text
    ]


async def ticket(net: Network, device: Device) -> bytes | None:
    store = await open_euicc_store(net.files.store("euicc"))
    try:
        return await store.tickets.load(device.eid)
    finally:
        await store.close()


def test_a_device_comes_back_after_a_restart_and_resumes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with network(tmp_path) as net:
            device = await new_device(net)
            await switched_off_once_it_is_let_in(net, device)
            kept = await ticket(net, device)
            assert kept is not None
            assert len(proofs(net)) == 2
            assert not any("resumed" in text for text in proofs(net))
            net.seen.items.clear()
            assert (await net.attach(device)).ok
            assert net.seen.steps() == [(step, True) for step in range(1, 8)]
            assert [text.endswith(", resumed") for text in proofs(net)] == [True, True]
            # what it was for is done: the device forgets its ticket
            assert await ticket(net, device) is None

    run(scenario())


def test_a_ticket_is_sealed_in_the_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with network(tmp_path) as net:
            device = await new_device(net)
            await switched_off_once_it_is_let_in(net, device)
            kept = await ticket(net, device)
            assert kept is not None
            files = [path.read_bytes() for path in tmp_path.glob("euicc.db*")]
            assert not any(kept[-200:-150] in octets for octets in files)

    run(scenario())


async def a_new_core(net: Network) -> None:
    await net.start_cp(await net.stop_cp())


async def new_certificates(net: Network) -> None:
    pki, terms = net.files.pki, issuing()
    key, ca, ca_key = terms.key(), load_chain(pki / "network-ca.pem")[0], load_key(pki / "network-ca.key")
    written(pki, "cp", key, issue.make_network(ca, ca_key, key, [PLMN.cp_name], **terms.terms))
    assert net.cp_node is not None
    net.cp_node.reload()


@pytest.mark.parametrize("change", [a_new_core, new_certificates])
def test_a_new_core_or_one_with_new_certificates_takes_a_full_handshake(
    tmp_path: Path, change: Callable[[Network], Awaitable[None]]
) -> None:
    async def scenario() -> None:
        async with network(tmp_path) as net:
            device = await new_device(net)
            await switched_off_once_it_is_let_in(net, device)
            await change(net)
            net.seen.items.clear()
            assert (await net.attach(device)).ok
            assert len(proofs(net)) == 2
            assert not any("resumed" in text for text in proofs(net))

    run(scenario())


def write_crls(net: Network, *names: str) -> None:
    pki = net.files.pki
    revoke(pki, Issuing(datetime.now(UTC), secrets.token_bytes, 1), [pki / f"{name}.pem" for name in names])


def test_a_device_that_was_revoked_meanwhile_is_refused_and_others_keep_their_tickets(tmp_path: Path) -> None:
    def with_crls(settings: CpSettings) -> CpSettings:
        crls = tuple(ReadPath(tmp_path / "pki" / name) for name in ("ci.crl", "eum.crl"))
        return with_resumption(replace(settings, devices=replace(settings.devices, crls=crls, require_crl=True)))

    async def scenario() -> None:
        net = network(tmp_path, with_crls)
        write_crls(net)
        async with net:
            bad, good = await new_device(net), await new_device(net)
            for device in (bad, good):
                await switched_off_once_it_is_let_in(net, device)
            write_crls(net, f"device-{bad.eid}")
            assert net.cp_node is not None
            net.cp_node.reload()
            net.seen.items.clear()
            assert (await net.attach(bad)).cause is Cause.CERTIFICATE_REVOKED
            assert await ticket(net, bad) is None
            assert not any("resumed" in text for text in proofs(net))
            assert (await net.attach(good)).ok
            assert [text.endswith(", resumed") for text in proofs(net)] == [True, True]

    run(scenario())


def test_a_device_whose_settings_want_no_tickets_any_more_forgets_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with network(tmp_path) as net:
            device = await new_device(net)
            await switched_off_once_it_is_let_in(net, device)
            assert await ticket(net, device) is not None
            async with net.ue(device.but(eap_tls=TlsChoices())):
                assert await ticket(net, device) is None

    run(scenario())


def test_a_ticket_that_nobody_can_read_costs_a_full_handshake(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with network(tmp_path) as net:
            device = await new_device(net)
            store = await open_euicc_store(net.files.store("euicc"))
            await store.tickets.save(device.eid, b"\x02nonsense")
            await store.close()
            assert (await net.attach(device)).ok

    run(scenario())


def test_resumption_stands_in_the_files(tmp_path: Path) -> None:
    net = Network(tmp_path)
    path = tmp_path / "changed.yaml"
    chosen = TlsChoices(resumption=TlsResumption(enabled=True, lifetime=60))
    path.write_text(format_settings(replace(net.files.cp(1), eap_tls=chosen)))
    assert load_cp(path).eap_tls.resumption == TlsResumption(enabled=True, lifetime=60)


@pytest.mark.slow
def test_a_device_resumes_between_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each daemon as a person starts it: the CP's own file is what makes OpenSSL send tickets."""
    monkeypatch.delenv(VARIABLE, raising=False)
    files = DemoFiles(tmp_path)
    files.prepare()
    files.smdp()
    with ExitStack() as stack:

        def daemon(role: str) -> Process:
            file = str(tmp_path / f"{role}.yaml")
            return stack.enter_context(Process(role, "-c", file, "--log-format", "json", "-v"))

        smdp = daemon("smdp")
        write_settings(tmp_path / "cp.yaml", with_resumption(files.cp(int(smdp.ready()["port"]))))
        cp = daemon("cp")
        files.ran(int(cp.ready()["port"]))
        port = int(daemon("ran").ready()["port"])
        eid = files.new_device()
        settings = replace(files.ue(eid, port, CredentialKind.DEVICE), timers=IMPATIENT, eap_tls=ON)
        file = str(write_settings(tmp_path / "ue.yaml", settings))
        order = ["order", "add", "--smdp", str(tmp_path / "smdp.yaml"), "--cp", str(tmp_path / "cp.yaml")]
        assert rprov([*order, "--eid", str(eid)]) == 0
        smdp.send(signal.SIGSTOP)
        with Process("ue", "-c", file, "-v") as first:
            first.err.wait_for("-> AwaitDownload")  # and there it waits, until it is killed
        smdp.send(signal.SIGCONT)
        with Process("ue", "-c", file, "-v") as second:
            second.out.wait_for("ue ready attached")
            assert second.end() == 0
        assert any("its certificate names it, resumed" in line for line in second.err.so_far)
        assert any(", resumed" in line for line in cp.err.so_far)
