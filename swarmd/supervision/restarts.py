"""When to start a worker again, and when to give up (pure).

A start fails when the worker ends before it said Ready. A life is short when it ends before the
worker settled. The first end of a worker that was ready is mended at once; who keeps ending waits
longer each time; who ends too often in a row is given up, and the node with it: whoever started
swarmd takes over.
"""

from dataclasses import dataclass
from random import Random

from swarmd.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient a supervisor is; the defaults are those of production."""

    start_seconds: float = 30.0  # from the spawn to the first Alive: interpreter and imports
    alive_seconds: float = 5.0  # without an Alive, after the first
    alive_period_seconds: float = 0.5
    orphan_seconds: float = 4.0  # for a worker's stop path when the parent is gone
    settled_seconds: float = 10.0
    failed_starts: int = 5
    short_lives: int = 10
    first_backoff_seconds: float = 0.2
    longest_backoff_seconds: float = 30.0


class Restarts:
    """Counts the ends of one worker."""

    def __init__(self, limits: Limits, random: Random) -> None:
        self._limits = limits
        self._backoff = Backoff(
            limits.first_backoff_seconds, limits.longest_backoff_seconds, random
        )
        self._failed_starts = 0
        self._short_lives = 0

    def after_failed_start(self) -> float | None:
        """Seconds to wait before the next start; None to give up."""
        self._failed_starts += 1
        if self._failed_starts >= self._limits.failed_starts:
            return None
        return self._backoff.next()

    def after_passing_refusal(self) -> float:
        """The same, for one that was ready before and waits for room on the disk; for ever."""
        return self._backoff.next()

    def after_life(self, ready_seconds: float) -> float | None:
        """The same, for a worker that had been ready for that long."""
        self._failed_starts = 0
        if ready_seconds >= self._limits.settled_seconds:
            self._short_lives = 0
            self._backoff.reset()
        self._short_lives += 1
        if self._short_lives >= self._limits.short_lives:
            return None
        return 0.0 if self._short_lives == 1 else self._backoff.next()
