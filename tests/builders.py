"""A sound object of each kind in one call; any field of its message can be given by keyword.

service(name="web", replicas=2)             fresh id, unique name where none is given
task(service=web, slot=1, node_id="n1")     spec and annotations as the service has them
node(labels={"zone": "a"}, spec={...})      a field that is given replaces the whole field
"""

import itertools
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from swarmd import api, ids
from swarmd.api import times

_M = TypeVar("_M", bound=Message)
_random: Final = Random(0)
_counter: Final = itertools.count(1)
GIB: Final = 1 << 30
NANO: Final = 1_000_000_000


def new_id() -> str:
    """A fresh object id; a run of the tests makes the same ones in the same order."""
    return ids.new_id(_random)


def annotations(kind: str, name: str | None, labels: Mapping[str, str] | None) -> api.Annotations:
    return api.Annotations(name=name or f"{kind}-{next(_counter)}", labels=dict(labels or {}))


def container(
    image: str = "host", command: Sequence[str] = ("sleep", "60"), **fields: Any
) -> api.ContainerSpec:
    return api.ContainerSpec(image=image, command=command, **fields)


def quick_restart() -> api.RestartPolicy:
    """Always, after 0.1 s, and not after 5."""
    policy = api.RestartPolicy(condition=api.RestartPolicy.RestartCondition.ANY)
    policy.delay.FromMilliseconds(100)
    return policy


def service(
    name: str | None = None,
    *,
    replicas: int | None = 1,
    labels: Mapping[str, str] | None = None,
    container_spec: api.ContainerSpec | None = None,
    task_spec: api.TaskSpec | None = None,
    **fields: Any,
) -> api.Service:
    """A replicated service; replicas=None makes it a global one."""
    if replicas is None:
        mode: dict[str, Any] = {"global": api.GlobalService()}
    else:
        mode = {"replicated": api.ReplicatedService(replicas=replicas)}
    spec = api.ServiceSpec(
        annotations=annotations("service", name, labels),
        task=task_spec or api.TaskSpec(container=container_spec or container()),
        **mode,
    )
    return _with(api.Service(id=new_id(), spec=spec, spec_version=api.Version(index=1)), fields)


def task(
    service: api.Service | None = None,
    *,
    state: api.TaskState.ValueType = api.TaskState.NEW,
    desired_state: api.TaskState.ValueType = api.TaskState.RUNNING,
    **fields: Any,
) -> api.Task:
    """A task in NEW that wants to run; of no service where none is given."""
    built = api.Task(
        id=new_id(),
        spec=api.TaskSpec(container=container()),
        status=api.TaskStatus(state=state, message="created"),
        desired_state=desired_state,
        slot=1,
    )
    if service is not None:
        built.service_id = service.id
        built.spec.CopyFrom(service.spec.task)
        built.service_annotations.CopyFrom(service.spec.annotations)
        built.spec_version.CopyFrom(service.spec_version)
    return _with(built, fields)


def node(
    name: str | None = None,
    *,
    role: api.NodeRole.ValueType = api.NodeRole.WORKER,
    state: api.NodeStatus.State.ValueType = api.NodeStatus.State.READY,
    availability: api.NodeSpec.Availability.ValueType = api.NodeSpec.Availability.ACTIVE,
    labels: Mapping[str, str] | None = None,
    cpus: float = 4,
    memory_bytes: int = 8 * GIB,
    **fields: Any,
) -> api.Node:
    """A ready, active, accepted Linux node; `name` is its hostname."""
    hostname = name or f"node-{next(_counter)}"
    spec = api.NodeSpec(
        annotations=api.Annotations(labels=dict(labels or {})),
        desired_role=role,
        membership=api.NodeSpec.Membership.ACCEPTED,
        availability=availability,
    )
    description = api.NodeDescription(
        hostname=hostname,
        platform=api.Platform(architecture="x86_64", os="linux"),
        resources=api.Resources(nano_cpus=int(cpus * NANO), memory_bytes=memory_bytes),
    )
    status = api.NodeStatus(state=state, addr="127.0.0.1")
    built = api.Node(id=new_id(), spec=spec, description=description, status=status, role=role)
    return _with(built, fields)


def cluster(
    name: str = "default", *, labels: Mapping[str, str] | None = None, **fields: Any
) -> api.Cluster:
    """The one cluster, with SwarmKit's defaults: 5 tasks of history, 5 s of heartbeat period."""
    spec = api.ClusterSpec(
        annotations=annotations("cluster", name, labels),
        orchestration=api.OrchestrationConfig(task_history_retention_limit=5),
        dispatcher=api.DispatcherConfig(heartbeat_period=times.duration(5)),
        ca_config=api.CAConfig(node_cert_expiry=times.duration(90 * 24 * 3600)),
    )
    return _with(api.Cluster(id=new_id(), spec=spec), fields)


def secret(
    name: str | None = None,
    *,
    data: bytes = b"hidden",
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> api.Secret:
    spec = api.SecretSpec(annotations=annotations("secret", name, labels), data=data)
    return _with(api.Secret(id=new_id(), spec=spec), fields)


def config(
    name: str | None = None,
    *,
    data: bytes = b"plain",
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> api.Config:
    spec = api.ConfigSpec(annotations=annotations("config", name, labels), data=data)
    return _with(api.Config(id=new_id(), spec=spec), fields)


def network(
    name: str | None = None, *, labels: Mapping[str, str] | None = None, **fields: Any
) -> api.Network:
    spec = api.NetworkSpec(annotations=annotations("network", name, labels))
    return _with(api.Network(id=new_id(), spec=spec), fields)


def extension(
    name: str | None = None, *, labels: Mapping[str, str] | None = None, **fields: Any
) -> api.Extension:
    built = api.Extension(id=new_id(), annotations=annotations("extension", name, labels))
    return _with(built, fields)


def resource(
    kind: str,
    name: str | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> api.Resource:
    built = api.Resource(id=new_id(), kind=kind, annotations=annotations("resource", name, labels))
    return _with(built, fields)


def volume(
    name: str | None = None, *, labels: Mapping[str, str] | None = None, **fields: Any
) -> api.Volume:
    spec = api.VolumeSpec(annotations=annotations("volume", name, labels))
    return _with(api.Volume(id=new_id(), spec=spec), fields)


def _with(message: _M, fields: Mapping[str, Any]) -> _M:
    for name, value in fields.items():
        message.ClearField(name)
        message.MergeFrom(type(message)(**{name: value}))
    return message
