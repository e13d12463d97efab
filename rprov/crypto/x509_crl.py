"""Revocation: CRLs judged once, when they are read, and what they say as a set for every handshake after that.

OpenSSL could be given the CRLs, but would verify their signatures anew in each handshake and could never take one out
again. Owns which CRL is believed (RFC 5280 5 and 6.3) and how a path is checked against them. OCSP responses add to the
same set; which of them is believed is `ocsp.py`'s affair. Knows no file and no TLS.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rprov.causes import Cause
from rprov.crypto.ocsp import CertificateStatus
from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_path import describe, extension, reading
from rprov.errors import Refused

CertificateId = tuple[bytes, int]
"""What names a certificate: the key identifier of its issuer, and its serial number."""

_UNDERSTOOD = (x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier, x509.CRLNumber)


@dataclass(frozen=True, slots=True)
class Revocations:
    """What all CRLs and OCSP responses together say. Each look-up takes the same time however many there are."""

    certificates: frozenset[CertificateId] = frozenset()
    """Those that are revoked."""
    current_until: Mapping[bytes, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """Issuers whose CRL speaks of everything they issued, by key identifier, and its nextUpdate."""
    good_until: Mapping[CertificateId, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """Certificates that an OCSP response calls good, and its nextUpdate."""
    required: bool = False
    """Whether a certificate is refused for which nothing current speaks (fail closed)."""

    def check(self, path: Sequence[x509.Certificate], at: datetime) -> None:
        """Check every certificate of a path but the anchor (RFC 9190 5.4); raises `Refused`."""
        if not self.certificates and not self.required:
            return
        for certificate, issuer in pairwise(path):
            key_id = subject_key_id(issuer)
            if (key_id, certificate.serial_number) in self.certificates:
                raise Refused(Cause.CERTIFICATE_REVOKED, describe(certificate))
            if self.required and not self._vouched(key_id, certificate.serial_number, at):
                raise Refused(Cause.REVOCATION_UNKNOWN, f"no current CRL or OCSP response for {describe(certificate)}")

    def _vouched(self, key_id: bytes, serial: int, at: datetime) -> bool:
        untils = self.current_until.get(key_id), self.good_until.get((key_id, serial))
        return any(until is not None and at <= until for until in untils)

    def with_responses(self, said: Iterable[tuple[bytes, CertificateStatus]]) -> "Revocations":
        """Add what OCSP responses say: key identifier of the issuer, status. Of two about one the newer counts.

        A certificate that a CRL names stays revoked whatever a response says.
        """
        newest: dict[CertificateId, CertificateStatus] = {}
        for key_id, status in said:
            older = newest.get((key_id, status.serial))
            if older is None or older.said < status.said:
                newest[key_id, status.serial] = status
        return replace(
            self,
            certificates=self.certificates | {name for name, status in newest.items() if status.revoked},
            good_until=MappingProxyType({name: one.until for name, one in newest.items() if not one.revoked}),
        )


NO_REVOCATIONS = Revocations()


def path_ids(path: Sequence[x509.Certificate]) -> frozenset[CertificateId]:
    """Name every certificate of a path but the anchor."""
    return frozenset((subject_key_id(issuer), certificate.serial_number) for certificate, issuer in pairwise(path))


class JudgedCrl(NamedTuple):
    """A CRL that is believed."""

    crl: x509.CertificateRevocationList
    key_id: bytes
    """Of its issuer."""
    scope: object
    """None where it speaks of everything its issuer issued."""
    serials: frozenset[int]


def judge_crl(crl: x509.CertificateRevocationList, issuers: Sequence[x509.Certificate], at: datetime) -> JudgedCrl:
    """Verify a CRL against its issuer, which is one of these; raises `Refused`."""
    with reading(Cause.CERTIFICATE_INVALID):
        key_id = subject_key_id(_issuer(crl, issuers))
        if crl.last_update_utc > at:
            raise Refused(Cause.CERTIFICATE_NOT_YET_VALID, f"{_name(crl)} is of {crl.last_update_utc:%Y-%m-%d}")
        return JudgedCrl(crl, key_id, _scope(crl), _serials(crl))


def revocations(judged: Iterable[JudgedCrl], *, required: bool = False) -> Revocations:
    """Put together what the newest CRL of each issuer says.

    A CRL whose nextUpdate is over still revokes what it names, but vouches for nothing any more.
    """
    newest: dict[tuple[bytes, object], JudgedCrl] = {}
    for one in judged:
        older = newest.get((one.key_id, one.scope))
        if older is None or older.crl.last_update_utc < one.crl.last_update_utc:
            newest[one.key_id, one.scope] = one
    revoked = frozenset((one.key_id, serial) for one in newest.values() for serial in one.serials)
    until = {
        one.key_id: one.crl.next_update_utc
        for one in newest.values()
        if one.scope is None and one.crl.next_update_utc is not None
    }
    return Revocations(revoked, MappingProxyType(until), required=required)


def read_revocations(
    crls: Sequence[x509.CertificateRevocationList],
    issuers: Sequence[x509.Certificate],
    at: datetime,
    *,
    required: bool = False,
) -> Revocations:
    """Judge every CRL, and put them together; raises `Refused`."""
    return revocations([judge_crl(crl, issuers, at) for crl in crls], required=required)


def _name(crl: x509.CertificateRevocationList) -> str:
    return f"the CRL of {crl.issuer.rfc4514_string()}"


def _issuer(crl: x509.CertificateRevocationList, issuers: Sequence[x509.Certificate]) -> x509.Certificate:
    """Find who has signed it, by name and key identifier, and verify that."""
    authority = next((e.value for e in crl.extensions if isinstance(e.value, x509.AuthorityKeyIdentifier)), None)
    wanted = authority.key_identifier if authority else None
    candidates = [
        issuer
        for issuer in issuers
        if issuer.subject == crl.issuer and (wanted is None or subject_key_id(issuer) == wanted)
    ]
    if not candidates:
        raise Refused(Cause.UNKNOWN_CI, f"{_name(crl)}: its issuer is not known here")
    for issuer in candidates:
        if _signed_by(crl, issuer):
            usage = extension(issuer, x509.KeyUsage)
            if usage is not None and not usage.crl_sign:  # RFC 5280 6.3.3 (f)
                raise Refused(Cause.CERTIFICATE_INVALID, f"{_name(crl)}: its issuer may not sign CRLs")
            return issuer
    raise Refused(Cause.CERTIFICATE_INVALID, f"{_name(crl)}: its signature is wrong")


def _signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    strong = isinstance(crl.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)
    if not strong or not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return False
    return crl.is_signature_valid(key)


def _scope(crl: x509.CertificateRevocationList) -> object:
    """Say of which certificates it speaks: None for all of its issuer's. One that others issued is not understood."""
    for item in crl.extensions:
        if isinstance(item.value, x509.IssuingDistributionPoint):
            point = item.value
            if point.indirect_crl or point.only_contains_attribute_certs or point.only_some_reasons:
                raise Refused(Cause.CERTIFICATE_INVALID, f"{_name(crl)} is indirect or partial")
            if point.only_contains_ca_certs or point.only_contains_user_certs:
                return point
        elif item.critical and not isinstance(item.value, _UNDERSTOOD):
            # RFC 5280 5.2: such a CRL must not be used to say that a certificate is good; a delta CRL is one of these.
            raise Refused(Cause.CERTIFICATE_INVALID, f"{_name(crl)}: critical extension {item.oid.dotted_string}")
    return None


def _serials(crl: x509.CertificateRevocationList) -> frozenset[int]:
    """Read what it revokes: once, for a CRL may have a million entries."""
    found = []
    for entry in crl:
        if any(item.critical for item in entry.extensions):  # RFC 5280 5.3
            raise Refused(Cause.CERTIFICATE_INVALID, f"{_name(crl)}: an entry with a critical extension")
        found.append(entry.serial_number)
    return frozenset(found)
