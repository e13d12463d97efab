"""An AAA server for EAP-TLS: RADIUS requests in, answers out (RFC 3579). Knows no socket, no clock and no file.

    NAS or CP                                                     AAA
      Access-Request{EAP-Response/Identity} ----------------------> who claims what
      <-------- Access-Challenge{EAP-Request, State}                ... as many rounds as EAP-TLS needs
      Access-Request{EAP-Response, State} ------------------------>
      <-------- Access-Accept{EAP-Success, MSK in MS-MPPE keys, User-Name: the certificate's EID}
      <-------- Access-Reject{EAP-Failure}                          after the round with the TLS alert

The EID of the certificate comes back in User-Name, and in Chargeable-User-Identity where that was asked for (RFC 4372):
whoever asked compares it with what the device claimed. An identity whose user part is an EID must be the certificate's;
any other one is anonymous. EMSK never leaves: what is built on the MSK is known to everybody who shares this server.

Driven by packets only. What is not proved to come from a client is refused with an exception and gets no answer.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

from cryptography import x509

from rprov.auth.eap.server import EapServer, EapServerOutcome, GivenUp, Ignored, PeerKnown, SendRequest, Succeeded
from rprov.auth.eap_tls import EapTlsServerEngines
from rprov.auth.rates import Attempts
from rprov.causes import Cause
from rprov.crypto.hierarchy import Msk
from rprov.crypto.x509 import eid_of
from rprov.errors import DecodeError, Misuse
from rprov.model.env import Entropy
from rprov.model.identifiers import Eid
from rprov.wire import eap
from rprov.wire.radius import Attribute, Code, Kind, Packet, SharedSecret, check_request, decode, seal_answer
from rprov.wire.radius_attributes import framed_mtu, join_eap, mppe_keys, split_eap

STATE_OCTETS = 16
LARGEST_HOPS = 1000
"""Octets of Proxy-State that a request may bring: they go back, and the answer has to fit into one packet."""
INVALID_EAP_PACKET = 202
"""Error-Cause of a challenge that repeats the last one (RFC 3579 2.6.3): the EAP packet was ignored."""
_LONGEST_IDENTITY = 253
_EID_DIGITS = 32
_OTHER_WAYS = frozenset({Kind.USER_PASSWORD, Kind.CHAP_PASSWORD, Kind.ARAP_PASSWORD})


@dataclass(frozen=True, slots=True)
class AaaClient:
    """Who may ask, and the secret shared with it."""

    name: str
    secret: SharedSecret


@dataclass(frozen=True, slots=True)
class AaaBounds:
    """What clients can make the server hold; at a limit the oldest gives way."""

    exchanges: int = 2000
    """Authentications under way; one holds about 60 KiB."""
    lifetime: float = 30.0
    """Seconds that an authentication may take."""
    answers: int = 4000
    """Answers kept for requests that come again."""
    answer_lifetime: float = 10.0
    """Seconds that an answer is kept (RFC 5080 2.2.2: 5 to 30)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An authentication is over. `eid` is the certificate's, where one was proved."""

    client: str
    identity: str
    eid: Eid | None
    cause: Cause
    """NORMAL after an Access-Accept."""
    detail: str = ""
    certificate: x509.Certificate | None = None
    """What has proved the EID."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The octets that go back to where the request came from; `ended` where it is the last word."""

    octets: bytes
    ended: Ended | None = None


@dataclass(slots=True)
class _Exchange:
    """One authentication under way. Only the client that began it may go on with it."""

    server: EapServer
    client: str
    identity: str
    begun: float
    eid: Eid | None = None
    certificate: x509.Certificate | None = None
    resumed: bool = False


class _Kept(NamedTuple):
    """The answer to a request, for when that comes again."""

    authenticator: bytes
    octets: bytes
    at: float


class AaaServer:
    """All authentications of one server."""

    def __init__(
        self,
        engines: Callable[[], EapTlsServerEngines],
        bounds: AaaBounds | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        """Take `engines` as a call, so that certificates can be exchanged while this runs; no `attempts`: no rates."""
        self._engines = engines
        self._bounds = bounds or AaaBounds()
        self._attempts = attempts
        # The oldest first. A plain dict finds it ever more slowly, past the places of those that are gone.
        self._exchanges: OrderedDict[bytes, _Exchange] = OrderedDict()
        self._answers: OrderedDict[tuple[str, Hashable, int], _Kept] = OrderedDict()

    @property
    def under_way(self) -> int:
        """How many authentications are held."""
        return len(self._exchanges)

    def receive(
        self, client: AaaClient, source: Hashable, octets: bytes, now: float, wall: datetime, entropy: Entropy
    ) -> Reply:
        """Answer one packet of `client` from `source`; raises `PeerError`, and then there is no answer to give."""
        request = decode(octets)
        check_request(request, client.secret)
        if sum(map(len, request.values(Kind.PROXY_STATE))) > LARGEST_HOPS:
            raise DecodeError(f"more than {LARGEST_HOPS} octets of Proxy-State")
        self._forget_old(now)
        place = client.name, source, request.identifier
        kept = self._answers.get(place)
        if kept is not None and kept.authenticator == request.authenticator:
            return Reply(kept.octets)  # RFC 5080 2.2.2: the same request gets the same answer
        reply = self._answer(client, request, now, wall, entropy)
        self._answers.pop(place, None)
        self._answers[place] = _Kept(request.authenticator, reply.octets, now)
        if len(self._answers) > self._bounds.answers:
            del self._answers[next(iter(self._answers))]
        return reply

    def _forget_old(self, now: float) -> None:
        while self._exchanges:
            state, exchange = next(iter(self._exchanges.items()))
            if now - exchange.begun <= self._bounds.lifetime:
                break
            self._evict(state)
        while self._answers:
            place, kept = next(iter(self._answers.items()))
            if now - kept.at <= self._bounds.answer_lifetime:
                break
            del self._answers[place]

    def _evict(self, state: bytes) -> None:
        self._exchanges.pop(state).server.abandon(Cause.AUTHENTICATION_TIMEOUT, "")  # frees its TLS connection now

    def _answer(self, client: AaaClient, request: Packet, now: float, wall: datetime, entropy: Entropy) -> Reply:
        match request.code:
            case Code.STATUS_SERVER:  # RFC 5997: on this port it is answered with an Access-Accept
                return Reply(_sealed(client, request, Code.ACCESS_ACCEPT))
            case Code.ACCESS_REQUEST:
                return self._on_access_request(client, request, now, wall, entropy)
            case _:
                raise DecodeError("a RADIUS answer where a request was due")

    def _on_access_request(
        self, client: AaaClient, request: Packet, now: float, wall: datetime, entropy: Entropy
    ) -> Reply:
        packet, state = join_eap(request), request.single(Kind.STATE)
        if packet is None or not _OTHER_WAYS.isdisjoint(request.kinds):
            # RFC 3579 3.3: a request authenticates in one way, and here that is EAP.
            return _rejected(client, request, b"", Ended(client.name, "", None, Cause.EAP_FAILED, "no EAP, or more"))
        if state is None:
            return self._begin(client, request, packet, now, wall, entropy)
        exchange = self._exchanges.get(state)
        if exchange is None or exchange.client != client.name:
            ended = Ended(client.name, "", None, Cause.AUTHENTICATION_TIMEOUT, "an unknown or outdated State")
            return _rejected(client, request, _failure(packet), ended)
        return self._go_on(client, request, state, exchange.server.on_packet(packet), now, entropy)

    def _begin(
        self, client: AaaClient, request: Packet, packet: bytes, now: float, wall: datetime, entropy: Entropy
    ) -> Reply:
        if not packet:  # EAP-Start, RFC 3579 2.1; nothing is remembered before somebody says who they are
            asked = eap.encode(eap.Request(entropy(1)[0], eap.EapType.IDENTITY, b""))
            return Reply(_sealed(client, request, Code.ACCESS_CHALLENGE, *split_eap(asked)))
        match eap.decode(packet):
            case eap.Response(identifier=identifier, type=eap.EapType.IDENTITY, data=data):
                pass
            case _:
                ended = Ended(client.name, "", None, Cause.EAP_FAILED, "EAP begins with an identity")
                return _rejected(client, request, _failure(packet), ended)
        identity = _printable(data)
        try:
            claimed = _claimed_eid(data)
        except DecodeError as error:
            ended = Ended(client.name, identity, None, Cause.EID_MISMATCH, str(error))
            return _rejected(client, request, _failure(packet), ended)
        mtu = framed_mtu(request) or eap.LARGEST_PACKET
        # RFC 3748 4.1: the identifier of a new request differs from that of the last one
        server = self._engines().server(claimed, wall, (identifier + 1) % 256, mtu)
        state = entropy(STATE_OCTETS)
        self._exchanges[state] = _Exchange(server, client.name, identity, now)
        if len(self._exchanges) > self._bounds.exchanges:
            self._evict(next(iter(self._exchanges)))
        return self._go_on(client, request, state, server.begin(picked_up=True), now, entropy)

    def _go_on(
        self,
        client: AaaClient,
        request: Packet,
        state: bytes,
        outcome: EapServerOutcome,
        now: float,
        entropy: Entropy,
    ) -> Reply:
        exchange = self._exchanges[state]
        if isinstance(outcome, PeerKnown):
            # Whether there is an order for this EID is for the CP to say; here a good certificate is enough.
            exchange.certificate, exchange.eid = outcome.certificate, eid_of(outcome.certificate)
            exchange.resumed = outcome.resumed
            welcome = self._attempts is None or self._attempts.admit(exchange.eid, now)
            outcome = exchange.server.authorise() if welcome else exchange.server.refuse(Cause.CONGESTION)
        notes: tuple[Attribute, ...] = ()
        if isinstance(outcome, Ignored):
            # RFC 3579 2.2, 2.6.3: no answer would be a lost packet to RADIUS. The NAS is told to ask its peer again.
            notes = (Attribute(Kind.ERROR_CAUSE, INVALID_EAP_PACKET.to_bytes(4)),)
            outcome = exchange.server.again()
        match outcome:
            case SendRequest(packet=packet):
                attributes = (Attribute(Kind.STATE, state), *split_eap(packet), *notes)
                return Reply(_sealed(client, request, Code.ACCESS_CHALLENGE, *attributes))
            case Succeeded(packet=packet, msk=msk) if exchange.eid is not None:
                del self._exchanges[state]
                how = "resumed" if exchange.resumed else ""
                ended = Ended(client.name, exchange.identity, exchange.eid, Cause.NORMAL, how, exchange.certificate)
                return Reply(_accepted(client, request, packet, msk, exchange.eid, entropy), ended)
            case GivenUp(packet=packet, cause=cause, detail=detail):
                del self._exchanges[state]
                ended = Ended(client.name, exchange.identity, exchange.eid, cause, detail, exchange.certificate)
                return _rejected(client, request, packet, ended)
            case Ignored() | PeerKnown() | Succeeded():
                self._evict(state)
                raise Misuse("an exchange at its end, or without a certificate, that is still held")
            case _:
                assert_never(outcome)


def _accepted(client: AaaClient, request: Packet, packet: bytes, msk: Msk, eid: Eid, entropy: Entropy) -> bytes:
    name = eid.digits.encode("ascii")
    attributes = [
        *split_eap(packet),
        *mppe_keys(msk, entropy(2), request.authenticator, client.secret),
        Attribute(Kind.USER_NAME, name),
    ]
    if request.values(Kind.CHARGEABLE_USER_IDENTITY):
        attributes.append(Attribute(Kind.CHARGEABLE_USER_IDENTITY, name))
    return _sealed(client, request, Code.ACCESS_ACCEPT, *attributes)


def _rejected(client: AaaClient, request: Packet, packet: bytes, ended: Ended) -> Reply:
    return Reply(_sealed(client, request, Code.ACCESS_REJECT, *(split_eap(packet) if packet else ())), ended)


def _sealed(client: AaaClient, request: Packet, code: Code, *attributes: Attribute) -> bytes:
    """Seal an answer; what proxies have put in goes back unchanged and in its order (RFC 2865 5.33)."""
    hops = [Attribute(Kind.PROXY_STATE, value) for value in request.values(Kind.PROXY_STATE)]
    return seal_answer(code, request, (*attributes, *hops), client.secret)


def _failure(packet: bytes) -> bytes:
    """Give the EAP-Failure that answers this packet."""
    return eap.encode(eap.Failure(packet[1] if len(packet) > 1 else 0))


def _claimed_eid(identity: bytes) -> Eid | None:
    """Give the EID that an identity claims, `<EID>@realm`; None for an anonymous one. Raises `DecodeError`."""
    if len(identity) > _LONGEST_IDENTITY:
        raise DecodeError(f"an identity of {len(identity)} octets")
    user = identity.partition(b"@")[0]
    if len(user) != _EID_DIGITS or not user.isdigit():
        return None
    return Eid.parse(user.decode("ascii"))


def _printable(identity: bytes) -> str:
    """Give an identity in a form that can stand in a log."""
    text = identity[:_LONGEST_IDENTITY].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)
