"""The UE's side of a PDU session without privileges: connections and names, as a program needs them.

Knows IP packets and one function that sends them; neither radio nor PDCP. What the network forbids shows as an
`OSError` at once, because the network says so with ICMP.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address

from rprov.daemon.tcp_host import TcpHost, TcpStream
from rprov.errors import DecodeError
from rprov.session.ip import dns
from rprov.session.ip.icmp import Unreachable, decode_unreachable
from rprov.session.ip.packet import HEADER_OCTETS, IpProtocol, decode_ipv4, decode_udp, encode_udp
from rprov.session.ip.states import TcpLimits
from rprov.session.ip.tcp import TcpStack

_FIRST_PORT, _PORTS = 49152, 16384  # RFC 6335 6: dynamic ports
_QUERY_SECONDS = 1.0
_QUERIES = 3
_MAX_QUERIES = 16  # at a time

Key = tuple[int, int]
"""Port and message id of a question on its way."""


class UeNetwork:
    """One PDU session as the UE's programs see it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: IPv4Address,
        resolver: IPv4Address,
        send: Callable[[bytes], None],
        *,
        entropy: Callable[[int], bytes],
        mtu: int,
        limits: TcpLimits | None = None,
    ) -> None:
        self.address = address
        """The UE's address in the session."""
        self.dropped: Counter[str] = Counter()
        self._own = address.packed
        self._resolver = resolver.packed
        self._send = send
        self._entropy = entropy
        self._host = TcpHost(loop, TcpStack(entropy, mtu=mtu, limits=limits), self._send_packet)
        self._questions: dict[Key, tuple[bytes, asyncio.Future[dns.Answer]]] = {}
        self._open = True

    @property
    def connections(self) -> int:
        """How many TCP connections there are, of all states."""
        return self._host.connections

    async def connect(self, host: IPv4Address, port: int) -> TcpStream:
        """Open a TCP connection over the session; raises `OSError`."""
        self._insist_open()
        return await self._host.connect(self.address, host, port)

    async def resolve(self, fqdn: str) -> IPv4Address:
        """Ask the session's resolver for an address; raises `OSError` (`socket.gaierror` where it said no)."""
        self._insist_open()
        if len(self._questions) >= _MAX_QUERIES:
            raise OSError(errno.EAGAIN, "too many questions at a time")
        for _ in range(_QUERIES):
            answer = await self._ask(fqdn)
            if answer is None:
                continue
            if answer.code != dns.ResponseCode.NO_ERROR:
                raise socket.gaierror(socket.EAI_FAIL, f"{fqdn}: the session's resolver refuses to answer")
            if not answer.addresses:
                raise socket.gaierror(socket.EAI_NONAME, f"{fqdn}: no address")
            return answer.addresses[0]
        raise TimeoutError(errno.ETIMEDOUT, f"{fqdn}: the session's resolver does not answer")

    def deliver(self, packet: bytes) -> None:
        """Take an IP packet of the session."""
        if len(packet) < HEADER_OCTETS or packet[16:20] != self._own:
            self.dropped["notForThisUe"] += 1
        elif packet[9] == IpProtocol.TCP:
            self._host.deliver(packet)
        else:
            try:
                self._deliver_other(packet)
            except DecodeError:
                self.dropped["malformed"] += 1

    def flush(self) -> None:
        """Answer what was delivered."""
        self._host.flush()

    def close(self) -> None:
        """End everything in the session; whoever waits in it gets an `OSError`."""
        if self._open:
            self._host.close()
            self._open = False
            for _, answered in self._questions.values():
                if not answered.done():
                    answered.set_exception(OSError(errno.ENETDOWN, "the session is closed"))

    def _insist_open(self) -> None:
        if not self._open:
            raise OSError(errno.ENETDOWN, "the session is closed")

    def _send_packet(self, packet: bytes) -> None:
        if self._open:
            self._send(packet)

    async def _ask(self, fqdn: str) -> dns.Answer | None:
        """Ask once, from a fresh port with a fresh id; None if nobody answered in time."""
        drawn = self._entropy(4)
        message_id, port = int.from_bytes(drawn[:2]), _FIRST_PORT + int.from_bytes(drawn[2:]) % _PORTS
        try:
            query = dns.encode_query(message_id, fqdn)
        except DecodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, f"{fqdn!r}: {error}") from None
        answered: asyncio.Future[dns.Answer] = asyncio.get_running_loop().create_future()
        self._questions[port, message_id] = (query, answered)
        try:
            self._send_packet(encode_udp(self._own, port, self._resolver, dns.PORT, query))
            async with asyncio.timeout(_QUERY_SECONDS):
                return await answered
        except TimeoutError:
            return None
        finally:
            self._questions.pop((port, message_id), None)

    def _deliver_other(self, packet: bytes) -> None:
        read = decode_ipv4(packet)
        if read.protocol == IpProtocol.ICMP:
            error = decode_unreachable(read)
            if error.protocol == IpProtocol.TCP:
                self._host.unreachable(error)
            else:
                self._question_unreachable(error)
            return
        datagram = decode_udp(read)
        key = (datagram.destination_port, int.from_bytes(datagram.payload[:2]))
        question = self._questions.get(key)
        if question is None or read.source != self._resolver or datagram.source_port != dns.PORT:
            self.dropped["notAskedFor"] += 1
            return
        query, answered = question
        answer = dns.decode_answer(datagram.payload, query)
        if not answered.done():
            answered.set_result(answer)

    def _question_unreachable(self, error: Unreachable) -> None:
        if error.remote != self._resolver or error.remote_port != dns.PORT:
            return
        for (port, _), (_, answered) in self._questions.items():
            if port == error.local_port and not answered.done():
                answered.set_exception(OSError(errno.EHOSTUNREACH, f"resolver unreachable (ICMP 3/{error.code})"))
