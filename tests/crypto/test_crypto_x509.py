"""Chains of devices, cards and servers: what is taken, and every refusal with its cause."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from doubles.odd_serials import MINUS_ONE, ZERO, held_with_serial, with_serial
from doubles.pki import (
    EID,
    EID_PREFIX,
    FOREIGN_EID,
    NOW,
    ORGANIZATION,
    OTHER_EID,
    PLMN,
    SMDP_OID,
    START,
    Held,
    Pki,
    shared_pki,
)
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto import issue
from rprov.crypto.x509 import (
    Role,
    check_chain,
    describe,
    eid_of,
    eum_permits,
    parse_certificate,
    registered_id,
    roles,
    subject_key_id,
)
from rprov.crypto.x509_network import check_network
from rprov.crypto.x509_path import LARGEST_CERTIFICATE
from rprov.errors import DecodeError, Refused

DEVICES = frozenset({Role.DEVICE, Role.EUICC})


@pytest.fixture(scope="session")
def pki() -> Pki:
    return shared_pki()


def check(held: Held, pki: Pki, role=DEVICES, at=NOW, **more):
    return check_chain(held.certificate, held.issuers, [pki.ci.certificate], role, at, **more)


def refused(cause: Cause, held: Held, pki: Pki, **more) -> Refused:
    with pytest.raises(Refused) as caught:
        check(held, pki, **more)
    assert caught.value.cause is cause, caught.value
    return caught.value


# --- what is taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize(("name", "role"), [("device", Role.DEVICE), ("euicc", Role.EUICC)])
def test_a_device_chain_leads_to_the_ci(curve, name, role):
    pki = shared_pki(curve)
    held = getattr(pki, name)
    assert check(held, pki, role=role) == (held.certificate, pki.eum.certificate, pki.ci.certificate)
    assert roles(held.certificate) == {role}
    assert eid_of(held.certificate) == EID


@pytest.mark.parametrize(
    ("name", "role"), [("dp_tls", Role.DP_TLS), ("dp_auth", Role.DP_AUTH), ("dp_pb", Role.DP_PB), ("eum", Role.EUM)]
)
def test_certificates_directly_under_the_ci(pki, name, role):
    held = getattr(pki, name)
    path = check_chain(held.certificate, [], [pki.ci.certificate], role, NOW)
    assert path == (held.certificate, pki.ci.certificate)
    assert roles(held.certificate) == {role}


def test_an_eum_of_the_newer_form_is_an_eum(pki):
    eum = pki.make_eum(policies=("2.23.146.1.2.1.0.0.0",), form="extension")
    assert roles(eum.certificate) == {Role.EUM}
    check(pki.make_device(eum=eum), pki)


def test_an_unvouched_eum_is_taken_where_the_operators_table_names_it(pki):
    held = pki.unvouched_device
    table = {subject_key_id(held.issuers[0]): (EID_PREFIX,)}
    check(held, pki, eum_table=table)
    assert refused(Cause.EUM_NOT_AUTHORISED, held, pki).detail.startswith("nothing says")
    refused(Cause.EUM_NOT_AUTHORISED, held, pki, eum_table={subject_key_id(held.issuers[0]): ("8912",)})
    refused(Cause.EUM_NOT_AUTHORISED, held, pki, eum_table={subject_key_id(held.issuers[0]): ()})


def test_a_ci_that_was_renewed_with_its_key_serves_by_the_one_that_is_valid(pki):
    old = issue.make_ci(pki.ci.key, **pki.terms(name="old name", not_after=START + timedelta(days=1)))
    held = pki.device
    path = check_chain(held.certificate, held.issuers, [old, pki.ci.certificate], DEVICES, NOW)
    assert path[-1] == pki.ci.certificate


def test_a_ci_under_another_name_with_the_same_key_is_the_same_ci(pki):
    other_name = issue.make_ci(pki.ci.key, **pki.terms(name="same key, other name"))
    held = pki.device
    assert check_chain(held.certificate, held.issuers, [other_name], DEVICES, NOW)[-1] == other_name


def test_the_root_among_the_intermediates_does_no_harm(pki):
    held = pki.device
    check_chain(held.certificate, [pki.ci.certificate, *held.issuers, pki.dp_tls.certificate], [pki.ci.certificate],
                DEVICES, NOW)  # fmt: skip


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("device_of_other_ci", Cause.UNKNOWN_CI),
        ("expired_device", Cause.CERTIFICATE_EXPIRED),
        ("expired_eum_device", Cause.CERTIFICATE_EXPIRED),
        ("future_device", Cause.CERTIFICATE_NOT_YET_VALID),
        ("foreign_device", Cause.EUM_NOT_AUTHORISED),
        ("unvouched_device", Cause.EUM_NOT_AUTHORISED),
        ("roleless_device", Cause.WRONG_CERTIFICATE_ROLE),
        ("two_faced_device", Cause.WRONG_CERTIFICATE_ROLE),
        ("eum_with_wrong_role", Cause.WRONG_CERTIFICATE_ROLE),
        ("dp_tls", Cause.WRONG_CERTIFICATE_ROLE),
        ("dp_auth", Cause.WRONG_CERTIFICATE_ROLE),
        ("network", Cause.UNKNOWN_CI),
    ],
)
def test_refusals_have_their_own_causes(pki, name, cause):
    refused(cause, getattr(pki, name), pki)


def test_a_device_certificate_is_no_euicc_certificate_and_the_other_way_round(pki):
    refused(Cause.WRONG_CERTIFICATE_ROLE, pki.device, pki, role=Role.EUICC)
    refused(Cause.WRONG_CERTIFICATE_ROLE, pki.euicc, pki, role=Role.DEVICE)


def test_an_expired_ci_is_refused(pki):
    ci = issue.make_ci(pki.ci.key, **pki.terms(not_after=NOW - timedelta(days=1)))
    with pytest.raises(Refused) as caught:
        check_chain(pki.device.certificate, pki.device.issuers, [ci], DEVICES, NOW)
    assert caught.value.cause is Cause.CERTIFICATE_EXPIRED


def test_dates_are_judged_at_the_time_given(pki):
    device = pki.device.certificate
    check(pki.device, pki, at=device.not_valid_before_utc)
    check(pki.device, pki, at=device.not_valid_after_utc)
    refused(Cause.CERTIFICATE_NOT_YET_VALID, pki.device, pki, at=device.not_valid_before_utc - timedelta(seconds=1))
    refused(Cause.CERTIFICATE_EXPIRED, pki.device, pki, at=device.not_valid_after_utc + timedelta(seconds=1))


def test_without_its_eum_a_device_leads_nowhere(pki):
    refused(Cause.UNKNOWN_CI, pki.device._replace(issuers=()), pki)


def test_an_eum_as_anchor_is_no_ci(pki):
    with pytest.raises(Refused) as caught:
        check_chain(pki.device.certificate, [], [pki.eum.certificate], DEVICES, NOW)
    assert caught.value.cause is Cause.CERTIFICATE_INVALID


def test_a_device_that_issues_certificates_is_refused(pki):
    """The device signs a certificate for another EID with its own key."""
    victim = pki.make_device(OTHER_EID, eum=pki.device._replace(issuers=(pki.device.certificate, *pki.device.issuers)))
    refused(Cause.CERTIFICATE_INVALID, victim, pki)


def test_an_eum_below_an_eum_is_refused(pki):
    below = pki.make_eum(pki.eum)
    device = pki.make_device(eum=below._replace(issuers=(below.certificate, pki.eum.certificate)))
    refused(Cause.CERTIFICATE_INVALID, device, pki)  # path length 0 of the upper one


def test_an_eum_that_is_no_ca_is_refused(pki):
    refused(Cause.CERTIFICATE_INVALID, pki.make_device(eum=pki.make_eum(is_ca=False)), pki)
    refused(Cause.CERTIFICATE_INVALID, pki.make_device(eum=pki.make_eum(key_usage=("digital_signature",))), pki)


@pytest.mark.parametrize("usage", [(), ("key_agreement",), ("digital_signature", "key_cert_sign")])
def test_a_leaf_whose_key_is_for_something_else_is_refused(pki, usage):
    refused(Cause.CERTIFICATE_INVALID, pki.make_device(key_usage=usage), pki)


def test_a_leaf_that_is_a_ca_is_refused(pki):
    refused(Cause.CERTIFICATE_INVALID, pki.make_device(is_ca=True), pki)


def test_a_forged_signature_is_refused(pki):
    """An attacker's EUM with the name and the key id of the real one."""
    forger = pki.make_ci(name="forger")
    forged = (
        _rebuilt(pki.eum.certificate)
        .add_extension(x509.AuthorityKeyIdentifier(subject_key_id(pki.ci.certificate), None, None), False)
        .sign(forger.key, hashes.SHA256())
    )
    device = pki.make_device(eum=Held(forged, pki.eum.key, (forged,)))
    refused(Cause.CERTIFICATE_INVALID, device, pki)


def _rebuilt(model: x509.Certificate, key=None) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(model.issuer)
        .public_key(key or model.public_key())
        .serial_number(7)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
    )
    for item in model.extensions:
        if not isinstance(item.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(item.value, item.critical)
    return builder


def _resigned(held: Held, eum: Held, key=None, extra=(), digest=None) -> Held:
    builder = _rebuilt(held.certificate, key).add_extension(
        x509.AuthorityKeyIdentifier(subject_key_id(eum.certificate), None, None), False
    )
    for value, critical in extra:
        builder = builder.add_extension(value, critical)
    return held._replace(certificate=builder.sign(eum.key, digest or hashes.SHA256()))


def test_an_unknown_critical_extension_is_refused_and_an_uncritical_one_is_not(pki):
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    check(_resigned(pki.device, pki.eum, extra=[(unknown, False)]), pki)
    refused(Cause.CERTIFICATE_INVALID, _resigned(pki.device, pki.eum, extra=[(unknown, True)]), pki)


def test_keys_on_no_curve_of_sgp22_are_refused(pki):
    for key in (
        ed25519.Ed25519PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ):
        refused(Cause.CERTIFICATE_INVALID, _resigned(pki.device, pki.eum, key=key), pki)


def test_a_signature_with_a_weak_hash_is_refused(pki):
    refused(Cause.CERTIFICATE_INVALID, _resigned(pki.device, pki.eum, digest=hashes.SHA224()), pki)


def test_too_many_intermediates_are_refused(pki):
    refused(Cause.CERTIFICATE_INVALID, pki.device._replace(issuers=(pki.eum.certificate,) * 9), pki)


def test_self_signed_certificates_of_strangers_end_the_walk(pki):
    stranger = pki.make_ci(name="stranger")
    eum = pki.make_eum(stranger)
    device = pki.make_device(eum=eum._replace(issuers=(eum.certificate, stranger.certificate)))
    refused(Cause.UNKNOWN_CI, device, pki)


def test_a_device_of_another_organisation_than_its_eum_is_refused(pki):
    other = pki.make_eum(organization="Somebody Else")
    borrowed = pki.make_device(eum=other)
    resigned = _resigned(borrowed, pki.eum)._replace(issuers=pki.eum.issuers)
    refused(Cause.EUM_NOT_AUTHORISED, resigned, pki)


def test_several_cis_are_trusted_each_for_its_own(pki):
    """In whatever order, and also where both call themselves the same."""
    twin = Pki(seed="twin of the CI")
    assert twin.ci.certificate.subject == pki.ci.certificate.subject
    cis = [pki.other_ci.certificate, twin.ci.certificate, pki.ci.certificate]
    for held, ci in ((pki.device, pki.ci), (pki.device_of_other_ci, pki.other_ci), (twin.device, twin.ci)):
        for anchors in (cis, cis[::-1]):
            assert check_chain(held.certificate, held.issuers, anchors, DEVICES, NOW)[-1] == ci.certificate
    with pytest.raises(Refused) as caught:
        check_chain(twin.device.certificate, pki.device.issuers, cis, DEVICES, NOW)  # the EUM of the wrong one
    assert caught.value.cause is Cause.UNKNOWN_CI


def test_a_ci_that_bounds_the_path_to_nothing_has_no_eums(pki):
    for length, good in ((1, True), (0, False)):
        ci = pki.make_ci(path_length=length)
        device = pki.make_device(eum=pki.make_eum(ci))
        if good:
            check_chain(device.certificate, device.issuers, [ci.certificate], DEVICES, NOW)
        else:
            with pytest.raises(Refused, match="too long"):
                check_chain(device.certificate, device.issuers, [ci.certificate], DEVICES, NOW)


@pytest.mark.parametrize("serial", [ZERO, MINUS_ONE])
def test_a_serial_number_that_is_not_positive_is_refused_without_a_warning(pki, serial, recwarn):
    """`cryptography` would write a warning to stderr, for every stranger that has one."""
    with pytest.raises(DecodeError, match="serial number is not positive"):
        parse_certificate(with_serial(pki.device, pki.eum, serial))
    assert not recwarn.list
    odd = held_with_serial(pki, serial)
    refused(Cause.CERTIFICATE_INVALID, odd, pki)
    parse_certificate(with_serial(pki.device, pki.eum, b"\x02\x01\x7f"))


# --- which EIDs an EUM may issue ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["nameConstraints", "extension"])
def test_the_prefix_decides(pki, form):
    eum = pki.make_eum(form=form).certificate
    eum_permits(eum, EID)
    eum_permits(eum, OTHER_EID)
    with pytest.raises(Refused) as caught:
        eum_permits(eum, FOREIGN_EID)
    assert caught.value.cause is Cause.EUM_NOT_AUTHORISED


def test_every_source_that_is_there_must_permit(pki):
    eum = pki.make_eum().certificate
    table = {subject_key_id(eum): (FOREIGN_EID.digits[:8],)}
    for eid in (EID, FOREIGN_EID):
        with pytest.raises(Refused):
            eum_permits(eum, eid, table)
    eum_permits(eum, EID, {subject_key_id(eum): ("12", EID_PREFIX)})


def test_an_empty_prefix_permits_nothing(pki):
    for form in ("nameConstraints", "extension"):
        with pytest.raises(Refused):
            eum_permits(pki.make_eum(form=form, prefix="8").certificate, FOREIGN_EID.with_check_digits("1" * 30))
    with pytest.raises(Refused):
        eum_permits(pki.make_eum(form="extension", prefix="").certificate, EID)
    with pytest.raises(Refused):
        eum_permits(pki.make_eum(form="none").certificate, EID, {subject_key_id(pki.eum.certificate): ("",)})


def _constrained(pki: Pki, constraints: x509.NameConstraints) -> x509.Certificate:
    bare = pki.make_eum(form="none")
    return _resigned(bare, pki.ci, extra=[(constraints, True)]).certificate


def _directory(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]))


O, SERIAL = NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER  # noqa: E741


def test_name_constraints_name_the_eums_own_organisation(pki):
    eum_permits(
        _constrained(pki, x509.NameConstraints([_directory((O, ORGANIZATION), (SERIAL, EID_PREFIX))], None)), EID
    )
    for wrong in (
        [_directory((O, "Somebody Else"), (SERIAL, EID_PREFIX))],
        [_directory((SERIAL, EID_PREFIX))],
        [_directory((O, ORGANIZATION))],
        [x509.DNSName("example.com")],
    ):
        with pytest.raises(Refused) as caught:
            eum_permits(_constrained(pki, x509.NameConstraints(wrong, None)), EID)
        assert caught.value.cause is Cause.EUM_NOT_AUTHORISED


def test_excluded_subtrees_are_refused(pki):
    permitted = [_directory((O, ORGANIZATION), (SERIAL, EID_PREFIX))]
    with pytest.raises(Refused):
        eum_permits(_constrained(pki, x509.NameConstraints(permitted, [_directory((SERIAL, "12"))])), EID)


@pytest.mark.parametrize(
    "value",
    ["", "30", "3003130189", "30031301", "310313013800", "30040c023839", "3003130138ff", "308430000000", "0500"],
)
def test_a_broken_list_of_prefixes_permits_nothing(pki, value):
    oid = x509.ObjectIdentifier("2.23.146.1.2.2.0")
    eum = _resigned(
        pki.make_eum(form="none"), pki.ci, extra=[(x509.UnrecognizedExtension(oid, bytes.fromhex(value)), False)]
    )
    with pytest.raises(Refused):
        eum_permits(eum.certificate, EID)


# --- reading ------------------------------------------------------------------------------------------------------


def test_what_certificates_say(pki):
    assert registered_id(pki.dp_auth.certificate) == SMDP_OID == registered_id(pki.dp_pb.certificate)
    assert registered_id(pki.dp_tls.certificate) == SMDP_OID
    assert len(subject_key_id(pki.ci.certificate)) == 20
    assert str(EID) in describe(pki.device.certificate)
    for held in (pki.device, pki.network):
        with pytest.raises(Refused):
            registered_id(held.certificate)
    for held in (pki.dp_auth, pki.network):
        with pytest.raises(Refused):
            eid_of(held.certificate)


def test_a_serial_number_that_is_no_eid_is_refused(pki):
    name = _directory((O, ORGANIZATION), (SERIAL, "89049032123451234512345678901234")).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(pki.device.key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(NOW)
        .sign(pki.device.key, hashes.SHA256())
    )
    with pytest.raises(Refused) as caught:
        eid_of(certificate)
    assert caught.value.cause is Cause.CERTIFICATE_INVALID


@given(st.binary(max_size=100))
def test_any_octets_give_a_certificate_or_a_decode_error(octets):
    with pytest.raises(DecodeError):
        parse_certificate(octets)


def test_an_enormous_certificate_is_not_parsed():
    with pytest.raises(DecodeError, match="more than"):
        parse_certificate(bytes(LARGEST_CERTIFICATE + 1))


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_octet_anywhere_is_refused(position, change):
    """A certificate that can still be parsed is refused, and nothing but `Refused` comes out."""
    pki = shared_pki()
    der = bytearray(pki.device.certificate.public_bytes(Encoding.DER))
    der[position % len(der)] ^= change
    try:
        certificate = parse_certificate(bytes(der))
    except DecodeError:
        return
    with pytest.raises(Refused):
        check(pki.device._replace(certificate=certificate), pki)


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_octet_in_the_eum_is_refused(position, change):
    pki = shared_pki()
    der = bytearray(pki.eum.certificate.public_bytes(Encoding.DER))
    der[position % len(der)] ^= change
    try:
        certificate = parse_certificate(bytes(der))
    except DecodeError:
        return
    with pytest.raises(Refused):
        check(pki.device._replace(issuers=(certificate,)), pki)


# --- networks -----------------------------------------------------------------------------------------------------


def network_check(held: Held, pki: Pki, name=PLMN.cp_name, anchors=None, at=NOW):
    trusted = anchors if anchors is not None else [pki.network_ca.certificate]
    return check_network(held.certificate, held.issuers, trusted, name, at)


def test_a_network_is_taken(pki):
    assert len(network_check(pki.network, pki)) == 2
    assert len(network_check(pki.network_below_sub_ca, pki)) == 3
    network_check(pki.network, pki, name=PLMN.cp_name.upper())
    network_check(pki.make_network(names=["a.example", PLMN.cp_name]), pki)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("network_of_other_plmn", Cause.NETWORK_NAME_MISMATCH),
        ("network_of_other_anchor", Cause.NETWORK_ANCHOR_UNKNOWN),
        ("network_with_gsma_role", Cause.NETWORK_ROLE_FORBIDDEN),
        ("network_with_device_role", Cause.NETWORK_ROLE_FORBIDDEN),
        ("network_without_server_auth", Cause.NETWORK_CERTIFICATE_INVALID),
        ("network_without_usage", Cause.NETWORK_CERTIFICATE_INVALID),
        ("expired_network", Cause.NETWORK_CERTIFICATE_EXPIRED),
        ("future_network", Cause.NETWORK_CERTIFICATE_NOT_YET_VALID),
        ("device", Cause.NETWORK_ANCHOR_UNKNOWN),
        ("dp_tls", Cause.NETWORK_ANCHOR_UNKNOWN),
    ],
)
def test_networks_are_refused_with_their_own_causes(pki, name, cause):
    with pytest.raises(Refused) as caught:
        network_check(getattr(pki, name), pki)
    assert caught.value.cause is cause


@pytest.mark.parametrize("name", ["euicc", "device", "dp_tls"])
def test_a_gsma_certificate_is_no_network_even_where_the_ci_is_an_anchor(pki, name):
    with pytest.raises(Refused) as caught:
        network_check(getattr(pki, name), pki, anchors=[pki.ci.certificate])
    assert caught.value.cause is Cause.NETWORK_ROLE_FORBIDDEN


def test_every_gsma_policy_is_forbidden_to_a_network(pki):
    held = pki.make_network(policies=("2.23.146.1.2.1.99",))
    with pytest.raises(Refused) as caught:
        network_check(held, pki)
    assert caught.value.cause is Cause.NETWORK_ROLE_FORBIDDEN


def test_other_policies_are_no_affair_of_ours(pki):
    network_check(pki.make_network(policies=("1.2.3.4",)), pki)


def test_a_wildcard_and_a_common_name_name_nobody(pki):
    for names in (["*." + PLMN.domain], ["*"], []):
        with pytest.raises(Refused) as caught:
            network_check(pki.make_network(names=names), pki)
        assert caught.value.cause is Cause.NETWORK_NAME_MISMATCH


def test_a_ca_is_no_network(pki):
    with pytest.raises(Refused) as caught:
        network_check(pki.make_network(is_ca=True), pki)
    assert caught.value.cause is Cause.NETWORK_CERTIFICATE_INVALID
