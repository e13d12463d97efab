"""A link over one SCTP association of the kernel, on whatever loop has `add_reader` and `add_writer`.

A message is a message on the wire, too: streams and payload protocol identifiers are SCTP's own. Messages that the
kernel gives in parts are put together. What waits and who waits is in `association`. Knows no listener.
"""

import asyncio
import logging
import socket
from contextlib import suppress

from rprov.transport import sctp_socket as sctp
from rprov.transport.association import Association
from rprov.transport.link import Address

_LOG = logging.getLogger("rprov.transport")

GOODBYE_SECONDS = 0.02
"""How often a link that has said goodbye is looked at: whether the peer has heard it."""
AT_ONCE = 64
"""Messages that one link may bring before the loop looks at the others."""
LARGEST = 65536
"""Octets that are read at once; a longer message comes in parts."""


class SctpLink(Association):
    """One association that is established. Made by `sctp.KernelSctp`; see `link.Link`."""

    def __init__(
        self, made: socket.socket, local: tuple[Address, ...], peer: Address, limit: int, buffer: bytearray
    ) -> None:
        """Take over the socket; raises `OSError` if the association is gone already. All links share a buffer."""
        super().__init__(local[0], peer, limit, min(sctp.streams(made)))
        self._socket = made
        self._loop = asyncio.get_running_loop()
        self._local_addresses = local
        self._peer_addresses = sctp.peer_addresses(made) or (peer,)
        self._view = memoryview(buffer)
        self._loop.add_reader(made.fileno(), self._read)

    @property
    def local_addresses(self) -> tuple[Address, ...]:
        """Every address of this end."""
        return self._local_addresses

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """Every address that the other end has named."""
        return self._peer_addresses

    @property
    def carrier(self) -> str:
        """What it is."""
        return "sctp"

    # --- what `association` asks for ------------------------------------------------------------------------------

    def _give(self, stream: int, ppid: int, payload: bytes) -> bool:
        try:
            sctp.send(self._socket, stream, ppid, payload)
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._write)
            return False
        return True

    def _goodbye_comes(self, error: OSError) -> bool:
        return error.errno in sctp.ENDED

    def _read_on(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._read)

    def _say_goodbye(self) -> None:
        with suppress(OSError):  # the peer was faster
            self._socket.shutdown(socket.SHUT_WR)

    def _release(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        sctp.reset(self._socket)

    # --- what the loop asks for -----------------------------------------------------------------------------------

    def _write(self) -> None:
        self._flush()
        if not self._unsent and not self._gone.is_set():
            self._loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            try:
                octets, ancillary, flags, _ = self._socket.recvmsg_into([self._view], sctp.ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:
                self._finish(f"was lost: {error.strerror}")
                return
            if not octets:
                self._read_nothing()
                return
            if flags & sctp.MSG_NOTIFICATION:
                self._take_notification(sctp.read_notification(bytes(self._view[:octets])))
            else:
                stream, ppid = sctp.read_info(ancillary)
                self._take(stream, ppid, bytes(self._view[:octets]), bool(flags & socket.MSG_EOR))
            if not self._reading:
                if not self._gone.is_set():  # too much waits here: the rest waits in the kernel
                    self._loop.remove_reader(self._socket.fileno())
                return

    def _read_nothing(self) -> None:
        """Nothing will ever come again: the association is gone, or the kernel still says goodbye to the peer's."""
        if not self._ended:
            self._finish("was lost: the association is gone")
            return
        # To let the socket go now would be an ABORT, which overtakes the goodbye. That the kernel is done it says in a
        # notification; but until then it says all the time that there is something to read.
        self._loop.remove_reader(self._socket.fileno())
        self._loop.call_later(GOODBYE_SECONDS, self._look_again)

    def _look_again(self) -> None:
        if not self._gone.is_set():
            self._read_on()

    def _take_notification(self, happened: sctp.Notification | None) -> None:
        match happened:
            case sctp.AssociationChanged(change=sctp.Change.COMM_LOST, error=error):
                self._finish(f"was lost: {sctp.CAUSES.get(error, 'reset by the peer, or the peer is gone')}")
            case sctp.AssociationChanged(change=sctp.Change.RESTART):
                self._lose("was lost: the peer has restarted")
            case sctp.AssociationChanged(change=sctp.Change.SHUTDOWN_COMP):
                self._goodbye_came()
                self._finish("was closed by the peer")
            case sctp.PathChanged(address=address, state=state) if state < len(sctp.PATH_STATES):
                _LOG.info("%s: the path to %s %s", self, address.host, sctp.PATH_STATES[state])
            case sctp.Happened(event=sctp.Event.SHUTDOWN):
                self._goodbye_came()
            case sctp.Happened(event=sctp.Event.PARTIAL_DELIVERY):
                self._partial.clear()  # the rest of it will never come
            case sctp.Happened(event=event):
                _LOG.info("%s: %s", self, event.name.lower().replace("_", " "))
            case _:
                pass
