"""Issuing certificates: the PKI of a test bed, of the demo and of `rprov pki`.

Pure: time and entropy are arguments, ECDSA is deterministic, so the same arguments give the same certificate. Shapes
follow SGP.22 4.5.2.1 for the GSMA ones. Checks nothing about who asks; `x509` is what judges certificates.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple, NotRequired, TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from rprov.crypto.x509 import Role
from rprov.crypto.x509_path import EUM_PERMITTED_EIDS, organization
from rprov.errors import Misuse
from rprov.model.identifiers import Eid

Entropy = Callable[[int], bytes]
Key = ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey
NetworkKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
"""What signs certificates of networks: SGP.22 has no say there, so P-384 and Ed25519 will do, too."""

_Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Terms(TypedDict):
    """What every builder takes beside its own arguments. `days` count from `now`.

    `not_before` and `not_after` override the dates, `policies` (dotted OIDs) the roles, `is_ca` the CA flag,
    `path_length` the path length, `key_usage` (names of `x509.KeyUsage`) what the key is for: for tests that need a
    certificate which is wrong in one point.
    """

    now: datetime
    entropy: Entropy
    days: NotRequired[int]
    not_before: NotRequired[datetime]
    not_after: NotRequired[datetime]
    policies: NotRequired[Sequence[str]]
    is_ca: NotRequired[bool]
    path_length: NotRequired[int | None]
    key_usage: NotRequired[Sequence[str]]


class _Shape(NamedTuple):
    """What one kind of certificate looks like; a NamedTuple so that overrides are one `_replace`."""

    subject: x509.Name
    policies: Sequence[str] = ()
    policies_critical: bool = True
    ca: bool = False
    path_length: int | None = None
    key_usage: Sequence[str] = ("digital_signature",)
    extended_usage: Sequence[ObjectIdentifier] = ()
    alternative_names: Sequence[x509.GeneralName] = ()
    others: Sequence[tuple[x509.ExtensionType, bool]] = ()


_CURVES: Mapping[str, tuple[ec.EllipticCurve, int]] = MappingProxyType(
    {
        "P-256": (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
        "brainpoolP256r1": (
            ec.BrainpoolP256R1(),
            0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
        ),
        "P-384": (
            ec.SECP384R1(),
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        ),
    }
)
"""Curves of SGP.22 2.6.5, and P-384 for networks; the orders of their groups (NIST SP 800-186 3.2.1, RFC 5639 3.4)."""

ED25519 = "Ed25519"

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def private_key(entropy: Entropy, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Make a private key of at least 64 bits more entropy than its order has (FIPS 186-5 A.2.1)."""
    if curve not in _CURVES:
        raise Misuse(f"unknown curve {curve}")
    group, order = _CURVES[curve]
    drawn = entropy(max(48, order.bit_length() // 8 + 8))
    return ec.derive_private_key(int.from_bytes(drawn) % (order - 1) + 1, group)


def network_key(entropy: Entropy, kind: str) -> NetworkKey:
    """Make a private key for a certificate of a network: on a curve, or of Ed25519."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(entropy(32)) if kind == ED25519 else private_key(entropy, kind)


# --- GSMA ---------------------------------------------------------------------------------------------------------


def make_ci(
    key: ec.EllipticCurvePrivateKey, *, name: str = "rprov CI", oid: str = "2.999.1", **terms: Unpack[Terms]
) -> x509.Certificate:
    """Make a self-signed certificate issuer, the root of trust of SGP.22."""
    shape = _Shape(
        subject=_name(common=name, organization=name, country="ZZ"),
        policies=(Role.CI.oid,),
        ca=True,
        key_usage=("key_cert_sign", "crl_sign"),
        alternative_names=(_registered(oid),),
    )
    return _certify(shape, key, None, key, terms)


def make_eum(
    ci: x509.Certificate,
    ci_key: ec.EllipticCurvePrivateKey,
    key: Key,
    organization: str,
    eid_prefix: str,
    form: str = "nameConstraints",
    *,
    oid: str = "2.999.5",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate of an eUICC manufacturer that may issue EIDs beginning with `eid_prefix`.

    `form` says how the certificate tells that: nameConstraints (SGP.22 v2), extension (v3), none (then only the
    operator's table can vouch for it).
    """
    others: tuple[tuple[x509.ExtensionType, bool], ...]
    match form:
        case "nameConstraints":
            permitted = x509.DirectoryName(_name(organization=organization, serial=eid_prefix))
            others = ((x509.NameConstraints([permitted], None), True),)
        case "extension":
            others = ((x509.UnrecognizedExtension(EUM_PERMITTED_EIDS, _printable_strings((eid_prefix,))), False),)
        case "none":
            others = ()
        case _:
            raise Misuse(f"unknown form {form} of an EUM certificate")
    shape = _Shape(
        subject=_name(common=f"{organization} EUM", organization=organization, country="ZZ"),
        policies=(Role.EUM.oid,),
        ca=True,
        path_length=0,
        key_usage=("key_cert_sign", "crl_sign"),
        alternative_names=(_registered(oid),),
        others=others,
    )
    return _certify(shape, key, ci, ci_key, terms)


def make_euicc(
    eum: x509.Certificate,
    eum_key: ec.EllipticCurvePrivateKey,
    public_key: Key,
    eid: Eid,
    *,
    name: str = "eUICC",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate of an eUICC: the subject's serialNumber is the EID, O is that of its EUM."""
    return _certify(_of_device(eum, eid, name, Role.EUICC), public_key, eum, eum_key, terms)


def make_device(
    eum: x509.Certificate,
    eum_key: ec.EllipticCurvePrivateKey,
    public_key: Key,
    eid: Eid,
    *,
    name: str = "device",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate of a device's own key for the attach: as an eUICC's, with the DEVICE role."""
    return _certify(_of_device(eum, eid, name, Role.DEVICE), public_key, eum, eum_key, terms)


def make_dp_tls(
    ci: x509.Certificate,
    ci_key: ec.EllipticCurvePrivateKey,
    public_key: Key,
    fqdn: str,
    oid: str = "2.999.10",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the TLS certificate of an SM-DP+; its policies are not critical, so that ordinary TLS stacks take it."""
    shape = _Shape(
        subject=_name(common=fqdn, organization="rprov SM-DP+"),
        policies=(Role.DP_TLS.oid,),
        policies_critical=False,
        extended_usage=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        alternative_names=(x509.DNSName(fqdn), _registered(oid)),
    )
    return _certify(shape, public_key, ci, ci_key, terms)


def make_dp_auth(
    ci: x509.Certificate,
    ci_key: ec.EllipticCurvePrivateKey,
    public_key: Key,
    oid: str = "2.999.10",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate with which an SM-DP+ authenticates itself to an eUICC."""
    return _certify(_of_smdp(oid, Role.DP_AUTH), public_key, ci, ci_key, terms)


def make_dp_pb(
    ci: x509.Certificate,
    ci_key: ec.EllipticCurvePrivateKey,
    public_key: Key,
    oid: str = "2.999.10",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate with which an SM-DP+ binds profiles; the same registeredID as its DP_AUTH one."""
    return _certify(_of_smdp(oid, Role.DP_PB), public_key, ci, ci_key, terms)


# --- networks -----------------------------------------------------------------------------------------------------


def make_network_ca(key: NetworkKey, *, name: str = "rprov network CA", **terms: Unpack[Terms]) -> x509.Certificate:
    """Make a self-signed anchor for certificates of networks."""
    shape = _Shape(subject=_name(common=name), ca=True, key_usage=("key_cert_sign", "crl_sign"))
    return _certify(shape, key, None, key, terms)


def make_network_sub_ca(
    ca: x509.Certificate,
    ca_key: NetworkKey,
    public_key: NetworkKey | _Public,
    *,
    name: str = "rprov network sub CA",
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make a CA under the anchor that may issue leaf certificates only."""
    shape = _Shape(subject=_name(common=name), ca=True, path_length=0, key_usage=("key_cert_sign", "crl_sign"))
    return _certify(shape, public_key, ca, ca_key, terms)


def make_network(
    ca: x509.Certificate,
    ca_key: NetworkKey,
    public_key: NetworkKey | _Public,
    names: Sequence[str],
    *,
    extended_usage: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    **terms: Unpack[Terms],
) -> x509.Certificate:
    """Make the certificate of a network's CP: serverAuth, and a dNSName per name of its PLMNs."""
    shape = _Shape(
        subject=_name(common=names[0]) if names else _name(common="rprov CP"),
        extended_usage=extended_usage,
        alternative_names=tuple(x509.DNSName(name) for name in names),
    )
    return _certify(shape, public_key, ca, ca_key, terms)


# --- revocation ---------------------------------------------------------------------------------------------------


def make_crl(
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    revoked: Mapping[int, datetime],
    number: int,
    now: datetime,
    days: int = 30,
) -> x509.CertificateRevocationList:
    """Make the CRL of an issuer: serial numbers with when each was revoked; `number` must grow (RFC 5280 5.2.3)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now)
        .next_update(now + timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
        .add_extension(x509.CRLNumber(number), False)
    )
    for serial, when in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


# --- how it is done -----------------------------------------------------------------------------------------------


def _of_device(eum: x509.Certificate, eid: Eid, name: str, role: Role) -> _Shape:
    owner = organization(eum)[0] if organization(eum) else "rprov"
    subject = _name(common=name, organization=owner, serial=eid.digits, country="ZZ")
    return _Shape(subject=subject, policies=(role.oid,))


def _of_smdp(oid: str, role: Role) -> _Shape:
    subject = _name(common=f"rprov SM-DP+ {role.name}", organization="rprov SM-DP+")
    return _Shape(subject=subject, policies=(role.oid,), alternative_names=(_registered(oid),))


def _name(
    *, common: str | None = None, organization: str | None = None, serial: str | None = None, country: str | None = None
) -> x509.Name:
    attributes = (
        (NameOID.COUNTRY_NAME, country),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.SERIAL_NUMBER, serial),
        (NameOID.COMMON_NAME, common),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value is not None])


def _registered(oid: str) -> x509.RegisteredID:
    return x509.RegisteredID(ObjectIdentifier(oid))


def _printable_strings(texts: Sequence[str]) -> bytes:
    items = b"".join(b"\x13" + bytes([len(text)]) + text.encode("ascii") for text in texts)
    if len(items) > 127:
        raise Misuse("a list of EID prefixes of more than 127 octets")
    return b"\x30" + bytes([len(items)]) + items


def _certify(
    shape: _Shape,
    key: NetworkKey | _Public,
    issuer: x509.Certificate | None,
    issuer_key: NetworkKey,
    terms: Terms,
) -> x509.Certificate:
    """Sign a certificate of this shape; without an issuer it is self-signed."""
    shape = _overridden(shape, terms)
    public_key = key if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) else key.public_key()
    now = terms["now"]
    builder = (
        x509.CertificateBuilder()
        .subject_name(shape.subject)
        .issuer_name(issuer.subject if issuer else shape.subject)
        .public_key(public_key)
        # RFC 5280 4.1.2.2: positive, at most 20 octets
        .serial_number(int.from_bytes(terms["entropy"](16)) | 1)
        .not_valid_before(terms.get("not_before", now))
        .not_valid_after(terms.get("not_after", now + timedelta(days=terms.get("days", 3650))))
    )
    for value, critical in _extensions(shape, public_key, issuer_key.public_key()):
        builder = builder.add_extension(value, critical)
    if isinstance(issuer_key, ed25519.Ed25519PrivateKey):
        return builder.sign(issuer_key, None)
    digest = hashes.SHA384() if issuer_key.key_size > 256 else hashes.SHA256()
    return builder.sign(issuer_key, digest, ecdsa_deterministic=True)


def _overridden(shape: _Shape, terms: Terms) -> _Shape:
    if "policies" in terms:
        shape = shape._replace(policies=terms["policies"])
    if "is_ca" in terms:
        shape = shape._replace(ca=terms["is_ca"], path_length=shape.path_length if terms["is_ca"] else None)
    if "path_length" in terms:
        shape = shape._replace(path_length=terms["path_length"])
    if "key_usage" in terms:
        shape = shape._replace(key_usage=terms["key_usage"])
    return shape


def _extensions(shape: _Shape, key: _Public, issuer_key: _Public) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
        (x509.KeyUsage(**{usage: usage in shape.key_usage for usage in _USAGES}), True),
    ]
    if shape.ca:
        found.append((x509.BasicConstraints(ca=True, path_length=shape.path_length), True))
    if shape.policies:
        named = [x509.PolicyInformation(ObjectIdentifier(oid), None) for oid in shape.policies]
        found.append((x509.CertificatePolicies(named), shape.policies_critical))
    if shape.extended_usage:
        found.append((x509.ExtendedKeyUsage(shape.extended_usage), False))
    if shape.alternative_names:
        found.append((x509.SubjectAlternativeName(shape.alternative_names), False))
    return [*found, *shape.others]
