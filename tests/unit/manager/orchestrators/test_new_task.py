from swarmd import api
from swarmd.store import Created, MemoryBackend, Select, Store, Updated
from tests import builders
from tests.fakes.clock import FakeClock
from workers.manager.orchestrators import new_task

State = api.TaskState


def made(service, cluster=None, **place):
    return new_task.from_template(new_task.template(service, cluster, 17.5), "id", **place)


def test_a_task_takes_over_what_the_service_says():
    web = builders.service("web", labels={"tier": "front"})
    web.spec.endpoint.ports.add(target_port=80)
    task = made(web, slot=3)
    assert ("id", web.id, 3, "") == (task.id, task.service_id, task.slot, task.node_id)
    assert web.spec.annotations == task.service_annotations
    assert web.spec.task == task.spec
    assert web.spec_version == task.spec_version
    assert web.spec.endpoint == task.endpoint.spec
    assert State.RUNNING == task.desired_state
    assert (
        api.TaskStatus(
            state=State.NEW, message="created", timestamp={"seconds": 17, "nanos": 500_000_000}
        )
        == task.status
    )
    assert not task.HasField("job_iteration")
    assert not task.HasField("annotations")


def test_a_task_has_an_endpoint_even_where_the_service_has_none():
    task = made(builders.service())
    assert task.HasField("endpoint")
    assert not task.endpoint.HasField("spec")


def test_a_jobs_task_is_to_complete_in_its_iteration():
    job = builders.service()
    job.spec.replicated_job.total_completions = 1
    job.job_status.job_iteration.index = 4
    task = made(job)
    assert State.COMPLETE == task.desired_state
    assert 4 == task.job_iteration.index


def test_a_services_own_log_driver_goes_before_the_clusters():
    cluster = builders.cluster()
    cluster.spec.task_defaults.log_driver.name = "syslog"
    web = builders.service()
    assert "syslog" == made(web, cluster).log_driver.name
    web.spec.task.log_driver.name = "none"
    assert "none" == made(web, cluster).log_driver.name
    assert not made(builders.service(), builders.cluster()).HasField("log_driver")


def test_a_template_is_not_changed_by_what_is_made_of_it():
    template = new_task.template(builders.service(), None, 0)
    before = template.SerializeToString()
    new_task.from_template(template, "id", slot=1).spec.container.image = "other"
    assert before == template.SerializeToString()


async def seen(service: api.Service) -> list[tuple[str, int, int]]:
    """What watchers see of a task that is made for the service: action, state and version."""
    async with Store(MemoryBackend(), FakeClock()) as store:
        await store.update(lambda tx: tx.services.create(service))
        template = new_task.template(service, None, 17.5)
        async with store.watch(Select(api.Task)) as watcher:
            await store.update(lambda tx: new_task.create(tx, template, "task", slot=1))
            return [
                (type(event).__name__, event.object.status.state, event.object.meta.version.index)
                for event in await watcher.next()
                if isinstance(event, Created | Updated)
            ]


async def test_task_that_needs_nothing_is_pending_in_the_transaction_that_makes_it() -> None:
    assert [("Created", State.NEW, 2), ("Updated", State.PENDING, 2)] == await seen(
        builders.service()
    )


async def test_task_with_ports_waits_for_the_allocator() -> None:
    service = builders.service()
    service.spec.endpoint.ports.add(target_port=80)
    assert [("Created", State.NEW, 2)] == await seen(service)
