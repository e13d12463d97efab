"""The error tree. Three branches, so that blame is clear: they broke the protocol, somebody said no, our caller erred.

Every class carries the cause that goes on the wire when the error has to become a reject; only
`procedure/endpoint.py` turns one into a message. Text of an error never holds key material.
"""

from typing import ClassVar

from rprov.causes import Cause


class RprovError(Exception):
    """Root of everything that rprov raises on purpose."""

    default_cause: ClassVar[Cause] = Cause.PROTOCOL_ERROR

    @property
    def cause(self) -> Cause:
        """The cause that tells the other side."""
        return self.default_cause


class PeerError(RprovError):
    """The other side broke the protocol."""


class DecodeError(PeerError):
    """Octets that are no message."""

    default_cause = Cause.INVALID_MANDATORY_INFORMATION


class EncodeError(RprovError):
    """A message whose values its format cannot carry."""


class MacMismatch(PeerError):
    """A message whose integrity check failed; it is discarded without an answer (TS 24.501 4.4.4)."""

    default_cause = Cause.MAC_FAILURE


class Replayed(PeerError):
    """A message whose COUNT was accepted before (TS 33.501 6.4.3.2); it is discarded without an answer."""


class Unprotected(PeerError):
    """A message that came without the protection it needs; it is discarded without an answer."""


class Refused(RprovError):
    """They, or we, said no for a reason that has a cause of its own."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        self._cause = cause
        self.detail = detail
        super().__init__(f"{cause.text}: {detail}" if detail else cause.text)

    @property
    def cause(self) -> Cause:
        """The cause that tells the other side."""
        return self._cause


class Misuse(RprovError):
    """Our own caller asked for something that makes no sense; a bug of ours, never of a peer."""


class ConfigError(RprovError):
    """A configuration that cannot be used; the text names file, line, key path and what was expected."""


class EnvironmentLacks(RprovError):
    """The machine lacks something that was asked for; the text names it."""
