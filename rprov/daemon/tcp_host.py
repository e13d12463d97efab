"""A user-space TCP stack in an event loop: its timer, and its connections as streams that can be awaited.

Knows no tunnel: packets come by `deliver`, and go by the function that it was given.
"""

import asyncio
import errno
from collections.abc import Callable
from ipaddress import IPv4Address

from rprov.session.ip.connection import Connection
from rprov.session.ip.icmp import Unreachable
from rprov.session.ip.states import Failure, State
from rprov.session.ip.tcp import TcpStack

_ERRNO = {
    Failure.REFUSED: errno.ECONNREFUSED,
    Failure.RESET: errno.ECONNRESET,
    Failure.TIMED_OUT: errno.ETIMEDOUT,
    Failure.PROHIBITED: errno.EHOSTUNREACH,
    Failure.UNREACHABLE: errno.ENETUNREACH,
    Failure.ABORTED: errno.ECONNABORTED,
}


class TcpStream:
    """One connection, to be awaited. What went wrong with it is an `OSError` with the errno of a socket."""

    def __init__(self, host: "TcpHost", connection: Connection) -> None:
        self._host = host
        self._connection = connection
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def local(self) -> tuple[IPv4Address, int]:
        """Our address and port."""
        return IPv4Address(self._connection.flow[0]), self._connection.flow[1]

    @property
    def remote(self) -> tuple[IPv4Address, int]:
        """The other side's address and port."""
        return IPv4Address(self._connection.flow[2]), self._connection.flow[3]

    async def opened(self) -> None:
        """Wait until the connection is open; raises `OSError` if it will not be."""
        while self._connection.opening:
            await self._change()
        self._raise_failure()

    async def read(self, limit: int) -> bytes:
        """Give up to `limit` octets as soon as there are any; empty at the end."""
        while True:
            if data := self._connection.read(limit):
                self._host.flush()  # the window may have opened
                return data
            self._raise_failure()
            if self._connection.ended:
                return b""
            await self._change()

    async def write(self, data: bytes) -> None:
        """Hand over all of `data`; waits while the buffer is full."""
        left = memoryview(data)
        while left:
            if taken := self._connection.write(left, self._host.now()):
                left = left[taken:]
                self._host.flush()
                continue
            self._raise_failure()
            if not self._connection.sends:
                raise BrokenPipeError(errno.EPIPE, "the connection is closed for sending")
            await self._change()

    @property
    def readable(self) -> bool:
        """Say whether `read` would give something, the end, or an error, without waiting."""
        connection = self._connection
        return connection.readable or connection.ended or connection.failure is not None

    def write_soon(self, data: bytes) -> None:
        """Hand over as much of `data` as there is room for."""
        self._connection.write(data, self._host.now())
        self._host.flush()

    def shutdown(self) -> None:
        """Send FIN after all data; reading goes on."""
        self._connection.shutdown(self._host.now())
        self._host.flush()

    def close(self) -> None:
        """Be done with the connection; what was written is still delivered."""
        self._connection.close(self._host.now())
        self._host.flush()

    def abort(self) -> None:
        """End the connection with RST; one that came in and waits is refused by that."""
        self._connection.abort()
        self._host.flush()

    def accept(self) -> None:
        """Answer the SYN of a connection that came in."""
        self._connection.accept(self._host.now())
        self._host.flush()

    def wake(self) -> None:
        """Let everyone who waits look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _raise_failure(self) -> None:
        failure = self._connection.failure
        if failure is not None:
            address, port = self.remote
            raise OSError(_ERRNO[failure], f"{address}:{port}: {failure.value}")


class TcpHost:
    """Runs a stack. After packets were delivered, `flush` lets it answer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stack: TcpStack,
        send: Callable[[bytes], None],
        on_incoming: Callable[[TcpStream], None] | None = None,
    ) -> None:
        self._loop = loop
        self._stack = stack
        self._send = send
        self._on_incoming = on_incoming
        self._streams: dict[Connection, TcpStream] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many connections there are, of all states."""
        return self._stack.connections

    def now(self) -> float:
        """The time of the loop."""
        return self._loop.time()

    def deliver(self, packet: bytes) -> None:
        """Give the stack a packet with a TCP segment."""
        self._stack.receive(packet, self._loop.time())

    def unreachable(self, error: Unreachable) -> None:
        """Give the stack an ICMP error."""
        self._stack.unreachable(error)

    async def connect(self, local: IPv4Address, remote: IPv4Address, port: int) -> TcpStream:
        """Open a connection; raises `OSError`. Who stops waiting leaves nothing behind."""
        connection = self._stack.connect(local.packed, remote.packed, port, self._loop.time())
        stream = self._streams[connection] = TcpStream(self, connection)
        self.flush()
        try:
            await stream.opened()
        except BaseException:
            stream.abort()
            raise
        return stream

    def flush(self) -> None:
        """Send what is to be sent, wake whom it concerns, set the timer."""
        for packet in self._stack.output():
            self._send(packet)
        for connection in self._stack.take_changed():
            stream = self._streams.get(connection)
            if stream is not None:
                stream.wake()
                if connection.state is State.CLOSED:
                    del self._streams[connection]
        for connection in self._stack.take_incoming():
            stream = self._streams[connection] = TcpStream(self, connection)
            if self._on_incoming is not None:
                self._on_incoming(stream)
        self._set_timer()

    def close(self) -> None:
        """End every connection with RST; whoever waits for one gets an error."""
        self._stack.abort_all()
        self.flush()

    def _set_timer(self) -> None:
        due = self._stack.next_deadline()
        if self._timer is not None:
            # one that fires too early costs less than a new one for every packet
            if due is not None and self._timer.when() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._stack.poll(self._loop.time())
        self.flush()
