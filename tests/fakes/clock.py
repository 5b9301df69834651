"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import Final

START: Final = 1_700_000_000.0


@dataclass(order=True)
class _Sleeper:
    deadline: float
    turn: int  # of two with one deadline, who slept first wakes first
    woken: "asyncio.Future[None]" = field(compare=False)


class FakeClock:
    """`now` and `monotonic` move by `advance` alone; `sleep` waits for it."""

    def __init__(self, start: float = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[_Sleeper] = []
        self._turns = itertools.count()
        self._more_sleepers = asyncio.Event()

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many calls of `sleep` wait now."""
        return sum(not sleeper.woken.done() for sleeper in self._sleepers)

    @property
    def next_deadline(self) -> float | None:
        """The monotonic time at which the next sleeper wakes; None when nobody sleeps."""
        self._drop_cancelled()
        return self._sleepers[0].deadline if self._sleepers else None

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, _Sleeper(self._elapsed + seconds, next(self._turns), woken))
        self._more_sleepers.set()
        await woken

    def advance(self, *, seconds: float) -> None:
        """Let that much time pass: who is due wakes, in the order of the deadlines.

        Sleepers run at the next await of the caller, and all see the new time.
        """
        assert seconds >= 0, "time does not go back"
        self._elapsed += seconds
        # A sum of floats may miss its target by a hair: 0.1 + 0.2 > 0.3.
        while self._sleepers and self._sleepers[0].deadline <= self._elapsed + 1e-9:
            sleeper = heapq.heappop(self._sleepers)
            if not sleeper.woken.done():
                sleeper.woken.set_result(None)

    async def wait_sleepers(self, count: int = 1) -> None:
        """Return once at least that many calls of `sleep` wait."""
        while self.sleepers < count:
            self._more_sleepers.clear()
            await self._more_sleepers.wait()

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0].woken.done():
            heapq.heappop(self._sleepers)
