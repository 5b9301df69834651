"""A service's volumes and tmpfs to mounts (pure)."""

import os
from collections.abc import Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.compose.errors import ComposeError, Place
from swarmd.ctl.compose.objects import Section, full_name, stack_labels
from swarmd.ctl.compose.project import Surroundings
from swarmd.ctl.service_mounts import tmpfs_mount

_Type: Final = api.Mount.Type
_Propagation: Final = api.Mount.BindOptions.Propagation
_OPTIONS: Final = ("bind", "volume", "tmpfs")
_GROUP: Final = "group:"


def mounts(
    stack: str, service: Mapping[str, Any], volumes: Section, around: Surroundings, place: Place
) -> list[api.Mount]:
    """Of a service in its canonical form; raises ComposeError."""
    found = []
    for index, one in enumerate(service.get("volumes", ())):
        at = (*place, "volumes", index)
        _check(one, at)
        mount = _mount(one)
        if one["type"] == "bind":
            mount.source = _bound_path(one["source"], around)
        elif one["type"] in ("volume", "cluster") and mount.source:
            _name_volume(stack, mount, volumes, at)
        found.append(mount)
    return found + [_tmpfs(text, (*place, "tmpfs")) for text in service.get("tmpfs", ())]


def _check(one: Mapping[str, Any], place: Place) -> None:
    kind = one["type"]
    for name in _OPTIONS:
        if name in one and name != kind and (name, kind) != ("bind", "npipe"):
            raise ComposeError(f"{name} options do not go with type {kind}", place)
    if kind in ("bind", "npipe", "cluster") and not one.get("source"):
        raise ComposeError(f"a {kind} needs a source", place)
    if kind == "tmpfs" and one.get("source"):
        raise ComposeError("a tmpfs has no source", place)


def _mount(one: Mapping[str, Any]) -> api.Mount:
    mount = api.Mount(
        type=_Type.Value(one["type"].upper()),
        source=one.get("source", ""),
        target=one["target"],
        readonly=one.get("read_only", False),
        consistency=api.Mount.Consistency.Value(one.get("consistency", "default").upper()),
    )
    bind, volume, tmpfs = (one.get(name, {}) for name in _OPTIONS)
    if bind:
        mount.bind_options.propagation = _Propagation.Value(
            bind.get("propagation", "rprivate").upper()
        )
        mount.bind_options.createmountpoint = bind.get("create_host_path", False)
    if volume:
        mount.volume_options.nocopy = volume.get("nocopy", False)
        mount.volume_options.subpath = volume.get("subpath", "")
    if tmpfs:
        mount.tmpfs_options.size_bytes = tmpfs.get("size", 0)
        mount.tmpfs_options.mode = tmpfs.get("mode", 0)
    return mount


def _bound_path(source: str, around: Surroundings) -> str:
    """Absolute; a path of Windows stays as it is."""
    if source.startswith("~"):
        source = around.environment.get("HOME", "~") + source[1:]
    if source.startswith(("\\\\", "~")) or source[1:2] == ":":
        return source
    return os.path.normpath(around.path(source))


def _name_volume(stack: str, mount: api.Mount, volumes: Section, place: Place) -> None:
    name = mount.source
    is_cluster = mount.type == _Type.CLUSTER
    if is_cluster and name.startswith(_GROUP):
        return
    if name not in volumes:
        raise ComposeError(f"there is no volume {name} under the top-level volumes", place)
    one = volumes[name]
    mount.source = full_name(stack, name, volumes)
    if is_cluster or one.get("external"):
        return
    mount.volume_options.labels.update(stack_labels(stack, one.get("labels")))
    if "driver" in one or "driver_opts" in one:
        mount.volume_options.driver_config.name = one.get("driver", "")
        mount.volume_options.driver_config.options.update(one.get("driver_opts", {}))


def _tmpfs(text: str, place: Place) -> api.Mount:
    try:
        return tmpfs_mount(text)
    except click.BadParameter as error:
        raise ComposeError(error.message, place) from error
