"""The RAN daemon: radio links of UEs on one side, one N2 link to the CP on the other.

Owns which UE is on which link. Reconnects to the CP with back-off; without a CP its cell is silent.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from rprov.causes import Cause
from rprov.daemon.figures import user_plane_figures
from rprov.daemon.link_views import view_of
from rprov.daemon.mailbox import Mailbox
from rprov.daemon.n2_admission import accepted
from rprov.daemon.n2_errors import is_unknown_there, say_unknown
from rprov.daemon.silent_links import SilentLinks
from rprov.daemon.strangers import Strangers
from rprov.daemon.userplane import RanUserPlane
from rprov.errors import DecodeError, Misuse, Refused, RprovError
from rprov.model.control import LinkView
from rprov.model.env import Env
from rprov.model.figures import Figure
from rprov.model.identifiers import CpUeId, Plmn, RanUeId, Teid, UeRadioId
from rprov.model.limits import RanLimits
from rprov.model.numbers import Metric, Ppid
from rprov.model.policy import RanPolicy
from rprov.model.report import Recorder
from rprov.procedure import actions as act
from rprov.procedure.engines import RanEnv
from rprov.procedure.events import LinkLost as UeLinkLost
from rprov.procedure.events import N2Lost, RadioBearerOpened
from rprov.procedure.ran_endpoint import RanEndpoint
from rprov.transport.link import LINK_STREAM, Link, LinkLost, Listener, Transport, stream_of
from rprov.wire.codec import LinkCodec, RadioCodec
from rprov.wire.link import (
    N2Frame,
    N2Kind,
    N2SetupRequest,
    decode_n2_frame,
)
from rprov.wire.radio import (
    CellInfo,
    RadioFrame,
    RadioMessage,
    RrcReject,
    RrcSetupRequest,
    decode_radio_frame,
)

_LOG = logging.getLogger("rprov.ran")

FIRST_BACKOFF, LAST_BACKOFF = 0.2, 10.0
SETUP_SECONDS = 10.0
"""How long a CP may take to answer the set-up of N2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RanSetup:
    """What the wiring gives a RAN."""

    policy: RanPolicy
    plmn: Plmn
    transport: Transport
    """Of the radio."""
    n2_transport: Transport
    radio_host: str
    radio_port: int
    cp_host: str
    cp_port: int
    user_plane: RanUserPlane
    radio_codec: RadioCodec
    link_codec: LinkCodec
    recorder: Recorder
    limits: RanLimits


@dataclass(slots=True, eq=False)
class _RadioLink:
    link: Link
    ues: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Ue:
    endpoint: RanEndpoint
    mailbox: Mailbox
    link: _RadioLink


class RanDaemon:
    """A base station. `start` returns when it listens and the CP has answered, or raises."""

    def __init__(self, setup: RanSetup) -> None:
        self._setup = setup
        self._ues: dict[int, _Ue] = {}
        limits = setup.limits
        self._half_open: Strangers[_Ue] = Strangers(limits.half_open_per_link, limits.half_open)
        self._silent = SilentLinks(limits.silent_links_per_address, limits.silent_links, limits.silence)
        """Radio links without a UE."""
        self._links: set[_RadioLink] = set()
        self._n2: Link | None = None
        self._cp_name = ""
        self._offered = False
        self._listener: Listener | None = None
        self._n2_task: asyncio.Task[None] | None = None
        self._announcing: set[asyncio.Task[None]] = set()
        self._ready: asyncio.Future[None] | None = None
        self._next_id = secrets.randbits(31)

    @property
    def port(self) -> int:
        """The port for UEs, also where 0 was asked for."""
        if self._listener is None:
            raise Misuse("the RAN does not listen")
        return self._listener.port

    @property
    def ues(self) -> int:
        """How many UEs have a connection."""
        return len(self._ues)

    @property
    def links(self) -> list[LinkView]:
        """The links that there are now."""
        n2 = [] if self._n2 is None else [view_of("n2", self._cp_name, self._n2)]
        return n2 + [view_of("radio", "", radio.link) for radio in self._links]

    def figures(self) -> Iterator[Figure]:
        """What can be read of it at any time."""
        yield Figure(Metric.LINKS, len(self._links), ("radio",))
        yield Figure(Metric.LINKS, self._n2 is not None, ("n2",))
        yield Figure(Metric.UES, len(self._ues))
        yield Figure(Metric.HALF_OPEN, len(self._half_open))
        yield from user_plane_figures(self._setup.user_plane)

    async def start(self) -> None:
        """Listen for UEs and connect to the CP."""
        setup = self._setup
        self._ready = asyncio.get_running_loop().create_future()
        self._n2_task = asyncio.get_running_loop().create_task(self._keep_n2(), name="N2")
        await self._ready
        self._listener = await setup.transport.listen(
            setup.radio_host, setup.radio_port, self._serve_radio, setup.limits.max_message
        )

    async def close(self) -> None:
        """End every link and forget everybody."""
        tasks = [task for task in (self._n2_task, *self._announcing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._listener is not None:
            await self._listener.close()
        for ue in list(self._ues.values()):
            await ue.mailbox.close()
        self._ues.clear()
        self._setup.user_plane.close()

    def _env(self) -> RanEnv:
        return Env(time.monotonic(), datetime.now(UTC), secrets.token_bytes, self._setup.policy, None)

    # --- N2 -----------------------------------------------------------------------------------------------------------

    async def _keep_n2(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._serve_n2()
            except (LinkLost, DecodeError) as error:
                why: RprovError = error
            except Refused as error:
                if self._ready is not None and not self._ready.done():
                    self._ready.set_exception(error)
                    return
                why = error
            if self._n2 is not None:  # it was up: this is a new loss, not one more failure
                backoff = FIRST_BACKOFF
            self._n2_lost()
            # Jitter, so that a restarted CP does not meet all its RANs at once.
            seconds = backoff * (0.5 + secrets.randbelow(1000) / 1000)
            _LOG.warning("N2: %s; again in %.1f s", why, seconds)
            await asyncio.sleep(seconds)
            backoff = min(backoff * 2, LAST_BACKOFF)

    async def _serve_n2(self) -> NoReturn:
        """Serve one link to its end; raises what ended it."""
        setup = self._setup
        link = await setup.n2_transport.connect(setup.cp_host, setup.cp_port, setup.limits.max_message)
        try:
            request = N2SetupRequest(setup.policy.name, setup.plmn, setup.policy.cell_id)
            frame = N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, setup.link_codec.encode(request))
            await link.send(LINK_STREAM, Ppid.N2, frame.encode())
            admitted = await accepted(link, setup.link_codec, setup.plmn, SETUP_SECONDS)
            self._offered = admitted.provisioning_offered
            self._n2, self._cp_name = link, admitted.cp_name
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            for radio in self._links:
                self._announce_soon(radio)
            while (received := await link.receive()) is not None:
                await self._on_n2(link, received.payload)
            raise LinkLost("the CP closed the link")
        finally:
            link.abort()

    async def _on_n2(self, link: Link, payload: bytes) -> None:
        try:
            frame = decode_n2_frame(payload)
        except DecodeError as error:
            _LOG.warning("N2: %s", error)
            return
        ue, codec = self._ues.get(frame.ran_ue_id), self._setup.link_codec
        if ue is None:
            await say_unknown(link, frame, codec)
        elif is_unknown_there(frame, codec):
            self._event(ue, N2Lost())
        else:
            ue.mailbox.post(lambda: self._stepped(ue, ue.endpoint.receive_n2(frame, self._env())))

    def _n2_lost(self) -> None:
        self._n2, self._offered = None, False
        for ue in list(self._ues.values()):
            self._event(ue, N2Lost())

    # --- radio --------------------------------------------------------------------------------------------------------

    async def _serve_radio(self, link: Link) -> None:
        radio = _RadioLink(link)
        self._links.add(radio)
        self._silent.watch(radio.link)
        try:
            if self._n2 is not None:  # else it is announced when there is a CP
                await self._announce(radio)
            while (frame := await link.receive()) is not None:
                await self._on_radio(radio, frame.payload)
        finally:
            self._silent.release(radio.link)
            self._links.discard(radio)
            for ran_ue_id in list(radio.ues):
                ue = self._ues.get(ran_ue_id)
                if ue is not None:
                    self._event(ue, UeLinkLost())

    async def _announce(self, radio: _RadioLink) -> None:
        policy = self._setup.policy
        await self._send_cell(radio, CellInfo(self._setup.plmn, policy.cell_id, self._offered))

    def _announce_soon(self, radio: _RadioLink) -> None:
        """Announce beside the caller: a UE that does not read, or has just gone, is no reason to stop N2."""

        async def announce() -> None:
            with suppress(LinkLost):  # the reader of that link notices and says so
                await self._announce(radio)

        task = asyncio.get_running_loop().create_task(announce(), name=f"announcement to {radio.link.peer}")
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _send_cell(self, radio: _RadioLink, message: RadioMessage) -> None:
        frame = RadioFrame(UeRadioId(0), self._setup.radio_codec.encode(message))
        await radio.link.send(LINK_STREAM, Ppid.RADIO, frame.encode())

    async def _on_radio(self, radio: _RadioLink, payload: bytes) -> None:
        try:
            frame = decode_radio_frame(payload)
            if frame.ue_radio_id == 0:
                await self._on_cell_message(radio, self._setup.radio_codec.decode(frame.payload))
                return
        except DecodeError as error:
            _LOG.info("radio link of %s: %s", radio.link.peer, error)
            return
        ue = self._ues.get(frame.ue_radio_id)
        # A UE is served on the link on which it came, whatever id another link writes into a frame.
        if ue is not None and ue.link is radio:
            self._post(ue, lambda: self._stepped(ue, ue.endpoint.receive_radio(frame.payload, self._env())))
            await ue.mailbox.drained()

    async def _on_cell_message(self, radio: _RadioLink, message: RadioMessage) -> None:
        if not isinstance(message, RrcSetupRequest):
            return
        if self._n2 is None or self._half_open.is_full(id(radio), None):
            backoff = self._setup.limits.backoff
            await self._send_cell(radio, RrcReject(message.transaction, Cause.CONGESTION, backoff))
            return
        ue = self._new_ue(radio)
        self._post(ue, lambda: ue.endpoint.begin(message, self._env()))

    def _stepped(self, ue: _Ue, actions: list[act.Action]) -> list[act.Action]:
        if not ue.endpoint.half_open:
            self._half_open.remove(ue.endpoint.ran_ue_id)
        return actions

    def _new_ue(self, radio: _RadioLink) -> _Ue:
        while not self._next_id or self._next_id in self._ues:
            self._next_id = secrets.randbits(32)
        number = self._next_id
        self._next_id = (number + 1) & 0xFFFFFFFF
        endpoint = RanEndpoint.create(
            self._setup.radio_codec, self._setup.link_codec, UeRadioId(number), RanUeId(number)
        )

        async def perform(action: act.Action) -> None:
            await self._perform(ue, action)

        mailbox = Mailbox(
            f"ran ue={number:08x}",
            perform,
            lambda fired: endpoint.step(fired, self._env()),
            lambda _detail: self._forget(ue),
        )
        ue = _Ue(endpoint, mailbox, radio)
        self._ues[number] = ue
        self._half_open.add(number, ue, id(radio), None)
        if not radio.ues:
            self._silent.release(radio.link)
        radio.ues.add(number)
        return ue

    def _post(self, ue: _Ue, step: Callable[[], list[act.Action]]) -> None:
        if not ue.mailbox.post(step):
            _LOG.warning("%s: too many messages wait; the UE is dropped", ue.mailbox.name)
            self._forget(ue)

    def _event(self, ue: _Ue, event: N2Lost | UeLinkLost) -> None:
        ue.mailbox.tell(lambda: ue.endpoint.step(event, self._env()))

    def _forget(self, ue: _Ue) -> None:
        number = int(ue.endpoint.ran_ue_id)
        self._ues.pop(number, None)
        self._half_open.remove(number)
        if number in ue.link.ues:
            ue.link.ues.discard(number)
            if not ue.link.ues and ue.link in self._links:
                self._silent.watch(ue.link.link)
        for bearer in getattr(ue.endpoint.machine.state, "bearers", ()):
            self._setup.user_plane.remove(ue.endpoint.ue_radio_id, bearer)
        ue.mailbox.stop()

    async def _perform(self, ue: _Ue, action: act.Action) -> None:
        plane = self._setup.user_plane
        match action:
            case act.Report(item=item):
                self._setup.recorder.record(item)
            case act.Transmit(octets=octets, ue_id=ue_id, to="radio"):
                stream = stream_of(ue_id, ue.link.link.streams) if ue_id else LINK_STREAM
                with suppress(LinkLost):  # the reader of that link notices and says so
                    await ue.link.link.send(stream, Ppid.RADIO, octets)
            case act.Transmit(octets=octets, ue_id=ue_id):
                if self._n2 is not None:
                    with suppress(LinkLost):
                        await self._n2.send(stream_of(ue_id, self._n2.streams), Ppid.N2, octets)
            case act.StartTimer():
                ue.mailbox.start_timer(action)
            case act.StopTimer():
                ue.mailbox.stop_timer(action)
            case act.Asked(ticket=ticket, ask=act.OpenRadioBearer() as ask):
                ue.mailbox.ask(
                    self._open_bearer(ue, ask),
                    lambda answer: ue.endpoint.answer(ticket, answer, self._env()),
                )
            case act.ConnectRadioBearer(bearer=bearer, ue=address):
                plane.connect(ue.endpoint.ue_radio_id, bearer, address)
            case act.CloseRadioBearer(bearer=bearer):
                plane.remove(ue.endpoint.ue_radio_id, bearer)
            case act.Close():
                self._forget(ue)
            case _:
                raise Misuse(f"the RAN does not know {type(action).__name__}")

    async def _open_bearer(self, ue: _Ue, ask: act.OpenRadioBearer) -> RadioBearerOpened:
        plane = self._setup.user_plane
        teid = Teid(0)
        while not teid or plane.knows(teid):
            teid = Teid(secrets.randbits(32))
        try:
            plane.add(ue.endpoint.ue_radio_id, ask.bearer, ask.pdcp, ask.uplink, teid)
        except OSError as error:
            raise RprovError(f"no radio bearer: {error}") from error
        return RadioBearerOpened(plane.n3_end(teid), plane.radio_address)
