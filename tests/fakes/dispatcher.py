"""A manager of one service: a dispatcher that says what its test says, over real gRPC and TLS."""

import asyncio
import contextlib
import itertools
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from swarmd import api
from swarmd.api import times
from swarmd.api.protos.dispatcher_pb2_grpc import DispatcherServicer
from swarmd.clock import SystemClock
from swarmd.errors import InvalidArgumentError, SwarmError
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.server import make_server
from swarmd.security.certificates import NodeCertificates

Type = api.AssignmentsMessage.Type
Action = api.AssignmentChange.AssignmentAction


def change(item: Any, action: int = Action.UPDATE) -> api.AssignmentChange:
    """A task, secret or config, to update or to remove."""
    kind = type(item).__name__.lower()
    return api.AssignmentChange(assignment=api.Assignment(**{kind: item}), action=action)


class FakeDispatcher(DispatcherServicer):
    """One node's dispatcher. `refuse` is raised from registrations, while it is set."""

    def __init__(self) -> None:
        self.tasks: dict[str, api.Task] = {}
        self.others: list[Any] = []
        self.managers: list[api.WeightedPeer] = []
        self.node = api.Node(id="node")
        self.period = 0.05
        self.refuse: SwarmError | None = None
        self.hangs = False
        self.requests: list[api.SessionRequest] = []
        self.statuses: dict[str, list[api.TaskStatus]] = {}
        self.heartbeats = 0
        self.session_id = ""
        self._sessions = itertools.count(1)
        self._messages: asyncio.Queue[api.SessionMessage] = asyncio.Queue()
        self._assignments: asyncio.Queue[api.AssignmentsMessage] = asyncio.Queue()
        self._sequence = 0
        self._news = asyncio.Condition()

    # What the test says.

    def assign(self, *items: Any) -> None:
        """Assign these, or newer versions of them, by a difference."""
        for item in items:
            self._keep(item)
        self._send([change(item) for item in items])

    def unassign(self, *items: Any) -> None:
        """Take these away, by a difference."""
        for item in items:
            self.tasks.pop(item.id, None)
        self._send([change(item, Action.REMOVE) for item in items])

    def lose(self, item: Any) -> None:
        """Assign this, and lose the message that says so."""
        self._keep(item)
        self._sequence += 1

    def tell(self, **fields: Any) -> None:
        """Send a message on the session's stream."""
        self._messages.put_nowait(api.SessionMessage(session_id=self.session_id, **fields))

    async def wait(self, seen: Callable[[], bool]) -> None:
        """Return once that is so; asked after each call of the agent."""
        async with self._news, asyncio.timeout(20):
            await self._news.wait_for(seen)

    async def wait_state(self, task: api.Task, state: int) -> api.TaskStatus:
        await self.wait(lambda: self.state(task) == state)
        return self.statuses[task.id][-1]

    def state(self, task: api.Task) -> int | None:
        told = self.statuses.get(task.id)
        return told[-1].state if told else None

    # What the agent calls.

    async def Session(self, request: Any, context: Any) -> AsyncIterator[api.SessionMessage]:  # noqa: N802
        self.requests.append(request)
        if self.refuse is not None:
            await self._notify()
            raise self.refuse
        if not request.session_id or request.session_id != self.session_id:
            self.session_id = f"session-{next(self._sessions)}"
        self._messages = messages = asyncio.Queue()
        self.tell(node=self.node, managers=self.managers)
        await self._notify()
        while True:
            yield await messages.get()

    async def Heartbeat(self, request: Any, context: Any) -> api.HeartbeatResponse:  # noqa: N802
        self._check(request.session_id)
        if self.hangs:
            await asyncio.sleep(60)
        self.heartbeats += 1
        await self._notify()
        return api.HeartbeatResponse(period=times.duration(self.period))

    async def Assignments(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self._check(request.session_id)
        self._assignments = assignments = asyncio.Queue()
        everything = [*self.others, *self.tasks.values()]
        self._send([change(item) for item in everything], Type.COMPLETE)
        while True:
            yield await assignments.get()

    async def UpdateTaskStatus(self, request: Any, context: Any) -> api.UpdateTaskStatusResponse:  # noqa: N802
        self._check(request.session_id)
        for update in request.updates:
            self.statuses.setdefault(update.task_id, []).append(update.status)
        await self._notify()
        return api.UpdateTaskStatusResponse()

    async def Tasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise AssertionError("deprecated: nobody calls it")

    async def UpdateVolumeStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise AssertionError("no volumes here")

    def _keep(self, item: Any) -> None:
        if isinstance(item, api.Task):
            self.tasks[item.id] = item
        else:
            self.others.append(item)

    def _send(self, changes: list[api.AssignmentChange], kind: int = Type.INCREMENTAL) -> None:
        before = self._sequence
        self._sequence += 1
        message = api.AssignmentsMessage(
            type=kind,
            applies_to=str(before) if kind == Type.INCREMENTAL else "",
            results_in=str(self._sequence),
            changes=changes,
        )
        self._assignments.put_nowait(message)

    def _check(self, session_id: str) -> None:
        if session_id != self.session_id:
            message = "session invalid"
            raise InvalidArgumentError(message)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()


@contextlib.asynccontextmanager
async def serving(
    servicer: object, certificates: NodeCertificates, directory: Path, port: int = 0
) -> AsyncIterator[int]:
    """Serve on this port of loopback, or a free one; cut every connection in the end."""
    server = make_server(
        [servicer],
        Authorizer(certificates.identity),
        certificates=certificates,
        directory=directory,
        clock=SystemClock(),
        random=random.Random(0),
    )
    port = server.listen_remote(f"127.0.0.1:{port}")
    running = asyncio.create_task(server.run(0))
    try:
        yield port
    finally:
        running.cancel()
        await asyncio.wait([running])


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
