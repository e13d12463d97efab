"""Who accepts associations of libusrsctp, and at which of our addresses. Knows no packet."""

import ctypes
import errno
import logging
import os

from rprov.model.sctp import SctpListen
from rprov.transport import usrsctp_library as sctp
from rprov.transport.link import Address
from rprov.transport.serving import Serving
from rprov.transport.usrsctp_carrier import MOST, Carrier, Path
from rprov.transport.usrsctp_link import UsrsctpLink
from rprov.transport.usrsctp_options import configure
from rprov.transport.usrsctp_stack import Stack

_LOG = logging.getLogger("rprov.transport")

BACKLOG = 128
AT_ONCE = 2 * BACKLOG
"""Times that the library is asked for another association, before others have their turn."""
MOST_LINKS = 8192
"""Links that one listener has at a time. An association takes no descriptor: nothing else would stop a flood."""


class Doorway:
    """What accepts at one port. The library allows one socket for each: all our addresses share it."""

    def __init__(self, below: Stack, port: int, settings: SctpListen) -> None:
        """Accept associations at a port; raises `OSError`."""
        self.stack = below
        self.port = port
        self.settings = settings
        self.listeners: dict[Carrier, UsrsctpListener] = {}
        """Who listens, by the UDP socket through which a peer comes."""
        self._handle = below.socket()
        below.adopt(self._handle, self)
        try:
            # The library lets an association's packets become smaller, and never larger again.
            configure(below.library, self._handle, settings, MOST)
            below.library.listen_at(self._handle, port, BACKLOG)
        except BaseException:
            below.close(self._handle)
            raise
        below.doorways[port] = self

    def open_at(self, carrier: Carrier) -> bool:
        """Say whether somebody listens there."""
        return carrier in self.listeners

    def open(self, carrier: Carrier, listener: "UsrsctpListener") -> None:
        """Listen there, too; raises `OSError` where somebody does already."""
        if carrier in self.listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self.listeners[carrier] = listener

    def shut(self, carrier: Carrier) -> None:
        """Listen there no more; the last one closes the port."""
        del self.listeners[carrier]
        if not self.listeners:
            del self.stack.doorways[self.port]
            self.stack.close(self._handle)

    def on_ready(self) -> None:
        """Accept all that have come."""
        address = ctypes.create_string_buffer(sctp.SOCKADDR.size)
        size = ctypes.c_uint32(len(address))
        for _ in range(AT_ONCE):
            size.value = len(address)
            handle = self.stack.library.accept(self._handle, ctypes.addressof(address), ctypes.addressof(size))
            if not handle:
                if sctp.error().errno in sctp.NOT_NOW:
                    return
                continue  # one that was gone before we looked
            _, port, number = sctp.SOCKADDR.unpack(address.raw)
            path = self.stack.paths.by_number.get(number)
            listener = self.listeners.get(path.carrier) if path is not None else None
            if path is None or listener is None:
                self.stack.discard(handle)
            else:
                listener.accept(path, handle, int.from_bytes(port))

    def on_refused(self, error: OSError) -> None:
        """Nothing: it connects to nobody."""

    def forsake(self) -> None:
        """Let go: the loop is gone."""
        self.stack.doorways.pop(self.port, None)
        self.stack.close(self._handle)


class UsrsctpListener:
    """Accepts links at one address; see `link.Listener`."""

    def __init__(self, doorway: Doorway, carrier: Carrier, serving: Serving, limit: int) -> None:
        """Listen at a port behind a UDP socket, which is held from now on; raises `OSError`."""
        doorway.open(carrier, self)
        self._stack = doorway.stack
        self._doorway = doorway
        self._carrier = carrier
        self._serving = serving
        self._limit = limit
        self._closed = False

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return self._carrier.address.host

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._doorway.port

    def accept(self, path: Path, handle: int, port: int) -> None:
        """Take an association of a peer; it is aborted where there are too many."""
        link = UsrsctpLink(self._stack, path, Address(path.name[0], port), self._limit, handle)
        if len(self._serving) >= MOST_LINKS:
            _LOG.warning("%s is refused: %d links are all that %s takes", link, MOST_LINKS, self._carrier.address)
            link.abort()
            return
        link.accept(self._doorway.port, self._doorway.settings)
        self._serving.take(link)

    async def close(self) -> None:
        """Accept no more and end what is served."""
        if not self._closed:
            self._closed = True
            self._doorway.shut(self._carrier)
            self._stack.release(self._carrier)
        await self._serving.close()
