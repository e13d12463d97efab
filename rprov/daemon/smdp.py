"""The SM-DP+ daemon: ES9+ over HTTPS around the pure core of `provision/sgp22/smdp.py`.

Owns HTTP and the store's queries; decides nothing.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from aiohttp import web
from cryptography import x509

from rprov.crypto.x509_path import describe
from rprov.daemon.tapped_https import TappedTls
from rprov.errors import DecodeError, EnvironmentLacks, Misuse, RprovError
from rprov.model.identifiers import Eid, Iccid
from rprov.model.report import Act, Recorder, Verdict
from rprov.model.tap import Tap
from rprov.provision.sgp22.es9 import Body, Function, decode_body, encode_body, refusal_of
from rprov.provision.sgp22.orders import (
    Query,
    QueryAnswer,
    RecordCancelled,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    RecordWrongCode,
    ReserveDownload,
)
from rprov.provision.sgp22.smdp import Smdp

_LOG = logging.getLogger("rprov.smdp")

ROLE = "smdp"
ADMIN_PROTOCOL = "gsma/rsp/v2.2.2"
_CHANGES = frozenset({Function.HANDLE_NOTIFICATION, Function.CANCEL_SESSION})


class SmdpStore(Protocol):
    """What the SM-DP+ asks of its store."""

    async def answer(self, query: Query) -> QueryAnswer:
        """Answer a question of the core, or take down what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmdpSetup:
    """What the wiring gives an SM-DP+."""

    core: Smdp
    store: SmdpStore
    deliver: Callable[[], Awaitable[None]]
    """Brings the CP what it must be told, after a request that may have changed it."""
    recorder: Recorder
    tls: ssl.SSLContext
    host: str
    port: int
    max_body: int
    tap: Tap | None = None
    """Sees what crosses ES9+, below TLS."""


class SmdpDaemon:
    """A provisioning server."""

    def __init__(self, setup: SmdpSetup) -> None:
        self._setup = setup
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._tapped: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        if not self._port:
            raise Misuse("the SM-DP+ does not listen")
        return self._port

    async def start(self) -> None:
        """Listen; raises `EnvironmentLacks` where the address cannot be had."""
        setup = self._setup
        app = web.Application(client_max_size=setup.max_body)
        for function in Function:
            app.router.add_post(function.path, self._handler(function))
        self._runner = web.AppRunner(app, access_log=None, logger=_LOG, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            self._port = await self._listen(self._runner)
        except OSError as error:
            await self._runner.cleanup()
            raise EnvironmentLacks(f"cannot listen at {setup.host}:{setup.port}: {error.strerror}") from error

    async def _listen(self, runner: web.AppRunner) -> int:
        setup = self._setup
        tap, above = setup.tap, runner.server
        if tap is None or above is None:
            await web.TCPSite(runner, setup.host, setup.port, ssl_context=setup.tls).start()
            return int(runner.addresses[0][1])
        loop = asyncio.get_running_loop()
        self._tapped = await loop.create_server(lambda: TappedTls(setup.tls, above, tap), setup.host, setup.port)
        return int(self._tapped.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Finish what is under way, then listen no more."""
        if self._tapped is not None:
            self._tapped.close()
        if self._runner is not None:
            with suppress(asyncio.CancelledError):
                await self._runner.cleanup()
        self._port = 0

    def _handler(self, function: Function) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
        async def handle(request: web.Request) -> web.Response:
            try:
                body = decode_body(await request.read())
            except DecodeError as error:
                _LOG.info("%s from %s: %s", function.value, request.remote, error)
                return web.Response(status=400, text="the body is no JSON object of ES9+\n")
            try:
                answer = await self._answer(function, body)
            except RprovError as error:
                # The store, say: nobody's business out there.
                _LOG.error("%s from %s: %s", function.value, request.remote, error)
                return web.Response(status=500, text="not now\n")
            headers = {"X-Admin-Protocol": ADMIN_PROTOCOL}
            if answer is None:
                return web.Response(status=204, headers=headers)
            return web.Response(body=encode_body(answer), content_type="application/json", headers=headers)

        return handle  # type: ignore[return-value]

    async def _answer(self, function: Function, body: Body) -> Body | None:
        steps = self._setup.core.answer(function, body, time.monotonic(), datetime.now(UTC))
        try:
            query = next(steps)
            while True:
                answered = await self._setup.store.answer(query)
                self._take_down(query, answered)
                query = steps.send(answered)
        except StopIteration as end:
            answer: Body | None = end.value
            said = None if answer is None else refusal_of(answer)
            if said is not None:
                detail = f"{function.value}: {said.subject} {said.reason}: {said.text}"
                self._record(Verdict(time.monotonic(), ROLE, "", Act.REFUSED, detail=detail))
            return answer
        finally:
            steps.close()
            if function in _CHANGES:
                await self._deliver()

    def _take_down(self, query: Query, answer: QueryAnswer) -> None:
        """Record what was decided about a profile; the store has it already."""
        match query:
            case ReserveDownload(reservation=taken) if answer is True:
                card = describe(x509.load_der_x509_certificate(taken.euicc_certificate))
                self._verdict(Act.DELIVERED, taken.eid, taken.iccid, certificate=card)
            case RecordInstalled(eid=eid, iccid=iccid):
                self._verdict(Act.INSTALLED, eid, iccid)
            case RecordFailed(eid=eid, iccid=iccid, detail=detail):
                self._verdict(Act.NOT_INSTALLED, eid, iccid, detail)
            case RecordCancelled(eid=eid, iccid=iccid, reason=reason):
                self._verdict(Act.CANCELLED, eid, iccid, f"reason {reason}")
            case RecordWrongCode(eid=eid, iccid=iccid):
                self._verdict(Act.CODE_REFUSED, eid, iccid)
            case RecordEvent(eid=eid, iccid=iccid, event=event):
                self._verdict(Act.REPORTED, eid, iccid, event.name.lower())

    def _verdict(self, act: Act, eid: Eid, iccid: Iccid, detail: str = "", certificate: str = "") -> None:
        who, what = str(eid), str(iccid)
        self._record(Verdict(time.monotonic(), ROLE, "", act, "", who, True, certificate, "", detail, what))

    def _record(self, item: Verdict) -> None:
        self._setup.recorder.record(item)

    async def _deliver(self) -> None:
        try:
            await self._setup.deliver()
        except RprovError as error:
            # It stays in the outbox and goes with the next one.
            _LOG.warning("the CP was not told: %s", error)
