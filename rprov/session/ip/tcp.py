"""A TCP stack without sockets (RFC 9293): packets in, packets out, time as an argument.

Driven by `receive` (a packet came), by its user (`connect`, the methods of a `Connection`), and by `poll` when
`next_deadline` is reached. After each of these `output` gives the packets to send and `take_changed` the connections
that the user may want to look at. Everything is bounded by `TcpLimits`.
"""

from collections.abc import Callable

from rprov.errors import DecodeError, Misuse
from rprov.session.ip.connection import Connection, Flow, Outbox
from rprov.session.ip.icmp import ADMINISTRATIVELY_PROHIBITED, Unreachable
from rprov.session.ip.packet import DEFAULT_MTU, IpProtocol
from rprov.session.ip.segment import Flag, Segment, decode_segment, encode_reset
from rprov.session.ip.states import HALF_OPEN, Failure, State, TcpLimits

_FIRST_PORT, _PORTS = 49152, 16384  # RFC 6335 6: dynamic ports
_PROHIBITED_CODES = frozenset({9, 10, ADMINISTRATIVELY_PROHIBITED})  # RFC 1122 3.2.2.1, RFC 1812 5.2.7.1

Welcomes = Callable[[bytes, int], bool]
"""Says of an address (4 octets) and a port whether a connection to it may come in."""


def _nobody(_address: bytes, _port: int) -> bool:
    return False


class TcpStack:
    """Connections of one host, or of one that stands in for hosts (`listen` on addresses that are not its own)."""

    __slots__ = (
        "_connections",
        "_entropy",
        "_incoming",
        "_limits",
        "_mtu",
        "_next_port",
        "_out",
        "_welcomes",
        "malformed",
    )

    def __init__(
        self, entropy: Callable[[int], bytes], *, mtu: int = DEFAULT_MTU, limits: TcpLimits | None = None
    ) -> None:
        self.malformed = 0
        """Packets that were dropped because they are no TCP segment."""
        self._entropy = entropy
        self._mtu = mtu
        self._limits = limits or TcpLimits()
        self._welcomes: Welcomes = _nobody
        self._connections: dict[Flow, Connection] = {}
        self._incoming: list[Connection] = []
        self._out = Outbox()
        # RFC 6056: begin somewhere that cannot be guessed
        self._next_port = int.from_bytes(entropy(2)) % _PORTS

    @property
    def connections(self) -> int:
        """How many connections there are, of all states."""
        return len(self._connections)

    def connect(self, local: bytes, remote: bytes, remote_port: int, now: float) -> Connection:
        """Open a connection; raises `Misuse` when there are as many as there may be."""
        if len(self._connections) >= self._limits.connections:
            raise Misuse("no more TCP connections are allowed in this session")
        flow = self._free_flow(local, remote, remote_port)
        connection = self._connection(flow)
        connection.begin(now)
        return connection

    def listen(self, welcomes: Welcomes) -> None:
        """Let connections to these addresses and ports come in; `take_incoming` gives them, to accept or abort."""
        self._welcomes = welcomes

    def receive(self, packet: bytes, now: float) -> None:
        """Take a packet. What is no whole, right TCP segment is dropped and counted."""
        try:
            segment = decode_segment(packet)
        except DecodeError:
            self.malformed += 1
            return
        flow = (segment.destination, segment.destination_port, segment.source, segment.source_port)
        connection = self._connections.get(flow)
        if connection is not None:
            connection.receive(segment, now)
        elif segment.flags & Flag.SYN and not segment.flags & (Flag.ACK | Flag.RST) and self._welcome(segment):
            connection = self._connection(flow)
            connection.pend(segment)
            self._incoming.append(connection)
        elif not segment.flags & Flag.RST:
            self._out.packets.append(encode_reset(segment))

    def unreachable(self, error: Unreachable) -> None:
        """Take an ICMP error about a packet of this stack."""
        connection = self._connections.get((error.local, error.local_port, error.remote, error.remote_port))
        if connection is not None and error.protocol == IpProtocol.TCP:
            prohibited = error.code in _PROHIBITED_CODES
            connection.unreachable(error.sequence, Failure.PROHIBITED if prohibited else Failure.UNREACHABLE)

    def poll(self, now: float) -> None:
        """Do what time has made due."""
        for connection in list(self._connections.values()):
            connection.expire(now)

    def next_deadline(self) -> float | None:
        """Say when `poll` is to be called next."""
        return min(
            (connection.deadline for connection in self._connections.values() if connection.deadline is not None),
            default=None,
        )

    def abort_all(self) -> None:
        """End every connection with RST."""
        for connection in self._connections.values():
            connection.abort()

    def output(self) -> list[bytes]:
        """Give the packets to send, the ACKs that are due among them."""
        out = self._out
        if out.acks_due:
            for connection in out.acks_due:
                connection.flush()
            out.acks_due.clear()
        packets, out.packets = out.packets, []
        return packets

    def take_incoming(self) -> list[Connection]:
        """Give the connections that came in since the last call and still wait."""
        incoming, self._incoming = self._incoming, []
        return [connection for connection in incoming if connection.state is State.PENDING]

    def take_changed(self) -> list[Connection]:
        """Give the connections that something happened to since the last call; forgets those that are closed."""
        changed, self._out.changed = list(self._out.changed), {}
        for connection in changed:
            if connection.state is State.CLOSED and self._connections.get(connection.flow) is connection:
                del self._connections[connection.flow]
        return changed

    def _welcome(self, syn: Segment) -> bool:
        if not self._welcomes(syn.destination, syn.destination_port):
            return False
        if len(self._connections) >= self._limits.connections:
            return False
        half_open = sum(connection.state in HALF_OPEN for connection in self._connections.values())
        return half_open < self._limits.half_open

    def _connection(self, flow: Flow) -> Connection:
        initial = int.from_bytes(self._entropy(4))
        connection = Connection(flow, self._out, self._limits, self._mtu, initial)
        self._connections[flow] = connection
        return connection

    def _free_flow(self, local: bytes, remote: bytes, remote_port: int) -> Flow:
        for _ in range(_PORTS):
            self._next_port = (self._next_port + 1) % _PORTS
            flow = (local, _FIRST_PORT + self._next_port, remote, remote_port)
            if flow not in self._connections:
                return flow
        raise Misuse("no free TCP port")
