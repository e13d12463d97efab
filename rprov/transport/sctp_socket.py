"""SCTP sockets of Linux as octets: options, structures, notifications (RFC 6458, linux/sctp.h), one-to-one style.

Python's `socket` knows the protocol's number and nothing more. Knows no link and no loop; every socket it makes is
non-blocking. What a payload protocol identifier looks like on the wire is the application's affair (RFC 6458 5.3.4):
ours are in network order.
"""

import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from rprov.model.sctp import SctpListen
from rprov.transport.link import MAX_STREAMS, Address

PROTOCOL = 132
LEVEL = 132
BUFFER = 1024 * 1024
"""Octets that a socket may hold, each way. The kernel counts some 700 for the smallest message, and drops beyond."""

ENDED = frozenset({errno.EPIPE, errno.ESHUTDOWN})
"""Errors of a sender whose association is ending in order."""


class _Option(IntEnum):
    RTOINFO = 0
    ASSOCINFO = 1
    INITMSG = 2
    NODELAY = 3
    PEER_ADDR_PARAMS = 9
    STATUS = 14
    RECVRCVINFO = 32
    BINDX_ADD = 100
    PEER_ADDRS = 108
    CONNECTX = 110
    EVENT = 127


_SNDINFO, _RCVINFO = 2, 3
_INFO = struct.Struct("=HHIIi")  # struct sctp_sndinfo: stream, flags, ppid, context, association
_RECEIVED = struct.Struct("=HHHxxI")  # the beginning of struct sctp_rcvinfo: stream, ssn, flags, ppid
_CHANGE = struct.Struct("=HHIHHHH")  # the beginning of struct sctp_assoc_change
_STATUS = struct.Struct("=iiIHHHH")  # the beginning of struct sctp_status: … instrms, outstrms
_STORAGE = 128  # struct sockaddr_storage
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_HB_ENABLE = 1

ANCILLARY = socket.CMSG_SPACE(28)
MSG_NOTIFICATION = 0x8000


class Event(IntEnum):
    """Kinds of notifications (RFC 6458 6.1)."""

    ASSOC_CHANGE = 0x8001
    PEER_ADDR_CHANGE = 0x8002
    SEND_FAILED = 0x800D
    SHUTDOWN = 0x8005
    PARTIAL_DELIVERY = 0x8006


class Change(IntEnum):
    """What became of an association (RFC 6458 6.1.1)."""

    COMM_UP = 0
    COMM_LOST = 1
    RESTART = 2
    SHUTDOWN_COMP = 3
    CANT_STR_ASSOC = 4


PATH_STATES = ("is reachable", "is unreachable", "was removed", "was added", "is the primary one", "is confirmed")
"""What became of a path, by number (RFC 6458 6.1.2)."""


@dataclass(frozen=True, slots=True)
class AssociationChanged:
    """The association came up, ended, or was replaced by another one of a restarted peer."""

    change: Change
    error: int


@dataclass(frozen=True, slots=True)
class PathChanged:
    """One of the peer's addresses became reachable or unreachable."""

    address: Address
    state: int


@dataclass(frozen=True, slots=True)
class Happened:
    """Anything else that was subscribed to."""

    event: Event


Notification = AssociationChanged | PathChanged | Happened


class Streams(NamedTuple):
    """How many streams an association has, each way."""

    inward: int
    outward: int


def available() -> bool:
    """Say whether this machine's kernel has SCTP, and lets us use it: one without `hmac` makes sockets in vain."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOL) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.listen(1)
    except OSError:
        return False
    return True


def make(family: int, settings: SctpListen) -> socket.socket:
    """Make a socket with everything set that an association takes over from it; raises `OSError`."""
    made = socket.socket(family, socket.SOCK_STREAM, PROTOCOL)
    try:
        made.setblocking(False)
        made.setsockopt(LEVEL, _Option.NODELAY, 1)
        made.setsockopt(LEVEL, _Option.RECVRCVINFO, 1)
        for event in Event:
            made.setsockopt(LEVEL, _Option.EVENT, struct.pack("=iHBx", 0, event, 1))
        longest = _milliseconds(settings.rto_max)
        init = struct.pack("=HHHH", MAX_STREAMS, MAX_STREAMS, settings.max_init, min(longest, 0xFFFF))
        made.setsockopt(LEVEL, _Option.INITMSG, init)
        rto = (_milliseconds(settings.rto_initial), longest, _milliseconds(settings.rto_min))
        made.setsockopt(LEVEL, _Option.RTOINFO, struct.pack("=iIII", 0, *rto))
        made.setsockopt(LEVEL, _Option.ASSOCINFO, struct.pack("=iHHIII", 0, settings.retransmissions, 0, 0, 0, 0))
        made.setsockopt(LEVEL, _Option.PEER_ADDR_PARAMS, _path_parameters(settings))
        for forced, plain in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
            try:
                made.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
            except PermissionError:  # then as much as everybody may have
                made.setsockopt(socket.SOL_SOCKET, plain, BUFFER)
    except BaseException:
        made.close()
        raise
    return made


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _path_parameters(settings: SctpListen) -> bytes:
    head = struct.pack(f"=i{_STORAGE}x", 0)
    heartbeat = _milliseconds(settings.heartbeat)
    return head + struct.pack("=IHIIIIBx", heartbeat, settings.path_retransmissions, 0, 0, _HB_ENABLE, 0, 0)


# --- addresses ----------------------------------------------------------------------------------------------------


def bind(made: socket.socket, addresses: Sequence[Address]) -> int:
    """Bind to all of these and give the one port: the first one's, or whichever is free; raises `OSError`."""
    made.setsockopt(LEVEL, _Option.BINDX_ADD, pack_addresses(addresses[:1]))
    port = int(made.getsockname()[1])
    further = [address._replace(port=port) for address in addresses[1:]]
    if further:
        made.setsockopt(LEVEL, _Option.BINDX_ADD, pack_addresses(further))
    return port


def connect(made: socket.socket, addresses: Sequence[Address]) -> None:
    """Begin to connect to a peer that has all of these; it is done when the socket can be written to. `OSError`."""
    try:
        made.setsockopt(LEVEL, _Option.CONNECTX, pack_addresses(addresses))
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise


def pack_addresses(addresses: Iterable[Address]) -> bytes:
    """Give them as an array of socket addresses, without gaps (RFC 6458 9.1)."""
    return b"".join(map(_pack_address, addresses))


def _pack_address(address: Address) -> bytes:
    parsed = ip_address(address.host)
    head = struct.pack("=H", socket.AF_INET if parsed.version == 4 else socket.AF_INET6)
    port = struct.pack("!H", address.port)
    return head + port + (parsed.packed + bytes(8) if parsed.version == 4 else bytes(4) + parsed.packed + bytes(4))


def _unpack_address(data: bytes) -> tuple[Address, int]:
    """Give the first address and how many octets it takes."""
    (family,), (port,) = struct.unpack_from("=H", data), struct.unpack_from("!H", data, 2)
    if family == socket.AF_INET:
        return Address(str(IPv4Address(data[4:8])), port), 16
    return Address(str(IPv6Address(data[8:24])), port), 28


def peer_addresses(made: socket.socket) -> tuple[Address, ...]:
    """Every address of the other end; none once the association is over."""
    # Those of this end are not asked for in the same way: Linux says how long the answer is, and is 8 octets short.
    found: list[Address] = []
    with suppress(OSError):
        data = made.getsockopt(LEVEL, _Option.PEER_ADDRS, 1024)  # struct sctp_getaddrs; Python asks for no more
        offset = 8
        for _ in range(struct.unpack_from("=I", data, 4)[0]):
            address, octets = _unpack_address(data[offset:])
            found.append(address)
            offset += octets
    return tuple(found)


def streams(made: socket.socket) -> Streams:
    """How many streams were agreed on; raises `OSError` where there is no association."""
    status = _STATUS.unpack_from(made.getsockopt(LEVEL, _Option.STATUS, 176))
    return Streams(status[5], status[6])


# --- messages -----------------------------------------------------------------------------------------------------


def send(made: socket.socket, stream: int, ppid: int, payload: bytes) -> None:
    """Send one message whole; raises `BlockingIOError` where there is no room for it, and `OSError`."""
    info = _INFO.pack(stream, 0, socket.htonl(ppid), 0, 0)
    made.sendmsg([payload], [(LEVEL, _SNDINFO, info)], socket.MSG_NOSIGNAL)


CAUSES = {12: "the user of the peer ended it", 13: "the peer does not answer, or breaks the protocol"}
"""Why an association was aborted, as far as it says more than that it was (RFC 9260 3.3.10)."""


def read_info(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Give stream and payload protocol identifier of what was received."""
    for level, kind, data in ancillary:
        if level == LEVEL and kind == _RCVINFO:
            stream, _, _, ppid = _RECEIVED.unpack_from(data)
            return stream, socket.ntohl(ppid)
    return 0, 0


def read_notification(data: bytes) -> Notification | None:
    """Give what has happened; None where it means nothing to us."""
    kind, _, _ = struct.unpack_from("=HHI", data)
    if kind == Event.ASSOC_CHANGE:
        _, _, _, change, error, _, _ = _CHANGE.unpack_from(data)
        known = change in Change._value2member_map_
        return AssociationChanged(Change(change), socket.ntohs(error)) if known else None
    if kind == Event.PEER_ADDR_CHANGE:
        (state,) = struct.unpack_from("=i", data, 8 + _STORAGE)
        return PathChanged(_unpack_address(data[8:])[0], state)
    return Happened(Event(kind)) if kind in Event._value2member_map_ else None


def reset(made: socket.socket) -> None:
    """Close with an ABORT: the peer sees a broken association."""
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()
