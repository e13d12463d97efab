"""A RADIUS client with a device behind it: our EAP-TLS peer, our codec, and whatever carries packets to a server.

nas = Nas(secret, exchange)              exchange: request octets -> answer octets
nas.run(device(pki.device), identity)    -> Verdict(code, eap, msk of the peer, msk from the keys, user name, rounds)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from cryptography import x509
from doubles.pki import NOW, PLMN, Held, seeded, shared_pki

from rprov.auth.eap.methods.tls import TlsPeerMethod
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.crypto.hierarchy import Msk
from rprov.crypto.tls import TlsEngine
from rprov.crypto.tls_context import Side, TlsContext, TlsCredentials
from rprov.crypto.x509_network import check_network
from rprov.model.tls import TlsChoices, TlsResumption
from rprov.wire import eap
from rprov.wire.radius import (
    LARGEST_VALUE,
    Attribute,
    Code,
    Kind,
    Packet,
    SharedSecret,
    check_answer,
    decode,
    seal_request,
)
from rprov.wire.radius_attributes import join_eap, msk_of, split_eap

_SERIAL = count()
"""No two clients send the same authenticators: to a server that would be one request, sent again."""

ANONYMOUS = b"anonymous@example.org"
MTU_1400 = Attribute(Kind.FRAMED_MTU, (1400).to_bytes(4))


class Device:
    """Makes EAP peers of one device; parsing its credentials once."""

    def __init__(
        self,
        held: Held | None = None,
        anchors: Iterable[x509.Certificate] | None = None,
        fragment: int = 1400,
        at: datetime = NOW,
        name: str = PLMN.cp_name,
        judge_status: Callable[[list[x509.Certificate], bytes], None] | None = None,
        resumes: bool = False,
    ) -> None:
        """One that `resumes` offers the ticket of its full handshake again and again; `resumed`: it was taken.

        FreeRADIUS 3.2 gives another one in a resumed handshake, and does not take that.
        """
        pki = shared_pki()
        held = held or pki.device
        self.anchors = tuple(anchors) if anchors is not None else (pki.network_ca.certificate,)
        self.fragment, self.at, self.name = fragment, at, name
        self.judge_status = judge_status
        self.resumes, self.session, self.resumed = resumes, None, False
        choices = TlsChoices(resumption=TlsResumption(enabled=resumes))
        self.context = TlsContext(Side.CLIENT, TlsCredentials(held.chain, held.key), self.anchors, choices)

    def peer(self) -> EapPeer:
        path: list[x509.Certificate] = []

        def judge(leaf, intermediates):
            path[:] = check_network(leaf, intermediates, self.anchors, self.name, self.at)

        asked = self.judge_status
        about = None if asked is None else lambda staple: asked(path, staple)
        again = (lambda leaf: None) if self.resumes else None
        engine = TlsEngine(self.context, judge, judge_status=about, again=again, session=self.session)

        def committed() -> None:
            self.resumed = engine.resumed
            if self.resumes and not engine.resumed:
                self.session = engine.session()

        return EapPeer(TlsPeerMethod(engine, self.fragment, committed))


@dataclass
class Verdict:
    """How an authentication ended, as the client sees it."""

    code: Code
    eap: eap.EapPacket | None
    peer_msk: Msk | None
    answer: Packet
    request: Packet
    rounds: int
    denied: Denied | None = None
    largest_eap: int = 0

    @property
    def user_name(self) -> str:
        return (self.answer.single(Kind.USER_NAME) or b"").decode()


@dataclass
class Nas:
    """One client. `exchange` may also be given for each run."""

    secret: SharedSecret
    exchange: Callable[[bytes], bytes]
    extra: tuple[Attribute, ...] = (MTU_1400,)
    entropy: Callable[[int], bytes] = field(default_factory=lambda: seeded(f"nas/{next(_SERIAL)}"))
    identifier: int = 0

    def request(self, packet: bytes, state: bytes | None, *more: Attribute) -> bytes:
        """A sealed Access-Request."""
        self.identifier = (self.identifier + 1) % 256
        carried = () if state is None else (Attribute(Kind.STATE, state),)
        attributes = (*self.extra, *carried, *split_eap(packet), *more)
        return seal_request(self.identifier, self.entropy(16), attributes, self.secret)

    def ask(self, packet: bytes, state: bytes | None, *more: Attribute) -> tuple[Packet, Packet]:
        """Send a request and check the answer."""
        octets = self.request(packet, state, *more)
        answer, request = decode(self.exchange(octets)), decode(octets)
        check_answer(answer, request, self.secret)
        return answer, request

    def run(self, device: Device, identity: bytes = ANONYMOUS, *more: Attribute) -> Verdict:
        """Authenticate once, from the identity to Accept or Reject."""
        peer = device.peer()
        packet = eap.encode(eap.Response(0, eap.EapType.IDENTITY, identity))
        state: bytes | None = None
        msk: Msk | None = None
        denied: Denied | None = None
        if 0 < len(identity) <= LARGEST_VALUE:
            more = (Attribute(Kind.USER_NAME, identity), *more)  # RFC 3579 2.1; hostapd insists on it
        rounds = largest = 0
        while True:
            answer, request = self.ask(packet, state, *more)
            rounds += 1
            inner = join_eap(answer)
            largest = max(largest, len(inner or b""))
            if answer.code is not Code.ACCESS_CHALLENGE:
                last = eap.decode(inner) if inner else None
                return Verdict(answer.code, last, msk, answer, request, rounds, denied, largest)
            state = answer.single(Kind.STATE)
            match peer.on_packet(inner or b""):
                case SendResponse(packet=packet, msk=found):
                    msk = msk or found
                case Denied(packet=last_words) as denied:
                    packet = last_words or b""

    def keys(self, verdict: Verdict) -> bytes:
        """What the Access-Accept gives away, checked to be of this exchange."""
        return msk_of(verdict.answer, verdict.request.authenticator, self.secret).octets
