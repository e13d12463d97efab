"""A certificate scheme without certificates: two rounds, a shared secret, and failures to order. Fast, deterministic.

    CP ── hello ──> UE ── name ──> CP: proved, eligible? ── commit (0x00) ──> UE: keys ── empty ──> CP: keys

Speaks the words of `auth/scheme.py` only, so whatever runs with it runs with EAP-TLS.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from doubles.pki import EID

from rprov.auth.radius_exchange import AccessAnswer, AccessRequest
from rprov.auth.scheme import (
    Answer,
    Authenticated,
    Challenge,
    Failed,
    NetworkOutcome,
    NetworkScheme,
    PeerOutcome,
    PeerProved,
    PeerScheme,
    Pending,
    Refusal,
)
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, k_seaf
from rprov.errors import Refused
from rprov.model.identifiers import Eid, EidHint, Plmn
from rprov.wire.messages import AuthenticationFailure, AuthenticationRequest, AuthenticationResponse, Eap

HELLO, NAME, COMMIT, EMPTY, GOODBYE = (Eap(word) for word in (b"hello", b"name", b"commit", b"empty", b"goodbye"))
SUCCESS, FAILURE = Eap(b"success"), Eap(b"failure")


def shared_key(secret: bytes) -> KAusf:
    return KAusf(hashlib.sha256(b"a fake scheme" + secret).digest())


@dataclass
class FakeNetworkScheme:
    """The CP-AU's end; with `fails` the device is refused before it is proved."""

    eid: Eid
    network: str
    secret: bytes = b"secret"
    fails: Cause | None = None
    round: str = "new"
    refused: Cause = Cause.EAP_FAILED

    def begin(self) -> NetworkOutcome:
        self.round = "hello"
        return Challenge(HELLO)

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        match self.round, message.answer:
            case "commit" | "goodbye", answer if answer == NAME:
                # An answer that came twice: the round that it led to is still out (RFC 3748 4.1).
                return Challenge(COMMIT if self.round == "commit" else GOODBYE)
            case "hello", answer if answer == NAME:
                if self.fails is not None:
                    return Failed(self.fails, FAILURE, "the scheme was told to fail")
                self.round = "proved"
                return PeerProved(self.eid, f"a fake certificate of {self.eid}")
            case "commit", answer if answer == EMPTY:
                return Authenticated(k_seaf(shared_key(self.secret), self.network), self.eid, SUCCESS)
            case "goodbye", _:
                return Failed(self.refused, FAILURE, "refused after the certificate was proved")
            case _:
                return Failed(Cause.EAP_FAILED, FAILURE, f"{message.answer} in round {self.round}")

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        return Failed(message.cause, FAILURE, "the device refused the network")

    def authorise(self) -> NetworkOutcome:
        self.round = "commit"
        return Challenge(COMMIT)

    def refuse(self, cause: Cause) -> NetworkOutcome:
        self.round, self.refused = "goodbye", cause
        return Challenge(GOODBYE)


@dataclass
class FakePassThrough(FakeNetworkScheme):
    """The same, but an AAA server is asked before each word; what it says is of no importance."""

    next: NetworkOutcome | None = None

    def begin(self) -> NetworkOutcome:
        return self._ask(super().begin())

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        return self._ask(super().on_response(message))

    def on_aaa(self, _answer: AccessAnswer) -> NetworkOutcome:
        return self.next or Failed(Cause.EAP_FAILED, FAILURE, "nothing was asked")

    def on_aaa_silent(self, detail: str) -> NetworkOutcome:
        return Failed(Cause.NETWORK_FAILURE, FAILURE, detail)

    def _ask(self, following: NetworkOutcome) -> NetworkOutcome:
        self.next = following
        return Pending(AccessRequest(()), self)


def through_aaa(claimed: Eid | EidHint, env: Any) -> NetworkScheme:
    """A factory for `CpEngines.certificate`."""
    eid = EID if isinstance(claimed, EidHint) else claimed
    return FakePassThrough(eid, env.policy.plmn.serving_network_name)


@dataclass
class FakePeerScheme:
    """The UE's end; with `fails` the network is refused in the first round."""

    secret: bytes = b"secret"
    fails: Cause | None = None
    committed: bool = False
    answers: dict[Eap, PeerOutcome] = field(default_factory=dict)

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        if not isinstance(message.challenge, Eap):
            return Refusal(AuthenticationFailure(Cause.EAP_FAILED), "no EAP")
        known = self.answers.get(message.challenge)
        if known is None:
            known = self._answer(message.challenge)
            self.answers[message.challenge] = known
        return known

    def _answer(self, packet: Eap) -> PeerOutcome:
        if self.fails is not None:
            return Refusal(AuthenticationFailure(self.fails, eap=Eap(b"alert")), "the scheme was told to fail")
        match packet:
            case Eap(b"hello"):
                return Answer(AuthenticationResponse(NAME))
            case Eap(b"commit"):
                self.committed = True
                return Answer(AuthenticationResponse(EMPTY), shared_key(self.secret))
            case Eap(b"goodbye"):
                return Answer(AuthenticationResponse(EMPTY))
            case _:
                return Refusal(AuthenticationFailure(Cause.EAP_FAILED), "an unknown word")

    def accept_success(self, eap: Eap | None) -> None:
        if eap != SUCCESS or not self.committed:
            raise Refused(Cause.EAP_FAILED, "no success")


def cp_side(fails: Cause | None = None, secret: bytes = b"secret") -> Callable[[Eid, Any], NetworkScheme]:
    """A factory for `CpEngines.certificate`; to whoever gives a hint only, the certificate of `EID` is proved."""

    def made(claimed: Eid | EidHint, env: Any) -> NetworkScheme:
        eid = EID if isinstance(claimed, EidHint) else claimed
        return FakeNetworkScheme(eid, env.policy.plmn.serving_network_name, secret, fails)

    return made


def ue_side(fails: Cause | None = None, secret: bytes = b"secret") -> Callable[[Plmn, Any], PeerScheme]:
    """A factory for `UeEngines.certificate`."""
    return lambda plmn, env: FakePeerScheme(secret, fails)
