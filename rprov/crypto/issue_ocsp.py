"""Makes OCSP responses for test networks and tests: what an issuer's own responder would say (RFC 6960 4.2).

Time is an argument. Judges nothing: `ocsp.py` is what believes a response.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509 import ocsp

from rprov.crypto.issue import NetworkKey


def make_ocsp(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    key: NetworkKey,
    now: datetime,
    days: int = 7,
    *,
    revoked: datetime | None = None,
    responder: x509.Certificate | None = None,
    bring: Sequence[x509.Certificate] = (),
    digest: hashes.HashAlgorithm | None = None,
) -> ocsp.OCSPResponse:
    """Make the response for one certificate: good, or revoked since a day. `key` is that of the `responder`.

    The responder is the issuer unless another is named. `bring` are certificates that the reader may lack; `digest`
    is what names the issuer (SHA-1, as RFC 5019 2.1.1 has it).
    """
    signer = responder or issuer
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate,
        issuer,
        digest or hashes.SHA1(),  # noqa: S303 - a name, and nothing depends on its strength
        ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        now,
        now + timedelta(days=days),
        revoked,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
    if bring:
        builder = builder.certificates(bring)
    return builder.sign(key, _signing_hash(key))


def _signing_hash(key: NetworkKey) -> hashes.SHA256 | hashes.SHA384 | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    return hashes.SHA384() if key.key_size > 256 else hashes.SHA256()
