"""The fake clock: what tests of everything else rely on."""

import asyncio

from tests.fakes.clock import START, FakeClock


async def test_time_stands_still_until_advanced() -> None:
    clock = FakeClock()
    assert (START, 0.0) == (clock.now(), clock.monotonic())
    clock.advance(seconds=2.5)
    assert (START + 2.5, 2.5) == (clock.now(), clock.monotonic())


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock = FakeClock()
    woken = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 3.0), ("soon", 1.0), ("also soon", 1.0)):
            group.create_task(sleeper(name, seconds))
        await clock.wait_sleepers(3)
        clock.advance(seconds=3)
    assert ["soon", "also soon", "late"] == woken


async def test_who_is_not_due_sleeps_on() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.wait_sleepers(1)
    clock.advance(seconds=9.9)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(seconds=0.1)
    await sleeper


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.wait_sleepers(1)
    sleeper.cancel()
    await asyncio.wait([sleeper])
    assert 0 == clock.sleepers
    assert clock.next_deadline is None
