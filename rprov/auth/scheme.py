"""The seam between the procedure and the ways of authenticating, seen by steps 2 and 7.

    CP-CN (procedure) -- begin() ----------> NetworkScheme (CP-AU)
                      <- Challenge ---------
                      -- on_response(...) ->
                      <- PeerProved --------   only certificate schemes: decide now, before the success indication
                      -- authorise() ------>
                      <- Challenge, ... Authenticated(K_SEAF, identity)

The CP-AU keeps MSK, EMSK and K_AUSF; what crosses the seam is K_SEAF and the identity, nothing more, so that an AUSF
elsewhere fits. A scheme is driven by one exchange only and is dropped after its last outcome.
"""

from dataclasses import dataclass
from typing import Protocol

from rprov.causes import Cause
from rprov.crypto.hierarchy import KAusf, KSeaf
from rprov.crypto.x509_crl import CertificateId
from rprov.model.identifiers import Eid, Supi
from rprov.wire.messages import (
    AkaChallenge,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Another round: goes to the UE in an AuthenticationRequest."""

    challenge: Eap | AkaChallenge


@dataclass(frozen=True, slots=True)
class PeerProved:
    """The UE has proved a certificate for this EID; the procedure must now authorise or refuse."""

    eid: Eid
    certificate: str
    """What an audit needs: subject and serial number of the certificate, as text."""
    path: frozenset[CertificateId] = frozenset()
    """Every certificate that vouches for it, and could be revoked later."""


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


@dataclass(frozen=True, slots=True)
class Failed:
    """No. `eap_failure` travels inside the AuthenticationReject."""

    cause: Cause
    eap_failure: Eap | None
    detail: str = ""


NetworkOutcome = Challenge | PeerProved | Resynchronise | Authenticated | Failed


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
        """End after `PeerProved`, in the way of the scheme; gives `Challenge` (an alert first) or `Failed`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Goes to the CP. `k_ausf` is there from the round on that ends the authentication on the UE's side."""

    message: AuthenticationResponse
    k_ausf: KAusf | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The UE refuses the network: the message goes to the CP, and the attach is over unless `resynchronising`."""

    message: AuthenticationFailure
    detail: str = ""
    resynchronising: bool = False


PeerOutcome = Answer | Refusal


class PeerScheme(Protocol):
    """What the UE's side does for the procedure."""

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round. A repeated request (same EAP identifier, same RAND) gets the same answer again."""

    def accept_success(self, eap: Eap | None) -> None:
        """Check what the SecurityModeCommand carried; raises `Refused` if the exchange did not end so."""
