"""Secret and config calls: alike, but for the data, which a secret keeps back."""

from dataclasses import dataclass
from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.unit.manager.control.calls import (
    INVALID,
    INVALID_ARGUMENT,
    names,
    put,
    refusal,
    stored_service,
)
from workers.manager.control.server import ControlServicer

ONLY_LABELS = INVALID, "only updates to Labels are allowed"
BAD_NAME = (
    "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
    "and the start and end character must be [a-zA-Z0-9]"
)


@dataclass
class Kind:
    """One of the two, its calls under common names."""

    name: str
    most_bytes: int
    control: ControlServicer
    store: Store

    def call(self, verb: str, **fields: Any) -> Any:
        noun = self.name.title() + ("s" if verb == "List" else "")
        request = getattr(api, f"{verb}{noun}Request")(**fields)
        return getattr(self.control, f"{verb}{noun}")(request, None)

    async def create(self, name: str = "one", data: bytes = b"data", **fields: Any) -> Any:
        spec = {"annotations": {"name": name}, "data": data} | fields
        return getattr(await self.call("Create", spec=spec), self.name)

    async def get(self, object_id: str) -> Any:
        answer = await self.call("Get", **{f"{self.name}_id": object_id})
        return getattr(answer, self.name)

    async def update(self, one: Any, **spec: Any) -> Any:
        name = {"annotations": {"name": one.spec.annotations.name}}
        fields = {
            f"{self.name}_id": one.id,
            f"{self.name}_version": one.meta.version,
            "spec": name | spec,
        }
        return getattr(await self.call("Update", **fields), self.name)

    async def remove(self, object_id: str) -> None:
        await self.call("Remove", **{f"{self.name}_id": object_id})

    async def listed(self, **filters: Any) -> list[str]:
        answer = await self.call("List", filters=filters)
        return names(getattr(answer, f"{self.name}s"))

    def stored(self, object_id: str) -> Any:
        return getattr(self.store.view(), f"{self.name}s").get(object_id)


@pytest.fixture(params=["secret", "config"])
def kind(request: pytest.FixtureRequest, control: ControlServicer, store: Store) -> Kind:
    most = {"secret": 500 * 1024, "config": 1000 * 1024}[request.param]
    return Kind(request.param, most - 1, control, store)


async def test_data_is_stored(kind: Kind) -> None:
    one = await kind.create()
    assert b"data" == kind.stored(one.id).spec.data


async def test_a_configs_data_is_shown(control: ControlServicer, store: Store) -> None:
    kind = Kind("config", 0, control, store)
    one = await kind.create()
    listed = (await kind.call("List")).configs[0]
    updated = await kind.update(one)
    for shown in (one, await kind.get(one.id), listed, updated):
        assert b"data" == shown.spec.data


async def test_a_secrets_data_is_shown_by_nothing(control: ControlServicer, store: Store) -> None:
    kind = Kind("secret", 0, control, store)
    one = await kind.create()
    listed = (await kind.call("List")).secrets[0]
    updated = await kind.update(one, data=b"data")
    for shown in (one, await kind.get(one.id), listed, updated):
        assert b"" == shown.spec.data
        assert "one" == shown.spec.annotations.name
    assert b"data" == kind.stored(one.id).spec.data


async def test_internal_secrets_are_not_listed(control: ControlServicer, store: Store) -> None:
    await put(store, builders.secret("hidden", internal=True))
    assert [] == await Kind("secret", 0, control, store).listed()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "name must be provided"),
        ("-a", BAD_NAME),
        ("a.", BAD_NAME),
        ("a b", BAD_NAME),
        ("é", BAD_NAME),
        ("a" * 65, BAD_NAME),
    ],
)
async def test_a_name_is_fit_for_a_file(kind: Kind, name: str, sentence: str) -> None:
    assert (INVALID, sentence) == await refusal(kind.create(name))


@pytest.mark.parametrize("name", ["a" * 64, "a.b_c-d", "1"])
async def test_such_names_are_taken(kind: Kind, name: str) -> None:
    assert name == (await kind.create(name)).spec.annotations.name


async def test_data_has_a_size(kind: Kind) -> None:
    sentence = f"{kind.name} data must be larger than 0 and less than {kind.most_bytes + 1} bytes"
    assert (INVALID, sentence) == await refusal(kind.create(data=b""))
    assert (INVALID, sentence) == await refusal(kind.create(data=b"x" * (kind.most_bytes + 1)))
    assert (await kind.create(data=b"x" * kind.most_bytes)).id


async def test_create_needs_a_spec(kind: Kind) -> None:
    assert INVALID_ARGUMENT == await refusal(kind.call("Create"))


async def test_names_are_unique_without_case(kind: Kind) -> None:
    await kind.create("one")
    sentence = f"{kind.name} ONE already exists"
    assert (Status.ALREADY_EXISTS, sentence) == await refusal(kind.create("ONE"))


async def test_secret_drivers_are_not_there(control: ControlServicer, store: Store) -> None:
    kind = Kind("secret", 0, control, store)
    told = await refusal(kind.create(driver={}))
    assert (INVALID, "secret driver must have a name") == told
    status, sentence = await refusal(kind.create(driver={"name": "vault"}))
    assert Status.UNKNOWN == status
    assert "plugin getter is nil" in sentence


async def test_get_and_remove_need_an_id_that_exists(kind: Kind) -> None:
    no_id = INVALID, f"{kind.name} ID must be provided"
    assert no_id == await refusal(kind.get(""))
    assert no_id == await refusal(kind.remove(""))
    assert (Status.NOT_FOUND, f"{kind.name} no not found") == await refusal(kind.get("no"))
    told = await refusal(kind.remove("no"))
    assert (Status.NOT_FOUND, f"could not find {kind.name} no") == told


async def test_labels_can_be_updated(kind: Kind) -> None:
    one = await kind.create(annotations={"name": "one", "labels": {"a": "1"}})
    annotations = {"name": "one", "labels": {"b": "2"}}
    updated = await kind.update(one, annotations=annotations)
    assert {"b": "2"} == dict(updated.spec.annotations.labels)
    assert updated.meta.version.index > one.meta.version.index
    assert b"data" == kind.stored(one.id).spec.data


async def test_nothing_else_can_be_updated(kind: Kind) -> None:
    one = await kind.create()
    assert ONLY_LABELS == await refusal(kind.update(one, annotations={"name": "two"}))
    assert ONLY_LABELS == await refusal(kind.update(one, data=b"other"))
    assert (await kind.update(one, data=b"data")).id


async def test_update_needs_id_version_and_spec(kind: Kind) -> None:
    one = await kind.create()
    the_id = {f"{kind.name}_id": one.id}
    version = {f"{kind.name}_version": one.meta.version}
    spec = {"spec": one.spec}
    for fields in (version | spec, the_id | spec, the_id | version):
        assert INVALID_ARGUMENT == await refusal(kind.call("Update", **fields))
    told = await refusal(kind.call("Update", **{f"{kind.name}_id": "no"}, **version))
    assert (Status.NOT_FOUND, f"{kind.name} no not found") == told


async def test_update_needs_the_version_that_it_changes(kind: Kind) -> None:
    one = await kind.create()
    await kind.update(one)
    told = await refusal(kind.update(one))
    assert (Status.UNKNOWN, "update out of sequence") == told


async def test_what_a_service_uses_stays(kind: Kind, store: Store) -> None:
    one = await kind.create()
    reference = {f"{kind.name}_id": one.id, f"{kind.name}_name": "one"}
    container = builders.container(**{f"{kind.name}s": [reference]})
    users = [await stored_service(store, name=n, container_spec=container) for n in ("a", "b")]
    used = f"{kind.name} 'one' is in use by the following "
    assert (INVALID, used + "services: a, b") == await refusal(kind.remove(one.id))
    await store.update(lambda tx: tx.services.delete(users[0].id))
    assert (INVALID, used + "service: b") == await refusal(kind.remove(one.id))
    await store.update(lambda tx: tx.services.delete(users[1].id))
    await kind.remove(one.id)
    assert kind.stored(one.id) is None


async def test_filters_of_names_and_ids_are_a_union_without_case(kind: Kind) -> None:
    one = await kind.create(annotations={"name": "one", "labels": {"a": "1"}})
    await kind.create("two")
    assert ["one", "two"] == await kind.listed()
    assert ["one"] == await kind.listed(names=["ONE"])
    assert ["two"] == await kind.listed(name_prefixes=["T"])
    assert ["one", "two"] == await kind.listed(names=["two"], id_prefixes=[one.id])
    assert ["one"] == await kind.listed(names=["two", "one"], labels={"a": ""})
