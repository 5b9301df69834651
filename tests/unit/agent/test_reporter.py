"""The newest status of each task reaches the dispatcher."""

import asyncio
import random

import pytest

from swarmd import api
from swarmd.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from tests.fakes.clock import FakeClock
from workers.agent.reporter import Reporter

S = api.TaskState


class Dispatcher:
    """Takes reports, one at a time, when `open`; refuses those that `refuse` names an error for."""

    def __init__(self) -> None:
        self.reports: list[dict[str, int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.refuse = lambda report: None
        self._news = asyncio.Event()

    async def send(self, updates) -> None:
        report = {update.task_id: update.status.state for update in updates}
        await self.open.wait()
        if error := self.refuse(report):
            raise error
        self.reports.append(report)
        self._news.set()

    @property
    def heard(self) -> dict[str, int]:
        return {task: state for report in self.reports for task, state in report.items()}

    async def wait_heard(self, expected: dict[str, int]) -> None:
        while self.heard != expected:
            self._news.clear()
            await self._news.wait()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reporter(clock) -> Reporter:
    return Reporter(clock, random.Random(0))


@pytest.fixture
async def dispatcher() -> Dispatcher:
    return Dispatcher()


@pytest.fixture
async def session(reporter, dispatcher):
    running = asyncio.create_task(reporter.run(dispatcher.send))
    yield running
    running.cancel()
    await asyncio.wait([running])


def status(state: int) -> api.TaskStatus:
    return api.TaskStatus(state=state)


async def test_a_status_is_reported_at_once(reporter, dispatcher, session) -> None:
    reporter.update("a", status(S.RUNNING))
    await dispatcher.wait_heard({"a": S.RUNNING})


async def test_what_changes_during_a_report_goes_with_the_next(
    reporter, dispatcher, session
) -> None:
    dispatcher.open.clear()
    reporter.update("a", status(S.PREPARING))
    await asyncio.sleep(0)
    for state in (S.READY, S.STARTING, S.RUNNING):
        reporter.update("a", status(state))
    reporter.update("b", status(S.RUNNING))
    dispatcher.open.set()
    await dispatcher.wait_heard({"a": S.RUNNING, "b": S.RUNNING})
    assert [{"a": S.PREPARING}, {"a": S.RUNNING, "b": S.RUNNING}] == dispatcher.reports


async def test_an_older_status_does_not_replace_a_newer_one(reporter, dispatcher, session) -> None:
    reporter.update("a", status(S.FAILED))
    reporter.update("a", status(S.RUNNING))
    await dispatcher.wait_heard({"a": S.FAILED})


async def test_a_report_holds_1024_at_most(reporter, dispatcher, session) -> None:
    for number in range(3000):
        reporter.update(str(number), status(S.RUNNING))
    await dispatcher.wait_heard({str(number): S.RUNNING for number in range(3000)})
    assert [1024, 1024, 952] == [len(report) for report in dispatcher.reports]


async def test_a_failed_report_is_tried_again_later(reporter, dispatcher, session, clock) -> None:
    dispatcher.refuse = lambda report: UnavailableError("no leader")
    reporter.update("a", status(S.RUNNING))
    await clock.wait_sleepers()
    dispatcher.refuse = lambda report: None
    reporter.update("a", status(S.FAILED))
    clock.advance(seconds=0.1)
    await dispatcher.wait_heard({"a": S.FAILED})


async def test_each_session_is_told_everything(reporter, dispatcher) -> None:
    for task, state in (("a", S.RUNNING), ("b", S.FAILED)):
        reporter.update(task, status(state))
    for _ in range(2):
        dispatcher.reports.clear()
        running = asyncio.create_task(reporter.run(dispatcher.send))
        await dispatcher.wait_heard({"a": S.RUNNING, "b": S.FAILED})
        running.cancel()
        await asyncio.wait([running])


async def test_a_forgotten_task_is_not_spoken_of(reporter, dispatcher) -> None:
    for task in ("a", "b"):
        reporter.update(task, status(S.RUNNING))
    reporter.forget("a")
    running = asyncio.create_task(reporter.run(dispatcher.send))
    await dispatcher.wait_heard({"b": S.RUNNING})
    running.cancel()
    await asyncio.wait([running])


async def test_one_refused_task_does_not_keep_the_others_back(
    reporter, dispatcher, session
) -> None:
    dispatcher.refuse = lambda report: PermissionDeniedError("foreign") if "x" in report else None
    for task in ("a", "b", "x", "c", "d"):
        reporter.update(task, status(S.RUNNING))
    await dispatcher.wait_heard(dict.fromkeys(("a", "b", "c", "d"), S.RUNNING))


async def test_a_report_that_is_too_large_is_split(reporter, dispatcher, session) -> None:
    dispatcher.refuse = lambda report: (
        ResourceExhaustedError("message larger than max") if len(report) > 3 else None
    )
    for number in range(20):
        reporter.update(str(number), status(S.RUNNING))
    await dispatcher.wait_heard({str(number): S.RUNNING for number in range(20)})


async def test_an_unknown_session_ends_the_reports(reporter, dispatcher) -> None:
    dispatcher.refuse = lambda report: InvalidArgumentError("session invalid")
    reporter.update("a", status(S.RUNNING))
    with pytest.raises(InvalidArgumentError):
        await reporter.run(dispatcher.send)
