"""libusrsctp as ctypes sees it: its functions, its structures, its numbers. Knows no loop, no address and no link.

The library runs in its AF_CONN mode here: it has no sockets and (almost) no threads of its own. Packets go in by
`usrsctp_conninput`, come out by a callback, and time passes when `usrsctp_handle_timers` says so. A peer is a number
of ours, which the library takes for a pointer and never follows. Written for 0.9.5, the last release; what it
declares has not changed since. One thread the library starts all the same; it sleeps, and never calls back.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_uint8, c_uint16, c_uint32, c_void_p
from enum import IntEnum
from functools import cache
from typing import Any

from rprov.errors import EnvironmentLacks

NAMES = ("libusrsctp.so.2", "libusrsctp.so.1", "libusrsctp.so", "libusrsctp.dylib")
PACKAGE = "libusrsctp2"
"""Debian's and Ubuntu's package."""

AF_CONN = 123
SOCK_STREAM = 1
PROTOCOL = 132
LEVEL = 132
SOL_SOCKET = 1
SO_LINGER = 13
SO_SNDBUF = 7
SO_RCVBUF = 8
MSG_EOR = 0x80
MSG_NOTIFICATION = 0x2000
SNDINFO = 1
NOT_NOW = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})
"""Errors of a call that would have to wait."""
SHUT_WR = 1


class Option(IntEnum):
    """Socket options of level `LEVEL`."""

    RTOINFO = 0x01
    ASSOCINFO = 0x02
    INITMSG = 0x03
    NODELAY = 0x04
    PEER_ADDR_PARAMS = 0x0A
    EVENT = 0x1E
    RECVRCVINFO = 0x1F
    STATUS = 0x100


class Event(IntEnum):
    """Kinds of notifications (RFC 6458 6.1), as this library numbers them."""

    ASSOC_CHANGE = 0x0001
    PEER_ADDR_CHANGE = 0x0002
    SHUTDOWN = 0x0005
    PARTIAL_DELIVERY = 0x0007


class Change(IntEnum):
    """What became of an association (RFC 6458 6.1.1), as this library numbers them."""

    COMM_UP = 1
    COMM_LOST = 2
    RESTART = 3
    SHUTDOWN_COMP = 4
    CANT_STR_ASSOC = 5


SOCKADDR = struct.Struct("@H2sP")
"""struct sockaddr_conn: family, port in network order, the number of the peer."""
SENT = struct.Struct("=HHIIi")
"""struct sctp_sndinfo: stream, flags, ppid, context, association."""
RECEIVED = struct.Struct("=H6xI")
"""The beginning of struct sctp_rcvinfo: stream and ppid, with ssn and flags between them."""
RECEIVED_SIZE = 28
"""All of it, with tsn, cumulative tsn, context and association."""
CHANGED = struct.Struct("=HHIHHHHI")
"""struct sctp_assoc_change: type, flags, length, state, error, outbound streams, inbound streams, association."""
NOTIFIED = struct.Struct("=HHI")
"""What all notifications begin with: type, flags, length."""

_EVENT = struct.Struct("=IHBx")
_INITMSG = struct.Struct("=HHHH")
_RTOINFO = struct.Struct("=IIII")
_ASSOCINFO = struct.Struct("=IIIIHH")
_PATH_PARAMETERS = struct.Struct("=128sIIIIIHBx")
_STATUS = struct.Struct("=IiIH")  # the beginning of struct sctp_status: association, state, rwnd, unackdata
_LINGER = struct.Struct("=ii")
_INT = struct.Struct("=i")
_HB_ENABLE, _PMTUD_DISABLE = 0x01, 0x10

Output = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_uint8, c_uint8)
"""Called with the number of a peer, a packet for it, type of service, don't fragment."""
Upcall = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_int)
"""Called with a socket that can be read, written or accepted from."""

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "init_nothreads": (None, (c_uint16, Output, c_void_p)),
    "socket": (c_void_p, (c_int, c_int, c_int, c_void_p, c_void_p, c_uint32, c_void_p)),
    "setsockopt": (c_int, (c_void_p, c_int, c_int, c_char_p, c_uint32)),
    "getsockopt": (c_int, (c_void_p, c_int, c_int, c_void_p, c_void_p)),
    "set_non_blocking": (c_int, (c_void_p, c_int)),
    "set_upcall": (c_int, (c_void_p, c_void_p, c_void_p)),
    "bind": (c_int, (c_void_p, c_char_p, c_uint32)),
    "listen": (c_int, (c_void_p, c_int)),
    "accept": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "connect": (c_int, (c_void_p, c_char_p, c_uint32)),
    "shutdown": (c_int, (c_void_p, c_int)),
    "close": (None, (c_void_p,)),
    "sendv": (c_ssize_t, (c_void_p, c_char_p, c_size_t, c_void_p, c_int, c_void_p, c_uint32, c_uint, c_int)),
    "recvv": (c_ssize_t, (c_void_p, c_void_p, c_size_t, *[c_void_p] * 6)),
    "conninput": (None, (c_void_p, c_void_p, c_size_t, c_uint8)),
    "handle_timers": (None, (c_uint32,)),
    "register_address": (None, (c_void_p,)),
    "deregister_address": (None, (c_void_p,)),
    "crc32c": (c_uint32, (c_char_p, c_size_t)),
}
_UNUSED = (
    *("asconf_enable", "auto_asconf", "auth_enable", "reconfig_enable", "nrsack_enable", "pktdrop_enable", "pr_enable"),
    "ecn_enable",  # the bits are in the IP header, which UDP does not show us (RFC 6951 4.8)
)
"""What is never offered: what nobody speaks nobody can abuse. `usrsctp_filter` refuses the chunks of extensions."""


class Library:
    """The functions of the library by their names, without `usrsctp_`."""

    init_nothreads: Callable[..., None]
    socket: Callable[..., int | None]
    setsockopt: Callable[..., int]
    getsockopt: Callable[..., int]
    set_non_blocking: Callable[..., int]
    set_upcall: Callable[..., int]
    bind: Callable[..., int]
    listen: Callable[..., int]
    accept: Callable[..., int | None]
    connect: Callable[..., int]
    shutdown: Callable[..., int]
    close: Callable[..., None]
    sendv: Callable[..., int]
    recvv: Callable[..., int]
    conninput: Callable[..., None]
    handle_timers: Callable[..., None]
    register_address: Callable[..., None]
    deregister_address: Callable[..., None]
    crc32c: Callable[..., int]

    def __init__(self, loaded: ctypes.PyDLL) -> None:
        """Declare everything that is used; raises `AttributeError` if the library is another one."""
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, f"usrsctp_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self._status = ctypes.create_string_buffer(256)
        self._switches = []
        for name in _UNUSED:
            switch = getattr(loaded, f"usrsctp_sysctl_set_sctp_{name}")
            switch.restype, switch.argtypes = c_int, (c_uint32,)
            self._switches.append(switch)

    def begin(self, output: Any) -> None:
        """Start the library, once in the life of a process; `output` must live as long."""
        self.init_nothreads(0, output, None)
        for switch in self._switches:
            switch(0)

    def option(self, handle: int, option: Option, value: bytes) -> None:
        """Set an option of SCTP; raises `OSError`."""
        if self.setsockopt(handle, LEVEL, option, value, len(value)):
            raise error()

    def unacknowledged(self, handle: int) -> int:
        """How many chunks an association has sent, and the peer has not acknowledged; none once it is over."""
        size = c_uint32(len(self._status))
        if self.getsockopt(handle, LEVEL, Option.STATUS, self._status, ctypes.addressof(size)):
            return 0
        return int(_STATUS.unpack_from(self._status)[3])

    def listen_at(self, handle: int, port: int, backlog: int) -> None:
        """Accept associations at a port, from any peer; raises `OSError`."""
        if self.bind(handle, sockaddr(0, port), SOCKADDR.size) or self.listen(handle, backlog):
            raise error()

    def linger(self, handle: int) -> None:
        """Let the next close be an ABORT."""
        self.setsockopt(handle, SOL_SOCKET, SO_LINGER, _LINGER.pack(1, 0), _LINGER.size)

    def buffers(self, handle: int, octets: int) -> None:
        """Say how much a socket may hold, each way; raises `OSError`."""
        for option in (SO_SNDBUF, SO_RCVBUF):
            if self.setsockopt(handle, SOL_SOCKET, option, _INT.pack(octets), _INT.size):
                raise error()


@cache
def library() -> Library:
    """Give the library, loaded once; raises `EnvironmentLacks` where there is none, and says what to install."""
    for name in NAMES:
        try:
            # PyDLL: the GIL stays with us. Its calls take microseconds, and call back more often than they would
            # let others run.
            return Library(ctypes.PyDLL(name, use_errno=True))
        except (OSError, AttributeError):
            continue
    raise EnvironmentLacks(f"user-space SCTP needs libusrsctp: apt-get install {PACKAGE}")


def available() -> bool:
    """Say whether this machine has the library."""
    try:
        library()
    except EnvironmentLacks:
        return False
    return True


def error() -> OSError:
    """The error of the last call that failed."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def sockaddr(peer: int, port: int) -> bytes:
    """A peer's number and port as an address of the library; 0 is any peer."""
    return SOCKADDR.pack(AF_CONN, port.to_bytes(2), peer)


def event(kind: Event) -> bytes:
    """Subscribes to a kind of notifications."""
    return _EVENT.pack(0, kind, 1)


def switch(on: int) -> bytes:
    """An option that is on or off."""
    return _INT.pack(on)


def initmsg(streams: int, attempts: int, longest: int) -> bytes:
    """Streams both ways, attempts to connect, and the longest time between two of them in milliseconds."""
    return _INITMSG.pack(streams, streams, attempts, min(longest, 0xFFFF))


def rtoinfo(initial: int, longest: int, shortest: int) -> bytes:
    """Retransmission timeouts in milliseconds."""
    return _RTOINFO.pack(0, initial, longest, shortest)


def associnfo(attempts: int) -> bytes:
    """After how many attempts in a row the peer counts as gone."""
    return _ASSOCINFO.pack(0, 0, 0, 0, attempts, 0)


def path_parameters(address: bytes, heartbeat: int, attempts: int, mtu: int) -> bytes:
    """Heartbeat interval in milliseconds, attempts until a path is lost, octets of a packet after its common header."""
    return _PATH_PARAMETERS.pack(address, 0, heartbeat, mtu, _HB_ENABLE | _PMTUD_DISABLE, 0, attempts, 0)
