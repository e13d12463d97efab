"""How N2 is protected: TLS 1.3 with certificates of both ends, under the network's own authorities."""

from dataclasses import dataclass

from rprov.model.kinds import Files, Fqdn, HalfOpen, ReadPath, Seconds, Unfit
from rprov.model.trust import CredentialFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class _N2Tls:
    certificate: CredentialFiles
    """What this node proves itself with."""
    anchors: Files
    """PEM files, or directories of them, with the authorities that certify the network's nodes; never a GSMA CI."""
    crls: tuple[ReadPath, ...] = ()
    """PEM or DER files, or directories of them, with CRLs of these authorities."""
    require_crl: bool = False
    """Whether a peer is refused while there is no current CRL of its issuer (fail closed)."""
    handshake_seconds: Seconds = 10.0
    """How long a handshake may take."""

    def __post_init__(self) -> None:
        if self.require_crl and not self.crls:
            raise Unfit("require_crl", "needs crls: without any, no peer could be let in")


@dataclass(frozen=True, slots=True, kw_only=True)
class N2ServerTls(_N2Tls):
    """A CP's end: it lets in who has the certificate of a RAN of its network, under the name in it."""

    half_open: HalfOpen = 100
    """Handshakes that may be under way; one more, and the oldest ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class N2ClientTls(_N2Tls):
    """A RAN's end: it believes the CP of its network."""

    server_name: Fqdn | None = None
    """dNSName that the CP's certificate must carry; absent: the one of the network's CP."""
