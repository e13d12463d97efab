"""The UE daemon: one device with its eUICC, one radio link, and the user plane towards the RAN.

Reconnects to the RAN with back-off as long as it has something to do. `outcome` tells how its plan ended.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from rprov.causes import Cause
from rprov.daemon.card import CardHolder
from rprov.daemon.figures import user_plane_figures
from rprov.daemon.link_views import view_of
from rprov.daemon.mailbox import Mailbox
from rprov.daemon.ticket_keeper import TicketKeeper
from rprov.daemon.ue_network import UeNetwork
from rprov.daemon.userplane import UeUserPlane
from rprov.errors import DecodeError, Misuse, Refused, RprovError
from rprov.model.control import LinkView
from rprov.model.env import Env
from rprov.model.figures import Figure
from rprov.model.identifiers import UeRadioId
from rprov.model.numbers import Metric, Ppid
from rprov.model.policy import UePolicy
from rprov.model.report import Recorder, StepEnded
from rprov.model.session import ProvisioningServer
from rprov.procedure import actions as act
from rprov.procedure.engines import UeEngines, UeEnv
from rprov.procedure.events import (
    Answer,
    AttachWanted,
    DetachWanted,
    DownloadFailed,
    EnableFailed,
    ProfileDownloaded,
    ProfileEnabled,
)
from rprov.procedure.events import LinkLost as RadioLinkLost
from rprov.procedure.purpose import Intent
from rprov.procedure.ue_endpoint import UeEndpoint
from rprov.trace.tally import PacketTally
from rprov.transport.link import LINK_STREAM, Link, LinkLost, Transport, stream_of
from rprov.wire.codec import NasCodec, RadioCodec

_LOG = logging.getLogger("rprov.ue")

FIRST_BACKOFF, LAST_BACKOFF = 0.2, 10.0


def sentence(ended: act.Conclude) -> str:
    """Say to a person how a procedure has failed; empty where it has not."""
    if ended.ok:
        return ""
    return f"{ended.cause.text} ({ended.detail})" if ended.detail else ended.cause.text


class Provisioner(Protocol):
    """Fetches a profile over a session (step 5)."""

    async def download(self, servers: tuple[ProvisioningServer, ...], network: UeNetwork) -> ProfileDownloaded:
        """Download and install; raises `Refused` with what went wrong, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeSetup:
    """What the wiring gives a UE."""

    name: str
    policy: UePolicy
    engines: Callable[[], UeEngines]
    transport: Transport
    host: str
    port: int
    user_plane: UeUserPlane
    card: CardHolder
    tickets: TicketKeeper
    provisioner: Provisioner
    nas_codec: NasCodec
    radio_codec: RadioCodec
    recorder: Recorder
    tally: PacketTally
    max_message: int


class UeDaemon:
    """A device."""

    def __init__(self, setup: UeSetup) -> None:
        self._setup = setup
        self._endpoint = UeEndpoint.create(setup.name, setup.nas_codec, setup.radio_codec)
        self._link: Link | None = None
        self._network: UeNetwork | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._mailbox: Mailbox | None = None
        self._outcome: asyncio.Future[act.Conclude] | None = None
        self._left: asyncio.Future[act.Conclude] | None = None
        self.radio_ids: list[int] = []
        """What the RAN has called this UE, one id for each attach."""

    def figures(self) -> Iterator[Figure]:
        """What can be read of it at any time."""
        yield Figure(Metric.LINKS, self._link is not None, ("radio",))
        yield from user_plane_figures(self._setup.user_plane)

    async def start(self, intent: Intent) -> None:
        """Begin to attach."""
        loop = asyncio.get_running_loop()
        self._outcome, self._left = loop.create_future(), loop.create_future()
        self._mailbox = Mailbox(
            f"ue {self._setup.name}",
            self._perform,
            lambda fired: self._endpoint.step(fired, self._env()),
            self._on_fault,
        )
        self._tasks.add(loop.create_task(self._keep_radio(), name=f"radio of {self._setup.name}"))
        self._post(lambda: self._endpoint.step(AttachWanted(intent), self._env()))

    async def outcome(self) -> act.Conclude:
        """Wait until the procedure has ended, well or not."""
        if self._outcome is None:
            raise Misuse("the UE was not started")
        return await asyncio.shield(self._outcome)

    async def left(self) -> act.Conclude:
        """Wait until the UE is attached no more, for whatever reason, and tries no more."""
        if self._left is None:
            raise Misuse("the UE was not started")
        return await asyncio.shield(self._left)

    @property
    def ue_radio_id(self) -> UeRadioId:
        """What the RAN calls this UE now; 0 without a connection."""
        return self._endpoint.ue_radio_id

    @property
    def subscriber(self) -> tuple[str, str]:
        """SUPI and ICCID of the enabled profile; empty where there is none."""
        return self._setup.card.names

    @property
    def summary(self) -> str:
        """What the ready line says."""
        supi, iccid = self.subscriber
        address = f" address={self._network.address}" if self._network is not None else ""
        return f"supi={supi} iccid={iccid}{address}"

    @property
    def _last_radio_id(self) -> UeRadioId:
        return UeRadioId(self.radio_ids[-1]) if self.radio_ids else UeRadioId(0)

    @property
    def attached(self) -> bool:
        """Whether a session is there now."""
        return self._network is not None

    @property
    def network(self) -> UeNetwork | None:
        """The session's IP network, while there is one."""
        return self._network

    @property
    def links(self) -> list[LinkView]:
        """The link that there is now, if there is one."""
        return [] if self._link is None else [view_of("radio", "", self._link)]

    async def detach(self, seconds: float) -> None:
        """Leave in order, within `seconds`."""
        self._post(lambda: self._endpoint.step(DetachWanted(), self._env()))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.left()

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._mailbox is not None:
            await self._mailbox.close()
        self._network = None
        self._setup.user_plane.close()
        await self._setup.tickets.save()
        try:
            await self._setup.card.save()
        except RprovError as error:
            _LOG.error("%s: the card's last state is not kept: %s", self._setup.name, error)

    def _env(self) -> UeEnv:
        setup, ue = self._setup, int(self._endpoint.ue_radio_id)
        return Env(time.monotonic(), datetime.now(UTC), secrets.token_bytes, setup.policy, setup.engines(), ue)

    def _post(self, step: Callable[[], list[act.Action]]) -> None:
        if self._mailbox is not None and not self._mailbox.post(step):
            _LOG.warning("%s: too many messages wait; one is dropped", self._setup.name)

    def _on_fault(self, detail: str) -> None:
        self._conclude(act.Conclude(False, Cause.DEVICE_FAILURE, detail))

    def _conclude(self, outcome: act.Conclude) -> None:
        for waiting in (self._outcome, None if outcome.ok else self._left):
            if waiting is not None and not waiting.done():
                waiting.set_result(outcome)

    # --- radio --------------------------------------------------------------------------------------------------------

    async def _keep_radio(self) -> None:
        setup, backoff = self._setup, FIRST_BACKOFF
        while True:
            why: object = "the RAN closed the link"
            try:
                self._link = await setup.transport.connect(setup.host, setup.port, setup.max_message)
                backoff = FIRST_BACKOFF
                await self._read(self._link)
            except LinkLost as error:
                why = error
            finally:
                if self._link is not None:
                    self._link.abort()
                    # Who has heard nothing yet has lost nothing: the search for a cell goes on.
                    self._post(lambda: self._endpoint.step(RadioLinkLost(), self._env()))
                self._link = None
            seconds = backoff * (0.5 + secrets.randbelow(1000) / 1000)
            _LOG.warning("%s: %s; again in %.1f s", setup.name, why, seconds)
            await asyncio.sleep(seconds)
            backoff = min(backoff * 2, LAST_BACKOFF)

    async def _read(self, link: Link) -> None:
        while (frame := await link.receive()) is not None:
            payload = frame.payload
            self._post(partial(self._receive, payload))
            if self._mailbox is not None:
                await self._mailbox.drained()

    def _receive(self, payload: bytes) -> list[act.Action]:
        try:
            return self._endpoint.receive(payload, self._env())
        except DecodeError as error:
            _LOG.info("%s: %s", self._setup.name, error)
            return []

    # --- actions ------------------------------------------------------------------------------------------------------

    async def _perform(self, action: act.Action) -> None:
        setup, mailbox = self._setup, self._mailbox
        if mailbox is None:
            return
        match action:
            case act.Report(item=item):
                if isinstance(item, StepEnded):
                    self._take_packets(item.step)
                setup.recorder.record(item)
            case act.Transmit(octets=octets, ue_id=ue_id):
                await self._transmit(octets, ue_id)
            case act.StartTimer():
                mailbox.start_timer(action)
            case act.StopTimer():
                mailbox.stop_timer(action)
            case act.Asked(ticket=ticket, ask=ask):
                mailbox.ask(self._answer(ask), lambda answer: self._endpoint.answer(ticket, answer, self._env()))
            case act.OpenUeBearer(bearer=bearer, ran=ran, pdcp=pdcp):
                setup.user_plane.open_bearer(self._endpoint.ue_radio_id, bearer, ran, pdcp)
            case act.StartNetwork(bearer=bearer, address=address, dns=dns, mtu=mtu):
                self._network = setup.user_plane.start_network(bearer, address, dns, mtu)
            case act.CloseRadioBearer(bearer=bearer):
                self._network = None
                setup.user_plane.close_bearer(bearer)
            case act.Conclude():
                self._conclude(action)
            case _:
                raise Misuse(f"the UE does not know {type(action).__name__}")

    def _take_packets(self, step: int) -> None:
        """Take down the user packets of the step that ends."""
        now = time.monotonic()
        for item in self._setup.tally.take(now, "ue", self._last_radio_id, step, ("ue", "up")):
            self._setup.recorder.record(item)

    async def _transmit(self, octets: bytes, ue_id: int) -> None:
        # A sequence number that the USIM has accepted is kept before the answer leaves (TS 33.102 C.2.2).
        await self._setup.card.save()
        if ue_id and ue_id not in self.radio_ids:
            self.radio_ids.append(ue_id)
        link = self._link
        if link is not None:
            stream = stream_of(ue_id, link.streams) if ue_id else LINK_STREAM
            with suppress(LinkLost):  # the reader of that link notices and says so
                await link.send(stream, Ppid.RADIO, octets)
        await self._setup.tickets.save()

    async def _answer(self, ask: act.Ask) -> Answer:
        match ask:
            case act.Download(servers=servers):
                return await self._download(servers)
            case act.EnableProfile(iccid=iccid):
                try:
                    enabled = ProfileEnabled(await self._setup.card.enable(iccid))
                    self._setup.tickets.forget()  # the device is an ordinary subscriber now
                    return enabled
                except RprovError as error:
                    return EnableFailed(str(error))
            case _:
                raise Misuse(f"the UE cannot answer {type(ask).__name__}")

    async def _download(self, servers: tuple[ProvisioningServer, ...]) -> Answer:
        if self._network is None:
            return DownloadFailed(Cause.PROVISIONING_FAILED, "there is no session")
        try:
            return await self._setup.provisioner.download(servers, self._network)
        except Refused as error:
            return DownloadFailed(error.cause, error.detail)
        except RprovError as error:
            return DownloadFailed(Cause.PROVISIONING_FAILED, str(error))
