"""The bare twins of `transport.py`: the same messages with nothing of ours around them.

Each end has `open`, `serve`, `send`, `receive` and `abort`, and waits where it must; nothing else is asked of it.
"""

import asyncio
import ctypes
import socket
import struct
from collections import deque
from typing import Any

from rprov.transport import usrsctp_library as usrsctp

try:
    import sctp as pysctp
except ImportError:
    pysctp = None

HOST = "127.0.0.1"
SINK = 1
_LENGTH = struct.Struct(">I")


class BareTcp(asyncio.Protocol):
    """A length, then the message."""

    def __init__(self, serving: bool = False) -> None:
        self._serving = serving
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._transport: Any = None

    @classmethod
    async def serve(cls) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: cls(True), HOST, 0, backlog=1024)
        return int(server.sockets[0].getsockname()[1])

    @classmethod
    async def open(cls, port: int) -> "BareTcp":
        return (await asyncio.get_running_loop().create_connection(cls, HOST, port))[1]

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=256 * 1024)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if len(buffer) < at + 4 + length:
                break
            payload = bytes(buffer[at + 4 : at + 4 + length])
            at += 4 + length
            if not self._serving:
                self._messages.append(payload)
                if self._waiting is not None and not self._waiting.done():
                    self._waiting.set_result(None)
            elif payload[0] != SINK:
                self._transport.write(_LENGTH.pack(length) + payload)
        del buffer[:at]

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    async def send(self, payload: bytes) -> None:
        self._transport.write(_LENGTH.pack(len(payload)) + payload)
        if self._writable is not None:
            await self._writable

    async def receive(self) -> bytes:
        while not self._messages:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._messages.popleft()

    def abort(self) -> None:
        self._transport.abort()


def _udp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    for forced, plain in ((32, socket.SO_SNDBUF), (33, socket.SO_RCVBUF)):
        try:
            made.setsockopt(socket.SOL_SOCKET, forced, 4 << 20)
        except OSError:
            made.setsockopt(socket.SOL_SOCKET, plain, 4 << 20)
    made.bind((HOST, 0))
    return made


class _Stack:
    """The library over two UDP sockets, one for each end: no filter, no paths; a peer is the number of its port."""

    def __init__(self) -> None:
        self.library = usrsctp.library()
        self.ends: dict[int, Any] = {}
        self._ready: set[int] = set()
        self._buffer = (ctypes.c_char * 65536)()
        self._address = ctypes.addressof(self._buffer)
        self._loop = asyncio.get_running_loop()
        self._output = usrsctp.Output(self._send)
        self._upcall = usrsctp.Upcall(self._note)
        self.upcall = ctypes.cast(self._upcall, ctypes.c_void_p)
        self.library.begin(self._output)
        here, there = _udp_socket(), _udp_socket()
        self.port = there.getsockname()[1]
        self._routes = {self.port: here, here.getsockname()[1]: there}
        for number, made in self._routes.items():
            self.library.register_address(number)
            self._loop.add_reader(made.fileno(), self._read, made)
        self._ticked = self._loop.time()
        self._loop.call_later(0.02, self._tick)

    def _send(self, number: int, packet: int, octets: int, _service: int, _whole: int) -> int:
        try:
            self._routes[number].sendto(ctypes.string_at(packet, octets), (HOST, number))
        except OSError:
            return 0
        return 0

    def _note(self, handle: int, _argument: int, _flags: int) -> None:
        self._ready.add(handle)

    def _read(self, made: socket.socket) -> None:
        try:
            for _ in range(64):
                octets, name = made.recvfrom_into(self._buffer)
                self.library.conninput(name[1], self._address, octets, 0)
        except OSError:
            pass
        self.pump()

    def pump(self) -> None:
        while self._ready:
            end = self.ends.get(self._ready.pop())
            if end is not None:
                end.on_ready()

    def _tick(self) -> None:
        now = self._loop.time()
        self.library.handle_timers(int((now - self._ticked) * 1000))
        self._ticked = now
        self.pump()
        self._loop.call_later(0.02, self._tick)

    def configured(self, end: Any, handle: int | None) -> int:
        """A socket with the options of ours."""
        library = self.library
        made = handle or library.socket(usrsctp.AF_CONN, usrsctp.SOCK_STREAM, usrsctp.PROTOCOL, None, None, 0, None)
        assert made
        library.set_non_blocking(made, 1)
        library.set_upcall(made, self.upcall, None)
        if handle is None:
            library.option(made, usrsctp.Option.NODELAY, usrsctp.switch(1))
            library.option(made, usrsctp.Option.RECVRCVINFO, usrsctp.switch(1))
            library.option(made, usrsctp.Option.PEER_ADDR_PARAMS, usrsctp.path_parameters(b"", 5000, 3, 9000))
            library.option(made, usrsctp.Option.INITMSG, usrsctp.initmsg(256, 4, 5000))
            library.option(made, usrsctp.Option.EVENT, usrsctp.event(usrsctp.Event.ASSOC_CHANGE))
            library.buffers(made, 256 * 1024)
        self.ends[made] = end
        return made


class _Door:
    """Accepts."""

    def __init__(self, stack: _Stack) -> None:
        self._stack = stack
        self._handle = stack.configured(self, None)
        stack.library.listen_at(self._handle, 5001, 128)

    def on_ready(self) -> None:
        name, size = ctypes.create_string_buffer(16), ctypes.c_uint32(16)
        while handle := self._stack.library.accept(self._handle, ctypes.addressof(name), ctypes.addressof(size)):
            BareUsrsctp(self._stack, handle).on_ready()


class BareUsrsctp:
    """One association."""

    stack: _Stack | None = None

    def __init__(self, stack: _Stack, handle: int | None = None) -> None:
        self._stack = stack
        self._serving = handle is not None
        self._messages: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room: asyncio.Future[None] | None = None
        self._message = (ctypes.c_char * 65536)()
        self._view = memoryview(self._message).cast("B")
        self._info = ctypes.create_string_buffer(28)
        self._sender = ctypes.create_string_buffer(128)
        self._sizes = (ctypes.c_uint32(28), ctypes.c_uint32(128), ctypes.c_uint32(), ctypes.c_int())
        info_size, sender_size, kind, flags = map(ctypes.addressof, self._sizes)
        where = (self._sender, self._info)
        sender, info = map(ctypes.addressof, where)
        self._arguments = (ctypes.addressof(self._message), 65536, sender, sender_size, info, info_size, kind, flags)
        self._how = ctypes.create_string_buffer(usrsctp.SENT.pack(1, 0, socket.htonl(1), 0, 0), 16)
        self._how_address = ctypes.addressof(self._how)
        self._handle = stack.configured(self, handle)

    @classmethod
    async def serve(cls) -> int:
        cls.stack = _Stack()
        _Door(cls.stack)
        return int(cls.stack.port)

    @classmethod
    async def open(cls, port: int) -> "BareUsrsctp":
        stack = cls.stack
        end = cls(stack)
        stack.library.connect(end._handle, usrsctp.sockaddr(port, 5001), usrsctp.SOCKADDR.size)
        await end._up
        return end

    def on_ready(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        library, flags, sizes = self._stack.library, self._sizes[3], self._sizes
        while True:
            flags.value = 0
            octets = library.recvv(self._handle, *self._arguments)
            if octets <= 0:
                if octets == 0 or usrsctp.error().errno not in usrsctp.NOT_NOW:
                    self.abort()
                return
            if flags.value & usrsctp.MSG_NOTIFICATION:
                sizes[0].value = 28
                if not self._up.done():
                    self._up.set_result(None)
                continue
            payload = bytes(self._view[:octets])
            if not self._serving:
                self._messages.append(payload)
                if self._waiting is not None and not self._waiting.done():
                    self._waiting.set_result(None)
            elif payload[0] != SINK:
                library.sendv(self._handle, payload, octets, None, 0, self._how_address, 16, 1, 0)

    async def send(self, payload: bytes) -> None:
        sendv, size = self._stack.library.sendv, len(payload)
        while sendv(self._handle, payload, size, None, 0, self._how_address, 16, 1, 0) < 0:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def receive(self) -> bytes:
        while not self._messages:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._messages.popleft()

    def abort(self) -> None:
        if self._stack.ends.pop(self._handle, None) is not None:
            self._stack.library.linger(self._handle)
            self._stack.library.close(self._handle)


class Pysctp:
    """The public binding of the kernel's SCTP, with `add_reader`."""

    def __init__(self, made: Any, serving: bool) -> None:
        self._made = made
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._messages: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        made.setblocking(False)
        made.set_nodelay(True)
        self._loop.add_reader(made.fileno(), self._read)

    @classmethod
    async def serve(cls) -> int:
        listener = pysctp.sctpsocket_tcp(socket.AF_INET)
        listener.bind((HOST, 0))
        listener.listen(128)
        ends = []
        reader = asyncio.get_running_loop().add_reader
        reader(listener.fileno(), lambda: ends.append(cls(listener.accept()[0], True)))
        cls.kept = (listener, ends)
        return int(listener.getsockname()[1])

    @classmethod
    async def open(cls, port: int) -> "Pysctp":
        made = pysctp.sctpsocket_tcp(socket.AF_INET)
        made.connect((HOST, port))
        return cls(made, False)

    def _read(self) -> None:
        try:
            _, _, payload, _ = self._made.sctp_recv(65536)
        except BlockingIOError:
            return
        if not payload:
            self.abort()
        elif not self._serving:
            self._messages.append(payload)
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(None)
        elif payload[0] != SINK:
            self._made.sctp_send(payload, ppid=socket.htonl(1), stream=1)

    async def send(self, payload: bytes) -> None:
        while True:
            try:
                self._made.sctp_send(payload, ppid=socket.htonl(1), stream=1)
            except BlockingIOError:
                room = self._loop.create_future()
                self._loop.add_writer(self._made.fileno(), lambda room=room: room.done() or room.set_result(None))
                await room
                self._loop.remove_writer(self._made.fileno())
            else:
                return

    async def receive(self) -> bytes:
        while not self._messages:
            self._waiting = self._loop.create_future()
            await self._waiting
        return self._messages.popleft()

    def abort(self) -> None:
        self._loop.remove_reader(self._made.fileno())
        self._made.close()
