"""Runs that are worth keeping as captures: what each device does, in a whole network over real sockets, with its keys.

    record(RUNS["no-order"], "no-order", place, pcap, keylog)

`tools/make_traces.py` writes them into `tests/traces/`; tests make fresh ones, too.
"""

import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from doubles.network import Device, Network, ends, run, until
from doubles.wrong_certificates import issuing, network_certificate

from rprov.causes import Cause
from rprov.cli.demo import CORE_LINKS
from rprov.cli.demo_files import PLMN
from rprov.errors import Refused
from rprov.model.identifiers import Plmn
from rprov.model.kinds import ReadPath
from rprov.model.policy import Timers
from rprov.model.report import MessageSeen, Proof
from rprov.model.secret import Secret
from rprov.model.security import AkaMethod
from rprov.model.session import ProvisioningProtocol
from rprov.model.settings import CpSettings, CredentialKind, Plan
from rprov.model.tap import LinkName
from rprov.model.tls import TlsChoices, TlsResumption, TlsVersion
from rprov.model.tracing import TraceSettings
from rprov.procedure.actions import Conclude
from rprov.provision.sgp22.lpa import Lpa
from rprov.store.crl import revoke
from rprov.store.ordering import Given, draw_order
from rprov.store.pki import Issuing, issue_device
from rprov.trace.tracing import Tracing, tracing
from rprov.wiring.ue import give_initial_profile

SHORT = Timers(tombstone=0.05)
TLS_1_2 = TlsChoices(tls_versions=(TlsVersion.TLS_1_2,))
RESUMES = TlsChoices(resumption=TlsResumption(enabled=True))

CpChange = Callable[[CpSettings], CpSettings]


class Recorded(Network):
    """A network that records each link once, as a demo does."""

    def __init__(self, place: Path, traced: Tracing, cp: CpChange) -> None:
        super().__init__(place, timers=SHORT, cp=cp)
        self._traced = traced
        self._tracing = traced.only()

    async def start_cp(self, port: int = 0) -> None:
        self._tracing = self._traced.only(*CORE_LINKS)
        await super().start_cp(port)

    async def start_ran(self, port: int = 0) -> None:
        self._tracing = self._traced.only(LinkName.RADIO, LinkName.RADIO_USER)
        await super().start_ran(port)

    def released(self) -> bool:
        """Whether the core knows of every UE that it has released that the RAN has released it, too."""
        told = [item.name for item in self.seen.of(MessageSeen) if item.role == "ran"].count("UeContextReleaseCommand")
        done = [move for move in self.seen.transitions("cp") if move.endswith("+UeContextReleaseComplete")]
        return not self.ran.ues and told == len(done)


@dataclass(frozen=True)
class Run:
    """One of them: what the device does, how it must end, and how the core differs from that of a demo."""

    does: Callable[[Recorded], Awaitable[Conclude]]
    cause: Cause | None = None
    """Why it ends, where it fails."""
    cp: Callable[[Path], CpChange] = lambda _place: lambda settings: settings


def record(run_: Run, place: Path, pcap: Path, keylog: Path) -> None:
    """Let it happen and keep the capture; the keys go into a file of their own, which begins empty."""
    keylog.unlink(missing_ok=True)

    async def scenario() -> None:
        with tracing(TraceSettings(pcap=pcap, keylog=keylog)) as traced:
            async with Recorded(place, traced, run_.cp(place)) as net:
                ended = await run_.does(net)
                await until(net.released)
            assert (ended.ok, ended.cause) == (run_.cause is None, run_.cause or ended.cause), ended

    run(scenario(), 60)


# --- what a device does -----------------------------------------------------------------------------------------------


async def tries(net: Recorded, device: Device, plan: Plan | None = None) -> Conclude:
    """Switch a device on; switch it off when it has got there, or was refused."""
    async with net.ue(device.but(max_attempts=1), plan) as ue:
        ended = await ue.outcome()
        if ended.ok:
            await ue.daemon.detach(10)
        await until(net.released)  # whoever vanishes before has lost the link, and that is another story
    return ended


async def loses_power(net: Recorded, device: Device) -> Conclude:
    """Attach for provisioning, and be switched off when that is accepted."""
    accepted = net.seen.next(ends(3))
    async with net.ue(device) as ue:
        await accepted
        await until(lambda: not device.settings.eap_tls.resumption.enabled or ue.daemon._setup.tickets._kept)
    await until(lambda: not net.ran.ues)
    return Conclude(True, Cause.NORMAL)


class NoDownload:
    """Fails at once: the other steps are the whole of the run, and the capture is small."""

    async def download(self, _servers: object, _network: object) -> Any:
        raise Refused(Cause.PROVISIONING_FAILED, "nothing shall be downloaded")


async def gets_a_session(net: Recorded, device: Device) -> Conclude:
    """Attach for provisioning, up to the session, and leave in order."""
    async with net.ue(device.but(max_attempts=1)) as ue:
        ue.daemon._setup = replace(ue.daemon._setup, provisioner=NoDownload())
        ended = await ue.outcome()
        assert ended.cause is Cause.PROVISIONING_FAILED, ended
        assert (4, True) in net.seen.steps()
        await until(net.released)
    return Conclude(True, Cause.NORMAL)


async def provision(net: Recorded) -> Conclude:
    return await tries(net, await net.device())


async def euicc(net: Recorded) -> Conclude:
    return await gets_a_session(net, await net.device(credential=CredentialKind.EUICC))


async def subscriber(net: Recorded, given: Given | None = None) -> Device:
    """A device whose card has a profile, and the core knows its subscriber."""
    device = await net.device(given=given)
    initial = draw_order(device.eid, PLMN, secrets.token_bytes, given)
    async with net.stores() as (_, cp_store):
        await cp_store.add_subscriber(initial.subscriber)
    await give_initial_profile(device.settings, initial.package)
    return device


async def initial_subscription(net: Recorded) -> Conclude:
    return await tries(net, await subscriber(net), Plan.DOWNLOAD)


async def eap_aka_prime(net: Recorded) -> Conclude:
    return await tries(net, await subscriber(net, Given(method=AkaMethod.EAP_AKA_PRIME)), Plan.ATTACH)


async def hide_eid(net: Recorded) -> Conclude:
    return await gets_a_session(net, (await net.device()).but(hide_eid=True))


async def tls_1_2(net: Recorded) -> Conclude:
    return await gets_a_session(net, (await net.device()).but(eap_tls=TLS_1_2))


async def power_lost(net: Recorded) -> Conclude:
    return await loses_power(net, await net.device())


async def resumed(net: Recorded) -> Conclude:
    device = (await net.device()).but(eap_tls=RESUMES)
    await loses_power(net, device)
    ended = await gets_a_session(net, device)
    proofs = [item.text for item in net.seen.of(Proof) if "device is EID" in item.text]
    assert [text.endswith(", resumed") for text in proofs] == [False, True]
    return ended


async def no_order(net: Recorded) -> Conclude:
    return await tries(net, await net.device(ordered=False))


async def revoked(net: Recorded) -> Conclude:
    device, pki = await net.device(), net.files.pki
    made = Issuing(datetime.now(UTC), secrets.token_bytes, 1)
    revoke(pki, made, [pki / f"device-{device.eid}.pem"])
    assert net.cp_node is not None
    net.cp_node.reload()
    return await tries(net, device)


async def expired(net: Recorded) -> Conclude:
    device = await net.device()
    for kind in ("pem", "key"):
        (net.files.pki / f"device-{device.eid}.{kind}").unlink()
    long_ago = Issuing(datetime.now(UTC) - timedelta(days=30), os.urandom, 1)
    issue_device(net.files.pki, long_ago, device.eid, f"device-{device.eid}")
    return await tries(net, device)


async def other_eid(net: Recorded) -> Conclude:
    victim, thief = await net.device(), await net.device()
    return await tries(net, victim.but(credential=thief.settings.credential))


async def mac_failure(net: Recorded) -> Conclude:
    device = await net.device()
    initial = draw_order(device.eid, PLMN, secrets.token_bytes)
    async with net.stores() as (_, cp_store):
        await cp_store.add_subscriber(replace(initial.subscriber, k=Secret(bytes(16))))
    await give_initial_profile(device.settings, initial.package)
    return await tries(net, device, Plan.ATTACH)


async def unknown_subscriber(net: Recorded) -> Conclude:
    device = await net.device()
    await give_initial_profile(device.settings, draw_order(device.eid, PLMN, secrets.token_bytes).package)
    return await tries(net, device, Plan.ATTACH)


async def download_refused(net: Recorded) -> Conclude:
    owner, thief = await net.device(), await net.device()
    async with net.ue(thief.but(max_attempts=1)) as ue:
        asks: Any = ue.daemon._setup.provisioner
        asks._protocols = {ProvisioningProtocol.SGP22: Lpa(matching_id=owner.order.matching_id, enable=False)}
        ended = await ue.outcome()
        assert "DetachRequest" in [item.name for item in net.seen.of(MessageSeen)]
        await until(net.released)
    return ended


# --- how the core differs ---------------------------------------------------------------------------------------------


def with_tls(choices: TlsChoices) -> Callable[[Path], CpChange]:
    return lambda _place: lambda settings: replace(settings, eap_tls=choices)


def with_crls(place: Path) -> CpChange:
    """The core wants current CRLs, which are there from the start."""

    def change(settings: CpSettings) -> CpSettings:
        revoke(place / "pki", Issuing(datetime.now(UTC), secrets.token_bytes, 1), [])
        crls = tuple(ReadPath(place / "pki" / name) for name in ("ci.crl", "eum.crl"))
        return replace(settings, devices=replace(settings.devices, crls=crls, require_crl=True))

    return change


def named_otherwise(place: Path) -> CpChange:
    """The core has the certificate of another network."""
    other = Plmn("999", "70").cp_name
    return lambda settings: replace(
        settings, certificate=network_certificate(place / "pki", "cp-of-another", other, **issuing().terms)
    )


RUNS = {
    "provision": Run(provision),
    "euicc": Run(euicc),
    "initial-subscription": Run(initial_subscription),
    "eap-aka-prime": Run(eap_aka_prime),
    "hide-eid": Run(hide_eid),
    "tls-1.2": Run(tls_1_2, cp=with_tls(TLS_1_2)),
    "power-lost": Run(power_lost),
    "resumed": Run(resumed, cp=with_tls(RESUMES)),
    "no-order": Run(no_order, Cause.NO_ORDER),
    "revoked": Run(revoked, Cause.CERTIFICATE_REVOKED, with_crls),
    "expired": Run(expired, Cause.CERTIFICATE_EXPIRED),
    "network-name": Run(lambda net: provision(net), Cause.NETWORK_NAME_MISMATCH, named_otherwise),
    "other-eid": Run(other_eid, Cause.EID_MISMATCH),
    "mac-failure": Run(mac_failure, Cause.MAC_FAILURE),
    "unknown-subscriber": Run(unknown_subscriber, Cause.IDENTITY_UNKNOWN),
    "download-refused": Run(download_refused, Cause.PROVISIONING_FAILED),
}
"""Every run, by the name of its file: first those that end well."""
