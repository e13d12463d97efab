"""Control links over the SCTP of the kernel: who listens, who connects, by which addresses. Knows no message.

An end may have several addresses (multi-homing): the association then survives the loss of the path to one of them.
Without further addresses it has exactly one, also on a machine with many. What one association does is `sctp_link`'s.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from rprov.errors import EnvironmentLacks
from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import sctp_socket as sctp
from rprov.transport.link import LIMIT, Address, Link, LinkLost, Listener, OnLink
from rprov.transport.sctp_link import LARGEST, SctpLink
from rprov.transport.serving import Serving

_LOG = logging.getLogger("rprov.transport")

CONNECT_SECONDS = 10.0
BACKLOG = 1024
FULL_SECONDS = 0.5
"""How long a listener rests when the process has no descriptor left."""

_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what the kernel says, nothing is bound to it here
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class KernelSctp:
    """Links over the kernel's SCTP; see `link.Transport`."""

    def __init__(self, listen: SctpListen | None = None, connect: SctpPeer | None = None) -> None:
        """Take how both kinds of ends behave; a node that does only one of them gives only one."""
        self._listen = listen or SctpListen()
        self._connect = connect or SctpPeer()
        self._buffer = bytearray(LARGEST)

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address and the further ones; see `link.Transport`."""
        settings = self._listen
        try:
            family, addresses = await _resolve(host, port, settings.addresses)
            made = sctp.make(family, settings)
            try:
                bound = sctp.bind(made, addresses)
                made.listen(BACKLOG)
            except OSError:
                made.close()
                raise
        except OSError as error:
            raise EnvironmentLacks(f"cannot listen at {Address(host, port)}: {error.strerror or error}") from error
        addresses = tuple(address._replace(port=bound) for address in addresses)
        return SctpListener(made, addresses, Serving(on_link), limit, self._buffer)

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link to a peer, by any of its addresses; see `link.Transport`."""
        settings = self._connect
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                family, peers = await _resolve(host, port, settings.peer_addresses)
                made = sctp.make(family, settings)
                try:
                    own = (_source(peers[0]), *settings.addresses)
                    own_port = sctp.bind(made, [Address(each, 0) for each in own])
                    await _connected(made, peers)
                    local = tuple(Address(each, own_port) for each in own)
                    return SctpLink(made, local, peers[0], limit, self._buffer)
                except BaseException:
                    sctp.reset(made)
                    raise
        except TimeoutError as error:
            raise LinkLost(f"cannot connect to {Address(host, port)}: no answer in {CONNECT_SECONDS:g} s") from error
        except OSError as error:
            raise LinkLost(f"cannot connect to {Address(host, port)}: {error.strerror or error}") from error


class SctpListener:
    """Accepts associations; see `link.Listener`."""

    def __init__(
        self, made: socket.socket, bound: tuple[Address, ...], serving: Serving, limit: int, buffer: bytearray
    ) -> None:
        self._socket = made
        self._buffer = buffer
        self._serving = serving
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._bound = bound
        self._rest: asyncio.TimerHandle | None = None
        self._loop.add_reader(made.fileno(), self._accept)

    @property
    def host(self) -> str:
        """The first address that it listens at."""
        return self._bound[0].host

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._bound[0].port

    async def close(self) -> None:
        """Accept no more and end what is served."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            if self._rest is not None:
                self._rest.cancel()
            self._socket.close()
        await self._serving.close()

    def _accept(self) -> None:
        # Exactly once for each time that the loop says so: asked in vain, the kernel sleeps for a tick of its clock
        # although the socket is non-blocking, and the whole loop with it.
        try:
            made, name = self._socket.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _FULL:
                _LOG.error("no link can be accepted at %s: %s", self._bound[0], error.strerror)
                self._loop.remove_reader(self._socket.fileno())
                self._rest = self._loop.call_later(FULL_SECONDS, self._again)
            return  # else the peer has gone before we looked
        made.setblocking(False)
        peer = Address(str(name[0]), int(name[1]))
        try:
            bound = self._bound
            if bound[0].host in _ANYWHERE:
                bound = (bound[0]._replace(host=_source(peer)),)
            link = SctpLink(made, bound, peer, self._limit, self._buffer)
        except OSError as error:
            _LOG.info("a link from %s was gone at once: %s", peer, error.strerror)
            sctp.reset(made)
            return
        self._serving.take(link)

    def _again(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._accept)


async def _resolve(host: str, port: int, further: Sequence[str]) -> tuple[socket.AddressFamily, tuple[Address, ...]]:
    """Give the family, and all addresses of an end; raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, name = found[0]
    addresses = (Address(str(name[0]), port), *(Address(host, port) for host in further))
    versions = {ip_address(address.host).version for address in addresses}
    return socket.AF_INET6 if 6 in versions else family, addresses


def _source(peer: Address) -> str:
    """Say from which of our addresses the way leads to the peer; raises `OSError`. Nothing is sent."""
    with socket.socket(socket.AF_INET6 if ":" in peer.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(tuple(peer))
        return str(probe.getsockname()[0])


async def _connected(made: socket.socket, peers: Sequence[Address]) -> None:
    """Wait until the association is established; raises `OSError`."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    sctp.connect(made, peers)
    descriptor = made.fileno()
    loop.add_writer(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)
    if error := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))
