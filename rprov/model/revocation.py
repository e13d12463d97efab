"""What a device demands to know about the revocation of a network's certificate, as a setting."""

from enum import StrEnum


class RevocationCheck(StrEnum):
    """Whether a device asks a network for an OCSP response about its certificate, in the handshake itself.

    A device that has no network yet can ask nobody else.
    """

    OFF = "off"
    """It does not ask."""
    STAPLE_IF_PRESENT = "staple_if_present"
    """It asks; what comes must be good, and nothing may come."""
    STAPLE_REQUIRED = "staple_required"
    """It asks, and believes no network without a good answer (fail closed)."""
