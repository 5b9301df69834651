"""Pieces of objects in the shape of Docker's API (pure): times, enums, ports, task specs.

Every field is there for templates; None is what is not set, and JSON leaves it out.
"""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from swarmd import api

Shape = dict[str, Any]
_Condition = api.RestartPolicy.RestartCondition
_CONDITIONS = {_Condition.NONE: "none", _Condition.ON_FAILURE: "on-failure", _Condition.ANY: "any"}


class When(str):
    """A time: RFC 3339, as JSON has it; in a template, as Go prints a time."""

    __slots__ = ()

    def __str__(self) -> str:
        stamp = Timestamp()
        stamp.FromJsonString(str.__str__(self))
        second = datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
        fraction = f".{stamp.nanos:09d}".rstrip("0").rstrip(".")
        return f"{second}{fraction} +0000 UTC"


def when(stamp: Timestamp) -> When:
    return When(stamp.ToJsonString())


def nanoseconds(one: Message, field: str) -> int | None:
    """A duration as Docker's API has it; None for one that is not set."""
    if not one.HasField(field):
        return None
    value: Duration = getattr(one, field)
    return value.ToNanoseconds()


def label(enum: Any, value: int) -> str:
    """STOP_FIRST is stop-first."""
    return str(enum.Name(value)).lower().replace("_", "-")


def driver(one: Message, field: str) -> Shape | None:
    if not one.HasField(field):
        return None
    value = getattr(one, field)
    return {"Name": value.name, "Options": dict(value.options)}


def ports(found: Iterable[api.PortConfig]) -> list[Shape]:
    return [
        {
            "Name": one.name or None,
            "Protocol": label(api.PortConfig.Protocol, one.protocol),
            "TargetPort": one.target_port,
            "PublishedPort": one.published_port,
            "PublishMode": label(api.PortConfig.PublishMode, one.publish_mode),
        }
        for one in found
    ]


def endpoint_spec(one: api.EndpointSpec) -> Shape:
    mode = label(api.EndpointSpec.ResolutionMode, one.mode)
    return {"Mode": mode, "Ports": ports(one.ports)}


def generic(found: Iterable[api.GenericResource]) -> list[Shape]:
    shapes = []
    for one in found:
        kind = one.WhichOneof("resource") or "discrete_resource_spec"
        value = getattr(one, kind)
        name = "NamedResourceSpec" if kind.startswith("named") else "DiscreteResourceSpec"
        shapes.append({name: {"Kind": value.kind, "Value": value.value}})
    return shapes


def resources(one: api.Resources) -> Shape:
    return {
        "NanoCPUs": one.nano_cpus,
        "MemoryBytes": one.memory_bytes,
        "GenericResources": generic(one.generic),
    }


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def task_spec(one: api.TaskSpec) -> Shape:
    requirements = one.resources
    return {
        "ContainerSpec": _container(one.container) if one.HasField("container") else None,
        "Resources": {
            "Limits": {
                "NanoCPUs": requirements.limits.nano_cpus,
                "MemoryBytes": requirements.limits.memory_bytes,
                "Pids": one.container.pidsLimit,
            },
            "Reservations": resources(requirements.reservations),
            "SwapBytes": _wrapped(requirements, "swap_bytes"),
            "MemorySwappiness": _wrapped(requirements, "memory_swappiness"),
        },
        "RestartPolicy": _restart(one.restart) if one.HasField("restart") else None,
        "Placement": _placement(one.placement),
        "Networks": [
            {
                "Target": network.target,
                "Aliases": list(network.aliases),
                "DriverOpts": dict(network.driver_attachment_opts),
            }
            for network in one.networks
        ],
        "LogDriver": driver(one, "log_driver"),
        "ForceUpdate": one.force_update,
        "Runtime": one.WhichOneof("runtime") or "container",
    }


def _wrapped(one: Message, field: str) -> Any:
    return getattr(one, field).value if one.HasField(field) else None


def _restart(one: api.RestartPolicy) -> Shape:
    return {
        "Condition": _CONDITIONS[one.condition],
        "Delay": nanoseconds(one, "delay"),
        "MaxAttempts": one.max_attempts,
        "Window": nanoseconds(one, "window"),
    }


def _placement(one: api.Placement) -> Shape:
    return {
        "Constraints": list(one.constraints),
        "Preferences": [
            {"Spread": {"SpreadDescriptor": each.spread.spread_descriptor}}
            for each in one.preferences
        ],
        "MaxReplicas": one.max_replicas,
        "Platforms": [{"Architecture": p.architecture, "OS": p.os} for p in one.platforms],
    }


def _container(one: api.ContainerSpec) -> Shape:
    return {
        "Image": one.image,
        "Labels": dict(one.labels),
        "Command": list(one.command),
        "Args": list(one.args),
        "Hostname": one.hostname,
        "Env": list(one.env),
        "Dir": one.dir,
        "User": one.user,
        "Groups": list(one.groups),
        "Init": one.init.value if one.HasField("init") else None,
        "StopSignal": one.stop_signal,
        "StopGracePeriod": nanoseconds(one, "stop_grace_period"),
        "TTY": one.tty,
        "OpenStdin": one.open_stdin,
        "ReadOnly": one.read_only,
        "Mounts": list(map(_mount, one.mounts)),
        "Healthcheck": _health(one.healthcheck) if one.HasField("healthcheck") else None,
        "Hosts": list(one.hosts),
        "DNSConfig": {
            "Nameservers": list(one.dns_config.nameservers),
            "Search": list(one.dns_config.search),
            "Options": list(one.dns_config.options),
        },
        "Secrets": [_reference(each, "Secret") for each in one.secrets],
        "Configs": [_reference(each, "Config") for each in one.configs],
        "Isolation": api.ContainerSpec.Isolation.Name(one.isolation).partition("_")[2].lower(),
        "Sysctls": dict(one.sysctls),
        "CapabilityAdd": list(one.capability_add),
        "CapabilityDrop": list(one.capability_drop),
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in one.ulimits],
        "OomScoreAdj": one.oom_score_adj,
    }


def _mount(one: api.Mount) -> Shape:
    volume, tmpfs = one.volume_options, one.tmpfs_options
    propagation = label(api.Mount.BindOptions.Propagation, one.bind_options.propagation)
    return {
        "Type": label(api.Mount.Type, one.type),
        "Source": one.source,
        "Target": one.target,
        "ReadOnly": one.readonly,
        "BindOptions": {"Propagation": propagation} if one.HasField("bind_options") else None,
        "VolumeOptions": {
            "NoCopy": volume.nocopy,
            "Labels": dict(volume.labels),
            "DriverConfig": driver(volume, "driver_config"),
            "Subpath": volume.subpath,
        }
        if one.HasField("volume_options")
        else None,
        "TmpfsOptions": {"SizeBytes": tmpfs.size_bytes, "Mode": tmpfs.mode}
        if one.HasField("tmpfs_options")
        else None,
    }


def _health(one: api.HealthConfig) -> Shape:
    return {
        "Test": list(one.test),
        "Interval": nanoseconds(one, "interval"),
        "Timeout": nanoseconds(one, "timeout"),
        "Retries": one.retries,
        "StartPeriod": nanoseconds(one, "start_period"),
        "StartInterval": nanoseconds(one, "start_interval"),
    }


def _reference(one: Any, kind: str) -> Shape:
    file, prefix = one.file, kind.lower()
    return {
        "File": {"Name": file.name, "UID": file.uid, "GID": file.gid, "Mode": file.mode},
        f"{kind}ID": getattr(one, f"{prefix}_id"),
        f"{kind}Name": getattr(one, f"{prefix}_name"),
    }
