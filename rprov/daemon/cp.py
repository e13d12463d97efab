"""The CP daemon: N2 links of RANs, the subscriber store, and the user plane inside it.

Owns which endpoint serves which UE, who is registered, and the bounds that keep strangers from filling it.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rprov.causes import Cause
from rprov.crypto.x509_crl import CertificateId
from rprov.daemon.cp_questions import AaaServers, CpStore, answer
from rprov.daemon.figures import user_plane_figures
from rprov.daemon.link_views import view_of
from rprov.daemon.mailbox import Mailbox
from rprov.daemon.n2_admission import refusal_of
from rprov.daemon.n2_errors import is_unknown_there, say_unknown
from rprov.daemon.sessions import Sessions
from rprov.daemon.silent_links import SilentLinks
from rprov.daemon.strangers import Strangers
from rprov.errors import DecodeError, Misuse
from rprov.model.control import LinkView
from rprov.model.env import Env
from rprov.model.figures import Figure
from rprov.model.identifiers import CpUeId, Eid, RanUeId, Supi
from rprov.model.limits import CpLimits
from rprov.model.numbers import Metric, Ppid
from rprov.model.policy import CpPolicy
from rprov.model.records import ContextRecord
from rprov.model.report import Recorder
from rprov.model.security import Scope
from rprov.procedure import actions as act
from rprov.procedure.cp_endpoint import CpEndpoint
from rprov.procedure.engines import CpEngines, CpEnv
from rprov.procedure.events import (
    DetachOrdered,
    LifetimeChanged,
)
from rprov.procedure.events import LinkLost as N2LinkLost
from rprov.transport.link import LINK_STREAM, Link, LinkLost, Listener, Transport, stream_of
from rprov.wire.codec import LinkCodec, NasCodec
from rprov.wire.link import (
    N2Frame,
    N2Kind,
    N2SetupFailure,
    N2SetupRequest,
    N2SetupResponse,
    decode_n2_frame,
)

_LOG = logging.getLogger("rprov.cp")

SETUP_SECONDS = 10.0
"""How long a RAN may take to say who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpSetup:
    """What the wiring gives a CP. `engines` is asked for each time, so that certificates can be exchanged."""

    policy: CpPolicy
    engines: Callable[[], CpEngines]
    transport: Transport
    host: str
    port: int
    store: CpStore
    sessions: Sessions
    nas_codec: NasCodec
    link_codec: LinkCodec
    recorder: Recorder
    limits: CpLimits
    aaa: AaaServers | None = None
    """Who authenticates devices, where the CP does not."""


@dataclass(slots=True, eq=False)
class _RanLink:
    link: Link
    name: str = ""
    ues: dict[int, "_Ue"] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Ue:
    endpoint: CpEndpoint
    mailbox: Mailbox
    ran: _RanLink
    identity: Eid | Supi | None = None
    path: frozenset[CertificateId] = frozenset()
    """The certificates that have proved it."""


class CpDaemon:
    """The core."""

    def __init__(self, setup: CpSetup) -> None:
        self._setup = setup
        self._ues: dict[int, _Ue] = {}
        self._registered: dict[Eid | Supi, _Ue] = {}
        limits = setup.limits
        self._half_open: Strangers[_Ue] = Strangers(
            limits.half_open_per_link, limits.half_open_per_ran, limits.half_open
        )
        """UEs that are not registered yet, by link, by RAN, and all."""
        self._evicted: Strangers[_Ue] = Strangers(limits.half_open)
        """Those that had to go, until their RANs have cleared up."""
        self._silent = SilentLinks(limits.silent_links_per_address, limits.silent_links)
        """Links on which no RAN has said yet who it is."""
        self._driven_out = 0
        self._links: set[_RanLink] = set()
        self._revoked: frozenset[CertificateId] = frozenset()
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port for RANs, also where 0 was asked for."""
        if self._listener is None:
            raise Misuse("the CP does not listen")
        return self._listener.port

    @property
    def registered(self) -> int:
        """How many devices are registered."""
        return len(self._registered)

    @property
    def ues(self) -> int:
        """How many UEs are known, registered or on their way."""
        return len(self._ues)

    def figures(self) -> Iterator[Figure]:
        """What can be read of it at any time."""
        yield Figure(Metric.LINKS, len(self._links), ("n2",))
        yield Figure(Metric.UES, len(self._ues))
        yield Figure(Metric.HALF_OPEN, len(self._half_open))
        yield Figure(Metric.RATE_LIMITED, self._driven_out, ("half_open",))
        yield Figure(Metric.SESSIONS, len(self._setup.sessions))
        for identity in self._registered:
            yield Figure(Metric.CONTEXTS, 1, ("provisioning" if isinstance(identity, Eid) else "ordinary",))
        yield from user_plane_figures(self._setup.sessions.plane)

    @property
    def links(self) -> list[LinkView]:
        """The links that there are now, those whose RAN has said who it is."""
        return [view_of("n2", ran.name, ran.link) for ran in self._links if ran.name]

    async def start(self) -> None:
        """Listen for RANs. Contexts of an earlier life serve to know GUTIs; those of provisioning attaches are over."""
        setup = self._setup
        for context in await setup.store.contexts():
            ended = context.expires_at is not None and context.expires_at <= datetime.now(UTC)
            if ended or context.scope is Scope.PROVISIONING:
                await setup.store.drop_context(context.guti)
        self._listener = await setup.transport.listen(setup.host, setup.port, self._serve, setup.limits.max_message)

    async def drain(self, seconds: float) -> None:
        """Detach every registered device in order, within `seconds`."""
        for ue in list(self._registered.values()):
            self._event(ue, DetachOrdered(Cause.IMPLICITLY_DETACHED))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._registered:
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End every link and forget everybody."""
        if self._listener is not None:
            await self._listener.close()
        for ue in list(self._ues.values()):
            await ue.mailbox.close()
        self._ues.clear()
        self._registered.clear()
        await self._setup.sessions.close()

    def detach(self, identity: Eid | Supi, cause: Cause) -> bool:
        """Throw a registered device out; says whether there was one."""
        ue = self._registered.get(identity)
        if ue is None:
            return False
        self._event(ue, DetachOrdered(cause))
        return True

    def revoke(self, revoked: frozenset[CertificateId]) -> int:
        """Throw out whoever is registered by one of these certificates, now and later; gives how many are now."""
        self._revoked = revoked
        return sum(map(self._end_if_revoked, list(self._registered.values())))

    def _end_if_revoked(self, ue: _Ue) -> bool:
        if self._revoked.isdisjoint(ue.path):
            return False
        self._event(ue, DetachOrdered(Cause.CERTIFICATE_REVOKED))
        return True

    def extend(self, identity: Eid | Supi, lifetime: int) -> bool:
        """Let a registered device's scope end in `lifetime` seconds; says whether there was one."""
        ue = self._registered.get(identity)
        if ue is None:
            return False
        self._event(ue, LifetimeChanged(lifetime))
        return True

    def _env(self, endpoint: CpEndpoint) -> CpEnv:
        setup, ue = self._setup, int(endpoint.cp_ue_id)
        return Env(time.monotonic(), datetime.now(UTC), secrets.token_bytes, setup.policy, setup.engines(), ue)

    # --- N2 -----------------------------------------------------------------------------------------------------------

    async def _serve(self, link: Link) -> None:
        ran = _RanLink(link)
        self._links.add(ran)
        self._silent.watch(link)
        try:
            if not await self._set_up(ran):
                await link.close()
                return
            self._silent.release(link)
            while (frame := await link.receive()) is not None:
                await self._on_n2(ran, frame.payload)
        finally:
            self._silent.release(link)
            self._links.discard(ran)
            for ue in list(ran.ues.values()):
                self._event(ue, N2LinkLost(Cause.NETWORK_FAILURE))

    async def _set_up(self, ran: _RanLink) -> bool:
        policy, codec = self._setup.policy, self._setup.link_codec
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                first = await ran.link.receive()
            if first is None:
                return False
            message = codec.decode(decode_n2_frame(first.payload).payload)
        except TimeoutError:
            _LOG.warning("N2 of %s: nothing was said in %g s", ran.link.peer, SETUP_SECONDS)
            return False
        except DecodeError as error:
            _LOG.warning("N2 of %s: %s", ran.link.peer, error)
            return False
        if not isinstance(message, N2SetupRequest):
            _LOG.warning("N2 of %s begins with %s", ran.link.peer, type(message).__name__)
            return False
        refusal = refusal_of(message, ran.link, policy.plmn)
        if refusal is not None:
            _LOG.warning("N2 of %s: %s is refused: %s", ran.link.peer, message.ran_name, refusal.text)
        answer = (
            N2SetupResponse(policy.name, policy.plmn, policy.provisioning is not None)
            if refusal is None
            else N2SetupFailure(refusal)
        )
        ran.name = message.ran_name
        frame = N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, codec.encode(answer))
        await ran.link.send(LINK_STREAM, Ppid.N2, frame.encode())
        return refusal is None

    async def _on_n2(self, ran: _RanLink, payload: bytes) -> None:
        try:
            frame = decode_n2_frame(payload)
        except DecodeError as error:
            _LOG.warning("N2 of %s: %s", ran.name, error)
            return
        ue = ran.ues.get(frame.ran_ue_id)
        if frame.kind is N2Kind.INITIAL_NAS and ue is None:
            ue = self._new_ue(ran, frame.ran_ue_id)
        if ue is None:
            await say_unknown(ran.link, frame, self._setup.link_codec)
            return
        if frame.kind is not N2Kind.INITIAL_NAS and frame.cp_ue_id not in (0, ue.endpoint.cp_ue_id):
            return
        if is_unknown_there(frame, self._setup.link_codec):
            self._event(ue, N2LinkLost(Cause.IDENTITY_UNKNOWN))
            return
        known = ue
        if not known.mailbox.post(lambda: known.endpoint.receive(frame, self._env(known.endpoint))):
            _LOG.warning("%s: too many messages wait; one is dropped", known.mailbox.name)

    def _new_ue(self, ran: _RanLink, ran_ue_id: RanUeId) -> _Ue:
        number = 0
        while not number or number in self._ues:
            number = secrets.randbits(32)
        setup = self._setup
        endpoint = CpEndpoint.create(setup.nas_codec, setup.link_codec, ran_ue_id, CpUeId(number))

        async def perform(action: act.Action) -> None:
            await self._perform(ue, action)

        mailbox = Mailbox(
            f"cp ue={number:08x}",
            perform,
            lambda fired: endpoint.step(fired, self._env(endpoint)),
            lambda _detail: self._forget(ue),
        )
        ue = _Ue(endpoint, mailbox, ran)
        self._ues[number] = ran.ues[ran_ue_id] = ue
        oldest = self._half_open.add(number, ue, id(ran), ran.name, None)
        if oldest is not None:
            self._evict(oldest)
        return ue

    def _evict(self, ue: _Ue) -> None:
        """Let a half-open attach go in order; who waits for a RAN that does not clear up is bounded, too."""
        self._driven_out += 1
        waits_longest = self._evicted.add(int(ue.endpoint.cp_ue_id), ue, None)
        if waits_longest is not None:
            self._forget(waits_longest)
        self._event(ue, DetachOrdered(Cause.CONGESTION))

    def _event(self, ue: _Ue, event: DetachOrdered | LifetimeChanged | N2LinkLost) -> None:
        ue.mailbox.tell(lambda: ue.endpoint.step(event, self._env(ue.endpoint)))

    def _forget(self, ue: _Ue) -> None:
        number = int(ue.endpoint.cp_ue_id)
        self._ues.pop(number, None)
        self._half_open.remove(number)
        self._evicted.remove(number)
        if ue.ran.ues.get(ue.endpoint.ran_ue_id) is ue:
            del ue.ran.ues[ue.endpoint.ran_ue_id]
        if ue.identity is not None and self._registered.get(ue.identity) is ue:
            del self._registered[ue.identity]
        teid = ue.endpoint.held_teid
        if teid is not None:
            self._setup.sessions.close_session(teid)
        ue.mailbox.stop()

    # --- actions ------------------------------------------------------------------------------------------------------

    async def _perform(self, ue: _Ue, action: act.Action) -> None:
        setup = self._setup
        match action:
            case act.Report(item=item):
                setup.recorder.record(item)
            case act.Transmit(octets=octets, ue_id=ue_id):
                with suppress(LinkLost):  # the reader of that link notices and says so
                    await ue.ran.link.send(stream_of(ue_id, ue.ran.link.streams), Ppid.N2, octets)
            case act.StartTimer():
                ue.mailbox.start_timer(action)
            case act.StopTimer():
                ue.mailbox.stop_timer(action)
            case act.Asked(ticket=ticket, ask=ask):
                ue.mailbox.ask(
                    answer(ask, setup.store, setup.sessions, setup.aaa),
                    lambda found: ue.endpoint.answer(ticket, found, self._env(ue.endpoint)),
                )
            case act.TellAaa(request=request) if setup.aaa is not None:
                setup.aaa.tell(request)
            case act.ConnectTunnel(uplink=uplink, downlink=downlink):
                setup.sessions.connect(uplink.teid, downlink)
            case act.CloseTunnel(teid=teid):
                setup.sessions.close_session(teid)
            case act.Register(record=record, path=path):
                ue.path = path
                await self._register(ue, record)
            case act.Deregister(guti=guti):
                if ue.identity is not None and self._registered.get(ue.identity) is ue:
                    del self._registered[ue.identity]
                await setup.store.drop_context(guti)
            case act.Close():
                self._forget(ue)
            case _:
                raise Misuse(f"the CP does not know {type(action).__name__}")

    async def _register(self, ue: _Ue, record: ContextRecord) -> None:
        """Take over from an older context of the same device, which dies only now (design rule 1)."""
        older = self._registered.get(record.identity)
        self._registered[record.identity] = ue
        ue.identity = record.identity
        self._half_open.remove(int(ue.endpoint.cp_ue_id))
        if older is not None and older is not ue:
            self._event(older, DetachOrdered(Cause.SUPERSEDED))
        self._end_if_revoked(ue)  # the CRL may have come between the proof of the certificate and now
        await self._setup.store.save_context(record)
