"""Says when this host's clock jumps: nothing waits by it, but certificates are judged by it."""

from typing import Final

from swarmd.clock import Clock
from swarmd.logs import fields, get_logger

log = get_logger(__name__)
_LOOK_SECONDS: Final = 2.0
_JUMP_SECONDS: Final = 1.0


class WallClock:
    """Held against the time that only goes forward."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        was = self._ahead()
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            now = self._ahead()
            if abs(now - was) >= _JUMP_SECONDS:
                message = (
                    "this host's clock jumped: it was set, or the host slept. Leadership and tasks "
                    "do not go by it; certificates do: see to it that it is right"
                )
                log.warning(message, extra=fields(seconds=round(now - was)))
            was = now

    def _ahead(self) -> float:
        return self._clock.now() - self._clock.monotonic()
