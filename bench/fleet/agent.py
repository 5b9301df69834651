"""One simulated node on the wire."""

import asyncio
import time
from collections.abc import Iterable
from random import Random
from typing import Any, Final

from grpc import aio
from grpc.aio import EOF  # type: ignore[attr-defined]  # the stubs have forgotten it

from bench.fleet.behaviour import Behaviour, Step, steps
from swarmd import api
from swarmd.api import times
from swarmd.api.protos.dispatcher_pb2_grpc import DispatcherStub
from swarmd.backoff import Backoff
from swarmd.logs import fields, get_logger
from swarmd.rpc.channel import dial_manager
from swarmd.security.certificates import NodeCertificates

log = get_logger(__name__)

Update = api.UpdateTaskStatusRequest.TaskStatusUpdate
_Action = api.AssignmentChange.AssignmentAction
_COMPLETE: Final = api.AssignmentsMessage.Type.COMPLETE
_RPC_SECONDS: Final = 30.0
_MOST_IN_A_REPORT: Final = 1024
_CORES: Final = 64_000_000_000
_MEMORY: Final = 256 << 30


class Agent:
    """Keeps a session for as long as `run` runs, and begins a new one when it breaks."""

    def __init__(
        self, address: str, certificates: NodeCertificates, behaviour: Behaviour, random: Random
    ) -> None:
        self.id = certificates.identity.node_id
        self.behaviour = behaviour
        self.tasks: dict[str, api.Task] = {}
        self.told: dict[str, api.TaskState.ValueType] = {}
        """The newest state of each task that is assigned."""
        self.registered = asyncio.Event()
        self.sessions = 0
        self.losses: list[str] = []
        """Why each session that broke did so."""
        self.slowest_beat = 0.0
        """Of its heartbeats, the seconds that the slowest took to be answered."""
        self._address = address
        self._certificates = certificates
        self._random = random
        self._unsent: dict[str, list[api.TaskStatus]] = {}
        self._news = asyncio.Event()
        self._acts: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """A session after another, until cancelled."""
        backoff = Backoff(0.1, 8.0, self._random)
        try:
            while True:
                try:
                    await self._session(backoff)
                except (aio.AioRpcError, TimeoutError, ExceptionGroup) as error:
                    self.registered.clear()
                    self.losses.append(_reason(error))
                    delay = backoff.next()
                    facts = fields(node=self.id, reason=self.losses[-1], retry_in=delay)
                    log.info("a simulated node lost its session", extra=facts)
                    await asyncio.sleep(delay)
        finally:
            self.registered.clear()
            for act in self._acts.values():
                act.cancel()

    async def _session(self, backoff: Backoff) -> None:
        async with dial_manager(self._address, self._certificates) as channel:
            stub: Any = DispatcherStub(channel)
            messages = stub.Session(api.SessionRequest(description=self._description()))
            async with asyncio.timeout(_RPC_SECONDS):
                first = await messages.read()
            if first is EOF:
                raise TimeoutError("the manager ended the session before it began")
            self.sessions += 1
            self.registered.set()
            backoff.reset()
            session_id = first.session_id
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(messages))
                group.create_task(self._beat(stub, session_id))
                group.create_task(self._follow(stub, session_id))
                group.create_task(self._report(stub, session_id))

    async def _listen(self, messages: Any) -> None:
        while await messages.read() is not EOF:
            pass
        raise TimeoutError("the manager ended the session")

    async def _beat(self, stub: Any, session_id: str) -> None:
        request = api.HeartbeatRequest(session_id=session_id)
        while True:
            begin = time.monotonic()
            reply = await stub.Heartbeat(request, timeout=_RPC_SECONDS)
            self.slowest_beat = max(self.slowest_beat, time.monotonic() - begin)
            await asyncio.sleep(times.seconds(reply.period))

    # Tasks.

    async def _follow(self, stub: Any, session_id: str) -> None:
        """Stream after stream: a gap in the chain of one is healed by the next."""
        while True:
            call = stub.Assignments(api.AssignmentsRequest(session_id=session_id))
            at = ""
            while (message := await call.read()) is not EOF:
                if message.type != _COMPLETE and message.applies_to != at:
                    break
                at = message.results_in
                self._take(message)
            call.cancel()

    def _take(self, message: api.AssignmentsMessage) -> None:
        tasks = [one for one in message.changes if one.assignment.HasField("task")]
        if message.type == _COMPLETE:
            named = {one.assignment.task.id for one in tasks}
            self._forget([each for each in self.tasks if each not in named])
        self._forget(one.assignment.task.id for one in tasks if one.action == _Action.REMOVE)
        for one in tasks:
            if one.action == _Action.UPDATE:
                self._wants(one.assignment.task)

    def _forget(self, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            self.tasks.pop(task_id, None)
            self.told.pop(task_id, None)
            self._stop(task_id)

    def _wants(self, task: api.Task) -> None:
        before = self.tasks.get(task.id)
        self.tasks[task.id] = task
        if before is not None and before.desired_state == task.desired_state:
            return
        self._stop(task.id)
        told = max(self.told.get(task.id, 0), task.status.state)
        plan = list(steps(task, told, self.behaviour, self._random))
        while plan and not plan[0][0]:
            self._tell(task.id, plan.pop(0)[1])
        if plan:
            act = asyncio.get_running_loop().create_task(self._act(task.id, plan))
            self._acts[task.id] = act

    async def _act(self, task_id: str, plan: list[Step]) -> None:
        for seconds, state in plan:
            await asyncio.sleep(seconds)
            self._tell(task_id, state)
        del self._acts[task_id]

    def _stop(self, task_id: str) -> None:
        act = self._acts.pop(task_id, None)
        if act is not None:
            act.cancel()

    # Reports.

    def _tell(self, task_id: str, state: "api.TaskState.ValueType") -> None:
        status = api.TaskStatus(state=state, message="simulated")
        status.timestamp.GetCurrentTime()
        if state == api.TaskState.FAILED:
            status.err = "task: simulated"
        self.told[task_id] = state
        self._unsent.setdefault(task_id, []).append(status)
        self._news.set()

    async def _report(self, stub: Any, session_id: str) -> None:
        """One report is under way at a time; what comes meanwhile goes with the next."""
        for task_id, state in self.told.items():  # to a new session, everything again
            self._tell(task_id, state)
        while True:
            await self._news.wait()
            self._news.clear()
            unsent, self._unsent = self._unsent, {}
            updates = [
                Update(task_id=each, status=status)
                for each, statuses in unsent.items()
                for status in (statuses if self.behaviour.every_state else statuses[-1:])
            ]
            for start in range(0, len(updates), _MOST_IN_A_REPORT):
                part = updates[start : start + _MOST_IN_A_REPORT]
                request = api.UpdateTaskStatusRequest(session_id=session_id, updates=part)
                await stub.UpdateTaskStatus(request, timeout=_RPC_SECONDS)

    def _description(self) -> api.NodeDescription:
        return api.NodeDescription(
            hostname=f"{self.behaviour.hostname}-{self.id[:8]}",
            platform=api.Platform(os="linux", architecture="x86_64"),
            resources=api.Resources(nano_cpus=_CORES, memory_bytes=_MEMORY),
            engine=api.EngineDescription(engine_version="0", labels=self.behaviour.labels),
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _reason(error.exceptions[0])
    return error.details() or "" if isinstance(error, aio.AioRpcError) else str(error)
