"""Random nodes and services: every mode, and whatever a spec can ask of a scheduler."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from swarmd import api, ids
from swarmd.api import defaults, resources, times

_GIB: Final = 1 << 30
_NANO: Final = 1_000_000_000
ZONES: Final = ("a", "b")
_CONSTRAINTS: Final = (
    "node.labels.zone==a",
    "node.labels.zone==b",
    "node.labels.zone!=a",
    "node.labels.disk==ssd",
    "node.labels.nobody==has",
)
_PORTS: Final = (8080, 8081)
_Update = api.UpdateConfig
_Condition = api.RestartPolicy.RestartCondition


def cluster(random: Random) -> api.Cluster:
    """The one cluster, with few tasks of history."""
    return api.Cluster(
        id=ids.new_id(random),
        spec=api.ClusterSpec(
            annotations=api.Annotations(name=defaults.CLUSTER_NAME),
            orchestration=api.OrchestrationConfig(
                task_history_retention_limit=random.choice((0, 1, 2, 5))
            ),
            dispatcher=api.DispatcherConfig(heartbeat_period=times.duration(5)),
        ),
    )


def node(random: Random, number: int) -> api.Node:
    """A node that was accepted and has not been heard of yet."""
    offered = api.Resources(
        nano_cpus=random.choice((1, 2, 4)) * _NANO,
        memory_bytes=random.choice((1, 4)) * _GIB,
        generic=resources.parse(random.choice(("gpu=one,gpu=two,fpga=2", "fpga=1"))),
    )
    return api.Node(
        id=ids.new_id(random),
        spec=api.NodeSpec(
            annotations=api.Annotations(labels=labels(random)),
            desired_role=api.NodeRole.WORKER,
            membership=api.NodeSpec.Membership.ACCEPTED,
        ),
        description=api.NodeDescription(
            hostname=f"host{number}",
            platform=api.Platform(architecture="x86_64", os="linux"),
            resources=offered,
        ),
        role=api.NodeRole.WORKER,
    )


def labels(random: Random) -> dict[str, str]:
    found = {"zone": random.choice(ZONES)}
    if random.random() < 0.5:  # noqa: PLR2004
        found["disk"] = "ssd"
    return found


@dataclass(slots=True)
class Payloads:
    """The secrets and configs that there are, by name; the data of each is its name."""

    secrets: dict[str, str] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)


def service(random: Random, name: str, payloads: Payloads) -> api.ServiceSpec:
    """A spec that the control API takes."""
    mode = random.choice(("replicated",) * 3 + ("global", "global", "replicated_job", "global_job"))
    spec = api.ServiceSpec(annotations=api.Annotations(name=name))
    _set_mode(spec, mode, random)
    change(random, spec, payloads)
    return spec


def change(random: Random, spec: api.ServiceSpec, payloads: Payloads) -> None:
    """Everything anew but its name and mode."""
    mode = spec.WhichOneof("mode") or ""
    spec.task.CopyFrom(_task(random, job=mode.endswith("job")))
    _refer(random, spec.task.container, payloads)
    spec.ClearField("endpoint")
    if _chance(random, 0.25):
        port = random.choice(_PORTS)
        spec.endpoint.ports.add(
            published_port=port, target_port=80, publish_mode=api.PortConfig.PublishMode.HOST
        )
    spec.ClearField("update")
    spec.ClearField("rollback")
    if mode in ("replicated", "global"):
        if _chance(random, 0.8):
            spec.update.CopyFrom(_update(random))
        if _chance(random, 0.5):
            spec.rollback.CopyFrom(_update(random))
    if _chance(random, 0.3):
        _set_mode(spec, mode, random)


def scale(random: Random, spec: api.ServiceSpec) -> None:
    """Another number of tasks, where it has one."""
    _set_mode(spec, spec.WhichOneof("mode") or "", random)


def _set_mode(spec: api.ServiceSpec, mode: str, random: Random) -> None:
    match mode:
        case "replicated":
            spec.replicated.replicas = random.choice((0, 1, 2, 3, 4))
        case "replicated_job":
            spec.replicated_job.total_completions = random.choice((0, 1, 3, 5))
            spec.replicated_job.max_concurrent = random.choice((0, 1, 2, 5))
        case "global":
            getattr(spec, "global").SetInParent()
        case _:
            spec.global_job.SetInParent()


def _task(random: Random, *, job: bool) -> api.TaskSpec:
    task = api.TaskSpec(
        container=api.ContainerSpec(image="host", command=["serve", str(random.randrange(1000))])
    )
    if _chance(random, 0.3):
        task.placement.constraints.append(random.choice(_CONSTRAINTS))
    if _chance(random, 0.2):
        task.placement.preferences.add().spread.spread_descriptor = "node.labels.zone"
    if _chance(random, 0.2):
        task.placement.max_replicas = random.choice((1, 2))
    _reserve(task.resources.reservations, random)
    if _chance(random, 0.7):
        task.restart.CopyFrom(_restart(random, job=job))
    if _chance(random, 0.1):
        task.force_update = random.randrange(3)
    return task


def _refer(random: Random, container: api.ContainerSpec, payloads: Payloads) -> None:
    file = api.FileTarget(name="file")
    if payloads.secrets and _chance(random, 0.3):
        name = random.choice(list(payloads.secrets))
        container.secrets.add(secret_id=payloads.secrets[name], secret_name=name, file=file)
    if payloads.configs and _chance(random, 0.2):
        name = random.choice(list(payloads.configs))
        container.configs.add(config_id=payloads.configs[name], config_name=name, file=file)


def _reserve(reservations: Any, random: Random) -> None:
    if _chance(random, 0.4):
        reservations.nano_cpus = random.choice((1, 2, 3)) * _NANO // 2
    if _chance(random, 0.2):
        reservations.memory_bytes = _GIB // 2
    if _chance(random, 0.2):
        kind = random.choice(("gpu", "fpga"))
        reservations.generic.append(resources.discrete(kind, 1))


def _restart(random: Random, *, job: bool) -> api.RestartPolicy:
    conditions = [_Condition.ANY, _Condition.ANY, _Condition.ON_FAILURE, _Condition.NONE]
    policy = api.RestartPolicy(condition=random.choice(conditions[:3] if job else conditions))
    if _chance(random, 0.8):
        policy.delay.CopyFrom(times.duration(random.choice((0, 0, 0.5, 2))))
    if _chance(random, 0.3):
        policy.max_attempts = random.choice((1, 2, 4))
        if _chance(random, 0.5):
            policy.window.CopyFrom(times.duration(10))
    return policy


def _update(random: Random) -> api.UpdateConfig:
    config = api.UpdateConfig(
        parallelism=random.choice((0, 1, 1, 2)),
        delay=times.duration(random.choice((0, 0, 1))),
        failure_action=random.choice(
            (
                _Update.FailureAction.PAUSE,
                _Update.FailureAction.CONTINUE,
                _Update.FailureAction.ROLLBACK,
            )
        ),
        max_failure_ratio=random.choice((0, 0, 0.3)),
        order=random.choice((_Update.UpdateOrder.STOP_FIRST, _Update.UpdateOrder.START_FIRST)),
    )
    if _chance(random, 0.7):
        config.monitor.CopyFrom(times.duration(random.choice((0, 1, 4))))
    return config


def _chance(random: Random, of_one: float) -> bool:
    return random.random() < of_one
