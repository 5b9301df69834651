"""Mounts in the words of the engine's API."""

from typing import Any

import pytest

from swarmd import api
from workers.agent.executors import MountedVolume
from workers.agent.executors.docker import mounts
from workers.agent.executors.errors import RejectedError

BIND, VOLUME, TMPFS = api.Mount.BIND, api.Mount.VOLUME, api.Mount.TMPFS
Propagation = api.Mount.BindOptions


def mount(**fields: Any) -> dict[str, Any]:
    return mounts.mounts(api.ContainerSpec(mounts=[fields]))[0][0]


def test_a_bind_keeps_all_its_options() -> None:
    options = {
        "propagation": Propagation.RSLAVE,
        "nonrecursive": True,
        "createmountpoint": True,
        "readonlynonrecursive": True,
        "readonlyforcerecursive": True,
    }
    found = mount(type=BIND, source="/a", target="/b", readonly=True, bind_options=options)
    assert {
        "Type": "bind",
        "Source": "/a",
        "Target": "/b",
        "ReadOnly": True,
        "BindOptions": {
            "Propagation": "rslave",
            "NonRecursive": True,
            "CreateMountpoint": True,
            "ReadOnlyNonRecursive": True,
            "ReadOnlyForceRecursive": True,
        },
    } == found


def test_a_volume_keeps_labels_driver_and_subpath() -> None:
    options = {
        "nocopy": True,
        "labels": {"a": "b"},
        "subpath": "s",
        "driver_config": {"name": "nfs", "options": {"o": "v"}},
    }
    found = mount(type=VOLUME, source="data", target="/b", volume_options=options)
    assert {
        "NoCopy": True,
        "Labels": {"a": "b"},
        "Subpath": "s",
        "DriverConfig": {"Name": "nfs", "Options": {"o": "v"}},
    } == found["VolumeOptions"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[["noexec"],["uid","1"]]', [["noexec"], ["uid", "1"]]),
        ("noexec,uid=1", [["noexec"], ["uid", "1"]]),
    ],
)
def test_a_tmpfs_keeps_size_mode_and_options(text: str, words: list[list[str]]) -> None:
    options = {"size_bytes": 5, "mode": 0o700, "options": text}
    found = mount(type=TMPFS, target="/t", tmpfs_options=options)
    assert {"SizeBytes": 5, "Mode": 0o700, "Options": words} == found["TmpfsOptions"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": VOLUME, "target": "b"}, "mounts: b: the target is not an absolute path"),
        ({"type": BIND, "source": "a", "target": "/b"}, "mounts: /b: the source a is not an"),
        ({"type": BIND, "target": "/b"}, "mounts: /b: the source of a bind is not an absolute"),
        ({"type": VOLUME, "source": "/a", "target": "/b"}, "mounts: /b: the source /a is a path"),
        ({"type": TMPFS, "source": "a", "target": "/b"}, "mounts: /b: a tmpfs has no source"),
        ({"type": 3, "target": "/b"}, "mounts: /b: named pipes exist on Windows only"),
        ({"type": 4, "target": "/b"}, "mounts: /b: the task was given no volume for it"),
        ({"type": 9, "target": "/b"}, "mounts: /b: there is no mount of type 9"),
        (
            {"type": BIND, "source": "/a", "target": "/b", "volume_options": {"nocopy": True}},
            "mounts: /b: a mount of type bind has no volume_options",
        ),
        (
            {"type": TMPFS, "target": "/b", "tmpfs_options": {"options": "[1]"}},
            "mounts: /b: tmpfs options [1] are not a list of lists",
        ),
    ],
)
def test_a_mount_that_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        mount(**fields)
    assert str(refused.value).startswith(reason)


def test_a_cluster_volume_is_a_bind_or_a_device() -> None:
    disk = {"type": api.Mount.CLUSTER, "source": "group:g"}
    spec = api.ContainerSpec(
        mounts=[
            {**disk, "target": "/files", "readonly": True},
            {"type": BIND, "source": "/a", "target": "/b"},
            {**disk, "target": "/dev/disk"},
            {**disk, "target": "/dev/read", "readonly": True},
        ]
    )
    given = [
        MountedVolume("/csi/1"),
        MountedVolume("/csi/2", is_block=True),
        MountedVolume("/csi/3", is_block=True),
    ]
    binds, devices = mounts.mounts(spec, given)
    files = {"Type": "bind", "Source": "/csi/1", "Target": "/files", "ReadOnly": True}
    assert files in binds
    assert ["/b", "/files"] == sorted(each["Target"] for each in binds)
    assert [
        {"PathOnHost": "/csi/2", "PathInContainer": "/dev/disk", "CgroupPermissions": "rw"},
        {"PathOnHost": "/csi/3", "PathInContainer": "/dev/read", "CgroupPermissions": "r"},
    ] == devices
