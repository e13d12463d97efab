"""Runs that were recorded: one capture and its keys, of daemons in one loop, as whichever nodes have seen it.

made = record(tmp_path, whole_run)                      as `rprov demo --pcap --keylog` would write it
made = record(tmp_path, whole_run, views=UE_ALONE)      what a device alone can write
made.check().ledger.first
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from doubles.behind_aaa import BehindAaa
from doubles.network import SECONDS, Device, Network, Ue, run, until

from rprov.daemon.ue import UeDaemon
from rprov.model.places import RadioPeer
from rprov.model.policy import Timers
from rprov.model.settings import Plan
from rprov.model.tap import LinkName
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace.keylog import Keys, read_keys
from rprov.trace.tracing import Tracing, tracing
from rprov.trace.verify.check import Checked, check
from rprov.wiring.ue import open_ue

Views = Mapping[str, tuple[LinkName, ...]]

DEMO: Views = {
    "cp": (LinkName.N2, LinkName.EAP, LinkName.N3, LinkName.AAA),
    "ran": (LinkName.RADIO, LinkName.RADIO_USER),
}
"""Each message once, as the demo does."""
UE_ALONE: Views = {"ue": tuple(LinkName)}
RAN_ALONE: Views = {"ran": tuple(LinkName)}
CP_ALONE: Views = {"cp": tuple(LinkName)}


@dataclass(frozen=True)
class Made:
    """A capture and its keys."""

    pcap: Path
    keylog: Path

    @property
    def keys(self) -> Keys:
        return read_keys(self.keylog) if self.keylog.exists() else Keys()

    def check(self, octets: bytes | None = None) -> Checked:
        """Check it, or other octets in its place."""
        if octets is None:
            return check(self.pcap, self.keys)
        other = self.pcap.with_suffix(".changed")
        other.write_bytes(octets)
        return check(other, self.keys)


class _Recorded(Network):
    """Gives each node the tap that the views say."""

    traced: Tracing
    views: Views

    def _tracing_of(self, role: str) -> Tracing:
        return self.traced.only(*self.views.get(role, ()))

    async def start_smdp(self) -> None:
        self._tracing = self._tracing_of("smdp")
        await super().start_smdp()

    async def start_cp(self, port: int = 0) -> None:
        self._tracing = self._tracing_of("cp")
        await super().start_cp(port)

    async def start_ran(self, port: int = 0) -> None:
        self._tracing = self._tracing_of("ran")
        await super().start_ran(port)

    @asynccontextmanager
    async def ue(self, device: Device, plan: Plan | None = None, port: int | None = None) -> AsyncIterator[Ue]:
        if "ue" not in self.views:
            async with super().ue(device, plan, port) as there:
                yield there
            return
        settings = device.settings
        if port is not None:
            settings = replace(settings, radio=replace(cast("RadioPeer", settings.radio), port=port))
        node, intent = await open_ue(settings, self.seen, plan, self._tracing_of("ue"))
        try:
            daemon = cast("UeDaemon", node.daemon)
            await daemon.start(intent)
            yield Ue(node, daemon)
        finally:
            await node.close()


class _RecordedBehindAaa(_Recorded, BehindAaa):
    """The same with AAA servers."""


Scenario = Callable[[Any], Awaitable[None]]


def record(
    place: Path,
    scenario: Scenario,
    *,
    views: Views = DEMO,
    embed: bool = False,
    behind_aaa: bool = False,
    **changes: Any,
) -> Made:
    """Let a scenario happen in a network, and give what was recorded of it."""
    place.mkdir(parents=True, exist_ok=True)
    pcap, keylog = place / "run.pcapng", place / "run.keys"
    secrets = TraceSecrets.EMBED if embed else TraceSecrets.REDACT
    wanted = TraceSettings(pcap=pcap, keylog=None if embed else keylog, secrets=secrets)

    async def happen(traced: Tracing) -> None:
        short = Timers(tombstone=0.05)
        net = (
            _RecordedBehindAaa(place / "net", **changes)
            if behind_aaa
            else _Recorded(place / "net", timers=short, **changes)
        )
        net.traced, net.views = traced, views
        async with net:
            await scenario(net)

    with tracing(wanted) as traced:
        run(happen(traced))
    return Made(pcap, keylog)


async def tries(net: Network, device: Device) -> None:
    """A device that may be refused, and leaves in order if it is not."""
    async with net.ue(device) as there:
        ended = await there.outcome()
        if ended.ok:
            await there.daemon.detach(SECONDS)
    await until(lambda: net.empty)


async def whole_run(net: Network) -> None:
    """One device, through all seven steps."""
    await tries(net, await net.device())


async def refused_run(net: Network) -> None:
    """One device for which nothing is ordered."""
    await tries(net, await net.device(ordered=False))
