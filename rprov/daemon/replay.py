"""Plays one side of a capture over a link, and holds what the live node says against what the capture has.

Ends at the first difference. What must be of this run is put into what is played: the ids that the live node gives, the
identifier of its EAP request, the transaction of its set-up request. Nothing else is changed.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from rprov.errors import DecodeError
from rprov.model.identifiers import CpUeId, UeRadioId
from rprov.model.numbers import Ppid
from rprov.model.tap import LinkName
from rprov.security.envelope import PlainPdu
from rprov.trace.behaviour import Draws, Heard, Listener, Said
from rprov.trace.capture import Captured
from rprov.trace.eap_seen import eap_of
from rprov.trace.script import LINK_ITSELF, Against, Line, Script
from rprov.transport.link import LINK_STREAM, Link, LinkLost, stream_of
from rprov.wire import eap
from rprov.wire.link import N2Frame, N2Kind, N2SetupRequest, decode_n2_frame
from rprov.wire.link_asn1 import encode_link
from rprov.wire.messages import AuthenticationResponse, Eap
from rprov.wire.nas_asn1 import encode_nas
from rprov.wire.radio import RadioFrame, RrcSetup, RrcSetupRequest
from rprov.wire.radio_asn1 import encode_radio

SILENCE, CLOSED = Said("nothing"), Said("the end of the link")
"""What a live node does that is no message."""


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one line: it was played, it could not be, or the live node said `live` in its place."""

    line: Line
    live: Said | None = None

    @property
    def agrees(self) -> bool:
        """Whether the live node did what the capture has; a line that was played cannot fail."""
        return self.line.played or self.live == self.line.heard.said


@dataclass(slots=True)
class Replayed:
    """What came of a replay: one entry for each line, up to the first difference."""

    done: list[Played] = field(default_factory=list)

    @property
    def difference(self) -> Played | None:
        """The line at which the live node did something else; None where it behaved alike."""
        return next((played for played in self.done if not played.agrees), None)

    @property
    def compared(self) -> int:
        """How many messages of the live node were as in the capture."""
        return sum(played.agrees and not played.line.played for played in self.done)


@dataclass(slots=True)
class Replay:
    """One replay over one link. `seconds` is how long the live node may take for each message."""

    script: Script
    link: Link
    seconds: float
    ran_name: str | None = None
    """By which name the RAN goes in place of the capture's: its certificate's."""
    _lanes: dict[int, asyncio.Queue[Heard | None]] = field(default_factory=dict)
    _listeners: dict[int, Listener] = field(default_factory=dict)
    _cp_ids: dict[int, CpUeId] = field(default_factory=dict)
    _identifiers: dict[int, int] = field(default_factory=dict)
    _transaction: bytes = b""
    _over: bool = False

    async def run(self, tell: Callable[[Played], None] = lambda _played: None) -> Replayed:
        """Play the script and `tell` of each line as it is done."""
        outcome = Replayed()
        reader = asyncio.get_running_loop().create_task(self._read(), name="replay")
        try:
            for line in self.script.lines:
                played = await self._line(line)
                outcome.done.append(played)
                tell(played)
                if not played.agrees:
                    break
        finally:
            reader.cancel()
            await asyncio.wait([reader])
        return outcome

    async def _line(self, line: Line) -> Played:
        if not line.played:
            return Played(line, await self._hear(line.lane))
        if not line.ends:
            ue = line.seen.ue or 0
            stream = stream_of(ue, self.link.streams) if ue else LINK_STREAM
            ppid = Ppid.N2 if self.script.against is Against.CP else Ppid.RADIO
            try:
                await self.link.send(stream, ppid, self._of_now(line))
            except LinkLost:
                self._end()  # whoever expects something notices
        return Played(line)

    # --- what the live node says --------------------------------------------------------------------------------------

    async def _hear(self, lane: int) -> Said:
        queue = self._lane(lane)
        if self._over and queue.empty():
            return CLOSED
        try:
            async with asyncio.timeout(self.seconds):
                heard = await queue.get()
        except TimeoutError:
            return SILENCE
        return CLOSED if heard is None else heard.said

    def _lane(self, lane: int) -> asyncio.Queue[Heard | None]:
        return self._lanes.setdefault(lane, asyncio.Queue())

    async def _read(self) -> None:
        with suppress(LinkLost):
            while (frame := await self.link.receive()) is not None:
                self._take(frame.payload)
        self._end()

    def _end(self) -> None:
        self._over = True
        for queue in self._lanes.values():
            queue.put_nowait(None)

    def _take(self, octets: bytes) -> None:
        against_cp = self.script.against is Against.CP
        ue = int.from_bytes(octets[:4]) if len(octets) > 4 else 0
        seen = Captured(
            0,
            0.0,
            LinkName.N2 if against_cp else LinkName.RADIO,
            (self.link.peer.host, self.link.peer.port),
            (self.link.local.host, self.link.local.port),
            True,
            ue or None,
            octets,
        )
        heard = self._listeners.setdefault(ue, Listener()).hear(seen)
        lane = ue if against_cp else LINK_ITSELF
        if against_cp and ue:
            with suppress(DecodeError):
                self._cp_ids[ue] = decode_n2_frame(octets).cp_ue_id
        if isinstance(heard.value, RrcSetupRequest):
            self._transaction = heard.value.transaction
        for packet in _eap_packets(heard):
            self._identifiers[ue] = packet.identifier
        self._lane(lane).put_nowait(heard)

    # --- what is played -----------------------------------------------------------------------------------------------

    def _of_now(self, line: Line) -> bytes:
        seen, value = line.seen, line.heard.value
        if self.script.against is Against.UE:
            if isinstance(value, RrcSetup) and self._transaction:
                answer = replace(value, transaction=self._transaction)
                return RadioFrame(UeRadioId(0), encode_radio(answer)).encode()
            return seen.octets
        frame = decode_n2_frame(seen.octets)
        if isinstance(value, N2SetupRequest) and self.ran_name is not None:
            return replace(frame, payload=encode_link(replace(value, ran_name=self.ran_name))).encode()
        return self._of_this_ue(frame, line).encode()

    def _of_this_ue(self, frame: N2Frame, line: Line) -> N2Frame:
        ue, value = int(frame.ran_ue_id), line.heard.value
        if frame.cp_ue_id and ue in self._cp_ids:
            frame = replace(frame, cp_ue_id=self._cp_ids[ue])
        packets = list(_eap_packets(line.heard))
        if frame.kind is N2Kind.CONTROL or ue not in self._identifiers or not packets:
            return frame
        if not isinstance(value, AuthenticationResponse) or line.heard.draws is Draws.KEYS:
            return frame
        answer = Eap(eap.encode(replace(packets[0], identifier=self._identifiers[ue])))
        return replace(frame, payload=PlainPdu(encode_nas(replace(value, answer=answer))).encode())


def _eap_packets(heard: Heard) -> Iterator[eap.Request | eap.Response]:
    """Give the EAP request or response that a message carries, if it carries one."""
    carried = eap_of(heard.value)  # type: ignore[arg-type]  # anything that is no NAS message carries none
    if carried is None:
        return
    try:
        packet = eap.decode(carried.packet)
    except DecodeError:
        return
    if isinstance(packet, eap.Request | eap.Response):
        yield packet
