"""The governor's API: which services are held, and let one go."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from swarmd import api
from swarmd.api import breakers, labels
from swarmd.api.protos.governor_pb2 import (
    Breaker,
    ListBreakersRequest,
    ListBreakersResponse,
    ResumeServiceRequest,
    ResumeServiceResponse,
)
from swarmd.api.protos.governor_pb2_grpc import GovernorServicer
from swarmd.clock import Clock
from swarmd.errors import InvalidArgumentError, NotFoundError
from swarmd.store import ReadTx, Store, WriteTx, by
from workers.manager.orchestrators import restarts

RESUMED: Final = "resumed by command"


class GovernorApi(GovernorServicer):
    """Answers from the store, and changes it; the loops see what it changed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ListBreakers(
        self, request: ListBreakersRequest, context: Any
    ) -> ListBreakersResponse:
        tx = self._store.view()
        found: Iterable[Breaker | None] = tx.breakers.find()
        if request.service_ids:
            found = map(tx.breakers.get, request.service_ids)
        held = [one for one in found if one is not None and breakers.is_open(one)]
        return ListBreakersResponse(breakers=sorted(held, key=lambda one: one.id))

    async def ResumeService(
        self, request: ResumeServiceRequest, context: Any
    ) -> ResumeServiceResponse:
        if not request.service_id:
            raise InvalidArgumentError("service_id must be given")
        was_held = await self._store.update(partial(release, service_id=request.service_id))
        now = self._clock.now()
        changes = [
            partial(restarts.start, task_id=task_id, now=now)
            for task_id in late(self._store.view(), request.service_id)
        ]
        started = await self._store.batch(changes)
        count = sum(isinstance(one, api.Task) for one in started)
        return ResumeServiceResponse(was_held=was_held, started=count)


def release(tx: WriteTx, service_id: str) -> bool:
    """Close its breaker; whether it was open. Raises NotFoundError for an unknown service."""
    if tx.services.get(service_id) is None:
        raise NotFoundError("service", service_id)
    if not breakers.is_open(tx.breakers.get(service_id)):
        return False
    own = tx.breakers.copy(service_id)
    own.state = Breaker.State.CLOSED
    own.reason = RESUMED
    own.probe_task_id = ""
    tx.breakers.update(own)
    return True


def late(tx: ReadTx, service_id: str) -> list[str]:
    """Its tasks that wait for a delay or a breaker alone; what an update made, that starts."""
    service = tx.services.get(service_id)
    if service is None:
        return []
    found = tx.tasks.find(by.all_of(by.desired_state(api.TaskState.READY), by.service(service_id)))
    return [
        task.id
        for task in found
        if labels.UPDATE not in task.annotations.labels and restarts.slot_is_free(tx, service, task)
    ]
