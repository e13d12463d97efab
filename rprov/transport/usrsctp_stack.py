"""libusrsctp in an event loop: one stack for the whole process, whose packets travel in UDP (RFC 6951).

    packet -> carrier -> filter -> path -> conninput -+-> output: a packet for a path -> its carrier
    tick   -> handle_timers --------------------------+-> upcall: a socket that can be read, written, accepted from
                                                          -> noted, and looked at by `pump` when the library is done

Every call of the library is made by the loop's thread, and none out of its callbacks. The library is never ended: what
is called after its end crashes, and an idle one costs nothing, since time only passes for it while somebody needs it.
Knows no link, only ends that are told when there is something to do.
"""

import asyncio
import ctypes
import errno
import os
import struct
from functools import cache
from typing import Protocol

from rprov.errors import EnvironmentLacks
from rprov.transport import usrsctp_library as sctp
from rprov.transport.usrsctp_carrier import LARGEST, Carrier, Drop, Name, Path, udp_socket
from rprov.transport.usrsctp_filter import Chunk
from rprov.transport.usrsctp_paths import Paths, Tag

TICK = 0.02
"""Seconds between two looks at the library's timers; the shortest that matter are retransmissions, some 100 ms."""

_INIT, _COOKIE_ECHO = int(Chunk.INIT), int(Chunk.COOKIE_ECHO)
_ABORT = struct.Struct(">BBH")


class End(Protocol):
    """Whoever has a socket of the library."""

    def on_ready(self) -> None:
        """Read, write or accept what can be now."""

    def on_refused(self, error: OSError) -> None:
        """Learn that nobody is where an association was to be opened to."""

    def forsake(self) -> None:
        """Let go, without a word to anybody: the loop is gone."""


class Door(Protocol):
    """Whoever accepts associations at a port."""

    def open_at(self, carrier: Carrier) -> bool:
        """Say whether somebody listens there."""


class Stack:
    """The library in this process, and the loop that runs it."""

    def __init__(self) -> None:
        self.library = sctp.library()
        self.paths = Paths(os.urandom(32))
        self.ends: dict[int, End] = {}
        """Who has which socket."""
        self.doorways: dict[int, Door] = {}
        """Who accepts associations, by port."""
        self._packet = (ctypes.c_char * LARGEST)()
        self._packet_address = ctypes.addressof(self._packet)
        self._view = memoryview(self._packet).cast("B")
        self._ready: dict[int, None] = {}
        self._pumping = False
        self._listening: dict[tuple[str, int], Carrier] = {}
        self._outward: dict[tuple[str, Drop | None], Carrier] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticked = 0.0
        self._ticking = False
        self._opening: list[bytes] | None = None
        self._newest: tuple[Path | None, Tag] = None, b""  # the last packet that may have opened an association
        self._process = os.getpid()
        # The library keeps both for the life of the process, and so must we.
        self._output_callback = sctp.Output(self._output)
        self._upcall_callback = sctp.Upcall(self._upcall)
        self._upcall_address = ctypes.cast(self._upcall_callback, ctypes.c_void_p)
        self.library.begin(self._output_callback)

    def claim(self) -> None:
        """Serve the running loop from now on; raises `EnvironmentLacks` while another one needs the stack."""
        if os.getpid() != self._process:
            raise EnvironmentLacks("user-space SCTP cannot go on in a process that was forked from one with it")
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self.ends:
            raise EnvironmentLacks("user-space SCTP already runs in another event loop of this process")
        for end in tuple(self.ends.values()):
            end.forsake()
        for carrier in (*self._listening.values(), *self._outward.values()):
            carrier.close()
        self._listening.clear()
        self._outward.clear()
        self.paths.clear()
        self._loop = loop
        self._ticking = False

    # --- carriers -------------------------------------------------------------------------------------------------

    def listening_carrier(self, host: str, port: int, drop: Drop | None) -> Carrier:
        """Give the UDP socket at an address, held by whoever asked; port 0 makes one at a free port. `OSError`."""
        self.claim()
        carrier = self._listening.get((host, port))
        if carrier is None:
            carrier = Carrier(udp_socket(host, port), self, self._view, drop)
            self._listening[host, carrier.address.port] = carrier
        carrier.holders += 1
        return carrier

    def outward_carrier(self, host: str, drop: Drop | None) -> Carrier:
        """Give the UDP socket from which we connect, held by whoever asked. Raises `OSError`."""
        self.claim()
        carrier = self._outward.get((host, drop))
        if carrier is None:
            carrier = self._outward[host, drop] = Carrier(udp_socket(host, 0), self, self._view, drop)
        carrier.holders += 1
        return carrier

    def release(self, carrier: Carrier) -> None:
        """Hold it no more; when nobody does, the socket goes."""
        carrier.holders -= 1
        if not carrier.holders:
            self._listening = {key: other for key, other in self._listening.items() if other is not carrier}
            self._outward = {key: other for key, other in self._outward.items() if other is not carrier}
            carrier.close()

    # --- sockets of the library -----------------------------------------------------------------------------------

    def socket(self) -> int:
        """Make a socket; raises `OSError`."""
        handle = self.library.socket(sctp.AF_CONN, sctp.SOCK_STREAM, sctp.PROTOCOL, None, None, 0, None)
        if not handle:
            raise sctp.error()
        return handle

    def adopt(self, handle: int, end: End) -> None:
        """Tell an end from now on when there is something to do for its socket."""
        self.ends[handle] = end
        self.library.set_non_blocking(handle, 1)
        self.library.set_upcall(handle, self._upcall_address, None)
        if not self._ticking and self._loop is not None:
            self._ticking = True
            self._ticked = self._loop.time()
            self._loop.call_later(TICK, self._tick, self._loop)

    def connect(self, handle: int, path: Path, port: int) -> Tag:
        """Begin to open an association; gives the tag that its packets will bear. Raises `OSError`."""
        self._opening = []
        try:
            if self.library.connect(handle, sctp.sockaddr(path.number, port), sctp.SOCKADDR.size):
                error = sctp.error()
                if error.errno != errno.EINPROGRESS:
                    raise error
            # Our INIT is out already, and what it says of us comes back in every packet (RFC 9260 3.3.2).
            packet = self._opening[0] if self._opening else bytes(20)
        finally:
            self._opening = None
        return packet[2:4] + packet[:2] + packet[16:20]

    def close(self, handle: int) -> None:
        """Close an end's socket; an association that is still there is aborted."""
        if self.ends.pop(handle, None) is not None:
            self.discard(handle)

    def discard(self, handle: int) -> None:
        """Close a socket that no end has."""
        self.library.linger(handle)
        self.library.set_upcall(handle, None, None)
        self.library.close(handle)
        self._ready.pop(handle, None)

    def path(self, carrier: Carrier, name: Name) -> Path:
        """Give the path to a peer; it is gone after the next packet from it if nobody holds it. Raises `OSError`."""
        path = carrier.paths.get(name) or self.paths.enter(carrier, name)
        if path is None:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return path

    def hold(self, path: Path) -> None:
        """Keep a path, for one association."""
        if not path.links:
            self.library.register_address(path.number)
        path.links += 1
        path.carrier.holders += 1

    def know(self, path: Path, tag: Tag) -> None:
        """Know an association's packets by their tag, wherever they come from."""
        if tag:
            self.paths.by_tag[tag] = path

    def tag_of(self, path: Path, theirs: int, ours: int) -> Tag:
        """Give the tag of an association just accepted: that of the packet that has opened it; empty if unknown."""
        newest, tag = self._newest
        return tag if newest is path and tag[:4] == theirs.to_bytes(2) + ours.to_bytes(2) else b""

    def leave(self, path: Path, tag: Tag) -> None:
        """Keep it no more."""
        if self.paths.by_tag.get(tag) is path:
            del self.paths.by_tag[tag]
        path.links -= 1
        if not path.links:
            self.library.deregister_address(path.number)
            self.paths.leave(path)
        self.release(path.carrier)

    # --- packets --------------------------------------------------------------------------------------------------

    def take(self, carrier: Carrier, packet: memoryview, name: Name) -> None:
        """Give a packet to the library, as one of the path that it came by."""
        first = packet[12]
        path = carrier.paths.get(name)
        if first == _INIT and not self._open_at(carrier, packet):
            self._refuse(carrier, packet, name)
            return
        if path is None:
            path = self._moved(carrier, packet, name) or self.paths.enter(carrier, name)
            if path is None:
                return
        self.library.conninput(path.number, self._packet_address, len(packet), 0)
        if first == _COOKIE_ECHO:
            self._newest = path, bytes(packet[:8])
            self.pump()
        if not path.links:  # a stranger; what there was to answer has been sent
            self.paths.leave(path)

    def _open_at(self, carrier: Carrier, packet: memoryview) -> bool:
        doorway = self.doorways.get(packet[2] << 8 | packet[3])
        return doorway is not None and doorway.open_at(carrier)

    def _moved(self, carrier: Carrier, packet: memoryview, name: Name) -> Path | None:
        """Find the path by the tag: a NAT may give a peer another address at any time (RFC 6951 4.4)."""
        path = self.paths.by_tag.get(bytes(packet[:8]))
        if path is None or path.carrier is not carrier or not self._unharmed(packet):
            return None
        self.paths.move(path, name)
        return path

    def _refuse(self, carrier: Carrier, packet: memoryview, name: Name) -> None:
        """Answer an INIT with an ABORT that bears its tag: nobody listens at the port (RFC 9260 8.4)."""
        if self._unharmed(packet):
            header = bytes(packet[2:4]) + bytes(packet[:2]) + bytes(packet[16:20])
            chunk = _ABORT.pack(Chunk.ABORT, 0, _ABORT.size)
            carrier.send(header + self._checksum(header + bytes(4) + chunk) + chunk, name)

    def _checksum(self, packet: bytes) -> bytes:
        """CRC32c of a packet whose checksum is zero, as it stands in it."""
        return self.library.crc32c(packet, len(packet)).to_bytes(4, "little")

    def _unharmed(self, packet: memoryview) -> bool:
        return self._checksum(bytes(packet[:8]) + bytes(4) + bytes(packet[12:])) == packet[8:12]

    def nobody_there(self, path: Path, error: OSError) -> None:
        """Tell whoever tries to connect over a path."""
        for handle in tuple(path.opening):
            self.ends[handle].on_refused(error)

    # --- the library calls ----------------------------------------------------------------------------------------

    def _output(self, number: int, packet: int, octets: int, _service: int, _whole: int) -> int:
        path = self.paths.by_number.get(number)
        if path is not None:
            data = ctypes.string_at(packet, octets)
            if self._opening is not None:
                self._opening.append(data)
            path.carrier.send(data, path.name)
        return 0

    def _upcall(self, handle: int, _argument: int, _flags: int) -> None:
        self._ready[handle] = None

    # --- the loop calls -------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Tell every end for which there is something to do."""
        if self._pumping:
            return
        self._pumping = True
        try:
            ready, ends = self._ready, self.ends
            while ready:
                handle, _ = ready.popitem()
                end = ends.get(handle)
                if end is not None:
                    end.on_ready()
        finally:
            self._pumping = False

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        milliseconds = int((loop.time() - self._ticked) * 1000)
        self._ticked += milliseconds / 1000
        self.library.handle_timers(milliseconds)
        self.pump()
        self._ticking = bool(self.ends)
        if self._ticking:
            loop.call_later(TICK, self._tick, loop)


@cache
def stack() -> Stack:
    """Give the stack of this process, begun once; raises `EnvironmentLacks` where there is no library."""
    return Stack()
