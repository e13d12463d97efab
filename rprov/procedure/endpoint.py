"""The NAS endpoint of one UE, at the UE or at the CP: frame -> security -> message -> machine -> actions -> frames.

Owns what changes with every message: the contexts with their COUNTs. Driven by PDUs from the peer, answers from the
shell, and timers; gives back what the shell has to do. Errors become answers here and in the machine, nowhere else:

* what cannot be verified where protection is due, and what nobody expects from whom nobody knows: dropped, counted;
* what the true peer sent and cannot be used: Status with a cause, and nothing changes.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rprov.causes import Cause
from rprov.crypto.hierarchy import KAmf, k_gnb
from rprov.errors import DecodeError, MacMismatch, PeerError, Refused, Replayed, Unprotected
from rprov.model.env import Env
from rprov.model.report import Discarded, Identified, Proof, StepEnded, Verdict
from rprov.model.security import Algorithms, Scope
from rprov.procedure.actions import (
    Action,
    DropContexts,
    EndStep,
    GiveKgnb,
    HoldPartial,
    InstallContext,
    Prove,
    Report,
    Send,
    TakeIntoUse,
    Tombstone,
)
from rprov.procedure.decisions import Decide, Identify
from rprov.procedure.events import Answer, Event, KgnbGiven, Protection, Received
from rprov.procedure.machine import Machine, Unhandled
from rprov.security.context import SecurityContext, Side
from rprov.security.envelope import PlainPdu, ProtectedPdu, SecurityHeader, parse_pdu
from rprov.security.policy import Phase, plain_nas_allowed
from rprov.wire.codec import NasCodec
from rprov.wire.messages import (
    NasMessage,
    SecurityModeCommand,
    SecurityModeComplete,
    Status,
)

MAX_TOMBSTONE_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Partial:
    """K_AMF of a network that has proved itself; good for verifying one SecurityModeCommand and nothing else."""

    ksi: int
    k_amf: KAmf
    scope: Scope


@dataclass(frozen=True, slots=True)
class NasOut:
    """A NAS PDU for the peer, its name and whether it is protected."""

    pdu: bytes
    name: str
    protected: bool


@dataclass(frozen=True, slots=True)
class NasIn:
    """What a PDU turned out to be, for whoever takes down messages."""

    name: str
    protected: bool


@dataclass(slots=True)
class NasEndpoint:
    """One end of one UE's NAS."""

    side: Side
    machine: Machine
    codec: NasCodec
    ue: str
    current: SecurityContext | None = None
    beside: SecurityContext | None = None
    """The context that a SecurityMode exchange is about to take into use."""
    partial: Partial | None = None
    tombstone: bytes | None = None
    discarded: Counter[str] = field(default_factory=Counter)
    last_in: NasIn = NasIn("", False)
    derived: list[KgnbGiven] = field(default_factory=list)
    """K_gNB keys that wait for whoever serves the access layer."""
    _tombstone_answers: int = 0

    def receive(self, pdu: bytes, env: Env[Any, Any]) -> list[Action | NasOut]:
        """Take one PDU of the peer."""
        self.last_in = NasIn("(not understood)", False)
        try:
            received = self._verify(pdu)
        except PeerError as error:
            return self._discard(error, pdu, env)
        self.last_in = NasIn(type(received.message).__name__, received.protection is not Protection.PLAIN)
        return self.step(received, env)

    def step(self, event: Event | Received[Any], env: Env[Any, Any]) -> list[Action | NasOut]:
        """Move the machine by one event and perform what is the endpoint's to perform."""
        return self._perform(self.machine.step(event, env, self.ue), event, env)

    def answer(self, ticket: int, answer: Answer, env: Env[Any, Any]) -> list[Action | NasOut]:
        """Take an answer of the shell."""
        return self._perform(self.machine.answer(ticket, answer, env, self.ue), answer, env)

    # --- in: octets to a verified message ---------------------------------------------------------------------------

    def _verify(self, pdu: bytes) -> Received[NasMessage]:
        match parse_pdu(pdu):
            case PlainPdu(message=octets):
                return self._plain(octets)
            case ProtectedPdu(header=SecurityHeader.INTEGRITY_NEW_CONTEXT) as protected:
                return self._command(protected)
            case ProtectedPdu(header=SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT) as protected:
                return self._complete(protected)
            case ProtectedPdu(header=SecurityHeader.INTEGRITY_CIPHERED) as protected:
                return self._current(protected)
            case _:
                # Ciphering is on from the SecurityModeComplete on; integrity alone is what an attacker would like.
                raise Unprotected("a message that is not ciphered")

    @property
    def _phase(self) -> Phase:
        phase: Phase = getattr(self.machine.state, "phase", Phase.NO_CONTEXT)
        return phase

    def _plain(self, octets: bytes) -> Received[NasMessage]:
        if self.current is not None:
            raise Unprotected("an unprotected message where protection is due")
        message = self.codec.decode(octets)
        if not plain_nas_allowed(self.side, self._phase, type(message)):
            raise Unprotected(f"an unprotected {type(message).__name__}")
        return Received(message, octets, Protection.PLAIN)

    def _command(self, pdu: ProtectedPdu) -> Received[NasMessage]:
        # The command is not ciphered: it names the algorithms under which it is then verified (TS 33.501 6.7.2).
        message = self.codec.decode(pdu.payload)
        if self.side is not Side.UE or not isinstance(message, SecurityModeCommand):
            raise Unprotected("a new context for something that is no SecurityModeCommand")
        if self.partial is None:
            # It may be the command of the context in use, repeated because our Complete was late.
            if self.current is None:
                raise Unprotected("a SecurityModeCommand without keys to verify it")
            verified = self.current.unprotect(pdu)
            return Received(message, verified.plain, Protection.CURRENT, verified.count)
        if message.ksi != self.partial.ksi:
            raise Unprotected("a SecurityModeCommand for other keys")
        algorithms = Algorithms(message.nea, message.nia)
        try:
            beside = SecurityContext(self.side, message.ksi, self.partial.k_amf, algorithms, self.partial.scope)
        except Refused as error:
            raise Unprotected(str(error)) from error
        verified = beside.unprotect(pdu)
        self.beside = beside
        return Received(message, verified.plain, Protection.NEW_CONTEXT, verified.count)

    def _complete(self, pdu: ProtectedPdu) -> Received[NasMessage]:
        context = self.beside or self.current
        if self.side is not Side.CP or context is None:
            raise Unprotected("a new context that nobody began")
        verified = context.unprotect(pdu)
        message = self.codec.decode(verified.plain)
        if not isinstance(message, SecurityModeComplete):
            raise Unprotected("a new context for something that is no SecurityModeComplete")
        protection = Protection.NEW_CONTEXT if self.beside else Protection.CURRENT
        return Received(message, verified.plain, protection, verified.count)

    def _current(self, pdu: ProtectedPdu) -> Received[NasMessage]:
        if self.current is None:
            raise Unprotected("a protected message without keys to verify it")
        verified = self.current.unprotect(pdu)
        try:
            message = self.codec.decode(verified.plain)
        except DecodeError as error:
            raise Unusable(error) from error
        return Received(message, verified.plain, Protection.CURRENT, verified.count)

    def _discard(self, error: PeerError, pdu: bytes, env: Env[Any, Any]) -> list[Action | NasOut]:
        if isinstance(error, Unusable):
            return [self._protected(Status(Cause.INVALID_MANDATORY_INFORMATION)), *self._dropped("undecodable", env)]
        protected = pdu[:1] == bytes((SecurityHeader.INTEGRITY_CIPHERED,))
        answers_left = self._tombstone_answers < MAX_TOMBSTONE_ANSWERS
        if self.tombstone is not None and self.current is None and protected and answers_left:
            # The keys that could verify a repeated detach are gone; the answer is the very octets sent before.
            self._tombstone_answers += 1
            return [NasOut(self.tombstone, "DetachAccept", True), *self._dropped("after detach", env)]
        match error:
            case Replayed():
                reason = "replayed"
            case MacMismatch():
                reason = "mac"
            case Unprotected():
                reason = "unprotected"
            case _:
                reason = "undecodable"
        return self._dropped(f"{reason}: {error}", env)

    def _dropped(self, reason: str, env: Env[Any, Any]) -> list[Action | NasOut]:
        self.discarded[reason.partition(":")[0]] += 1
        return [Report(Discarded(env.now, self.machine.role.name, self.ue, "nas", reason))]

    # --- out: actions to octets ---------------------------------------------------------------------------------------

    def _perform(
        self, outcome: tuple[Action, ...] | Unhandled, event: Event | Received[Any], env: Env[Any, Any]
    ) -> list[Action | NasOut]:
        match outcome:
            case Unhandled.UNAUTHENTICATED:
                return self._dropped(f"unexpected: {self.machine.key_of(event).__name__}", env)
            case Unhandled.AUTHENTICATED:
                return self._answer_unexpected(event, env)
            case Unhandled.STALE:
                return []
        done: list[Action | NasOut] = []
        for action in outcome:
            done += self._perform_one(action, env)
        return done

    def _answer_unexpected(self, event: Event | Received[Any], env: Env[Any, Any]) -> list[Action | NasOut]:
        dropped = self._dropped(f"unexpected: {self.machine.key_of(event).__name__}", env)
        # A Status is never answered by a Status, and N2 is not NAS.
        nas = isinstance(event, Received) and event.protection is not Protection.TRUSTED_LINK
        if not nas or self.current is None or (isinstance(event, Received) and isinstance(event.message, Status)):
            return dropped
        return [self._protected(Status(Cause.MESSAGE_INCOMPATIBLE_WITH_STATE)), *dropped]

    def _perform_one(self, action: Action, env: Env[Any, Any]) -> list[Action | NasOut]:
        match action:
            case Send(message=message):
                return [self._protected(message)]
            case InstallContext(ksi=ksi, k_amf=key, algorithms=algorithms, scope=scope):
                self.beside = SecurityContext(self.side, ksi, key, algorithms, scope)
            case HoldPartial(ksi=ksi, k_amf=key, scope=scope):
                self.partial = Partial(ksi, key, scope)
            case TakeIntoUse():
                if self.current is not None:
                    self.current.erase()
                self.current, self.beside, self.partial = self.beside, None, None
            case DropContexts():
                self._drop()
            case GiveKgnb():
                if self.current is not None:
                    access = k_gnb(self.current.k_amf, self.current.last_uplink_count)
                    self.derived.append(KgnbGiven(access, self.current.scope))
            case Tombstone(message=message):
                self.tombstone = self._protected(message).pdu
            case Prove(step=step, text=text):
                return [Report(Proof(env.now, self.machine.role.name, self.ue, step, text))]
            case Identify(eid=eid):
                return [Report(Identified(env.now, self.machine.role.name, self.ue, eid))]
            case Decide():
                return [Report(self._verdict(action, env))]
            case EndStep(step=step, ok=ok, detail=detail):
                return [Report(StepEnded(env.now, self.machine.role.name, self.ue, step, ok, detail))]
            case _:
                return [action]
        return []

    def _verdict(self, decided: Decide, env: Env[Any, Any]) -> Verdict:
        return Verdict(
            env.now,
            self.machine.role.name,
            self.ue,
            decided.act,
            decided.purpose,
            decided.identity,
            decided.proved,
            decided.certificate,
            decided.cause.name,
            decided.detail,
        )

    def _drop(self) -> None:
        for context in (self.current, self.beside):
            if context is not None:
                context.erase()
        self.current = self.beside = self.partial = None
        self.derived.clear()

    def _protected(self, message: NasMessage) -> NasOut:
        octets = self.codec.encode(message)
        name = type(message).__name__
        if isinstance(message, SecurityModeCommand) and self.beside is not None:
            return NasOut(self.beside.protect(octets, SecurityHeader.INTEGRITY_NEW_CONTEXT), name, True)
        if self.current is None:
            return NasOut(PlainPdu(octets).encode(), name, False)
        if isinstance(message, SecurityModeComplete):
            return NasOut(self.current.protect(octets, SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT), name, True)
        return NasOut(self.current.protect(octets, SecurityHeader.INTEGRITY_CIPHERED), name, True)


class Unusable(PeerError):
    """A verified message that cannot be decoded."""
