"""A container spec's mounts as the engine takes them (pure)."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from google.protobuf.message import Message

from swarmd import api
from workers.agent.executors import MountedVolume
from workers.agent.executors.errors import RejectedError

_Type = api.Mount.Type
_NAMES: Final = {
    _Type.BIND: "bind",
    _Type.VOLUME: "volume",
    _Type.TMPFS: "tmpfs",
    _Type.CLUSTER: "cluster",
}
_REFUSED: Final = {_Type.NPIPE: "named pipes exist on Windows only"}


def mounts(
    spec: api.ContainerSpec, volumes: Sequence[MountedVolume] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All of them, checked, and the devices of those that are such.

    `volumes` are the cluster volumes in the order of their mounts. Raises RejectedError, naming the
    mount's target.
    """
    for each in spec.mounts:
        _check(each)
    on_cluster = [each for each in spec.mounts if each.type == _Type.CLUSTER]
    if len(on_cluster) != len(volumes):
        raise _refused(on_cluster[-1], "the task was given no volume for it")
    pairs = list(zip(on_cluster, volumes, strict=True))
    binds = [_mount(each) for each in spec.mounts if each.type != _Type.CLUSTER]
    binds += [_volume(each, one) for each, one in pairs if not one.is_block]
    return binds, [_device(each, one) for each, one in pairs if one.is_block]


def read_only_file(source: str, target: str) -> dict[str, Any]:
    """A file of this node, at that path in the container."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}


def _volume(mount: api.Mount, volume: MountedVolume) -> dict[str, Any]:
    """A cluster volume is a directory of this host."""
    return {
        "Type": "bind",
        "Source": volume.path,
        "Target": mount.target,
        "ReadOnly": mount.readonly,
    }


def _device(mount: api.Mount, volume: MountedVolume) -> dict[str, Any]:
    return {
        "PathOnHost": volume.path,
        "PathInContainer": mount.target,
        "CgroupPermissions": "r" if mount.readonly else "rw",
    }


def _mount(mount: api.Mount) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Type": _NAMES[mount.type],
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.readonly,
    }
    if mount.HasField("bind_options"):
        found["BindOptions"] = _bind_options(mount.bind_options)
    if mount.HasField("volume_options"):
        found["VolumeOptions"] = _volume_options(mount.volume_options)
    if mount.HasField("tmpfs_options"):
        found["TmpfsOptions"] = _tmpfs_options(mount)
    return found


def _check(mount: api.Mount) -> None:
    """The engine takes a volume with an absolute source for a bind, and the other way round."""
    if mount.type not in _NAMES:
        reason = _REFUSED.get(mount.type, f"there is no mount of type {mount.type}")
        raise _refused(mount, reason)
    if not PurePosixPath(mount.target).is_absolute():
        raise _refused(mount, "the target is not an absolute path")
    is_absolute = PurePosixPath(mount.source).is_absolute()
    if mount.type == _Type.BIND and not is_absolute:
        raise _refused(mount, f"the source {mount.source or 'of a bind'} is not an absolute path")
    if mount.type == _Type.VOLUME and is_absolute:
        raise _refused(mount, f"the source {mount.source} is a path, not the name of a volume")
    if mount.type == _Type.TMPFS and mount.source:
        raise _refused(mount, "a tmpfs has no source")
    _check_options(mount)


def _check_options(mount: api.Mount) -> None:
    options: tuple[tuple[Message, str, int], ...] = (
        (mount.bind_options, "bind_options", _Type.BIND),
        (mount.volume_options, "volume_options", _Type.VOLUME),
        (mount.tmpfs_options, "tmpfs_options", _Type.TMPFS),
    )
    for message, field, of in options:
        if mount.type != of and message.ByteSize():
            raise _refused(mount, f"a mount of type {_NAMES[mount.type]} has no {field}")


def _refused(mount: api.Mount, reason: str) -> RejectedError:
    return RejectedError(f"mounts: {mount.target or 'no target'}: {reason}")


def _bind_options(options: api.Mount.BindOptions) -> dict[str, Any]:
    propagation = api.Mount.BindOptions.Propagation.Name(options.propagation).lower()
    flags = {
        "NonRecursive": options.nonrecursive,
        "CreateMountpoint": options.createmountpoint,
        "ReadOnlyNonRecursive": options.readonlynonrecursive,
        "ReadOnlyForceRecursive": options.readonlyforcerecursive,
    }
    return {"Propagation": propagation, **{name: True for name, is_set in flags.items() if is_set}}


def _volume_options(options: api.Mount.VolumeOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"NoCopy": options.nocopy, "Labels": dict(options.labels)}
    if options.subpath:
        found["Subpath"] = options.subpath
    if options.HasField("driver_config"):
        driver = options.driver_config
        found["DriverConfig"] = {"Name": driver.name, "Options": dict(driver.options)}
    return found


def _tmpfs_options(mount: api.Mount) -> dict[str, Any]:
    options = mount.tmpfs_options
    found: dict[str, Any] = {"SizeBytes": options.size_bytes, "Mode": options.mode}
    if options.options:
        found["Options"] = _tmpfs_words(mount, options.options)
    return found


def _tmpfs_words(mount: api.Mount, text: str) -> list[list[str]]:
    """Docker Engine writes them as JSON, a list of lists; people write `noexec,uid=1`."""
    if not text.startswith("["):
        return [word.split("=", 1) for word in text.split(",") if word]
    try:
        words = json.loads(text)
    except ValueError as error:
        raise _refused(mount, f"tmpfs options {text} cannot be read: {error}") from error
    if not all(isinstance(word, list) for word in words):
        raise _refused(mount, f"tmpfs options {text} are not a list of lists")
    return [[str(part) for part in word] for word in words]
