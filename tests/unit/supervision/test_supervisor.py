import asyncio
import random

import pytest

from swarmd.ipc.messages import (
    Alive,
    Configure,
    Failed,
    LogLevel,
    Managers,
    Ready,
    Status,
)
from swarmd.supervision.phases import Phase
from swarmd.supervision.restarts import Limits
from swarmd.supervision.supervisor import (
    Observers,
    Supervisor,
    WorkerFatalError,
    WorkerRefusedError,
)
from tests.fakes.child import FakeSpawn
from tests.fakes.clock import FakeClock

GRACE = 10.0
LIMITS = Limits(start_seconds=30, alive_seconds=5, failed_starts=3, short_lives=4)
BRIEF = (Configure("{}"), LogLevel("info"))


class Bench:
    """One supervisor with a fake clock and fake children, and the phases it went through."""

    def __init__(self, **spawn):
        self.clock = FakeClock()
        self.spawn = FakeSpawn(**spawn)
        self.phases: list[Phase] = []
        self.said = []
        self._moved = asyncio.Event()
        self.supervisor = Supervisor(
            "agent",
            self.spawn,
            Observers(changed=self._changed, said=lambda name, message: self.said.append(message)),
            limits=LIMITS,
            grace_seconds=GRACE,
            clock=self.clock,
            random=random.Random(7),
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def _changed(self, state):
        if [state.phase] != self.phases[-1:]:
            self.phases.append(state.phase)
            self._moved.set()

    @property
    def state(self):
        return self.supervisor.state

    async def wait_phase(self, phase):
        while self.state.phase is not phase:
            self._moved.clear()
            await self._moved.wait()

    async def child(self, number=1, *, ready=True):
        child = await self.spawn.wait_child(number)
        if ready:
            child.say(Ready())
        return child

    async def pass_seconds(self, seconds):
        """Let time pass without skipping over a sleeper's deadline, as real time does."""
        end = self.clock.monotonic() + seconds
        while (rest := end - self.clock.monotonic()) > 1e-9:
            await self.clock.wait_sleepers()
            self.clock.advance(
                seconds=min(rest, max(0, self.clock.next_deadline - self.clock.monotonic()))
            )
            for _ in range(5):
                await asyncio.sleep(0)

    async def pass_backoff(self):
        await self.wait_phase(Phase.BACKOFF)
        await self.clock.wait_sleepers()
        self.clock.advance(seconds=LIMITS.longest_backoff_seconds)


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.task.cancel()
    await asyncio.wait([bench.task])


async def test_a_worker_runs_once_it_said_ready(bench):
    child = await bench.child(ready=False)
    assert Phase.STARTING is bench.state.phase
    child.say(Ready())
    assert Phase.RUNNING is bench.state.phase
    assert child.pid == bench.state.pid


async def test_a_worker_may_say_ready_again(bench):
    child = await bench.child()
    child.say(Ready())
    assert Phase.RUNNING is bench.state.phase


async def test_a_killed_worker_that_was_ready_is_back_at_once(bench):
    first = await bench.child()
    first.exit(-9)
    second = await bench.child(2)
    assert second.pid == bench.state.pid
    assert ("killed by SIGKILL", 1) == (bench.state.last_exit, bench.state.restarts)
    assert 0 == bench.clock.monotonic()


async def test_a_worker_that_keeps_dying_waits_longer_each_time(bench):
    for number in (1, 2):
        (await bench.child(number)).exit(1)
    await bench.wait_phase(Phase.BACKOFF)
    await bench.clock.wait_sleepers()
    assert 2 == len(bench.spawn.children)
    bench.clock.advance(seconds=LIMITS.first_backoff_seconds)
    await bench.child(3)
    assert Phase.RUNNING is bench.state.phase


async def test_a_worker_that_cannot_boot_is_not_started_again(bench):
    child = await bench.child(ready=False)
    child.say(Failed("bad flag", cannot_boot=True))
    child.exit(78)
    with pytest.raises(WorkerRefusedError, match="agent cannot boot: bad flag"):
        await bench.task
    assert (Phase.EXITED, "bad flag") == (bench.state.phase, bench.state.reason)


async def test_one_that_was_ready_and_waits_for_room_on_the_disk_is_started_until_there_is_some(
    bench,
):
    (await bench.child()).exit(-9)
    for number in range(2, LIMITS.failed_starts + 5):
        child = await bench.child(number, ready=False)
        child.say(Failed("the disk is full", cannot_boot=True, transient=True))
        child.exit(78)
        await bench.pass_backoff()
    await bench.child(LIMITS.failed_starts + 5)
    assert Phase.RUNNING is bench.state.phase


async def test_one_that_was_never_ready_does_not_wait_for_room(bench):
    child = await bench.child(ready=False)
    child.say(Failed("the disk is full", cannot_boot=True, transient=True))
    child.exit(78)
    with pytest.raises(WorkerRefusedError, match="the disk is full"):
        await bench.task


async def test_the_exit_status_alone_says_that_it_cannot_boot(bench):
    (await bench.child(ready=False)).exit(78)
    with pytest.raises(WorkerRefusedError, match="exit status 78"):
        await bench.task


async def test_failed_starts_in_a_row_are_fatal(bench):
    for number in range(1, LIMITS.failed_starts + 1):
        child = await bench.child(number, ready=False)
        child.say(Failed("no luck"))
        child.exit(1)
        if number < LIMITS.failed_starts:
            await bench.pass_backoff()
    with pytest.raises(WorkerFatalError, match=r"agent cannot be kept running.*no luck"):
        await bench.task
    assert Phase.FATAL is bench.state.phase


async def test_a_process_that_cannot_be_spawned_is_a_failed_start():
    bench = Bench()
    bench.spawn.error = OSError("no more processes")
    await bench.wait_phase(Phase.BACKOFF)
    assert "no more processes" == bench.state.reason
    bench.spawn.error = None
    await bench.pass_backoff()
    await bench.child(1)
    assert (Phase.RUNNING, "") == (bench.state.phase, bench.state.reason)
    bench.supervisor.stop()
    await bench.task


async def test_a_worker_that_falls_silent_is_killed_and_replaced(bench):
    child = await bench.child()
    await bench.pass_seconds(LIMITS.alive_seconds)
    await bench.child(2)
    assert ["KILL"] == child.signals


async def test_a_sign_of_life_calms_the_watchdog(bench):
    child = await bench.child()
    for _ in range(10):
        await bench.pass_seconds(LIMITS.alive_seconds * 0.9)
        child.say(Alive())
    assert [] == child.signals


async def test_a_worker_that_never_speaks_has_longer(bench):
    child = await bench.child(ready=False)
    await bench.pass_seconds(LIMITS.start_seconds - 0.5)
    assert [] == child.signals
    await bench.pass_seconds(0.5)
    await bench.wait_phase(Phase.BACKOFF)
    assert ["KILL"] == child.signals
    assert "gave no sign of life for 30 s" == bench.state.reason


async def test_a_parent_that_was_stopped_itself_does_not_blame_its_workers(bench):
    child = await bench.child()
    await bench.clock.wait_sleepers()
    bench.clock.advance(seconds=3600)
    await bench.clock.wait_sleepers()
    assert [] == child.signals
    await bench.pass_seconds(LIMITS.alive_seconds)
    await bench.child(2)
    assert ["KILL"] == child.signals


async def test_a_stop_asks_first_and_the_worker_goes(bench):
    child = await bench.child()
    bench.supervisor.stop()
    assert Phase.STOPPING is bench.state.phase
    await bench.task
    assert ["TERM"] == child.signals
    assert (Phase.STOPPED, None) == (bench.state.phase, bench.state.pid)


async def test_a_worker_that_ignores_a_stop_is_killed_after_its_grace():
    bench = Bench(ignores_stop=True)
    child = await bench.child()
    bench.supervisor.stop()
    await bench.clock.wait_sleepers(2)
    for _ in range(4):
        child.say(Alive())
        await bench.pass_seconds(GRACE / 4)
    await bench.task
    assert ["TERM", "KILL"] == child.signals


async def test_ready_may_cross_a_stop(bench):
    child = await bench.child(ready=False)
    bench.supervisor.stop()
    child.say(Ready())
    await bench.task
    assert [Phase.STARTING, Phase.STOPPING, Phase.STOPPED] == bench.phases


async def test_a_refusal_may_cross_a_stop(bench):
    child = await bench.child(ready=False)
    bench.supervisor.stop()
    child.say(Failed("bad flag", cannot_boot=True))
    await bench.task
    assert Phase.STOPPED is bench.state.phase


async def test_a_stop_during_the_back_off_ends_it_at_once(bench):
    (await bench.child(ready=False)).exit(1)
    await bench.wait_phase(Phase.BACKOFF)
    bench.supervisor.stop()
    await bench.task
    assert (Phase.STOPPED, 1) == (bench.state.phase, len(bench.spawn.children))


async def test_a_stop_before_the_start_starts_nothing():
    bench = Bench()
    bench.supervisor.stop()
    await bench.task
    assert [] == bench.spawn.children


async def test_a_kill_does_not_wait():
    bench = Bench(ignores_stop=True)
    child = await bench.child()
    bench.supervisor.kill()
    await bench.task
    assert "KILL" in child.signals
    assert Phase.STOPPED is bench.state.phase


async def test_a_child_does_not_outlive_a_cancelled_supervisor():
    bench = Bench(ignores_stop=True)
    child = await bench.child()
    bench.task.cancel()
    await asyncio.wait([bench.task])
    assert ["KILL"] == child.signals


async def test_a_child_is_told_its_brief_and_later_only_what_is_new(bench):
    child = await bench.child()
    bench.supervisor.brief(BRIEF)
    bench.supervisor.brief((*BRIEF, Managers(("a:1",))))
    bench.supervisor.brief((BRIEF[0], LogLevel("debug"), Managers(("a:1",))))
    assert [*BRIEF, Managers(("a:1",)), LogLevel("debug")] == child.sent


async def test_the_next_child_is_told_everything(bench):
    bench.supervisor.brief(BRIEF)
    (await bench.child()).exit(1)
    assert [*BRIEF] == (await bench.child(2)).sent


async def test_a_child_without_a_brief_hears_no_news(bench):
    child = await bench.child(ready=False)
    bench.supervisor.send(LogLevel("debug"))
    assert [] == child.sent
    bench.supervisor.brief(BRIEF)
    bench.supervisor.send(LogLevel("debug"))
    assert [*BRIEF, LogLevel("debug")] == child.sent


async def test_facts_are_kept_until_the_worker_is_replaced(bench):
    child = await bench.child()
    child.say(Status({"a": "1", "b": "2"}))
    child.say(Status({"b": "3"}))
    assert {"a": "1", "b": "3"} == bench.state.facts
    child.exit(1)
    await bench.child(2)
    assert {} == bench.state.facts


async def test_what_a_worker_says_is_passed_on(bench):
    child = await bench.child()
    child.say(Alive())
    assert [Ready(), Alive()] == bench.said
