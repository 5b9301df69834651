"""Task calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.unit.manager.control.calls import INVALID_ARGUMENT, put, refusal, stored_service
from workers.manager.control.server import ControlServicer

State = api.TaskState


async def test_get_and_remove_need_an_id_that_exists(
    control: ControlServicer, store: Store
) -> None:
    task = builders.task()
    await put(store, task)
    assert task == (await control.GetTask(api.GetTaskRequest(task_id=task.id), None)).task
    await control.RemoveTask(api.RemoveTaskRequest(task_id=task.id), None)
    for method, request in (
        (control.GetTask, api.GetTaskRequest),
        (control.RemoveTask, api.RemoveTaskRequest),
    ):
        assert INVALID_ARGUMENT == await refusal(method(request(), None))
        told = await refusal(method(request(task_id=task.id), None))
        assert (Status.NOT_FOUND, f"task {task.id} not found") == told


@pytest.fixture
async def tasks(store: Store) -> dict[str, api.Task]:
    """Two tasks of a service, the second with an old spec, and a task of none on a node."""
    service = await stored_service(store, name="web", labels={"tier": "1"})
    one = builders.task(service, node_id="n1", desired_state=State.SHUTDOWN)
    two = builders.task(service, slot=2, spec={"container": {"image": "old"}})
    other = builders.task(
        slot=0,
        node_id="n2",
        spec={"generic": {"kind": "Kind"}},
        service_annotations={"name": "gone"},
        service_id="gone",
    )
    given = builders.task(annotations={"name": "Given"}, service_id="gone")
    await put(store, one, two, other, given)
    return {"one": one, "two": two, "other": other, "given": given}


async def listed(control: ControlServicer, tasks: dict[str, api.Task], **filters: Any) -> list[str]:
    answer = await control.ListTasks(api.ListTasksRequest(filters=filters), None)
    known = {task.id: name for name, task in tasks.items()}
    return sorted(known[task.id] for task in answer.tasks)


async def test_without_filters_all_are_listed(
    control: ControlServicer, tasks: dict[str, api.Task]
) -> None:
    assert ["given", "one", "other", "two"] == await listed(control, tasks)


async def test_a_task_is_found_by_what_it_is_called(
    control: ControlServicer, tasks: dict[str, api.Task]
) -> None:
    two, other = tasks["two"], tasks["other"]
    assert ["two"] == await listed(control, tasks, names=[f"web.2.{two.id}"])
    assert ["other"] == await listed(control, tasks, names=[f"gone.n2.{other.id}"])
    assert ["given"] == await listed(control, tasks, names=["Given"])
    assert [] == await listed(control, tasks, names=["given"])
    assert ["one", "two"] == await listed(control, tasks, name_prefixes=["web."])
    assert ["two"] == await listed(control, tasks, id_prefixes=[two.id[:20]])


async def test_a_task_is_found_by_where_it_belongs(
    control: ControlServicer, tasks: dict[str, api.Task]
) -> None:
    web = tasks["one"].service_id
    assert ["one", "two"] == await listed(control, tasks, service_ids=[web])
    assert ["one", "other"] == await listed(control, tasks, node_ids=["n1", "n2"])
    assert ["one"] == await listed(control, tasks, service_ids=[web], node_ids=["n1", "n2"])
    assert ["other"] == await listed(control, tasks, runtimes=["kind"])
    assert ["one"] == await listed(control, tasks, desired_states=[State.SHUTDOWN])
    assert ["one", "two"] == await listed(control, tasks, labels={"tier": ""})


async def test_a_task_is_up_to_date_until_its_service_changes(
    control: ControlServicer, tasks: dict[str, api.Task]
) -> None:
    assert ["one"] == await listed(control, tasks, up_to_date=True)
