"""A UDP socket that carries SCTP packets (RFC 6951 4), and the paths that lead from it to peers.

Knows no association, and judges no packet beyond whether it is sane (`usrsctp_filter`).
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from rprov.transport.link import Address
from rprov.transport.usrsctp_filter import sane

_LOG = logging.getLogger("rprov.transport")

BUFFER = 4 * 1024 * 1024
"""Octets that the kernel may hold for a socket, each way, where it allows as much."""
LARGEST = 65536
"""Octets of a packet that are read; a UDP datagram cannot have more."""
AT_ONCE = 64
"""Packets that one socket may bring before the loop looks at others."""
MOST = 9000
"""Octets of a packet that we send, where the way to the peer takes as much; more brings little."""
LEAST = 1200

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
_MTU = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}
_PMTUDISC_DONT = 0
_HEADERS = {socket.AF_INET: 20 + 8 + 12, socket.AF_INET6: 40 + 8 + 12}  # IP, UDP, and the common header of SCTP
_CAUSE = struct.Struct("=I12x")  # struct sock_extended_err begins with the error's number

Name = tuple[str, int] | tuple[str, int, int, int]
"""A socket address, as Python has it for IPv4 and IPv6."""
Drop = Callable[[], bool]
"""Asked for each packet whether the wire loses it; for tests of loss."""


class Path:
    """One way to one peer: what the library takes for an address."""

    __slots__ = ("_room", "carrier", "links", "name", "number", "opening")

    def __init__(self, carrier: "Carrier", name: Name, number: int) -> None:
        self.carrier = carrier
        self.name = name
        self.number = number
        """What the library calls it."""
        self.links = 0
        """How many associations use it."""
        self.opening: set[int] = set()
        """Sockets of the library that try to open an association over it."""
        self._room = 0

    @property
    def room(self) -> int:
        """Octets of chunks that fit into one packet, as far as this machine knows the way; looked up once."""
        if not self._room:
            room = mtu_to(self.name) - _HEADERS[self.carrier.socket.family]
            self._room = max(LEAST, min(room, MOST)) & -4
        return self._room


class Above(Protocol):
    """Whoever gets what comes."""

    def take(self, carrier: "Carrier", packet: memoryview, name: Name) -> None:
        """Take a sane packet; it is overwritten by the next."""

    def pump(self) -> None:
        """Do what the packets taken since the last time have made possible."""

    def nobody_there(self, path: Path, error: OSError) -> None:
        """Learn that no process has a peer's port."""


class Carrier:
    """One UDP socket. Lives as long as listeners and associations hold it."""

    def __init__(self, made: socket.socket, above: Above, view: memoryview, drop: Drop | None = None) -> None:
        """Take over the socket; `view` is where packets are read to, and all carriers may share it."""
        self.paths: dict[Name, Path] = {}
        """Ways to peers, by their addresses."""
        self.holders = 0
        """How many listeners and associations need it."""
        self.refused = 0
        """Packets that were not sane."""
        self.socket = made
        self.drop = drop
        self._sendto = made.sendto
        name = made.getsockname()
        self.address = Address(str(name[0]), int(name[1]))
        self._above = above
        self._view = view
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(made.fileno(), self._read)

    def close(self) -> None:
        """Let the socket go."""
        if self.socket.fileno() >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self.socket.fileno())
            self.socket.close()

    def send(self, packet: bytes, name: Name) -> None:
        """Send one packet; one that the kernel does not take is lost, as any may be."""
        if self.drop is not None and self.drop():
            return
        try:
            self._sendto(packet, name)
        except BlockingIOError:
            return
        except OSError:  # what ICMP says of an earlier packet comes as an error of the next
            self._read_errors()

    def _read(self) -> None:
        receive, view, take = self.socket.recvfrom_into, self._view, self._above.take
        try:
            for _ in range(AT_ONCE):
                octets, name = receive(view)
                packet = view[:octets]
                if sane(packet):
                    take(self, packet, name)
                else:
                    self._refuse(name)
        except BlockingIOError:
            pass
        except OSError:
            self._read_errors()
        self._above.pump()

    def _refuse(self, name: Name) -> None:
        self.refused += 1
        if self.refused.bit_count() == 1:  # the 1st, 2nd, 4th, 8th …
            _LOG.warning("%s: %d packets were no sane SCTP, the last from %s", self.address, self.refused, name[0])

    def _read_errors(self) -> None:
        """Take what ICMP says. That nobody has a port is of use to who connects; all else SCTP finds out itself."""
        with suppress(OSError):
            while True:
                _, ancillary, _, name = self.socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
                path = self.paths.get(name)
                for level, kind, data in ancillary:
                    told = (level, kind) == _RECVERR[self.socket.family] and len(data) >= _CAUSE.size
                    if told and path is not None and _CAUSE.unpack_from(data)[0] == errno.ECONNREFUSED:
                        self._above.nobody_there(path, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))


def udp_socket(host: str, port: int) -> socket.socket:
    """Make a UDP socket at an address given in digits; port 0 takes a free one. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for forced, plain in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
            try:
                made.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
            except OSError:  # then as much as everybody may have
                made.setsockopt(socket.SOL_SOCKET, plain, BUFFER)
        for level, option, value in ((*_RECVERR[family], 1), (*_MTU_DISCOVER[family], _PMTUDISC_DONT)):
            with suppress(OSError):  # Linux alone has them
                made.setsockopt(level, option, value)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


def mtu_to(name: Name) -> int:
    """Say how long an IP packet to a peer may be, as far as this machine knows the way; 0 if it does not."""
    family = socket.AF_INET6 if len(name) > 2 else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(name)
        return probe.getsockopt(*_MTU[family])
    return 0


def source_of(name: Name) -> str:
    """Say from which of our addresses the way leads to a peer; raises `OSError`. Nothing is sent."""
    with socket.socket(socket.AF_INET6 if len(name) > 2 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(name)
        return str(probe.getsockname()[0])
