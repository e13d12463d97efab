"""Subscribers, orders and contexts that tests of stores and of what stands on them agree about."""

from datetime import UTC, datetime

from rprov.crypto.hierarchy import KAmf
from rprov.model.identifiers import Eid, Guti, Iccid, Imsi, Plmn, Supi, luhn_check_digit
from rprov.model.records import ContextRecord, ContextState, Order, OrderState, SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.security import Algorithms, Nea, Nia, Scope, SecurityCapability

PLMN = Plmn("001", "01")
K = Secret(bytes(range(16)))
OPC = Secret(bytes(range(16, 32)))


def eid(number: int = 1) -> Eid:
    """An EID of the test issuer."""
    return Eid.with_check_digits(f"89049032{number:022d}")


def iccid(number: int = 1) -> Iccid:
    """An ICCID of the test operator."""
    first = f"8988211{number:011d}"
    return Iccid(f"{first}{luhn_check_digit(first)}")


def imsi(number: int = 1) -> Imsi:
    """An IMSI of the test network."""
    return Imsi(f"00101{number:010d}")


def subscriber(number: int = 1, sqn: int = 0, active: bool = True) -> SubscriberRecord:
    """A subscriber with the keys of all tests."""
    return SubscriberRecord(Supi.of_imsi(imsi(number)), K, OPC, b"\x80\x00", sqn, active)


def order(number: int = 1, state: OrderState = OrderState.RELEASED, device: int | None = None) -> Order:
    """An order for the device of the same number, unless another is named."""
    return Order(eid(number if device is None else device), iccid(number), imsi(number), f"ORDER-{number}", state)


def context(number: int = 1, expires_at: datetime | None = datetime(2030, 1, 2, 3, 4, 5, 6, UTC)) -> ContextRecord:
    """A context of an ordinary subscriber."""
    return ContextRecord(
        Guti(PLMN, 1, number),
        Supi.of_imsi(imsi(number)),
        Scope.ORDINARY,
        ContextState.REGISTERED,
        3,
        KAmf(bytes(32)),
        Algorithms(Nea.NEA2, Nia.NIA2),
        SecurityCapability(0xE0, 0x60),
        17,
        (1 << 24) - 1,
        expires_at,
    )
