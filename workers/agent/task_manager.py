"""Drives one task towards its desired state: asks task_steps.py, calls the controller, says so.

Nothing here waits for a session: a restarted agent looks after its tasks without any manager.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import said, tasks, times
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from workers.agent import task_steps
from workers.agent.executors import Controller, PublishesPorts
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExecutorError,
    ExitError,
    GoneError,
    RejectedError,
    TemporaryError,
)
from workers.agent.statuses import Statuses
from workers.agent.task_steps import Call, Step
from workers.agent.turns import Turns

log = get_logger(__name__)

Resolve = Callable[[api.Task, Call], Controller]
"""The controller of a task, for this call first. Raises as a controller's calls do."""

_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 30.0
_ENGINE_ANSWERS_SECONDS: Final = 5.0
_BEGINNINGS: Final = frozenset({Call.PREPARE, Call.START})


class TaskManager:
    """One task of this node. `run` ends when the task was removed from this host."""

    def __init__(
        self,
        task: api.Task,
        *,
        resolve: Resolve,
        statuses: Statuses,
        turns: Turns,
        clock: Clock,
        random: Random,
    ) -> None:
        self._task = task
        self._status = task.status
        self._resolve = resolve
        self._statuses = statuses
        self._turns = turns
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self._controller: Controller | None = None
        self._changed = asyncio.Event()
        self._step: Step | None = None
        self._operation: asyncio.Task[None] | None = None
        self._interrupted = False
        self._pausing = False
        self._controller_is_behind = False
        self._leaving = False
        self._prepared = asyncio.Event()
        self._note_prepared()

    @property
    def task(self) -> api.Task:
        """The task as last assigned; its status is not kept up."""
        return self._task

    @property
    def status(self) -> api.TaskStatus:
        """The newest status."""
        return self._status

    def update(self, task: api.Task) -> None:
        """Take a newer version of the task; a desired state never goes back."""
        if task.desired_state < self._task.desired_state:
            log.warning(
                "passing over an assignment with an earlier desired state", extra=self._fields()
            )
            return
        if said.is_same(task, self._task):
            return
        self._task = task
        self._controller_is_behind = True
        self._changed.set()
        if self._step is not None and (self._step.call is Call.WAIT or self._next() != self._step):
            self._interrupt()

    def retry(self) -> None:
        """Something that the task waits for changed: what did not work is tried at once."""
        if self._pausing:
            self._interrupt()

    def leave(self) -> None:
        """The task is not assigned any more: shut it down, remove it, and let `run` end."""
        self._leaving = True
        self._prepared.set()
        self._changed.set()
        self._interrupt()

    async def wait_prepared(self) -> None:
        """Return once there is something on this host to look at, or there never will be."""
        await self._prepared.wait()

    async def run(self) -> None:
        """Until the task left this host; when cancelled, it goes on without us."""
        try:
            while not self._leaving:
                await self._advance()
            await self._interruptible(self._remove())
        finally:
            await self._let_go()

    def _next(self) -> Step | None:
        return task_steps.next_step(self._status.state, self._task.desired_state)

    async def _advance(self) -> None:
        """Take the next step, or wait until there is one."""
        self._changed.clear()
        step = self._next()
        if step is None:
            await self._changed.wait()
        elif step.call is Call.NOTHING:
            self._enter(step.state, step.message)
        else:
            self._step = step
            await self._interruptible(self._take(step))
            self._step = None

    def _interrupt(self) -> None:
        if self._operation is not None:
            self._interrupted = True
            self._operation.cancel()

    def _raise_if_interrupted(self) -> None:
        """An engine may answer a cancelled call with an error of its own: it does not count."""
        if self._interrupted:
            raise asyncio.CancelledError

    async def _interruptible(self, operation: "asyncio._CoroutineLike[None]") -> None:
        """Run it to its end, or until `_interrupt`; our own cancellation ends both."""
        self._interrupted = False
        self._operation = asyncio.get_running_loop().create_task(operation)
        try:
            await asyncio.wait([self._operation])
        except asyncio.CancelledError:
            self._interrupt()
            await asyncio.gather(self._operation, return_exceptions=True)
            raise
        finally:
            finished, self._operation = self._operation, None
        if not finished.cancelled():
            finished.result()

    async def _take(self, step: Step) -> None:
        """Make the step's call until it works or fails for good; enter the state it leads to."""
        self._backoff.reset()
        while True:
            try:
                await self._call(step.call)
            except TemporaryError as error:
                self._raise_if_interrupted()
                await self._pause(error)
            except asyncio.CancelledError as error:
                self._raise_if_interrupted()
                await self._pause(error)  # it was something inside the engine
            except Exception as error:  # noqa: BLE001  whatever an engine raises ends the task, not us
                self._raise_if_interrupted()
                await self._fail(error)
                return
            else:
                container, ports = await self._container_status(), await self._port_status()
                self._enter(step.state, step.message, container, ports)
                return

    async def _call(self, call: Call) -> None:
        if call in _BEGINNINGS:
            # After a crash the state on disk tells whether anything may have been begun.
            await self._statuses.wait_saved()
            async with self._turns.turn():
                await self._call_controller(call)
        else:
            await self._call_controller(call)

    async def _call_controller(self, call: Call) -> None:
        controller = await self._current_controller(call)
        match call:
            case Call.NOTHING:
                pass
            case Call.PREPARE:
                await controller.prepare()
            case Call.START:
                try:
                    await controller.start()
                except AlreadyStartedError:
                    log.debug("started before: waiting for its end", extra=self._fields())
            case Call.WAIT:
                await controller.wait()
            case Call.SHUTDOWN:
                try:
                    await controller.shutdown()
                except GoneError:
                    log.debug("nothing to shut down", extra=self._fields())

    async def _current_controller(self, call: Call) -> Controller:
        """The controller, which knows the task as last assigned."""
        if self._controller is None:
            self._controller = self._resolve(self._task, call)
        elif self._controller_is_behind:
            try:
                await self._controller.update(self._task)
            except ExecutorError as error:
                log.warning("the engine does not take an update", extra=self._fields(reason=error))
        self._controller_is_behind = False
        return self._controller

    async def _pause(self, error: BaseException) -> None:
        """Say what went wrong, and wait before the next try."""
        delay = self._backoff.next()
        reason = str(error) or "the engine gave up"
        log.info("a step did not work yet", extra=self._fields(reason=reason, seconds=delay))
        self._enter(self._status.state, self._status.message, err=reason)
        self._pausing = True
        try:
            await self._clock.sleep(delay)
        finally:
            self._pausing = False

    async def _fail(self, error: Exception) -> None:
        if isinstance(error, ExecutorError):
            log.warning("task failed", extra=self._fields(reason=error))
        else:
            log.error("task failed in its engine", extra=self._fields(), exc_info=error)
        state = task_steps.after_failure(self._status.state)
        container = await self._container_status()
        if isinstance(error, ExitError):
            container = container or api.ContainerStatus()
            container.exit_code = error.code
        sentence = str(error) or type(error).__name__
        ports = await self._port_status()
        self._enter(state, self._status.message, container, ports, err=sentence)

    async def _container_status(self) -> api.ContainerStatus | None:
        """What the engine knows of the process; None when it has nothing to say."""
        if self._controller is None or self._status.state < api.TaskState.STARTING:
            return None
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS_SECONDS):
                found = await self._controller.container_status()
        except (ExecutorError, OSError, TimeoutError) as error:
            log.debug("no container status", extra=self._fields(reason=error))
            return None
        status = api.ContainerStatus()
        status.CopyFrom(found)
        return status

    async def _port_status(self) -> api.PortStatus | None:
        """Where its ports are now; None where it has none, or nobody knows."""
        has_begun = self._status.state >= api.TaskState.STARTING
        if not (has_begun and self._task.endpoint.ports):
            return None
        if not isinstance(self._controller, PublishesPorts):
            return None
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS_SECONDS):
                return await self._controller.port_status()
        except (ExecutorError, OSError, TimeoutError) as error:
            log.debug("no port status", extra=self._fields(reason=error))
            return None

    def _enter(
        self,
        state: task_steps.State,
        message: str,
        container: api.ContainerStatus | None = None,
        ports: api.PortStatus | None = None,
        *,
        err: str = "",
    ) -> None:
        """The one door to a new status: it is saved, then reported."""
        assert state >= self._status.state, "states only move forward"
        status = api.TaskStatus()
        status.CopyFrom(self._status)
        status.state, status.message, status.err = state, message, err
        if container is not None:
            status.container.CopyFrom(container)
        if ports is not None:
            status.port_status.CopyFrom(ports)
        if status == self._status:
            return
        status.timestamp.CopyFrom(times.timestamp(self._clock.now()))
        log.debug("task state", extra=self._fields(now=tasks.state_name(state)))
        self._status = status
        self._note_prepared()
        if not self._leaving:
            self._statuses.record(self._task.id, status)

    def _note_prepared(self) -> None:
        if self._status.state > api.TaskState.PREPARING:
            self._prepared.set()

    async def _remove(self) -> None:
        """Shut it down where it runs, and remove all of it, trying until that works."""
        self._backoff.reset()
        while True:
            try:
                controller = await self._current_controller(Call.SHUTDOWN)
                if not task_steps.has_ended(self._status.state):
                    await self._call_controller(Call.SHUTDOWN)
                    self._enter(api.TaskState.SHUTDOWN, "shutdown")
                await controller.remove()
            except (RejectedError, GoneError):
                return
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  whatever an engine does
                self._raise_if_interrupted()
                delay = self._backoff.next()
                log.warning("cannot remove a task", extra=self._fields(reason=error, seconds=delay))
                await self._clock.sleep(delay)
            else:
                return

    async def _let_go(self) -> None:
        if self._controller is None:
            return
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS_SECONDS):
                await self._controller.close()
        except (ExecutorError, OSError, TimeoutError) as error:
            log.warning("cannot let go of a task", extra=self._fields(reason=error))

    def _fields(self, **pairs: object) -> dict[str, dict[str, object]]:
        name = tasks.name(self._task)
        state = tasks.state_name(self._status.state)
        return fields(task=name, state=state, **pairs)
