"""A service as `inspect` shows it (pure)."""

from typing import Any

from swarmd import api
from swarmd.api import services
from swarmd.api.times import seconds
from swarmd.ctl.docker_shapes import label
from swarmd.ctl.output import ago, size, state
from swarmd.ctl.rows import replicas

_NANO = 10**9
_State = api.UpdateStatus.UpdateState


def page(service: api.Service, status: Any | None) -> dict[str, Any]:
    """Names and values, in sections, for `output.show_page`."""
    spec, container = service.spec, service.spec.task.container
    return {
        "ID": service.id,
        "Name": spec.annotations.name,
        "Labels": dict(sorted(spec.annotations.labels.items())),
        "Mode": services.mode(service).replace("_", " "),
        "Replicas": replicas(service, status),
        "Update Status": _update(service),
        "Update Config": _rollout(spec, "update"),
        "Rollback Config": _rollout(spec, "rollback"),
        "Container": {
            "Image": container.image,
            "Command": " ".join(container.command),
            "Args": list(container.args),
            "Env": list(container.env),
            "Dir": container.dir,
            "User": container.user,
        },
        "Placement": {
            "Constraints": list(spec.task.placement.constraints),
            "Preferences": [
                f"spread={one.spread.spread_descriptor}" for one in spec.task.placement.preferences
            ],
            "Most per Node": spec.task.placement.max_replicas or None,
        },
        "Reservations": _resources(spec.task.resources.reservations),
        "Limits": _resources(spec.task.resources.limits),
        "Networks": [one.target for one in spec.task.networks],
        "Ports": {
            port.name or f"port {port.target_port}": _port(port) for port in service.endpoint.ports
        },
        "Mounts": [
            f"{api.Mount.Type.Name(one.type).lower()} {one.source}:{one.target}"
            f"{' read-only' if one.readonly else ''}"
            for one in container.mounts
        ],
        "Secrets": [f"{one.secret_name}:{one.file.name}" for one in container.secrets],
        "Configs": [f"{one.config_name}:{one.file.name}" for one in container.configs],
        "Log Driver": spec.task.log_driver.name,
    }


def _update(service: api.Service) -> dict[str, Any] | None:
    if not service.HasField("update_status"):
        return None
    status = service.update_status
    return {
        "State": state(_State.Name(status.state)),
        "Started": ago(status.started_at),
        "Completed": ago(status.completed_at),
        "Message": status.message,
    }


def _rollout(spec: api.ServiceSpec, kind: str) -> dict[str, Any] | None:
    if not spec.HasField(kind):  # type: ignore[arg-type]
        return None
    config: api.UpdateConfig = getattr(spec, kind)
    return {
        "Parallelism": config.parallelism or "all at once",
        "Delay": f"{seconds(config.delay):g} s",
        "Monitor": f"{seconds(config.monitor):g} s" if config.HasField("monitor") else "5 s",
        "Max failure ratio": f"{config.max_failure_ratio:g}",
        "On failure": label(api.UpdateConfig.FailureAction, config.failure_action),
        "Order": label(api.UpdateConfig.UpdateOrder, config.order),
    }


def _resources(one: api.Resources) -> dict[str, Any]:
    return {
        "CPU": f"{one.nano_cpus / _NANO:g}" if one.nano_cpus else "",
        "Memory": size(one.memory_bytes) if one.memory_bytes else "",
    }


def _port(port: api.PortConfig) -> str:
    protocol = api.PortConfig.Protocol.Name(port.protocol).lower()
    mode = api.PortConfig.PublishMode.Name(port.publish_mode).lower()
    return f"{port.published_port or 'any'}->{port.target_port}/{protocol} ({mode})"
