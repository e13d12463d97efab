"""Whether the certificates that a handshake has shown are good: each signs the one before, and all lead to an anchor.

Without anchors only the first can be said. With them, the rules are those of the two sides: the GSMA's for a device,
the network's for the other. What was revoked, a capture does not say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rprov.crypto.x509 import Role, check_chain
from rprov.crypto.x509_network import check_network
from rprov.crypto.x509_path import UNREADABLE, describe, verify_issued
from rprov.errors import Refused
from rprov.model.identifiers import Plmn
from rprov.trace.verify.tls_open import Opened

DEVICE_ROLES = frozenset({Role.DEVICE, Role.EUICC})


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of both sides: CIs, and the authorities of networks. None at all: chains lead nowhere."""

    certificates: tuple[x509.Certificate, ...] = ()

    def faults(self, opened: Opened, plmn: Plmn, at: float) -> list[str]:
        """Say what is wrong with the certificates of both sides, `at` seconds since 1970."""
        found = [_signatures(chain) for chain in (opened.client, opened.server)]
        if self.certificates:
            when = datetime.fromtimestamp(at, UTC)
            found += [self._device(opened.client, when), self._network(opened.server, plmn, when)]
        return [text for text in found if text]

    def _device(self, chain: Sequence[x509.Certificate], at: datetime) -> str:
        if not chain:
            return ""
        try:
            check_chain(chain[0], chain[1:], self.certificates, DEVICE_ROLES, at)
        except Refused as refusal:
            return f"the device's certificate: {refusal}"
        return ""

    def _network(self, chain: Sequence[x509.Certificate], plmn: Plmn, at: datetime) -> str:
        if not chain:
            return ""
        try:
            check_network(chain[0], chain[1:], self.certificates, plmn.cp_name, at)
        except Refused as refusal:
            return f"the network's certificate: {refusal}"
        return ""


NO_ANCHORS = Anchors()


def _signatures(chain: Sequence[x509.Certificate]) -> str:
    """Certificates that a peer has sent beside its own have signed each other; nobody knows yet who they are."""
    try:
        for position, child in enumerate(chain):
            above = [issuer for issuer in chain[position + 1 :] if issuer.subject == child.issuer]
            if above and not any(_signed(child, issuer) for issuer in above):
                return f"{describe(child)} is not signed by {describe(above[0])}, which was sent as its issuer"
    except UNREADABLE as error:
        return f"a certificate that cannot be read ({type(error).__name__})"
    return ""


def _signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        verify_issued(child, issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
