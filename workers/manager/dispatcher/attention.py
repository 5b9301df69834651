"""Attention: the time in which this manager could take its agents' calls.

A node is lost when it was silent, not when we did not listen. So silence is counted in this time:
it stands still while the event loop is late, and nobody is judged before every call that came was
taken.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger

LOOK_SECONDS: Final = 0.5
LATE_SECONDS: Final = 0.5  # less is what a busy host does to anybody
_RETRY_SECONDS: Final = 1.0

log = get_logger(__name__)
Hear = Callable[[], Awaitable[None]]


async def _no_calls_wait() -> None:
    return


class Attention:
    """A clock of its own; `hear` returns once each call that came before it was asked is taken."""

    def __init__(self, clock: Clock, hear: Hear = _no_calls_wait) -> None:
        self.hear = hear
        self._clock = clock
        self._missed = 0.0

    def now(self) -> float:
        """Seconds, without those that were missed."""
        return self._clock.monotonic() - self._missed

    async def run(self) -> None:
        """Notice when the event loop is late, until cancelled."""
        while True:
            begun = self._clock.monotonic()
            await self._clock.sleep(LOOK_SECONDS)
            self._miss(self._clock.monotonic() - begun - LOOK_SECONDS, "the event loop was late")

    async def catch_up(self) -> bool:
        """Take each call that waits; False where that took long, and nobody is to be judged."""
        begun = self._clock.monotonic()
        try:
            await self.hear()
        except SwarmError as error:
            self._miss(_RETRY_SECONDS, str(error))
            return False
        took = self._clock.monotonic() - begun
        # Twice: who gave up a call meanwhile pauses before the next.
        return not self._miss(2 * took, "calls had to wait")

    def _miss(self, seconds: float, reason: str) -> bool:
        """Whether that is too long to be overlooked."""
        if seconds <= LATE_SECONDS:
            return False
        self._missed += seconds
        log.warning("nodes get more time", extra=fields(seconds=round(seconds, 1), reason=reason))
        return True
