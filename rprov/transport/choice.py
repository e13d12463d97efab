"""Which transport carries a link: what was asked for, and what this machine has. Says aloud what it chose, and why.

`auto` means TCP, and SCTP where the kernel has it, and both ends agree whatever each of them has: who listens takes
both at the same port number, and who connects tries SCTP, then TCP. The SCTP of libusrsctp is never chosen unasked:
TCP carries the same as well, and a stack that is not the kernel's is one more thing to trust. Knows no role.
"""

import asyncio
import logging
from typing import NamedTuple

from rprov.errors import EnvironmentLacks
from rprov.model.sctp import Carrier, SctpListen, SctpPeer
from rprov.transport import sctp_socket, tcp, usrsctp_library
from rprov.transport.link import LIMIT, Link, LinkLost, Listener, OnLink, Transport
from rprov.transport.sctp import KernelSctp
from rprov.transport.usrsctp import UserSctp

_LOG = logging.getLogger("rprov.transport")

SCTP_SECONDS = 1.0
"""How long `auto` waits for an answer over SCTP: a host without SCTP says nothing."""


class Ends(NamedTuple):
    """How the ends of one interface behave over SCTP; a node that only listens, or only connects, gives one."""

    listen: SctpListen | None = None
    connect: SctpPeer | None = None


class Both:
    """SCTP and TCP side by side; see `link.Transport`."""

    def __init__(self, sctp: Transport, tcp: Transport) -> None:
        self._sctp = sctp
        self._tcp = tcp

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links of both kinds at one port number; see `link.Transport`."""
        first = await self._tcp.listen(host, port, on_link, limit)
        try:
            return BothListeners(first, await self._sctp.listen(host, first.port, on_link, limit))
        except BaseException:
            await first.close()
            raise

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link over SCTP where the peer has it, else over TCP; see `link.Transport`."""
        try:
            async with asyncio.timeout(SCTP_SECONDS):
                return await self._sctp.connect(host, port, limit)
        except TimeoutError:
            _LOG.info("no answer over SCTP in %g s, now over TCP", SCTP_SECONDS)
        except LinkLost as error:
            _LOG.info("over SCTP: %s; now over TCP", error)
        return await self._tcp.connect(host, port, limit)


class BothListeners:
    """Accepts links of both kinds; see `link.Listener`."""

    def __init__(self, first: Listener, second: Listener) -> None:
        self._both = (first, second)

    @property
    def host(self) -> str:
        """The address that both listen at."""
        return self._both[0].host

    @property
    def port(self) -> int:
        """The port number of both."""
        return self._both[0].port

    async def close(self) -> None:
        """Accept no more and end what is served."""
        await asyncio.gather(*(listener.close() for listener in self._both))


def choose(asked: Carrier, ends: Ends, interface: str, *, bare: bool = False) -> Transport:
    """Give the transport of an interface and say what it is; raises `EnvironmentLacks`.

    `bare` TCP puts no frames around messages: it is for TLS, which finds their ends itself.
    """
    over_tcp: Transport = tcp.bare_tcp if bare else tcp
    if asked is Carrier.TCP:
        _LOG.info("%s: TCP, as asked for", interface)
        return over_tcp
    if sctp_socket.available():
        over_sctp = KernelSctp(ends.listen, ends.connect)
        if asked is Carrier.SCTP:
            _LOG.info("%s: SCTP of the kernel, as asked for", interface)
            return over_sctp
        _LOG.info("%s: SCTP or TCP (auto: this kernel has SCTP)", interface)
        return Both(over_sctp, over_tcp)
    if asked is Carrier.SCTP:
        try:
            in_user_space = UserSctp(ends.listen, ends.connect)
        except EnvironmentLacks as lack:
            raise EnvironmentLacks(f"{interface}: this kernel has no SCTP, and {lack}") from None
        _LOG.info("%s: SCTP of libusrsctp, in UDP, as asked for (this kernel has no SCTP)", interface)
        return in_user_space
    there = "libusrsctp, which is here, is for `sctp`" if usrsctp_library.available() else "nor is libusrsctp here"
    _LOG.info("%s: TCP (auto: this kernel has no SCTP; %s)", interface, there)
    return over_tcp
