"""What OpenSSL says after our judge has said yes: one complaint is answered by our own check, no other one is."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from doubles.pki import shared_pki

from rprov.causes import Cause
from rprov.crypto.tls_judgement import Judgement
from rprov.errors import Refused

PERMITTED, EXCLUDED, UNSUPPORTED, REVOKED = 47, 48, 51, 23
PKI = shared_pki()


def chain() -> list[bytes]:
    held = (PKI.device.certificate, *PKI.device.issuers, PKI.ci.certificate)
    return [certificate.public_bytes(Encoding.DER) for certificate in held]


def judged_good(**more) -> Judgement:
    judgement = Judgement(lambda leaf, issuers: None, Cause.CERTIFICATE_INVALID, **more)
    assert judgement.see(0, 0, True, chain) == 0
    assert judgement.passed
    assert judgement.peer == PKI.device.certificate
    return judgement


def test_name_constraints_of_the_leaf_are_the_one_thing_that_is_forgiven():
    judgement = judged_good()
    assert judgement.see(PERMITTED, 0, False, chain) == 0
    assert judgement.passed


@pytest.mark.parametrize(
    ("error", "depth"), [(EXCLUDED, 0), (UNSUPPORTED, 0), (REVOKED, 0), (PERMITTED, 1), (EXCLUDED, 1)]
)
def test_any_other_complaint_after_the_judgement_ends_it(error, depth):
    judgement = judged_good()
    assert judgement.see(error, depth, False, chain) == error
    assert not judgement.passed
    assert judgement.peer is None
    assert judgement.verdict is not None
    assert judgement.verdict.cause is Cause.CERTIFICATE_INVALID


def test_a_complaint_before_the_judgement_counts_though_the_judge_says_yes():
    judgement = Judgement(lambda leaf, issuers: None, Cause.CERTIFICATE_INVALID)
    assert judgement.see(EXCLUDED, 1, False, chain) == 0  # heard in silence, until it is known which alert it becomes
    assert judgement.see(0, 0, True, chain) == EXCLUDED
    assert not judgement.passed


def test_a_status_that_is_refused_takes_the_certificate_back():
    def revoked(_response: bytes) -> None:
        raise Refused(Cause.CERTIFICATE_REVOKED, "revoked")

    judgement = judged_good(judge_status=revoked)
    assert not judgement.see_status(b"")
    assert not judgement.passed
    assert judgement.peer is None
    assert judgement.verdict is not None
    assert judgement.verdict.cause is Cause.CERTIFICATE_REVOKED
