"""Node: the heart of the parent. Four one-shot events, and start, stop, err.

    call      before start           running            stop asked         closed
    start()   runs                   NodeStartedError   NodeStoppedError   error or NodeStoppedError
    stop()    NodeNotStartedError    stops, waits       waits              returns, or the error
    err()     waits                  waits              waits              the error, or none

A call ends at once when its caller is cancelled, without changing the node.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random, SystemRandom
from typing import Any

import swarmd
from swarmd import logs
from swarmd.clock import Clock, SystemClock
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, SwarmError
from swarmd.ipc.messages import (
    CertificateRenewed,
    Configure,
    Locked,
    LogLevel,
    NodeChanged,
    Quorum,
    UnlockKey,
    Up,
)
from swarmd.node import plan
from swarmd.node.crew import Crew
from swarmd.node.errors import (
    NodeBrokenError,
    NodeKilledError,
    NodeNotStartedError,
    NodeStartedError,
    NodeStoppedError,
)
from swarmd.node.lock import hold_lock
from swarmd.node.phases import NodeEvent, NodePhase, after
from swarmd.node.report import describe, keep_report
from swarmd.quorum_file import is_shared
from swarmd.state_dir import StateDir
from swarmd.supervision.child import Spawn, spawner
from swarmd.supervision.command import Command, worker_command
from swarmd.supervision.phases import Phase
from swarmd.supervision.restarts import Limits
from swarmd.supervision.supervisor import Observers, Supervisor, WorkerState

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a node needs of the world; tests bring their own."""

    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=SystemRandom)
    limits: Limits = field(default_factory=Limits)
    command: Callable[[str], Command] = worker_command
    spawner: Callable[[Command, Limits, int, Mapping[str, str]], Spawn] = spawner


class Node:
    """The node of one state directory. Make it, start it once, stop it as often as you like."""

    def __init__(self, config: NodeConfig, means: Means | None = None) -> None:
        self.started = asyncio.Event()
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self.closed = asyncio.Event()
        self._config = config
        self._means = means or Means()
        self._state_dir = StateDir(config.state_dir)
        self._facts = plan.NodeFacts(joins=bool(config.join_addr))
        self._level = config.log_level
        self._phase = NodePhase.NEW
        self._error: SwarmError | None = None
        self._workers: dict[str, WorkerState] = {}
        self._crew: Crew | None = None
        self._changed = asyncio.Event()
        self._report_change: Callable[[], None] = lambda: None
        self._begun_at = 0.0
        self._started = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the node, once. See the table above for what it raises."""
        if self.closed.is_set():
            raise self._error or NodeStoppedError
        if self.stopped.is_set():
            raise NodeStoppedError
        if self.started.is_set():
            raise NodeStartedError
        self.started.set()
        self._move(NodeEvent.START)
        self._begun_at = self._means.clock.monotonic()
        self._started = self._means.clock.now()
        self._task = asyncio.create_task(self._run(), name="node")

    async def stop(self) -> None:
        """Stop the workers, in order; returns when all is gone, or raises the node's error."""
        if not self.started.is_set():
            raise NodeNotStartedError
        self.ask_to_stop()
        error = await self.err()
        if error is not None:
            raise error

    async def err(self) -> SwarmError | None:
        """Wait until the node is closed; the error that ended it, or None."""
        await self.closed.wait()
        return self._error

    def kill(self) -> None:
        """End the workers now: for somebody who does not want to wait for a stop."""
        if self.started.is_set() and not self.closed.is_set():
            self._error = self._error or NodeKilledError()
            self.ask_to_stop()
            if self._crew is not None:
                self._crew.kill()

    def set_log_level(self, level: str) -> None:
        """Have the workers log from this level on."""
        self._level = level
        self._changed.set()

    def ask_to_stop(self) -> None:
        """Begin the stop path, without waiting for its end."""
        if not self.closed.is_set():
            self.stopped.set()
            self._changed.set()

    async def _run(self) -> None:
        try:
            await self._own_state_dir()
        except SwarmError as error:
            self._error = self._error or error
        except Exception as error:
            log.exception("the node is broken")
            self._error = NodeBrokenError(f"a mistake of our own: {error!r}")
            self._error.__cause__ = error
        finally:
            self._finish()
            self.closed.set()

    async def _own_state_dir(self) -> None:
        try:
            self._state_dir.make()
        except OSError as error:
            msg = f"cannot use the state directory: {error}"
            raise CannotBootError(msg) from error
        async with hold_lock(self._state_dir.lock, self._means.clock, self.stopped) as lock:
            if lock is None:
                return
            quorum = is_shared(self._state_dir.quorum)
            self._facts = replace(self._facts, role=self._certified_role(), quorum=quorum)
            async with keep_report(
                self._state_dir.node_report, self._describe, self._means.random
            ) as report:
                self._report_change = report.change
                await self._live(lock)

    async def _live(self, lock: int) -> None:
        """Have the workers that the plan wants until a stop is asked for or one is given up."""
        configure = Configure(self._config.to_json())
        async with Crew(lambda name: self._supervisor(name, lock), self._changed.set) as crew:
            self._crew = crew
            while not self.stopped.is_set() and crew.error is None:
                self._changed.clear()
                crew.apply(plan.briefs(self._facts, configure, LogLevel(self._level)))
                self._look_whether_ready()
                await self._changed.wait()
            self._move(NodeEvent.STOP if self.stopped.is_set() else NodeEvent.FAIL)
            await crew.stop()
        self._error = self._error or crew.error
        self._finish()

    def _supervisor(self, name: str, lock: int) -> Supervisor:
        means, command = self._means, self._means.command(name)
        return Supervisor(
            name,
            means.spawner(command, means.limits, lock, os.environ),
            Observers(changed=self._on_worker, said=self._on_message),
            limits=means.limits,
            grace_seconds=command.grace_seconds,
            clock=means.clock,
            random=means.random,
        )

    def _on_worker(self, state: WorkerState) -> None:
        self._workers[state.name] = state
        self._changed.set()
        self._report_change()

    def _on_message(self, worker: str, message: Up) -> None:
        if isinstance(message, NodeChanged):
            self._facts = plan.with_news(self._facts, worker, message)
            self._changed.set()
            self._report_change()
        elif isinstance(message, Locked | UnlockKey):
            self._facts = plan.with_lock(self._facts, message)
            self._changed.set()
            self._report_change()
        elif isinstance(message, Quorum):
            self._facts = replace(self._facts, quorum=message.shared)
            self._changed.set()
        elif isinstance(message, CertificateRenewed) and self._crew is not None:
            self._crew.tell_others(worker, message)

    def _look_whether_ready(self) -> None:
        running = {name for name, state in self._workers.items() if state.phase is Phase.RUNNING}
        if self._phase is NodePhase.STARTING and not plan.missing(self._facts, running):
            self._move(NodeEvent.READY)
            self.ready.set()
            spent = self._means.clock.monotonic() - self._begun_at
            facts = {"node": self._facts.node_id, "role": self._facts.role}
            log.info("node is ready", extra=logs.fields(**facts, seconds=round(spent, 3)))

    def _certified_role(self) -> str:
        try:
            return plan.role_in_certificate(self._state_dir.node_certificate.read_bytes())
        except FileNotFoundError:
            return ""
        except OSError as error:
            msg = f"cannot read the node's certificate: {error}"
            raise CannotBootError(msg) from error

    def _describe(self) -> dict[str, Any]:
        return {
            "version": swarmd.__version__,
            "pid": os.getpid(),
            "started": self._started,
            "control_api": str(self._config.listen_control_api),
            **describe(self._facts, self._phase, self._workers.values(), self._error),
        }

    def _finish(self) -> None:
        if self._phase in {NodePhase.STARTING, NodePhase.READY}:
            self._move(NodeEvent.FAIL)
        if self._phase is NodePhase.STOPPING:
            self._move(NodeEvent.END)

    def _move(self, event: NodeEvent) -> None:
        self._phase = after(self._phase, event)
        self._report_change()
