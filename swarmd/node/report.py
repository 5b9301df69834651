"""run/node.json: what this node and its workers are, for `swarmd status`.

    version, pid, started   swarmd's, the parent's, and the wall time at which that started
    node_id, cluster_id, role, remote_addr
    phase                   starting, locked, ready, degraded, stopping, stopped
    ready, reason           whether it is ready now; why not, or why it ended
    control_api             the control socket's path
    processes               name, state, pid, since, restarts, last_exit, reason, facts of each

Who reads it checks that the lock is held: a killed parent leaves its last report behind.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Final

from swarmd import logs
from swarmd.backoff import Backoff
from swarmd.node.phases import NodePhase
from swarmd.node.plan import NodeFacts, missing
from swarmd.state_dir import replace_file
from swarmd.supervision.phases import Phase
from swarmd.supervision.supervisor import WorkerState

Snapshot = Callable[[], dict[str, Any]]
log = logs.get_logger(__name__)
_FIRST_RETRY_SECONDS: Final = 0.5
_LAST_RETRY_SECONDS: Final = 15.0


def describe(
    facts: NodeFacts, phase: NodePhase, workers: Iterable[WorkerState], error: Exception | None
) -> dict[str, Any]:
    """The part of the report that changes (pure)."""
    running = {worker.name for worker in workers if worker.phase is Phase.RUNNING}
    lacks = missing(facts, running)
    was_ready = phase is NodePhase.READY
    return {
        "node_id": facts.node_id,
        "cluster_id": facts.cluster_id,
        "role": facts.role,
        "remote_addr": facts.remote_addr,
        "phase": _phase(facts, phase, lacks),
        "ready": was_ready and not lacks,
        "reason": str(error) if error else lacks if phase in _UP else "",
        "processes": [_process(worker) for worker in workers],
    }


_UP = (NodePhase.STARTING, NodePhase.READY)


def _phase(facts: NodeFacts, phase: NodePhase, lacks: str) -> str:
    if facts.locked and phase in _UP:
        return "locked"
    return "degraded" if phase is NodePhase.READY and lacks else str(phase)


def _process(worker: WorkerState) -> dict[str, Any]:
    facts = asdict(worker)
    return {"name": facts.pop("name"), "state": str(facts.pop("phase")), **facts}


class NodeReport:
    """Writes the file after changes; those that come while it writes, together."""

    def __init__(self, path: Path, snapshot: Snapshot, random: Random) -> None:
        self._path = path
        self._snapshot = snapshot
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self._changed = asyncio.Event()
        self._closed = False
        self._failed = False

    def change(self) -> None:
        """Something changed: the file follows in a moment."""
        self._changed.set()

    def close(self) -> None:
        """Write once more, and end."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Follow the changes until `close`. Not for cancelling, which could cross two writes."""
        closed = False
        while not closed:
            await self._changed.wait()
            self._changed.clear()
            closed = self._closed
            # In a thread: on a busy disk this can take seconds, and the parent has to listen.
            await asyncio.to_thread(self._write, json.dumps(self._snapshot()).encode())
            if self._failed:
                asyncio.get_running_loop().call_later(self._backoff.next(), self.change)

    def _write(self, data: bytes) -> None:
        """A full disk is logged, once: the node goes on without a report until there is room."""
        try:
            replace_file(self._path, data)
        except OSError as error:
            if not self._failed:
                log.warning("cannot write the report", extra=logs.fields(reason=error))
            self._failed = True
        else:
            self._failed = False
            self._backoff.reset()


@contextlib.asynccontextmanager
async def keep_report(path: Path, snapshot: Snapshot, random: Random) -> AsyncIterator[NodeReport]:
    """Keep the file true while the block runs, and as it is left."""
    report = NodeReport(path, snapshot, random)
    writer = asyncio.create_task(report.run(), name="node report")
    report.change()
    try:
        yield report
    finally:
        report.close()
        await writer
