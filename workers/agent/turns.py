"""So many at a time: how a node that was given 1,000 tasks at once stays responsive."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from swarmd.clock import Clock


class Turns:
    """At most `count` operations begin at a time.

    One that takes longer than `seconds` (a slow health check, a large image) keeps going, but no
    longer holds a turn: it must not hold up the others.
    """

    def __init__(self, count: int, seconds: float, clock: Clock) -> None:
        self._free = asyncio.Semaphore(count)
        self._seconds = seconds
        self._clock = clock

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and give it back in the end."""
        await self._free.acquire()
        timer = asyncio.ensure_future(self._clock.sleep(self._seconds))
        timer.add_done_callback(lambda _: self._free.release())
        try:
            yield
        finally:
            timer.cancel()
