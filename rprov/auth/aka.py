"""5G AKA: the network's end, the UE's end, and the vector between them (TS 33.501 6.1.3.2).

    CP-AU: RAND, AUTN, HXRES*, XRES*, K_AUSF  ---- RAND, AUTN ---->  USIM: MAC, then SQN; ME: separation bit
    SEAF compares HRES*, then AUSF RES*       <---- RES* ----------  K_AUSF
    MAC-S of AUTS is verified, SQN_MS is told <---- AUTS ----------  (SQN out of range)

Owns one run of it on either side. Refuses to know where keys and sequence numbers are kept: the caller hands in a fresh
SQN per run and sets it after a resynchronisation.
"""

import hmac
from dataclasses import dataclass, field

from rprov.auth.scheme import (
    Answer,
    Authenticated,
    Challenge,
    Disclose,
    Failed,
    NetworkOutcome,
    PeerOutcome,
    Refusal,
    Resynchronise,
)
from rprov.auth.usim import AkaMacFailure, AkaSuccess, AkaSynchFailure, UmtsVector, UsimAka, sqn_of_auts
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, hres_star, k_ausf_5g_aka, k_seaf, res_star
from rprov.crypto.milenage import AkaFunctions, Milenage
from rprov.errors import Misuse, Refused
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.wire.messages import (
    AkaAnswer,
    AkaChallenge,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)

AMF_5G = b"\x80\x00"
"""AMF with the separation bit set, as every vector of 5G AKA has it (TS 33.501 6.1.3.2.0 step 1)."""

REFUSALS = (
    Cause.MAC_FAILURE,
    Cause.NON_5G_AUTHENTICATION,
    Cause.NGKSI_IN_USE,
    Cause.SEMANTICALLY_INCORRECT,
    Cause.INVALID_MANDATORY_INFORMATION,
)
"""What a UE may have against a challenge, besides its SQN (TS 24.501 5.4.1.3.7)."""


@dataclass(frozen=True, slots=True)
class SubscriberKeys:
    """What a home network keeps of a subscriber, with the SQN (48 bits) that is reserved for one run."""

    k: Secret
    opc: Secret
    sqn: int
    amf: bytes = AMF_5G


@dataclass(frozen=True, slots=True)
class AkaVector:
    """One 5G HE AV and SE AV in one (TS 33.501 6.1.3.2.0 steps 1 to 5)."""

    rand: bytes
    autn: bytes
    xres_star: bytes = field(repr=False)
    hxres_star: bytes = field(repr=False)
    k_ausf: KAusf

    @classmethod
    def make(cls, subscriber: SubscriberKeys, network: str, rand: bytes) -> "AkaVector":
        """Make the vector of a RAND, 16 octets, with MILENAGE."""
        return cls.make_with(Milenage(subscriber.k, subscriber.opc), subscriber.sqn, subscriber.amf, network, rand)

    @classmethod
    def make_with(cls, functions: AkaFunctions, sqn: int, amf: bytes, network: str, rand: bytes) -> "AkaVector":
        """Make the vector of a RAND with any authentication functions."""
        umts = UmtsVector.make(functions, sqn, amf, rand)
        xres_star = res_star(umts.ck, umts.ik, network, rand, umts.xres)
        return cls(
            rand,
            umts.autn,
            xres_star,
            hres_star(rand, xres_star),
            k_ausf_5g_aka(umts.ck, umts.ik, network, umts.sqn_xor_ak),
        )


def check_separation_bit(amf: bytes) -> None:
    """Insist on an AMF of ours that is of 5G (TS 33.501 6.1.3.1, 6.1.3.2); raises `Misuse`."""
    if len(amf) != 2 or not is_of_5g(amf):
        raise Misuse("AMF has 2 octets and, in 5G, its separation bit set")


def is_of_5g(amf: bytes) -> bool:
    """Say whether the separation bit of an AMF is set (TS 33.102 annex H: bit 0, the most significant)."""
    return bool(amf[0] & 0x80)


def _functions(k: Secret | None, opc: Secret | None, functions: AkaFunctions | None) -> AkaFunctions:
    if functions is not None and k is None and opc is None:
        return functions
    if functions is None and k is not None and opc is not None:
        return Milenage(k, opc)
    raise Misuse("a subscriber's key comes as K and OPc of MILENAGE, or inside other functions")


class FiveGAkaNetworkScheme:
    """The network's end of one run; a `NetworkScheme`.

    `sqn` is a fresh SQN reserved for this run, `rand` 16 fresh random octets, `network` the serving network name.
    The subscriber's key comes as K and OPc of MILENAGE, or inside any `functions`. Raises `Misuse` for an AMF whose
    separation bit is not set.
    """

    __slots__ = ("_awaits", "_disclose", "_functions", "_network", "_supi", "_vector")

    def __init__(
        self,
        *,
        supi: Supi,
        amf: bytes,
        sqn: int,
        network: str,
        rand: bytes,
        k: Secret | None = None,
        opc: Secret | None = None,
        functions: AkaFunctions | None = None,
        disclose: Disclose | None = None,
    ) -> None:
        check_separation_bit(amf)
        self._disclose = disclose
        self._supi = supi
        self._network = network
        self._functions = _functions(k, opc, functions)
        self._vector = AkaVector.make_with(self._functions, sqn, amf, network, rand)
        self._awaits = False

    def begin(self) -> NetworkOutcome:
        """Give RAND and AUTN."""
        self._awaits = True
        return Challenge(AkaChallenge(self._vector.rand, self._vector.autn))

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        """Compare HRES* as the SEAF and RES* as the AUSF (TS 33.501 6.1.3.2.0 steps 9 and 11)."""
        self._end()
        match message.answer:
            case AkaAnswer(answer):
                return self._compare(answer)
            case Eap():
                return Failed(Cause.SEMANTICALLY_INCORRECT, None, "an EAP packet answers a challenge of 5G AKA")

    def _compare(self, answer: bytes) -> NetworkOutcome:
        vector = self._vector
        if len(answer) != 16:
            return Failed(Cause.RES_MISMATCH, None, "RES* has 16 octets")
        if not hmac.compare_digest(hres_star(vector.rand, answer), vector.hxres_star):
            return Failed(Cause.RES_MISMATCH, None, "HRES* differs from HXRES*")
        if not hmac.compare_digest(answer, vector.xres_star):
            return Failed(Cause.RES_MISMATCH, None, "RES* differs from XRES*")
        if self._disclose is not None:
            self._disclose(vector.k_ausf)
        return Authenticated(k_seaf(vector.k_ausf, self._network), self._supi, None)

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        """Resynchronise where AUTS proves that the USIM wants it; else the run has failed (TS 33.501 6.1.3.3)."""
        self._end()
        if message.cause in REFUSALS:
            return Failed(message.cause, None, "the UE refused the challenge")
        if message.cause is not Cause.SYNCH_FAILURE:
            detail = f"the UE refused the challenge for another reason: {message.cause.text}"
            return Failed(Cause.USER_AUTHENTICATION_FAILED, None, detail)
        if message.auts is None:
            return Failed(Cause.INVALID_MANDATORY_INFORMATION, None, "a synch failure without AUTS")
        try:
            return Resynchronise(sqn_of_auts(self._functions, self._vector.rand, message.auts))
        except Refused as error:
            return Failed(error.cause, None, error.detail)

    def authorise(self) -> NetworkOutcome:
        """Never comes about: 5G AKA proves a subscriber at once."""
        raise Misuse("5G AKA has nothing to authorise")

    def refuse(self, cause: Cause) -> NetworkOutcome:
        """Never comes about: 5G AKA proves a subscriber at once."""
        raise Misuse(f"5G AKA has nothing to refuse with cause {cause}")

    def _end(self) -> None:
        if not self._awaits:
            raise Misuse("5G AKA has no challenge out")
        self._awaits = False


class FiveGAkaPeerScheme:
    """The UE's end; a `PeerScheme`. A repeated RAND gets the same answer again without asking the USIM (T3516)."""

    __slots__ = ("_answered", "_network", "_usim")

    def __init__(self, usim: UsimAka, network: str) -> None:
        self._usim = usim
        self._network = network
        self._answered: tuple[bytes, Answer] | None = None

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer a challenge, or refuse the network that made it (TS 24.501 5.4.1.3)."""
        match message.challenge:
            case Eap():
                return _refusal(Cause.SEMANTICALLY_INCORRECT, "an EAP packet where a challenge of 5G AKA is due")
            case AkaChallenge(rand, autn):
                if len(rand) != 16 or len(autn) != 16 or len(message.abba) != 2:
                    return _refusal(Cause.INVALID_MANDATORY_INFORMATION, "RAND and AUTN have 16 octets, ABBA has 2")
                if self._answered is not None and hmac.compare_digest(self._answered[0], rand):
                    return self._answered[1]
                return self._ask_usim(rand, autn)

    def _ask_usim(self, rand: bytes, autn: bytes) -> PeerOutcome:
        match self._usim.authenticate(rand, autn):
            case AkaMacFailure():
                return _refusal(Cause.MAC_FAILURE, "MAC-A of AUTN is wrong")
            case AkaSynchFailure(auts):
                message = AuthenticationFailure(Cause.SYNCH_FAILURE, auts)
                return Refusal(message, "SQN of AUTN is out of range", resynchronising=True)
            case AkaSuccess() as success:
                # "the ME accessing 5G shall check during authentication that the 'separation bit' in the AMF field of
                # AUTN is set to 1" (TS 33.501 6.1.3.2.0); after MAC-A, which tells a changed AMF from an honest one
                if not is_of_5g(autn[6:8]):
                    return _refusal(Cause.NON_5G_AUTHENTICATION, "the separation bit of AMF is not set")
                return self._answer(rand, success)

    def _answer(self, rand: bytes, success: AkaSuccess) -> Answer:
        proof = res_star(success.ck, success.ik, self._network, rand, success.res)
        key = k_ausf_5g_aka(success.ck, success.ik, self._network, success.sqn_xor_ak)
        answer = Answer(AuthenticationResponse(AkaAnswer(proof)), key)
        self._answered = rand, answer
        return answer

    def accept_success(self, eap: Eap | None) -> None:
        """See that nothing but the SecurityModeCommand itself tells of success; raises `Refused`."""
        if eap is not None:
            raise Refused(Cause.SEMANTICALLY_INCORRECT, "an EAP packet ends an authentication by 5G AKA")
        if self._answered is None:
            raise Refused(Cause.SEMANTICALLY_INCORRECT, "success before any challenge was answered")


def _refusal(cause: Cause, detail: str) -> Refusal:
    return Refusal(AuthenticationFailure(cause), detail)
