"""The CP's side towards AAA servers: which of them is asked, and which one is taken for dead.

The first server that is alive is asked. One that answers nothing at all within its patience is dead: the next one gets
the question, as long as no server has begun the exchange (its State means nothing to others). A dead server is left
alone for the hold-down, gets a Status-Server now and then (RFC 5997), which brings it back if it answers, and one
question after each hold-down, for some servers answer no Status-Server. Knows no packet.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from rprov.auth.radius_exchange import AccessRequest
from rprov.daemon.radius_peer import RadiusPeer
from rprov.procedure.events import AaaAnswered, AaaSilent

_LOG = logging.getLogger("rprov.cp")

PROBES = 3
"""Status-Servers within one hold-down."""


class _Standing:
    """One server, and what is thought of it."""

    __slots__ = ("dead_until", "peer", "probing")

    def __init__(self, peer: RadiusPeer) -> None:
        self.peer = peer
        self.dead_until: float | None = None
        self.probing: asyncio.Task[None] | None = None


class AaaClient:
    """All servers, in the order of preference."""

    def __init__(self, peers: Sequence[RadiusPeer], hold_down: float) -> None:
        """Take `hold_down`, the seconds that a dead server is left alone."""
        self._servers = {peer.name: _Standing(peer) for peer in peers}
        self._hold_down = hold_down
        self._telling: set[asyncio.Task[AaaAnswered | AaaSilent]] = set()
        self.counts: Counter[str] = Counter()
        """Questions by how they ended: answered, failedOver, silent."""

    @property
    def dead(self) -> tuple[str, ...]:
        """The servers that are taken for dead."""
        return tuple(name for name, server in self._servers.items() if server.dead_until is not None)

    async def ask(self, request: AccessRequest) -> AaaAnswered | AaaSilent:
        """Ask the server that began this exchange, or the first one that answers."""
        asked = []
        for server in self._in_order(request.server):
            asked.append(server.peer.name)
            begun = self._now()
            self._try(server, begun)
            answer = await server.peer.ask(request)
            if answer is not None:
                self._alive(server)
                self.counts["answered" if len(asked) == 1 else "failedOver"] += 1
                return AaaAnswered(answer)
            self._silent(server, begun)
        self.counts["silent"] += 1
        return AaaSilent(f"no answer of {', '.join(asked) or 'any AAA server'}")

    def tell(self, request: AccessRequest) -> None:
        """Ask, and let nobody wait for the answer."""
        task = asyncio.get_running_loop().create_task(self.ask(request), name="last words to an AAA server")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """End everything."""
        probing = [server.probing for server in self._servers.values() if server.probing is not None]
        for task in (*probing, *self._telling):
            task.cancel()
        await asyncio.gather(*probing, *self._telling, return_exceptions=True)
        for server in self._servers.values():
            await server.peer.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _in_order(self, pinned: str | None) -> list[_Standing]:
        if pinned is not None:
            known = self._servers.get(pinned)
            return [known] if known is not None else []
        now = self._now()
        return sorted(self._servers.values(), key=lambda server: (server.dead_until or 0.0) > now)

    def _try(self, server: _Standing, now: float) -> None:
        """Let one question try a dead server after its hold-down; those that come meanwhile go elsewhere."""
        if server.dead_until is not None and now >= server.dead_until:
            server.dead_until = now + self._hold_down

    def _alive(self, server: _Standing) -> None:
        if server.dead_until is None:
            return
        server.dead_until = None
        if server.probing is not None and server.probing is not asyncio.current_task():
            server.probing.cancel()
        server.probing = None
        _LOG.warning("AAA server %s is alive again", server.peer.name)

    def _silent(self, server: _Standing, begun: float) -> None:
        """Take a server for dead that has said nothing since; one that answers others has only dropped this one."""
        if server.peer.heard >= begun:
            return
        first = server.dead_until is None
        server.dead_until = self._now() + self._hold_down
        if not first:
            return
        why = server.peer.trouble or "it does not answer"
        _LOG.error("AAA server %s is taken for dead: %s", server.peer.name, why)
        server.probing = asyncio.get_running_loop().create_task(self._probe(server), name=f"probe {server.peer.name}")

    async def _probe(self, server: _Standing) -> None:
        while server.dead_until is not None:
            await asyncio.sleep(self._hold_down / PROBES)
            await server.peer.refresh()
            if await server.peer.is_there():
                self._alive(server)
