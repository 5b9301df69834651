"""A volume's flags into its spec, and a volume as it is shown (pure)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import volumes
from swarmd.ctl.docker_shapes import Shape, label, when
from swarmd.ctl.output import ago, size
from swarmd.ctl.values import memory_bytes, options, pairs

TITLES: Final = {
    "ID": "ID",
    "Name": "VOLUME NAME",
    "Group": "GROUP",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Availability": "AVAILABILITY",
    "Status": "STATUS",
    "Labels": "LABELS",
}
SHOWN: Final = ("Name", "Group", "Driver", "Availability", "Status")
_STATES: Final = {
    api.VolumePublishStatus.State.PENDING_PUBLISH: "pending-publish",
    api.VolumePublishStatus.State.PUBLISHED: "published",
    api.VolumePublishStatus.State.PENDING_NODE_UNPUBLISH: "pending-node-unpublish",
    api.VolumePublishStatus.State.PENDING_UNPUBLISH: "pending-controller-unpublish",
}


def name_of_new(argument: str | None, flag: str | None, driver: str | None) -> str:
    """Its name, by whichever way it was given; raises click.UsageError."""
    if argument and flag:
        raise click.UsageError("a volume has one name: give it as an argument or by --name")
    if not (argument or flag):
        raise click.UsageError("a volume needs a name")
    if not driver:
        raise click.UsageError("a cluster volume is of a CSI plugin: name it by --driver")
    return argument or flag or ""


def spec(name: str, given: Mapping[str, Any], secrets: Mapping[str, str]) -> api.VolumeSpec:
    """What `volume create` asks for; `secrets` are ids by the plugin's keys."""
    made = api.VolumeSpec(
        annotations=api.Annotations(name=name, labels=options(given["label"])),
        group=given["group"],
        driver=api.Driver(name=given["driver"], options=pairs(given["opt"], "--opt")),
        access_mode=_access_mode(given),
        secrets=[api.VolumeSecret(key=key, secret=secrets[key]) for key in sorted(secrets)],
        availability=volumes.AVAILABILITIES[given["availability"]],
    )
    for field, flag in (("required_bytes", "--required-bytes"), ("limit_bytes", "--limit-bytes")):
        if given[field]:
            setattr(made.capacity_range, field, memory_bytes(given[field], flag))
    where = made.AccessibilityRequirements
    where.requisite.extend(_topologies(given["topology_required"], "--topology-required"))
    where.preferred.extend(_topologies(given["topology_preferred"], "--topology-preferred"))
    if not (where.requisite or where.preferred):
        made.ClearField("AccessibilityRequirements")
    return made


def _access_mode(given: Mapping[str, Any]) -> api.VolumeAccessMode:
    mode = api.VolumeAccessMode(
        scope=volumes.SCOPES[given["scope"]], sharing=volumes.SHARINGS[given["sharing"]]
    )
    if given["type"] == "block":
        mode.block.SetInParent()
    else:
        mode.mount.SetInParent()
    return mode


def _topologies(texts: Iterable[str], flag: str) -> list[api.Topology]:
    """Each of them region=R1,zone=Z1."""
    if "" in texts:
        raise click.BadParameter("a topology is KEY=VALUE,…", param_hint=flag)
    return [api.Topology(segments=pairs(text.split(","), flag)) for text in texts]


def fields(one: api.Volume) -> dict[str, Any]:
    """Of a line of `volume ls`, and of its templates."""
    labels = sorted(one.spec.annotations.labels.items())
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Group": one.spec.group,
        "Driver": one.spec.driver.name,
        "Scope": "global",
        "Availability": _named(volumes.AVAILABILITIES, one.spec.availability),
        "Status": volumes.status(one),
        "Labels": ",".join(f"{key}={value}" for key, value in labels),
    }


def page(one: api.Volume, nodes: Mapping[str, str]) -> dict[str, Any]:
    """What `volume inspect` tells people; `nodes` are names by id."""
    mode, wanted, info = one.spec.access_mode, one.spec.capacity_range, one.volume_info
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Labels": dict(sorted(one.spec.annotations.labels.items())),
        "Created": ago(one.meta.created_at),
        "Group": one.spec.group,
        "Status": volumes.status(one),
        "Error": volumes.failure(one),
        "Availability": _named(volumes.AVAILABILITIES, one.spec.availability),
        "Driver": one.spec.driver.name,
        "Options": dict(sorted(one.spec.driver.options.items())),
        "Access": {
            "Type": mode.WhichOneof("access_type"),
            "Scope": _named(volumes.SCOPES, mode.scope),
            "Sharing": _named(volumes.SHARINGS, mode.sharing),
        },
        "Secrets": [f"{each.key}={each.secret}" for each in one.spec.secrets],
        "Required": size(wanted.required_bytes) if wanted.required_bytes else "",
        "Limit": size(wanted.limit_bytes) if wanted.limit_bytes else "",
        "Size": size(info.capacity_bytes) if info.capacity_bytes else "",
        "Plugin's ID": info.volume_id,
        "Accessible from": [_topology(each) for each in info.accessible_topology],
        "Nodes": {
            nodes.get(each.node_id, each.node_id): " ".join(
                filter(None, (_STATES.get(each.state, ""), each.message))
            )
            for each in one.publish_status
        },
    }


def docker_object(one: api.Volume) -> Shape:
    """In the shape of Docker's API."""
    info = one.volume_info
    return {
        "Name": one.spec.annotations.name,
        "Driver": one.spec.driver.name,
        "Mountpoint": "",
        "CreatedAt": when(one.meta.created_at),
        "Labels": dict(one.spec.annotations.labels),
        "Scope": "global",
        "Options": dict(one.spec.driver.options),
        "ClusterVolume": {
            "ID": one.id,
            "Version": {"Index": one.meta.version.index},
            "CreatedAt": when(one.meta.created_at),
            "UpdatedAt": when(one.meta.updated_at),
            "Spec": _docker_spec(one.spec),
            "PublishStatus": [
                {
                    "NodeID": each.node_id,
                    "State": _STATES.get(each.state, ""),
                    "PublishContext": dict(each.publish_context),
                }
                for each in one.publish_status
            ],
            "Info": {
                "CapacityBytes": info.capacity_bytes,
                "VolumeContext": dict(info.volume_context),
                "VolumeID": info.volume_id,
                "AccessibleTopology": _segments(info.accessible_topology),
            }
            if one.HasField("volume_info")
            else None,
        },
    }


def _docker_spec(one: api.VolumeSpec) -> Shape:
    mode = one.access_mode
    flags = {"FsType": mode.mount.fs_type, "MountFlags": list(mode.mount.mount_flags)}
    return {
        "Group": one.group,
        "AccessMode": {
            "Scope": _named(volumes.SCOPES, mode.scope),
            "Sharing": _named(volumes.SHARINGS, mode.sharing),
            "MountVolume": flags if mode.HasField("mount") else None,
            "BlockVolume": {} if mode.HasField("block") else None,
        },
        "Secrets": [{"Key": each.key, "Secret": each.secret} for each in one.secrets],
        "AccessibilityRequirements": {
            "Requisite": _segments(one.AccessibilityRequirements.requisite),
            "Preferred": _segments(one.AccessibilityRequirements.preferred),
        },
        "CapacityRange": {
            "RequiredBytes": one.capacity_range.required_bytes,
            "LimitBytes": one.capacity_range.limit_bytes,
        },
        "Availability": label(api.VolumeSpec.VolumeAvailability, one.availability),
    }


def _segments(found: Iterable[api.Topology]) -> list[Shape]:
    return [{"Segments": dict(one.segments)} for one in found]


def _topology(one: api.Topology) -> str:
    return " ".join(f"{domain}={value}" for domain, value in sorted(one.segments.items()))


def _named(names: Mapping[str, int], value: int) -> str:
    return next((name for name, known in names.items() if known == value), str(value))
