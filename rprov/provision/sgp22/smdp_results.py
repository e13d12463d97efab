"""What eUICCs report to an SM-DP+ (handleNotification, SGP.22 5.6.4): nothing counts before its signature does.

A result of an installation is checked with the certificate that the card proved itself with in that transaction; the
other events carry their certificates along.
"""

from collections.abc import Generator
from datetime import datetime

from rprov.crypto.x509 import parse_certificate
from rprov.provision.sgp22 import codes
from rprov.provision.sgp22.codes import BppCommand, BppError, meaning
from rprov.provision.sgp22.keys import BadSignature, public_key, verify
from rprov.provision.sgp22.metadata import (
    Event,
    InstallationFailure,
    InstallationResult,
    SignedNotification,
)
from rprov.provision.sgp22.orders import (
    Query,
    QueryAnswer,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    look_up_download,
)
from rprov.provision.sgp22.smdp_checks import Refusal, SmdpSettings, check_euicc


def take_notification(settings: SmdpSettings, octets: bytes, wall: datetime) -> Generator[Query, QueryAnswer, None]:
    """Check a notification and record what it tells; raises Refusal or DecodeError."""
    if octets.startswith(b"\xbf\x37"):
        yield from _take_result(settings, InstallationResult.decode(octets))
    else:
        yield from _take_event(settings, SignedNotification.decode(octets), wall)


def _take_result(settings: SmdpSettings, result: InstallationResult) -> Generator[Query, QueryAnswer, None]:
    reservation = yield from look_up_download(result.transaction_id)
    if reservation is None:
        raise Refusal(codes.TRANSACTION_UNKNOWN)
    try:
        verify(public_key(parse_certificate(reservation.euicc_certificate)), result.signature, result.signed)
    except BadSignature:
        raise Refusal(codes.EUICC_SIGNATURE) from None
    notification = result.notification
    if result.smdp_oid not in settings.oids() or notification.event is not Event.INSTALL:
        raise Refusal(codes.UNDECODABLE, "the result is not for this server, or of no installation")
    if isinstance(result.outcome, InstallationFailure):
        command = meaning(BppCommand, result.outcome.command)
        detail = f"{command}: {meaning(BppError, result.outcome.reason)}"
        yield RecordFailed(reservation.eid, reservation.iccid, detail)
        return
    if notification.iccid != reservation.iccid:
        raise Refusal(codes.UNDECODABLE, "the result names another profile than the one delivered")
    yield RecordInstalled(reservation.eid, reservation.iccid)


def _take_event(
    settings: SmdpSettings, notification: SignedNotification, wall: datetime
) -> Generator[Query, QueryAnswer, None]:
    certificates = notification.euicc_certificate, notification.eum_certificate
    eid, key = check_euicc(settings, *certificates, settings.anchors, wall)
    metadata = notification.notification
    try:
        verify(key, notification.signature, metadata.raw)
    except BadSignature:
        raise Refusal(codes.EUICC_SIGNATURE) from None
    if metadata.iccid is None or metadata.event is Event.INSTALL or not settings.is_mine(metadata.address):
        raise Refusal(codes.UNDECODABLE, "a notification that names no profile, or is not for this server")
    yield RecordEvent(eid, metadata.iccid, metadata.event)
