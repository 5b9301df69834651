"""Grace: how long a node may be silent, and who has been silent for too long."""

import asyncio
import heapq
from random import Random
from typing import Any, Final

from swarmd.clock import Clock

DEFAULT_PERIOD_SECONDS: Final = 5.0
_JITTER_SECONDS: Final = 0.5
GRACE_PERIODS: Final = 3
_TURN_SECONDS: Final = 0.5
UNKNOWN_GRACE_PERIODS: Final = 6  # after a change of leader agents have to find the new one first


def jittered(period_seconds: float, random: Random) -> float:
    """A period for one node, a little off, so that their heartbeats do not fall together."""
    jitter = min(_JITTER_SECONDS, period_seconds / 2)
    return period_seconds + random.uniform(-jitter, jitter)


class Deadlines:
    """Many deadlines, one sleeper.

    Moving a deadline, as each heartbeat does, costs one entry in a dictionary: the queue has an
    old time for it, and finds out when that comes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        self._queued: dict[str, float] = {}  # each key's earliest time in the queue
        self._sooner = asyncio.Event()

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def set(self, key: str, seconds: float) -> None:
        """The key is due that long from now, and no earlier."""
        at = self._clock.monotonic() + seconds
        self._at[key] = at
        if at < self._queued.get(key, float("inf")):
            self._push(at, key)

    def drop(self, key: str) -> None:
        """The key is never due."""
        self._at.pop(key, None)

    def clear(self) -> None:
        self._at.clear()

    async def next_due(self) -> list[str]:
        """The keys that are due, once there is one; they are dropped."""
        while True:
            due = self._pop_due()
            if due:
                return due
            await self._wait()

    def _push(self, at: float, key: str) -> None:
        if not self._queue or at < self._queue[0][0]:
            self._sooner.set()
        heapq.heappush(self._queue, (at, key))
        self._queued[key] = at

    def _pop_due(self) -> list[str]:
        now = self._clock.monotonic()
        due, later = [], []
        # Entries that are nearly due, and were moved on long ago, go in the same turn: else a
        # thousand nodes that beat as they should would wake us a thousand times.
        while self._queue and self._queue[0][0] <= now + _TURN_SECONDS:
            at, key = heapq.heappop(self._queue)
            if self._queued.get(key) != at:
                continue  # an earlier entry took its place
            del self._queued[key]
            really = self._at.get(key)
            if really is not None and really <= now:
                del self._at[key]
                due.append(key)
            elif really is not None:
                later.append((really, key))
        for really, key in later:
            self._push(really, key)
        return due

    async def _wait(self) -> None:
        """Sleep until the first in the queue, or until another comes before it."""
        self._sooner.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._sooner.wait())]
        if self._queue:
            seconds = self._queue[0][0] - self._clock.monotonic()
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
