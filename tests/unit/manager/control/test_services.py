"""Service calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.fakes.clock import START
from tests.unit.manager.control.calls import (
    INVALID,
    INVALID_ARGUMENT,
    container,
    create_service,
    names,
    put,
    refusal,
    spec,
    stored_service,
    update_service,
)
from workers.manager.control.server import ControlServicer

State = api.TaskState


# create


async def test_a_service_is_created_as_sent(control: ControlServicer, store: Store) -> None:
    service = await create_service(control, name="web")
    assert spec(name="web") == service.spec
    assert service == store.view().services.get(service.id)
    assert 25 == len(service.id)
    assert service.HasField("spec_version")
    assert 0 == service.spec_version.index
    assert START == service.meta.created_at.seconds
    assert not service.HasField("job_status")


async def test_a_job_starts_with_its_first_iteration(control: ControlServicer) -> None:
    job = await create_service(control, replicated_job={"max_concurrent": 1})
    assert 0 == job.job_status.job_iteration.index
    assert START == job.job_status.last_execution.seconds


async def test_create_needs_a_spec(control: ControlServicer) -> None:
    assert INVALID_ARGUMENT == await refusal(
        control.CreateService(api.CreateServiceRequest(), None)
    )


async def test_names_are_unique_without_case(control: ControlServicer) -> None:
    await create_service(control, name="web")
    sentence = "name conflicts with an existing object: service WEB already exists"
    assert (Status.ALREADY_EXISTS, sentence) == await refusal(create_service(control, name="WEB"))


async def test_a_name_is_free_again_after_remove(control: ControlServicer) -> None:
    service = await create_service(control, name="web")
    await control.RemoveService(api.RemoveServiceRequest(service_id=service.id), None)
    assert "web" == (await create_service(control, name="web")).spec.annotations.name


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_what_a_service_refers_to_exists(
    control: ControlServicer, store: Store, kind: str
) -> None:
    there = getattr(builders, kind)("there")
    await put(store, there)

    def using(*references: tuple[str, str]) -> Any:
        refs = [
            {f"{kind}_id": object_id, f"{kind}_name": name, "file": {"name": name}}
            for object_id, name in references
        ]
        return create_service(control, **container(**{f"{kind}s": refs}))

    missing = INVALID, f"{kind} not found: gone"
    assert missing == await refusal(using((there.id, "there"), ("x", "gone")))
    assert (INVALID, f"{kind}s not found: a, b") == await refusal(using(("x", "a"), ("y", "b")))
    assert (INVALID, f"{kind} not found: other") == await refusal(using((there.id, "other")))
    assert (await using((there.id, "there"))).id


async def test_ports_of_one_service_are_not_given_to_another(
    control: ControlServicer, store: Store
) -> None:
    await put(store, builders.network("ingress", spec={"ingress": True}))

    def publishing(name: str, number: int, mode: str, protocol: str = "TCP") -> Any:
        port = {"published_port": number, "publish_mode": mode, "protocol": protocol}
        return create_service(control, name=name, endpoint={"ports": [port]})

    on_host = await publishing("h", 80, "HOST")
    in_mesh = await publishing("i", 81, "INGRESS")
    used = "port '{}' is already in use by service '{}' ({}) as {}"
    taken = INVALID, used.format(80, "h", on_host.id, "a host-published port")
    assert taken == await refusal(publishing("x", 80, "INGRESS"))
    taken = INVALID, used.format(81, "i", in_mesh.id, "an ingress port")
    assert taken == await refusal(publishing("x", 81, "HOST"))
    assert taken == await refusal(publishing("x", 81, "INGRESS"))
    assert (await publishing("same-host-port", 80, "HOST")).id
    assert (await publishing("other-protocol", 81, "INGRESS", "UDP")).id
    assert (await publishing("any-port", 0, "INGRESS")).id


async def test_ports_that_the_allocator_gave_are_taken_too(
    control: ControlServicer, store: Store
) -> None:
    port = api.PortConfig(published_port=30000, publish_mode="INGRESS")
    other = await stored_service(store, name="other", endpoint={"ports": [port]})
    sentence = f"port '30000' is already in use by service 'other' ({other.id}) as an ingress port"
    wanted = create_service(control, endpoint={"ports": [port]})
    assert (INVALID, sentence) == await refusal(wanted)


async def test_the_routing_mesh_needs_its_network(control: ControlServicer) -> None:
    wanted = create_service(control, endpoint={"ports": [{"target_port": 80}]})
    sentence = "service needs ingress network, but no ingress network is present"
    assert (Status.FAILED_PRECONDITION, sentence) == await refusal(wanted)


async def test_nobody_attaches_to_the_ingress_network(
    control: ControlServicer, store: Store
) -> None:
    ingress = builders.network("mesh", spec={"annotations": {"name": "mesh"}, "ingress": True})
    await put(store, ingress)
    task = {"container": {"image": "i"}, "networks": [{"target": ingress.id}]}
    sentence = 'Service cannot be explicitly attached to the ingress network "mesh"'
    assert (INVALID, sentence) == await refusal(create_service(control, task=task))


# get


async def test_get_needs_an_id_that_exists(control: ControlServicer) -> None:
    service = await create_service(control, name="web")

    def get(service_id: str) -> Any:
        return control.GetService(api.GetServiceRequest(service_id=service_id), None)

    assert service == (await get(service.id)).service
    assert INVALID_ARGUMENT == await refusal(get(""))
    assert (Status.NOT_FOUND, "service web not found") == await refusal(get("web"))


async def test_defaults_are_shown_when_asked_for_and_never_stored(
    control: ControlServicer, store: Store
) -> None:
    service = await create_service(control)
    request = api.GetServiceRequest(service_id=service.id, insert_defaults=True)
    shown = (await control.GetService(request, None)).service
    assert 5 == shown.spec.task.restart.delay.seconds
    assert 10 == shown.spec.task.container.stop_grace_period.seconds
    assert service == store.view().services.get(service.id)


# remove


async def test_remove_needs_an_id_that_exists(control: ControlServicer) -> None:
    def remove(service_id: str) -> Any:
        return control.RemoveService(api.RemoveServiceRequest(service_id=service_id), None)

    assert INVALID_ARGUMENT == await refusal(remove(""))
    assert (Status.NOT_FOUND, "service no not found") == await refusal(remove("no"))


# list


async def listed(control: ControlServicer, **filters: Any) -> list[str]:
    request = api.ListServicesRequest(filters=filters)
    return names((await control.ListServices(request, None)).services)


async def test_without_filters_all_are_listed(control: ControlServicer) -> None:
    for name in ("a", "b"):
        await create_service(control, name=name)
    answer = await control.ListServices(api.ListServicesRequest(), None)
    assert ["a", "b"] == names(answer.services)


async def test_filters_of_several_kinds_must_all_be_met(control: ControlServicer) -> None:
    labels = {"tier": "1", "k": "x"}
    web = await create_service(control, annotations={"name": "web", "labels": labels})
    await create_service(control, annotations={"name": "db", "labels": {"tier": "2"}})
    generic = {"kind": "Kind", "payload": {"type_url": "t", "value": b"v"}}
    await create_service(control, name="gen", task={"generic": generic})
    assert ["db", "web"] == await listed(control, names=["web", "db", "no"])
    assert [] == await listed(control, names=["WEB"])
    assert ["gen", "web"] == await listed(control, name_prefixes=["w", "g"])
    assert [] == await listed(control, name_prefixes=["W"])
    assert ["web"] == await listed(control, id_prefixes=[web.id[:20]])
    assert [] == await listed(control, id_prefixes=["~"])
    assert ["web"] == await listed(control, labels={"tier": "1"})
    assert ["db", "web"] == await listed(control, labels={"tier": ""})
    assert [] == await listed(control, labels={"tier": "1", "k": "y"})
    assert [] == await listed(control, names=["db"], id_prefixes=[web.id])
    assert ["db", "web"] == await listed(control, runtimes=["container"])
    assert ["gen"] == await listed(control, runtimes=["kind"])
    assert [] == await listed(control, runtimes=["Kind"])


# statuses


async def statuses(control: ControlServicer, *service_ids: str) -> list[tuple[int, int, int]]:
    """Desired, running and completed tasks of each."""
    request = api.ListServiceStatusesRequest(services=service_ids)
    answer = await control.ListServiceStatuses(request, None)
    assert list(service_ids) == [one.service_id for one in answer.statuses]
    return [(s.desired_tasks, s.running_tasks, s.completed_tasks) for s in answer.statuses]


async def test_a_replicated_service_wants_its_replicas(
    control: ControlServicer, store: Store
) -> None:
    service = await stored_service(store, replicas=3)
    running = [builders.task(service, state=State.RUNNING) for _ in range(2)]
    await put(store, *running, builders.task(service, state=State.FAILED))
    assert [(3, 2, 0)] == await statuses(control, service.id)


async def test_a_global_service_wants_what_should_run(
    control: ControlServicer, store: Store
) -> None:
    service = await stored_service(store, replicas=None)
    await put(
        store,
        builders.task(service, state=State.RUNNING),
        builders.task(service, state=State.PENDING),
        builders.task(service, state=State.RUNNING, desired_state=State.SHUTDOWN),
    )
    assert [(2, 2, 0)] == await statuses(control, service.id)


async def test_of_a_job_its_present_iteration_counts(
    control: ControlServicer, store: Store
) -> None:
    job = await create_service(control, name="r", replicated_job={"max_concurrent": 2})
    job = await update_service(control, job, name="r", replicated_job={"max_concurrent": 2})
    each = await create_service(control, name="g", global_job={})

    def task(service: api.Service, iteration: int, state: Any) -> api.Task:
        return builders.task(
            service,
            state=state,
            desired_state=State.COMPLETE,
            job_iteration={"index": iteration},
        )

    await put(
        store,
        task(job, 0, State.COMPLETE),
        task(job, 1, State.COMPLETE),
        task(job, 1, State.RUNNING),
        task(each, 0, State.COMPLETE),
        task(each, 0, State.RUNNING),
        builders.task(each, state=State.RUNNING),
    )
    assert [(2, 1, 1), (1, 1, 1)] == await statuses(control, job.id, each.id)


async def test_a_service_that_is_gone_wants_nothing(control: ControlServicer, store: Store) -> None:
    await put(store, builders.task(service_id="gone", state=State.RUNNING))
    assert [(0, 1, 0), (0, 0, 0)] == await statuses(control, "gone", "never")
    assert [] == await statuses(control)
