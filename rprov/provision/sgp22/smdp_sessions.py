"""The SM-DP+'s open transactions: what each waits for, how many there may be, and for how long.

Anybody can begin a transaction, so those that no card has proved itself in are bounded by themselves: a flood of them
pushes out each other, never a card that is in the middle of its download.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rprov.model.identifiers import Eid
from rprov.provision.sgp22.orders import DownloadOrder

LIFETIME = 600.0
"""Seconds from one function of a transaction to the next; a card with a slow radio needs about one minute in all."""

MAX_OPENING = 2000
MAX_PROVED = 20000


@dataclass(frozen=True, slots=True)
class SmdpCredential:
    """The server's certificates under one CI, with their keys."""

    ci: x509.Certificate
    auth: x509.Certificate
    auth_key: ec.EllipticCurvePrivateKey = field(repr=False)
    binding: x509.Certificate
    binding_key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwaitClient:
    """initiateAuthentication is done."""

    credential: SmdpCredential
    server_challenge: bytes
    address: str


@dataclass(frozen=True, slots=True)
class AwaitPreparation:
    """authenticateClient is done: the card is proved, its order found."""

    credential: SmdpCredential
    eid: Eid
    euicc_certificate: bytes
    euicc_key: ec.EllipticCurvePublicKey
    order: DownloadOrder
    metadata: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """getBoundProfilePackage is done; only a cancellation can still come here. Results are looked up in the store."""

    credential: SmdpCredential
    eid: Eid
    euicc_key: ec.EllipticCurvePublicKey
    order: DownloadOrder


Proved = AwaitPreparation | Delivered
Transaction = TypeVar("Transaction", AwaitClient, Proved)
_Entries = OrderedDict[bytes, tuple[float, Transaction]]


class Sessions:
    """Transactions by their ids. Taking one out makes a second request in the same transaction find nothing."""

    __slots__ = ("_opening", "_proved")

    def __init__(self) -> None:
        self._opening: _Entries[AwaitClient] = OrderedDict()
        self._proved: _Entries[Proved] = OrderedDict()

    def __len__(self) -> int:
        return len(self._opening) + len(self._proved)

    def new_id(self, entropy: Callable[[int], bytes]) -> bytes:
        """Make an id that no open transaction has."""
        while (found := entropy(16)) in self._opening or found in self._proved:
            pass
        return found

    def put_opening(self, transaction_id: bytes, session: AwaitClient, now: float) -> None:
        """Keep a transaction that no card has proved itself in yet."""
        _put(self._opening, transaction_id, session, now, MAX_OPENING)

    def put_proved(self, transaction_id: bytes, session: Proved, now: float) -> None:
        """Keep a transaction of a proved card."""
        _put(self._proved, transaction_id, session, now, MAX_PROVED)

    def take_opening(self, transaction_id: bytes, now: float) -> AwaitClient | None:
        """Take one out; None when there is none or it is too old."""
        return _take(self._opening, transaction_id, now)

    def take_proved(self, transaction_id: bytes, now: float) -> Proved | None:
        """Take one out; None when there is none or it is too old."""
        return _take(self._proved, transaction_id, now)


def _put(entries: _Entries[Transaction], key: bytes, session: Transaction, now: float, limit: int) -> None:
    entries[key] = (now + LIFETIME, session)
    entries.move_to_end(key)
    # Oldest first, and all live equally long: what has run out stands in front.
    while entries and (len(entries) > limit or next(iter(entries.values()))[0] < now):
        entries.popitem(last=False)


def _take(entries: _Entries[Transaction], key: bytes, now: float) -> Transaction | None:
    ends, session = entries.pop(key, (now - 1, None))
    return session if ends >= now else None
