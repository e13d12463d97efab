"""The device's ticket beyond its restart: kept when it changes, forgotten when nobody wants it, never in the way."""

import logging
from datetime import timedelta

import pytest
from doubles.loop import run
from doubles.pki import EID, NOW, shared_pki

from rprov.auth.ticket import Ticket
from rprov.crypto.tls import TlsSession
from rprov.daemon.ticket_keeper import TicketKeeper
from rprov.model.identifiers import Eid
from rprov.store.seal import SealBroken
from rprov.store.writer import StoreFailed

NETWORK = shared_pki().network.certificate
ONE = Ticket(bytes(32), NOW, (NETWORK,), b"", TlsSession(b"one"))
TWO = Ticket(bytes(32), NOW + timedelta(seconds=1), (NETWORK,), b"", TlsSession(b"two"))


class Store:
    """Keeps one ticket in memory, and may be broken."""

    def __init__(self, kept: bytes | None = None) -> None:
        self.kept = kept
        self.saves = 0
        self.broken: Exception | None = None

    async def load(self, eid: Eid) -> bytes | None:
        if self.broken:
            raise self.broken
        return self.kept

    async def save(self, eid: Eid, ticket: bytes | None) -> None:
        if self.broken:
            raise self.broken
        self.saves += 1
        self.kept = ticket


def test_what_changes_is_kept_and_nothing_else() -> None:
    async def scenario() -> None:
        store = Store()
        keeper = TicketKeeper(EID, store)
        await keeper.load(True)
        for ticket, saves in ((None, 0), (ONE, 1), (ONE, 1), (TWO, 2)):
            if ticket is not None:
                keeper.pocket.put(ticket)
            await keeper.save()
            assert store.saves == saves
        again = TicketKeeper(EID, store)
        await again.load(True)
        assert again.pocket.ticket == TWO
        await again.save()
        assert store.saves == 2
        again.forget()
        await again.save()
        assert store.kept is None

    run(scenario())


def test_a_ticket_that_nobody_wants_is_forgotten_at_once() -> None:
    async def scenario() -> None:
        store = Store(ONE.encode())
        keeper = TicketKeeper(EID, store)
        await keeper.load(False)
        assert store.kept is None
        assert keeper.pocket.ticket is None

    run(scenario())


@pytest.mark.parametrize("broken", [StoreFailed("the disk is full"), SealBroken("another key"), None])
def test_what_is_broken_costs_a_line_in_the_log_and_a_full_handshake(
    broken: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        store = Store(b"\x07 of another version")
        store.broken = broken
        keeper = TicketKeeper(EID, store)
        with caplog.at_level(logging.WARNING, "rprov.ue"):
            await keeper.load(True)
        assert keeper.pocket.ticket is None
        assert "is of no use" in caplog.text
        keeper.pocket.put(ONE)
        await keeper.save()
        assert ("is not kept" in caplog.text) == (broken is not None)

    run(scenario())
