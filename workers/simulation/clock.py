"""The clock of one host: it follows the loop's time, and its wall time can be wrong."""

import asyncio
from typing import Final

START: Final = 1_700_000_000.0


class SimulatedClock:
    """A `Clock` over the running loop; `step` is how far its wall time is off, in seconds."""

    def __init__(self, step: float = 0.0) -> None:
        self.step = step
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return START + self._loop.time() + self.step

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
