"""One change of one service, and something that comes in between at a given commit of it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from swarmd import api
from swarmd.api import times
from swarmd.errors import FailedPreconditionError, SwarmError
from workers.simulation.checker import Checker, Violation
from workers.simulation.engine import Behaviour
from workers.simulation.faults import Faults
from workers.simulation.scenario import Plan, Scenario

FIRST, SECOND, THIRD, BAD = "first", "second", "third", "bad"
START_FIRST: Final = api.UpdateConfig.UpdateOrder.START_FIRST
ROLLBACK: Final = api.UpdateConfig.FailureAction.ROLLBACK
_PREVIOUS: Final = api.UpdateServiceRequest.Rollback.PREVIOUS
_LOOK_SECONDS: Final = 0.1
_RESTART_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 30.0  # longer than a node may be silent
Spec = api.ServiceSpec


def spec(mode: str = "replicated", **update: Any) -> Spec:
    """Two tasks, or two at once of a job; `update` is what its config says."""
    made = Spec(annotations=api.Annotations(name="web"))
    made.task.container.image = "host"
    made.task.container.command.append(FIRST)
    made.task.restart.condition = api.RestartPolicy.RestartCondition.ON_FAILURE
    match mode:
        case "replicated":
            made.replicated.replicas = 2
        case "global":
            getattr(made, "global").SetInParent()
        case _:
            made.replicated_job.max_concurrent = 2
            made.replicated_job.total_completions = 3
    if mode != "job":
        made.update.monitor.CopyFrom(times.duration(1))
        made.update.MergeFrom(api.UpdateConfig(parallelism=1, **update))
    return made


class Interrupted(Scenario):
    """`begin` changes the service; at the commit `at` after that, `interrupt` is done to it."""

    def __init__(self, given: Spec, begin: "Act", interrupt: "Act", at: int) -> None:
        super().__init__(at, Plan(nodes=2, faults=()))
        self.reached = False
        self.service: api.Service | None = None
        """What became of it."""
        self._given = given
        self._begin = begin
        self._interrupt = interrupt
        self._at = at

    async def _story(self, faults: Faults, checker: Checker) -> Violation | None:
        faults.mood.draw = draw  # type: ignore[method-assign]
        faults.manager.start()
        for host in faults.hosts.values():
            host.start()
        await asyncio.sleep(0.1)
        calls = await control(faults)
        made = await calls.CreateService(api.CreateServiceRequest(spec=self._given), None)
        wait = partial(self._wait_converged, faults, checker)
        violation = await wait()
        interruption = self._arm(checker, partial(self._interrupt, faults, made.service.id))
        await self._begin(faults, made.service.id)
        violation = violation or await wait()
        if interruption.done():
            await interruption.result()
            self.reached = True
            violation = violation or await wait()
        self.service = checker.picture.services.get(made.service.id)
        return violation

    def _arm(
        self, checker: Checker, act: Callable[[], Coroutine[Any, Any, None]]
    ) -> "asyncio.Future[asyncio.Task[None]]":
        armed: asyncio.Future[asyncio.Task[None]] = self._loop.create_future()
        last, look = checker.commits + self._at, checker._check_written

        def looked(**how: bool) -> None:
            look(**how)
            if checker.commits >= last and not armed.done():
                armed.set_result(self._loop.create_task(act()))

        checker._check_written = looked  # type: ignore[method-assign]
        return armed


def draw(task: api.Task) -> Behaviour:
    """A bad task dies soon, a job's is done soon; the others run."""
    if list(task.spec.container.command) == [BAD]:
        return Behaviour(runs_for=0.2, exits_with=1)
    return Behaviour(runs_for=0.5 if task.HasField("job_iteration") else None)


Act = Callable[[Faults, str], Coroutine[Any, Any, None]]


async def control(faults: Faults) -> Any:
    """The control API, once there is a manager."""
    while (found := faults.manager.control) is None:  # noqa: ASYNC110  time is virtual
        await asyncio.sleep(_LOOK_SECONDS)
    return found


async def _update(
    faults: Faults, service_id: str, edit: Callable[[Spec], object], how: int
) -> None:
    calls = await control(faults)
    found = (await calls.GetService(api.GetServiceRequest(service_id=service_id), None)).service
    edit(found.spec)
    request = api.UpdateServiceRequest(
        service_id=service_id, service_version=found.meta.version, spec=found.spec
    )
    request.rollback = api.UpdateServiceRequest.Rollback.ValueType(how)
    await calls.UpdateService(request, None)


def update_to(command: str) -> Act:
    def edit(own: Spec) -> None:
        own.task.container.command[:] = [command]

    return lambda faults, service_id: _update(faults, service_id, edit, 0)


async def roll_back(faults: Faults, service_id: str) -> None:
    """Where there is something to go back to: an automatic rollback leaves nothing."""
    with contextlib.suppress(FailedPreconditionError):
        await _update(faults, service_id, lambda own: None, _PREVIOUS)


def in_turn(seconds: float, *acts: Act) -> Act:
    """One after the other, each so long after the one before; a later one may be refused."""

    async def begin(faults: Faults, service_id: str) -> None:
        first, *others = acts
        await first(faults, service_id)
        for act in others:
            await asyncio.sleep(seconds)
            with contextlib.suppress(SwarmError):
                await act(faults, service_id)

    return begin


async def remove(faults: Faults, service_id: str) -> None:
    calls = await control(faults)
    await calls.RemoveService(api.RemoveServiceRequest(service_id=service_id), None)


async def lose_node(faults: Faults, _: str) -> None:
    host = next(iter(faults.hosts.values()))
    host.lose_power()
    await asyncio.sleep(_AWAY_SECONDS)
    host.start()


async def kill_manager(faults: Faults, _: str) -> None:
    """Between this commit and the next."""
    faults.manager.crash()
    await asyncio.sleep(_RESTART_SECONDS)
    faults.manager.start()


async def kill_manager_at_commit(faults: Faults, _: str, *, durable: bool) -> None:
    """At the next commit, before it is durable or after it is and before anyone was told."""
    faults.disk.crash_is_durable, faults.disk.crash_in = durable, 1
    await asyncio.sleep(_RESTART_SECONDS)
    faults.disk.crash_in = 0
    faults.manager.start()


FAULTS: Final[Mapping[str, Act]] = {
    "the manager dies": kill_manager,
    "it dies before a commit is durable": partial(kill_manager_at_commit, durable=False),
    "it dies after a commit is durable": partial(kill_manager_at_commit, durable=True),
    "a node is lost": lose_node,
}
CHANGES: Final[Mapping[str, Act]] = {
    "the service is removed": remove,
    "it is updated again": update_to(THIRD),
    "it is rolled back": roll_back,
}
