"""Grace: how long a node may be silent, and who has been silent for too long."""

import asyncio
import heapq
from random import Random
from typing import Any, Final

from swarmd.clock import Clock
from workers.manager.dispatcher.attention import Attention

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
    old time for it, and finds out when that comes. Times are those of the `attention`.
    """

    def __init__(self, clock: Clock, attention: Attention | None = None) -> None:
        self._clock = clock
        self._attention = attention or Attention(clock)
        self._at: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        self._queued: dict[str, float] = {}  # each key's earliest time in the queue
        self._sooner = asyncio.Event()

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def set(self, key: str, seconds: float) -> None:
        """The key is due that long from now, and no earlier."""
        at = self._attention.now() + seconds
        self._at[key] = at
        if at < self._queued.get(key, float("inf")):
            self._push(at, key)

    def drop(self, key: str) -> None:
        """The key is never due."""
        self._at.pop(key, None)

    def clear(self) -> None:
        self._at.clear()

    async def next_due(self) -> list[str]:
        """The keys that are due, once there is one; they are dropped.

        Whoever moves a key on by a call has it done first, if the call came in time.
        """
        while True:
            now = self._attention.now()
            self._refresh(now)
            if self._is_due(now) and await self._attention.catch_up():
                due = self._pop_due(now)
                if due:
                    return due
            await self._wait()

    def _push(self, at: float, key: str) -> None:
        if not self._queue or at < self._queue[0][0]:
            self._sooner.set()
        heapq.heappush(self._queue, (at, key))
        self._queued[key] = at

    def _is_due(self, now: float) -> bool:
        return bool(self._queue) and self._queue[0][0] <= now

    def _refresh(self, now: float) -> None:
        """Put those that were moved on to their new places in the queue."""
        # Those that are nearly due go in the same turn: else a thousand nodes that beat as they
        # should would wake us a thousand times.
        for key in self._pop(now + _TURN_SECONDS):
            self._push(self._at[key], key)

    def _pop_due(self, now: float) -> list[str]:
        due = []
        for key in self._pop(now):
            if self._at[key] <= now:
                del self._at[key]
                due.append(key)
            else:
                self._push(self._at[key], key)
        return due

    def _pop(self, until: float) -> list[str]:
        """The keys that the queue has up to that time, dropped ones left out."""
        found = []
        while self._queue and self._queue[0][0] <= until:
            at, key = heapq.heappop(self._queue)
            if self._queued.get(key) != at:
                continue  # an earlier entry took its place
            del self._queued[key]
            if key in self._at:
                found.append(key)
        return found

    async def _wait(self) -> None:
        """Sleep until the first in the queue, or until another comes before it."""
        self._sooner.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._sooner.wait())]
        if self._queue:
            seconds = self._queue[0][0] - self._attention.now()
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
