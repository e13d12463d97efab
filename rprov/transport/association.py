"""A link over one SCTP association, whichever stack has it: what waits, who waits, and how it ends.

What the stack does not take waits here, in the order of the calls; what came waits here until it is received, and
beyond `HIGH_WATER` in the stack, which tells the peer to stop. How messages get into a stack and out of it is told by
those who derive from this.
"""

import asyncio
from collections import deque
from contextlib import suppress

from rprov.transport.link import OVERHEAD, Address, LinkLost, Statistics, require_sendable
from rprov.wire.framing import Frame

HIGH_WATER = 256 * 1024


class Association:
    """What all links over SCTP have in common; see `link.Link`."""

    CLOSE_SECONDS = 5.0
    """How long an orderly end waits for a peer that does not read."""

    def __init__(self, local: Address, peer: Address, limit: int, streams: int) -> None:
        self._local = local
        self._peer = peer
        self._limit = limit
        self._streams = streams
        self._statistics = Statistics()
        self._partial = bytearray()
        self._frames: deque[Frame] = deque()
        self._waiting_octets = 0
        self._reading = True
        self._unsent: deque[tuple[int, int, bytes]] = deque()
        self._unsent_octets = 0
        self._ended = False  # the peer has closed in order
        self._closing = False  # we have
        self._lost: LinkLost | None = None
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    # --- what a stack does ----------------------------------------------------------------------------------------

    def _give(self, stream: int, ppid: int, payload: bytes) -> bool:
        """Give the stack one message; False where it has no room, and then it calls `_flush` later. `OSError`."""
        raise NotImplementedError

    def _read_on(self) -> None:
        """Take again what comes."""
        raise NotImplementedError

    def _say_goodbye(self) -> None:
        """Begin the orderly end: everything that was given gets there."""
        raise NotImplementedError

    def _release(self) -> None:
        """Abort whatever is still established, and let the socket go."""
        raise NotImplementedError

    # --- as seen by the daemons -----------------------------------------------------------------------------------

    @property
    def local(self) -> Address:
        """This end: the address by which the association began."""
        return self._local

    @property
    def peer(self) -> Address:
        """The other end: the address by which the association began."""
        return self._peer

    @property
    def peer_names(self) -> None:
        """Nothing protects it."""
        return

    @property
    def streams(self) -> int:
        """How many streams both ends have, each way."""
        return self._streams

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._statistics

    async def send(self, stream: int, ppid: int, payload: bytes) -> None:
        """Send one message, then wait until the link takes more; see `link.Link`."""
        require_sendable(stream, ppid, payload, self._streams)
        if self._lost is not None:
            raise self._lost
        if self._closing or self._ended:
            raise LinkLost(f"{self} was closed by {'us' if self._closing else 'the peer'}")
        statistics = self._statistics
        statistics.frames_sent += 1
        statistics.octets_sent += len(payload)
        if not self._unsent:
            try:
                if self._give(stream, ppid, payload):
                    return
            except OSError as error:
                self._give_up(error)
                if self._lost is not None:
                    raise self._lost from None
                return
        self._unsent.append((stream, ppid, bytes(payload)))
        self._unsent_octets += len(payload) + OVERHEAD
        if self._unsent_octets >= HIGH_WATER:
            self._writable.clear()
        if not self._writable.is_set():
            await self._writable.wait()
        if self._lost is not None:
            raise self._lost

    async def receive(self) -> Frame | None:
        """Give the next frame; see `link.Link`."""
        while not self._frames:
            if self._closing or (self._ended and self._lost is None):
                return None
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        octets = len(frame[2])
        statistics = self._statistics
        statistics.frames_received += 1
        statistics.octets_received += octets
        self._waiting_octets -= octets + OVERHEAD
        if not self._reading and self._waiting_octets < HIGH_WATER // 2 and not self._gone.is_set():
            self._reading = True
            self._read_on()
        return frame

    async def close(self) -> None:
        """End in order, within `CLOSE_SECONDS`; see `link.Link`."""
        if not self._closing and self._lost is None:
            self._closing = True
            self._arrived.set()
            # We go on reading (and drop it): an association closed with unread messages is aborted.
            self._frames.clear()
            self._waiting_octets = 0
            if not self._reading and not self._gone.is_set():
                self._reading = True
                self._read_on()
            if not self._unsent and not self._gone.is_set():
                self._say_goodbye()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.CLOSE_SECONDS):
                    await self._gone.wait()
        finally:
            self._drop()

    def abort(self) -> None:
        """End at once; see `link.Link`."""
        if not self._gone.is_set():
            self._lose("was aborted at this end")

    def __str__(self) -> str:
        return f"the link {self._local} - {self._peer}"

    # --- what a stack tells ---------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """The stack takes more: give it what waits."""
        try:
            while self._unsent and self._give(*self._unsent[0]):
                self._unsent_octets -= len(self._unsent.popleft()[2]) + OVERHEAD
        except OSError as error:
            self._give_up(error)
            return
        if self._unsent_octets < HIGH_WATER // 2:
            self._writable.set()
        if self._closing and not self._unsent and not self._gone.is_set():
            self._say_goodbye()

    def _give_up(self, error: OSError) -> None:
        """The stack takes nothing any more."""
        self._forget_unsent()
        if not self._goodbye_comes(error):
            self._lose(f"was lost: {error.strerror}")

    def _goodbye_comes(self, error: OSError) -> bool:
        """Say whether an error of a sender means only that the peer ends in order, which reading will tell."""
        raise NotImplementedError

    def _take(self, stream: int, ppid: int, piece: bytes, whole: bool) -> None:
        """Take a message, or one more piece of it."""
        if self._closing:
            return
        octets = len(piece) + len(self._partial)
        if octets > self._limit:
            self._lose(f"was aborted: a message of {octets} octets or more, at most {self._limit} are taken")
            return
        if not whole:
            self._partial += piece
            return
        if self._partial:
            piece = bytes(self._partial) + piece
            self._partial.clear()
        self._frames.append(Frame(stream, ppid, piece))
        self._waiting_octets += octets + OVERHEAD
        if self._waiting_octets >= HIGH_WATER:
            self._reading = False
        self._arrived.set()

    def _goodbye_came(self) -> None:
        """The peer ends in order: nothing more comes, and it takes nothing more."""
        self._ended = True
        self._forget_unsent()
        self._arrived.set()

    def _finish(self, why: str) -> None:
        """The association is over; `why` is told unless one of both had closed."""
        if self._lost is None and not self._closing and not self._ended:
            self._lost = LinkLost(f"{self} {why}")
        self._drop()

    def _lose(self, why: str) -> None:
        """End it at once."""
        if self._lost is None and not self._closing:
            self._lost = LinkLost(f"{self} {why}")
        self._drop()

    def _drop(self) -> None:
        """Let the socket go, and wake everybody who waits."""
        if not self._gone.is_set():
            self._gone.set()
            self._reading = False
            self._release()
        self._forget_unsent()
        self._arrived.set()

    def _forget_unsent(self) -> None:
        self._unsent.clear()
        self._unsent_octets = 0
        self._writable.set()
