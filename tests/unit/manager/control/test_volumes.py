"""Volume calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders, stored
from tests.unit.manager.control.calls import INVALID, refusal
from workers.manager.control.server import ControlServicer

SOUND = {
    "annotations": {"name": "v"},
    "driver": {"name": "d"},
    "access_mode": {"mount": {}},
}
MISSING = Status.NOT_FOUND, "volume v not found"


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in SOUND.items() if name != field}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (None, "spec must not be nil"),
        (without("driver"), "driver must be specified"),
        (without("annotations"), "meta: name must be provided"),
        (without("access_mode"), "AccessMode must not be nil"),
        (
            SOUND | {"access_mode": {}},
            "Volume AccessMode must specify either Mount or Block access type",
        ),
        (SOUND | {"secrets": [{"secret": "a"}]}, "secret not found: a"),
        (SOUND | {"secrets": [{"secret": "a"}, {"secret": "b"}]}, "secrets not found: a, b"),
    ],
)
async def test_a_fault_is_told_first(
    control: ControlServicer, spec: dict[str, Any] | None, sentence: str
) -> None:
    call = control.CreateVolume(api.CreateVolumeRequest(spec=spec), None)
    assert (INVALID, sentence) == await refusal(call)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"availability": 7}, "there is no volume availability 7"),
        ({"capacity_range": {"limit_bytes": -1}}, "CapacityRange: a size cannot be negative"),
        (
            {"capacity_range": {"required_bytes": 2, "limit_bytes": 1}},
            "CapacityRange: the limit is below what is required",
        ),
    ],
)
async def test_what_no_plugin_could_ever_make_is_refused(
    control: ControlServicer, fields: dict[str, Any], sentence: str
) -> None:
    call = control.CreateVolume(api.CreateVolumeRequest(spec=SOUND | fields), None)
    assert (INVALID, sentence) == await refusal(call)


async def create(control: ControlServicer, name: str = "v", **fields: Any) -> api.Volume:
    spec = SOUND | {"annotations": {"name": name}} | fields
    return (await control.CreateVolume(api.CreateVolumeRequest(spec=spec), None)).volume


async def test_a_sound_one_is_kept_and_can_be_had(control: ControlServicer) -> None:
    made = await create(control)
    assert "d" == made.spec.driver.name
    assert not made.HasField("volume_info")
    got = await control.GetVolume(api.GetVolumeRequest(volume_id=made.id), None)
    assert made == got.volume
    again = control.CreateVolume(api.CreateVolumeRequest(spec=SOUND), None)
    assert Status.ALREADY_EXISTS == (await refusal(again))[0]


async def test_they_are_listed_by_what_all_filters_say(control: ControlServicer) -> None:
    await create(control, "one", group="fast", annotations={"name": "one", "labels": {"a": "b"}})
    await create(control, "two", group="fast", driver={"name": "e"})
    await create(control, "three")

    async def listed(**filters: Any) -> list[str]:
        request = api.ListVolumesRequest(filters=filters)
        found = (await control.ListVolumes(request, None)).volumes
        return sorted(one.spec.annotations.name for one in found)

    assert ["one", "three", "two"] == await listed()
    assert ["one", "two"] == await listed(groups=["fast"])
    assert ["two"] == await listed(groups=["fast"], drivers=["e"])
    assert ["three", "two"] == await listed(name_prefixes=["t"])
    assert ["one"] == await listed(labels={"a": ""})
    assert [] == await listed(names=["one"], drivers=["e"])


async def test_only_labels_and_availability_can_be_updated(control: ControlServicer) -> None:
    made = await create(control)

    async def update(**fields: Any) -> api.Volume:
        request = api.UpdateVolumeRequest(volume_id=made.id, spec=SOUND | fields)
        request.volume_version.CopyFrom(made.meta.version)
        return (await control.UpdateVolume(request, None)).volume

    for field, value, name in (
        ("annotations", {"name": "w"}, "Name"),
        ("group", "g", "Group"),
        ("AccessibilityRequirements", {"requisite": [{}]}, "AccessibilityRequirements"),
        ("driver", {"name": "e"}, "Driver"),
        ("access_mode", {"block": {}}, "AccessMode"),
        ("secrets", [{"key": "k"}], "Secrets"),
        ("capacity_range", {"required_bytes": 1}, "CapacityRange"),
    ):
        assert (INVALID, f"{name} cannot be updated") == await refusal(update(**{field: value}))
    changed = await update(annotations={"name": "v", "labels": {"a": "b"}}, availability="DRAIN")
    assert {"a": "b"} == dict(changed.spec.annotations.labels)
    assert api.VolumeSpec.VolumeAvailability.DRAIN == changed.spec.availability
    assert (Status.UNKNOWN, "update out of sequence") == await refusal(update())


async def test_one_in_use_cannot_be_removed_but_by_force(
    control: ControlServicer, store: Store
) -> None:
    made = await create(control)
    task = builders.task(state=api.TaskState.ASSIGNED, volumes=[{"id": made.id}])
    await stored.add(store, task)
    request = api.RemoveVolumeRequest(volume_id=made.id)
    used = Status.FAILED_PRECONDITION, "volume is still in use"
    assert used == await refusal(control.RemoveVolume(request, None))
    await stored.edit(store, task, lambda own: setattr(own.status, "state", api.TaskState.FAILED))
    await stored.edit(store, made, lambda own: own.publish_status.add(node_id="n"))
    assert used == await refusal(control.RemoveVolume(request, None))
    await stored.edit(store, made, lambda own: own.publish_status.pop())
    await control.RemoveVolume(request, None)
    marked = store.view().volumes.get(made.id)
    assert marked is not None
    assert marked.pending_delete
    await control.RemoveVolume(api.RemoveVolumeRequest(volume_id=made.id, force=True), None)
    assert store.view().volumes.get(made.id) is None


async def test_a_secret_stays_for_as_long_as_a_volume_needs_it(
    control: ControlServicer, store: Store
) -> None:
    secret = builders.secret("password")
    await stored.add(store, secret)
    made = await create(control, secrets=[{"key": "k", "secret": secret.id}])
    remove = api.RemoveSecretRequest(secret_id=secret.id)
    used = INVALID, "secret 'password' is in use by the following volume: v"
    assert used == await refusal(control.RemoveSecret(remove, None))
    await control.RemoveVolume(api.RemoveVolumeRequest(volume_id=made.id, force=True), None)
    await control.RemoveSecret(remove, None)


async def test_what_is_not_there_is_not_found(control: ControlServicer) -> None:
    assert [] == list((await control.ListVolumes(api.ListVolumesRequest(), None)).volumes)
    get, remove = api.GetVolumeRequest(volume_id="v"), api.RemoveVolumeRequest(volume_id="v")
    assert MISSING == await refusal(control.GetVolume(get, None))
    assert MISSING == await refusal(control.RemoveVolume(remove, None))


async def test_update_needs_id_spec_and_version(control: ControlServicer) -> None:
    request = api.UpdateVolumeRequest()
    for field, sentence in (
        ("volume_id", "VolumeID must not be empty"),
        ("spec", "Spec must not be empty"),
        ("volume_version", "VolumeVersion must not be empty"),
    ):
        assert (INVALID, sentence) == await refusal(control.UpdateVolume(request, None))
        if field == "volume_id":
            request.volume_id = "v"
        else:
            getattr(request, field).SetInParent()
    assert MISSING == await refusal(control.UpdateVolume(request, None))
