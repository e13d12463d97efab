"""The SM-DP+ as a pure core: ES9+ requests in, store queries out, answers back (SGP.22 5.6, 3.1).

Driven by requests and by the store's answers; the shell owns HTTP, TLS and the store. Owns the open transactions, and
decides alone who gets what: a profile goes to the EID of its order, and a result counts when its signature has been
verified.

    initiateAuthentication -> authenticateClient -> getBoundProfilePackage      … handleNotification, cancelSession
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric import ec

from rprov.crypto.x509 import registered_id, subject_key_id
from rprov.errors import DecodeError
from rprov.provision.profile import parse_profile
from rprov.provision.sgp22 import codes, es9
from rprov.provision.sgp22.bpp import Binding, bind
from rprov.provision.sgp22.bsp import BspKeys, ChainingValue, SEnc, SMac
from rprov.provision.sgp22.codes import AuthenticateError, CancelError, PrepareError, meaning
from rprov.provision.sgp22.es9 import Body, Function
from rprov.provision.sgp22.info import EuiccInfo1
from rprov.provision.sgp22.keys import (
    BadSignature,
    certificate_octets,
    one_time_key,
    sign,
    signature_do,
    verify,
)
from rprov.provision.sgp22.metadata import ProfileMetadata, Receiver
from rprov.provision.sgp22.objects import (
    CHALLENGE_LENGTH,
    AuthenticateServerAnswer,
    CancelSessionAnswer,
    CardError,
    PrepareDownloadAnswer,
    ServerSigned1,
    SmdpSigned2,
    oid_octets,
)
from rprov.provision.sgp22.orders import (
    DownloadOrder,
    Query,
    QueryAnswer,
    RecordCancelled,
    Reservation,
    look_up_order,
    reserve,
)
from rprov.provision.sgp22.smdp_checks import (
    Refusal,
    SmdpSettings,
    check_code,
    check_euicc,
    check_order,
    credential_for,
)
from rprov.provision.sgp22.smdp_results import take_notification
from rprov.provision.sgp22.smdp_sessions import (
    AwaitClient,
    AwaitPreparation,
    Delivered,
    Proved,
    Sessions,
    SmdpCredential,
)
from rprov.provision.sgp22.tlv import fixed, tlv

Steps = Generator[Query, QueryAnswer, Body | None]
"""A request under way: it yields queries to the store; its value is the answer's body, None for HTTP 204."""


@dataclass(frozen=True, slots=True)
class _Moment:
    now: float
    wall: datetime


class Smdp:
    """One SM-DP+ and its open transactions."""

    __slots__ = ("_entropy", "_sessions", "_settings")

    def __init__(self, settings: SmdpSettings, entropy: Callable[[int], bytes]) -> None:
        self._settings = settings
        self._entropy = entropy
        self._sessions = Sessions()

    def exchange(self, settings: SmdpSettings) -> None:
        """Take other certificates; transactions under way end with those that they began with."""
        self._settings = settings

    @property
    def open_transactions(self) -> int:
        """How many transactions are open, for the metrics."""
        return len(self._sessions)

    def answer(self, function: Function, body: Body, now: float, wall: datetime) -> Steps:
        """Answer one request; never raises for what a peer sent. `now` is monotonic seconds, `wall` aware UTC."""
        try:
            return (yield from self._handle(function, body, _Moment(now, wall)))
        except Refusal as refusal:
            return es9.failure(refusal.status, refusal.detail)
        except DecodeError as error:
            return es9.failure(codes.UNDECODABLE, str(error))

    def _handle(self, function: Function, body: Body, moment: _Moment) -> Steps:
        match function:
            case Function.INITIATE_AUTHENTICATION:
                return self._initiate_authentication(body, moment)
            case Function.AUTHENTICATE_CLIENT:
                return (yield from self._authenticate_client(body, moment))
            case Function.BOUND_PROFILE_PACKAGE:
                return (yield from self._bound_profile_package(body, moment))
            case Function.HANDLE_NOTIFICATION:
                octets = es9.octets_of(body, "pendingNotification")
                yield from take_notification(self._settings, octets, moment.wall)
                return None
            case Function.CANCEL_SESSION:
                return (yield from self._cancel_session(body, moment))
            case _:
                assert_never(function)

    # --- initiateAuthentication (SGP.22 5.6.1) -----------------------------------------------------------------------

    def _initiate_authentication(self, body: Body, moment: _Moment) -> Body:
        address = es9.text_of(body, "smdpAddress")
        challenge = fixed(es9.octets_of(body, "euiccChallenge"), CHALLENGE_LENGTH, "euiccChallenge")
        info = EuiccInfo1.decode(es9.octets_of(body, "euiccInfo1"))
        if not self._settings.is_mine(address):
            raise Refusal(codes.ADDRESS_REFUSED)
        if info.svn[0] not in (2, 3):
            raise Refusal(codes.SVN_UNSUPPORTED, f"version {info.svn[0]}.{info.svn[1]}")
        credential = self._credential(info)
        transaction_id = self._sessions.new_id(self._entropy)
        # The address in the signature is the one that the LPA used: it compares them (SGP.22 3.0.1).
        signed = ServerSigned1.build(transaction_id, challenge, address, self._entropy(CHALLENGE_LENGTH))
        self._sessions.put_opening(
            transaction_id, AwaitClient(credential, signed.server_challenge, address), moment.now
        )
        return es9.success(
            transactionId=es9.transaction_text(transaction_id),
            serverSigned1=es9.base64_of(signed.raw),
            serverSignature1=es9.base64_of(signature_do(sign(credential.auth_key, signed.raw))),
            euiccCiPKIdToBeUsed=es9.base64_of(tlv(0x04, subject_key_id(credential.ci))),
            serverCertificate=es9.base64_of(certificate_octets(credential.auth)),
        )

    def _credential(self, info: EuiccInfo1) -> SmdpCredential:
        """Choose the CI: the first that the card can sign under, that we know, and under which it believes us."""
        known = {subject_key_id(anchor) for anchor in self._settings.anchors}
        common = [ci_id for ci_id in info.signing if ci_id in known]
        if not common:
            raise Refusal(codes.NO_COMMON_CI)
        for ci_id in common:
            credential = credential_for(self._settings, ci_id)
            if credential is not None and ci_id in info.verification:
                return credential
        raise Refusal(codes.NO_CERTIFICATE_FOR_CI)

    # --- authenticateClient (SGP.22 5.6.3) ---------------------------------------------------------------------------

    def _authenticate_client(self, body: Body, moment: _Moment) -> Steps:
        transaction_id = es9.transaction_of(body)
        answer = AuthenticateServerAnswer.decode(es9.octets_of(body, "authenticateServerResponse"))
        session = self._sessions.take_opening(transaction_id, moment.now)
        if session is None:
            raise Refusal(codes.TRANSACTION_UNKNOWN)
        if isinstance(answer, CardError):
            raise Refusal(codes.EUICC_ERROR, meaning(AuthenticateError, answer.code))
        anchors = tuple(
            anchor
            for anchor in self._settings.anchors
            if subject_key_id(anchor) == subject_key_id(session.credential.ci)
        )
        certificates = answer.euicc_certificate, answer.eum_certificate
        eid, euicc_key = check_euicc(self._settings, *certificates, anchors, moment.wall)
        _verify(euicc_key, answer.signature, answer.signed.raw)
        if answer.signed.transaction_id != transaction_id:
            raise Refusal(codes.TRANSACTION_UNKNOWN)
        said = answer.signed.server_challenge, answer.signed.server_address
        if said != (session.server_challenge, session.address):
            raise Refusal(codes.EUICC_SIGNATURE, "the eUICC signed another challenge or address")
        matching_id = answer.signed.matching_id
        order = check_order((yield from look_up_order(matching_id, eid)), matching_id, eid)
        if answer.signed.info.free_memory < len(order.profile):
            raise Refusal(codes.NO_SPACE)
        metadata = self._metadata(order, session.address)
        signed = SmdpSigned2.build(transaction_id, order.confirmation is not None)
        credential = session.credential
        # SGP.22 5.6.3: the card's signature, as a whole data object, is signed with it
        signature = sign(credential.binding_key, signed.raw, signature_do(answer.signature))
        proved = AwaitPreparation(credential, eid, answer.euicc_certificate, euicc_key, order, metadata.raw, signature)
        self._sessions.put_proved(transaction_id, proved, moment.now)
        return es9.success(
            transactionId=es9.transaction_text(transaction_id),
            profileMetadata=es9.base64_of(metadata.raw),
            smdpSigned2=es9.base64_of(signed.raw),
            smdpSignature2=es9.base64_of(signature_do(signature)),
            smdpCertificate=es9.base64_of(certificate_octets(credential.binding)),
        )

    def _metadata(self, order: DownloadOrder, address: str) -> ProfileMetadata:
        try:
            contents = parse_profile(order.profile)
        except DecodeError as error:
            raise Refusal(codes.NO_PROFILE, f"the profile in the store is broken: {error}") from None
        if contents.iccid != order.iccid:
            raise Refusal(codes.NO_PROFILE, "the profile in the store is not the one of the order")
        events = self._settings.events
        receivers = (Receiver(events, address),) if events else ()
        return ProfileMetadata.build(order.iccid, contents.provider, contents.name, contents.home, receivers)

    # --- getBoundProfilePackage (SGP.22 5.6.2) -----------------------------------------------------------------------

    def _bound_profile_package(self, body: Body, moment: _Moment) -> Steps:
        transaction_id = es9.transaction_of(body)
        answer = PrepareDownloadAnswer.decode(es9.octets_of(body, "prepareDownloadResponse"))
        session = self._sessions.take_proved(transaction_id, moment.now)
        if not isinstance(session, AwaitPreparation):
            raise Refusal(codes.TRANSACTION_UNKNOWN)
        if isinstance(answer, CardError):
            raise Refusal(codes.EUICC_ERROR, meaning(PrepareError, answer.code))
        _verify(session.euicc_key, answer.signature, answer.signed.raw, signature_do(session.signature))
        if answer.signed.transaction_id != transaction_id:
            raise Refusal(codes.TRANSACTION_UNKNOWN)
        # The order is looked at again: it may be cancelled by now, or have seen wrong codes in other transactions.
        order = yield from look_up_order(session.order.matching_id, session.eid)
        if order is None or order.iccid != session.order.iccid:
            raise Refusal(codes.NO_REBINDING)
        check_order(order, order.matching_id, session.eid)
        yield from check_code(order, answer.signed.hash_cc, transaction_id)
        package = self._bind(session, transaction_id, answer.signed.one_time_key)
        reservation = Reservation(session.eid, session.order.iccid, session.euicc_certificate)
        if not (yield from reserve(transaction_id, reservation)):
            raise Refusal(codes.NO_REBINDING)
        delivered = Delivered(session.credential, session.eid, session.euicc_key, session.order)
        self._sessions.put_proved(transaction_id, delivered, moment.now)
        return es9.success(
            transactionId=es9.transaction_text(transaction_id), boundProfilePackage=es9.base64_of(package)
        )

    def _bind(self, session: AwaitPreparation, transaction_id: bytes, card_key: bytes) -> bytes:
        binding_key = session.credential.binding_key
        binding = Binding(transaction_id, session.eid.octets, card_key, self._settings.host_id)
        replacement = None
        if self._settings.replace_session_keys:
            replacement = BspKeys(ChainingValue(self._entropy(16)), SEnc(self._entropy(16)), SMac(self._entropy(16)))
        key = one_time_key(binding_key.curve, self._entropy)
        return bind(session.order.profile, session.metadata, binding, key, binding_key, replacement)

    # --- cancelSession (SGP.22 5.6.5) --------------------------------------------------------------------------------

    def _cancel_session(self, body: Body, moment: _Moment) -> Steps:
        transaction_id = es9.transaction_of(body)
        answer = CancelSessionAnswer.decode(es9.octets_of(body, "cancelSessionResponse"))
        session = self._sessions.take_proved(transaction_id, moment.now)
        if session is None:
            raise Refusal(codes.TRANSACTION_UNKNOWN)
        try:
            reason = _cancelled(session, answer, transaction_id)
        except Refusal:
            self._sessions.put_proved(transaction_id, session, moment.now)  # only the card itself ends its session
            raise
        yield RecordCancelled(session.eid, session.order.iccid, reason)
        return es9.success()


def _cancelled(session: Proved, answer: CancelSessionAnswer | CardError, transaction_id: bytes) -> int:
    """Check the card's word that the session is over, and give its reason."""
    if isinstance(answer, CardError):
        raise Refusal(codes.EUICC_ERROR, meaning(CancelError, answer.code))
    _verify(session.euicc_key, answer.signature, answer.signed)
    oid = oid_octets(registered_id(session.credential.auth))
    if (answer.transaction_id, answer.smdp_oid) != (transaction_id, oid):
        raise Refusal(codes.TRANSACTION_UNKNOWN)
    return answer.reason


def _verify(key: ec.EllipticCurvePublicKey, signature: bytes, *parts: bytes) -> None:
    try:
        verify(key, signature, *parts)
    except BadSignature:
        raise Refusal(codes.EUICC_SIGNATURE) from None
