"""Step 5 in a device: a dialogue of remote provisioning between its card and a server, over HTTPS in the PDU session.

Owns the TLS towards the server: its name, its chain to a CI, and its role DPtls, checked before anything is posted.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rprov.causes import Cause
from rprov.crypto.x509 import Role, check_chain, parse_certificate
from rprov.daemon.card import CardHolder
from rprov.daemon.session_http import SessionBackend
from rprov.daemon.ue_network import UeNetwork
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import UeRadioId
from rprov.model.report import MessageSeen, Recorder
from rprov.model.session import ProvisioningProtocol, ProvisioningServer
from rprov.procedure.events import ProfileDownloaded
from rprov.procedure.purpose import Step
from rprov.provision.protocol import Answer, Post, Provisioner, Request
from rprov.provision.sgp22.es9 import MAX_BODY, decode_body, encode_body

ResultT = TypeVar("ResultT")

HEADERS: dict[bytes | str, bytes | str] = {
    "Content-Type": "application/json",
    "User-Agent": "gsma-rsp-lpad",
    "X-Admin-Protocol": "gsma/rsp/v2.2.2",
}
REQUEST_SECONDS = 30.0
_TIMEOUTS = {"connect": 10.0, "read": REQUEST_SECONDS, "write": REQUEST_SECONDS, "pool": 10.0}


def tls_context(anchors: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """TLS 1.2 or better with the CIs as the only anchors; 1.3 is preferred (SGP.22 2.6.6)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata="".join(anchor.public_bytes(Encoding.PEM).decode() for anchor in anchors))
    return context


class SessionDownload:
    """Downloads profiles for one device."""

    def __init__(
        self,
        protocols: dict[ProvisioningProtocol, Provisioner],
        card: CardHolder,
        anchors: Sequence[x509.Certificate],
        recorder: Recorder,
        radio_id: Callable[[], UeRadioId],
        key_log: Path | None = None,
    ) -> None:
        """Take `key_log` where the secrets of TLS are to be added to a file."""
        self._protocols = protocols
        self._card = card
        self._anchors = tuple(anchors)
        self._recorder = recorder
        self._radio_id = radio_id
        self._context = tls_context(anchors)
        if key_log is not None:
            self._context.keylog_filename = str(key_log)
        self._turn = asyncio.Lock()

    async def download(self, servers: tuple[ProvisioningServer, ...], network: UeNetwork) -> ProfileDownloaded:
        """Download from the first server whose protocol we speak; raises `Refused` with what went wrong, in words."""
        for server in servers:
            provisioner = self._protocols.get(server.protocol)
            if provisioner is not None:
                async with self._turn:  # one dialogue at a time with the card, also while a broken one is still ending
                    return await self._from(server, provisioner, network)
        raise Refused(Cause.PROVISIONING_FAILED, "the network names no server whose protocol this device speaks")

    async def _from(
        self, server: ProvisioningServer, provisioner: Provisioner, network: UeNetwork
    ) -> ProfileDownloaded:
        waiting = self._card.never_used
        backend = SessionBackend(network, on_tls=self._check_server)
        pool = httpcore.AsyncConnectionPool(ssl_context=self._context, network_backend=backend, max_connections=1)
        try:
            async with pool:
                if waiting is not None:
                    # An earlier download broke off between the installation and its end: the card has the profile.
                    return ProfileDownloaded(waiting, await self._notified(server, provisioner, pool))
                done = await self._converse(provisioner.begin(server, self._card.eid), server, pool)
                return ProfileDownloaded(done.iccid, done.notified)
        finally:
            await self._card.save()

    async def _notified(
        self, server: ProvisioningServer, provisioner: Provisioner, pool: httpcore.AsyncConnectionPool
    ) -> bool:
        try:
            return await self._converse(provisioner.notify(server), server, pool)
        except Refused:
            return False

    async def _converse(
        self,
        dialogue: Generator[Request, Answer, ResultT],
        server: ProvisioningServer,
        pool: httpcore.AsyncConnectionPool,
    ) -> ResultT:
        try:
            request = next(dialogue)
            while True:
                try:
                    answer = await self._perform(request, server, pool)
                except Refused as refusal:
                    request = dialogue.throw(refusal)
                else:
                    request = dialogue.send(answer)
        except StopIteration as end:
            done: ResultT = end.value
            return done
        finally:
            dialogue.close()

    async def _perform(
        self, request: Request, server: ProvisioningServer, pool: httpcore.AsyncConnectionPool
    ) -> Answer:
        if isinstance(request, Post):
            return await self._post(server, request.path, encode_body(request.body), pool)
        answer = await asyncio.to_thread(self._card.execute, request.octets)
        # What the card has changed is kept before anybody hears of it.
        await self._card.save()
        return answer

    async def _post(
        self, server: ProvisioningServer, path: str, content: bytes, pool: httpcore.AsyncConnectionPool
    ) -> Answer:
        name = path.rpartition("/")[2]
        begun = time.monotonic()
        try:
            response = await pool.request(
                "POST",
                f"https://{server.fqdn}:{server.port}{path}",
                headers=HEADERS,
                content=content,
                extensions={"timeout": _TIMEOUTS},
            )
        except httpcore.ProtocolError as error:
            self._seen("ue", "smdp", name, len(content), begun)
            raise Refused(Cause.PROVISIONING_FAILED, f"{server.fqdn} does not speak HTTP: {error}") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            if not isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
                self._seen("ue", "smdp", name, len(content), begun)  # else nothing was posted
            raise Refused(Cause.PROVISIONING_FAILED, f"{server.fqdn} port {server.port}: {error}") from error
        self._seen("ue", "smdp", name, len(content), begun)
        self._seen("smdp", "ue", f"{name} response", len(response.content), time.monotonic())
        if response.status == 204:
            return None
        if response.status != 200 or len(response.content) > MAX_BODY:
            raise Refused(Cause.PROVISIONING_FAILED, f"{server.fqdn} answered {name} with HTTP {response.status}")
        try:
            return decode_body(response.content)
        except DecodeError as error:
            raise Refused(Cause.PROVISIONING_FAILED, f"the answer of {server.fqdn} to {name}: {error}") from error

    def _check_server(self, certificate: bytes) -> None:
        """Refuse a server that is no DPtls under a CI; raises `Refused` before a request is written."""
        try:
            leaf = parse_certificate(certificate)
            check_chain(leaf, (), self._anchors, Role.DP_TLS, datetime.now(UTC))
        except (Refused, DecodeError) as error:
            raise Refused(Cause.PROVISIONING_FAILED, f"the server's TLS certificate: {error}") from error

    def _seen(self, sender: str, receiver: str, name: str, octets: int, at: float) -> None:
        self._recorder.record(
            MessageSeen(at, "ue", self._radio_id(), Step.PROVISION, sender, receiver, "es9", name, octets, True)
        )
