"""The UE's end of AKA where the home network chooses the method: whichever it runs is answered (TS 33.501 6.1.2).

Owns nothing but the choice, which the first challenge makes. Refuses to know either method.
"""

from rprov.auth.scheme import Answer, Disclose, PeerOutcome, PeerScheme
from rprov.causes import Cause
from rprov.errors import Refused
from rprov.wire.messages import AkaChallenge, AuthenticationRequest, Eap


class AkaPeerScheme:
    """5G AKA or EAP-AKA', a `PeerScheme`. A challenge of the other kind is refused by the method that was begun."""

    __slots__ = ("_begun", "_disclose", "_eap_aka_prime", "_five_g_aka")

    def __init__(self, five_g_aka: PeerScheme, eap_aka_prime: PeerScheme, disclose: Disclose | None = None) -> None:
        self._disclose = disclose
        self._five_g_aka = five_g_aka
        self._eap_aka_prime = eap_aka_prime
        self._begun: PeerScheme | None = None

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Answer one round."""
        if self._begun is None:
            match message.challenge:
                case AkaChallenge():
                    self._begun = self._five_g_aka
                case Eap():
                    self._begun = self._eap_aka_prime
        outcome = self._begun.on_request(message)
        if self._disclose is not None and isinstance(outcome, Answer) and outcome.k_ausf is not None:
            self._disclose(outcome.k_ausf)
        return outcome

    def accept_success(self, eap: Eap | None) -> None:
        """Let the method that was begun check how it ended; raises `Refused`."""
        if self._begun is None:
            raise Refused(Cause.SEMANTICALLY_INCORRECT, "success before any challenge")
        self._begun.accept_success(eap)
