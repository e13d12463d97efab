"""A transport under TLS: the links of another one, each behind a handshake with certificates of both ends.

Owns how many handshakes may be under way and how long one may take: until it is done, the peer is a stranger. Who is
trusted is decided by the judge of a `TlsParty`, asked for anew with each link, so that certificates can be exchanged.
"""

import logging
from collections.abc import Callable

from rprov.errors import Misuse, Refused
from rprov.transport.link import LIMIT, Link, Listener, OnLink, Transport
from rprov.transport.tls_link import TlsLink, TlsParty, shake_hands

_LOG = logging.getLogger("rprov.transport")

HANDSHAKE_SECONDS = 10.0
HALF_OPEN = 100


class TlsTransport:
    """Protected links over `below`; see `link.Transport`."""

    def __init__(
        self,
        below: Transport,
        *,
        server: Callable[[], TlsParty] | None = None,
        client: Callable[[], TlsParty] | None = None,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        half_open: int = HALF_OPEN,
    ) -> None:
        """Take the parties that this end can be; over TCP, `below` is `tcp.bare_tcp`."""
        self._below = below
        self._server = server
        self._client = client
        self._seconds = handshake_seconds
        self._most_half_open = half_open
        self._half_open: dict[Link, None] = {}
        self._links: dict[TlsLink, None] = {}
        """Accepted links that live, judged with the certificates of then."""

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""
        if self._server is None:
            raise Misuse("nothing to accept TLS with")
        server = self._server

        async def on_fresh(fresh: Link) -> None:
            link = await self._accept(fresh, server(), limit)
            self._links[link] = None
            try:
                await on_link(link)
            finally:
                del self._links[link]

        return await self._below.listen(host, port, on_fresh, LIMIT)

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        if self._client is None:
            raise Misuse("nothing to begin TLS with")
        party = self._client()
        return await shake_hands(await self._below.connect(host, port, LIMIT), party, limit, self._seconds)

    def judge_again(self) -> int:
        """Judge the peers of the accepted links as new ones would be, and end those that fail; gives how many."""
        if self._server is None:
            return 0
        judge, ended = self._server().judge, 0
        for link in list(self._links):
            try:
                judge(link.channel.peer, link.channel.others)
            except Refused as verdict:
                _LOG.warning("%s ends: %s", link, verdict)
                link.abort()
                ended += 1
        return ended

    async def _accept(self, fresh: Link, party: TlsParty, limit: int) -> TlsLink:
        if len(self._half_open) >= self._most_half_open:
            # The oldest goes: an honest handshake takes milliseconds, and has long left this list.
            next(iter(self._half_open)).abort()
        self._half_open[fresh] = None
        try:
            return await shake_hands(fresh, party, limit, self._seconds)
        finally:
            self._half_open.pop(fresh, None)
