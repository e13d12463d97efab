"""What the SM-DP+ asks of its store, and what an order is. The store itself stands two floors higher.

The server core yields one of these queries and is sent the answer. Each query is one act of the store: all of it
happens or nothing.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum

from rprov.errors import Misuse
from rprov.model.identifiers import Eid, Iccid
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.metadata import Event


class OrderState(Enum):
    """How far an order is."""

    RELEASED = "released"
    DOWNLOADED = "downloaded"
    INSTALLED = "installed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class DownloadOrder:
    """One profile for one card: only the eUICC with this EID gets it. An empty matchingId: found by the EID alone.

    `profile` is the unprotected package. `downloads` counts deliveries and `wrong_codes` refused confirmation codes
    since the operator released the order; only the operator sets them back.
    """

    matching_id: str
    eid: Eid
    iccid: Iccid
    profile: bytes = field(repr=False)
    state: OrderState = OrderState.RELEASED
    confirmation: CodeHash | None = None
    downloads: int = 0
    wrong_codes: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Which order a transaction delivered, and the certificate of the eUICC whose word on the result counts."""

    eid: Eid
    iccid: Iccid
    euicc_certificate: bytes


@dataclass(frozen=True, slots=True)
class LookUpOrder:
    """Answer: DownloadOrder | None. By matchingId whatever its EID; without one by EID, an unfinished order first."""

    matching_id: str
    eid: Eid


@dataclass(frozen=True, slots=True)
class ReserveDownload:
    """Answer: bool, False when the order is gone, installed or cancelled by now.

    The order becomes DOWNLOADED and counts one download more; the transaction is remembered for as long as the order,
    beside earlier ones: a result may come days later.
    """

    transaction_id: bytes
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class LookUpDownload:
    """Answer: Reservation | None."""

    transaction_id: bytes


@dataclass(frozen=True, slots=True)
class RecordInstalled:
    """No answer. The eUICC's signed word: the profile is on the card. May come twice."""

    eid: Eid
    iccid: Iccid


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """No answer. The eUICC's signed word: it could not install. An order that is not INSTALLED is RELEASED again."""

    eid: Eid
    iccid: Iccid
    detail: str


@dataclass(frozen=True, slots=True)
class RecordCancelled:
    """No answer. The eUICC ended the session (`reason`: CancelReason). As RecordFailed: the operator ends orders."""

    eid: Eid
    iccid: Iccid
    reason: int


@dataclass(frozen=True, slots=True)
class RecordWrongCode:
    """No answer. One wrong confirmation code more."""

    eid: Eid
    iccid: Iccid


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """No answer. The eUICC's signed word that a profile was enabled, disabled or deleted."""

    eid: Eid
    iccid: Iccid
    event: Event


Query = (
    LookUpOrder
    | ReserveDownload
    | LookUpDownload
    | RecordInstalled
    | RecordFailed
    | RecordCancelled
    | RecordWrongCode
    | RecordEvent
)
QueryAnswer = DownloadOrder | Reservation | bool | None


def look_up_order(matching_id: str, eid: Eid) -> Generator[Query, QueryAnswer, DownloadOrder | None]:
    """Ask for an order."""
    answer = yield LookUpOrder(matching_id, eid)
    if answer is not None and not isinstance(answer, DownloadOrder):
        raise Misuse("LookUpOrder is answered with an order or None")
    return answer


def look_up_download(transaction_id: bytes) -> Generator[Query, QueryAnswer, Reservation | None]:
    """Ask for what a transaction delivered."""
    answer = yield LookUpDownload(transaction_id)
    if answer is not None and not isinstance(answer, Reservation):
        raise Misuse("LookUpDownload is answered with a reservation or None")
    return answer


def reserve(transaction_id: bytes, reservation: Reservation) -> Generator[Query, QueryAnswer, bool]:
    """Ask for an order to be delivered in this transaction."""
    answer = yield ReserveDownload(transaction_id, reservation)
    if not isinstance(answer, bool):
        raise Misuse("ReserveDownload is answered with True or False")
    return answer
