"""The EAP peer's machine (RFC 3748 2, 4; RFC 4137 4): duplicates, Identity, Notification, Nak. Sees into no method.

Driven by request packets. A request that was answered gets the same answer, octet for octet, and does not reach the
method again; what is not for now is discarded without an answer. Success and Failure prove nothing while the method
runs (CVE-2021-45079): success is believed only where it comes protected, by `accept_success`.
"""

from dataclasses import dataclass
from typing import assert_never

from rprov.auth.eap.method import Deny, PeerMethod, PeerStep, Reply
from rprov.auth.eap.server import IGNORED, MAX_ROUNDS, Ignored
from rprov.auth.eap.states import MethodState, PeerState
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import DecodeError, Refused
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode, nak


@dataclass(frozen=True, slots=True)
class SendResponse:
    """A response packet for the server, with the keys once its success is proved."""

    packet: bytes
    msk: Msk | None = None
    emsk: Emsk | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The end without success. `packet` is the last response, if there is a request to respond to."""

    cause: Cause
    detail: str
    packet: bytes | None


EapPeerOutcome = SendResponse | Ignored | Denied

_NOT_METHODS = (EapType.IDENTITY, EapType.NOTIFICATION, EapType.NAK)


class EapPeer:
    """One exchange with one server. `identity` is what an Identity request gets: an anonymous NAI, or nothing."""

    __slots__ = ("_answer", "_answered", "_identity", "_method", "_method_state", "_passed", "_rounds")

    def __init__(self, method: PeerMethod, identity: bytes = b"") -> None:
        self._method = method
        self._identity = identity
        self._answered = -1  # lastId
        self._answer: SendResponse | None = None  # lastRespData
        self._method_state = MethodState.NONE
        self._passed = [PeerState.DISABLED]
        self._rounds = 0

    @property
    def state(self) -> PeerState:
        """Where the machine rests."""
        return self._passed[-1]

    @property
    def passed(self) -> tuple[PeerState, ...]:
        """Where the last packet has led, in order; the last one is `state`."""
        return tuple(self._passed)

    @property
    def method_state(self) -> MethodState:
        """How far the method is."""
        return self._method_state

    def on_packet(self, octets: bytes) -> EapPeerOutcome:
        """Take a packet of the server."""
        state = self.state
        if state in (PeerState.SUCCESS, PeerState.FAILURE):
            return IGNORED
        self._passed = [PeerState.INITIALIZE, PeerState.IDLE] if state is PeerState.DISABLED else []
        self._enter(PeerState.RECEIVED)
        try:
            packet = decode(octets)
        except DecodeError:
            return self._discard()
        match packet:
            case Request(identifier=identifier) if self._answer is not None and identifier == self._answered:
                # RFC 3748 4.1: the same identifier is the same request
                self._enter(PeerState.RETRANSMIT, PeerState.SEND_RESPONSE, PeerState.IDLE)
                return self._answer
            case Request() if self._method_state is not MethodState.DONE:
                return self._on_request(packet)
            case Failure(identifier=identifier) if identifier == self._answered and self._may_end():
                return self._deny(Cause.EAP_FAILED, "the server has ended the exchange with EAP-Failure", None)
            case _:
                return self._discard()

    def accept_success(self, octets: bytes) -> None:
        """Check the EAP-Success that came protected; raises `Refused`."""
        try:
            packet = decode(octets)
        except DecodeError as error:
            raise Refused(Cause.EAP_FAILED, str(error)) from error
        if self._method_state is not MethodState.DONE:
            raise Refused(Cause.EAP_FAILED, "an EAP-Success before the server has proved its success")
        if packet != Success(self._answered):
            raise Refused(Cause.EAP_FAILED, "what ends the exchange is not the EAP-Success of its last round")
        self._passed = [PeerState.RECEIVED, PeerState.SUCCESS]

    def _may_end(self) -> bool:
        """Whether a Failure says something: before a method, or after the method was told of it."""
        return self._method_state in (MethodState.NONE, MethodState.MAY_CONT)

    def _on_request(self, request: Request) -> EapPeerOutcome:
        kind, chosen = request.type, self._method_state is not MethodState.NONE
        if kind == EapType.NAK or (kind == EapType.IDENTITY and chosen):
            return self._discard()  # RFC 3748 5.3: never a request; 2.1: a method is not interrupted
        if chosen and kind not in (self._method.type, EapType.NOTIFICATION):
            return self._discard()
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._deny(Cause.EAP_FAILED, "too many EAP rounds", None)
        match kind:
            case EapType.NOTIFICATION:
                self._enter(PeerState.NOTIFICATION)
                return self._respond(Response(request.identifier, kind, b"", request.expanded))
            case EapType.IDENTITY:
                self._enter(PeerState.IDENTITY)
                return self._respond(Response(request.identifier, kind, self._identity, request.expanded))
            case self._method.type:
                if not chosen:
                    self._enter(PeerState.GET_METHOD)
                self._enter(PeerState.METHOD)
                self._method_state = MethodState.CONT
                return self._conclude(request, self._method.on_data(request.data))
            case _:
                self._enter(PeerState.GET_METHOD)
                return self._respond(nak(request, self._method.type))

    def _conclude(self, request: Request, step: PeerStep) -> EapPeerOutcome:
        match step:
            case Reply(data=data, msk=msk, emsk=emsk, refused=refused):
                if emsk is not None:
                    self._method_state = MethodState.DONE
                    self._method.close()
                elif refused:
                    self._method_state = MethodState.MAY_CONT
                response = Response(request.identifier, request.type, data, request.expanded)
                return self._respond(response, msk, emsk)
            case Deny(cause=cause, detail=detail, data=data):
                response = Response(request.identifier, request.type, data, request.expanded)
                return self._deny(cause, detail, encode(response))
            case _:
                assert_never(step)

    def _respond(self, response: Response, msk: Msk | None = None, emsk: Emsk | None = None) -> EapPeerOutcome:
        self._enter(PeerState.SEND_RESPONSE, PeerState.IDLE)
        self._answered = response.identifier
        self._answer = SendResponse(encode(response), msk, emsk)
        return self._answer

    def _discard(self) -> EapPeerOutcome:
        self._enter(PeerState.DISCARD, PeerState.IDLE)
        return IGNORED

    def _deny(self, cause: Cause, detail: str, packet: bytes | None) -> EapPeerOutcome:
        self._enter(PeerState.FAILURE)
        self._method_state = MethodState.DONE
        self._method.close()
        return Denied(cause, detail, packet)

    def _enter(self, *states: PeerState) -> None:
        self._passed.extend(states)
