"""The UE's endpoint: NAS on top, the access layer below it, and the signalling bearer between it and the radio link.

    frame ── ueRadioId, PDCP ──> RRC message ──> access machine ─┐
                              └─> NAS PDU ──> NAS endpoint ──────┴─> actions for the shell, frames for the link

Owns the PDCP entity of the signalling bearer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rprov.crypto.nas_algorithms import UPLINK
from rprov.errors import DecodeError, Misuse, PeerError, Refused, Unprotected
from rprov.model.identifiers import UeRadioId
from rprov.model.report import Discarded, MessageSeen
from rprov.model.security import Algorithms
from rprov.procedure.actions import (
    Action,
    CipherSrb,
    CloseRadio,
    FindCell,
    RelayUp,
    Report,
    SendRrc,
    TakeIntoUse,
    Tell,
    Transmit,
)
from rprov.procedure.endpoint import NasEndpoint, NasOut
from rprov.procedure.engines import UeEnv
from rprov.procedure.events import (
    Answer,
    AsSecurityVerified,
    CellFound,
    Event,
    LinkLost,
    NasGiven,
    Protection,
    RadioClosed,
    Received,
    Timer,
    TimerFired,
)
from rprov.procedure.machine import Machine, Unhandled
from rprov.procedure.message_steps import step_of
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.procedure.radio_connection import Connected, NoCell, Secured
from rprov.procedure.ran import access_machine
from rprov.procedure.ue import ue_machine
from rprov.security.context import Side
from rprov.security.pdcp import SRB_SN_BITS, PdcpEntity, PdcpKeys
from rprov.security.policy import CELL_RRC, PLAIN_RRC, Receiver
from rprov.wire.codec import NasCodec, RadioCodec
from rprov.wire.framing import HEADER_SIZE
from rprov.wire.radio import (
    AsSecurityModeCommand,
    CellInfo,
    RadioFrame,
    RadioMessage,
    SrbKind,
    decode_radio_frame,
    decode_srb,
    encode_srb,
)

SRB = 1


def signalling_bearer(sends: int) -> PdcpEntity:
    """A PDCP entity of the signalling bearer, without keys yet."""
    return PdcpEntity(bearer=SRB, sn_bits=SRB_SN_BITS, sends=sends, keys=None, window=0)


@dataclass(slots=True)
class UeEndpoint:
    """Everything of one UE that protects, numbers and understands messages."""

    nas: NasEndpoint
    access: Machine
    radio: RadioCodec
    srb: PdcpEntity
    trial: PdcpEntity | None = None
    purpose: Purpose = Purpose.PROVISIONING
    _names: dict[bytes, NasOut] = field(default_factory=dict)

    @classmethod
    def create(cls, ue: str, nas: NasCodec, radio: RadioCodec) -> "UeEndpoint":
        """A UE that has not attached."""
        endpoint = NasEndpoint(Side.UE, ue_machine(), nas, ue)
        return cls(endpoint, access_machine(), radio, signalling_bearer(UPLINK))

    @property
    def ue_radio_id(self) -> UeRadioId:
        """What the RAN calls this UE now; 0 without a connection."""
        state = self.access.state
        return state.ue_radio_id if isinstance(state, (Connected, Secured)) else UeRadioId(0)

    # --- in -----------------------------------------------------------------------------------------------------------

    def receive(self, octets: bytes, env: UeEnv) -> list[Action]:
        """Take one message of the radio link; raises `DecodeError` only for one that no UE can use."""
        frame = decode_radio_frame(octets)
        try:
            if frame.ue_radio_id == 0:
                return self._cell_message(frame.payload, len(octets), env)
            if frame.ue_radio_id != self.ue_radio_id:
                return []
            return self._bearer_message(frame.payload, len(octets), env)
        except PeerError as error:
            return [Report(Discarded(env.now, "ue", self.nas.ue, "radio", f"{type(error).__name__}: {error}"))]

    def step(self, event: Event, env: UeEnv) -> list[Action]:
        """Take an event of the shell."""
        if isinstance(event, LinkLost) or (isinstance(event, TimerFired) and event.timer is Timer.T300):
            return self._access(event, env)
        return self._nas(self.nas.step(event, env), env)

    def answer(self, ticket: int, answer: Answer, env: UeEnv) -> list[Action]:
        """Take an answer of the shell."""
        return self._nas(self.nas.answer(ticket, answer, env), env)

    def _cell_message(self, payload: bytes, size: int, env: UeEnv) -> list[Action]:
        message = self.radio.decode(payload)
        if type(message) not in CELL_RRC[Receiver.UE]:
            raise Unprotected(f"{type(message).__name__} to everyone")
        seen = [] if isinstance(message, CellInfo) else [self._seen("ran", "ue", type(message).__name__, size, env)]
        return [*seen, *self._access(Received(message, payload, Protection.PLAIN), env)]

    def _bearer_message(self, pdu: bytes, size: int, env: UeEnv) -> list[Action]:
        if isinstance(self.access.state, Connected) and self.access.state.keys:
            command = self._command(pdu)
            if command is not None:
                event = self._as_command(command, pdu)
                verified = isinstance(event, AsSecurityVerified)
                seen = self._seen("ran", "ue", type(command).__name__, size, env, verified)
                return [seen, *self._access(event, env)]
        kind, payload = decode_srb(self.srb.unprotect(pdu))
        secured = isinstance(self.access.state, Secured)
        if kind is SrbKind.NAS:
            # The step of a message is that of its purpose, which a message may end: look before it is handled.
            purpose = self._current_purpose()
            outputs = self.nas.receive(payload, env)
            seen = self._seen("cp", "ue", self.nas.last_in.name, size, env, self.nas.last_in.protected, purpose)
            return [seen, *self._nas(outputs, env)]
        message = self.radio.decode(payload)
        if not secured and type(message) not in PLAIN_RRC[Receiver.UE, secured]:
            raise Unprotected(f"an unprotected {type(message).__name__}")
        protection = Protection.CURRENT if secured else Protection.PLAIN
        seen = self._seen("ran", "ue", type(message).__name__, size, env, secured)
        return [seen, *self._access(Received(message, payload, protection), env)]

    def _command(self, pdu: bytes) -> AsSecurityModeCommand | None:
        """Read an AS security mode command before anything can verify it: it names the algorithms."""
        try:
            kind, payload = decode_srb(self.srb.unverified(pdu))
            message = self.radio.decode(payload) if kind is SrbKind.RRC else None
        except DecodeError:
            return None
        return message if isinstance(message, AsSecurityModeCommand) else None

    def _as_command(self, command: AsSecurityModeCommand, pdu: bytes) -> AsSecurityVerified | Received[Any]:
        """Try the keys that the layer above has derived; the MAC tells which the CP has used, if any."""
        state = self.access.state
        for given in state.keys if isinstance(state, Connected) else ():
            trial = signalling_bearer(UPLINK)
            try:
                trial.secure(PdcpKeys.of_srb(given.k_gnb, Algorithms(command.nea, command.nia)))
                trial.unprotect(pdu)
            except (PeerError, Refused, Misuse):
                continue
            self.trial = trial
            return AsSecurityVerified(command, given.k_gnb, given.scope)
        return Received(command, pdu, Protection.PLAIN)

    # --- out ----------------------------------------------------------------------------------------------------------

    def _nas(self, outputs: Iterable[Action | NasOut], env: UeEnv) -> list[Action]:
        done: list[Action] = []
        for output in outputs:
            match output:
                case NasOut(pdu=pdu):
                    self._names[pdu] = output
                    done += self._access(NasGiven(pdu), env)
                case FindCell():
                    if not isinstance(self.access.state, NoCell):
                        cell: CellInfo = getattr(self.access.state, "cell")  # noqa: B009
                        found = CellFound(cell.plmn, cell.provisioning_offered)
                        done += self._nas(self.nas.step(found, env), env)
                case CloseRadio():
                    self._names.clear()
                    done += self._access(RadioClosed(), env)
                case _:
                    done.append(output)
        for given in self.nas.derived[:]:
            self.nas.derived.remove(given)
            done += self._access(given, env)
        return done

    def _access(self, event: Event | Received[Any], env: UeEnv) -> list[Action]:
        outcome = self.access.step(event, env, self.nas.ue)
        if isinstance(outcome, Unhandled):
            if outcome is Unhandled.STALE:
                return []
            reason = f"unexpected: {self.access.key_of(event).__name__}"
            return [Report(Discarded(env.now, "ue", self.nas.ue, "radio", reason))]
        done: list[Action] = []
        for action in outcome:
            match action:
                case RelayUp(pdu=pdu):
                    done += self._relay(pdu, env)
                case SendRrc(message=message, cell=cell):
                    done += self._send_rrc(message, cell, env)
                case TakeIntoUse() if self.trial is not None:
                    self.srb, self.trial = self.trial, None
                case CipherSrb(sending=sending, receiving=receiving):
                    if sending:
                        self.srb.cipher_sending()
                    if receiving:
                        self.srb.cipher_receiving()
                case Tell(event=told):
                    done += self._nas(self.nas.step(told, env), env)
                case _:
                    done.append(action)
        if not isinstance(self.access.state, (Connected, Secured)):
            self.srb = signalling_bearer(UPLINK)
        return done

    def _relay(self, pdu: bytes, env: UeEnv) -> list[Action]:
        out = self._names.pop(pdu, NasOut(pdu, "(unknown)", False))
        return self._transmit(self.srb.protect(encode_srb(SrbKind.NAS, pdu)), out.name, "cp", out.protected, env)

    def _send_rrc(self, message: RadioMessage, cell: bool, env: UeEnv) -> list[Action]:
        octets = self.radio.encode(message)
        name = type(message).__name__
        if cell:
            return self._transmit(octets, name, "ran", False, env, to_cell=True)
        secured = isinstance(self.access.state, Secured)
        return self._transmit(self.srb.protect(encode_srb(SrbKind.RRC, octets)), name, "ran", secured, env)

    def _transmit(
        self, payload: bytes, name: str, receiver: str, protected: bool, env: UeEnv, to_cell: bool = False
    ) -> list[Action]:
        ue_radio_id = UeRadioId(0) if to_cell else self.ue_radio_id
        octets = RadioFrame(ue_radio_id, payload).encode()
        seen = self._seen("ue", receiver, name, len(octets), env, protected)
        return [seen, Transmit(octets, ue_radio_id, "radio")]

    def _current_purpose(self) -> Purpose:
        intent = getattr(self.nas.machine.state, "intent", None)
        if isinstance(intent, Intent):
            self.purpose = intent.purpose
        return self.purpose

    def _seen(
        self,
        sender: str,
        receiver: str,
        name: str,
        size: int,
        env: UeEnv,
        protected: bool = False,
        purpose: Purpose | None = None,
    ) -> Report:
        natural: Step = getattr(self.nas.machine.state, "natural", Step.ATTACH_REQUEST)
        step = step_of(name, purpose or self._current_purpose(), natural)
        return Report(
            MessageSeen(
                env.now,
                "ue",
                self.ue_radio_id,
                step,
                sender,
                receiver,
                "radio",
                name,
                size + HEADER_SIZE,
                protected,
            )
        )
