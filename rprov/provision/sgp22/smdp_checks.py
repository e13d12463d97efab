"""What an SM-DP+ checks before it says yes: the eUICC's certificates, the order, the confirmation code.

Each check raises `Refusal` with the status that ES9+ has for it. Knows no session.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rprov.causes import Cause
from rprov.crypto.x509 import Role, check_chain, eid_of, parse_certificate, registered_id, subject_key_id
from rprov.errors import DecodeError, Misuse, Refused
from rprov.model.identifiers import Eid
from rprov.provision.sgp22 import codes
from rprov.provision.sgp22.codes import Status
from rprov.provision.sgp22.keys import UnsupportedCurve, public_key
from rprov.provision.sgp22.metadata import Event
from rprov.provision.sgp22.objects import oid_octets
from rprov.provision.sgp22.orders import DownloadOrder, OrderState, Query, QueryAnswer, RecordWrongCode
from rprov.provision.sgp22.smdp_sessions import SmdpCredential

MAX_DOWNLOADS = 10
"""Deliveries of one order without an installation, before the operator must look at it."""

MAX_WRONG_CODES = 3


class Refusal(Exception):
    """The server says no."""

    def __init__(self, status: Status, detail: str = "") -> None:
        self.status = status
        self.detail = detail
        super().__init__(str(status))


@dataclass(frozen=True, slots=True)
class SmdpSettings:
    """Who this server is and whom it believes.

    `address` is the host name, `port` the one it is reached at; `credentials` in the order of preference; `anchors` the
    CIs that eUICCs may stand under; `eum_table` as in `check_chain`; `events` those that installed profiles report;
    `replace_session_keys` binds with keys of the profile's own (SGP.22 2.5.5), as most servers in the field do.
    """

    address: str
    credentials: tuple[SmdpCredential, ...]
    anchors: tuple[x509.Certificate, ...]
    port: int = 443
    eum_table: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)
    events: frozenset[Event] = frozenset({Event.ENABLE, Event.DISABLE, Event.DELETE})
    host_id: bytes = b"rprov"
    replace_session_keys: bool = True

    def __post_init__(self) -> None:
        if not self.credentials:
            raise Misuse("an SM-DP+ needs a certificate under at least one CI")
        if not 1 <= len(self.host_id) <= 16:
            raise Misuse("a host id has 1 to 16 octets")
        for item in self.credentials:
            if registered_id(item.auth) != registered_id(item.binding):
                raise Misuse("DPauth and DPpb certificates of one server name the same OID")

    def is_mine(self, address: str) -> bool:
        """Say whether an LPA that was told `address` means this server; LPAs add the port or leave it out."""
        return address.lower() in (self.address.lower(), f"{self.address}:{self.port}".lower())

    def oids(self) -> frozenset[bytes]:
        """The server's OIDs, as content octets."""
        return frozenset(oid_octets(registered_id(item.auth)) for item in self.credentials)


def check_euicc(
    settings: SmdpSettings, euicc: bytes, eum: bytes, anchors: tuple[x509.Certificate, ...], wall: datetime
) -> tuple[Eid, ec.EllipticCurvePublicKey]:
    """Check an eUICC's chain and give its EID and key."""
    try:
        eum_certificate = parse_certificate(eum)
        check_chain(eum_certificate, (), anchors, Role.EUM, wall)
    except DecodeError as error:
        raise Refusal(codes.EUM_INVALID, str(error)) from None
    except Refused as error:
        raise Refusal(_status(error, codes.EUM_INVALID, codes.EUM_EXPIRED), error.detail) from None
    try:
        certificate = parse_certificate(euicc)
        check_chain(certificate, (eum_certificate,), anchors, Role.EUICC, wall, settings.eum_table)
        return eid_of(certificate), public_key(certificate)
    except (DecodeError, UnsupportedCurve) as error:
        raise Refusal(codes.EUICC_INVALID, str(error)) from None
    except Refused as error:
        raise Refusal(_status(error, codes.EUICC_INVALID, codes.EUICC_EXPIRED), error.detail) from None


def _status(error: Refused, invalid: Status, expired: Status) -> Status:
    match error.cause:
        case Cause.UNKNOWN_CI:
            return codes.CI_UNKNOWN
        case Cause.CERTIFICATE_EXPIRED | Cause.CERTIFICATE_NOT_YET_VALID:
            return expired
        case _:
            return invalid


def check_order(order: DownloadOrder | None, matching_id: str, eid: Eid) -> DownloadOrder:
    """Check that there is an order that this card may have now."""
    if order is None:
        raise Refusal(codes.MATCHING_ID_REFUSED if matching_id else codes.NO_PROFILE)
    if order.eid != eid:
        raise Refusal(codes.EID_MISMATCH)
    match order.state:
        case OrderState.INSTALLED:
            raise Refusal(codes.MATCHING_ID_REFUSED, "the profile of this order is installed already")
        case OrderState.CANCELLED:
            raise Refusal(codes.NOT_RELEASED, "the order was cancelled")
        case OrderState.RELEASED | OrderState.DOWNLOADED:
            pass
    if order.downloads >= MAX_DOWNLOADS:
        raise Refusal(codes.ORDER_TOO_OFTEN)
    if order.wrong_codes >= MAX_WRONG_CODES:
        raise Refusal(codes.CODE_TOO_OFTEN)
    return order


def check_code(
    order: DownloadOrder, hash_cc: bytes | None, transaction_id: bytes
) -> Generator[Query, QueryAnswer, None]:
    """Check the confirmation code where the order has one; a wrong one is counted in the store."""
    if order.confirmation is None:
        return
    if hash_cc is None:
        raise Refusal(codes.CODE_MISSING)
    if not order.confirmation.fits(hash_cc, transaction_id):
        yield RecordWrongCode(order.eid, order.iccid)
        raise Refusal(codes.CODE_REFUSED)


def credential_for(settings: SmdpSettings, ci_id: bytes) -> SmdpCredential | None:
    """The server's certificates under one CI."""
    return next((item for item in settings.credentials if subject_key_id(item.ci) == ci_id), None)
