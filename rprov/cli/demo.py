"""`rprov demo`: all four daemons in one process and one loop, and devices that get their first subscription."""

import asyncio
import json
import secrets
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click

from rprov.cli.demo_files import PLMN, DemoFiles
from rprov.cli.order import concealment
from rprov.cli.report_text import print_report, progress
from rprov.cli.running import chosen_log, recording, run
from rprov.cli.trace_ladder import CHART, drawn_run
from rprov.cli.trace_options import chosen_trace, trace_options
from rprov.cli.words import DIRECTORY
from rprov.daemon.cp import CpDaemon
from rprov.daemon.ran import RanDaemon
from rprov.daemon.smdp import SmdpDaemon
from rprov.daemon.ue import UeDaemon, sentence
from rprov.model.identifiers import UeRadioId
from rprov.model.numbers import ExitCode
from rprov.model.records import Order
from rprov.model.report import MessageSeen, Recorder, ReportItem, StepEnded
from rprov.model.sctp import Carrier
from rprov.model.sections import (
    LogLevel,
    LogSettings,
)
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.model.settings import CpSettings, CredentialKind, Plan, UeSettings
from rprov.model.tap import LinkName
from rprov.model.tracing import TraceSettings
from rprov.store.cp import open_cp_store
from rprov.store.ordering import Given, draw_order
from rprov.store.smdp import open_smdp_store
from rprov.trace.recorder import MemoryRecorder
from rprov.trace.report import DeviceResult, Report, build_report
from rprov.trace.tally import PacketTally
from rprov.trace.tracing import Tracing, tracing
from rprov.wiring.cp import open_cp
from rprov.wiring.ran import open_ran
from rprov.wiring.smdp import open_smdp
from rprov.wiring.ue import give_initial_profile, open_ue

CORE_LINKS = (LinkName.N2, LinkName.EAP, LinkName.N3, LinkName.AAA)
"""What the CP records; radio the RAN, so that each message is in the capture once."""

AT_ONCE = 50
"""Devices under way at a time; the others wait, as they would for the radio."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What was asked for."""

    devices: int
    credential: CredentialKind
    initial_subscription: bool
    algorithm: AkaAlgorithm = AkaAlgorithm.MILENAGE
    method: AkaMethod = AkaMethod.FIVE_G_AKA


@dataclass(frozen=True, slots=True)
class Device:
    """A device and what it shall get."""

    settings: UeSettings
    order: Order


class _N3Watcher:
    """Takes the packets of N3 down with each step of the only device; of several it cannot tell whose they are."""

    def __init__(self, kept: MemoryRecorder) -> None:
        self._kept = kept
        self.tally: PacketTally | None = None
        self._ue_radio_id = UeRadioId(0)

    def record(self, item: ReportItem) -> None:
        """Keep an item, and what N3 has carried when a step ends."""
        if isinstance(item, MessageSeen) and item.role == "ue" and item.ue_radio_id:
            self._ue_radio_id = item.ue_radio_id
        if self.tally is not None and isinstance(item, StepEnded) and item.role == "ue":
            for packets in self.tally.take(item.at, "ran", self._ue_radio_id, item.step, ("ran", "up"), ("n3",)):
                self._kept.record(packets)
        self._kept.record(item)


@click.command()
@click.option("--devices", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Devices at once.")
@click.option("--report", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--workdir",
    type=DIRECTORY,
    default=Path("rprov-demo"),
    show_default=True,
    help="Where PKI, configurations and databases are; made on the first run.",
)
@click.option(
    "--credential",
    type=click.Choice([kind.value for kind in CredentialKind]),
    default=CredentialKind.DEVICE.value,
    show_default=True,
    help="Whose certificate proves a device.",
)
@click.option(
    "--initial-subscription",
    is_flag=True,
    help="The variant: devices have a subscription, attach with it, and download another.",
)
@click.option(
    "--algorithm",
    type=click.Choice([item.value for item in AkaAlgorithm]),
    default=AkaAlgorithm.MILENAGE.value,
    show_default=True,
    help="What the USIMs of the profiles compute with.",
)
@click.option(
    "--authentication",
    type=click.Choice([item.value for item in AkaMethod]),
    default=AkaMethod.FIVE_G_AKA.value,
    show_default=True,
    help="How subscribers are authenticated in step 7.",
)
@click.option(
    "--transport",
    type=click.Choice([item.value for item in Carrier]),
    default=Carrier.AUTO.value,
    show_default=True,
    help="What carries the control links, radio and N2.",
)
@trace_options
@click.option("--ladder", type=CHART, help="Draw the run as a message sequence chart: .html, .svg or .txt.")
@click.option("-v", "--verbose", count=True, help="Log every transition.")
def demo(
    devices: int,
    report: str,
    workdir: Path,
    credential: str,
    initial_subscription: bool,
    algorithm: str,
    authentication: str,
    transport: str,
    verbose: int,
    pcap: Path | None,
    keylog: Path | None,
    ladder: Path | None,
) -> int:
    """Take devices from "no subscription" to "attached as an ordinary subscriber", and show how."""
    asked = Demo(
        devices, CredentialKind(credential), initial_subscription, AkaAlgorithm(algorithm), AkaMethod(authentication)
    )
    kept = MemoryRecorder()
    watcher = _N3Watcher(kept)
    quiet = LogSettings(level=LogLevel.ERROR)
    chosen = chosen_trace(TraceSettings(), pcap, keylog)
    with (
        drawn_run(ladder, chosen) as taken,
        recording(chosen_log(quiet, None, verbose), watcher) as recorder,
        tracing(taken) as traced,
    ):
        made = run(_run(asked, DemoFiles(workdir, Carrier(transport)), recorder, traced, kept, watcher))
    if report == "json":
        json.dump(made.as_json(), sys.stdout, indent=2)
        print()
    else:
        print_report(made)
    return ExitCode.DONE if made.ok else ExitCode.FAILED


async def _run(
    asked: Demo,
    files: DemoFiles,
    recorder: Recorder,
    traced: Tracing,
    kept: MemoryRecorder,
    watcher: _N3Watcher,
) -> Report:
    files.prepare()
    async with AsyncExitStack() as stack:
        smdp = await open_smdp(files.smdp(), recorder, traced.only())
        stack.push_async_callback(smdp.close)
        await cast("SmdpDaemon", smdp.daemon).start()
        cp_settings = files.cp(cast("SmdpDaemon", smdp.daemon).port)
        cp = await open_cp(cp_settings, recorder, traced.only(*CORE_LINKS))
        stack.push_async_callback(cp.close)
        await cast("CpDaemon", cp.daemon).start()
        ran_settings = files.ran(cast("CpDaemon", cp.daemon).port)
        ran = await open_ran(ran_settings, recorder, traced.only(LinkName.RADIO, LinkName.RADIO_USER))
        stack.push_async_callback(ran.close)
        await cast("RanDaemon", ran.daemon).start()
        if asked.devices == 1:
            watcher.tally = ran.tally
        radio_port = cast("RanDaemon", ran.daemon).port
        devices = await _prepare(asked, files, cp_settings, radio_port)
        started = time.monotonic()
        gate = asyncio.Semaphore(AT_ONCE)
        with progress(asked.devices) as advance:

            async def one(device: Device) -> DeviceResult:
                async with gate:
                    result = await _device(device, recorder)
                advance()
                return result

            results = await asyncio.gather(*(one(device) for device in devices))
        return build_report(kept.items, results, time.monotonic() - started)


async def _prepare(asked: Demo, files: DemoFiles, cp: CpSettings, radio_port: int) -> list[Device]:
    """Make the devices, and order their profiles."""
    plan = Plan.DOWNLOAD if asked.initial_subscription else Plan.PROVISION
    given, suci_key = Given(algorithm=asked.algorithm, method=asked.method), concealment(cp)
    devices = []
    async with AsyncExitStack() as stack:
        store = await open_smdp_store(files.store("smdp"), files.store("cp"))
        stack.push_async_callback(store.close)
        cp_store = await open_cp_store(files.store("cp"))
        stack.push_async_callback(cp_store.close)
        for _ in range(asked.devices):
            eid = files.new_device()
            settings = files.ue(eid, radio_port, asked.credential, plan)
            new = draw_order(eid, PLMN, secrets.token_bytes, given, suci_key)
            await store.add_order_and_subscriber(new.order, new.package, new.subscriber)
            if asked.initial_subscription:
                initial = draw_order(eid, PLMN, secrets.token_bytes, given, suci_key)
                await cp_store.add_subscriber(initial.subscriber)
                await give_initial_profile(settings, initial.package)
            devices.append(Device(settings, new.order))
        await store.deliver(cp_store)
    return devices


async def _device(device: Device, recorder: Recorder) -> DeviceResult:
    settings, order = device.settings, device.order
    node, intent = await open_ue(settings, recorder)
    daemon = cast("UeDaemon", node.daemon)
    try:
        started = time.monotonic()
        await daemon.start(intent)
        outcome = await daemon.outcome()
        ended = time.monotonic()
        # To be attached is not enough: it must be with what was ordered and downloaded just now.
        as_ordered = daemon.subscriber == (str(order.imsi), str(order.iccid))
        why = sentence(outcome)
        if outcome.ok and not as_ordered:
            why = "it is attached, but not with the profile that was ordered for it"
        supi, iccid = daemon.subscriber
        return DeviceResult(
            eid=str(order.eid),
            ok=outcome.ok and as_ordered,
            supi=supi,
            iccid=iccid,
            ue_radio_ids=tuple(UeRadioId(number) for number in daemon.radio_ids),
            started=started,
            ended=ended,
            purpose=intent.purpose,
            why=why,
            names=(settings.name,),
        )
    finally:
        await node.close()
