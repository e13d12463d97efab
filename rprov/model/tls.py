"""What EAP-TLS may negotiate, as a section of the settings and as the value that `crypto/tls.py` goes by.

Nothing here makes a handshake weak: suites without ciphering, static key exchange and TLS 1.1 have no name.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated

from rprov.model.kinds import AtLeast, Unfit, Within


class TlsVersion(StrEnum):
    """Versions of TLS."""

    TLS_1_3 = "1.3"
    TLS_1_2 = "1.2"


class TlsGroup(StrEnum):
    """Groups of the key exchange."""

    X25519 = "x25519"
    P256 = "p256"
    P384 = "p384"
    BRAINPOOL_P256R1 = "brainpoolP256r1"
    POST_QUANTUM = "post_quantum"
    """X25519MLKEM768, where OpenSSL has it (3.5): a ClientHello of 1,400 octets in place of 210."""


class TlsSuite(StrEnum):
    """Cipher suites of TLS 1.3; TLS 1.2 takes the ECDHE-ECDSA suite with the same cipher."""

    AES_128_GCM = "TLS_AES_128_GCM_SHA256"
    AES_256_GCM = "TLS_AES_256_GCM_SHA384"
    CHACHA20_POLY1305 = "TLS_CHACHA20_POLY1305_SHA256"


LONGEST_RESUMPTION = 7 * 24 * 3600
"""Seconds; RFC 8446 4.6.1 allows no ticket a longer life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsResumption:
    """Whether a device that comes again goes on where it was (RFC 9190 2.1.2): no certificate crosses the radio."""

    enabled: bool = False
    """Whether tickets are given and taken (network), kept and offered (device)."""
    lifetime: Annotated[int, Within(1, LONGEST_RESUMPTION)] = 3600
    """Seconds after a full handshake in which its tickets, and those that follow from them, are good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsChoices:
    """What EAP-TLS may negotiate, the most wanted first."""

    tls_versions: Annotated[tuple[TlsVersion, ...], AtLeast(1)] = (TlsVersion.TLS_1_3,)
    """Versions of TLS; with 1.2 the certificates of both sides, and the EID in them, cross the radio in clear."""
    groups: Annotated[tuple[TlsGroup, ...], AtLeast(1)] = (TlsGroup.X25519, TlsGroup.P256)
    """Groups of the key exchange."""
    suites: Annotated[tuple[TlsSuite, ...], AtLeast(1)] = tuple(TlsSuite)
    """Cipher suites."""
    resumption: TlsResumption = field(default_factory=TlsResumption)
    """Whether one handshake may stand for several."""

    def __post_init__(self) -> None:
        for key, chosen in (("tls_versions", self.tls_versions), ("groups", self.groups), ("suites", self.suites)):
            if len(set(chosen)) != len(chosen):
                raise Unfit(key, "one is named twice")
        if self.resumption.enabled and self.takes_1_2:
            # There the server speaks its last word first: success would be said before anything is decided.
            raise Unfit("resumption", "needs TLS 1.3 alone")

    @property
    def takes_1_2(self) -> bool:
        """Whether TLS 1.2 is let in."""
        return TlsVersion.TLS_1_2 in self.tls_versions

    @property
    def private(self) -> "TlsChoices":
        """The same with TLS 1.3 alone, which hides the certificates."""
        return replace(self, tls_versions=(TlsVersion.TLS_1_3,))


DEFAULT_CHOICES = TlsChoices()
