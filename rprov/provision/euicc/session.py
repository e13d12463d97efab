"""A card's part in mutual authentication: AuthenticateServer, PrepareDownload, CancelSession (SGP.22 5.7.13, .5, .14).

Each function takes the session as it stands and gives an answer and the next session; a refusal gives an error answer
and no session, so that a challenge serves once. Knows nothing of profiles that are there already.

    Challenged -- authenticate_server --> Authenticated -- prepare_download --> Prepared -- (loading)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rprov.crypto.x509 import Role, check_chain, parse_certificate, registered_id, subject_key_id
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Eid
from rprov.provision.euicc.state import CardCredential
from rprov.provision.sgp22.codes import AuthenticateError, CancelError, PrepareError
from rprov.provision.sgp22.keys import (
    BadSignature,
    UnsupportedCurve,
    one_time_key,
    point,
    public_key,
    sign,
    signature_do,
    verify,
)
from rprov.provision.sgp22.objects import (
    AuthenticateServerAnswer,
    AuthenticateServerRequest,
    CancelSessionAnswer,
    CancelSessionRequest,
    EuiccSigned1,
    EuiccSigned2,
    PrepareDownloadAnswer,
    PrepareDownloadRequest,
    error_answer,
    oid_octets,
)
from rprov.provision.sgp22.tlv import integer, tlv


@dataclass(frozen=True, slots=True)
class Means:
    """What a card has to prove itself and to judge servers with. Private keys never leave it."""

    eid: Eid
    credentials: tuple[CardCredential, ...]
    keys: Mapping[str, ec.EllipticCurvePrivateKey] = field(repr=False)
    anchors: Sequence[x509.Certificate]
    entropy: Callable[[int], bytes]
    wall: datetime

    def credential(self, ci_id: bytes) -> CardCredential | None:
        """The credential under this CI whose private key is at hand."""
        return next(
            (item for item in self.credentials if item.ci_id == ci_id and item.key_reference in self.keys), None
        )

    def signature(self, credential: CardCredential, *parts: bytes) -> bytes:
        """Sign with the credential's key."""
        return sign(self.keys[credential.key_reference], *parts)


@dataclass(frozen=True, slots=True)
class Challenged:
    """The card has given a challenge."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server has proved itself; the card has signed its own proof (`signature`)."""

    transaction_id: bytes
    smdp_oid: str
    server_address: str
    ci: x509.Certificate
    credential: CardCredential
    signature: bytes


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """A one-time key, which a server may ask for again after a failed download (bppEuiccOtpk)."""

    smdp_oid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The card has given a one-time key and waits for the bound package."""

    authenticated: Authenticated
    binding_key: ec.EllipticCurvePublicKey
    one_time: OneTimeKey


Session = Challenged | Authenticated | Prepared


class _No(Exception):
    """The card refuses with a code."""

    def __init__(self, code: IntEnum) -> None:
        self.code = code
        super().__init__(code.name)


def authenticate_server(
    means: Means, session: Session | None, request: AuthenticateServerRequest, info: bytes
) -> tuple[bytes, Authenticated | None]:
    """Judge the server's first proof and give the card's own; `info` is the card's EUICCInfo2."""
    try:
        authenticated, signed = _authenticate(means, session, request, info)
    except _No as refusal:
        return error_answer(0xBF38, request.signed.transaction_id, refusal.code), None
    credential = authenticated.credential
    answer = AuthenticateServerAnswer.build(
        signed, authenticated.signature, credential.certificate, credential.eum_certificate
    )
    return answer, authenticated


def _authenticate(
    means: Means, session: Session | None, request: AuthenticateServerRequest, info: bytes
) -> tuple[Authenticated, bytes]:
    if not isinstance(session, Challenged):
        raise _No(AuthenticateError.NO_SESSION)
    credential = means.credential(request.ci_id)
    anchors = [anchor for anchor in means.anchors if subject_key_id(anchor) == request.ci_id]
    if credential is None or not anchors:
        raise _No(AuthenticateError.UNKNOWN_CI)
    certificate, key, ci = _server_certificate(means, request.certificate, anchors, Role.DP_AUTH, AuthenticateError)
    try:
        verify(key, request.signature, request.signed.raw)
    except BadSignature:
        raise _No(AuthenticateError.INVALID_SIGNATURE) from None
    if request.signed.euicc_challenge != session.challenge:
        raise _No(AuthenticateError.CHALLENGE_MISMATCH)
    try:
        smdp_oid = registered_id(certificate)
    except Refused:
        raise _No(AuthenticateError.INVALID_OID) from None
    signed = EuiccSigned1.build(request.signed, info, request.context)
    signature = means.signature(credential, signed)
    transaction_id, address = request.signed.transaction_id, request.signed.server_address
    return Authenticated(transaction_id, smdp_oid, address, ci, credential, signature), signed


def _server_certificate(
    means: Means,
    octets: bytes,
    anchors: Sequence[x509.Certificate],
    role: Role,
    codes: type[AuthenticateError] | type[PrepareError],
) -> tuple[x509.Certificate, ec.EllipticCurvePublicKey, x509.Certificate]:
    """Check a certificate of the server: directly under a CI, valid, of its role, on a curve that the card knows."""
    try:
        certificate = parse_certificate(octets)
        key = public_key(certificate)
        path = check_chain(certificate, (), anchors, role, means.wall)
    except UnsupportedCurve:
        raise _No(codes.UNSUPPORTED_CURVE) from None
    except (DecodeError, Refused):
        raise _No(codes.INVALID_CERTIFICATE) from None
    return certificate, key, path[-1]


def prepare_download(
    means: Means, session: Session | None, request: PrepareDownloadRequest, spare: OneTimeKey | None
) -> tuple[bytes, Prepared | None]:
    """Judge the server's second proof and give a one-time key; `spare` is the one of an earlier failed download."""
    try:
        prepared = _prepare(means, session, request, spare)
    except _No as refusal:
        return error_answer(0xBF21, request.signed.transaction_id, refusal.code), None
    signed = EuiccSigned2.build(request.signed.transaction_id, point(prepared.one_time.private), request.hash_cc)
    # SGP.22 5.7.5: the server's signature, as a whole data object, is signed with it
    credential = prepared.authenticated.credential
    signature = means.signature(credential, signed.raw, signature_do(request.signature))
    return PrepareDownloadAnswer(signed, signature).encode(), prepared


def _prepare(
    means: Means, session: Session | None, request: PrepareDownloadRequest, spare: OneTimeKey | None
) -> Prepared:
    if not isinstance(session, Authenticated):
        raise _No(PrepareError.NO_SESSION)
    if request.signed.transaction_id != session.transaction_id:
        raise _No(PrepareError.INVALID_TRANSACTION_ID)
    certificate, key, _ = _server_certificate(means, request.certificate, [session.ci], Role.DP_PB, PrepareError)
    try:
        same_server = registered_id(certificate) == session.smdp_oid
    except Refused:
        same_server = False
    if not same_server:
        raise _No(PrepareError.INVALID_CERTIFICATE)
    try:
        verify(key, request.signature, request.signed.raw, signature_do(session.signature))
    except BadSignature:
        raise _No(PrepareError.INVALID_SIGNATURE) from None
    wanted = request.signed.one_time_key
    if spare is None or wanted is None or (spare.smdp_oid, point(spare.private)) != (session.smdp_oid, wanted):
        spare = OneTimeKey(session.smdp_oid, one_time_key(key.curve, means.entropy))
    elif spare.private.curve.name != key.curve.name:
        raise _No(PrepareError.UNSUPPORTED_CURVE)
    return Prepared(session, key, spare)


def cancel_session(means: Means, session: Session | None, request: CancelSessionRequest) -> tuple[bytes, bool]:
    """End a session that a server has authenticated itself in; gives the answer, and whether it is over."""
    authenticated = session.authenticated if isinstance(session, Prepared) else session
    if not isinstance(authenticated, Authenticated) or authenticated.transaction_id != request.transaction_id:
        return tlv(0xBF41, tlv(0x81, integer(CancelError.INVALID_TRANSACTION_ID))), False
    signed = CancelSessionAnswer.build_signed(request, oid_octets(authenticated.smdp_oid))
    return CancelSessionAnswer.build(signed, means.signature(authenticated.credential, signed)), True
