"""A link over one association of libusrsctp. Knows no UDP socket, no packet and no listener."""

import asyncio
import ctypes
import errno
from contextlib import suppress
from socket import htonl, ntohl

from rprov.model.sctp import SctpListen
from rprov.transport import usrsctp_library as sctp
from rprov.transport.association import Association
from rprov.transport.link import MAX_STREAMS, Address
from rprov.transport.usrsctp_carrier import LARGEST, Path
from rprov.transport.usrsctp_library import Change, Event
from rprov.transport.usrsctp_options import configure
from rprov.transport.usrsctp_stack import Stack

AT_ONCE = 4096
"""Messages that the library gets until all of them are acknowledged. It counts only octets of payload itself, and needs
400 for the smallest message."""

_ENDED = frozenset({errno.EPIPE, errno.ESHUTDOWN})


class _Mail:
    """Where the library puts a message and what it says of it. One for all links: calls do not overlap."""

    def __init__(self, octets: int = LARGEST) -> None:
        self.message = (ctypes.c_char * octets)()
        self.view = memoryview(self.message).cast("B")
        self.info = ctypes.create_string_buffer(sctp.RECEIVED_SIZE)
        self.info_size = ctypes.c_uint32(sctp.RECEIVED_SIZE)
        self._sender = ctypes.create_string_buffer(128)
        self._sender_size = ctypes.c_uint32(128)
        self._kind = ctypes.c_uint32()
        self.flags = ctypes.c_int()
        self.arguments = (
            ctypes.addressof(self.message),
            octets,
            *map(ctypes.addressof, (self._sender, self._sender_size, self.info)),
            *map(ctypes.addressof, (self.info_size, self._kind, self.flags)),
        )
        self._how = ctypes.create_string_buffer(sctp.SENT.size)
        self.how = (None, 0, ctypes.addressof(self._how), sctp.SENT.size, sctp.SNDINFO, 0)
        """All that is said of a message to be sent."""
        self.stream = self.ppid = -1

    def label(self, stream: int, ppid: int) -> None:
        """Say where the next message belongs; what was said stays, for it is often the same again."""
        sctp.SENT.pack_into(self._how, 0, stream, 0, htonl(ppid), 0, 0)
        self.stream, self.ppid = stream, ppid


_MAIL = _Mail()


class UsrsctpLink(Association):
    """One association. Made by `usrsctp.UserSctp`; see `link.Link`."""

    def __init__(self, stack: Stack, path: Path, peer: Address, limit: int, handle: int | None = None) -> None:
        """Make a socket for an association over this path, or take over one; `open` or `accept` comes next."""
        super().__init__(Address(path.carrier.address.host, 0), peer, limit, MAX_STREAMS)
        self._stack = stack
        self._library = stack.library
        self._sendv = stack.library.sendv
        self._path = path
        self._tag = b""
        self._credit = AT_ONCE
        self._handle = stack.socket() if handle is None else handle
        self._opened: asyncio.Future[None] | None = None
        stack.adopt(self._handle, self)
        stack.hold(path)

    def accept(self, port: int, settings: SctpListen) -> None:
        """Begin with an association that the peer has just opened at this port of ours."""
        self._local = self._local._replace(port=port)
        self._tag = self._stack.tag_of(self._path, self._peer.port, port)
        self._stack.know(self._path, self._tag)
        with suppress(OSError):  # it is over again, and reading says so
            configure(self._library, self._handle, settings, self._path.room, self._path.number, self._peer.port)
        self._read()

    async def open(self, settings: SctpListen) -> None:
        """Open an association to the peer; raises `OSError` if nobody answers."""
        self._opened = asyncio.get_running_loop().create_future()
        self._path.opening.add(self._handle)
        try:
            configure(self._library, self._handle, settings, self._path.room)
            self._tag = self._stack.connect(self._handle, self._path, self._peer.port)
            self._stack.know(self._path, self._tag)
            self._local = self._local._replace(port=int.from_bytes(self._tag[2:4]))
            await self._opened
        except BaseException:
            self._lose("was never open")
            raise
        finally:
            self._path.opening.discard(self._handle)
            self._opened = None

    # --- as seen by the daemons -----------------------------------------------------------------------------------

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """This end; it has no other."""
        return (self._local,)

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The other end; it has no other."""
        return (self._peer,)

    @property
    def carrier(self) -> str:
        """What it is."""
        return "sctp in udp"

    # --- as seen by the stack -------------------------------------------------------------------------------------

    def on_ready(self) -> None:
        """Take what came, and give what waits."""
        if self._unsent:
            self._flush()
        if self._reading:
            self._read()

    def on_refused(self, error: OSError) -> None:
        """Learn that nobody is there."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)

    def forsake(self) -> None:
        """Let go: the loop is gone."""
        self._stack.close(self._handle)

    # --- as an association does it --------------------------------------------------------------------------------

    def _give(self, stream: int, ppid: int, payload: bytes) -> bool:
        mail, octets = _MAIL, len(payload)
        if stream != mail.stream or ppid != mail.ppid:
            mail.label(stream, ppid)
        if not self._credit:
            if self._library.unacknowledged(self._handle):
                return False  # each acknowledgement makes us come back
            self._credit = AT_ONCE
        self._credit -= 1
        if self._sendv(self._handle, payload, octets, *mail.how) == octets:
            return True
        if ctypes.get_errno() in sctp.NOT_NOW:
            return False
        raise sctp.error()

    def _goodbye_comes(self, error: OSError) -> bool:
        return error.errno in _ENDED

    def _read_on(self) -> None:
        self._read()

    def _say_goodbye(self) -> None:
        self._library.shutdown(self._handle, sctp.SHUT_WR)
        self._stack.pump()

    def _release(self) -> None:
        self._stack.close(self._handle)
        self._stack.leave(self._path, self._tag)

    # --- receiving ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        mail, receive, take = _MAIL, self._library.recvv, self._take
        handle, arguments, flags, view, info = self._handle, mail.arguments, mail.flags, mail.view, mail.info
        unpack = sctp.RECEIVED.unpack_from
        while self._reading:
            flags.value = 0
            octets = receive(handle, *arguments)
            if octets > 0:
                said = flags.value
                if said & sctp.MSG_NOTIFICATION:
                    self._notice(octets)
                else:
                    stream, ppid = unpack(info)
                    take(stream, ntohl(ppid), bytes(view[:octets]), said & sctp.MSG_EOR != 0)
            else:
                if octets == 0 or ctypes.get_errno() not in sctp.NOT_NOW:
                    self._finish_with(sctp.error() if octets else None)
                return

    def _finish_with(self, error: OSError | None) -> None:
        if error is not None:
            self.on_refused(error)
        self._finish(f"was lost: {error.strerror if error else 'the association is gone'}")

    def _notice(self, octets: int) -> None:
        notification = bytes(_MAIL.view[:octets])
        _MAIL.info_size.value = sctp.RECEIVED_SIZE  # notifications have none, and the next message needs the room
        kind, _, _ = sctp.NOTIFIED.unpack_from(notification)
        if kind == Event.ASSOC_CHANGE:
            _, _, _, change, _, outward, inward, _ = sctp.CHANGED.unpack_from(notification)
            self._changed(change, min(outward, inward, MAX_STREAMS))
        elif kind == Event.SHUTDOWN:
            self._goodbye_came()
        elif kind == Event.PARTIAL_DELIVERY:
            self._partial.clear()  # the rest of it will never come

    def _changed(self, change: int, streams: int) -> None:
        match change:
            case Change.COMM_UP:
                self._streams = streams
                if self._opened is not None and not self._opened.done():
                    self._opened.set_result(None)
            case Change.RESTART:
                self._lose("was lost: the peer has restarted")
            case Change.SHUTDOWN_COMP:
                self._ended = True
                self._finish("")
            case Change.COMM_LOST:
                self._finish("was lost: the peer ended it, or is gone")
            case _:  # it cannot be opened, and the error that comes next says why
                pass
