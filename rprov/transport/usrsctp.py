"""Control links over SCTP in user space: libusrsctp, in UDP (RFC 6951). Who listens, who connects; knows no message.

For machines whose kernel has no SCTP. It needs no privileges, and speaks with the SCTP of a kernel that is told to use
UDP (`net.sctp.udp_port`, `net.sctp.encap_port`). All links of a process share one stack, and one UDP socket for each
address that it listens at. `udp_port` is the peer's and, for who listens, our own; with 0 each SCTP port travels in
the UDP port of the same number, so that several processes can share a host.
"""

import asyncio
import errno
import os
import secrets
import socket
from contextlib import suppress

from rprov.errors import EnvironmentLacks
from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import usrsctp_library as sctp
from rprov.transport.link import LIMIT, Address, Link, LinkLost, Listener, OnLink
from rprov.transport.serving import Serving
from rprov.transport.usrsctp_carrier import Drop, Name, source_of
from rprov.transport.usrsctp_link import UsrsctpLink
from rprov.transport.usrsctp_listener import Doorway, UsrsctpListener
from rprov.transport.usrsctp_stack import stack

CONNECT_SECONDS = 10.0

_EPHEMERAL = range(49152, 65536)
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to refuse them
_ATTEMPTS = 20
"""Ports to try before none counts as free."""


class UserSctp:
    """Links over libusrsctp; see `link.Transport`."""

    def __init__(
        self, listen: SctpListen | None = None, connect: SctpPeer | None = None, drop: Drop | None = None
    ) -> None:
        """Take how both kinds of ends behave, and for tests what the wire loses. Raises `EnvironmentLacks`."""
        self._listen = listen or SctpListen()
        self._connect = connect or SctpPeer()
        self._drop = drop
        sctp.library()
        if self._listen.addresses or self._connect.addresses or self._connect.peer_addresses:
            raise EnvironmentLacks("several addresses for one link need the kernel's SCTP, which this machine lacks")

    async def listen(self, host: str, port: int, on_link: OnLink, limit: int = LIMIT) -> Listener:
        """Accept links at an address; see `link.Transport`."""
        serving = Serving(on_link)
        listener = None
        try:
            name = await _resolve(host, port)
            for _ in range(_ATTEMPTS):
                listener = listener or self._listen_at(name, port, serving, limit)
        except OSError as error:
            raise EnvironmentLacks(f"cannot listen at {Address(host, port)}: {error.strerror or error}") from error
        if listener is None:
            raise EnvironmentLacks(f"cannot listen at {host}: no port is free")
        return listener

    def _listen_at(self, name: Name, port: int, serving: Serving, limit: int) -> UsrsctpListener | None:
        """Listen, or give None where a port was to be chosen and the choice was bad; raises `OSError`."""
        if name[0] in _ANYWHERE:
            raise OSError(errno.EADDRNOTAVAIL, "user-space SCTP listens at one address, which must be named")
        below = stack()
        udp_port = self._listen.udp_port or port
        try:
            carrier = below.listening_carrier(name[0], udp_port, self._drop)
        except OSError as error:
            raise OSError(error.errno, f"UDP port {udp_port}: {error.strerror}") from error
        chosen = port or (secrets.choice(_EPHEMERAL) if udp_port else carrier.address.port)
        try:
            door = below.doorways.get(chosen)
            doorway = door if isinstance(door, Doorway) else Doorway(below, chosen, self._listen)
            return UsrsctpListener(doorway, carrier, serving, limit)
        except OSError as error:
            below.release(carrier)
            if error.errno == errno.EADDRINUSE and not port:
                return None
            raise

    async def connect(self, host: str, port: int, limit: int = LIMIT) -> Link:
        """Open a link; see `link.Transport`."""
        settings = self._connect
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                name = await _resolve(host, settings.udp_port or port)
                below = stack()
                carrier = below.outward_carrier(source_of(name), self._drop)
                try:
                    link = UsrsctpLink(below, below.path(carrier, name), Address(name[0], port), limit)
                    await link.open(settings)
                finally:
                    below.release(carrier)
        except TimeoutError as error:
            raise LinkLost(f"cannot connect to {Address(host, port)}: no answer") from error
        except OSError as error:
            raise LinkLost(f"cannot connect to {Address(host, port)}: {error.strerror or error}") from error
        return link


async def _resolve(host: str, port: int) -> Name:
    """Give the first address of a host; raises `OSError`."""
    with suppress(OSError):  # an address in digits needs no thread that asks for it
        socket.inet_pton(socket.AF_INET, host)
        return host, int(port)
    # int: a port that has a name is none to getaddrinfo.
    found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    name = found[0][4]
    if isinstance(name[0], str):
        return name
    raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
