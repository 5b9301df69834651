"""Session, Heartbeat, Assignments, Tasks, UpdateTaskStatus and UpdateVolumeStatus."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import times
from swarmd.api.protos import dispatcher_pb2_grpc
from swarmd.clock import Clock
from swarmd.errors import PermissionDeniedError, Status, SwarmError
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import caller
from swarmd.store import (
    Created,
    Deleted,
    Event,
    ReadTx,
    Select,
    Store,
    Updated,
    Watcher,
    WatchOverflowError,
    by,
)
from workers.manager.dispatcher.assignments import (
    AssignmentSet,
    concerned,
    is_news,
    publish_status,
)
from workers.manager.dispatcher.attention import Attention
from workers.manager.dispatcher.heartbeats import (
    DEFAULT_PERIOD_SECONDS,
    GRACE_PERIODS,
    UNKNOWN_GRACE_PERIODS,
    Deadlines,
    jittered,
)
from workers.manager.dispatcher.messages import difference, session_message, told
from workers.manager.dispatcher.orphans import Orphans
from workers.manager.dispatcher.sessions import Feed, Feeds, NodeNotFoundError, Sessions
from workers.manager.dispatcher.status_updates import NodeReport, StatusUpdates
from workers.manager.dispatcher.turns import Turns

_BATCH_CHANGES: Final = 100
_BATCH_SECONDS: Final = 0.1
_EVENTS_A_TURN: Final = 500
_UNKNOWN_MESSAGE: Final = 'Node moved to "unknown" state due to leadership change in cluster'
_State = api.NodeStatus.State

log = get_logger(__name__)


class DispatcherStoppedError(SwarmError):
    """This manager does not lead (any more): the agent has to find the one that does."""

    status = Status.ABORTED


class Dispatcher(dispatcher_pb2_grpc.DispatcherServicer):
    """Serves the agents for as long as `run` runs; `node_id` is this manager's own."""

    def __init__(self, store: Store, clock: Clock, random: Random, node_id: str = "") -> None:
        self.reached_port = 0
        """Where this manager listens on every address of its host: the port. Each agent is then
        told the address by which it came, which no other could know better."""
        self._node_id = node_id
        self._store = store
        self._clock = clock
        self._random = random
        self._sessions = Sessions(clock, random)
        self.attention = Attention(clock)
        """Its `run` is not ours: whoever serves real agents runs it beside, and lets it hear."""
        self._heartbeats = Deadlines(clock, self.attention)
        self._turns = Turns()
        self._orphans = Orphans(store, clock)
        self._updates = StatusUpdates(store, clock, random, node_id)
        self._session_feeds = Feeds()
        self._task_feeds = Feeds()
        self._running = asyncio.Event()

    async def wait_running(self) -> None:
        """Return once agents are answered."""
        await self._running.wait()

    async def run(self) -> None:
        """Serve, until cancelled; then every stream ends, and every call is refused."""
        kinds = (api.Task, api.Node, api.Cluster, api.Volume)
        selects = [Select(kind) for kind in kinds]
        try:
            async with self._store.watch(*selects) as watcher, asyncio.TaskGroup() as group:
                group.create_task(self._updates.run())
                await self._expect_nodes()
                group.create_task(self._orphans.run())
                group.create_task(self._expire())
                self._running.set()
                await self._watch(watcher)
        finally:
            self._running.clear()
            self._sessions.clear()
            self._heartbeats.clear()
            self._orphans.clear()
            self._wake_all()

    # --- the calls

    async def Session(
        self, request: api.SessionRequest, context: Any
    ) -> AsyncIterator[api.SessionMessage]:
        """Register the node, then tell it of itself, the managers, the keys and the root CA."""
        node_id = caller(context).node_id
        session_id = await self._register(node_id, request, _host(caller(context).remote_addr))
        with self._session_feeds.open(node_id) as feed:
            while True:
                async with self._turns:
                    self._check(node_id, session_id)
                    feed.take(_BATCH_CHANGES)
                    message = session_message(
                        self._store.view(),
                        caller(context),
                        session_id,
                        self._node_id,
                        self.reached_port,
                    )
                yield message
                await feed.wait()

    async def Heartbeat(self, request: api.HeartbeatRequest, context: Any) -> api.HeartbeatResponse:
        """The node lives; it is to say so again within the period."""
        node_id = caller(context).node_id
        period = self._hear(node_id, request.session_id)
        return api.HeartbeatResponse(period=times.duration(period))

    async def Assignments(
        self, request: api.AssignmentsRequest, context: Any
    ) -> AsyncIterator[api.AssignmentsMessage]:
        """What the node should know, as a full set and then as a chain of differences."""
        node_id = caller(context).node_id
        self._hear(node_id, request.session_id)
        known = AssignmentSet(node_id)
        sent_at = self._clock.monotonic()
        with self._task_feeds.open(node_id) as feed:
            async with self._turns:
                view = self._store.view()
                changes = known.update(view, _ids(view, node_id))
            yield api.AssignmentsMessage(results_in="1", changes=changes)
            sequence = 1
            async for ids in self._changes(feed, node_id, request.session_id, sent_at):
                async with self._turns:
                    view = self._store.view()
                    everything = {*known.ids, *_ids(view, node_id)} if feed.lost else ()
                    feed.lost = False
                    changes = known.update(view, everything or ids)
                if changes:
                    yield difference(changes, sequence)
                    sequence += 1

    async def Tasks(
        self, request: api.TasksRequest, context: Any
    ) -> AsyncIterator[api.TasksMessage]:
        """All tasks of the node, anew at each change; agents that know Assignments do not ask."""
        node_id = caller(context).node_id
        self._hear(node_id, request.session_id)
        sent_at = self._clock.monotonic()
        with self._task_feeds.open(node_id) as feed:
            yield self._tasks_message(node_id)
            async for _ in self._changes(feed, node_id, request.session_id, sent_at):
                feed.take(len(feed.changed))
                yield self._tasks_message(node_id)

    async def UpdateTaskStatus(
        self, request: api.UpdateTaskStatusRequest, context: Any
    ) -> api.UpdateTaskStatusResponse:
        """What became of the node's tasks; one task that is not its own refuses all."""
        node_id = caller(context).node_id
        self._hear(node_id, request.session_id)
        tasks = self._store.view().tasks
        known = []
        for update in request.updates:
            task = tasks.get(update.task_id)
            if task is not None and task.node_id != node_id:
                message = "cannot update a task not assigned this node"
                raise PermissionDeniedError(message)
            if task is not None and update.HasField("status"):
                known.append(update)
        for update in known:
            self._updates.report_task(update.task_id, update.status)
        return api.UpdateTaskStatusResponse()

    async def UpdateVolumeStatus(
        self, request: api.UpdateVolumeStatusRequest, context: Any
    ) -> api.UpdateVolumeStatusResponse:
        """Which volumes the node no longer uses."""
        node_id = caller(context).node_id
        self._hear(node_id, request.session_id)
        for update in request.updates:
            if update.unpublished:
                self._updates.report_unpublished(update.id, node_id)
        return api.UpdateVolumeStatusResponse()

    # --- sessions

    async def _register(self, node_id: str, request: api.SessionRequest, addr: str) -> str:
        self._check_running()
        known = self._sessions.is_valid(node_id, request.session_id)
        if not known:
            self._sessions.count_attempt(node_id)
        description = request.description if request.HasField("description") else None
        report = NodeReport(_State.READY, addr=addr, description=description)
        if self._store.view().nodes.get(node_id) is None:
            raise NodeNotFoundError
        self._beat(node_id)  # so that it is not taken for lost while this is written
        self._orphans.node_back(node_id)
        await self._updates.report_node(node_id, report).wait()
        self._check_running()
        if known:
            return request.session_id
        session_id = self._sessions.register(node_id)
        self._wake(node_id)  # streams of the session before end
        log.info("agent registered", extra=fields(node=node_id, addr=addr))
        return session_id

    def _check_running(self) -> None:
        if not self._running.is_set():
            message = "dispatcher is stopped"
            raise DispatcherStoppedError(message)

    def _check(self, node_id: str, session_id: str) -> None:
        self._check_running()
        self._sessions.check(node_id, session_id)

    def _hear(self, node_id: str, session_id: str) -> float:
        """Any call of a session is a sign of life; gives the node's period."""
        self._check(node_id, session_id)
        return self._beat(node_id)

    def _beat(self, node_id: str, grace_periods: int = GRACE_PERIODS) -> float:
        period = jittered(self._period_seconds(), self._random)
        self._heartbeats.set(node_id, period * grace_periods)
        return period

    def _period_seconds(self) -> float:
        cluster = self._cluster()
        asked = times.seconds(cluster.spec.dispatcher.heartbeat_period)
        return asked if asked > 0 else DEFAULT_PERIOD_SECONDS

    def _cluster(self) -> api.Cluster:
        return next(iter(self._store.view().clusters.find()), api.Cluster())

    def _tasks_message(self, node_id: str) -> api.TasksMessage:
        tasks = self._store.view().tasks.find(by.node(node_id))
        assigned = [task for task in tasks if task.status.state >= api.TaskState.ASSIGNED]
        return api.TasksMessage(tasks=assigned)

    async def _changes(
        self, feed: Feed, node_id: str, session_id: str, sent_at: float
    ) -> AsyncIterator[list[str]]:
        """Ids of tasks and volumes that changed, for as long as the session is valid.

        At once where the last message was sent a while ago, else gathered: 100 of them, or 100 ms.
        """
        while True:
            await feed.wait()
            self._check(node_id, session_id)
            pause = sent_at + _BATCH_SECONDS - self._clock.monotonic()
            if pause > 0 and len(feed.changed) < _BATCH_CHANGES:
                await self._clock.sleep(pause)
                self._check(node_id, session_id)
            sent_at = self._clock.monotonic()
            yield feed.take(_BATCH_CHANGES)

    # --- nodes that come and go

    async def _expect_nodes(self) -> None:
        """A new leader knows no session: nodes are UNKNOWN until their agents come back."""
        report = NodeReport(_State.UNKNOWN, _UNKNOWN_MESSAGE)
        written = None
        for node in self._store.view().nodes.find():
            if node.status.state == _State.DOWN:
                self._orphans.node_lost(node.id)
                continue
            self._sessions.expect(node.id)
            self._beat(node.id, UNKNOWN_GRACE_PERIODS)
            written = self._updates.report_node(node.id, report)
        if written is not None:
            await written.wait()

    async def _expire(self) -> None:
        while True:
            for node_id in await self._heartbeats.next_due():
                self._lose(node_id)

    def _lose(self, node_id: str) -> None:
        registration = self._sessions.remove(node_id)
        if registration is None:
            return
        message = "heartbeat failure"
        if not registration.session_id:
            message += ' for node in "unknown" state'
        log.warning("node is down", extra=fields(node=node_id, reason=message))
        self._updates.report_node(node_id, NodeReport(_State.DOWN, message))
        self._orphans.node_lost(node_id)
        self._wake(node_id)

    def _forget(self, node_id: str) -> None:
        """The node was removed from the cluster: its session ends."""
        self._sessions.remove(node_id)
        self._heartbeats.drop(node_id)
        self._orphans.node_back(node_id)
        self._wake(node_id)

    def _wake(self, node_id: str) -> None:
        self._session_feeds.wake(node_id)
        self._task_feeds.wake(node_id)

    def _wake_all(self, *, lost: bool = False) -> None:
        self._session_feeds.wake_all(lost=lost)
        self._task_feeds.wake_all(lost=lost)

    # --- the one watcher of the store, for all sessions

    async def _watch(self, watcher: Watcher) -> None:
        while True:
            try:
                events = await watcher.next()
                for start in range(0, len(events), _EVENTS_A_TURN):
                    for event in events[start : start + _EVENTS_A_TURN]:
                        self._observe(event)
                    await asyncio.sleep(0)
            except WatchOverflowError:
                log.warning("dispatcher fell behind, every stream reads the store anew")
                self._wake_all(lost=True)

    def _observe(self, event: Event) -> None:
        match event:
            case Updated(api.Task() as task, old):
                if task.node_id in self._task_feeds and is_news(old, task):
                    self._task_feeds.wake(task.node_id, task.id)
            case Created(api.Task() as task) | Deleted(api.Task() as task):
                self._task_feeds.wake(task.node_id, task.id)
            case Deleted(api.Node() as node):
                self._forget(node.id)
            case Updated(api.Node() as node, old):
                self._session_feeds.wake(node.id)
                if node.manager_status != old.manager_status:
                    self._session_feeds.wake_all()
            case Updated(api.Cluster() as cluster, old):
                if told(cluster) != told(old):
                    self._session_feeds.wake_all()
            case _:
                self._observe_volume(event)

    def _observe_volume(self, event: Event) -> None:
        match event:
            case Updated(api.Volume() as volume, old):
                for node_id in concerned(old, volume):
                    self._task_feeds.wake(node_id, volume.id)
            case Deleted(api.Volume() as volume):
                for node_id in concerned(volume, api.Volume()):
                    self._task_feeds.wake(node_id, volume.id)
            case _:
                pass


def _ids(view: ReadTx, node_id: str) -> list[str]:
    """Of the node's tasks and volumes; volumes are few, and not indexed by node."""
    tasks = [task.id for task in view.tasks.find(by.node(node_id))]
    volumes = view.volumes.find()
    return tasks + [one.id for one in volumes if publish_status(one, node_id) is not None]


def _host(remote_addr: str) -> str:
    """The address of host:port, without its port."""
    host, found, _ = remote_addr.rpartition(":")
    return host.strip("[]") if found else ""
