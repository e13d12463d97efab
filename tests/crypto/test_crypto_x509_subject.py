"""A subject and a curve read from the octets: what the library says of the same certificate, or nothing at all."""

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from doubles.pki import EID, NOW, START, shared_pki
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto.x509 import eid_of
from rprov.crypto.x509_path import describe, parse_certificate
from rprov.crypto.x509_subject import latest, plain, written
from rprov.errors import Refused

KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER_DIGITS = "89049032123451234512345678901304"
CN, O, SERIAL = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER  # noqa: E741
LONG_NAME = {SERIAL: "serialNumber"}


def certificate(*rdns: tuple[x509.NameAttribute, ...], key=KEY) -> x509.Certificate:
    """A certificate with these RDNs, each of one or several attributes."""
    subject = x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in rdns])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(START).not_valid_after(NOW)
    made = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return parse_certificate(made.public_bytes(Encoding.DER))


def name(oid, text, form=_ASN1Type.UTF8String) -> tuple[x509.NameAttribute]:
    return (x509.NameAttribute(oid, text, _type=form, _validate=False),)


def by_library(made: x509.Certificate) -> list[tuple[str, str]]:
    return [(item.oid.dotted_string, str(item.value)) for item in made.subject]


def dotted(oid: bytes) -> str:
    return f"2.5.4.{oid[2]}"


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
def test_what_the_library_says_of_every_certificate_at_hand(curve):
    pki = shared_pki(curve)
    for held in (pki.ci, pki.device, pki.other_device, pki.foreign_device, pki.network, pki.dp_tls, pki.dp_auth):
        for made in (*held.chain, parse_certificate(held.certificate.public_bytes(Encoding.DER))):
            read = plain(made)
            assert [(dotted(oid), text) for oid, text in read.attributes] == by_library(made)
            assert read.curve == made.public_key().curve.name
            assert describe(made).startswith(made.subject.rfc4514_string(LONG_NAME) + " (serial ")


@pytest.mark.parametrize(
    "rdns",
    [
        (name(CN, "Zoë"),),
        (name(CN, "plain", _ASN1Type.BMPString),),
        (name(CN, "plain", _ASN1Type.T61String),),
        (name(CN, "plain", _ASN1Type.IA5String),),
        ((*name(CN, "one"), *name(SERIAL, EID.digits)),),
        (name(O, "before"), (*name(CN, "one"), *name(CN, "two"))),
    ],
)
def test_an_unusual_subject_is_left_to_the_library(rdns):
    made = certificate(*rdns)
    assert plain(made).attributes is None
    assert plain(made).curve == "secp256r1"
    assert describe(made) == f"{made.subject.rfc4514_string(LONG_NAME)} (serial 1)"


def test_an_eid_in_an_unusual_subject_counts_as_well():
    for subject in (
        (name(O, "Zoë"), name(SERIAL, EID.digits)),
        ((*name(O, "EUM"), *name(SERIAL, EID.digits)),),
        (name(O, "EUM"), name(SERIAL, EID.digits, _ASN1Type.BMPString)),
    ):
        assert eid_of(certificate(*subject)) == EID


@pytest.mark.parametrize(
    "subject",
    [
        (name(O, "EUM"),),
        (name(SERIAL, EID.digits), name(SERIAL, EID.digits)),
        (name(SERIAL, EID.digits), name(SERIAL, EID.digits, _ASN1Type.BMPString)),
        ((*name(SERIAL, EID.digits), *name(SERIAL, OTHER_DIGITS)),),
        (name(SERIAL, EID.digits[:-1] + "0"),),
        (name(SERIAL, "Zoë"),),
    ],
)
def test_a_subject_without_one_good_eid_is_refused(subject):
    made = certificate(*subject)
    for _ in range(2):  # a refusal is not remembered as something else
        with pytest.raises(Refused) as caught:
            eid_of(made)
        assert caught.value.cause is Cause.CERTIFICATE_INVALID


TEXTS = st.text(st.characters(min_codepoint=1, max_codepoint=0x7F) | st.sampled_from('",;=+<>#\\ é'), min_size=1)
OIDS = st.sampled_from([CN, O, SERIAL, NameOID.COUNTRY_NAME, NameOID.TITLE, NameOID.DOMAIN_COMPONENT])
FORMS = st.sampled_from([_ASN1Type.UTF8String, _ASN1Type.UTF8String, _ASN1Type.BMPString])
RDNS = st.lists(st.tuples(OIDS, TEXTS, FORMS), max_size=4)


@given(RDNS)
def test_whatever_a_subject_says_both_say_the_same(rdns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a country of more than two letters
        made = certificate(*(name(oid, text[:60], form) for oid, text, form in rdns))
        read = plain(made).attributes
        told = made.subject.rfc4514_string(LONG_NAME)
        if read is not None:
            assert [text for _, text in read] == [text for _, text in by_library(made)]
            assert written(read) in (None, told)
        else:
            assert any(form is _ASN1Type.BMPString or not text[:60].isascii() for _, text, form in rdns)
        assert describe(made) == f"{told} (serial 1)"


@pytest.mark.parametrize(
    "key",
    [
        ec.derive_private_key(7, ec.SECP384R1()),
        ec.derive_private_key(7, ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=lambda key: type(key).__name__,
)
def test_a_key_on_another_curve_has_no_name_here(key):
    assert plain(certificate(name(CN, "device"), key=key)).curve is None


def test_the_latest_is_read_once_and_another_anew():
    reads = []
    first = certificate(name(CN, "one"))
    second = parse_certificate(first.public_bytes(Encoding.DER))

    @latest
    def read(made):
        reads.append(made)
        return len(reads)

    assert [read(first), read(first), read(second), read(second), read(first)] == [1, 1, 2, 2, 3]
    assert first == second  # it is not what they say that counts


def test_two_that_are_read_in_turn_do_not_get_mixed_up():
    one, two = (certificate(name(CN, text)) for text in ("one", "two"))
    for _ in range(2):
        assert (describe(one), describe(two)) == ("CN=one (serial 1)", "CN=two (serial 1)")
