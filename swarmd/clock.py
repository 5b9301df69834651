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
