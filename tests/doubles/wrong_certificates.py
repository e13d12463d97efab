"""Certificates that are wrong in one point, as files beside the good ones of a demo's PKI."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rprov.crypto import issue
from rprov.model.identifiers import Plmn
from rprov.model.kinds import ReadPath
from rprov.model.settings import SmdpCertificates, SmdpSettings
from rprov.model.trust import (
    CredentialFiles,
)
from rprov.store.pki import SMDP_OID, Issuing, init_pki, load_chain, load_key

FQDN = "smdp.example.com"


def issuing() -> Issuing:
    return Issuing(datetime.now(UTC) - timedelta(minutes=5), os.urandom)


def other_pki(place: Path, plmn: Plmn) -> Path:
    """A whole PKI of its own, which nobody trusts; gives its directory."""
    init_pki(place / "other", issuing(), plmn, FQDN, "89049032")
    return place / "other"


def written(place: Path, name: str, key: Any, *chain: x509.Certificate) -> CredentialFiles:
    """A certificate chain and its key, as files."""
    certificates, secret = place / f"{name}.pem", place / f"{name}.key"
    certificates.write_bytes(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain))
    secret.touch(mode=0o600)
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return CredentialFiles(chain=ReadPath(certificates), key=ReadPath(secret))


def pair(place: Path, name: str) -> CredentialFiles:
    """A certificate and its key that are there."""
    return CredentialFiles(chain=ReadPath(place / f"{name}.pem"), key=ReadPath(place / f"{name}.key"))


def smdp_certificate(pki: Path, kind: str, **over: Any) -> CredentialFiles:
    """A certificate of an SM-DP+ of this PKI (`tls`, `auth` or `pb`), with something else than usual in it."""
    (ci, *_), ci_key, terms = load_chain(pki / "ci.pem"), load_key(pki / "ci.key"), issuing()
    key = terms.key()
    if kind == "tls":
        made = issue.make_dp_tls(ci, ci_key, key, over.pop("fqdn", FQDN), SMDP_OID, **{**terms.terms, **over})
    else:
        make = issue.make_dp_auth if kind == "auth" else issue.make_dp_pb
        made = make(ci, ci_key, key, SMDP_OID, **{**terms.terms, **over})
    return written(pki, f"wrong-{kind}", key, made)


def network_certificate(pki: Path, name: str, *names: str, **over: Any) -> CredentialFiles:
    """A certificate of a network under this PKI's network CA."""
    (ca, *_), ca_key, terms = load_chain(pki / "network-ca.pem"), load_key(pki / "network-ca.key"), issuing()
    key = terms.key()
    made = issue.make_network(ca, ca_key, key, names, **{**terms.terms, **over})
    return written(pki, name, key, made)


def with_certificates(settings: SmdpSettings, **changed: CredentialFiles) -> SmdpSettings:
    """The SM-DP+ with other certificates."""
    certificates: SmdpCertificates = replace(settings.certificates, **changed)
    return replace(settings, certificates=certificates)
