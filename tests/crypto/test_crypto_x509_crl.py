"""CRLs: which are believed, what they say of a path, and what fails closed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.pki import NOW, Held, Pki, shared_pki

from rprov.causes import Cause
from rprov.crypto import issue, x509_crl
from rprov.crypto.x509 import subject_key_id
from rprov.crypto.x509_crl import NO_REVOCATIONS, Revocations, path_ids, read_revocations
from rprov.errors import Refused

PKI = shared_pki()
PATH = (PKI.device.certificate, PKI.eum.certificate, PKI.ci.certificate)
ISSUERS = [PKI.ci.certificate, PKI.eum.certificate]


def crl(issuer: Held, *revoked: Held, number: int = 1, ago: timedelta = timedelta(days=1), days: int = 30):
    serials = {held.certificate.serial_number: NOW - ago for held in revoked}
    return issue.make_crl(issuer.certificate, issuer.key, serials, number, NOW - ago, days)


def altered(issuer: Held, extension: x509.ExtensionType, critical: bool = True, of_entry: bool = False):
    """A CRL with one extension more."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=1))
    )
    entry = x509.RevokedCertificateBuilder().serial_number(77).revocation_date(NOW)
    entry = entry.add_extension(extension, critical) if of_entry else entry
    builder = builder.add_revoked_certificate(entry.build())
    if not of_entry:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, hashes.SHA256())


def refused(crls, issuers=ISSUERS, at=NOW) -> Refused:
    with pytest.raises(Refused) as caught:
        read_revocations(crls, issuers, at)
    return caught.value


def test_an_issuers_crl_names_what_it_revokes():
    revoked = read_revocations([crl(PKI.eum, PKI.device), crl(PKI.ci)], ISSUERS, NOW)
    assert revoked.certificates == {(subject_key_id(PKI.eum.certificate), PKI.device.certificate.serial_number)}
    with pytest.raises(Refused) as caught:
        revoked.check(PATH, NOW)
    assert caught.value.cause is Cause.CERTIFICATE_REVOKED
    revoked.check((PKI.other_device.certificate, *PATH[1:]), NOW)


def test_a_revoked_eum_takes_its_devices_along():
    revoked = read_revocations([crl(PKI.ci, PKI.eum)], ISSUERS, NOW)
    with pytest.raises(Refused) as caught:
        revoked.check(PATH, NOW)
    assert caught.value.cause is Cause.CERTIFICATE_REVOKED
    assert not revoked.certificates.isdisjoint(path_ids(PATH))


def test_serial_numbers_belong_to_their_issuer():
    """The serial of the device in the CI's CRL says nothing about the device, which the EUM has issued."""
    read_revocations([crl(PKI.ci, PKI.device)], ISSUERS, NOW).check(PATH, NOW)
    assert path_ids(PATH) == {
        (subject_key_id(PKI.eum.certificate), PKI.device.certificate.serial_number),
        (subject_key_id(PKI.ci.certificate), PKI.eum.certificate.serial_number),
    }


def test_the_newest_crl_of_an_issuer_counts():
    old = crl(PKI.eum, PKI.device, ago=timedelta(days=2))
    new = crl(PKI.eum, PKI.other_device, number=2)
    for order in ([old, new], [new, old]):
        revoked = read_revocations(order, ISSUERS, NOW)
        assert {serial for _, serial in revoked.certificates} == {PKI.other_device.certificate.serial_number}


@pytest.mark.parametrize(
    ("given", "later", "good"),
    [
        (["ci", "eum"], timedelta(), True),
        (["ci"], timedelta(), False),
        (["eum"], timedelta(), False),
        ([], timedelta(), False),
        (["ci", "eum"], timedelta(days=29), True),
        (["ci", "eum"], timedelta(days=29, seconds=1), False),
    ],
)
def test_where_crls_are_required_each_issuer_has_a_current_one(given, later, good):
    revoked = read_revocations([crl(getattr(PKI, name)) for name in given], ISSUERS, NOW, required=True)
    if good:
        revoked.check(PATH, NOW + later)
        return
    with pytest.raises(Refused) as caught:
        revoked.check(PATH, NOW + later)
    assert caught.value.cause is Cause.REVOCATION_UNKNOWN


def test_a_crl_that_is_over_still_revokes():
    over = crl(PKI.eum, PKI.device, ago=timedelta(days=60))
    with pytest.raises(Refused) as caught:
        read_revocations([over], ISSUERS, NOW).check(PATH, NOW)
    assert caught.value.cause is Cause.CERTIFICATE_REVOKED
    read_revocations([over], ISSUERS, NOW).check((PKI.other_device.certificate, *PATH[1:]), NOW)


def test_nothing_known_refuses_nobody():
    NO_REVOCATIONS.check(PATH, NOW)
    assert read_revocations([], [], NOW) == Revocations()


# --- CRLs that are not believed -----------------------------------------------------------------------------------


def test_a_crl_of_a_stranger_is_refused():
    assert refused([crl(PKI.other_ci)]).cause is Cause.UNKNOWN_CI


def test_a_crl_with_another_signature_is_refused():
    """The name and key identifier of the EUM over the signature of somebody else."""
    twin = Pki(seed="twin")
    forged = issue.make_crl(PKI.eum.certificate, twin.eum.key, {}, 1, NOW - timedelta(days=1))
    assert refused([forged]).cause is Cause.UNKNOWN_CI  # its key identifier is the forger's
    honest = crl(PKI.eum, PKI.device)
    octets = bytearray(honest.public_bytes(Encoding.DER))
    octets[-1] ^= 1
    assert refused([x509.load_der_x509_crl(bytes(octets))]).cause is Cause.CERTIFICATE_INVALID


def test_an_issuer_that_may_not_sign_crls_is_refused():
    eum = PKI.make_eum(key_usage=("key_cert_sign",))
    assert refused([crl(eum)], [eum.certificate]).cause is Cause.CERTIFICATE_INVALID


def test_a_crl_of_the_future_is_refused():
    assert refused([crl(PKI.ci)], at=NOW - timedelta(days=2)).cause is Cause.CERTIFICATE_NOT_YET_VALID


@pytest.mark.parametrize(
    "extension",
    [
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, False, False, None, True, False),
        x509.IssuingDistributionPoint(None, None, False, False, None, False, True),
        x509.IssuingDistributionPoint(
            None, None, False, False, frozenset({x509.ReasonFlags.key_compromise}), False, False
        ),
    ],
    ids=["delta", "indirect", "attribute certificates", "some reasons"],
)
def test_partial_crls_are_refused(extension):
    assert refused([altered(PKI.ci, extension)]).cause is Cause.CERTIFICATE_INVALID


def test_an_entry_that_is_not_understood_is_refused():
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert refused([altered(PKI.ci, extension, of_entry=True)]).cause is Cause.CERTIFICATE_INVALID
    read_revocations([altered(PKI.ci, extension, critical=False, of_entry=True)], ISSUERS, NOW)


def test_a_crl_of_ca_certificates_alone_revokes_but_vouches_for_nothing():
    only_cas = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    found = read_revocations([altered(PKI.ci, only_cas)], ISSUERS, NOW, required=True)
    assert found.certificates == {(subject_key_id(PKI.ci.certificate), 77)}
    assert not found.current_until
    whole = x509.IssuingDistributionPoint([x509.DNSName("crl.example.com")], None, False, False, None, False, False)
    assert read_revocations([altered(PKI.ci, whole)], ISSUERS, NOW).current_until


class Counted(frozenset[tuple[bytes, int]]):
    """A set that counts its look-ups, and is never walked through."""

    asked = 0

    def __contains__(self, item: object) -> bool:
        Counted.asked += 1
        return super().__contains__(item)

    def __iter__(self):
        raise AssertionError("a handshake walked through everything that is revoked")


def test_a_million_revoked_certificates_cost_a_handshake_two_look_ups_and_no_signature(monkeypatch):
    verified = []
    monkeypatch.setattr(x509_crl, "_signed_by", lambda *given: verified.append(given))
    key_id = subject_key_id(PKI.eum.certificate)
    many = Counted((key_id, number) for number in range(1_000_000))
    revoked = Revocations(many, {key_id: NOW, subject_key_id(PKI.ci.certificate): NOW}, required=True)
    Counted.asked = 0
    revoked.check(PATH, NOW)
    assert Counted.asked == 2
    assert not verified
    certificates = Counted((key_id, number) for number in (1, PKI.device.certificate.serial_number))
    with pytest.raises(Refused):
        replace(revoked, certificates=certificates).check(PATH, NOW)
