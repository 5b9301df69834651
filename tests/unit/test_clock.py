import asyncio

from swarmd.clock import wait_event
from tests.fakes.clock import FakeClock


async def test_a_wait_ends_with_the_event_and_leaves_no_sleeper():
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_event(event, clock, 10))
    await clock.wait_sleepers()
    event.set()
    await waiting
    assert 0 == clock.sleepers


async def test_a_wait_ends_when_its_time_is_over():
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_event(event, clock, 10))
    await clock.wait_sleepers()
    clock.advance(seconds=10)
    await waiting
    assert not event.is_set()


async def test_a_wait_without_a_time_is_for_the_event_alone():
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_event(event, clock, None))
    await asyncio.sleep(0)
    assert 0 == clock.sleepers
    event.set()
    await waiting


async def test_a_cancelled_wait_leaves_no_sleeper():
    clock = FakeClock()
    waiting = asyncio.create_task(wait_event(asyncio.Event(), clock, 10))
    await clock.wait_sleepers()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert 0 == clock.sleepers
