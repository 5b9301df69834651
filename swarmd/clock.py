"""Time behind one protocol, so that tests and simulations bring their own."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """All times are in seconds, as floats."""

    def now(self) -> float:
        """Wall time since the Unix epoch: for what people and other hosts read."""

    def monotonic(self) -> float:
        """Time that only goes forward: for deadlines and durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after that long; ends at once when cancelled."""


class SystemClock:
    """This host's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def wait_event(event: asyncio.Event, clock: Clock, seconds: float | None) -> None:
    """Return once the event is set, or after that long; None waits for the event alone."""
    if seconds is None:
        await event.wait()
        return
    waits = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
