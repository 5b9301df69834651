"""UpdateService: what may change, and what is kept of what was."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.fakes.clock import START, FakeClock
from tests.unit.manager.control.calls import (
    INVALID,
    INVALID_ARGUMENT,
    container,
    create_service,
    put,
    refusal,
    service_change,
    spec,
    stored_service,
    update_service,
)
from workers.manager.control.server import ControlServicer


async def roll_back(control: ControlServicer, service: api.Service) -> api.Service:
    request = service_change(service)
    request.rollback = api.UpdateServiceRequest.Rollback.PREVIOUS
    return (await control.UpdateService(request, None)).service


def image(name: str) -> dict[str, Any]:
    return container(image=name)


async def test_update_needs_id_version_and_spec(control: ControlServicer) -> None:
    service = await create_service(control)
    for field in ("service_id", "service_version", "spec"):
        request = service_change(service)
        request.ClearField(field)
        assert INVALID_ARGUMENT == await refusal(control.UpdateService(request, None))


async def test_update_needs_an_id_that_exists(control: ControlServicer) -> None:
    request = api.UpdateServiceRequest(service_id="no", service_version={}, spec=spec())
    told = await refusal(control.UpdateService(request, None))
    assert (Status.NOT_FOUND, "service no not found") == told


@pytest.mark.parametrize("version", [0, 1, 10**9])
async def test_update_needs_the_version_that_it_changes(
    control: ControlServicer, version: int
) -> None:
    request = service_change(await create_service(control))
    request.service_version.index = version
    told = await refusal(control.UpdateService(request, None))
    assert (Status.UNKNOWN, "update out of sequence") == told


async def test_an_update_keeps_the_spec_before(control: ControlServicer) -> None:
    first = await create_service(control)
    second = await update_service(control, first, **image("img:2"))
    third = await update_service(control, second, **image("img:3"))
    assert "img:3" == third.spec.task.container.image
    assert "img:2" == third.previous_spec.task.container.image
    assert first.meta.version == second.spec_version
    assert first.spec_version == second.previous_spec_version
    assert second.spec_version == third.previous_spec_version
    assert third.meta.version.index > second.meta.version.index


async def test_an_update_forgets_how_the_last_one_went(
    control: ControlServicer, store: Store
) -> None:
    status = {"state": "COMPLETED"}
    service = await stored_service(store, name="web", update_status=status)
    assert not (await update_service(control, service)).HasField("update_status")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "other"}, "renaming services is not supported"),
        ({"global": {}}, "service mode change is not allowed"),
        ({"replicated_job": {}}, "service mode change is not allowed"),
        ({"name": "other", "global": {}}, "service mode change is not allowed"),
        (
            {"networks": [{"target": "n"}]},
            "networks must be migrated to TaskSpec before being changed",
        ),
    ],
)
async def test_some_fields_cannot_be_changed(
    control: ControlServicer, fields: dict[str, Any], sentence: str
) -> None:
    service = await create_service(control)
    told = await refusal(update_service(control, service, **fields))
    assert (Status.UNIMPLEMENTED, sentence) == told


async def test_networks_may_move_into_the_task(control: ControlServicer) -> None:
    service = await create_service(control, networks=[{"target": "n"}])
    task = {"container": {"image": "i"}, "networks": [{"target": "n"}]}
    assert "n" == (await update_service(control, service, task=task)).spec.task.networks[0].target


async def test_a_service_does_not_collide_with_itself(
    control: ControlServicer, store: Store
) -> None:
    await put(store, builders.network("ingress", spec={"ingress": True}))
    port = {"published_port": 80}
    service = await create_service(control, endpoint={"ports": [port]})
    more = {"ports": [port, {"published_port": 81}]}
    assert 2 == len((await update_service(control, service, endpoint=more)).spec.endpoint.ports)


async def test_a_roll_back_swaps_the_specs(control: ControlServicer) -> None:
    first = await create_service(control)
    second = await update_service(control, first, **image("img:2"))
    back = await roll_back(control, second)
    assert (first.spec, first.spec_version) == (back.spec, back.spec_version)
    assert (second.spec, second.spec_version) == (back.previous_spec, back.previous_spec_version)
    assert api.UpdateStatus.UpdateState.ROLLBACK_STARTED == back.update_status.state
    assert "manually requested rollback" == back.update_status.message
    assert START == back.update_status.started_at.seconds
    forth = await roll_back(control, back)
    assert (second.spec, first.spec) == (forth.spec, forth.previous_spec)


async def test_a_roll_back_needs_something_to_go_back_to(control: ControlServicer) -> None:
    service = await create_service(control)
    sentence = f"service {service.id} does not have a previous spec"
    told = await refusal(roll_back(control, service))
    assert (Status.FAILED_PRECONDITION, sentence) == told


async def test_the_spec_of_a_roll_back_is_checked_though_not_used(
    control: ControlServicer,
) -> None:
    request = service_change(
        await update_service(control, await create_service(control)), **image("")
    )
    request.rollback = api.UpdateServiceRequest.Rollback.PREVIOUS
    told = await refusal(control.UpdateService(request, None))
    assert (INVALID, "ContainerSpec: image reference must be provided") == told


async def test_each_update_of_a_job_is_a_new_iteration(
    control: ControlServicer, clock: FakeClock
) -> None:
    job = await create_service(control, global_job={})
    clock.advance(seconds=60)
    for iteration in (1, 2):
        job = await update_service(control, job, global_job={})
        assert iteration == job.job_status.job_iteration.index
    assert START + 60 == job.job_status.last_execution.seconds
