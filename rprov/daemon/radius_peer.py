"""AAA servers as a client knows them, whatever carries RADIUS: one question, one answer that is proved, or none.

Owns identifiers, and what is believed: what is no proved answer to a question that is out is counted and dropped, and
the question stays out. A forged, late or broken packet ends nothing (CVE-2024-3596, CVE-2025-24912). Has no socket, and
decides nothing about which server to ask.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rprov.auth.radius_exchange import AccessAnswer, AccessRequest, Sealed
from rprov.errors import PeerError
from rprov.model.tap import LinkName, Tap
from rprov.wire.radius import AUTHENTICATOR

_IDENTIFIERS = 256

STATUS_SECONDS = 3.0
"""How long a server has for a Status-Server."""

Make = Callable[[int, bytes], Sealed]
"""(identifier, authenticator) -> a request sealed for this server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: until a request over UDP is repeated the first time, and until its server counts as silent."""

    retransmit: float
    whole: float


class RadiusPeer(Protocol):
    """One AAA server."""

    name: str
    heard: float
    """When it last proved that it is there, in the loop's time."""
    dropped: Counter[str]
    """What came and answered nothing, by reason."""
    trouble: str
    """What went wrong last, for the log; empty where it is just silent."""

    async def ask(self, request: AccessRequest) -> AccessAnswer | None:
        """Give its answer, or nothing where it stays silent. Never raises for what it, or the network, does."""

    async def is_there(self) -> bool:
        """Ask for a sign of life (Status-Server, RFC 5997)."""

    async def refresh(self) -> None:
        """Give back the sockets on which nothing is out; the next question looks the server's name up again."""

    async def close(self) -> None:
        """Give all sockets back."""


class Waiting:
    """Questions that are out on one socket, by identifier."""

    def __init__(self, peer: "AnyPeer") -> None:
        self._peer = peer
        self._out: dict[int, tuple[Sealed, asyncio.Future[AccessAnswer | None]]] = {}

    def __len__(self) -> int:
        """How many questions are out."""
        return len(self._out)

    @property
    def full(self) -> bool:
        """Whether no identifier is free."""
        return len(self._out) >= _IDENTIFIERS

    def put(self, make: Make) -> tuple[Sealed, "asyncio.Future[AccessAnswer | None]"]:
        """Seal a question under an identifier that nobody can foretell."""
        free = [number for number in range(_IDENTIFIERS) if number not in self._out]
        sealed = make(secrets.choice(free), secrets.token_bytes(AUTHENTICATOR))
        future: asyncio.Future[AccessAnswer | None] = asyncio.get_running_loop().create_future()
        self._out[sealed.packet.identifier] = sealed, future
        return sealed, future

    def take_back(self, sealed: Sealed) -> None:
        """Wait no more."""
        self._out.pop(sealed.packet.identifier, None)

    def give_up(self) -> None:
        """Let everybody know that nothing will come on this socket any more."""
        for _, future in self._out.values():
            if not future.done():
                future.set_result(None)
        self._out.clear()

    def receive(self, octets: bytes) -> None:
        """Take what came."""
        sealed, future = self._out.get(octets[1], (None, None)) if len(octets) > 1 else (None, None)
        if sealed is None or future is None or future.done():
            self._peer.drop("late")
            return
        try:
            answer = sealed.opened(octets, self._peer.name)
        except PeerError as error:
            self._peer.drop(type(error).__name__)
            return
        self._peer.heard = asyncio.get_running_loop().time()
        future.set_result(answer)


class AnyPeer:
    """What servers over UDP and over TLS have in common."""

    def __init__(
        self, host: str, port: int, patience: Patience, on_drop: Callable[[str, str], None], tap: Tap | None
    ) -> None:
        self.name = f"{host}:{port}"
        self.heard = float("-inf")
        self.dropped: Counter[str] = Counter()
        self.trouble = ""
        self._tap = tap
        self.place = host, port
        self.patience = patience
        self._on_drop = on_drop

    def drop(self, reason: str) -> None:
        """Count what answers nothing."""
        self.dropped[reason] += 1
        self._on_drop(self.name, reason)

    def show(self, transport: asyncio.BaseTransport | None, octets: bytes, *, inbound: bool) -> None:
        """Let the tap see a packet."""
        if self._tap is not None and transport is not None:
            ends = (transport.get_extra_info(name) for name in ("sockname", "peername"))
            local, peer = ((str(end[0]), int(end[1])) for end in ends)
            self._tap.datagram(LinkName.AAA, local, peer, inbound=inbound, octets=octets)
