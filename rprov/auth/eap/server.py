"""The EAP server's machine (RFC 3748 2, 4; RFC 4137 5): identifiers, Identity, Nak, retransmission, bounds.

Driven by response packets and by its owner's decision. What does not answer the outstanding request (a duplicate, a
late one, one after the end, nonsense) is discarded, gets no answer and never reaches the method. Sees into no method,
and owns no timer: who carries the packets repeats them, `again` gives the same octets.
"""

from dataclasses import dataclass
from typing import assert_never

from cryptography.x509 import Certificate

from rprov.auth.eap.method import Ask, Done, GaveUp, Proved, ServerMethod, ServerStep
from rprov.auth.eap.states import MethodState, ServerState
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import DecodeError, Misuse
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode, wanted_types

MAX_ROUNDS = 50
"""RFC 3748 sets no bound; RFC 9191 saw authenticators give up after 40 to 50 rounds."""

MAX_RETRANSMISSIONS = 5
"""Of one request (RFC 3748 4.3: three to five)."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A request packet for the peer."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Ignored:
    """Either side: the packet was not for now. Nothing has changed, nothing is sent (RFC 4137: eapNoReq, eapNoResp)."""


@dataclass(frozen=True, slots=True)
class PeerKnown:
    """The peer has proved this certificate, `resumed`: by a ticket; `authorise` or `refuse`."""

    certificate: Certificate
    resumed: bool = False


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


EapServerOutcome = SendRequest | Ignored | PeerKnown | Succeeded | GivenUp

IGNORED = Ignored()
_ENDS = (ServerState.SUCCESS, ServerState.FAILURE, ServerState.TIMEOUT_FAILURE)


class EapServer:
    """One exchange with one peer. `identifier` is that of the first request."""

    __slots__ = (
        "_ending",
        "_identifier",
        "_last",
        "_method",
        "_method_state",
        "_passed",
        "_resent",
        "_rounds",
        "_type",
    )

    def __init__(self, method: ServerMethod, identifier: int = 1) -> None:
        self._method = method
        self._method_state = MethodState.NONE
        self._type: int = method.type
        self._identifier = identifier
        self._rounds = 0
        self._resent = 0
        self._last: EapServerOutcome | None = None
        self._ending: GaveUp | None = None
        self._passed = [ServerState.DISABLED]

    @property
    def state(self) -> ServerState:
        """Where the machine rests."""
        return self._passed[-1]

    @property
    def passed(self) -> tuple[ServerState, ...]:
        """Where the last event has led, in order; the last one is `state`."""
        return tuple(self._passed)

    @property
    def method_state(self) -> MethodState:
        """How far the method is."""
        return self._method_state

    def begin(self, *, picked_up: bool = False, ask_identity: bool = False) -> EapServerOutcome:
        """Give the first request: of the method, or for an identity, which is for the log of whoever wants it.

        `picked_up` says that somebody in front of us has asked for the identity already (RFC 4137 5.3).
        """
        if self.state is not ServerState.DISABLED:
            raise Misuse("an EAP exchange begins once")
        self._passed = [ServerState.INITIALIZE]
        if picked_up:
            self._enter(ServerState.PICK_UP_METHOD, ServerState.METHOD_RESPONSE)
        self._enter(ServerState.SELECT_ACTION, ServerState.PROPOSE_METHOD)
        if not ask_identity:
            return self._propose()
        self._type, self._method_state = EapType.IDENTITY, MethodState.CONT
        return self._request(b"")

    def on_packet(self, octets: bytes) -> EapServerOutcome:
        """Take a packet of the peer."""
        if self._last is None:
            raise Misuse("an EAP exchange that has not begun")
        if self.state is not ServerState.IDLE:
            return IGNORED  # the end, or the owner decides
        self._passed = [ServerState.RECEIVED]
        try:
            packet = decode(octets)
        except DecodeError:
            return self._discard()
        match packet:
            case Response(identifier=identifier) if identifier != self._identifier:
                return self._discard()  # RFC 3748 4.1: only the response to the outstanding request counts
            case Response(type=self._type, data=data):
                # RFC 4137 5.4: TLS judges the whole, never one packet, so the check of one always passes.
                self._enter(ServerState.INTEGRITY_CHECK, ServerState.METHOD_RESPONSE)
                if self._type == EapType.IDENTITY:
                    self._enter(ServerState.SELECT_ACTION, ServerState.PROPOSE_METHOD)
                    return self._propose()
                self._method_state = MethodState.CONT
                return self._conclude(self._method.on_data(data))
            case Response(type=EapType.NAK) if self._method_state is MethodState.PROPOSED:
                self._enter(ServerState.NAK, ServerState.SELECT_ACTION)
                wanted = ", ".join(map(str, wanted_types(packet))) or "no other"
                detail = f"the peer does not take EAP type {self._type} (Nak), and wants {wanted}"
                return self._give_up(Cause.EAP_FAILED, detail)
            case _:
                return self._discard()

    def again(self) -> EapServerOutcome:
        """Give the outstanding request once more, octet for octet; gives up when that was done too often."""
        if self.state is not ServerState.IDLE or self._last is None:
            return IGNORED
        self._passed = [ServerState.RETRANSMIT]
        self._resent += 1
        if self._resent > MAX_RETRANSMISSIONS:
            return self._give_up(Cause.AUTHENTICATION_TIMEOUT, "the peer does not answer", ServerState.TIMEOUT_FAILURE)
        self._enter(ServerState.IDLE)
        return self._last

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
        if self.state in _ENDS and self._last is not None:
            return self._last
        self._passed = []
        silent = cause is Cause.AUTHENTICATION_TIMEOUT
        return self._give_up(cause, detail, ServerState.TIMEOUT_FAILURE if silent else ServerState.FAILURE)

    def _check_waiting(self) -> None:
        if not isinstance(self._last, PeerKnown):
            raise Misuse("there is nothing to authorise or refuse")
        self._passed = [ServerState.METHOD_RESPONSE]

    def _propose(self) -> EapServerOutcome:
        self._type, self._method_state = self._method.type, MethodState.PROPOSED
        return self._conclude(self._method.begin())

    def _conclude(self, step: ServerStep) -> EapServerOutcome:
        match step:
            case Ask(data=data, ending=ending):
                self._ending = self._ending or ending
                return self._request(data)
            case Proved(certificate=certificate, resumed=resumed):
                self._last = PeerKnown(certificate, resumed)
            case Done(msk=msk, emsk=emsk):
                # RFC 3748 4.2: the identifier is that of the response it answers
                self._last = Succeeded(encode(Success(self._identifier)), msk, emsk)
                self._method_state = MethodState.DONE
                self._enter(ServerState.SELECT_ACTION, ServerState.SUCCESS)
                self._method.close()
            case GaveUp(cause=cause, detail=detail):
                self._enter(ServerState.SELECT_ACTION)
                return self._give_up(cause, detail)
            case _:
                assert_never(step)
        return self._last

    def _request(self, data: bytes) -> EapServerOutcome:
        self._enter(ServerState.METHOD_REQUEST)
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._give_up(Cause.EAP_FAILED, "too many EAP rounds")
        if self._last is not None:
            self._identifier = (self._identifier + 1) % 256
        self._resent = 0
        self._enter(ServerState.SEND_REQUEST, ServerState.IDLE)
        self._last = SendRequest(encode(Request(self._identifier, self._type, data)))
        return self._last

    def _discard(self) -> EapServerOutcome:
        self._enter(ServerState.DISCARD, ServerState.IDLE)
        return IGNORED

    def _give_up(self, cause: Cause, detail: str, state: ServerState = ServerState.FAILURE) -> EapServerOutcome:
        if self._ending is not None:
            # The peer is being told; whatever came instead of its acknowledgement does not change why.
            cause, detail = self._ending.cause, self._ending.detail
        self._enter(state)
        self._method_state = MethodState.DONE
        self._last = GivenUp(encode(Failure(self._identifier)), cause, detail)
        self._method.close()
        return self._last

    def _enter(self, *states: ServerState) -> None:
        self._passed.extend(states)
