"""Revocation with running nodes on loopback: CRLs are read anew, and who is attached by a revoked certificate goes."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from doubles.loop import run

from rprov.causes import Cause
from rprov.cli.demo_files import PLMN, DemoFiles
from rprov.errors import ConfigError
from rprov.model.kinds import ReadPath
from rprov.model.report import ReportItem
from rprov.model.settings import CpSettings, CredentialKind
from rprov.store.cp import open_cp_store
from rprov.store.crl import revoke
from rprov.store.ocsp import write_responses
from rprov.store.ordering import draw_order
from rprov.store.pki import Issuing, load_chain
from rprov.store.smdp import open_smdp_store
from rprov.wiring.certificates import CpCertificates
from rprov.wiring.cp import open_cp
from rprov.wiring.ran import open_ran
from rprov.wiring.ue import open_ue


class Kept:
    """A recorder that keeps everything."""

    def __init__(self) -> None:
        self.items: list[ReportItem] = []

    def record(self, item: ReportItem) -> None:
        self.items.append(item)


class Network:
    """A CP and a RAN that run, a provisioning server that accepts connections and says nothing, and devices."""

    def __init__(self, place: Path) -> None:
        self.files = DemoFiles(place)
        self.files.prepare()
        self.crls = (self.files.pki / "ci.crl", self.files.pki / "eum.crl")
        self.revoke()
        self.responses = ReadPath(place / "responses")
        self.responses.mkdir()
        self.respond("eum")
        self.stack = AsyncExitStack()

    def revoke(self, *names: str) -> None:
        now = datetime.now(UTC)
        revoke(self.files.pki, Issuing(now, secrets.token_bytes, 1), [self.files.pki / f"{n}.pem" for n in names])

    def respond(self, name: str, revoked: bool = False) -> None:
        """Have the issuer of a certificate say what it is, in the directory of responses."""
        file = self.files.pki / f"{name}.pem"
        serials = frozenset({load_chain(file)[0].serial_number}) if revoked else frozenset()
        issuing = Issuing(datetime.now(UTC).replace(microsecond=0), secrets.token_bytes, 1)
        (written,) = write_responses(self.files.pki, issuing, [file], serials)
        written.rename(self.responses / written.name)

    def settings(self, port: int = 1, require: bool = False) -> CpSettings:
        settings = self.files.cp(port)
        trust = replace(settings.devices, crls=self.crls, ocsp=(self.responses,), require_crl=require)
        return replace(settings, devices=trust)

    async def __aenter__(self) -> "Network":
        silent = await asyncio.start_server(self._listen, "127.0.0.1", 0)
        self.stack.callback(silent.close)
        self.cp = await open_cp(self.settings(silent.sockets[0].getsockname()[1]), Kept())
        self.stack.push_async_callback(self.cp.close)
        self.core: Any = self.cp.daemon
        await self.core.start()
        self.ran: Any = await open_ran(self.files.ran(self.core.port), Kept())
        self.stack.push_async_callback(self.ran.close)
        await self.ran.daemon.start()
        return self

    async def _listen(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stack.callback(writer.close)

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def device(self) -> tuple[str, Any]:
        """A device with an order begins to attach; its name in the PKI, and its daemon."""
        eid = self.files.new_device()
        new = draw_order(eid, PLMN, secrets.token_bytes)
        store = await open_smdp_store(self.files.store("smdp"), self.files.store("cp"))
        cp_store = await open_cp_store(self.files.store("cp"))
        await store.add_order_and_subscriber(new.order, new.package, new.subscriber)
        await store.deliver(cp_store)
        await store.close()
        await cp_store.close()
        settings = self.files.ue(eid, self.ran.daemon.port, CredentialKind.DEVICE)
        node, intent = await open_ue(settings, Kept())
        self.stack.push_async_callback(node.close)
        await node.daemon.start(intent)  # type: ignore[attr-defined]
        return f"device-{eid}", node.daemon

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await asyncio.sleep(0.01)


def with_network(place: Path, story: Callable[[Network], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with Network(place) as network:
            await story(network)

    run(tell(), seconds=30)


def test_who_is_attached_by_a_revoked_certificate_is_thrown_out_and_nobody_else(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        name, ue = await network.device()
        _, other = await network.device()
        await network.until(lambda: network.core.registered == 2)
        network.revoke(name)
        network.cp.reload()
        ended = await ue.outcome()
        assert (ended.ok, ended.cause) == (False, Cause.CERTIFICATE_REVOKED)
        await network.until(lambda: network.core.registered == 1)
        network.cp.reload()
        await asyncio.sleep(0.05)
        assert network.core.registered == 1
        assert not other._outcome.done()

    with_network(tmp_path, story)


def test_an_ocsp_response_throws_out_too(tmp_path: Path) -> None:
    """A directory of responses: what lies in it when the CP reads again counts."""

    async def story(network: Network) -> None:
        name, ue = await network.device()
        await network.device()
        await network.until(lambda: network.core.registered == 2)
        network.respond(name, revoked=True)
        network.cp.reload()
        ended = await ue.outcome()
        assert (ended.ok, ended.cause) == (False, Cause.CERTIFICATE_REVOKED)
        await network.until(lambda: network.core.registered == 1)

    with_network(tmp_path, story)


def test_a_revoked_device_does_not_get_in_any_more(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        network.revoke("eum")
        network.cp.reload()
        _, ue = await network.device()
        ended = await ue.outcome()
        assert (ended.ok, ended.cause) == (False, Cause.CERTIFICATE_REVOKED)
        assert network.core.registered == 0

    with_network(tmp_path, story)


def test_a_bad_crl_changes_nothing(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        network.crls[1].write_bytes(b"noise")
        with pytest.raises(ConfigError, match=r"eum\.crl"):
            network.cp.reload()
        _, _ue = await network.device()
        await network.until(lambda: network.core.registered == 1)

    with_network(tmp_path, story)


# --- what reading again keeps ---------------------------------------------------------------------------------------


def test_the_tls_context_lives_as_long_as_the_certificates(tmp_path: Path) -> None:
    network = Network(tmp_path)
    eid = network.files.new_device()
    certificates = CpCertificates(network.settings(require=True))
    engines, before = certificates.engines, certificates.engines.revoked
    assert before.required
    network.revoke(f"device-{eid}")
    certificates.reload()
    assert certificates.engines is engines
    assert len(engines.revoked.certificates) == len(before.certificates) + 1
    for name in ("cp.pem", "cp.key"):
        (network.files.pki / name).unlink()
    other = DemoFiles(tmp_path / "other")
    other.prepare()
    for name in ("cp.pem", "cp.key"):
        (other.pki / name).rename(network.files.pki / name)
    certificates.reload()
    assert certificates.engines is not engines
    assert certificates.engines.revoked == engines.revoked
