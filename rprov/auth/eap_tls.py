"""EAP-TLS as a scheme of step 2: certificates of both sides judged, K_AUSF and K_SEAF made. Knows no step.

`EapTlsServerEngines` and `EapTlsPeerEngines` are made once from credentials and snapshots of policy, and give one
scheme per UE. K_AUSF is the first half of EMSK (TS 33.501 B.2.1.1), at a UE that was told so of MSK (I.2.2.2.2); MSK,
EMSK and K_AUSF stay in here.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from rprov.auth.eap.methods.tls import TlsPeerMethod, TlsServerMethod
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.auth.eap.server import EapServer, EapServerOutcome, GivenUp, Ignored, PeerKnown, SendRequest, Succeeded
from rprov.auth.resumable import Resumable
from rprov.auth.scheme import (
    Answer,
    Authenticated,
    Challenge,
    Discarded,
    Failed,
    NetworkOutcome,
    PeerOutcome,
    PeerProved,
    Refusal,
)
from rprov.auth.ticket import Ticket, TicketPocket, bind
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, KAusf, Msk, k_ausf_from_emsk, k_ausf_from_msk, k_seaf
from rprov.crypto.ocsp import Staple
from rprov.crypto.tls import TlsEngine
from rprov.crypto.tls_context import Side, TlsContext, TlsCredentials
from rprov.crypto.x509 import NO_TABLE, Role, describe, eid_of
from rprov.crypto.x509_crl import NO_REVOCATIONS, CertificateId, Revocations, path_ids
from rprov.crypto.x509_network import check_network, check_staple
from rprov.crypto.x509_trust import DeviceAnchors
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Eid, EidHint, Plmn
from rprov.model.revocation import RevocationCheck
from rprov.model.tls import DEFAULT_CHOICES, TlsChoices
from rprov.wire.eap import LARGEST_PACKET
from rprov.wire.eap_tls import SMALLEST_PACKET
from rprov.wire.messages import ABBA, AuthenticationFailure, AuthenticationRequest, AuthenticationResponse, Eap

PACKET_SIZE = 1400
"""Octets of the largest EAP packet we send; 1,500 fit into NAS, and less goes through any RADIUS server."""

DEVICE_ROLES = frozenset({Role.DEVICE, Role.EUICC})


def _packet_size(size: int) -> int:
    if not SMALLEST_PACKET <= size <= LARGEST_PACKET:
        raise Misuse(f"EAP packets have {SMALLEST_PACKET} to {LARGEST_PACKET} octets, not {size}")
    return size


def anonymous_nai(network: Plmn) -> bytes:
    """Give what an Identity request gets: a realm and nobody in it (RFC 9190 2.1.8); the EID is in the attach."""
    return f"@rsp.{network.domain}".encode("ascii")


class EapTlsServerEngines:
    """What the CP-AU needs for EAP-TLS, once: its credentials, and a snapshot of whom it trusts."""

    def __init__(
        self,
        credentials: TlsCredentials,
        anchors: Sequence[x509.Certificate],
        eum_table: Mapping[bytes, tuple[str, ...]] = NO_TABLE,
        roles: frozenset[Role] = DEVICE_ROLES,
        fragment: int = PACKET_SIZE,
        revoked: Revocations = NO_REVOCATIONS,
        choices: TlsChoices = DEFAULT_CHOICES,
    ) -> None:
        """Take `anchors` (CIs), `roles` that a device's certificate may have, `revoked` as the CRLs say now."""
        if not roles or not roles <= DEVICE_ROLES:
            raise Misuse("a device authenticates with a DEVICE or an EUICC certificate")
        self._context = self._hiding = TlsContext(Side.SERVER, credentials, anchors, choices)
        if choices.takes_1_2:
            self._hiding = TlsContext(Side.SERVER, credentials, anchors, choices.private)
        self._trusted = DeviceAnchors(anchors, roles, eum_table)
        self._fragment = _packet_size(fragment)
        self.revoked = revoked
        """May be exchanged at any time; the next certificate is judged by the new one, and so is the next ticket."""
        self._resumable = Resumable(choices.resumption.lifetime) if choices.resumption.enabled else None
        self.staple: Staple | None = None
        """What is stapled about our own certificate for peers that ask; may be exchanged at any time."""
        self.ask_identity = False
        """Whether EAP asks a UE for its identity first; what it says is believed by nobody."""

    def log_keys(self, log: Callable[[bytes], None]) -> None:
        """Give the secrets of every handshake from now on to `log`, as lines of an SSLKEYLOGFILE."""
        for context in {self._context, self._hiding}:
            context.log_keys(log)

    def scheme(self, claimed: Eid | EidHint, network: str, wall: datetime) -> "EapTlsNetworkScheme":
        """Begin with one UE: the EID it claims (or hints at), the serving network's name, the time now."""
        path: list[x509.Certificate] = []
        server, known = self._server(claimed, wall, path), self._resumable

        def forget() -> None:
            if known is not None:
                known.forget(path[0])

        return EapTlsNetworkScheme(server, network, lambda: path_ids(path), self.ask_identity, forget)

    def server(self, claimed: Eid | None, wall: datetime, identifier: int, packet_size: int) -> EapServer:
        """Begin with a peer behind RADIUS: the EID that it claims, if it does, and its bound on EAP packets."""
        return self._server(claimed, wall, [], identifier, packet_size)

    def _server(
        self,
        claimed: Eid | EidHint | None,
        wall: datetime,
        path: list[x509.Certificate],
        identifier: int = 1,
        packet_size: int = LARGEST_PACKET,
    ) -> EapServer:
        """`path` takes the certificates that were judged good."""
        known = self._resumable

        def judge(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
            path[:] = self._judge(leaf, intermediates, claimed, wall)

        def again(leaf: x509.Certificate) -> None:
            if known is None:
                raise Misuse("a ticket, where none is given")
            judge(leaf, known.issuers(leaf, wall))  # RFC 9190 5.7: everything is decided anew

        def committed() -> None:
            if known is not None and not engine.resumed:
                known.remember(path, wall)

        fragment = _packet_size(min(self._fragment, packet_size))
        # TLS 1.2 would show the EID that a hint keeps to itself.
        context = self._hiding if isinstance(claimed, EidHint) else self._context
        for eum in self._trusted.take_new():
            for one in {self._context, self._hiding}:
                one.know(eum)
        staple = self.staple.current(wall) if self.staple else b""
        engine = TlsEngine(context, judge, staple=staple, again=again if known is not None else None)
        return EapServer(TlsServerMethod(engine, fragment, committed), identifier)

    def _judge(
        self,
        leaf: x509.Certificate,
        intermediates: Sequence[x509.Certificate],
        claimed: Eid | EidHint | None,
        wall: datetime,
    ) -> tuple[x509.Certificate, ...]:
        path = self._trusted.check(leaf, intermediates, wall)
        self.revoked.check(path, wall)
        if claimed is None:
            return path  # an anonymous identity (RFC 9190 2.1.8): the certificate alone says who it is
        # TS 33.501 B.2.1.1 step 15: the certificate must belong to the identity that was claimed
        eid = eid_of(leaf)
        if not (claimed.covers(eid) if isinstance(claimed, EidHint) else eid == claimed):
            raise Refused(Cause.EID_MISMATCH, f"the certificate is of {eid}, not of {claimed}")
        return path


class EapTlsNetworkScheme:
    """The CP-AU's side of one authentication."""

    def __init__(
        self,
        server: EapServer,
        network: str,
        path: Callable[[], frozenset[CertificateId]],
        ask_identity: bool,
        forget: Callable[[], None],
    ) -> None:
        """Take what names the certificates of the path that was judged good, once there is one.

        `forget` makes the tickets of whoever has proved itself good for nothing.
        """
        self._server = server
        self._network = network
        self._path = path
        self._ask_identity = ask_identity
        self._forget = forget
        self._eid: Eid | None = None

    def begin(self) -> NetworkOutcome:
        """Give the first challenge."""
        return self._outcome(self._server.begin(ask_identity=self._ask_identity))

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        """Take the UE's answer."""
        if isinstance(message.answer, Eap):
            return self._outcome(self._server.on_packet(message.answer.packet))
        return self._outcome(self._server.abandon(Cause.EAP_FAILED, "an answer that is no EAP packet"))

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        """Take the UE's refusal; its cause becomes ours."""
        return self._outcome(self._server.abandon(message.cause, "the device refused the network"))

    def authorise(self) -> NetworkOutcome:
        """Go on after `PeerProved`."""
        return self._outcome(self._server.authorise())

    def refuse(self, cause: Cause) -> NetworkOutcome:
        """End after `PeerProved`: a goodbye in TLS first, then `Failed` with `cause`."""
        if cause is Cause.NO_ORDER:
            self._forget()  # it was provisioned, or never will be: there is nothing left to resume for
        return self._outcome(self._server.refuse(cause))

    def _outcome(self, outcome: EapServerOutcome) -> NetworkOutcome:
        match outcome:
            case SendRequest(packet=packet):
                return Challenge(Eap(packet))
            case Ignored():
                return Discarded()
            case PeerKnown(certificate=certificate, resumed=resumed):
                self._eid = eid_of(certificate)
                return PeerProved(self._eid, describe(certificate), self._path(), resumed)
            case Succeeded(packet=packet, emsk=emsk):
                if self._eid is None:
                    raise Misuse("success without a certificate")
                return Authenticated(k_seaf(k_ausf_from_emsk(emsk), self._network), self._eid, Eap(packet))
            case GivenUp(packet=packet, cause=cause, detail=detail):
                return Failed(cause, Eap(packet), detail)


class Believed(NamedTuple):
    """Whom a UE takes for a network: who certifies it, and its dNSName; None: the one that the PLMN gives."""

    anchors: Sequence[x509.Certificate]
    name: str | None


class _NetworkJudge:
    """What one UE makes of one network in one exchange: by what the network shows, or by what a ticket remembers."""

    def __init__(self, believed: Sequence[Believed], network: Plmn, wall: datetime, check: RevocationCheck) -> None:
        self._believed = [(item.anchors, item.name or network.cp_name) for item in believed]
        self._wall = wall
        self._required = check is RevocationCheck.STAPLE_REQUIRED
        self.asks = check is not RevocationCheck.OFF
        self.path: tuple[x509.Certificate, ...] = ()
        """The network's certificate, …, its anchor, from the moment they were believed."""
        self.staple = b""

    def judge(self, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
        """Judge a certificate."""
        *others, last = self._believed
        for anchors, name in others:
            with suppress(Refused):
                self.path = check_network(leaf, intermediates, anchors, name, self._wall)
                return
        self.path = check_network(leaf, intermediates, *last, self._wall)

    def judge_status(self, staple: bytes) -> None:
        """Judge what was stapled about it."""
        check_staple(self.path, staple, self._wall, required=self._required)
        self.staple = staple

    def believes(self, ticket: Ticket) -> bool:
        """Whether a network would be believed now for what it showed when it gave this ticket."""
        try:
            self.judge(ticket.path[0], ticket.path[1:])
            if self.asks:
                self.judge_status(ticket.staple)
        except Refused:
            return False
        return True

    def judge_again(self, leaf: x509.Certificate) -> None:
        """Judge a network that resumes: it must be the one whose ticket was offered."""
        if leaf not in self.path[:1]:
            raise Refused(Cause.NETWORK_CERTIFICATE_INVALID, "a resumed handshake with another network")


class EapTlsPeerEngines:
    """What a UE needs for EAP-TLS, once: its credentials and its own list of anchors for networks."""

    def __init__(
        self,
        credentials: TlsCredentials,
        anchors: Sequence[x509.Certificate],
        fragment: int = PACKET_SIZE,
        server_name: str | None = None,
        choices: TlsChoices = DEFAULT_CHOICES,
        revocation: RevocationCheck = RevocationCheck.STAPLE_IF_PRESENT,
        pocket: TicketPocket | None = None,
        elsewhere: Sequence[Believed] = (),
        abba: bytes = ABBA,
    ) -> None:
        """Take `server_name` where the network's certificate does not carry the name that its PLMN gives.

        `elsewhere` are other pairs of anchors and names that are believed as well; `abba` says where keys come from.
        """
        self._believed = (Believed(tuple(anchors), server_name), *elsewhere)
        anchors = [anchor for believed in self._believed for anchor in believed.anchors]
        self._context = TlsContext(Side.CLIENT, credentials, anchors, choices)
        self._abba = abba
        self._fragment = _packet_size(fragment)
        self._revocation = revocation
        self._lifetime = choices.resumption.lifetime
        self._pocket = pocket if pocket is not None and choices.resumption.enabled else None
        # A ticket is good for the trust that it was given under, and for what was negotiated under the same choices.
        names = (f"{len(item.anchors)} {item.name}" for item in self._believed)
        self._trust = bind(repr(choices), revocation, abba, *names, certificates=(credentials.chain[0], *anchors))

    def log_keys(self, log: Callable[[bytes], None]) -> None:
        """Give the secrets of every handshake from now on to `log`, as lines of an SSLKEYLOGFILE."""
        self._context.log_keys(log)

    def scheme(self, network: Plmn, wall: datetime) -> "EapTlsPeerScheme":
        """Begin with the network that the RAN announced."""
        judge = _NetworkJudge(self._believed, network, wall, self._revocation)
        ticket = self._resumable(network, judge, wall)
        engine = TlsEngine(
            self._context,
            judge.judge,
            judge_status=judge.judge_status if judge.asks else None,
            again=judge.judge_again if ticket is not None else None,
            session=ticket.session if ticket is not None else None,
        )

        def committed() -> None:
            session = engine.session() if self._pocket is not None else None
            if self._pocket is None or session is None:
                return
            if ticket is not None and engine.resumed:
                self._pocket.put(ticket.next(session))
            else:
                binding = self._binding(network)
                self._pocket.put(Ticket(binding, wall, judge.path[:-1], judge.staple, session))

        method = TlsPeerMethod(engine, self._fragment, committed)
        return EapTlsPeerScheme(EapPeer(method, anonymous_nai(network)), engine, self._abba)

    def _binding(self, network: Plmn) -> bytes:
        return bind(self._trust, str(network))

    def _resumable(self, network: Plmn, judge: _NetworkJudge, wall: datetime) -> Ticket | None:
        """Take the ticket, if it is good for this network now. It is gone then, whatever comes of it."""
        ticket = self._pocket.take() if self._pocket is not None else None
        if ticket is None or ticket.binding != self._binding(network) or not ticket.is_current(wall, self._lifetime):
            return None
        return ticket if judge.believes(ticket) else None


class EapTlsPeerScheme:
    """The UE's side of one authentication."""

    def __init__(self, peer: EapPeer, engine: TlsEngine, abba: bytes = ABBA) -> None:
        """Take `abba`: with ABBA_MSK keys come from the MSK, which the network's AAA server knows, too."""
        self._peer = peer
        self._engine = engine
        self._abba = abba

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round."""
        if not isinstance(message.challenge, Eap) or message.abba != self._abba:
            keys = "EMSK" if self._abba == ABBA else "MSK"
            detail = f"the network asks for another way of authenticating than EAP-TLS with {keys}"
            return Refusal(AuthenticationFailure(Cause.EAP_FAILED), detail)
        match self._peer.on_packet(message.challenge.packet):
            case SendResponse(packet=packet, msk=msk, emsk=emsk):
                return Answer(AuthenticationResponse(Eap(packet)), self._k_ausf(msk, emsk), self._engine.resumed)
            case Ignored():
                return Discarded()
            case Denied(cause=cause, detail=detail, packet=last):
                eap = Eap(last) if last is not None else None
                return Refusal(AuthenticationFailure(cause, eap=eap), detail)

    def _k_ausf(self, msk: Msk | None, emsk: Emsk | None) -> KAusf | None:
        if msk is None or emsk is None:
            return None
        return k_ausf_from_emsk(emsk) if self._abba == ABBA else k_ausf_from_msk(msk)

    def accept_success(self, eap: Eap | None) -> None:
        """Check the EAP-Success of the SecurityModeCommand; raises `Refused`."""
        if eap is None:
            raise Refused(Cause.EAP_FAILED, "a SecurityModeCommand without EAP-Success")
        self._peer.accept_success(eap.packet)
