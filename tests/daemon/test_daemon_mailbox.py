"""The mailbox of one endpoint: one message at a time, timers and questions beside it, and one fault ends one UE."""

import asyncio
from typing import Any

import pytest
from doubles.logged import logged
from doubles.loop import run, settle

from rprov.daemon.mailbox import MAX_WAITING, Mailbox
from rprov.errors import Misuse, RprovError
from rprov.procedure.actions import Close, DropContexts, StartTimer, StopTimer
from rprov.procedure.events import DeviceFound, StoreFailed, SubscriberUnknown, Timer, TimerFired


class Endpoint:
    """What a mailbox drives: takes down what it is asked to do."""

    def __init__(self, perform: Any = None) -> None:
        self.done: list[Any] = []
        self.fired: list[TimerFired] = []
        self.faults: list[str] = []
        self._perform = perform
        self.mailbox = Mailbox("box", self.perform, self.on_timer, self.on_fault)

    async def perform(self, action: Any) -> None:
        if isinstance(action, Close):
            self.mailbox.stop()
        if self._perform is not None:
            await self._perform(action)
        self.done.append(action)

    def on_timer(self, fired: TimerFired) -> list[Any]:
        self.fired.append(fired)
        return []

    def on_fault(self, detail: str) -> None:
        self.faults.append(detail)


def raising(error: Exception) -> Any:
    def step() -> list[Any]:
        raise error

    return step


async def in_time(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


def test_actions_of_one_step_are_performed_before_the_next_step_begins() -> None:
    async def scenario() -> None:
        order = []

        async def slow(action: Any) -> None:
            order.append(("begin", action))
            await settle()
            order.append(("end", action))

        endpoint = Endpoint(slow)
        for name in "abc":
            assert endpoint.mailbox.post(lambda name=name: [f"{name}1", f"{name}2"])
        await in_time(endpoint.mailbox.drained())
        actions = ["a1", "a2", "b1", "b2", "c1", "c2"]
        assert order == [(edge, action) for action in actions for edge in ("begin", "end")]
        await endpoint.mailbox.close()

    run(scenario())


def test_a_peer_is_not_listened_to_while_too_much_of_it_waits_but_our_own_words_are_kept() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def stuck(_action: Any) -> None:
            await gate.wait()

        endpoint = Endpoint(stuck)
        endpoint.mailbox.post(lambda: ["first"])
        await settle()
        assert all(endpoint.mailbox.post(lambda: ["peer"]) for _ in range(MAX_WAITING))
        assert not endpoint.mailbox.post(lambda: ["one too many"])
        endpoint.mailbox.tell(lambda: ["ours"])
        gate.set()
        await in_time(endpoint.mailbox.drained())
        assert endpoint.done == ["first", *["peer"] * MAX_WAITING, "ours"]
        await endpoint.mailbox.close()

    run(scenario())


def test_a_timer_fires_once_and_not_after_it_was_stopped_or_started_anew() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()
        mailbox = endpoint.mailbox
        mailbox.start_timer(StartTimer(Timer.T3560, 0.01, 1))
        mailbox.start_timer(StartTimer(Timer.T3560, 0.02, 2))
        mailbox.start_timer(StartTimer(Timer.T3522, 0.01, 3))
        mailbox.stop_timer(StopTimer(Timer.T3522))
        mailbox.stop_timer(StopTimer(Timer.T300))
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, done.set)
        await in_time(done.wait())
        await in_time(mailbox.drained())
        assert endpoint.fired == [TimerFired(Timer.T3560, 2)]
        await mailbox.close()

    run(scenario())


def test_a_question_is_awaited_beside_the_mailbox() -> None:
    async def scenario() -> None:
        endpoint, asked, answers = Endpoint(), asyncio.Event(), []

        async def question() -> Any:
            await asked.wait()
            return SubscriberUnknown()

        def on_answer(answer: Any) -> list[Any]:
            answers.append(answer)
            return ["answered"]

        endpoint.mailbox.ask(question(), on_answer)
        endpoint.mailbox.post(lambda: ["meanwhile"])
        await in_time(endpoint.mailbox.drained())
        assert endpoint.done == ["meanwhile"]
        asked.set()
        while not answers:
            await asyncio.sleep(0)
        await in_time(endpoint.mailbox.drained())
        assert (answers, endpoint.done) == ([SubscriberUnknown()], ["meanwhile", "answered"])
        await endpoint.mailbox.close()

    run(scenario())


def test_a_store_that_fails_is_an_answer_too() -> None:
    async def scenario() -> None:
        endpoint, answers = Endpoint(), []

        async def question() -> DeviceFound:
            raise RprovError("the disk is full")

        endpoint.mailbox.ask(question(), lambda answer: answers.append(answer) or [])  # type: ignore[func-returns-value]
        while not answers:
            await asyncio.sleep(0)
        assert answers == [StoreFailed("the disk is full")]
        assert not endpoint.faults
        await endpoint.mailbox.close()

    run(scenario())


FAULTS = (
    (RprovError("the disk is full"), "the disk is full", False, ("step", "action")),  # of a question it is an answer
    (Misuse("nonsense"), "an internal fault; see the log", True, ("step", "action", "question")),
    (ZeroDivisionError("oops"), "an internal fault; see the log", True, ("step", "action", "question")),
)


@pytest.mark.parametrize(
    ("error", "told", "traceback", "where"),
    [(error, told, traceback, where) for error, told, traceback, places in FAULTS for where in places],
    ids=[f"{type(error).__name__}-{where}" for error, _, _, places in FAULTS for where in places],
)
def test_a_fault_ends_this_endpoint_and_is_told_in_words(
    error: Exception, told: str, traceback: bool, where: str
) -> None:
    async def scenario() -> None:
        async def fail(_action: Any) -> None:
            raise error

        async def question() -> DeviceFound:
            raise error

        endpoint = Endpoint(fail if where == "action" else None)
        if where == "question":
            endpoint.mailbox.ask(question(), lambda _answer: [])
        else:
            endpoint.mailbox.post(raising(error) if where == "step" else lambda: ["action"])
        while not endpoint.faults:
            await asyncio.sleep(0)
        assert endpoint.faults == [told]
        # It takes nothing any more, and whoever waits for it does not wait for ever.
        endpoint.mailbox.post(lambda: ["late"])
        await in_time(endpoint.mailbox.drained())
        await endpoint.mailbox.close()
        assert "late" not in endpoint.done

    with logged() as records:
        run(scenario())
    (record,) = records
    assert bool(record.exc_info) is traceback


def test_whoever_waits_for_an_endpoint_that_closes_itself_goes_on() -> None:
    async def scenario() -> None:
        # The last word of a link's reader comes while the endpoint is about to end: the reader has others to serve.
        endpoint = Endpoint()
        endpoint.mailbox.post(lambda: [DropContexts(), Close()])
        endpoint.mailbox.post(lambda: ["never taken"])
        await in_time(endpoint.mailbox.drained())
        assert endpoint.done[0] == DropContexts()
        assert "never taken" not in endpoint.done
        await endpoint.mailbox.close()

    run(scenario())


def test_a_question_that_had_not_begun_is_dropped_without_a_word() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()

        async def question() -> Any:
            raise AssertionError("nobody wants to know any more")

        endpoint.mailbox.ask(question(), lambda _answer: [])
        await in_time(endpoint.mailbox.close())
        await settle()
        assert not endpoint.faults

    run(scenario())


def test_closing_stops_timers_and_questions_and_waits_for_them() -> None:
    async def scenario() -> None:
        endpoint, begun, ended = Endpoint(), asyncio.Event(), []

        async def question() -> Any:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                await settle()
                ended.append("question")

        endpoint.mailbox.start_timer(StartTimer(Timer.T3560, 0.0, 1))
        endpoint.mailbox.ask(question(), lambda _answer: [])
        await in_time(begun.wait())
        await in_time(endpoint.mailbox.close())
        assert ended == ["question"]
        await endpoint.mailbox.close()

    run(scenario())
