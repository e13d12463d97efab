"""EAP-AKA', the UE's end: the USIM asked, the network's name and MAC checked (RFC 9048, TS 33.501 Annex F).

    identity requests ──> the SUCI, never the permanent identity (TS 33.501 table F.2-1)
    challenge ──> KDF 1? ──> the name that the RAN announced? ──> USIM: MAC, then SQN ──> separation bit ──> AT_MAC

Once a challenge with a right AT_MAC is answered, nothing without a right MAC changes anything any more. Refuses to know
which key is kept where; K_encr and K_re are never used.
"""

from rprov.auth.aka import is_of_5g
from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.eap_aka_packet import AkaPacket, check_mac, checkcode, response
from rprov.auth.eap_aka_prime import KDF
from rprov.auth.scheme import Answer, PeerOutcome, Refusal
from rprov.auth.usim import AkaMacFailure, AkaSuccess, AkaSynchFailure, UsimAka
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, ck_prime_ik_prime, k_ausf_from_emsk
from rprov.crypto.prf_prime import EapAkaKeys
from rprov.errors import DecodeError, MacMismatch, Refused
from rprov.model.identifiers import Supi
from rprov.wire.eap import EapType, Request, Response, Success, decode, encode, nak
from rprov.wire.eap_aka import (
    EARLY_BIT,
    SUCCESS_BIT,
    UNABLE_TO_PROCESS,
    AkaData,
    IdentityWanted,
    Subtype,
    decode_aka,
)
from rprov.wire.messages import AkaChallenge, AuthenticationFailure, AuthenticationRequest, AuthenticationResponse, Eap


class EapAkaPrimePeerScheme:
    """The UE's end of exchanges with one network; a `PeerScheme`. A repeated request gets the same answer again.

    `network` is the serving network name as the UE knows it. `suci` is what identity requests get, as an NAI
    (TS 23.003 28.7.3); without it they are refused, for the SUCI went in the AttachRequest.
    """

    __slots__ = (
        "_answered",
        "_identities",
        "_keys",
        "_last",
        "_network",
        "_offered",
        "_refused_late",
        "_rounds",
        "_suci",
        "_supi",
        "_usim",
        "_wanted",
    )

    def __init__(self, usim: UsimAka, supi: Supi, network: str, suci: str | None = None) -> None:
        self._usim = usim
        self._supi = supi
        self._network = network
        self._suci = suci
        self._answered: Request | None = None
        self._last: PeerOutcome | None = None
        self._keys: EapAkaKeys | None = None
        self._identities: list[AkaPacket] = []
        self._wanted = 0
        self._offered: tuple[int, ...] = ()
        self._refused_late = False
        self._rounds = 0

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round, or refuse the network (TS 24.501 5.4.1.2.2)."""
        if self._keys is not None and self._last is not None:
            return self._on_late(message, self._keys, self._last)
        match message.challenge:
            case AkaChallenge():
                return self._refuse(Cause.SEMANTICALLY_INCORRECT, "a challenge of 5G AKA where an EAP packet is due")
            case Eap(packet) if len(message.abba) == 2:
                return self._on_packet(packet)
            case Eap():
                return self._refuse(Cause.INVALID_MANDATORY_INFORMATION, "ABBA has 2 octets")

    def accept_success(self, eap: Eap | None) -> None:
        """Check the EAP-Success of the SecurityModeCommand; raises `Refused`."""
        if eap is None:
            raise Refused(Cause.EAP_FAILED, "a SecurityModeCommand without EAP-Success")
        try:
            packet = decode(eap.packet)
        except DecodeError as error:
            raise Refused(Cause.EAP_FAILED, str(error)) from error
        if self._keys is None or self._answered is None:
            raise Refused(Cause.EAP_FAILED, "an EAP-Success before any challenge was answered")
        if self._refused_late:
            raise Refused(Cause.EAP_FAILED, "an EAP-Success after the network has notified of a failure")
        if packet != Success(self._answered.identifier):
            raise Refused(Cause.EAP_FAILED, "what ends the exchange is not the EAP-Success of its last round")

    def _on_packet(self, octets: bytes) -> PeerOutcome:
        if isinstance(self._last, Refusal):
            return self._last
        try:
            packet = decode(octets)
        except DecodeError as error:
            return self._refuse(error.cause, str(error))
        if packet == self._answered and self._last is not None:
            # RFC 3748 4.1. A new exchange may begin with the same identifier, so the whole request is compared.
            return self._last
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._refuse(Cause.EAP_FAILED, "too many EAP rounds")
        match packet:
            case Request(type=EapType.AKA_PRIME):
                return self._on_aka(packet)
            case Request(identifier=identifier, type=EapType.IDENTITY):
                return self._answer(packet, Response(identifier, EapType.IDENTITY, (self._suci or "").encode()))
            case Request(identifier=identifier, type=EapType.NOTIFICATION):
                return self._answer(packet, Response(identifier, EapType.NOTIFICATION, b""))
            case Request():
                # EAP-AKA too, so that there is nothing to bid down to and AT_BIDDING needs no reading (RFC 9048 4)
                return self._answer(packet, nak(packet, EapType.AKA_PRIME))
            case _:
                return self._refuse(Cause.EAP_FAILED, "an EAP packet out of place")

    def _on_aka(self, packet: Request) -> PeerOutcome:
        try:
            data = decode_aka(packet.data)
        except DecodeError as error:
            return self._client_error(packet, error.cause, str(error))
        match data.subtype:
            case Subtype.IDENTITY:
                return self._on_identity(packet, data)
            case Subtype.CHALLENGE:
                return self._on_challenge(packet, data)
            case Subtype.NOTIFICATION:
                return self._on_notification(packet, data)
            case other:
                # fast re-authentication too: nobody has given us an identity for it (TS 33.501 Annex F)
                return self._client_error(packet, Cause.EAP_FAILED, f"an EAP-AKA' request of subtype {other}")

    def _on_identity(self, packet: Request, data: AkaData) -> PeerOutcome:
        wanted = data.wanted
        if wanted is None or wanted <= self._wanted:
            # RFC 4187 4.1.5: each kind once, from the least telling on
            return self._client_error(packet, Cause.EAP_FAILED, "an identity request out of place")
        if wanted is IdentityWanted.PERMANENT or self._suci is None:
            return self._client_error(packet, Cause.EAP_FAILED, "the network asks for an identity that it does not get")
        self._wanted = wanted
        answer = response(packet.identifier, AkaData(Subtype.IDENTITY, identity=self._suci))
        self._identities += (packet, answer)
        return self._answer(packet, answer)

    # --- challenge ----------------------------------------------------------------------------------------------------

    def _on_challenge(self, packet: Request, data: AkaData) -> PeerOutcome:
        if data.rand is None or data.autn is None or data.mac is None:
            return self._client_error(
                packet, Cause.INVALID_MANDATORY_INFORMATION, "a challenge lacks RAND, AUTN or MAC"
            )
        # RFC 9048 3.1, 3.2: without a name or a function that suits, as if AUTN were wrong
        if not data.kdf_input:
            return self._reject(packet, Cause.INVALID_MANDATORY_INFORMATION, "a challenge without a network name")
        if data.kdf_input != self._network:
            return self._reject(packet, Cause.EAP_FAILED, f"the challenge is of another network than {self._network}")
        if not self._offered and KDF in data.kdfs[1:] and data.kdfs[0] != KDF:
            self._offered = data.kdfs
            return self._answer(packet, response(packet.identifier, AkaData(Subtype.CHALLENGE, kdfs=(KDF,))))
        # The chosen function once more before the list that was offered, and else nothing twice (RFC 9048 3.2).
        list_is_right = data.kdfs == (KDF, *self._offered) if self._offered else len(set(data.kdfs)) == len(data.kdfs)
        if not list_is_right or data.kdfs[:1] != (KDF,):
            return self._reject(packet, Cause.EAP_FAILED, "no key derivation function of the challenge suits")
        return self._ask_usim(packet, data, data.rand, data.autn)

    def _ask_usim(self, packet: Request, data: AkaData, rand: bytes, autn: bytes) -> PeerOutcome:
        match self._usim.authenticate(rand, autn):
            case AkaMacFailure():
                return self._reject(packet, Cause.MAC_FAILURE, "MAC-A of AUTN is wrong")
            case AkaSynchFailure(auts):
                failure = AkaData(Subtype.SYNCHRONIZATION_FAILURE, auts=auts, kdfs=data.kdfs)
                return self._answer(packet, response(packet.identifier, failure))
            case AkaSuccess() as success:
                if not is_of_5g(autn[6:8]):
                    return self._reject(packet, Cause.NON_5G_AUTHENTICATION, "the separation bit of AMF is not set")
                return self._check(packet, data, success)

    def _check(self, packet: Request, data: AkaData, success: AkaSuccess) -> PeerOutcome:
        ck_prime, ik_prime = ck_prime_ik_prime(success.ck, success.ik, self._network, success.sqn_xor_ak)
        keys = EapAkaKeys.derive(ck_prime, ik_prime, self._supi.text)
        try:
            check_mac(packet, keys.k_aut)
        except MacMismatch as error:
            return self._client_error(packet, Cause.EAP_FAILED, f"{error}, though AUTN is right")
        code = checkcode(self._identities)
        if data.checkcode not in (None, code):
            return self._client_error(packet, Cause.EAP_FAILED, "the network knows of other identity rounds")
        answer = AkaData(Subtype.CHALLENGE, res=success.res, checkcode=code)
        sealed = response(packet.identifier, answer, keys.k_aut)
        outcome = self._answer(packet, sealed, k_ausf_from_emsk(keys.emsk))
        self._keys = keys
        return outcome

    # --- notification -------------------------------------------------------------------------------------------------

    def _on_notification(self, packet: Request, data: AkaData) -> PeerOutcome:
        """Take a notification before any challenge was answered well: only one that needs no MAC (RFC 4187 10.19)."""
        if data.notification is None or data.notification & (EARLY_BIT | SUCCESS_BIT) != EARLY_BIT:
            return self._client_error(packet, Cause.EAP_FAILED, "a notification that comes too early")
        return self._answer(packet, response(packet.identifier, AkaData(Subtype.NOTIFICATION)))

    def _on_late(self, message: AuthenticationRequest, keys: EapAkaKeys, last: PeerOutcome) -> PeerOutcome:
        """Give the last answer again, or acknowledge that the network did not like it.

        A notification of success is not waited for: that would need AT_RESULT_IND, to which we never agree
        (RFC 4187 6.2). Only one of failure with a right MAC makes EAP-Success impossible.
        """
        try:
            packet = decode(message.challenge.packet) if isinstance(message.challenge, Eap) else None
            if not isinstance(packet, Request) or packet.type != EapType.AKA_PRIME:
                return last
            data = decode_aka(packet.data)
            if data.subtype is not Subtype.NOTIFICATION or data.notification is None:
                return last
            if data.notification & EARLY_BIT:
                return _answer(response(packet.identifier, AkaData(Subtype.NOTIFICATION)))
            check_mac(packet, keys.k_aut)
        except (DecodeError, MacMismatch):
            return last
        self._refused_late = self._refused_late or not data.notification & SUCCESS_BIT
        return _answer(response(packet.identifier, AkaData(Subtype.NOTIFICATION), keys.k_aut))

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, packet: Request, answer: Response, key: KAusf | None = None) -> Answer:
        outcome = _answer(answer, key)
        self._answered, self._last = packet, outcome
        return outcome

    def _client_error(self, packet: Request, cause: Cause, detail: str) -> Refusal:
        answer = response(packet.identifier, AkaData(Subtype.CLIENT_ERROR, client_error=UNABLE_TO_PROCESS))
        return self._refuse(cause, detail, answer)

    def _reject(self, packet: Request, cause: Cause, detail: str) -> Refusal:
        return self._refuse(cause, detail, response(packet.identifier, AkaData(Subtype.AUTHENTICATION_REJECT)))

    def _refuse(self, cause: Cause, detail: str, answer: Response | None = None) -> Refusal:
        eap = Eap(encode(answer)) if answer is not None else None
        refusal = Refusal(AuthenticationFailure(cause, eap=eap), detail)
        self._last = refusal
        return refusal


def _answer(answer: Response, key: KAusf | None = None) -> Answer:
    return Answer(AuthenticationResponse(Eap(encode(answer))), key)
