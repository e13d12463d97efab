"""The RAN's endpoint for one UE: signalling bearer on one side, N2 on the other, NAS carried unseen between them.

Owns the PDCP entity of the signalling bearer and the two ids of the UE on N2.
"""

from dataclasses import dataclass
from typing import Any

from rprov.crypto.nas_algorithms import DOWNLINK
from rprov.errors import DecodeError, MacMismatch, PeerError, Unprotected
from rprov.model.identifiers import CpUeId, RanUeId, UeRadioId
from rprov.model.report import Discarded, MessageSeen
from rprov.procedure.access_security import AwaitAsSecurity
from rprov.procedure.actions import (
    Action,
    CipherSrb,
    RelayDown,
    RelayUp,
    Report,
    RestoreSrb,
    SecureSrb,
    SendN2,
    SendRrc,
    Transmit,
)
from rprov.procedure.engines import RanEnv
from rprov.procedure.events import Answer, Event, NasDown, NasGiven, Protection, Received
from rprov.procedure.machine import Machine, Unhandled
from rprov.procedure.radio_connection import RanConnected, RanFresh, begin_ran
from rprov.procedure.ran import ran_machine
from rprov.procedure.ue_endpoint import signalling_bearer
from rprov.security.pdcp import PdcpEntity
from rprov.security.policy import PLAIN_RRC, Receiver
from rprov.wire.codec import LinkCodec, RadioCodec
from rprov.wire.framing import HEADER_SIZE
from rprov.wire.link import N2Frame, N2Kind
from rprov.wire.radio import (
    AsSecurityModeFailure,
    RadioFrame,
    RadioMessage,
    RrcSetupRequest,
    SrbKind,
    decode_srb,
    encode_srb,
)

NOBODY = CpUeId(0)


@dataclass(slots=True)
class RanEndpoint:
    """One UE in the RAN."""

    machine: Machine
    radio: RadioCodec
    link: LinkCodec
    ue_radio_id: UeRadioId
    ran_ue_id: RanUeId
    srb: PdcpEntity
    before: PdcpEntity | None = None
    """The bearer without keys, until the UE has shown that it takes the keys into use."""
    cp_ue_id: CpUeId = NOBODY
    introduced: bool = False
    """Whether the CP has heard of this UE: the first NAS PDU travels as the initial one."""

    @classmethod
    def create(cls, radio: RadioCodec, link: LinkCodec, ue_radio_id: UeRadioId, ran_ue_id: RanUeId) -> "RanEndpoint":
        """A UE that has asked for a connection."""
        return cls(ran_machine(), radio, link, ue_radio_id, ran_ue_id, signalling_bearer(DOWNLINK))

    @property
    def ue(self) -> str:
        """What this UE is called in reports."""
        return f"{self.ue_radio_id:08x}"

    @property
    def half_open(self) -> bool:
        """Whether the UE has no AS security yet: nobody knows who it is."""
        return isinstance(self.machine.state, (RanFresh, RanConnected, AwaitAsSecurity))

    def begin(self, request: RrcSetupRequest, env: RanEnv) -> list[Action]:
        """Give the UE its connection."""
        move = begin_ran(self.ue_radio_id, request, env)
        return self._perform(self.machine.enter(move), env)

    def receive_radio(self, pdu: bytes, env: RanEnv) -> list[Action]:
        """Take one PDU of the signalling bearer."""
        try:
            event = self._verify(pdu)
        except PeerError as error:
            return self._dropped("radio", f"{type(error).__name__}: {error}", env)
        return self.step(event, env)

    def receive_n2(self, frame: N2Frame, env: RanEnv) -> list[Action]:
        """Take one message of the CP for this UE."""
        if self.cp_ue_id == 0:
            self.cp_ue_id = frame.cp_ue_id
        if frame.cp_ue_id != self.cp_ue_id:
            return self._dropped("n2", "a message with another cpUeId", env)
        if frame.kind is N2Kind.NAS:
            seen = self._seen("cp", "ran", "DownlinkNasTransport", len(frame.encode()), env)
            return [seen, *self.step(NasDown(frame.payload), env)]
        try:
            message = self.link.decode(frame.payload)
        except DecodeError as error:
            return self._dropped("n2", str(error), env)
        seen = self._seen("cp", "ran", type(message).__name__, len(frame.encode()), env)
        return [seen, *self.step(Received(message, frame.payload, Protection.TRUSTED_LINK), env)]

    def step(self, event: Event | Received[Any], env: RanEnv) -> list[Action]:
        """Take an event of the shell."""
        outcome = self.machine.step(event, env, self.ue)
        if isinstance(outcome, Unhandled):
            return self._unhandled(outcome, event, env)
        return self._perform(outcome, env)

    def answer(self, ticket: int, answer: Answer, env: RanEnv) -> list[Action]:
        """Take an answer of the shell."""
        outcome = self.machine.answer(ticket, answer, env, self.ue)
        return [] if isinstance(outcome, Unhandled) else self._perform(outcome, env)

    def _verify(self, pdu: bytes) -> NasGiven | Received[RadioMessage]:
        secured = not isinstance(self.machine.state, (RanFresh, RanConnected))
        protection = Protection.CURRENT if secured else Protection.PLAIN
        try:
            kind, payload = decode_srb(self.srb.unprotect(pdu))
        except MacMismatch:
            return self._failure(pdu)
        if kind is SrbKind.NAS:
            return NasGiven(payload)
        message = self.radio.decode(payload)
        if not secured and type(message) not in PLAIN_RRC[Receiver.RAN, secured]:
            raise Unprotected(f"an unprotected {type(message).__name__}")
        return Received(message, payload, protection)

    def _failure(self, pdu: bytes) -> Received[RadioMessage]:
        """A UE that refuses our keys can only say so without them (TS 33.501 6.7.4)."""
        if not isinstance(self.machine.state, AwaitAsSecurity) or self.before is None:
            raise MacMismatch("the MAC-I of a PDU is wrong")
        kind, payload = decode_srb(self.before.unprotect(pdu))
        if kind is SrbKind.RRC:
            message = self.radio.decode(payload)
            if isinstance(message, AsSecurityModeFailure) and type(message) in PLAIN_RRC[Receiver.RAN, True]:
                return Received(message, payload, Protection.PLAIN)
        raise MacMismatch("the MAC-I of a PDU is wrong")

    def _unhandled(self, outcome: Unhandled, event: Event | Received[Any], env: RanEnv) -> list[Action]:
        if outcome is Unhandled.STALE:
            return []
        return self._dropped("ran", f"unexpected: {self.machine.key_of(event).__name__}", env)

    def _perform(self, actions: tuple[Action, ...], env: RanEnv) -> list[Action]:
        done: list[Action] = []
        for action in actions:
            match action:
                case RelayUp(pdu=pdu):
                    kind = N2Kind.NAS if self.introduced else N2Kind.INITIAL_NAS
                    name = "UplinkNasTransport" if self.introduced else "InitialUeMessage"
                    self.introduced = True
                    done += self._n2(kind, pdu, name, env)
                case SendN2(message=message):
                    done += self._n2(N2Kind.CONTROL, self.link.encode(message), type(message).__name__, env)
                case RelayDown(pdu=pdu):
                    done += self._radio(self.srb.protect(encode_srb(SrbKind.NAS, pdu)))
                case SendRrc(message=message, cell=True):
                    octets = RadioFrame(UeRadioId(0), self.radio.encode(message)).encode()
                    done.append(Transmit(octets, 0, "radio"))
                case SendRrc(message=message):
                    done += self._radio(self.srb.protect(encode_srb(SrbKind.RRC, self.radio.encode(message))))
                case SecureSrb(keys=keys):
                    self.before, self.srb = self.srb, signalling_bearer(DOWNLINK)
                    self.srb.secure(keys)
                case RestoreSrb() if self.before is not None:
                    self.srb, self.before = self.before, None
                case CipherSrb(sending=sending, receiving=receiving):
                    if sending:
                        self.srb.cipher_sending()
                    if receiving:
                        self.srb.cipher_receiving()
                case _:
                    done.append(action)
        return done

    def _radio(self, pdu: bytes) -> list[Action]:
        return [Transmit(RadioFrame(self.ue_radio_id, pdu).encode(), self.ue_radio_id, "radio")]

    def _n2(self, kind: N2Kind, payload: bytes, name: str, env: RanEnv) -> list[Action]:
        octets = N2Frame(self.ran_ue_id, self.cp_ue_id, kind, payload).encode()
        seen = self._seen("ran", "cp", name, len(octets), env)
        return [seen, Transmit(octets, self.ran_ue_id, "n2")]

    def _seen(self, sender: str, receiver: str, name: str, size: int, env: RanEnv) -> Report:
        return Report(
            MessageSeen(env.now, "ran", self.ue_radio_id, 0, sender, receiver, "n2", name, size + HEADER_SIZE, False)
        )

    def _dropped(self, link: str, reason: str, env: RanEnv) -> list[Action]:
        return [Report(Discarded(env.now, "ran", self.ue, link, reason))]
