"""One UDP socket of the user plane: bind, drain, send, count. Has no opinion about what is in a datagram.

`loop.add_reader` and plain socket calls: asyncio's datagram protocol costs twenty times as much per packet.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from rprov.errors import EnvironmentLacks
from rprov.model.session import UserPlaneAddress
from rprov.model.tap import LinkName, Tap
from rprov.session.tunnel import Peer

Observe = Callable[[str, str, int], None]
"""Told of every datagram: link (radio or n3), direction (uplink or downlink), octets of UDP payload."""

UPLINK = "uplink"
DOWNLINK = "downlink"
_BATCH = 64  # datagrams per wake-up, so that nobody else in the loop starves
_MAX_OCTETS = 16384  # more than the largest user packet (9000) in its tunnel
_BUFFER_OCTETS = 2 * 1024 * 1024  # asked for; the kernel gives what net.core.rmem_max allows


@dataclass(slots=True)
class Traffic:
    """Datagrams and octets, one way."""

    packets: int = 0
    octets: int = 0


class UdpPort:
    """A bound socket. `receives` names the direction of what arrives here; what is sent goes the other way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: UserPlaneAddress,
        receive: Callable[[bytes, Peer], None],
        *,
        link: str,
        receives: str,
        batch_done: Callable[[], None] | None = None,
        observe: Observe | None = None,
        tap: Tap | None = None,
        name: LinkName = LinkName.N3,
    ) -> None:
        """Bind; `tap` sees every datagram as of the link `name`. Raises `EnvironmentLacks`, if the address is taken."""
        self.received = Traffic()
        self.sent = Traffic()
        self.dropped: Counter[str] = Counter()
        self._loop = loop
        self._receive = receive
        self._batch_done = batch_done
        self._observe = observe
        self._tap = tap
        self._name = name
        self._link = link
        self._receives = receives
        self._sends = DOWNLINK if receives == UPLINK else UPLINK
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
            self._bind(address)
            host, port = self._socket.getsockname()
            loop.add_reader(self._socket.fileno(), self._drain)
        except BaseException:
            self._socket.close()
            raise
        self.address = UserPlaneAddress(IPv4Address(host), port)
        """Where it is bound."""
        self._end = (host, port)
        self._open = True

    def _bind(self, address: UserPlaneAddress) -> None:
        try:
            self._socket.bind((str(address.address), address.port))
        except OSError as error:
            where = f"{address.address}:{address.port} (UDP, {self._link})"
            raise EnvironmentLacks(f"cannot receive at {where}: {error.strerror}") from error

    def send(self, octets: bytes, to: Peer) -> None:
        """Send a datagram, or drop and count it: nothing here waits, and UDP promises nothing."""
        if not self._open:
            return
        try:
            self._socket.sendto(octets, to)
        except BlockingIOError:
            self.dropped["socketFull"] += 1
            return
        except OSError:
            self.dropped["socketError"] += 1
            return
        self.sent.packets += 1
        self.sent.octets += len(octets)
        if self._observe is not None:
            self._observe(self._link, self._sends, len(octets))
        if self._tap is not None:
            self._tap.datagram(self._name, self._end, to, inbound=False, octets=octets)

    def close(self) -> None:
        """Give the socket back."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _drain(self) -> None:
        received = self.received
        for _ in range(_BATCH):
            if not self._open:
                return
            try:
                octets, source = self._socket.recvfrom(_MAX_OCTETS)
            except BlockingIOError:
                break
            except OSError:
                self.dropped["socketError"] += 1
                continue
            received.packets += 1
            received.octets += len(octets)
            if self._observe is not None:
                self._observe(self._link, self._receives, len(octets))
            if self._tap is not None:
                self._tap.datagram(self._name, self._end, source, inbound=True, octets=octets)
            self._receive(octets, source)
        if self._batch_done is not None:
            self._batch_done()
