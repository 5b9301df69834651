"""Keep one worker running: one life after the other, until it is told to stop."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from swarmd import logs
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, SwarmError
from swarmd.ipc.messages import Down, Ready, Status, Up
from swarmd.supervision.child import Spawn
from swarmd.supervision.life import Ending, Life
from swarmd.supervision.phases import MOVES, Event, Phase, after
from swarmd.supervision.restarts import Limits, Restarts

log = logs.get_logger(__name__)


class WorkerRefusedError(CannotBootError):
    """The worker said that starting it again cannot help."""


class WorkerFatalError(SwarmError):
    """The worker ended too often in a row."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What is known of a worker; `since` is wall time, of the last change of `phase`."""

    name: str
    phase: Phase = Phase.STOPPED
    pid: int | None = None
    since: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Who hears of a worker: each change of its state, and what it says. Neither may raise."""

    changed: Callable[[WorkerState], None]
    said: Callable[[str, Up], None]


class Supervisor:
    """The one owner of the worker of this name."""

    def __init__(
        self,
        name: str,
        spawn: Spawn,
        observers: Observers,
        *,
        limits: Limits,
        grace_seconds: float,
        clock: Clock,
        random: Random,
    ) -> None:
        self.state = WorkerState(name, since=clock.now())
        self._spawn = spawn
        self._observers = observers
        self._limits = limits
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._restarts = Restarts(limits, random)
        self._stop = asyncio.Event()
        self._life: Life | None = None
        self._brief: tuple[Down, ...] = ()
        self._was_ready = False

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    async def run(self) -> None:
        """Keep it running until `stop`; it is gone when this returns or raises.

        Raises WorkerRefusedError or WorkerFatalError when it is no use to go on. Cancelled, it
        kills.
        """
        while not self._stop.is_set():
            ending = await self._live()
            if self._stop.is_set():
                self._end(Event.EXITED, ending)
                break
            delay = self._after(ending)
            self._log_restart(ending, delay)
            await self._pause(delay)

    def stop(self) -> None:
        """Take the stop path: TERM, the grace period, KILL. `run` returns when it is gone."""
        if not self.is_stopping:
            self._stop.set()
            if Event.STOP in MOVES[self.state.phase]:
                self._move(Event.STOP)

    def kill(self) -> None:
        """End it now, for good."""
        self.stop()
        if self._life is not None:
            self._life.kill()

    def brief(self, messages: tuple[Down, ...]) -> None:
        """Every child is told these, the running one only what is new. None yet: it waits."""
        self._brief = messages
        if self._life is not None:
            self._life.tell(messages)

    def send(self, message: Down) -> None:
        """Tell the running child once; one that starts later needs no news."""
        if self._life is not None:
            self._life.send(message)

    async def _live(self) -> Ending:
        self._move(Event.SPAWNED, reason="", facts={})
        try:
            life = Life(
                self.state.name,
                self._spawn,
                self._hear,
                limits=self._limits,
                grace_seconds=self._grace_seconds,
                clock=self._clock,
            )
        except OSError as error:
            return Ending("not started", str(error))
        self._life = life
        try:
            self._change(pid=life.pid)
            life.tell(self._brief)
            return await life.run(self._stop)
        finally:
            self._life = None

    def _after(self, ending: Ending) -> float:
        """Seconds to wait before the next life; raises where there should be none."""
        name = self.state.name
        if ending.refused and not (ending.transient and self._was_ready):
            self._end(Event.REFUSED, ending)
            msg = f"{name} cannot boot: {ending.reason or ending.text}"
            raise WorkerRefusedError(msg)
        self._end(Event.EXITED, ending)
        delay = self._delay(ending)
        if delay is None:
            self._move(Event.GAVE_UP)
            msg = f"{name} cannot be kept running, at last: {ending.text} {ending.reason}".rstrip()
            raise WorkerFatalError(msg)
        return delay

    def _delay(self, ending: Ending) -> float | None:
        if ending.refused:
            return self._restarts.after_passing_refusal()
        if ending.ready_seconds is None:
            return self._restarts.after_failed_start()
        return self._restarts.after_life(ending.ready_seconds)

    async def _pause(self, seconds: float) -> None:
        """Ends at once when a stop is asked for."""
        if seconds:
            waits = [
                asyncio.ensure_future(wait)
                for wait in (self._clock.sleep(seconds), self._stop.wait())
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        if not self.is_stopping:
            self._change(restarts=self.state.restarts + 1)

    def _hear(self, message: Up) -> None:
        if isinstance(message, Ready):
            self._was_ready = True
            self._move(Event.READY)
        elif isinstance(message, Status):
            self._change(facts={**self.state.facts, **message.facts})
        self._observers.said(self.state.name, message)

    def _end(self, event: Event, ending: Ending) -> None:
        self._move(event, pid=None, last_exit=ending.text, reason=ending.reason)

    def _move(self, event: Event, **changes: Any) -> None:
        phase = after(self.state.phase, event)
        if phase is not self.state.phase:
            changes |= {"phase": phase, "since": self._clock.now()}
        self._change(**changes)

    def _change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._observers.changed(self.state)

    def _log_restart(self, ending: Ending, delay: float) -> None:
        facts = {"worker": self.state.name, "exit": ending.text, "restart_seconds": round(delay, 3)}
        if ending.reason:
            facts["reason"] = ending.reason
        log.warning("a worker ended", extra=logs.fields(**facts))
