"""SM-DP+, CP, RAN and devices in one loop, over real sockets of the loopback on free ports, each from its settings.

    async with Network(tmp_path) as net:
        device = await net.device()
        async with net.ue(device) as ue:
            ended = await ue.outcome()

`net.seen` takes down what happens and can be waited on, or made to act at the very moment; a `Cable` is a radio link
that can be cut. Nothing here waits for a time: `until` waits for a condition.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import uvloop
from doubles.loop import run as run_in

from rprov.cli.demo_files import LOCAL, PLMN, DemoFiles
from rprov.daemon.cp import CpDaemon
from rprov.daemon.ran import RanDaemon
from rprov.daemon.sessions import Sessions
from rprov.daemon.smdp import SmdpDaemon
from rprov.daemon.ue import UeDaemon
from rprov.daemon.userplane import RanUserPlane, UpUserPlane
from rprov.model.identifiers import Eid
from rprov.model.limits import (
    UeTimers,
)
from rprov.model.places import N2Listen, RadioListen, RadioPeer
from rprov.model.policy import CpPolicy, Timers
from rprov.model.records import Order
from rprov.model.report import ReportItem, StepEnded, Transition
from rprov.model.settings import CpSettings, CredentialKind, Plan, RanSettings, SmdpSettings, UeSettings
from rprov.procedure.actions import Conclude
from rprov.provision.profile import SuciKey
from rprov.store.cp import CpStore, open_cp_store
from rprov.store.ordering import Given, NewOrder, draw_order
from rprov.store.smdp import SmdpStore, open_smdp_store
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.wiring.cp import open_cp
from rprov.wiring.node import Node
from rprov.wiring.ran import open_ran
from rprov.wiring.smdp import open_smdp
from rprov.wiring.ue import open_ue

ResultT = TypeVar("ResultT")
SettingsT = TypeVar("SettingsT")

SECONDS = 10.0
"""The longest that a test waits for anything."""

IMPATIENT = UeTimers(t300=1.0, t3510=3.0, t3511=0.02, t3521=1.0, t3580=1.0, cell=3.0, download=5.0)
"""Timers of a UE that tries again at once and never waits for long."""


def run(coroutine: Any, seconds: float = 20.0) -> Any:
    """Run in the loop that the command runs in; a task or an error that is left behind is a failure."""
    return run_in(coroutine, seconds, uvloop.new_event_loop)


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds; it is looked at in every round of the loop."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"did not come true in {seconds:g} s") from None


class Seen:
    """A recorder that can be waited on."""

    def __init__(self) -> None:
        self.items: list[ReportItem] = []
        self._once: list[tuple[Callable[[Any], bool], Callable[[Any], None]]] = []

    def record(self, item: ReportItem) -> None:
        self.items.append(item)
        due = [entry for entry in self._once if entry[0](item)]
        self._once = [entry for entry in self._once if entry not in due]
        for _, act in due:
            act(item)

    def once(self, matches: Callable[[Any], bool], act: Callable[[Any], None]) -> None:
        """Act within the recording of the next item that matches."""
        self._once.append((matches, act))

    def next(self, matches: Callable[[Any], bool]) -> "asyncio.Future[Any]":
        """Give a future of the next item that matches."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.once(matches, lambda item: None if future.done() else future.set_result(item))
        return future

    def of(self, kind: type[SettingsT]) -> list[SettingsT]:
        """The items of one kind."""
        return [item for item in self.items if isinstance(item, kind)]

    def transitions(self, role: str) -> list[str]:
        """What happened to the machines of a role, as `State+Event`."""
        return [f"{item.state}+{item.event}" for item in self.of(Transition) if item.role == role]

    def steps(self, role: str = "ue") -> list[tuple[int, bool]]:
        """The steps that ended, in order, and whether well."""
        return [(int(item.step), item.ok) for item in self.of(StepEnded) if item.role == role]


def enters(role: str, state: str) -> Callable[[Any], bool]:
    """Matches the transition of a role into a state."""
    return lambda item: isinstance(item, Transition) and item.role == role and item.next_state == state


def ends(step: int, role: str = "ue", ok: bool = True) -> Callable[[Any], bool]:
    """Matches the end of a step."""
    return lambda item: isinstance(item, StepEnded) and item.role == role and item.step == step and item.ok is ok


@dataclass(frozen=True)
class Device:
    """A device, and what was ordered for it."""

    settings: UeSettings
    new: NewOrder

    @property
    def order(self) -> Order:
        return self.new.order

    @property
    def eid(self) -> Eid:
        return self.order.eid

    @property
    def names(self) -> tuple[str, str]:
        """IMSI and ICCID, as the UE shows them once it has them."""
        return str(self.order.imsi), str(self.order.iccid)

    def but(self, **changes: Any) -> "Device":
        """The same with other settings."""
        return replace(self, settings=replace(self.settings, **changes))


@dataclass
class Ue:
    """A device that is switched on."""

    node: Node
    daemon: UeDaemon

    async def outcome(self) -> Conclude:
        async with asyncio.timeout(SECONDS):
            return await self.daemon.outcome()

    async def left(self) -> Conclude:
        async with asyncio.timeout(SECONDS):
            return await self.daemon.left()


class Network:
    """All of it. `smdp`, `cp` and `ran` change the settings of a demo before they are used."""

    def __init__(
        self,
        place: Path,
        *,
        smdp: Callable[[SmdpSettings], SmdpSettings] = lambda settings: settings,
        cp: Callable[[CpSettings], CpSettings] = lambda settings: settings,
        ran: Callable[[RanSettings], RanSettings] = lambda settings: settings,
        timers: Timers | None = None,
        n2_tls: bool = False,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        """`timers` are the CP's, also those that no file can set; without `n2_tls`, tests may speak N2 themselves."""
        self.files = DemoFiles(place)
        self.files.prepare()
        self.seen = Seen()
        self._change_smdp, self._change_cp, self._change_ran = smdp, cp, ran
        self._timers = timers
        self._n2_tls = n2_tls
        self._tracing = tracing
        self.smdp_node: Node | None = None
        self.cp_node: Node | None = None
        self.ran_node: Node | None = None

    # --- nodes --------------------------------------------------------------------------------------------------------

    @property
    def smdp(self) -> SmdpDaemon:
        return cast("SmdpDaemon", self._there(self.smdp_node).daemon)

    @property
    def cp(self) -> CpDaemon:
        return cast("CpDaemon", self._there(self.cp_node).daemon)

    @property
    def ran(self) -> RanDaemon:
        return cast("RanDaemon", self._there(self.ran_node).daemon)

    @property
    def sessions(self) -> Sessions:
        return self.cp._setup.sessions

    @property
    def up(self) -> UpUserPlane:
        return self.sessions.plane

    @property
    def ran_plane(self) -> RanUserPlane:
        return self.ran._setup.user_plane

    @staticmethod
    def _there(node: Node | None) -> Node:
        assert node is not None, "this node is not running"
        return node

    async def __aenter__(self) -> "Network":
        try:
            await self.start_smdp()
            await self.start_cp()
            await self.start_ran()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for node in (self.ran_node, self.cp_node, self.smdp_node):
            if node is not None:
                await node.close()
        self.ran_node = self.cp_node = self.smdp_node = None

    async def start_smdp(self) -> None:
        self.smdp_node = await open_smdp(self._change_smdp(self.files.smdp()), self.seen, self._tracing)
        await self.smdp.start()

    async def start_cp(self, port: int = 0) -> None:
        """Start the CP, at a port that is free or was its own before."""
        smdp_port = self.smdp.port if self.smdp_node is not None else 1
        tls = self.files.n2_server_tls if self._n2_tls else None
        settings = replace(self.files.cp(smdp_port), n2=N2Listen(host=LOCAL, port=port, tls=tls))
        self.cp_node = await open_cp(self._change_cp(settings), self.seen, self._tracing)
        if self._timers is not None:
            setup = self.cp._setup
            self.cp._setup = replace(setup, policy=cast("CpPolicy", replace(setup.policy, timers=self._timers)))
        await self.cp.start()

    async def start_ran(self, port: int = 0) -> None:
        """Start the RAN, at a port that is free or was its own before."""
        settings = replace(self.files.ran(self.cp.port), radio=RadioListen(host=LOCAL, port=port))
        if not self._n2_tls:
            settings = replace(settings, cp=replace(settings.cp, tls=None))
        self.ran_node = await open_ran(self._change_ran(settings), self.seen, self._tracing)
        await self.ran.start()

    async def stop_smdp(self) -> None:
        await self._there(self.smdp_node).close()
        self.smdp_node = None

    async def stop_cp(self) -> int:
        """Stop the CP as a crash would; gives the port it had."""
        port = self.cp.port
        await self._there(self.cp_node).close()
        self.cp_node = None
        return port

    async def stop_ran(self) -> int:
        """Stop the RAN as a crash would; gives the port it had."""
        port = self.ran.port
        await self._there(self.ran_node).close()
        self.ran_node = None
        return port

    @property
    def empty(self) -> bool:
        """Whether nothing of any UE is left in CP, UP and RAN."""
        return not (
            self.cp.ues or self.cp.registered or len(self.sessions) or self.up.sessions or self.ran.ues
        ) and not (self.ran_plane.bearers or self.up.connections)

    # --- devices ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def stores(self) -> AsyncIterator[tuple[SmdpStore, CpStore]]:
        """The stores of SM-DP+ and CP, as another process sees them."""
        store = await open_smdp_store(self.files.store("smdp"), self.files.store("cp"))
        try:
            cp_store = await open_cp_store(self.files.store("cp"))
            try:
                yield store, cp_store
            finally:
                await cp_store.close()
        finally:
            await store.close()

    async def device(
        self,
        *,
        ordered: bool = True,
        credential: CredentialKind = CredentialKind.DEVICE,
        plan: Plan = Plan.PROVISION,
        port: int | None = None,
        given: Given | None = None,
        suci_key: SuciKey | None = None,
    ) -> Device:
        """A new device that does not wait for long, and an order for it if there shall be one."""
        eid = self.files.new_device()
        radio_port = port or (self.ran.port if self.ran_node is not None else 1)
        settings = replace(self.files.ue(eid, radio_port, credential, plan), timers=IMPATIENT)
        new = draw_order(eid, PLMN, secrets.token_bytes, given, suci_key)
        if ordered:
            async with self.stores() as (store, cp_store):
                await store.add_order_and_subscriber(new.order, new.package, new.subscriber)
                await store.deliver(cp_store)
        return Device(settings, new)

    @asynccontextmanager
    async def ue(self, device: Device, plan: Plan | None = None, port: int | None = None) -> AsyncIterator[Ue]:
        """Switch a device on; it is switched off without a word at the end."""
        settings = device.settings
        if port is not None:
            settings = replace(settings, radio=RadioPeer(host=LOCAL, port=port))
        node, intent = await open_ue(settings, self.seen, plan)
        try:
            daemon = cast("UeDaemon", node.daemon)
            await daemon.start(intent)
            yield Ue(node, daemon)
        finally:
            await node.close()

    async def attach(self, device: Device, plan: Plan | None = None) -> Conclude:
        """Switch a device on, wait how it ends, let it leave in order, switch it off."""
        async with self.ue(device, plan) as ue:
            ended = await ue.outcome()
            if ended.ok:
                await ue.daemon.detach(SECONDS)
        return ended


class _Half(asyncio.Protocol):
    def __init__(self, cable: "Cable", answers: bool) -> None:
        self.cable = cable
        self.answers = answers
        self.other: _Half | None = None
        self.transport: asyncio.Transport | None = None
        self.early = b""
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.cable.halves.add(self)
        if self.early:
            self.transport.write(self.early)

    def give(self, data: bytes) -> None:
        if self.transport is None:
            self.early += data
        else:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.cable.frozen and self.answers:
            self.held += data
        elif self.other is not None:
            self.other.give(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.cable.halves.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.abort()


class Cable:
    """A TCP connection through which another one runs, and which can be cut at once."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.halves: set[_Half] = set()
        self.cuts = 0
        self.frozen = False
        """Whether answers stay inside."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Cable":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._plug, LOCAL, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)
        await until(lambda: not self.halves)
        await self._server.wait_closed()

    def thaw(self) -> None:
        """Let everything through that was held, and what comes."""
        self.frozen = False
        for half in list(self.halves):
            held, half.held = half.held, b""
            if held:
                half.data_received(held)

    def freeze_answers(self) -> None:
        """Let nothing back through from now on; what goes forth goes on."""
        self.frozen = True

    def cut(self) -> None:
        """Break every connection that runs through it now."""
        self.cuts += 1
        for half in list(self.halves):
            if half.transport is not None:
                half.transport.abort()

    def _plug(self) -> _Half:
        near, far = _Half(self, answers=False), _Half(self, answers=True)
        near.other, far.other = far, near

        async def plug() -> None:
            try:
                await asyncio.get_running_loop().create_connection(lambda: far, LOCAL, self._to)
            except OSError:
                if near.transport is not None:
                    near.transport.abort()

        task = asyncio.get_running_loop().create_task(plug())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return near
