"""OCSP responses: which are believed, what they say, and that OpenSSL reads ours and we read OpenSSL's."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from doubles.pki import NOW, PLMN, START, Held, Pki, seeded, shared_pki
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto import issue
from rprov.crypto.issue_ocsp import make_ocsp
from rprov.crypto.ocsp import (
    LARGEST_RESPONSE,
    CertificateStatus,
    Staple,
    is_about,
    names_issuer,
    parse_response,
    read_status,
    unproved_status,
)
from rprov.crypto.x509_network import check_staple
from rprov.errors import DecodeError, Refused

PKI = shared_pki()
CA, LEAF = PKI.network_ca, PKI.network
PATH = (LEAF.certificate, CA.certificate)
SINCE, UNTIL = NOW - timedelta(days=1), NOW + timedelta(days=6)


def response(leaf: Held = LEAF, ca: Held = CA, **over) -> bytes:
    key, now = over.pop("key", ca.key), over.pop("now", SINCE)
    return make_ocsp(leaf.certificate, ca.certificate, key, now, **over).public_bytes(Encoding.DER)


def read(octets: bytes, ca: Held = CA, at: datetime = NOW) -> CertificateStatus:
    return read_status(parse_response(octets), ca.certificate, ca.certificate.subject, at)


def useless(octets: bytes, match: str, **more) -> None:
    with pytest.raises(Refused, match=match) as caught:
        read(octets, **more)
    assert caught.value.cause is Cause.REVOCATION_UNKNOWN


# --- signed by the issuer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_an_issuers_word_about_a_certificate(digest):
    serial = LEAF.certificate.serial_number
    assert read(response(digest=digest)) == CertificateStatus(serial, revoked=False, said=SINCE, until=UNTIL)
    assert read(response(digest=digest, revoked=SINCE)).revoked


@lru_cache
def ca_of(kind: str) -> tuple[Held, Held]:
    entropy = seeded(f"ocsp/{kind}")
    key = issue.network_key(entropy, kind)
    terms = {"now": START, "days": 3650, "entropy": entropy}
    ca = issue.make_network_ca(key, **terms)
    leaf = issue.make_network(ca, key, LEAF.key.public_key(), [PLMN.cp_name], **terms)
    return Held(ca, key), Held(leaf, LEAF.key)


@pytest.mark.parametrize("kind", ["P-384", "brainpoolP256r1", "Ed25519"])
def test_issuers_of_every_kind(kind):
    ca, leaf = ca_of(kind)
    assert not read(response(leaf, ca), ca).revoked
    octets = bytearray(response(leaf, ca))
    octets[octets.index(parse_response(bytes(octets)).signature) + 30] ^= 1
    useless(bytes(octets), "signature", ca=ca)


def _of_rsa(bits: int) -> tuple[Held, Held]:
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"RSA {bits}")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(START).not_valid_after(UNTIL)
    ca = builder.public_key(key.public_key()).sign(key, hashes.SHA256())
    return Held(ca, key), Held(builder.public_key(LEAF.key.public_key()).sign(key, hashes.SHA256()), LEAF.key)


def test_rsa_issuers_of_2048_bits_and_not_below():
    ca, leaf = _of_rsa(2048)
    assert not read(response(leaf, ca), ca).revoked
    ca, leaf = _of_rsa(1024)
    assert unproved_status(parse_response(response(leaf, ca)), NOW).until == UNTIL
    useless(response(leaf, ca), "too weak", ca=ca)


def test_a_signature_with_a_weak_hash_is_refused():
    made = _builder().sign(CA.key, hashes.SHA224())
    useless(made.public_bytes(Encoding.DER), "too weak")


def _builder(
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD, until: datetime | None = UNTIL, by: Held = CA
) -> ocsp.OCSPResponseBuilder:
    single = (LEAF.certificate, CA.certificate, hashes.SHA256(), status, SINCE, until, None, None)
    return (
        ocsp.OCSPResponseBuilder().add_response(*single).responder_id(ocsp.OCSPResponderEncoding.NAME, by.certificate)
    )


def test_a_responder_may_be_named_by_its_name():
    assert not read(_builder().sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)).revoked


def test_what_says_nothing_is_no_answer():
    unknown = _builder(ocsp.OCSPCertStatus.UNKNOWN).sign(CA.key, hashes.SHA256())
    useless(unknown.public_bytes(Encoding.DER), "does not know")
    endless = _builder(until=None).sign(CA.key, hashes.SHA256())
    useless(endless.public_bytes(Encoding.DER), "nextUpdate")
    useless(response(now=NOW + timedelta(seconds=1)), "yet to come")
    assert read(response(), at=UNTIL + timedelta(days=1)).until == UNTIL  # old, which its reader sees


def test_another_issuers_word_is_no_answer():
    other = PKI.other_network_ca
    useless(response(ca=other, leaf=PKI.network_of_other_anchor), "no certificate of")
    # the same name, another key: a CA that only calls itself so
    twin = Pki(seed="twin").network_ca
    assert twin.certificate.subject == CA.certificate.subject
    useless(response(ca=twin), "no certificate of")
    forged = _builder(by=twin).sign(twin.key, hashes.SHA256())
    useless(forged.public_bytes(Encoding.DER), "signature")
    assert not names_issuer(parse_response(response()), CA.certificate, other.certificate.subject)


# --- signed by a delegate -----------------------------------------------------------------------------------------


def delegate(
    ca: Held = CA, *, purpose=ExtendedKeyUsageOID.OCSP_SIGNING, no_check=True, until=UNTIL, usage=None
) -> Held:
    key = PKI.new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(ca.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(5).not_valid_before(START).not_valid_after(until)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    if no_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), False)
    if usage is not None:
        builder = builder.add_extension(usage, True)
    return Held(builder.sign(ca.key, hashes.SHA256()), key)


def by(made: Held, bring: bool = True) -> bytes:
    return response(key=made.key, responder=made.certificate, bring=[made.certificate] if bring else [])


def _for_certificates() -> x509.KeyUsage:
    names = "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only decipher_only"
    return x509.KeyUsage(digital_signature=False, key_cert_sign=True, **dict.fromkeys(names.split(), False))


def test_a_delegate_of_the_issuer_may_sign():
    assert not read(by(delegate())).revoked


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: delegate(purpose=ExtendedKeyUsageOID.SERVER_AUTH), "may not sign"),
        (lambda: delegate(no_check=False), "whether .* is revoked"),
        (lambda: delegate(until=NOW - timedelta(days=1)), "not valid now"),
        (lambda: delegate(PKI.other_network_ca), "has not certified"),
        (lambda: delegate(CA._replace(key=PKI.other_network_ca.key)), "has not certified"),
        (lambda: delegate(usage=_for_certificates()), "for something else"),
        (lambda: LEAF, "may not sign"),  # the very certificate that it is about
    ],
)
def test_who_is_no_delegate(make: Callable[[], Held], why: str):
    useless(by(make()), why)


def test_a_delegate_whose_certificate_is_missing_is_nobody():
    useless(by(delegate(), bring=False), "neither the issuer")


# --- octets -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_any_octets_are_no_response(octets):
    with pytest.raises(DecodeError):
        parse_response(octets)


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_octet_is_refused_or_changes_nothing(position, change):
    good = response(bring=[CA.certificate])
    bent = bytearray(good)
    bent[position % len(bent)] ^= change
    try:
        assert read(bytes(bent)) == read(good)
    except (DecodeError, Refused):
        return


def test_bounds_and_answers_without_a_response():
    with pytest.raises(DecodeError, match="more than"):
        parse_response(bytes(LARGEST_RESPONSE + 1))
    with pytest.raises(DecodeError, match="more than 4"):
        parse_response(response(bring=[CA.certificate] * 5))
    failed = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    with pytest.raises(DecodeError, match="TRY_LATER"):
        parse_response(failed.public_bytes(Encoding.DER))
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    for critical in (True, False):
        octets = _builder().add_extension(unknown, critical).sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)
        if critical:
            with pytest.raises(DecodeError, match=r"1\.2\.3\.4"):
                parse_response(octets)
        else:
            assert not read(octets).revoked


# --- what a device makes of a staple ------------------------------------------------------------------------------


def test_a_good_staple_is_enough_and_none_only_where_none_is_required():
    for required in (True, False):
        check_staple(PATH, response(), NOW, required=required)
    check_staple(PATH, b"", NOW, required=False)
    with pytest.raises(Refused) as caught:
        check_staple(PATH, b"", NOW, required=True)
    assert caught.value.cause is Cause.NETWORK_REVOCATION_UNKNOWN


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("octets", "at", "cause"),
    [
        (response(revoked=SINCE), NOW, Cause.NETWORK_CERTIFICATE_REVOKED),
        (response(revoked=SINCE), UNTIL + timedelta(days=1), Cause.NETWORK_CERTIFICATE_REVOKED),
        (response(), UNTIL + timedelta(seconds=1), Cause.NETWORK_REVOCATION_UNKNOWN),
        (response(), SINCE - timedelta(seconds=1), Cause.NETWORK_REVOCATION_UNKNOWN),
        (response(PKI.make_network()), NOW, Cause.NETWORK_REVOCATION_UNKNOWN),  # good, and somebody else's
        (b"noise", NOW, Cause.NETWORK_REVOCATION_UNKNOWN),
        (bytes(LARGEST_RESPONSE + 1), NOW, Cause.NETWORK_REVOCATION_UNKNOWN),
    ],
)
def test_a_staple_that_is_there_must_be_good(octets, at, cause, required):
    with pytest.raises(Refused) as caught:
        check_staple(PATH, octets, at, required=required)
    assert caught.value.cause is cause


def test_a_staple_is_given_as_long_as_it_is_good():
    staple = Staple(b"x", NOW)
    assert staple.current(NOW) == b"x"
    assert staple.current(NOW + timedelta(seconds=1)) == b""
    assert is_about(parse_response(response()), LEAF.certificate)
    assert not is_about(parse_response(response()), PKI.device.certificate)


# --- OpenSSL's own reader and writer ------------------------------------------------------------------------------


class Lab:
    """Files for `openssl ocsp`; it looks at the clock, so certificates and responses are of now."""

    def __init__(self, place: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is missing: apt-get install openssl")
        self.place = place
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        pki = Pki(seed="lab")
        pki.terms = lambda **over: {  # type: ignore[method-assign]
            "now": self.now, "days": 9, "entropy": pki.entropy, **over
        }  # fmt: skip
        self.ca, self.leaf = pki.network_ca, pki.network
        for name, held in (("ca", self.ca), ("leaf", self.leaf)):
            self.write(name, held)

    def write(self, name: str, held: Held) -> None:
        secret = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.place / f"{name}.pem").write_bytes(held.certificate.public_bytes(Encoding.PEM))
        (self.place / f"{name}.key").write_bytes(secret)

    def openssl(self, *arguments: str) -> str:
        run = subprocess.run(
            ["openssl", "ocsp", *arguments], cwd=self.place, capture_output=True, text=True, check=False, timeout=30
        )
        return run.stdout + run.stderr

    def answered(self, signer: str, *more: str, status: str = "V") -> bytes:
        """Have OpenSSL's responder answer."""
        serial = f"{self.leaf.certificate.serial_number:X}"
        revoked = f"{self.now:%y%m%d%H%M%SZ}" if status == "R" else ""
        (self.place / "index").write_text(f"{status}\t491231235959Z\t{revoked}\t{serial:0>32}\tunknown\t/CN=x\n")
        (self.place / "index.attr").write_text("unique_subject = no\n")
        self.openssl("-issuer", "ca.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "asked.der")
        said = self.openssl(
            "-index", "index", "-CA", "ca.pem", "-rsigner", f"{signer}.pem", "-rkey", f"{signer}.key",
            "-reqin", "asked.der", "-respout", "said.der", "-ndays", "3", *more,
        )  # fmt: skip
        assert (self.place / "said.der").exists(), said
        return (self.place / "said.der").read_bytes()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_verifies_what_we_make(lab: Lab, revoked: bool):
    since = lab.now if revoked else None
    made = make_ocsp(lab.leaf.certificate, lab.ca.certificate, lab.ca.key, lab.now, revoked=since)
    (lab.place / "ours.der").write_bytes(made.public_bytes(Encoding.DER))
    said = lab.openssl(
        "-respin", "ours.der", "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "ca.pem", "-no_nonce"
    )
    assert "Response verify OK" in said
    assert f"leaf.pem: {'revoked' if revoked else 'good'}" in said


@pytest.mark.parametrize(("status", "revoked"), [("V", False), ("R", True)])
def test_we_believe_what_openssls_responder_says(lab: Lab, status: str, revoked: bool):
    at = datetime.now(UTC) + timedelta(hours=1)
    path = (lab.leaf.certificate, lab.ca.certificate)
    octets = lab.answered("ca", status=status)
    found = read(octets, lab.ca, at)
    assert (found.serial, found.revoked) == (lab.leaf.certificate.serial_number, revoked)
    if revoked:
        with pytest.raises(Refused):
            check_staple(path, octets, at, required=True)
    else:
        check_staple(path, octets, at, required=True)


def test_we_believe_openssls_delegate(lab: Lab):
    at = datetime.now(UTC) + timedelta(hours=1)
    lab.write("delegate", delegate(lab.ca, until=at + timedelta(days=1)))
    assert not read(lab.answered("delegate"), lab.ca, at).revoked
    lab.write("delegate", delegate(lab.ca, until=at + timedelta(days=1), purpose=ExtendedKeyUsageOID.SERVER_AUTH))
    useless(lab.answered("delegate"), "may not sign", ca=lab.ca, at=at)
