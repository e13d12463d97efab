"""A test PKI as files: certificates in PEM, keys beside them, readable by their owner only.

    ci.pem ── eum.pem ── device.pem, euicc.pem      (leaf first, then the EUM)
       └───── dp-tls.pem dp-auth.pem dp-pb.pem
    network-ca.pem ── cp.pem, ran.pem    suci.key: with it the home network reveals SUCIs

Never overwrites a file. What stands in a certificate is decided in `crypto/issue.py`, what is believed in `x509.py`.
"""

import os
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rprov.crypto import issue
from rprov.crypto.suci import PROFILE_A, PROFILE_B, HomeNetworkKey
from rprov.crypto.x509 import Role, eid_of, eum_permits, parse_certificate, roles, subject_key_id
from rprov.crypto.x509_nodes import ran_certificate_name
from rprov.errors import ConfigError, DecodeError, EnvironmentLacks, Refused
from rprov.model.env import Entropy
from rprov.model.identifiers import Eid, Plmn
from rprov.model.secret import Secret

SMDP_OID = "2.999.10"
"""The registeredID in all three certificates of the test SM-DP+ (SGP.22 4.5.2.1: they must agree)."""

MAX_FILE = 1 << 20
"""Octets of a PEM file; a bundle of anchors of a whole industry is smaller."""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_PLAIN = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@dataclass(frozen=True, slots=True)
class Issuing:
    """When certificates begin, how many days they last, where keys and serial numbers come from, on which curve."""

    now: datetime
    entropy: Entropy
    days: int = 3650
    curve: str = "P-256"

    def key(self) -> ec.EllipticCurvePrivateKey:
        """A new private key."""
        return issue.private_key(self.entropy, self.curve)

    @property
    def terms(self) -> issue.Terms:
        """What the builders of certificates take."""
        return {"now": self.now, "entropy": self.entropy, "days": self.days}


def init_pki(
    place: Path, issuing: Issuing, plmn: Plmn, fqdn: str, eid_prefix: str, organization: str = "rprov test EUM"
) -> list[Path]:
    """Make everything but devices: CI, EUM, network CA, CP, RAN, SM-DP+, SUCI key. Raises `ConfigError`."""
    terms = issuing.terms
    ci_key, eum_key, ca_key, cp_key, tls_key, auth_key, pb_key = (issuing.key() for _ in range(7))
    ci = issue.make_ci(ci_key, **terms)
    eum = issue.make_eum(ci, ci_key, eum_key, organization, eid_prefix, **terms)
    ca = issue.make_network_ca(ca_key, **terms)
    cp = issue.make_network(ca, ca_key, cp_key, [plmn.cp_name], **terms)
    files = {
        **_pair("ci", ci_key, ci),
        **_pair("eum", eum_key, eum),
        **_pair("network-ca", ca_key, ca),
        **_pair("cp", cp_key, cp),
        **_pair("dp-tls", tls_key, issue.make_dp_tls(ci, ci_key, tls_key, fqdn, SMDP_OID, **terms)),
        **_pair("dp-auth", auth_key, issue.make_dp_auth(ci, ci_key, auth_key, SMDP_OID, **terms)),
        **_pair("dp-pb", pb_key, issue.make_dp_pb(ci, ci_key, pb_key, SMDP_OID, **terms)),
        **_ran(ca, ca_key, issuing, "ran", plmn, "ran"),
        "suci.key": _suci_key(PROFILE_B, issuing.entropy),
    }
    return _write(place, files)


def make_suci_key(place: Path, profile: int, entropy: Entropy, name: str = "suci") -> list[Path]:
    """Make a private key for revealing SUCIs, of profile 1 (A) or 2 (B); raises `ConfigError`."""
    return _write(place, {f"{name}.key": _suci_key(profile, entropy)})


def _suci_key(profile: int, entropy: Entropy) -> bytes:
    if profile == PROFILE_A:
        return x25519.X25519PrivateKey.from_private_bytes(entropy(32)).private_bytes(*_PLAIN)
    return issue.private_key(entropy, "P-256").private_bytes(*_PLAIN)


def issue_device(place: Path, issuing: Issuing, eid: Eid, name: str = "device") -> list[Path]:
    """Make a key of a device for the attach and its certificate; raises `ConfigError`, or `Refused` by the EUM."""
    return _issue(place, issuing, eid, name, Role.DEVICE)


def issue_euicc(place: Path, issuing: Issuing, eid: Eid, name: str = "euicc") -> list[Path]:
    """Make the key and certificate of an eUICC; raises `ConfigError`, or `Refused` by the EUM."""
    return _issue(place, issuing, eid, name, Role.EUICC)


def issue_ran(place: Path, issuing: Issuing, ran_name: str, plmn: Plmn, name: str = "ran") -> list[Path]:
    """Make the key and certificate with which a RAN of that name proves itself on N2; raises `ConfigError`."""
    if not (place / "network-ca.pem").exists():
        raise ConfigError(f"{place}: there is no PKI here (network-ca.pem is missing): rprov pki init {place}")
    ca, ca_key = load_chain(place / "network-ca.pem")[0], load_key(place / "network-ca.key")
    return _write(place, _ran(ca, ca_key, issuing, ran_name, plmn, name))


def _ran(
    ca: x509.Certificate, ca_key: issue.NetworkKey, issuing: Issuing, ran_name: str, plmn: Plmn, name: str
) -> dict[str, bytes]:
    key = issuing.key()
    names, usage = [ran_certificate_name(ran_name, plmn)], (ExtendedKeyUsageOID.CLIENT_AUTH,)
    return _pair(name, key, issue.make_network(ca, ca_key, key, names, extended_usage=usage, **issuing.terms))


def _issue(place: Path, issuing: Issuing, eid: Eid, name: str, role: Role) -> list[Path]:
    if not (place / "eum.pem").exists():
        raise ConfigError(f"{place}: there is no PKI here (eum.pem is missing): rprov pki init {place}")
    (eum, *_), eum_key = load_chain(place / "eum.pem"), load_key(place / "eum.key")
    eum_permits(eum, eid)
    key = issuing.key()
    make = issue.make_device if role is Role.DEVICE else issue.make_euicc
    leaf = make(eum, eum_key, key, eid, **issuing.terms)
    return _write(place, _pair(name, key, leaf, eum))


# --- reading ------------------------------------------------------------------------------------------------------


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a PEM file, or the one of a DER file, in their order; raises `ConfigError`."""
    found = certificates_in(path, read_file(path))
    if not found:
        raise ConfigError(f"{path}: there is no certificate in this file")
    return found


def certificates_in(path: Path, octets: bytes) -> tuple[x509.Certificate, ...]:
    """Read the certificates among what a file holds, PEM, or the one that it is, DER; raises `ConfigError`."""
    try:
        if b"-----BEGIN" not in octets:
            return (parse_certificate(octets),) if octets.startswith(b"\x30") else ()
        pieces = octets.decode("ascii", "replace").split(_BEGIN)[1:]
        return tuple(
            parse_certificate(ssl.PEM_cert_to_DER_cert(_BEGIN + piece.partition(_END)[0] + _END)) for piece in pieces
        )
    except (ValueError, DecodeError) as error:
        why = f" ({error})" if isinstance(error, DecodeError) else ""
        raise ConfigError(f"{path}: there is a certificate in this file that cannot be read{why}") from None


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key on an elliptic curve that only its owner may read; raises `ConfigError`."""
    key = _private_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: the private key is on no elliptic curve")
    return key


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """Read a private key for TLS, where Ed25519 will do too; raises `ConfigError`."""
    key = _private_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: the private key is neither on an elliptic curve nor of Ed25519")
    return key


def load_home_network_key(path: Path, profile: int) -> HomeNetworkKey:
    """Read a key with which SUCIs are revealed: X25519 for profile 1 (A), P-256 for 2 (B); raises `ConfigError`."""
    key = _private_key(path)
    if profile == PROFILE_A and isinstance(key, x25519.X25519PrivateKey):
        return HomeNetworkKey(PROFILE_A, Secret(key.private_bytes_raw()))
    if profile == PROFILE_B and isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return HomeNetworkKey(PROFILE_B, Secret(key.private_numbers().private_value.to_bytes(32)))
    wanted = "X25519 (profile A)" if profile == PROFILE_A else "P-256 (profile B)"
    raise ConfigError(f"{path}: this is no private key of {wanted}")


def _private_key(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(read_file(path, "private key"), None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise ConfigError(f"{path}: there is no unencrypted private key in this file") from None


def load_anchors(paths: Sequence[Path]) -> tuple[x509.Certificate, ...]:
    """Read all certificates of these PEM or DER files and of the *.pem files of directories; raises `ConfigError`."""
    found: list[x509.Certificate] = []
    for path in paths:
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if not files:
            raise ConfigError(f"{path}: there is no *.pem file in this directory")
        found += [certificate for file in files for certificate in load_chain(file)]
    return tuple(found)


def check_pair(
    chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, path: Path
) -> None:
    """Insist that the key is that of the first certificate; raises `ConfigError`."""
    if chain[0].public_key() != key.public_key():
        raise ConfigError(f"{path}: the private key is not that of the certificate")


def read_file(path: Path, secret: str = "", most: int = MAX_FILE) -> bytes:
    """Read a file of bounded size; only its owner may read it where it is a `secret` of some name.

    Raises `ConfigError`.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if secret and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: others may read this {secret}: chmod 600 it")
    if len(octets) > most:
        raise ConfigError(f"{path}: more than {most} octets")
    return octets


# --- what a certificate says, for people --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person wants to know of one certificate."""

    role: str
    subject: str
    issuer: str
    eid: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_id: str
    curve: str


_NAMES = {NameOID.SERIAL_NUMBER: "serialNumber"}
"""Attributes of names that RFC 4514 would write as numbers."""


def facts(certificate: x509.Certificate) -> Facts:
    """Read what is worth showing; a part that is absent is empty. Raises `Refused` for what cannot be read."""
    key = certificate.public_key()
    try:
        eid = str(eid_of(certificate))
    except Refused:
        eid = ""
    try:
        key_id = subject_key_id(certificate).hex()
    except Refused:
        key_id = ""
    return Facts(
        role=_role(certificate),
        subject=certificate.subject.rfc4514_string(_NAMES),
        issuer=certificate.issuer.rfc4514_string(_NAMES),
        eid=eid,
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_id=key_id,
        curve=key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__,
    )


_ROLE_WORDS: Mapping[Role, str] = {
    Role.CI: "certificate issuer (CI)",
    Role.EUM: "eUICC manufacturer (EUM)",
    Role.EUICC: "eUICC",
    Role.DP_TLS: "SM-DP+ TLS (DPtls)",
    Role.DP_AUTH: "SM-DP+ authentication (DPauth)",
    Role.DP_PB: "SM-DP+ profile binding (DPpb)",
    Role.DS_TLS: "SM-DS TLS",
    Role.DS_AUTH: "SM-DS authentication",
    Role.DEVICE: "device, for the attach",
}


def _role(certificate: x509.Certificate) -> str:
    found = roles(certificate)
    if found:
        return ", ".join(sorted(_ROLE_WORDS[role] for role in found))
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_ca = False
    if is_ca:
        return "authority without a GSMA role (networks)"
    return "network" if _names(certificate) else "none"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


# --- writing ------------------------------------------------------------------------------------------------------


def _pair(name: str, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> dict[str, bytes]:
    certificates = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
    return {f"{name}.pem": certificates, f"{name}.key": key.private_bytes(*_PLAIN)}


def _write(place: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write all files or none; a file that is there already is somebody's and stays."""
    written: list[Path] = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, octets in files.items():
            path = place / name
            mode = 0o600 if path.suffix == ".key" else 0o644
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise ConfigError(f"{error.filename}: is there already, and nothing is overwritten") from None
        raise EnvironmentLacks(f"{error.filename or place}: cannot be written: {error.strerror}") from None
    return written
