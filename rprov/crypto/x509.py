"""Certificates of remote SIM provisioning: GSMA roles, EIDs, and the one check of a chain.

The same check serves the CP (chains of devices), the card and the LPA (chains of an SM-DP+) and the SM-DP+ (chains of
an eUICC). Knows no TLS, and nothing of certificates of networks (`x509_network`).

    CI --- EUM --- EUICC | DEVICE           SGP.22 4.5.2: roles are policy OIDs under 2.23.146.1.2.1
     \\---- DP_TLS | DP_AUTH | DP_PB | DS_…
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rprov.causes import Cause
from rprov.crypto.x509_path import (
    EUM_PERMITTED_EIDS,
    Verdicts,
    describe,
    extension,
    key_id,
    organization,
    parse_certificate,
    path_to_anchor,
    reading,
)
from rprov.crypto.x509_subject import ORGANIZATION, SERIAL_NUMBER, latest, plain
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Eid

__all__ = [
    "Role",
    "check_chain",
    "describe",
    "eid_of",
    "eum_permits",
    "parse_certificate",
    "registered_id",
    "roles",
    "subject_key_id",
]

DEVICE_POLICY = "2.25.81843448864896234751938054639082143661"
"""rprov's own policy OID (a UUID under 2.25, ITU-T X.667): a device's key for the attach, certified by its EUM.

The CP accepts it; an SM-DP+ and a card never do.
"""

NO_TABLE: Mapping[bytes, tuple[str, ...]] = MappingProxyType({})
"""No EUM is known to the operator beside what its certificate says."""


class Role(Enum):
    """What a certificate is for: the policy OIDs that say so (SGP.22 4.5.2.1; EUM also in the form of SGP.22 v3)."""

    CI = ("2.23.146.1.2.1.0",)
    EUM = ("2.23.146.1.2.1.2", "2.23.146.1.2.1.0.0.0")
    EUICC = ("2.23.146.1.2.1.1",)
    DP_TLS = ("2.23.146.1.2.1.3",)
    DP_AUTH = ("2.23.146.1.2.1.4",)
    DP_PB = ("2.23.146.1.2.1.5",)
    DS_TLS = ("2.23.146.1.2.1.6",)
    DS_AUTH = ("2.23.146.1.2.1.7",)
    DEVICE = (DEVICE_POLICY,)

    @property
    def oid(self) -> str:
        """The policy OID that a new certificate of this role gets."""
        first: str = self.value[0]
        return first


_ROLE_OF_POLICY = {oid: role for role in Role for oid in role.value}

GSMA_POLICIES = "2.23.146.1."
"""Every GSMA remote SIM provisioning OID begins so."""

VERDICTS = Verdicts(
    unknown_anchor=Cause.UNKNOWN_CI,
    expired=Cause.CERTIFICATE_EXPIRED,
    not_yet_valid=Cause.CERTIFICATE_NOT_YET_VALID,
    invalid=Cause.CERTIFICATE_INVALID,
)
"""How refusals are called where the certificate is a device's, a card's or an SM-DP+'s."""

ISSUED_BY_EUM = frozenset({Role.EUICC, Role.DEVICE})
"""Roles whose certificates name an EID."""

_CURVES = frozenset({"secp256r1", "brainpoolP256r1"})  # SGP.22 2.6.5


def roles(certificate: x509.Certificate) -> frozenset[Role]:
    """Read the roles that the certificate policies name; none: an empty set."""
    with reading(Cause.CERTIFICATE_INVALID):
        return frozenset(_ROLE_OF_POLICY[oid] for oid in policies(certificate) if oid in _ROLE_OF_POLICY)


def policies(certificate: x509.Certificate) -> tuple[str, ...]:
    """Every policy OID of the certificate, dotted."""
    found = extension(certificate, x509.CertificatePolicies)
    return tuple(item.policy_identifier.dotted_string for item in found) if found else ()


def eid_of(certificate: x509.Certificate) -> Eid:
    """The EID, which is the subject's serialNumber and stands nowhere else (SGP.22 4.5.2.1.0.2)."""
    return _device(certificate)[0]


@latest
def _device(certificate: x509.Certificate) -> tuple[Eid, tuple[str, ...]]:
    """The EID and the O of a subject. An attach asks several times, and the library parses a name anew each time."""
    with reading(Cause.CERTIFICATE_INVALID):
        attributes = plain(certificate).attributes
        if attributes is not None:
            serials = tuple(text for oid, text in attributes if oid == SERIAL_NUMBER)
            owner = tuple(text for oid, text in attributes if oid == ORGANIZATION)
        else:
            named = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
            serials, owner = tuple(str(item.value) for item in named), organization(certificate)
    if len(serials) != 1:
        raise Refused(Cause.CERTIFICATE_INVALID, f"{describe(certificate)} must have one serialNumber")
    try:
        return Eid.parse(serials[0]), owner
    except DecodeError as error:
        raise Refused(Cause.CERTIFICATE_INVALID, str(error)) from error


def subject_key_id(certificate: x509.Certificate) -> bytes:
    """The subjectKeyIdentifier, 20 octets; of a CI it is the "CI public key id" of SGP.22."""
    with reading(Cause.CERTIFICATE_INVALID):
        found = key_id(certificate)
    if found is None or len(found) != 20:
        raise Refused(Cause.CERTIFICATE_INVALID, f"{describe(certificate)} has no subjectKeyIdentifier of 20 octets")
    return found


def registered_id(certificate: x509.Certificate) -> str:
    """The one registeredID of the subjectAltName, dotted: the OID of an SM-DP+, an EUM or a CI."""
    with reading(Cause.CERTIFICATE_INVALID):
        names = extension(certificate, x509.SubjectAlternativeName)
        found = names.get_values_for_type(x509.RegisteredID) if names else []
    if len(found) != 1:
        raise Refused(Cause.CERTIFICATE_INVALID, f"{describe(certificate)} must have one registeredID")
    return found[0].dotted_string


def check_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    role: Role | frozenset[Role],
    at: datetime,
    eum_table: Mapping[bytes, tuple[str, ...]] = NO_TABLE,
) -> tuple[x509.Certificate, ...]:
    """Check that `leaf` has `role` (or one of them) and stands under a trusted CI; give leaf, …, CI.

    Checked: AKI and SKI, signatures, dates at `at`, key usage, CA flags, path length, the role of every element, and
    for an eUICC or a device that its EUM may issue its EID. Raises `Refused` with UNKNOWN_CI, CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_YET_VALID, WRONG_CERTIFICATE_ROLE, CERTIFICATE_INVALID or EUM_NOT_AUTHORISED.
    """
    wanted = frozenset({role}) if isinstance(role, Role) else role
    path = path_to_anchor(leaf, intermediates, anchors, at, VERDICTS)
    with reading(Cause.CERTIFICATE_INVALID):
        found = _only_role(leaf, wanted)
        above = (Role.EUM, Role.CI) if found in ISSUED_BY_EUM else (Role.CI,)
        if len(path) != 1 + len(above):
            raise Refused(Cause.CERTIFICATE_INVALID, f"a path of {len(path)} certificates for a {found.name} one")
        for certificate, expected in zip(path[1:], above, strict=True):
            _only_role(certificate, frozenset({expected}))
            _check_key(certificate)
        check_leaf(leaf, wanted)
        if found in ISSUED_BY_EUM:
            check_issue(leaf, issue_of(path[1], eum_table))
    return path


def check_leaf(leaf: x509.Certificate, wanted: frozenset[Role], *, key_is_sound: bool = False) -> Role:
    """Check what stands in a leaf itself: one role, a wanted one, and a key for it. Raises `Refused`.

    `key_is_sound`: somebody has read the key, as OpenSSL has in a handshake, and only its curve is to be looked at.
    """
    found = _only_role(leaf, wanted)
    if not key_is_sound or plain(leaf).curve is None:
        _check_key(leaf)
    _check_leaf_usage(leaf, found)
    return found


class Issue(NamedTuple):
    """What an EUM may issue: certificates with its own O, and the EIDs that every source permits."""

    eum: x509.Certificate
    organization: tuple[str, ...]
    permitted: tuple[tuple[str, ...], ...]


def issue_of(eum: x509.Certificate, table: Mapping[bytes, tuple[str, ...]]) -> Issue:
    """Read what an EUM may issue; raises `Refused` where that cannot be read."""
    with reading(Cause.CERTIFICATE_INVALID):
        sources = (_constrained(eum), _extension_prefixes(eum), table.get(key_id(eum) or b""))
        return Issue(eum, organization(eum), tuple(source for source in sources if source is not None))


def check_issue(leaf: x509.Certificate, issue: Issue) -> Eid:
    """Check that an EUM may have issued this leaf, and give its EID. Raises `Refused`."""
    eid, owner = _device(leaf)
    if owner != issue.organization:
        raise Refused(Cause.EUM_NOT_AUTHORISED, "the O of the certificate is not the O of its EUM")
    _permits(issue, eid)
    return eid


def _only_role(certificate: x509.Certificate, wanted: frozenset[Role]) -> Role:
    """Demand exactly one role, and a wanted one: what has two could play the other on the other side."""
    found = roles(certificate)
    if len(found) != 1 or not found <= wanted:
        names = " and ".join(sorted(item.name for item in found)) or "no role"
        raise Refused(Cause.WRONG_CERTIFICATE_ROLE, f"{describe(certificate)} has {names}")
    return next(iter(found))


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise Refused(Cause.CERTIFICATE_INVALID, f"the key of {describe(certificate)} is on no curve of SGP.22")


def _check_leaf_usage(leaf: x509.Certificate, role: Role) -> None:
    constraints = extension(leaf, x509.BasicConstraints)
    usage = extension(leaf, x509.KeyUsage)
    is_ca = constraints is not None and constraints.ca
    if role is Role.EUM:
        fits = is_ca and usage is not None and usage.key_cert_sign
    else:
        fits = not is_ca and usage is not None and usage.digital_signature and not usage.key_cert_sign
    if not fits:
        raise Refused(Cause.CERTIFICATE_INVALID, f"the key usage of {describe(leaf)} does not fit its role")


def eum_permits(eum: x509.Certificate, eid: Eid, table: Mapping[bytes, tuple[str, ...]] = NO_TABLE) -> None:
    """Check that this EUM may issue this EID; raises `Refused(EUM_NOT_AUTHORISED)`.

    Three sources: nameConstraints (O equal, serialNumber a prefix: SGP.22 4.5.2.1.0.3), the extension
    2.23.146.1.2.2.0, the operator's table (by the EUM's subjectKeyIdentifier). Each that is there must permit; where
    none is there, nothing vouches for the EID and it is refused.
    """
    _permits(issue_of(eum, table), eid)


def _permits(issue: Issue, eid: Eid) -> None:
    if not issue.permitted:
        raise Refused(Cause.EUM_NOT_AUTHORISED, f"nothing says which EIDs {describe(issue.eum)} may issue")
    for prefixes in issue.permitted:
        if not any(prefix and eid.digits.startswith(prefix) for prefix in prefixes):
            raise Refused(Cause.EUM_NOT_AUTHORISED, f"{describe(issue.eum)} may not issue EID {eid}")


def _constrained(eum: x509.Certificate) -> tuple[str, ...] | None:
    """Read the prefixes of the nameConstraints; None where there are none."""
    constraints = extension(eum, x509.NameConstraints)
    if constraints is None:
        return None
    if constraints.excluded_subtrees:
        raise Refused(Cause.EUM_NOT_AUTHORISED, "excluded subtrees have no meaning for EIDs")
    prefixes = []
    for subtree in constraints.permitted_subtrees or ():
        if isinstance(subtree, x509.DirectoryName):
            attributes = {item.oid: str(item.value) for item in subtree.value}
            # O of the constraint = O of the EUM (and check_chain: = O of the eUICC)
            if (attributes.get(NameOID.ORGANIZATION_NAME),) == organization(eum):
                prefixes.append(attributes.get(NameOID.SERIAL_NUMBER, ""))
    return tuple(prefixes)


def _extension_prefixes(eum: x509.Certificate) -> tuple[str, ...] | None:
    """Read SEQUENCE OF PrintableString; None where the extension is absent."""
    try:
        value = eum.extensions.get_extension_for_oid(EUM_PERMITTED_EIDS).value
    except x509.ExtensionNotFound:
        return None
    if not isinstance(value, x509.UnrecognizedExtension):
        raise Refused(Cause.CERTIFICATE_INVALID, "the list of permitted EIDs cannot be read")
    tag, content, rest = _tlv(value.value)
    prefixes = []
    while content and tag == 0x30 and not rest:
        item, text, content = _tlv(content)
        if item != 0x13:
            break
        prefixes.append(text.decode("ascii"))
    if tag != 0x30 or rest or content:
        raise Refused(Cause.CERTIFICATE_INVALID, "the list of permitted EIDs is no SEQUENCE OF PrintableString")
    return tuple(prefixes)


def _tlv(octets: bytes) -> tuple[int, bytes, bytes]:
    """Split DER with lengths below 65,536 into tag, content, rest; raises `ValueError`."""
    if len(octets) < 2:
        raise ValueError("DER ends early")
    start = 2
    length = octets[1]
    if length >= 0x80:
        start += length & 0x7F
        if start not in (3, 4):
            raise ValueError("a DER length out of bounds")
        length = int.from_bytes(octets[2:start])
    if len(octets) < start + length:
        raise ValueError("DER ends early")
    return octets[0], octets[start : start + length], octets[start + length :]
