"""Strangers on the radio, by the thousand: they begin attaches as a device does, and prove nothing.

stranger = await Stranger.connect(port, How.HELLO, client_hello(device))
await stranger.begin(100)                         a hundred attaches on one link
stranger.heard                                    counters of what it was told
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto

from doubles.pki import EID, NOW, PLMN, Held
from doubles.samples import CAPABILITY

from rprov.auth.eap_tls import EapTlsPeerEngines
from rprov.auth.scheme import Answer
from rprov.cli.demo_files import LOCAL
from rprov.crypto.nas_algorithms import UPLINK
from rprov.crypto.tls_context import TlsCredentials
from rprov.errors import DecodeError
from rprov.model.identifiers import Eid
from rprov.model.numbers import Ppid
from rprov.procedure.ue_endpoint import signalling_bearer
from rprov.security.envelope import PlainPdu
from rprov.transport import tcp
from rprov.transport.link import LINK_STREAM, Link, LinkLost, stream_of
from rprov.wire.eap import Request, encode
from rprov.wire.messages import (
    ABBA,
    NO_KEY,
    AttachRequest,
    AttachType,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
    NasMessage,
)
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio import (
    RadioFrame,
    RrcReject,
    RrcSetup,
    RrcSetupRequest,
    SrbKind,
    decode_radio_frame,
    encode_srb,
)
from rprov.wire.radio_asn1 import RadioAsn1


class How(Enum):
    """What a stranger does with an attach that it has begun."""

    STUCK = auto()
    """Asks to be let in, and says no more."""
    HELLO = auto()
    """Answers the Start with a ClientHello, so that the network makes its whole flight, and says no more."""
    GARBAGE = auto()
    """Answers the Start with noise."""


def client_hello(device: Held) -> bytes:
    """The EAP packet with which a device answers a Start; a stranger may send the same one again and again."""
    engines = EapTlsPeerEngines(TlsCredentials(device.chain, device.key), [device.chain[-1]])
    start = AuthenticationRequest(0, ABBA, Eap(encode(Request(1, 13, b"\x20"))))
    answer = engines.scheme(PLMN, NOW).on_request(start)
    assert isinstance(answer, Answer)
    assert isinstance(answer.message.answer, Eap)
    return answer.message.answer.packet


def attach_request(eid: Eid = EID) -> AttachRequest:
    """What it says first: an EID that is not its own."""
    return AttachRequest(AttachType.REMOTE_PROVISIONING, eid, NO_KEY, CAPABILITY, None)


@dataclass
class Stranger:
    """One radio link of a stranger, with as many attaches on it as it likes."""

    link: Link
    first: bytes
    second: bytes | None
    heard: Counter[str] = field(default_factory=Counter)
    answered: set[int] = field(default_factory=set)
    reader: "asyncio.Task[None] | None" = None

    @classmethod
    async def connect(cls, port: int, how: How, hello: bytes, eid: Eid = EID) -> "Stranger":
        """Open a link; `hello` is what `client_hello` gave, and `eid` whose it claims to be."""
        packets = {How.STUCK: None, How.HELLO: hello, How.GARBAGE: b"\x02\x01\x00\x20\x0d\x00" + bytes(26)}
        packet = packets[how]
        srb = signalling_bearer(UPLINK)
        first = srb.protect(encode_srb(SrbKind.NAS, plain(attach_request(eid))))
        second = None
        if packet is not None:
            second = srb.protect(encode_srb(SrbKind.NAS, plain(AuthenticationResponse(Eap(packet)))))
        stranger = cls(await tcp.connect(LOCAL, port), first, second)
        stranger.reader = asyncio.get_running_loop().create_task(stranger.read())
        return stranger

    async def begin(self, attaches: int) -> None:
        """Ask for connections."""
        for number in range(attaches):
            octets = RadioAsn1().encode(RrcSetupRequest(number.to_bytes(4)))
            await self.link.send(LINK_STREAM, Ppid.RADIO, RadioFrame(0, octets).encode())  # type: ignore[arg-type]

    async def read(self) -> None:
        """Take what comes, and go on as far as this one goes."""
        try:
            while (frame := await self.link.receive()) is not None:
                heard = decode_radio_frame(frame.payload)
                if heard.ue_radio_id == 0:
                    await self.on_cell(heard.payload)
                elif self.second is not None and heard.ue_radio_id not in self.answered:
                    self.answered.add(heard.ue_radio_id)
                    await self.say(heard.ue_radio_id, self.second)
                    self.heard["start"] += 1
                else:
                    self.heard["more"] += 1
        except LinkLost:
            self.heard["lost"] += 1

    async def on_cell(self, octets: bytes) -> None:
        try:
            message = RadioAsn1().decode(octets)
        except DecodeError:
            return
        self.heard[type(message).__name__] += 1
        if isinstance(message, RrcSetup):
            await self.say(message.ue_radio_id, self.first)
        elif isinstance(message, RrcReject):
            self.heard["rejected"] += 1

    async def say(self, ue_radio_id: int, pdu: bytes) -> None:
        stream = stream_of(ue_radio_id, self.link.streams)
        frame = RadioFrame(ue_radio_id, pdu)  # type: ignore[arg-type]
        await self.link.send(stream, Ppid.RADIO, frame.encode())

    async def close(self) -> None:
        """Hang up."""
        self.link.abort()
        if self.reader is not None:
            self.reader.cancel()
            await asyncio.wait([self.reader])


def plain(message: NasMessage) -> bytes:
    """An unprotected NAS message."""
    return PlainPdu(NasAsn1().encode(message)).encode()
