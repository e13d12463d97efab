"""What issued certificates look like: the table of SGP.22 4.5.2.1, and the same entropy giving the same PKI."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from doubles.pki import EID, EID_PREFIX, ORGANIZATION, PLMN, SMDP_FQDN, SMDP_OID, START, Pki, seeded, shared_pki

from rprov.crypto import issue
from rprov.crypto.x509 import Role, registered_id, subject_key_id
from rprov.errors import Misuse


def found(certificate: x509.Certificate, kind):
    """An extension with its criticality, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def usages(certificate: x509.Certificate) -> set[str]:
    usage = found(certificate, x509.KeyUsage)
    assert usage.critical
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(usage.value, name)}


KINDS = ("ci", "eum", "euicc", "device", "dp_tls", "dp_auth", "dp_pb")


@pytest.mark.parametrize(
    ("name", "role", "policies_critical", "usage", "path_length"),
    [
        ("ci", Role.CI, True, {"key_cert_sign", "crl_sign"}, None),
        ("eum", Role.EUM, True, {"key_cert_sign", "crl_sign"}, 0),
        ("euicc", Role.EUICC, True, {"digital_signature"}, None),
        ("device", Role.DEVICE, True, {"digital_signature"}, None),
        ("dp_tls", Role.DP_TLS, False, {"digital_signature"}, None),
        ("dp_auth", Role.DP_AUTH, True, {"digital_signature"}, None),
        ("dp_pb", Role.DP_PB, True, {"digital_signature"}, None),
    ],
)
def test_the_shape_of_each_gsma_certificate(name, role, policies_critical, usage, path_length):
    certificate = getattr(shared_pki(), name).certificate
    policies = found(certificate, x509.CertificatePolicies)
    assert [item.policy_identifier.dotted_string for item in policies.value] == [role.oid]
    assert policies.critical == policies_critical
    assert usages(certificate) == usage
    constraints = found(certificate, x509.BasicConstraints)
    if "key_cert_sign" in usage:
        assert constraints.critical
        assert constraints.value.ca
        assert constraints.value.path_length == path_length
    else:
        assert constraints is None
    assert len(subject_key_id(certificate)) == 20
    assert certificate.serial_number > 0
    assert (found(certificate, x509.NameConstraints) is not None) == (name == "eum")


def test_the_eum_constrains_organisation_and_eid():
    constraints = found(shared_pki().eum.certificate, x509.NameConstraints)
    assert constraints.critical
    (subtree,) = constraints.value.permitted_subtrees
    assert [(item.oid, item.value) for item in subtree.value] == [
        (NameOID.ORGANIZATION_NAME, ORGANIZATION),
        (NameOID.SERIAL_NUMBER, EID_PREFIX),
    ]
    assert constraints.value.excluded_subtrees is None


@pytest.mark.parametrize("name", ["euicc", "device"])
def test_a_devices_subject_is_its_eid_and_its_eums_organisation(name):
    certificate = getattr(shared_pki(), name).certificate
    subject = {item.oid: item.value for item in certificate.subject}
    assert subject[NameOID.SERIAL_NUMBER] == EID.digits
    assert subject[NameOID.ORGANIZATION_NAME] == ORGANIZATION
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.CRLDistributionPoints):
        assert found(certificate, kind) is None


def test_an_smdp_has_one_oid_in_all_its_certificates_and_its_name_in_the_tls_one():
    pki = shared_pki()
    assert {registered_id(held.certificate) for held in (pki.dp_tls, pki.dp_auth, pki.dp_pb)} == {SMDP_OID}
    names = found(pki.dp_tls.certificate, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SMDP_FQDN]
    assert set(found(pki.dp_tls.certificate, x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }


def test_a_network_is_a_server_with_the_name_of_its_plmn_and_without_policies():
    certificate = shared_pki().network.certificate
    assert list(found(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = found(certificate, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [PLMN.cp_name]
    assert found(certificate, x509.CertificatePolicies) is None


def test_every_certificate_names_its_issuers_key():
    pki = shared_pki()
    for held, issuer in ((pki.eum, pki.ci), (pki.euicc, pki.eum), (pki.dp_auth, pki.ci), (pki.network, pki.network_ca)):
        authority = found(held.certificate, x509.AuthorityKeyIdentifier).value
        assert authority.key_identifier == subject_key_id(issuer.certificate)
        held.certificate.verify_directly_issued_by(issuer.certificate)


def test_dates_come_from_the_arguments():
    key = issue.private_key(seeded())
    certificate = issue.make_ci(key, now=START, days=10, entropy=seeded())
    assert certificate.not_valid_before_utc == START
    assert certificate.not_valid_after_utc == START + timedelta(days=10)


@pytest.mark.parametrize(("curve", "expected"), [("P-256", ec.SECP256R1), ("brainpoolP256r1", ec.BrainpoolP256R1)])
def test_keys_are_made_of_48_octets_of_entropy_alone(curve, expected):
    asked = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    key = issue.private_key(entropy, curve)
    assert asked == [48]
    assert key.private_numbers().private_value == 1  # entropy of zeros: the smallest key there is
    assert isinstance(key.curve, expected)
    last = issue.private_key(lambda size: b"\xff" * size, curve).private_numbers().private_value
    assert 1 < last < 2**256


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
def test_the_same_entropy_gives_the_same_pki(curve):
    first, second = Pki(curve), Pki(curve)
    assert [getattr(first, name).certificate for name in KINDS] == [getattr(second, name).certificate for name in KINDS]
    assert Pki(curve, seed="other").ci.certificate != first.ci.certificate


def test_wrong_arguments_are_our_callers_mistakes():
    with pytest.raises(Misuse):
        issue.private_key(seeded(), "secp521r1")
    with pytest.raises(Misuse):
        shared_pki().make_eum(form="interpretive dance")
    with pytest.raises(Misuse):
        shared_pki().make_eum(form="extension", prefix="8" * 126)
