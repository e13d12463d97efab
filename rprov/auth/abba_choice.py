"""A UE's end where the network says by ABBA which keys it is after: of EMSK, or of MSK. What is not offered is refused.

The first request decides. One that says something else later belongs to nobody's exchange and is discarded.
"""

from collections.abc import Callable, Mapping

from rprov.auth.scheme import Discarded, PeerOutcome, PeerScheme, Refusal
from rprov.causes import Cause
from rprov.errors import Refused
from rprov.wire.messages import AuthenticationFailure, AuthenticationRequest, Eap


class AbbaChoice:
    """One authentication. A scheme is begun when it is asked for, and only one."""

    __slots__ = ("_abba", "_offered", "_scheme")

    def __init__(self, offered: Mapping[bytes, Callable[[], PeerScheme]]) -> None:
        """Take what begins a scheme, by the ABBA that asks for it."""
        self._offered = offered
        self._abba = b""
        self._scheme: PeerScheme | None = None

    def on_request(self, message: AuthenticationRequest) -> PeerOutcome:
        """Let the scheme of this ABBA answer."""
        if self._scheme is None:
            begin = self._offered.get(message.abba)
            if begin is None:
                detail = f"the network asks for keys that this device does not give (ABBA {message.abba.hex()})"
                return Refusal(AuthenticationFailure(Cause.EAP_FAILED), detail)
            self._scheme, self._abba = begin(), message.abba
        if message.abba != self._abba:
            return Discarded()
        return self._scheme.on_request(message)

    def accept_success(self, eap: Eap | None) -> None:
        """Check what the SecurityModeCommand carried; raises `Refused`."""
        if self._scheme is None:
            raise Refused(Cause.EAP_FAILED, "a SecurityModeCommand before any challenge")
        self._scheme.accept_success(eap)
