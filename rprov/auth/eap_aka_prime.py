"""EAP-AKA', the network's end: AUSF and UDM in one (RFC 9048, TS 33.501 6.1.3.1 and Annex F).

    UE                                        CP-AU
      <--------- AKA'-Challenge: RAND, AUTN, KDF 1, name of the network, MAC
      AKA'-Challenge: RES, MAC ------------>  Authenticated; EAP-Success goes into the SecurityModeCommand
      AKA'-Synchronization-Failure: AUTS -->  Resynchronise
      AKA'-Authentication-Reject,
      AKA'-Client-Error ------------------->  Failed with EAP-Failure
      <--------- AKA'-Notification ---------  what came was wrong: said first, then EAP-Failure (RFC 4187 6.3.2)

No identity rounds, pseudonyms or fast re-authentication: the SUCI has named the subscriber, and 5GS uses none of them
(TS 33.501 Annex F). Refuses to know where keys and sequence numbers are kept, as `auth/aka.py` does.
"""

import hmac
from dataclasses import dataclass, field

from rprov.auth.aka import REFUSALS, check_separation_bit
from rprov.auth.eap.server import MAX_ROUNDS
from rprov.auth.eap_aka_packet import check_mac, checkcode, request
from rprov.auth.scheme import Authenticated, Challenge, Disclose, Failed, NetworkOutcome, Resynchronise
from rprov.auth.usim import UmtsVector, sqn_of_auts
from rprov.causes import Cause
from rprov.crypto.hierarchy import ck_prime_ik_prime, k_ausf_from_emsk, k_seaf
from rprov.crypto.milenage import AkaFunctions
from rprov.crypto.prf_prime import EapAkaKeys
from rprov.errors import DecodeError, MacMismatch, Misuse, Refused
from rprov.model.identifiers import Supi
from rprov.wire.eap import EapType, Failure, Request, Response, Success, decode, encode
from rprov.wire.eap_aka import AkaData, Notice, Subtype, decode_aka
from rprov.wire.messages import AkaAnswer, AuthenticationFailure, AuthenticationResponse, Eap

KDF = 1
"""The key derivation function of RFC 9048 3.3, the only one there is without forward secrecy (RFC 9678)."""


@dataclass(frozen=True, slots=True)
class EapAkaVector:
    """One transformed authentication vector AV' with the keys that follow from it (TS 33.501 6.1.3.1 step 1)."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    keys: EapAkaKeys

    @classmethod
    def make(
        cls, functions: AkaFunctions, sqn: int, amf: bytes, network: str, rand: bytes, identity: str
    ) -> "EapAkaVector":
        """Make the vector of a RAND, 16 octets; `identity` is the SUPI, not what an EAP packet calls the peer."""
        umts = UmtsVector.make(functions, sqn, amf, rand)
        ck_prime, ik_prime = ck_prime_ik_prime(umts.ck, umts.ik, network, umts.sqn_xor_ak)
        return cls(rand, umts.autn, umts.xres, EapAkaKeys.derive(ck_prime, ik_prime, identity))


class EapAkaPrimeNetworkScheme:
    """The network's end of one exchange; a `NetworkScheme`.

    `sqn` is a fresh SQN reserved for this run, `rand` 16 fresh random octets, `network` the serving network name.
    The first identifier comes from RAND, so that a run that follows a resynchronisation begins with another one. What
    does not answer the outstanding request gets that request again, and after the end the last outcome.
    """

    __slots__ = (
        "_disclose",
        "_ending",
        "_functions",
        "_identifier",
        "_last",
        "_network",
        "_rounds",
        "_supi",
        "_vector",
    )

    def __init__(
        self,
        *,
        supi: Supi,
        functions: AkaFunctions,
        amf: bytes,
        sqn: int,
        network: str,
        rand: bytes,
        disclose: Disclose | None = None,
    ) -> None:
        check_separation_bit(amf)
        self._disclose = disclose
        self._supi = supi
        self._functions = functions
        self._network = network
        self._vector = EapAkaVector.make(functions, sqn, amf, network, rand, supi.text)
        self._identifier = rand[0]
        self._rounds = 0
        self._last: NetworkOutcome | None = None
        self._ending: tuple[Cause, str] | None = None

    def begin(self) -> NetworkOutcome:
        """Give the challenge."""
        if self._last is not None:
            raise Misuse("an EAP exchange begins once")
        vector = self._vector
        data = AkaData(
            Subtype.CHALLENGE,
            rand=vector.rand,
            autn=vector.autn,
            kdf_input=self._network,
            kdfs=(KDF,),
            checkcode=checkcode(()),  # says that no identity round took place, for nobody to put one in front
        )
        return self._ask(request(self._identifier, data, vector.keys.k_aut))

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        """Take the UE's answer."""
        last = self._awaiting()
        if not isinstance(last, Challenge):
            return last
        match message.answer:
            case AkaAnswer():
                return self._give_up(Cause.SEMANTICALLY_INCORRECT, "an answer of 5G AKA answers an EAP packet")
            case Eap(packet):
                return self._on_packet(packet, last)

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        """Take the UE's refusal, which tells more than its AKA'-Authentication-Reject; a resynchronisation is none."""
        last = self._awaiting()
        if not isinstance(last, Challenge):
            return last
        if message.cause in (*REFUSALS, Cause.EAP_FAILED):
            return self._give_up(message.cause, "the UE refused the challenge")
        detail = f"the UE refused the challenge for another reason: {message.cause.text}"
        return self._give_up(Cause.USER_AUTHENTICATION_FAILED, detail)

    def authorise(self) -> NetworkOutcome:
        """Never comes about: AKA proves a subscriber at once."""
        raise Misuse("EAP-AKA' has nothing to authorise")

    def refuse(self, cause: Cause) -> NetworkOutcome:
        """Never comes about: AKA proves a subscriber at once."""
        raise Misuse(f"EAP-AKA' has nothing to refuse with cause {cause}")

    def _awaiting(self) -> NetworkOutcome:
        if self._last is None:
            raise Misuse("an EAP exchange that has not begun")
        return self._last

    def _on_packet(self, octets: bytes, last: Challenge) -> NetworkOutcome:
        try:
            packet = decode(octets)
        except DecodeError as error:
            return self._give_up(error.cause, str(error))
        match packet:
            case Response(identifier=identifier) if identifier != self._identifier:
                # RFC 3748 4.1: only the response to the outstanding request counts
                self._rounds += 1
                return last if self._rounds <= MAX_ROUNDS else self._give_up(Cause.EAP_FAILED, "too many EAP rounds")
            case Response() if self._ending is not None:
                # Whatever came instead of an acknowledgement does not change why it ends.
                return self._give_up(*self._ending)
            case Response(type=EapType.AKA_PRIME):
                return self._on_aka(packet)
            case Response(type=EapType.NAK):
                return self._give_up(Cause.EAP_FAILED, "the peer refuses this EAP method (Nak)")
            case Response(type=other):
                return self._give_up(Cause.EAP_FAILED, f"a response of EAP type {other}")
            case _:
                return self._give_up(Cause.EAP_FAILED, "an EAP server takes responses only")

    def _on_aka(self, packet: Response) -> NetworkOutcome:
        try:
            data = decode_aka(packet.data)
        except DecodeError as error:
            return self._notify(error.cause, str(error))
        match data.subtype:
            case Subtype.CHALLENGE:
                return self._on_answer(packet, data)
            case Subtype.SYNCHRONIZATION_FAILURE:
                return self._on_synchronization_failure(data)
            case Subtype.AUTHENTICATION_REJECT:
                return self._give_up(Cause.MAC_FAILURE, "the UE rejects the challenge")
            case Subtype.CLIENT_ERROR:
                return self._give_up(Cause.EAP_FAILED, "the UE could not process the challenge")
            case other:
                return self._notify(Cause.EAP_FAILED, f"an EAP-AKA' packet of subtype {other} answers a challenge")

    def _on_answer(self, packet: Response, data: AkaData) -> NetworkOutcome:
        vector = self._vector
        if data.res is None:
            # RFC 9048 3.2: AT_KDF alone asks for another function; there is none
            return self._notify(Cause.INVALID_MANDATORY_INFORMATION, "an answer without RES")
        try:
            check_mac(packet, vector.keys.k_aut)
        except MacMismatch as error:
            return self._notify(Cause.RES_MISMATCH, str(error))
        if data.checkcode not in (None, checkcode(())):
            return self._notify(Cause.EAP_FAILED, "the UE has seen identity requests that nobody made")
        if not hmac.compare_digest(data.res, vector.xres):
            return self._notify(Cause.RES_MISMATCH, "RES differs from XRES")
        # TS 33.501 6.1.3.1 step 10: K_AUSF is the first half of EMSK
        k_ausf = k_ausf_from_emsk(vector.keys.emsk)
        if self._disclose is not None:
            self._disclose(k_ausf)
        key = k_seaf(k_ausf, self._network)
        self._last = Authenticated(key, self._supi, Eap(encode(Success(self._identifier))))
        return self._last

    def _on_synchronization_failure(self, data: AkaData) -> NetworkOutcome:
        if data.auts is None:
            return self._notify(Cause.INVALID_MANDATORY_INFORMATION, "a synchronisation failure without AUTS")
        if data.kdfs not in ((), (KDF,)):
            # RFC 9048 3.2: the peer repeats every AT_KDF that it has seen
            return self._notify(Cause.EAP_FAILED, "the UE has seen another list of key derivation functions")
        try:
            self._last = Resynchronise(sqn_of_auts(self._functions, self._vector.rand, data.auts))
        except Refused as error:
            return self._notify(error.cause, error.detail)
        return self._last

    def _ask(self, packet: Request) -> NetworkOutcome:
        self._last = Challenge(Eap(encode(packet)))
        return self._last

    def _notify(self, cause: Cause, detail: str) -> NetworkOutcome:
        """Tell the peer before EAP-Failure does; the challenge was not answered well, so there is no MAC (P bit)."""
        self._ending = cause, detail
        self._identifier = (self._identifier + 1) % 256
        return self._ask(request(self._identifier, AkaData(Subtype.NOTIFICATION, notification=Notice.GENERAL_FAILURE)))

    def _give_up(self, cause: Cause, detail: str) -> NetworkOutcome:
        self._last = Failed(cause, Eap(encode(Failure(self._identifier))), detail)
        return self._last
