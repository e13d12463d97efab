"""The EAP peer's lock-step (RFC 3748 2, 4): duplicates, Notification, Nak, a bound on rounds. Sees into no method.

Driven by request packets. A request that was answered gets the same answer, octet for octet, and does not reach the
method again. Once the server's success is proved, nothing unprotected changes anything any more: every later request
gets the last answer.
"""

from dataclasses import dataclass
from typing import assert_never

from rprov.auth.eap.method import Deny, PeerMethod, PeerStep, Reply
from rprov.auth.eap.server import MAX_ROUNDS
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import DecodeError, Refused
from rprov.wire.eap import EapType, Request, Response, Success, decode, encode


@dataclass(frozen=True, slots=True)
class SendResponse:
    """A response packet for the server, with the keys once its success is proved."""

    packet: bytes
    msk: Msk | None = None
    emsk: Emsk | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The server is refused. `packet` is the last response, if there is a request to respond to."""

    cause: Cause
    detail: str
    packet: bytes | None


EapPeerOutcome = SendResponse | Denied


class EapPeer:
    """One exchange with one server."""

    __slots__ = ("_answered", "_last", "_method", "_rounds", "_started")

    def __init__(self, method: PeerMethod) -> None:
        self._method = method
        self._answered = -1
        self._started = False
        self._last: EapPeerOutcome | None = None
        self._rounds = 0

    def on_packet(self, octets: bytes) -> EapPeerOutcome:
        """Take a packet of the server."""
        if isinstance(self._last, Denied) or (self._last is not None and self._last.emsk is not None):
            return self._last
        try:
            packet = decode(octets)
        except DecodeError as error:
            return self._deny(error.cause, str(error), None)
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._deny(Cause.EAP_FAILED, "too many EAP rounds", None)
        match packet:
            case Request(identifier=identifier) if self._last is not None and identifier == self._answered:
                return self._last  # RFC 3748 4.1: the same identifier is the same request
            case Request(identifier=identifier, type=self._method.type, data=data):
                return self._conclude(identifier, self._method.on_data(data))
            case Request(identifier=identifier, type=EapType.IDENTITY | EapType.NOTIFICATION as kind):
                # RFC 3748 5.1: an identity of no octets; the identity went in the AttachRequest. 5.2: acknowledged.
                return self._respond(identifier, kind, b"")
            case Request(identifier=identifier) if not self._started:
                return self._respond(identifier, EapType.NAK, bytes((self._method.type,)))
            case _:
                # Success and Failure too: before the method ends they prove nothing (CVE-2021-45079)
                return self._deny(Cause.EAP_FAILED, "an EAP packet out of place", None)

    def accept_success(self, octets: bytes) -> None:
        """Check the EAP-Success that came protected; raises `Refused`."""
        try:
            packet = decode(octets)
        except DecodeError as error:
            raise Refused(Cause.EAP_FAILED, str(error)) from error
        last = self._last
        if not isinstance(last, SendResponse) or last.emsk is None:
            raise Refused(Cause.EAP_FAILED, "an EAP-Success before the server has proved its success")
        if packet != Success(self._answered):
            raise Refused(Cause.EAP_FAILED, "what ends the exchange is not the EAP-Success of its last round")

    def _conclude(self, identifier: int, step: PeerStep) -> EapPeerOutcome:
        self._started = True
        match step:
            case Reply(data=data, msk=msk, emsk=emsk):
                if emsk is not None:
                    self._method.close()
                return self._respond(identifier, self._method.type, data, msk, emsk)
            case Deny(cause=cause, detail=detail, data=data):
                return self._deny(cause, detail, encode(Response(identifier, self._method.type, data)))
            case _:
                assert_never(step)

    def _respond(
        self, identifier: int, kind: int, data: bytes, msk: Msk | None = None, emsk: Emsk | None = None
    ) -> EapPeerOutcome:
        self._answered = identifier
        self._last = SendResponse(encode(Response(identifier, kind, data)), msk, emsk)
        return self._last

    def _deny(self, cause: Cause, detail: str, packet: bytes | None) -> EapPeerOutcome:
        self._last = Denied(cause, detail, packet)
        self._method.close()
        return self._last
