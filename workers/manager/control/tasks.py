"""Task calls."""

from swarmd import api
from swarmd.errors import NotFoundError
from swarmd.store import ReadTx, by, task_name
from workers.manager.control import filters
from workers.manager.control.handlers import Context, Handlers, invalid_argument


class Tasks(Handlers):
    async def GetTask(self, request: api.GetTaskRequest, context: Context) -> api.GetTaskResponse:
        if not request.task_id:
            raise invalid_argument()
        task = self._store.view().tasks.get(request.task_id)
        if task is None:
            raise NotFoundError("task", request.task_id)
        return api.GetTaskResponse(task=task)

    async def ListTasks(
        self, request: api.ListTasksRequest, context: Context
    ) -> api.ListTasksResponse:
        wanted, view = request.filters, self._store.view()
        query = filters.first_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
            (by.service, wanted.service_ids),
            (by.runtime, wanted.runtimes),
            (by.node, wanted.node_ids),
            (by.desired_state, wanted.desired_states),
        )
        found = view.tasks.find(query)
        if request.HasField("filters"):
            found = [task for task in found if _selected(task, wanted)]
        if wanted.up_to_date:
            found = [task for task in found if self._is_up_to_date(task, view)]
        return api.ListTasksResponse(tasks=found)

    async def RemoveTask(
        self, request: api.RemoveTaskRequest, context: Context
    ) -> api.RemoveTaskResponse:
        if not request.task_id:
            raise invalid_argument()
        await self._store.update(lambda tx: tx.tasks.delete(request.task_id))
        return api.RemoveTaskResponse()

    def _is_up_to_date(self, task: api.Task, view: ReadTx) -> bool:
        """An update would leave it; one whose service is gone has nothing to be up to."""
        service = view.services.get(task.service_id)
        node = view.nodes.get(task.node_id)
        return service is not None and not self._is_dirty(service, task, node)


def _selected(task: api.Task, wanted: api.ListTasksRequest.Filters) -> bool:
    return (
        filters.has_prefix(task.id, wanted.id_prefixes)
        and filters.has_labels(task.service_annotations.labels, wanted.labels)
        and filters.is_one_of(task.service_id, wanted.service_ids)
        and filters.is_one_of(task.node_id, wanted.node_ids)
        and filters.is_one_of(filters.runtime(task.spec), wanted.runtimes)
        and filters.is_one_of(task.desired_state, wanted.desired_states)
        and _named(task, wanted)
    )


def _named(task: api.Task, wanted: api.ListTasksRequest.Filters) -> bool:
    if not (wanted.names or wanted.name_prefixes):
        return True  # most lists: spare them making names for thousands of tasks
    name = task_name(task)
    return filters.is_one_of(name, wanted.names) and filters.has_prefix(name, wanted.name_prefixes)
