"""The workers of a node, as the plan wants them."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from swarmd.errors import SwarmError
from swarmd.ipc.messages import Down
from swarmd.node.plan import STOP_ORDER
from swarmd.supervision.supervisor import Supervisor, WorkerFatalError, WorkerRefusedError


class Crew:
    """One supervisor a worker, for an `async with` block that none of them outlives.

    `changed` is called when one of them ended; it may not raise.
    """

    def __init__(self, make: Callable[[str], Supervisor], changed: Callable[[], None]) -> None:
        self.error: SwarmError | None = None
        """Why the node cannot go on, as the first worker that was given up says it."""
        self._make = make
        self._changed = changed
        self._members: dict[str, tuple[Supervisor, asyncio.Task[None]]] = {}
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._group.__aexit__(kind, error, traceback)

    def apply(self, briefs: Mapping[str, tuple[Down, ...]]) -> None:
        """Have exactly these workers, each told this; who is on its way out is left to go first."""
        for name, (supervisor, _) in self._members.items():
            if name not in briefs:
                supervisor.stop()
        for name, brief in briefs.items():
            if name not in self._members:
                self._start(name)
            supervisor, _ = self._members[name]
            supervisor.brief(brief)

    def tell_others(self, sender: str, message: Down) -> None:
        """Pass on what one worker said to the others."""
        for name, (supervisor, _) in self._members.items():
            if name != sender:
                supervisor.send(message)

    async def stop(self) -> None:
        """Stop one after the other; returns when all are gone."""
        for name in STOP_ORDER:
            if name in self._members:
                supervisor, task = self._members[name]
                supervisor.stop()
                await asyncio.wait([task])

    def kill(self) -> None:
        """End all of them now."""
        for supervisor, _ in self._members.values():
            supervisor.kill()

    def _start(self, name: str) -> None:
        supervisor = self._make(name)
        task = self._group.create_task(self._keep(name, supervisor), name=f"keep {name}")
        self._members[name] = (supervisor, task)

    async def _keep(self, name: str, supervisor: Supervisor) -> None:
        try:
            await supervisor.run()
        except (WorkerRefusedError, WorkerFatalError) as error:
            self.error = self.error or error
        finally:
            del self._members[name]
            self._changed()
