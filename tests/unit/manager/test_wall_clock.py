"""A clock that is set is told once, and one that is only read is not."""

import asyncio
import logging

import pytest

from tests.fakes.clock import FakeClock
from workers.manager.wall_clock import WallClock


async def test_each_jump_is_told_once(caplog: pytest.LogCaptureFixture):
    clock = FakeClock()
    watching = asyncio.create_task(WallClock(clock).run())
    told = []
    with caplog.at_level(logging.WARNING):
        for shift in (0.0, 3_600.0, 0.0, -7_200.0, 0.5):
            await clock.wait_sleepers()
            clock._start += shift
            clock.advance(seconds=2.0)
            await clock.wait_sleepers()
            told.append(len(caplog.records))
    watching.cancel()
    assert [0, 1, 1, 2, 2] == told
