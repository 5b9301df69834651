"""Volume calls, before there are volumes."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
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


async def test_a_sound_one_is_not_implemented(control: ControlServicer) -> None:
    call = control.CreateVolume(api.CreateVolumeRequest(spec=SOUND), None)
    assert (Status.UNIMPLEMENTED, "cluster volumes are not implemented yet") == await refusal(call)


async def test_there_are_none(control: ControlServicer) -> None:
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
