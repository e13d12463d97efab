"""EAP-TLS as a scheme of step 2: certificates of both sides judged, K_AUSF and K_SEAF made. Knows no step.

`EapTlsServerEngines` and `EapTlsPeerEngines` are made once from credentials and snapshots of policy, and give one
scheme per UE. K_AUSF is the first half of EMSK (TS 33.501 B.2.1.1); MSK, EMSK and K_AUSF stay in here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from cryptography import x509

from rprov.auth.eap.methods.tls import TlsPeerMethod, TlsServerMethod
from rprov.auth.eap.peer import Denied, EapPeer, SendResponse
from rprov.auth.eap.server import EapServer, EapServerOutcome, GivenUp, PeerKnown, SendRequest, Succeeded
from rprov.auth.scheme import Answer, Authenticated, Challenge, Failed, NetworkOutcome, PeerOutcome, PeerProved, Refusal
from rprov.causes import Cause
from rprov.crypto.hierarchy import k_ausf_from_emsk, k_seaf
from rprov.crypto.tls import Side, TlsContext, TlsCredentials
from rprov.crypto.x509 import NO_TABLE, Role, check_chain, describe, eid_of
from rprov.crypto.x509_crl import NO_REVOCATIONS, CertificateId, Revocations, path_ids
from rprov.crypto.x509_network import check_network
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Eid, EidHint, Plmn
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
        self._anchors = tuple(anchors)
        self._eum_table = dict(eum_table)
        self._roles = roles
        self._fragment = _packet_size(fragment)
        self.revoked = revoked
        """May be exchanged at any time; the next certificate is judged by the new one."""

    def scheme(self, claimed: Eid | EidHint, network: str, wall: datetime) -> "EapTlsNetworkScheme":
        """Begin with one UE: the EID it claims (or hints at), the serving network's name, the time now."""
        path: list[x509.Certificate] = []
        return EapTlsNetworkScheme(self._server(claimed, wall, path), network, lambda: path_ids(path))

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

        def judge(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
            path[:] = self._judge(leaf, intermediates, claimed, wall)

        fragment = _packet_size(min(self._fragment, packet_size))
        # TLS 1.2 would show the EID that a hint keeps to itself.
        context = self._hiding if isinstance(claimed, EidHint) else self._context
        return EapServer(TlsServerMethod(context.engine(judge), fragment), identifier)

    def _judge(
        self,
        leaf: x509.Certificate,
        intermediates: Sequence[x509.Certificate],
        claimed: Eid | EidHint | None,
        wall: datetime,
    ) -> tuple[x509.Certificate, ...]:
        path = check_chain(leaf, intermediates, self._anchors, self._roles, wall, self._eum_table)
        self.revoked.check(path, wall)
        # TS 33.501 B.2.1.1 step 15: the certificate must belong to the identity that was claimed
        eid = eid_of(leaf)
        if claimed is None:
            return path  # an anonymous identity (RFC 9190 2.1.8): the certificate alone says who it is
        if not (claimed.covers(eid) if isinstance(claimed, EidHint) else eid == claimed):
            raise Refused(Cause.EID_MISMATCH, f"the certificate is of {eid}, not of {claimed}")
        return path


class EapTlsNetworkScheme:
    """The CP-AU's side of one authentication."""

    def __init__(self, server: EapServer, network: str, path: Callable[[], frozenset[CertificateId]]) -> None:
        """Take what names the certificates of the path that was judged good, once there is one."""
        self._server = server
        self._network = network
        self._path = path
        self._eid: Eid | None = None

    def begin(self) -> NetworkOutcome:
        """Give the first challenge."""
        return self._outcome(self._server.begin())

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
        return self._outcome(self._server.refuse(cause))

    def _outcome(self, outcome: EapServerOutcome) -> NetworkOutcome:
        match outcome:
            case SendRequest(packet=packet):
                return Challenge(Eap(packet))
            case PeerKnown(certificate=certificate):
                self._eid = eid_of(certificate)
                return PeerProved(self._eid, describe(certificate), self._path())
            case Succeeded(packet=packet, emsk=emsk):
                if self._eid is None:
                    raise Misuse("success without a certificate")
                return Authenticated(k_seaf(k_ausf_from_emsk(emsk), self._network), self._eid, Eap(packet))
            case GivenUp(packet=packet, cause=cause, detail=detail):
                return Failed(cause, Eap(packet), detail)


class EapTlsPeerEngines:
    """What a UE needs for EAP-TLS, once: its credentials and its own list of anchors for networks."""

    def __init__(
        self,
        credentials: TlsCredentials,
        anchors: Sequence[x509.Certificate],
        fragment: int = PACKET_SIZE,
        server_name: str | None = None,
        choices: TlsChoices = DEFAULT_CHOICES,
    ) -> None:
        """Take `server_name` where the network's certificate does not carry the name that its PLMN gives."""
        self._context = TlsContext(Side.CLIENT, credentials, anchors, choices)
        self._anchors = tuple(anchors)
        self._fragment = _packet_size(fragment)
        self._server_name = server_name

    def scheme(self, network: Plmn, wall: datetime) -> "EapTlsPeerScheme":
        """Begin with the network that the RAN announced."""
        name = self._server_name or network.cp_name

        def judge(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> None:
            check_network(leaf, intermediates, self._anchors, name, wall)

        return EapTlsPeerScheme(EapPeer(TlsPeerMethod(self._context.engine(judge), self._fragment)))


class EapTlsPeerScheme:
    """The UE's side of one authentication."""

    def __init__(self, peer: EapPeer) -> None:
        self._peer = peer

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round."""
        if not isinstance(message.challenge, Eap) or message.abba != ABBA:
            detail = "the network asks for another way of authenticating than EAP-TLS with EMSK"
            return Refusal(AuthenticationFailure(Cause.EAP_FAILED), detail)
        match self._peer.on_packet(message.challenge.packet):
            case SendResponse(packet=packet, emsk=emsk):
                k_ausf = k_ausf_from_emsk(emsk) if emsk is not None else None
                return Answer(AuthenticationResponse(Eap(packet)), k_ausf)
            case Denied(cause=cause, detail=detail, packet=last):
                eap = Eap(last) if last is not None else None
                return Refusal(AuthenticationFailure(cause, eap=eap), detail)

    def accept_success(self, eap: Eap | None) -> None:
        """Check the EAP-Success of the SecurityModeCommand; raises `Refused`."""
        if eap is None:
            raise Refused(Cause.EAP_FAILED, "a SecurityModeCommand without EAP-Success")
        self._peer.accept_success(eap.packet)
