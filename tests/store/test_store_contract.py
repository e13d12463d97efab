"""What every store promises, on every kind of database alike.

PostgreSQL takes part where RPROV_TEST_POSTGRESQL names a database that may be emptied.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.loop import run
from doubles.records import context, eid, iccid, order, subscriber
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from rprov.auth.usim import DELTA, FRESH_ARRAY, IND_BITS, Usim, next_sqn
from rprov.errors import DecodeError, Misuse
from rprov.model.identifiers import Guti, Plmn, Supi
from rprov.model.kinds import DatabaseUrl
from rprov.model.records import ContextState, DeviceRecord, OrderState, SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.sections import (
    StoreSettings,
)
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.provision.sgp22.confirmation import CodeHash
from rprov.provision.sgp22.metadata import Event
from rprov.provision.sgp22.orders import (
    DownloadOrder,
    LookUpDownload,
    LookUpOrder,
    Query,
    RecordCancelled,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    RecordWrongCode,
    Reservation,
    ReserveDownload,
)
from rprov.provision.sgp22.orders import OrderState as DownloadState
from rprov.store.cp import CpStore, open_cp_store
from rprov.store.euicc import EuiccStore, open_euicc_store
from rprov.store.smdp import SmdpStore, open_smdp_store
from rprov.store.subscribers import BLOCK
from rprov.store.writer import Conflict

POSTGRESQL = os.environ.get("RPROV_TEST_POSTGRESQL")
ON_DISK = ("file", "postgresql") if POSTGRESQL else ("file",)
KINDS = ("memory", *ON_DISK)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """Where a store may be made, empty."""
    match request.param:
        case "memory":
            return StoreSettings(url=DatabaseUrl("sqlite://"))
        case "file":
            return on_file(tmp_path, "store")
        case _:
            return StoreSettings(url=emptied(DatabaseUrl(POSTGRESQL or "")), key_file=tmp_path / "store.key")


def on_file(directory: Path, name: str) -> StoreSettings:
    return StoreSettings(url=DatabaseUrl(f"sqlite:///{directory / name}.db"), key_file=directory / f"{name}.key")


def emptied(url: DatabaseUrl) -> DatabaseUrl:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


def with_cp(place: StoreSettings, story: Callable[[CpStore], Awaitable[None]]) -> None:
    async def told() -> None:
        store = await open_cp_store(place)
        try:
            await story(store)
        finally:
            await store.close()

    run(told())


@asynccontextmanager
async def two_stores(smdp: StoreSettings, cp: StoreSettings) -> AsyncIterator[tuple[SmdpStore, CpStore]]:
    first, second = await open_smdp_store(smdp, cp), await open_cp_store(cp)
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


# --- subscribers and sequence numbers ---------------------------------------------------------------------------------


def test_a_subscriber_comes_back_as_it_was_added(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        record = replace(subscriber(sqn=(1 << 47) + 5), k=Secret(b"\xff" * 16), amf=b"\x90\x01", active=False)
        await store.add_subscriber(record)
        assert await store.subscriber(record.supi) == record
        assert await store.subscriber(Supi("001010000000009")) is None

    with_cp(place, story)


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("method", AkaMethod)
def test_keys_of_either_length_come_back_with_what_they_are_for(
    place: StoreSettings, size: int, method: AkaMethod
) -> None:
    async def story(store: CpStore) -> None:
        k, topc = Secret(b"\x01" * size), Secret(b"\x02" * 32)
        record = replace(subscriber(), k=k, opc=topc, algorithm=AkaAlgorithm.TUAK, method=method)
        await store.add_subscriber(record)
        assert await store.subscriber(record.supi) == record
        given = await store.reserve_vector(record.supi)
        assert given is not None
        assert (given.k, given.opc, given.algorithm, given.method) == (k, topc, AkaAlgorithm.TUAK, method)

    with_cp(place, story)


def test_a_subscriber_may_be_named_by_an_nai(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        nai = Supi("device7@operator.example")
        await store.add_subscriber(replace(subscriber(), supi=nai))
        given = await store.reserve_vector(nai)
        assert given is not None
        assert (given.supi, given.k) == (nai, subscriber().k)
        await store.save_context(replace(context(), identity=nai))
        assert [item.identity for item in await store.contexts()] == [nai]

    with_cp(place, story)


@pytest.mark.parametrize(
    ("algorithm", "k", "opc"),
    [(AkaAlgorithm.MILENAGE, 32, 16), (AkaAlgorithm.MILENAGE, 16, 32), (AkaAlgorithm.TUAK, 16, 16)],
)
def test_keys_that_the_algorithm_cannot_take_make_no_subscriber(algorithm: AkaAlgorithm, k: int, opc: int) -> None:
    with pytest.raises(DecodeError, match="octets"):
        SubscriberRecord(subscriber().supi, Secret(bytes(k)), Secret(bytes(opc)), algorithm=algorithm)


def test_a_subscriber_is_added_once(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        await store.add_subscriber(subscriber())
        with pytest.raises(Conflict, match="there is a subscriber 001010000000001 already"):
            await store.add_subscriber(subscriber(sqn=99))
        found = await store.subscriber(subscriber().supi)
        assert found is not None
        assert found.sqn == 0

    with_cp(place, story)


def test_each_reservation_is_the_next_sequence_number(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        await store.add_subscriber(subscriber())
        expected = 0
        for _ in range(BLOCK * 2 + 3):
            expected = next_sqn(expected)
            assert await store.reserve_vector(subscriber().supi) == subscriber(sqn=expected)

    with_cp(place, story)


def test_a_thousand_reservations_at_once_share_no_number(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        for number in range(1, 4):
            await store.add_subscriber(subscriber(number))
        supis = [subscriber(1 + turn % 3).supi for turn in range(1000)]
        records = await asyncio.gather(*(store.reserve_vector(supi) for supi in supis))
        given_out = [(record.supi, record.sqn) for record in records if record is not None]
        assert len(set(given_out)) == 1000

    with_cp(place, story)


@pytest.mark.parametrize("place", ON_DISK, indirect=True)
def test_two_stores_on_one_database_share_no_number(place: StoreSettings) -> None:
    async def story() -> None:
        first, second = await open_cp_store(place), await open_cp_store(place)
        await first.add_subscriber(subscriber())
        turns = [(first, second)[turn % 2].reserve_vector(subscriber().supi) for turn in range(200)]
        numbers = {record.sqn for record in await asyncio.gather(*turns) if record is not None}
        assert len(numbers) == 200
        await first.close()
        await second.close()

    run(story())


def test_who_is_unknown_or_not_active_gets_no_vector(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        await store.add_subscriber(subscriber(active=False))
        assert await store.reserve_vector(subscriber().supi) is None
        assert await store.reserve_vector(subscriber(2).supi) is None
        assert await store.resynchronise(subscriber(2).supi, 5) is None
        await store.set_active(subscriber().supi, True)
        assert await store.reserve_vector(subscriber().supi) is not None
        await store.set_active(subscriber().supi, False)
        assert await store.reserve_vector(subscriber().supi) is None
        with pytest.raises(Conflict, match="there is no subscriber 001010000000002"):
            await store.set_active(subscriber(2).supi, True)

    with_cp(place, story)


def test_after_a_resynchronisation_the_usim_accepts_the_next_number(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        supi = subscriber().supi
        await store.add_subscriber(subscriber())
        ahead = (5_000 << IND_BITS) + 7
        record = await store.resynchronise(supi, ahead)
        assert record is not None
        assert record.sqn == next_sqn(ahead)
        # a number of the USIM that is behind, but not too far, changes nothing: the next one is accepted as it is
        record = await store.resynchronise(supi, 1 << IND_BITS)
        assert record is not None
        assert record.sqn > ahead
        # too far behind: the USIM would not leap so far
        far = replace(subscriber(2), sqn=(DELTA + 100) << IND_BITS)
        await store.add_subscriber(far)
        record = await store.resynchronise(far.supi, 3 << IND_BITS)
        assert record is not None
        assert record.sqn == next_sqn(3 << IND_BITS)

    with_cp(place, story)


@pytest.mark.parametrize("wrong", [-1, 1 << 48])
def test_a_number_that_is_none_is_misuse(wrong: int) -> None:
    async def story(store: CpStore) -> None:
        await store.add_subscriber(subscriber())
        with pytest.raises(Misuse):
            await store.resynchronise(subscriber().supi, wrong)

    with_cp(StoreSettings(url=DatabaseUrl("sqlite://")), story)


@given(
    st.integers(0, (1 << 43) - 1000),
    st.integers(0, 31),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
def test_whatever_the_usim_has_seen_one_resynchronisation_is_enough(seq: int, ind: int, uses: list[int]) -> None:
    async def story(store: CpStore) -> None:
        supi = subscriber().supi
        await store.add_subscriber(subscriber(sqn=(1000 << IND_BITS) + 3))
        usim = Usim(subscriber().k, subscriber().opc, (*FRESH_ARRAY[:ind], seq, *FRESH_ARRAY[ind + 1 :]))
        record = await store.resynchronise(supi, usim.sqn_ms)
        for use in uses:
            assert record is not None
            assert usim._take(record.sqn)
            for _ in range(use):
                record = await store.reserve_vector(supi)

    with_cp(StoreSettings(url=DatabaseUrl("sqlite://")), story)


# --- contexts ---------------------------------------------------------------------------------------------------------


def test_contexts_are_saved_over_found_and_dropped(place: StoreSettings) -> None:
    async def story(store: CpStore) -> None:
        first, second = context(1), replace(context(2, None), identity=eid())
        await store.save_context(first)
        await store.save_context(second)
        assert await store.contexts() == (first, second)
        later = replace(first, uplink_count=18, state=ContextState.DEREGISTERED)
        await store.save_context(later)
        assert await store.context_by_guti(first.guti) == later
        await store.drop_context(first.guti)
        await store.drop_context(first.guti)
        assert await store.context_by_guti(first.guti) is None
        assert await store.context_by_guti(Guti(Plmn("999", "999"), 0xFFFFFF, 0xFFFFFFFF)) is None
        assert await store.contexts() == (second,)

    with_cp(place, story)


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ON_DISK, indirect=True)
def test_one_act_reaches_both_ends(place: StoreSettings) -> None:
    async def story() -> None:
        async with two_stores(place, place) as (smdp, cp):
            await smdp.add_order_and_subscriber(order(), b"package", subscriber())
            assert await smdp.order_by_matching_id("ORDER-1") == order()
            assert await smdp.order_by_eid(eid()) == order()
            assert await smdp.package("ORDER-1") == b"package"
            assert await cp.device(eid()) == DeviceRecord(eid(), order())
            assert await cp.subscriber(order().supi) == subscriber()
            assert await smdp.deliver(cp) == 0

    run(story())


@pytest.mark.parametrize("in_memory", [True, False])
def test_between_two_databases_news_are_delivered_once(tmp_path: Path, in_memory: bool) -> None:
    memory = StoreSettings(url=DatabaseUrl("sqlite://"))
    places = (memory, memory) if in_memory else (on_file(tmp_path, "smdp"), on_file(tmp_path, "cp"))

    async def story() -> None:
        async with two_stores(*places) as (smdp, cp):
            await smdp.add_order_and_subscriber(order(), b"package", subscriber())
            assert await cp.device(eid()) == DeviceRecord(eid(), None)
            assert await smdp.deliver(cp) == 1
            assert await cp.device(eid()) == DeviceRecord(eid(), order())
            await smdp.set_state("ORDER-1", OrderState.DOWNLOADED)
            await smdp.answer(RecordInstalled(eid(), iccid()))
            assert (await cp.device(eid())).may_be_provisioned
            assert await smdp.deliver(cp) == 1
            assert not (await cp.device(eid())).may_be_provisioned
            assert await smdp.deliver(cp) == 0

    run(story())


def test_news_told_twice_change_nothing(tmp_path: Path) -> None:
    """The CP took them, and the SM-DP+ died before it knew."""

    async def story() -> None:
        async with two_stores(on_file(tmp_path, "smdp"), on_file(tmp_path, "cp")) as (smdp, cp):
            await smdp.add_order_and_subscriber(order(), b"package", subscriber())
            await smdp.set_state("ORDER-1", OrderState.INSTALLED)
            accepted = []

            class Dying(CpStore):
                def __init__(self) -> None:
                    pass

                async def accept(self, news: object) -> None:
                    accepted.append(news)
                    await cp.accept(news)  # type: ignore[arg-type]
                    raise ConnectionError

            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await smdp.deliver(Dying())
            assert len(accepted) == 2
            used = await cp.reserve_vector(order().supi)
            assert used is not None
            assert await smdp.deliver(cp) == 2
            assert await cp.device(eid()) == DeviceRecord(eid(), order(state=OrderState.INSTALLED))
            again = await cp.reserve_vector(order().supi)
            assert again is not None
            assert again.sqn > used.sqn

    run(story())


def test_an_order_that_the_cp_refuses_is_cancelled(tmp_path: Path) -> None:
    async def story() -> None:
        async with two_stores(on_file(tmp_path, "smdp"), on_file(tmp_path, "cp")) as (smdp, cp):
            await cp.add_subscriber(replace(subscriber(), k=Secret(bytes(16))))
            await smdp.add_order_and_subscriber(order(), b"package", subscriber())
            await smdp.add_order_and_subscriber(order(2), b"package", subscriber(2))
            with pytest.raises(Conflict, match="subscriber 001010000000001 with other keys"):
                await smdp.deliver(cp)
            assert await smdp.order_by_matching_id("ORDER-1") == order(state=OrderState.CANCELLED)
            assert await cp.device(eid()) == DeviceRecord(eid(), None)
            assert await cp.device(eid(2)) == DeviceRecord(eid(2), order(2))
            assert await smdp.deliver(cp) == 0

    run(story())


def test_in_one_database_a_refused_subscriber_takes_the_order_back(tmp_path: Path) -> None:
    async def story() -> None:
        place = on_file(tmp_path, "both")
        async with two_stores(place, place) as (smdp, cp):
            await cp.add_subscriber(replace(subscriber(), k=Secret(bytes(16))))
            with pytest.raises(Conflict, match="with other keys"):
                await smdp.add_order_and_subscriber(order(), b"package", subscriber())
            assert await smdp.orders() == ()
            assert await cp.device(eid()) == DeviceRecord(eid(), None)

    run(story())


def test_the_subscriber_must_be_the_one_of_the_order(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await open_smdp_store(place)
        with pytest.raises(Conflict, match="for the subscriber 001010000000001, not 001010000000002"):
            await smdp.add_order_and_subscriber(order(), b"package", subscriber(2))
        assert await smdp.orders() == ()
        await smdp.close()

    run(story())


def test_one_device_one_order_one_profile(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await open_smdp_store(place)
        await smdp.add_order(order(), b"package")
        for clash, words in (
            (replace(order(2), matching_id="ORDER-1"), "the matching id ORDER-1"),
            (replace(order(2), iccid=iccid(1)), "the profile 8988211"),
            (replace(order(2), eid=eid(1)), "an open order for the device"),
            (replace(order(2), imsi=order(1).imsi), "an open order for the subscriber"),
        ):
            with pytest.raises(Conflict, match=words):
                await smdp.add_order(clash, b"package")
        assert await smdp.orders() == (order(),)
        # what was cancelled binds nobody
        await smdp.set_state("ORDER-1", OrderState.CANCELLED)
        await smdp.add_order(replace(order(1), matching_id="AGAIN"), b"other")
        assert await smdp.package("AGAIN") == b"other"
        assert await smdp.order_by_eid(eid()) == replace(order(), matching_id="AGAIN")
        assert await smdp.package("NEVER") is None
        assert await smdp.order_by_matching_id("NEVER") is None
        await smdp.close()

    run(story())


def test_a_device_may_get_another_profile_later(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await open_smdp_store(place)
        await smdp.add_order(order(1), b"first")
        await smdp.answer(RecordInstalled(eid(1), iccid(1)))
        assert await smdp.order_by_eid(eid(1)) == order(1, OrderState.INSTALLED)
        await smdp.add_order(order(2, device=1), b"second")
        assert await smdp.order_by_eid(eid(1)) == order(2, device=1)
        await smdp.answer(RecordInstalled(eid(1), iccid(2)))
        assert await smdp.order_by_eid(eid(1)) == order(2, OrderState.INSTALLED, device=1)
        await smdp.close()

    run(story())


LEGAL = {
    (OrderState.RELEASED, OrderState.DOWNLOADED),
    (OrderState.RELEASED, OrderState.INSTALLED),
    (OrderState.RELEASED, OrderState.CANCELLED),
    (OrderState.DOWNLOADED, OrderState.RELEASED),
    (OrderState.DOWNLOADED, OrderState.INSTALLED),
    (OrderState.DOWNLOADED, OrderState.CANCELLED),
}


@pytest.mark.parametrize("start", OrderState)
@pytest.mark.parametrize("end", OrderState)
def test_an_order_lives_one_life(start: OrderState, end: OrderState) -> None:
    async def story() -> None:
        smdp = await open_smdp_store(StoreSettings(url=DatabaseUrl("sqlite://")))
        await smdp.add_order(order(), b"package")
        await smdp.set_state("ORDER-1", start)
        if start is end or (start, end) in LEGAL:
            assert await smdp.set_state("ORDER-1", end) == order(state=end)
        else:
            with pytest.raises(Conflict, match=f"is {start} and cannot become {end}"):
                await smdp.set_state("ORDER-1", end)
        assert await smdp.orders() == (order(state=end if start is end or (start, end) in LEGAL else start),)
        await smdp.close()

    run(story())


async def with_order(place: StoreSettings, confirmation: CodeHash | None = None) -> SmdpStore:
    smdp = await open_smdp_store(place)
    await smdp.add_order_and_subscriber(order(), b"package", subscriber(), confirmation)
    return smdp


RESERVATION = Reservation(eid(), iccid(), b"certificate")


def test_the_server_core_finds_orders(place: StoreSettings) -> None:
    async def story() -> None:
        code = CodeHash.of_code("4711")
        smdp = await with_order(place, code)
        wanted = DownloadOrder("ORDER-1", eid(), iccid(), b"package", DownloadState.RELEASED, code)
        assert await smdp.answer(LookUpOrder("ORDER-1", eid())) == wanted
        # by matchingId whatever its EID: the core says no, with a reason
        assert await smdp.answer(LookUpOrder("ORDER-1", eid(2))) == wanted
        assert await smdp.answer(LookUpOrder("", eid())) == wanted
        assert await smdp.answer(LookUpOrder("", eid(2))) is None
        assert await smdp.answer(LookUpOrder("NEVER", eid())) is None
        await smdp.answer(RecordWrongCode(eid(), iccid()))
        assert await smdp.answer(LookUpOrder("", eid())) == replace(wanted, wrong_codes=1)
        await smdp.close()

    run(story())


def test_a_delivery_is_remembered_with_its_certificate(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await with_order(place)
        assert await smdp.answer(LookUpDownload(b"1")) is None
        for count, transaction in enumerate((b"1", b"2"), 1):
            assert await smdp.answer(ReserveDownload(transaction, RESERVATION)) is True
            found = await smdp.answer(LookUpOrder("ORDER-1", eid()))
            assert isinstance(found, DownloadOrder)
            assert (found.state, found.downloads) == (DownloadState.DOWNLOADED, count)
        assert await smdp.answer(LookUpDownload(b"1")) == RESERVATION
        assert await smdp.answer(LookUpDownload(b"2")) == RESERVATION
        # nobody takes over a transaction, and nobody gets what is not ordered, installed or cancelled
        assert await smdp.answer(ReserveDownload(b"1", RESERVATION)) is False
        assert await smdp.answer(ReserveDownload(b"3", replace(RESERVATION, eid=eid(2)))) is False
        await smdp.answer(RecordInstalled(eid(), iccid()))
        assert await smdp.answer(ReserveDownload(b"4", RESERVATION)) is False
        assert await smdp.answer(LookUpDownload(b"4")) is None
        assert await smdp.answer(LookUpDownload(b"1")) == RESERVATION
        await smdp.close()

    run(story())


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (RecordFailed(eid(), iccid(), "memory"), "the eUICC could not install the profile: memory"),
        (RecordCancelled(eid(), iccid(), 3), "the eUICC ended the download: reason 3"),
    ],
)
def test_a_download_that_failed_may_be_tried_again(place: StoreSettings, query: Query, word: str) -> None:
    async def story() -> None:
        smdp = await with_order(place)
        assert await smdp.last_word("ORDER-1") == ""
        await smdp.answer(ReserveDownload(b"1", RESERVATION))
        await smdp.answer(query)
        assert await smdp.order_by_eid(eid()) == order()
        assert await smdp.last_word("ORDER-1") == word
        assert await smdp.answer(ReserveDownload(b"2", RESERVATION)) is True
        await smdp.answer(RecordInstalled(eid(), iccid()))
        await smdp.answer(query)
        assert await smdp.order_by_eid(eid()) == order(state=OrderState.INSTALLED)
        await smdp.close()

    run(story())


def test_a_result_counts_only_for_the_device_of_the_order(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await with_order(place)
        for device, profile in ((eid(2), iccid(1)), (eid(1), iccid(2))):
            for kind in (RecordInstalled, RecordWrongCode):
                assert await smdp.answer(kind(device, profile)) is None
        assert await smdp.orders() == (order(),)
        with pytest.raises(Conflict, match="no order with the matching id NEVER"):
            await smdp.set_state("NEVER", OrderState.INSTALLED)
        for _ in range(2):
            await smdp.answer(RecordInstalled(eid(1), iccid(1)))
            assert await smdp.orders() == (order(state=OrderState.INSTALLED),)
            assert await smdp.last_word("ORDER-1") == "installed"
        words = {
            Event.ENABLE: "enabled",
            Event.DISABLE: "disabled",
            Event.DELETE: "deleted",
            Event.INSTALL: "installed",
        }
        for event, word in words.items():
            await smdp.answer(RecordEvent(eid(), iccid(), event))
            assert await smdp.last_word("ORDER-1") == word
        await smdp.close()

    run(story())


def test_a_result_after_the_operator_cancelled_is_kept_as_a_word(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await with_order(place)
        await smdp.answer(ReserveDownload(b"1", RESERVATION))
        await smdp.set_state("ORDER-1", OrderState.CANCELLED)
        await smdp.answer(RecordInstalled(eid(), iccid()))
        assert await smdp.orders() == (order(state=OrderState.CANCELLED),)
        assert await smdp.last_word("ORDER-1") == "installed, though the order was cancelled"
        await smdp.close()

    run(story())


def test_many_orders_at_once(place: StoreSettings) -> None:
    async def story() -> None:
        smdp = await open_smdp_store(place)
        acts = (smdp.add_order_and_subscriber(order(turn), bytes([turn]), subscriber(turn)) for turn in range(1, 101))
        await asyncio.gather(*acts)
        assert set(await smdp.orders()) == {order(turn) for turn in range(1, 101)}
        await smdp.close()

    run(story())


# --- cards ------------------------------------------------------------------------------------------------------------


def test_a_card_is_saved_version_by_version(place: StoreSettings) -> None:
    async def story() -> None:
        store: EuiccStore = await open_euicc_store(place)
        assert await store.load(eid()) is None
        assert await store.save(eid(), b"first") == 1
        assert await store.save(eid(), b"second", after=1) == 2
        assert await store.save(eid(2), b"") == 1
        saved = await store.load(eid())
        assert saved is not None
        assert (saved.version, saved.state) == (2, b"second")
        assert b"second".hex() not in repr(saved)
        assert "second" not in repr(saved)
        assert await store.eids() == (eid(), eid(2))
        for stale in (0, 1, 3):
            with pytest.raises(Conflict, match=f"is at version 2, not {stale}: somebody else plays it"):
                await store.save(eid(), b"third", after=stale)
        await store.close()

    run(story())
