"""Extension and resource calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.unit.manager.control.calls import INVALID, put, refusal
from workers.manager.control.server import ControlServicer

PAYLOAD = {"type_url": "t", "value": b"v"}


async def extend(control: ControlServicer, name: str = "disk") -> api.Extension:
    request = api.CreateExtensionRequest(annotations={"name": name}, description="words")
    return (await control.CreateExtension(request, None)).extension


async def create(
    control: ControlServicer, name: str = "d1", kind: str = "disk", **fields: Any
) -> api.Resource:
    request = api.CreateResourceRequest(**({"annotations": {"name": name}, "kind": kind} | fields))
    return (await control.CreateResource(request, None)).resource


async def update(control: ControlServicer, one: api.Resource, **fields: Any) -> api.Resource:
    given = {"resource_id": one.id, "resource_version": one.meta.version} | fields
    request = api.UpdateResourceRequest(**given)
    return (await control.UpdateResource(request, None)).resource


def remove_extension(control: ControlServicer, extension_id: str) -> Any:
    request = api.RemoveExtensionRequest(extension_id=extension_id)
    return control.RemoveExtension(request, None)


def remove_resource(control: ControlServicer, resource_id: str) -> Any:
    return control.RemoveResource(api.RemoveResourceRequest(resource_id=resource_id), None)


# extensions


async def test_an_extension_is_created_as_sent(control: ControlServicer) -> None:
    made = await extend(control)
    request = api.GetExtensionRequest(extension_id=made.id)
    shown = (await control.GetExtension(request, None)).extension
    assert made == shown
    assert ("disk", "words") == (shown.annotations.name, shown.description)


async def test_an_extension_needs_a_name_that_nobody_has(control: ControlServicer) -> None:
    told = await refusal(extend(control, ""))
    assert (INVALID, "extension name must be provided") == told
    await extend(control, "disk")
    for name in ("DISK", "node", "service", "task", "secret", "resource", "volume"):
        told = await refusal(extend(control, name))
        assert (Status.ALREADY_EXISTS, f"extension {name} already exists") == told
    assert (await extend(control, "Node")).id


async def test_an_extension_is_found_by_its_id(control: ControlServicer) -> None:
    no_id = INVALID, "extension ID must be provided"
    assert no_id == await refusal(control.GetExtension(api.GetExtensionRequest(), None))
    assert no_id == await refusal(remove_extension(control, ""))
    request = api.GetExtensionRequest(extension_id="no")
    told = await refusal(control.GetExtension(request, None))
    assert (Status.NOT_FOUND, "extension no not found") == told
    told = await refusal(remove_extension(control, "no"))
    assert (Status.NOT_FOUND, "could not find extension no") == told


async def test_an_extension_stays_while_there_are_resources_of_it(
    control: ControlServicer, store: Store
) -> None:
    extension = await extend(control)
    resource = await create(control)
    status, sentence = await refusal(remove_extension(control, extension.id))
    assert Status.UNKNOWN == status
    assert sentence == (
        "cannot delete extension because objects of this type exist in the data store: resource d1"
    )
    await remove_resource(control, resource.id)
    await remove_extension(control, extension.id)
    assert [] == store.view().extensions.find()


async def test_of_many_resources_ten_are_named(control: ControlServicer, store: Store) -> None:
    extension = await extend(control)
    await put(store, *(builders.resource("disk", f"d{n}") for n in range(12)))
    _, sentence = await refusal(remove_extension(control, extension.id))
    assert 10 == len(sentence.partition("resources ")[2].split(", "))


# resources


async def test_a_resource_is_created_as_sent(control: ControlServicer, store: Store) -> None:
    await extend(control)
    made = await create(control, payload=PAYLOAD)
    request = api.GetResourceRequest(resource_id=made.id)
    assert made == (await control.GetResource(request, None)).resource
    assert b"v" == made.payload.value
    assert not (await create(control, "d2")).HasField("payload")


async def test_a_resource_needs_a_name_and_a_kind(control: ControlServicer) -> None:
    await extend(control)
    told = await refusal(create(control, ""))
    assert (INVALID, "Resource must have a name") == told
    told = await refusal(create(control, kind=""))
    assert (INVALID, "Resource must belong to an Extension") == told
    told = await refusal(create(control, kind="tape"))
    assert (INVALID, "Kind tape is not registered") == told


async def test_names_are_unique_over_all_kinds(control: ControlServicer) -> None:
    await extend(control, "disk")
    await extend(control, "tape")
    await create(control, "d1", "disk")
    told = await refusal(create(control, "D1", "tape"))
    assert (Status.ALREADY_EXISTS, "A resource with name D1 already exists") == told


async def test_a_resource_is_found_by_its_id(control: ControlServicer) -> None:
    no_id = INVALID, "resource ID must be present"
    assert no_id == await refusal(control.GetResource(api.GetResourceRequest(), None))
    assert no_id == await refusal(remove_resource(control, ""))
    missing = Status.NOT_FOUND, "resource no not found"
    request = api.GetResourceRequest(resource_id="no")
    assert missing == await refusal(control.GetResource(request, None))
    assert missing == await refusal(remove_resource(control, "no"))


async def test_labels_and_payload_can_be_updated(control: ControlServicer) -> None:
    await extend(control)
    one = await create(control, payload=PAYLOAD)
    labelled = await update(control, one, annotations={"name": "d1", "labels": {"a": "1"}})
    assert b"v" == labelled.payload.value
    loaded = await update(control, labelled, payload={"value": b"w"})
    assert b"w" == loaded.payload.value
    assert {"a": "1"} == dict(loaded.annotations.labels)


async def test_a_resource_keeps_its_name(control: ControlServicer) -> None:
    await extend(control)
    one = await create(control)
    told = await refusal(update(control, one, annotations={"name": "d2"}))
    assert (INVALID, "cannot change resource name") == told


async def test_update_needs_id_and_the_version_that_it_changes(
    control: ControlServicer,
) -> None:
    await extend(control)
    one = await create(control)
    both = INVALID, "must include ID and version"
    assert both == await refusal(update(control, one, resource_id=""))
    request = api.UpdateResourceRequest(resource_id=one.id)
    assert both == await refusal(control.UpdateResource(request, None))
    told = await refusal(update(control, one, resource_id="no"))
    assert (Status.NOT_FOUND, "resource no not found") == told
    await update(control, one)
    assert (INVALID, "update out of sequence") == await refusal(update(control, one))


async def test_a_resource_of_no_kind_cannot_be_updated(
    control: ControlServicer, store: Store
) -> None:
    one = builders.resource("gone")
    await put(store, one)
    told = await refusal(update(control, one))
    assert (Status.UNKNOWN, "object kind is unregistered") == told


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["d1", "d2", "t1"]),
        ({"kind": "disk"}, ["d1", "d2"]),
        ({"kind": "Disk"}, []),
        ({"names": ["D1", "t1"]}, ["d1", "t1"]),
        ({"names": ["d1"], "name_prefixes": ["T"]}, ["d1", "t1"]),
        ({"names": ["d1", "t1"], "kind": "tape"}, ["t1"]),
        ({"labels": {"a": "1"}}, ["d2"]),
    ],
)
async def test_filters_are_a_union_within_one_kind(
    control: ControlServicer, filters: dict[str, Any], found: list[str]
) -> None:
    await extend(control, "disk")
    await extend(control, "tape")
    await create(control, "d1")
    await create(control, annotations={"name": "d2", "labels": {"a": "1"}})
    await create(control, "t1", "tape")
    answer = await control.ListResources(api.ListResourcesRequest(filters=filters), None)
    assert found == sorted(one.annotations.name for one in answer.resources)
