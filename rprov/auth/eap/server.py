"""The EAP server's lock-step (RFC 3748 2, 4): identifiers, duplicates, Nak, a bound on rounds. Sees into no method.

Driven by response packets and by its owner's decision. A response that does not answer the outstanding request (a
duplicate, a late one, one after the end) gets the last outcome again, octet for octet, and never reaches the method.
"""

from dataclasses import dataclass
from typing import assert_never

from cryptography.x509 import Certificate

from rprov.auth.eap.method import Ask, Done, GaveUp, Proved, ServerMethod, ServerStep
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import DecodeError, Misuse
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode

MAX_ROUNDS = 50
"""RFC 3748 sets no bound; RFC 9191 saw authenticators give up after 40 to 50 rounds."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A request packet for the peer."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class PeerKnown:
    """The peer has proved this certificate: `authorise` or `refuse`."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The end; `packet` is the EAP-Success."""

    packet: bytes
    msk: Msk
    emsk: Emsk


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The end; `packet` is the EAP-Failure."""

    packet: bytes
    cause: Cause
    detail: str


EapServerOutcome = SendRequest | PeerKnown | Succeeded | GivenUp


class EapServer:
    """One exchange with one peer."""

    __slots__ = ("_ending", "_identifier", "_last", "_method", "_rounds")

    def __init__(self, method: ServerMethod, identifier: int = 1) -> None:
        self._method = method
        self._identifier = identifier
        self._rounds = 0
        self._last: EapServerOutcome | None = None
        self._ending: GaveUp | None = None

    def begin(self) -> EapServerOutcome:
        """Give the first request."""
        if self._last is not None:
            raise Misuse("an EAP exchange begins once")
        return self._conclude(self._method.begin())

    def on_packet(self, octets: bytes) -> EapServerOutcome:
        """Take a packet of the peer."""
        last = self._last
        if last is None:
            raise Misuse("an EAP exchange that has not begun")
        if not isinstance(last, SendRequest):
            return last
        try:
            packet = decode(octets)
        except DecodeError as error:
            return self._give_up(error.cause, str(error))
        match packet:
            case Response(identifier=identifier) if identifier != self._identifier:
                # RFC 3748 4.1: only the response to the outstanding request counts
                return self._again(last)
            case Response(type=self._method.type, data=data):
                return self._conclude(self._method.on_data(data))
            case Response(type=EapType.NAK):
                return self._give_up(Cause.EAP_FAILED, "the peer refuses this EAP method (Nak)")
            case Response(type=other):
                return self._give_up(Cause.EAP_FAILED, f"a response of EAP type {other}")
            case _:
                return self._give_up(Cause.EAP_FAILED, "an EAP server takes responses only")

    def authorise(self) -> EapServerOutcome:
        """Go on after `PeerKnown`."""
        self._check_waiting()
        return self._conclude(self._method.authorise())

    def refuse(self, cause: Cause) -> EapServerOutcome:
        """End after `PeerKnown`; gives one more request first if the method tells the peer."""
        self._check_waiting()
        return self._conclude(self._method.refuse(cause))

    def abandon(self, cause: Cause, detail: str) -> EapServerOutcome:
        """End now: the peer has refused, or its time is over. After the end nothing changes."""
        if isinstance(self._last, Succeeded | GivenUp):
            return self._last
        return self._give_up(cause, detail)

    def _check_waiting(self) -> None:
        if not isinstance(self._last, PeerKnown):
            raise Misuse("there is nothing to authorise or refuse")

    def _again(self, last: SendRequest) -> EapServerOutcome:
        self._rounds += 1
        return last if self._rounds <= MAX_ROUNDS else self._give_up(Cause.EAP_FAILED, "too many EAP rounds")

    def _conclude(self, step: ServerStep) -> EapServerOutcome:
        match step:
            case Ask(data=data, ending=ending):
                self._ending = self._ending or ending
                return self._send(data)
            case Proved(certificate=certificate):
                self._last = PeerKnown(certificate)
            case Done(msk=msk, emsk=emsk):
                # RFC 3748 4.2: the identifier is that of the response it answers
                self._last = Succeeded(encode(Success(self._identifier)), msk, emsk)
                self._method.close()
            case GaveUp(cause=cause, detail=detail):
                return self._give_up(cause, detail)
            case _:
                assert_never(step)
        return self._last

    def _send(self, data: bytes) -> EapServerOutcome:
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._give_up(Cause.EAP_FAILED, "too many EAP rounds")
        if self._last is not None:
            self._identifier = (self._identifier + 1) % 256
        self._last = SendRequest(encode(Request(self._identifier, self._method.type, data)))
        return self._last

    def _give_up(self, cause: Cause, detail: str) -> EapServerOutcome:
        if self._ending is not None:
            # The peer is being told; whatever came instead of its acknowledgement does not change why.
            cause, detail = self._ending.cause, self._ending.detail
        self._last = GivenUp(encode(Failure(self._identifier)), cause, detail)
        self._method.close()
        return self._last
