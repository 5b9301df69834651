"""One life of a worker, from spawn to end: what it said, a watchdog beside it, its stop."""

import asyncio
from dataclasses import dataclass
from typing import Final

from swarmd import logs
from swarmd.clock import Clock
from swarmd.errors import ExitStatus
from swarmd.ipc.messages import Down, Failed, Ready, Up
from swarmd.supervision.child import Hear, Spawn
from swarmd.supervision.exits import exit_text
from swarmd.supervision.restarts import Limits

log = logs.get_logger(__name__)
_OVERSLEPT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a life ended. `ready_seconds` is None where it never said Ready."""

    text: str
    reason: str
    refused: bool = False
    transient: bool = False
    ready_seconds: float | None = None


class Life:
    """A child, spawned when this object is made; raises OSError where that fails."""

    def __init__(
        self,
        name: str,
        spawn: Spawn,
        hear: Hear,
        *,
        limits: Limits,
        grace_seconds: float,
        clock: Clock,
    ) -> None:
        self._name = name
        self._hear = hear
        self._limits = limits
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._heard_at = clock.monotonic()
        self._spoke = False
        self._ready_at: float | None = None
        self._failed = Failed("")
        self._told: tuple[Down, ...] = ()
        self._child = spawn(self._take)

    @property
    def pid(self) -> int:
        return self._child.pid

    def tell(self, messages: tuple[Down, ...]) -> None:
        """Send those that were not among the last ones told."""
        for message in messages:
            if message not in self._told:
                self._child.send(message)
        self._told = messages

    def send(self, message: Down) -> None:
        """Send it to one that was told its configuration; another needs no news."""
        if self._told:
            self._child.send(message)

    def kill(self) -> None:
        self._child.kill()

    async def run(self, stop: asyncio.Event) -> Ending:
        """Wait for its end, which `stop` brings about. Cancelled, it kills."""
        try:
            async with asyncio.TaskGroup() as group:
                watchdog = group.create_task(self._kill_when_silent())
                stopper = group.create_task(self._end_after(stop))
                status = await self._child.wait()
                watchdog.cancel()
                stopper.cancel()
        except BaseException:
            self._child.kill()
            await self._child.wait()
            raise
        return self._ending(status)

    def _take(self, message: Up) -> None:
        self._spoke = True
        self._heard_at = self._clock.monotonic()
        if isinstance(message, Ready) and self._ready_at is None:
            self._ready_at = self._heard_at
        elif isinstance(message, Failed):
            self._failed = message
        self._hear(message)

    async def _kill_when_silent(self) -> None:
        """A worker whose loop is stuck, or that never came to have one, is of no use."""
        while (rest := self._patience - (self._clock.monotonic() - self._heard_at)) > 0:
            asleep_at = self._clock.monotonic()
            nap = min(rest, self._limits.alive_seconds)  # its first word shortens our patience
            await self._clock.sleep(nap)
            # Where this process itself was stopped or starved, its silence is ours: listen first.
            if self._clock.monotonic() - asleep_at - nap > _OVERSLEPT_SECONDS:
                self._heard_at = self._clock.monotonic()
        self._failed = Failed(f"gave no sign of life for {self._patience:g} s")
        log.error("a worker hangs: killing it", extra=logs.fields(worker=self._name, pid=self.pid))
        self._child.kill()

    @property
    def _patience(self) -> float:
        return self._limits.alive_seconds if self._spoke else self._limits.start_seconds

    async def _end_after(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._child.terminate()
        await self._clock.sleep(self._grace_seconds)
        log.error(
            "a worker did not stop within its grace period: killing it",
            extra=logs.fields(worker=self._name, pid=self.pid, seconds=self._grace_seconds),
        )
        self._child.kill()

    def _ending(self, status: int) -> Ending:
        lived = None if self._ready_at is None else self._clock.monotonic() - self._ready_at
        refused = self._failed.cannot_boot or status == ExitStatus.CANNOT_BOOT
        failed = self._failed
        return Ending(exit_text(status), failed.reason, refused, failed.transient, lived)
