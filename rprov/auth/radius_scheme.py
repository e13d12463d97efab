"""The CP as pass-through authenticator: EAP between a device and an AAA server that speaks RADIUS (RFC 3579).

    UE                         CP                                   AAA
                               Access-Request{an identity that the CP makes: anonymous} -->
      <-- EAP-Request -------- <-- Access-Challenge{EAP-Request, State}
      EAP-Response ----------> Access-Request{EAP-Response, State} -->                 ... as many rounds as it takes
                               <-- Access-Accept{EAP-Success, MSK, the certificate's EID}
                               is it the EID that was claimed? has it an order?
      <-- SecurityModeCommand{EAP-Success}, with keys of the MSK

The server keeps EMSK, so K_AUSF comes from MSK, and ABBA says so. It has committed itself towards the device before
the CP is asked: who is refused then holds keys already and believes nothing without them, so it is told under them.
Knows no socket and no secret of RADIUS; sees into no EAP method, but insists that the last one was EAP-TLS.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.radius_eid import certificate_eid
from rprov.auth.radius_exchange import AccessAnswer, AccessRequest
from rprov.auth.scheme import (
    Authenticated,
    Challenge,
    Discarded,
    Failed,
    NetworkOutcome,
    PeerProved,
    Pending,
    TurnedAway,
)
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, k_ausf_from_msk, k_seaf
from rprov.errors import DecodeError, Misuse, Refused
from rprov.model.aaa_client import EidAttribute
from rprov.model.identifiers import Eid, EidHint
from rprov.wire import eap
from rprov.wire.messages import ABBA_MSK, AuthenticationFailure, AuthenticationResponse, Eap
from rprov.wire.radius import LARGEST_VALUE, Attribute, Code, Kind
from rprov.wire.radius_attributes import join_eap, split_eap

UE_NAS_MTU = 1400
"""Octets of an EAP packet on its way to the device (RFC 3579 2.4: that path's, not the one to the server)."""

DiscloseBound = Callable[[KAusf, Eid], None]
"""Takes K_AUSF where keys are logged, and the EID that goes into K_AMF beside it."""

_LONGEST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class RadiusTerms:
    """What all exchanges of one CP have in common."""

    nas_identifier: str
    """What the CP calls itself towards AAA servers (RFC 2865 5.32)."""
    realm: str
    """Realm of the anonymous identity."""
    eid_in: tuple[EidAttribute, ...]
    """Where the EID of the certificate may stand in an Access-Accept."""

    @property
    def identity(self) -> bytes:
        """The anonymous NAI of every device (RFC 9190 2.1.8, RFC 7542)."""
        return f"anonymous@{self.realm}".encode("ascii")[:LARGEST_VALUE]


class RadiusNetworkScheme:
    """The CP-AU's side of one authentication that an AAA server decides."""

    def __init__(
        self, claimed: Eid | EidHint, network: str, terms: RadiusTerms, disclose: DiscloseBound | None = None
    ) -> None:
        """Take what the device claims to be, and the serving network's name."""
        self._disclose = disclose
        self._claimed = claimed
        self._network = network
        self._terms = terms
        self._asked: eap.Request | None = None  # the request that the device has to answer
        self._identifier, self._type = 0, 0  # of the last request
        self._state: tuple[Attribute, ...] = ()
        self._server: str | None = None
        self._rounds = 0
        self._proved: Authenticated | None = None

    def begin(self) -> NetworkOutcome:
        """Ask the server with an identity, which nobody has asked the device for."""
        return self._ask(eap.encode(eap.Response(self._identifier, eap.EapType.IDENTITY, self._terms.identity)))

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        """Pass the device's answer on. What does not answer the request that is out never reaches the server."""
        if not isinstance(message.answer, Eap):
            return self._failed(Cause.EAP_FAILED, "an answer that is no EAP packet")
        return self._ask(message.answer.packet) if self._answers(message.answer.packet) else Discarded()

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        """Take the device's refusal; with the alert that it sends along the server can end, too."""
        failed = self._failed(message.cause, "the device refused the network")
        if message.eap is None or not self._answers(message.eap.packet):
            return failed
        return replace(failed, farewell=self._ask(message.eap.packet).request)

    def on_aaa(self, answer: AccessAnswer) -> NetworkOutcome:
        """Take the server's answer."""
        self._server = answer.server
        try:
            packet = join_eap(answer.packet)
            carried = eap.decode(packet) if packet else None
            state = answer.packet.single(Kind.STATE)
        except DecodeError as error:
            return self._failed(Cause.NETWORK_FAILURE, f"AAA server {answer.server}: {error}")
        match answer.packet.code, carried:
            case Code.ACCESS_CHALLENGE, eap.Request():
                self._state = () if state is None else (Attribute(Kind.STATE, state),)
                return self._challenge(carried, packet or b"")
            case Code.ACCESS_ACCEPT, eap.Success():
                return self._accepted(answer, packet or b"")
            case Code.ACCESS_REJECT, _:
                return self._rejected(answer, carried)
            case code, _:
                detail = f"AAA server {answer.server}: {code.name} with {type(carried).__name__} in it"
                return self._failed(Cause.NETWORK_FAILURE, detail)

    def on_aaa_silent(self, detail: str) -> NetworkOutcome:
        """Give up: no server has answered."""
        return self._failed(Cause.NETWORK_FAILURE, detail)

    def authorise(self) -> NetworkOutcome:
        """Go on after `PeerProved`."""
        if self._proved is None:
            raise Misuse("there is nothing to authorise")
        return self._proved

    def refuse(self, cause: Cause) -> NetworkOutcome:
        """End after `PeerProved`."""
        if self._proved is None:
            raise Misuse("there is nothing to refuse")
        return TurnedAway(self._proved, cause, "refused after the certificate was proved")

    def _answers(self, packet: bytes) -> bool:
        try:
            response = eap.decode(packet)
        except DecodeError:
            return False
        asked = self._asked
        return asked is not None and isinstance(response, eap.Response) and response.identifier == asked.identifier

    def _ask(self, packet: bytes) -> Pending:
        self._asked = None
        hidden = isinstance(self._claimed, EidHint)
        attributes = (
            Attribute(Kind.USER_NAME, self._terms.identity),  # RFC 3579 2.1: the identity of the first response
            Attribute(Kind.NAS_IDENTIFIER, self._terms.nas_identifier.encode()[:LARGEST_VALUE]),
            Attribute(Kind.FRAMED_MTU, UE_NAS_MTU.to_bytes(4)),
            # RFC 4372 2.2: one octet of zero asks for it
            Attribute(Kind.CHARGEABLE_USER_IDENTITY, bytes(1)),
            *(() if hidden else (Attribute(Kind.CALLING_STATION_ID, str(self._claimed).encode("ascii")),)),
            *self._state,
            *split_eap(packet),
        )
        return Pending(AccessRequest(attributes, self._server), self)

    def _challenge(self, request: eap.Request, packet: bytes) -> NetworkOutcome:
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._failed(Cause.EAP_FAILED, "too many EAP rounds")
        self._asked, self._identifier, self._type = request, request.identifier, request.type
        return Challenge(Eap(packet), ABBA_MSK)

    def _accepted(self, answer: AccessAnswer, packet: bytes) -> NetworkOutcome:
        by = f"AAA server {answer.server}"
        if self._type != eap.EapType.TLS:
            # Certificates, or nobody: a password proves no EID.
            return self._failed(Cause.EAP_FAILED, f"{by} lets the device in by EAP type {self._type}")
        if answer.msk is None:
            return self._failed(Cause.NETWORK_FAILURE, f"{by}: an Access-Accept without MS-MPPE keys")
        k_ausf = k_ausf_from_msk(answer.msk)
        seaf, success = k_seaf(k_ausf, self._network), Eap(packet)
        claimed = self._claimed
        try:
            eid = self._proved_eid(answer)
        except Refused as refusal:
            if isinstance(claimed, EidHint):
                return self._failed(refusal.cause, refusal.detail)  # nobody knows whose name the keys would be bound to
            self._tell(k_ausf, claimed)
            both = Authenticated(seaf, claimed, success, ABBA_MSK)
            return TurnedAway(both, refusal.cause, refusal.detail)
        self._tell(k_ausf, eid)
        self._proved = Authenticated(seaf, eid, success, ABBA_MSK)
        return PeerProved(eid, f"{by} has seen its certificate")

    def _tell(self, k_ausf: KAusf, eid: Eid) -> None:
        if self._disclose is not None:
            self._disclose(k_ausf, eid)

    def _proved_eid(self, answer: AccessAnswer) -> Eid:
        eid, claimed = certificate_eid(answer.packet, self._terms.eid_in), self._claimed
        # TS 33.501 B.2.1.1 step 15: the certificate must belong to the identity that was claimed
        if not (claimed.covers(eid) if isinstance(claimed, EidHint) else eid == claimed):
            raise Refused(Cause.EID_MISMATCH, f"the certificate is of {eid}, not of {claimed}")
        return eid

    def _rejected(self, answer: AccessAnswer, carried: eap.EapPacket | None) -> Failed:
        said = b" ".join(answer.packet.values(Kind.REPLY_MESSAGE)).decode("utf-8", "replace")[:_LONGEST_DETAIL]
        text = "".join(character if character.isprintable() else "?" for character in said)
        detail = f"AAA server {answer.server} has refused the device" + (f": {text}" if text else "")
        failure = carried if isinstance(carried, eap.Failure) else eap.Failure(self._identifier)
        return Failed(Cause.EAP_FAILED, Eap(eap.encode(failure)), detail)

    def _failed(self, cause: Cause, detail: str) -> Failed:
        return Failed(cause, Eap(eap.encode(eap.Failure(self._identifier))), detail)
