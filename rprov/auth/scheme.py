"""The seam between the procedure and the ways of authenticating, seen by steps 2 and 7.

    CP-CN (procedure) -- begin() ----------> NetworkScheme (CP-AU)
                      <- Challenge ---------
                      -- on_response(...) ->
                      <- PeerProved --------   only certificate schemes: decide now, before the success indication
                      -- authorise() ------>
                      <- Challenge, ... Authenticated(K_SEAF, identity)

    and where an AAA server has the say:
                      <- Pending ------------   ask it
                      -- on_aaa(answer) ---->
                      <- Challenge, ... PeerProved

The CP-AU keeps MSK, EMSK and K_AUSF; what crosses the seam is K_SEAF and the identity, nothing more, so that an AUSF
elsewhere fits. A scheme is driven by one exchange only and is dropped after its last outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rprov.auth.radius_exchange import AccessAnswer, AccessRequest
from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, KSeaf
from rprov.crypto.x509_crl import CertificateId
from rprov.model.identifiers import Eid, Supi
from rprov.wire.messages import (
    ABBA,
    AkaChallenge,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)

Disclose = Callable[[KAusf], None]
"""Told of K_AUSF by a scheme, where the operator has named a key log for what no TLS library logs."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Another round: goes to the UE in an AuthenticationRequest."""

    challenge: Eap | AkaChallenge
    abba: bytes = ABBA
    """What it is sent with: where the keys come from."""


@dataclass(frozen=True, slots=True)
class PeerProved:
    """The UE has proved a certificate for this EID; the procedure must now authorise or refuse."""

    eid: Eid
    certificate: str
    """What an audit needs: subject and serial number of the certificate, as text."""
    path: frozenset[CertificateId] = frozenset()
    """Every certificate that vouches for it, and could be revoked later."""
    resumed: bool = False
    """Whether it was proved by a ticket of an earlier authentication; the certificate was judged anew."""


@dataclass(frozen=True, slots=True)
class Resynchronise:
    """The USIM's sequence number is `sqn_ms` (verified): the subscriber store must be set to it, then begin anew."""

    sqn_ms: int


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Both sides are proved. `eap_success` travels inside the SecurityModeCommand (certificate schemes)."""

    k_seaf: KSeaf
    identity: Eid | Supi
    eap_success: Eap | None
    abba: bytes = ABBA
    """What every challenge was sent with; it goes into K_AMF."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Both sides hold keys, and the answer is no: it is told under these keys, for nothing else is believed any more.

    Only where somebody else has told the UE of its success before the procedure could decide.
    """

    authenticated: Authenticated
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No. `eap_failure` travels inside the AuthenticationReject."""

    cause: Cause
    eap_failure: Eap | None
    detail: str = ""
    farewell: AccessRequest | None = None
    """The UE's last words to an AAA server, which answers nothing that matters any more."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """Both sides: what came was not for now. Nothing has changed, nothing is to be said, and timers go on."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody else must be asked first: an AAA server. Its answer goes to `listener`."""

    request: AccessRequest
    listener: "AaaListener"


NetworkOutcome = Discarded | Challenge | Pending | PeerProved | Resynchronise | Authenticated | TurnedAway | Failed


class AaaListener(Protocol):
    """What waits for an AAA server."""

    def on_aaa(self, answer: AccessAnswer) -> NetworkOutcome:
        """Take the answer."""

    def on_aaa_silent(self, detail: str) -> NetworkOutcome:
        """Go on, or not, where no server has answered."""


class NetworkScheme(Protocol):
    """What the CP-AU does for the procedure. Nothing here raises for what a peer sent: it fails with a cause."""

    def begin(self) -> NetworkOutcome:
        """Give the first challenge."""

    def on_response(self, message: AuthenticationResponse) -> NetworkOutcome:
        """Take the UE's answer."""

    def on_failure(self, message: AuthenticationFailure) -> NetworkOutcome:
        """Take the UE's refusal."""

    def authorise(self) -> NetworkOutcome:
        """Go on after `PeerProved`."""

    def refuse(self, cause: Cause) -> NetworkOutcome:
        """End after `PeerProved`, as the scheme does: a `Challenge` (a goodbye first), `Failed` or `TurnedAway`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Goes to the CP. `k_ausf` is there from the round on that ends the authentication on the UE's side."""

    message: AuthenticationResponse
    k_ausf: KAusf | None = None
    resumed: bool = False
    """Whether the network was proved by a ticket of an earlier authentication."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The UE refuses the network: the message goes to the CP, and the attach is over unless `resynchronising`."""

    message: AuthenticationFailure
    detail: str = ""
    resynchronising: bool = False


PeerOutcome = Discarded | Answer | Refusal


class PeerScheme(Protocol):
    """What the UE's side does for the procedure."""

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round. A repeated request (same EAP identifier, same RAND) gets the same answer again."""

    def accept_success(self, eap: Eap | None) -> None:
        """Check what the SecurityModeCommand carried; raises `Refused` if the exchange did not end so."""
