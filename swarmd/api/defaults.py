"""What a spec means where it says nothing. SwarmKit's values, which clients rely on.

A restart policy that is there with its condition unset means NONE; only a wholly absent policy
means ANY after 5 s. An update config that is there with parallelism 0 means all at once.
"""

from typing import Final

from swarmd import api
from swarmd.api import times

STOP_GRACE_SECONDS: Final = 10.0
RESTART_DELAY_SECONDS: Final = 5.0
MONITOR_SECONDS: Final = 5.0
UPDATE_PARALLELISM: Final = 1
HEARTBEAT_SECONDS: Final = 5.0
TASK_HISTORY: Final = 5
NODE_CERTIFICATE_SECONDS: Final = 90 * 24 * 3600.0
CLUSTER_NAME: Final = "default"

_Condition = api.RestartPolicy.RestartCondition


def restart_policy() -> api.RestartPolicy:
    """The policy of a task that names none."""
    delay = times.duration(RESTART_DELAY_SECONDS)
    return api.RestartPolicy(condition=_Condition.ANY, delay=delay)


def update_config() -> api.UpdateConfig:
    """How a service is updated, or rolled back, that does not say: one at a time, with pause."""
    return api.UpdateConfig(
        parallelism=UPDATE_PARALLELISM,
        monitor=times.duration(MONITOR_SECONDS),
        failure_action=api.UpdateConfig.FailureAction.PAUSE,
        order=api.UpdateConfig.UpdateOrder.STOP_FIRST,
    )


def restart_condition(spec: api.TaskSpec) -> api.RestartPolicy.RestartCondition.ValueType:
    return spec.restart.condition if spec.HasField("restart") else _Condition.ANY


def restart_delay(spec: api.TaskSpec) -> float:
    """Seconds between a task's end and its replacement's start."""
    if spec.restart.HasField("delay"):
        return times.seconds(spec.restart.delay)
    return RESTART_DELAY_SECONDS


def stop_grace(spec: api.TaskSpec) -> float:
    """Seconds that a container or process has between its stop signal and its kill."""
    if spec.container.HasField("stop_grace_period"):
        return times.seconds(spec.container.stop_grace_period)
    return STOP_GRACE_SECONDS


def monitor(config: api.UpdateConfig) -> float:
    """Seconds during which an updated task's failure counts against the update."""
    return times.seconds(config.monitor) if config.HasField("monitor") else MONITOR_SECONDS


def interpolate(spec: api.ServiceSpec) -> api.ServiceSpec:
    """A copy of it with everything said that it left to the defaults."""
    full = api.ServiceSpec()
    full.CopyFrom(spec)
    _interpolate_task(full.task)
    if not full.HasField("update"):
        full.update.CopyFrom(update_config())
    if not full.HasField("rollback"):
        full.rollback.CopyFrom(update_config())
    for config in (full.update, full.rollback):
        if not config.HasField("monitor"):
            config.monitor.CopyFrom(times.duration(MONITOR_SECONDS))
    return full


def _interpolate_task(task: api.TaskSpec) -> None:
    task.resources.SetInParent()
    task.placement.SetInParent()
    if not task.HasField("restart"):
        task.restart.CopyFrom(restart_policy())
    if not task.restart.HasField("delay"):
        task.restart.delay.CopyFrom(times.duration(RESTART_DELAY_SECONDS))
    if task.HasField("container"):
        _interpolate_container(task.container)


def _interpolate_container(container: api.ContainerSpec) -> None:
    container.pull_options.SetInParent()
    container.dns_config.SetInParent()
    if not container.HasField("stop_grace_period"):
        container.stop_grace_period.CopyFrom(times.duration(STOP_GRACE_SECONDS))
