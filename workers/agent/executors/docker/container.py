"""A task's spec as the container that an engine creates (pure).

Names and labels are Docker Engine's own, so that `docker ps` on a node reads as people know it.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from docker.utils import parse_repository_tag

from swarmd import api
from swarmd.api import defaults, resources, tasks, times
from workers.agent.executors import MountedVolume
from workers.agent.executors.docker import mounts, ports
from workers.agent.executors.errors import RejectedError

OWNER_LABEL: Final = "swarmd.node-state"
TASK_LABEL: Final = "com.docker.swarm.task"
TASK_ID_LABEL: Final = "com.docker.swarm.task.id"
_IMAGE_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}")
_PREDEFINED: Final = "com.docker.swarm.predefined"
_DRIVERS: Final = {"host": "host", "null": "none", "bridge": "bridge"}
_NANO: Final = 1_000_000_000
_LEAST_RESERVATION: Final = 6 << 20  # engines refuse less


def name(task: api.Task) -> str:
    """service.slot.task, or service.node.task for a global one."""
    return tasks.name(task)


def is_image_id(image: str) -> bool:
    """It names one image of this host, which no registry knows."""
    return _IMAGE_ID.fullmatch(image) is not None


def full_name(image: str) -> str:
    """With its tag: latest where it has neither tag nor digest."""
    if is_image_id(image) or parse_repository_tag(image)[1]:
        return image
    return f"{image}:latest"


def config(
    task: api.Task,
    spec: api.ContainerSpec,
    owner: str,
    volumes: Sequence[MountedVolume] = (),
    files: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """All of it, in the words of the engine's API; `files` are further mounts."""
    host = _host_config(task, spec, volumes)
    host["Mounts"] = [*host["Mounts"], *files]
    found: dict[str, Any] = {
        "Image": full_name(spec.image),
        "Labels": labels(task, spec, owner),
        "Hostname": spec.hostname,
        "Env": environment(task, spec),
        "WorkingDir": spec.dir,
        "User": spec.user,
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "StopTimeout": math.ceil(defaults.stop_grace(task.spec)),
        "ExposedPorts": {port: {} for port in host["PortBindings"]},
        "HostConfig": host,
    }
    if spec.command:
        found["Entrypoint"] = list(spec.command)
    if spec.args:
        found["Cmd"] = list(spec.args)
    if spec.stop_signal:
        found["StopSignal"] = spec.stop_signal
    if spec.HasField("healthcheck"):
        found["Healthcheck"] = _health_check(spec.healthcheck)
    return found


def labels(task: api.Task, spec: api.ContainerSpec, owner: str) -> dict[str, str]:
    """The spec's, the task's, Docker's, and the one that says which node's state owns it."""
    of_task = {
        TASK_LABEL: "",
        TASK_ID_LABEL: task.id,
        "com.docker.swarm.task.name": name(task),
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_annotations.name,
        OWNER_LABEL: owner,
    }
    return {**spec.labels, **task.annotations.labels, **of_task}


def environment(task: api.Task, spec: api.ContainerSpec) -> list[str]:
    """The spec's, then the generic resources that the task was given."""
    given = resources.environment(task.assigned_generic_resources, "DOCKER_RESOURCE")
    return [*spec.env, *(f"{name}={value}" for name, value in given.items())]


def network(task: api.Task) -> str:
    """host, bridge, none, or the engine's default; raises RejectedError for any other."""
    modes = [_mode(attachment.network) for attachment in task.networks]
    if len(modes) > 1:
        raise RejectedError(f"networks: {' and '.join(modes)} cannot be had together")
    if not modes and task.spec.networks:
        targets = ", ".join(each.target for each in task.spec.networks)
        raise RejectedError(f"networks: {targets}: not attached to this node")
    return modes[0] if modes else "default"


def _mode(network: api.Network) -> str:
    title = network.spec.annotations.name
    driver = network.driver_state.name or network.spec.driver_config.name
    is_predefined = network.spec.annotations.labels.get(_PREDEFINED) == "true"
    if (is_predefined or title == driver) and title in _DRIVERS.values():
        return title
    if driver in ("host", "null"):
        return _DRIVERS[driver]
    kind = f" ({driver})" if driver else ""
    raise RejectedError(
        f"networks: {title}{kind}: containers here have the networks host, bridge and none alone"
    )


def _host_config(
    task: api.Task, spec: api.ContainerSpec, volumes: Sequence[MountedVolume]
) -> dict[str, Any]:
    mode = network(task)
    binds, devices = mounts.mounts(spec, volumes)
    found: dict[str, Any] = {
        "NetworkMode": mode,
        "PortBindings": ports.bindings(task, mode),
        "Mounts": binds,
        "Devices": devices,
        "GroupAdd": list(spec.groups),
        "ReadonlyRootfs": spec.read_only,
        "Sysctls": dict(spec.sysctls),
        "CapAdd": list(spec.capability_add),
        "CapDrop": list(spec.capability_drop),
        "OomScoreAdj": spec.oom_score_adj,
        "ExtraHosts": list(_hosts(spec)),
        "SecurityOpt": list(_security(spec.privileges)),
        "Ulimits": [
            {"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits
        ],
    }
    if spec.HasField("init"):
        found["Init"] = spec.init.value
    if spec.isolation:
        isolation = api.ContainerSpec.Isolation.Name(spec.isolation)
        found["Isolation"] = isolation.removeprefix("ISOLATION_").lower()
    return {**found, **_dns(spec), **_log_config(task), **_limits(task, spec)}


def _dns(spec: api.ContainerSpec) -> dict[str, list[str]]:
    dns = spec.dns_config
    return {
        "Dns": list(dns.nameservers),
        "DnsSearch": list(dns.search),
        "DnsOptions": list(dns.options),
    }


def _hosts(spec: api.ContainerSpec) -> Iterator[str]:
    """Entries of /etc/hosts: an address, a name, further names."""
    for entry in spec.hosts:
        address, *names = entry.split() or [""]
        if not names:
            raise RejectedError(f"hosts: {entry!r} is not an address and its names")
        for each in names:
            yield f"{each}:{address}"


def _log_config(task: api.Task) -> dict[str, Any]:
    driver = task.spec.log_driver if task.spec.HasField("log_driver") else task.log_driver
    if not driver.name and not driver.options:
        return {}
    return {"LogConfig": {"Type": driver.name, "Config": dict(driver.options)}}


def _limits(task: api.Task, spec: api.ContainerSpec) -> dict[str, Any]:
    asked = task.spec.resources
    found: dict[str, Any] = {}
    if spec.pidsLimit > 0:
        found["PidsLimit"] = spec.pidsLimit
    if asked.limits.nano_cpus > 0:
        found["NanoCpus"] = asked.limits.nano_cpus
    if asked.limits.memory_bytes > 0:
        found["Memory"] = asked.limits.memory_bytes
    if asked.HasField("swap_bytes"):
        found["MemorySwap"] = _memory_and_swap(asked)
    if asked.HasField("memory_swappiness"):
        found["MemorySwappiness"] = asked.memory_swappiness.value
    reserved = asked.reservations.memory_bytes
    if reserved >= _LEAST_RESERVATION and reserved <= found.get("Memory", math.inf):
        found["MemoryReservation"] = reserved
    return found


def _memory_and_swap(asked: api.ResourceRequirements) -> int:
    """The engine's figure is the sum of both; -1 is unlimited."""
    if asked.limits.memory_bytes <= 0:
        raise RejectedError("resources.swap_bytes: needs a limit of memory beside it")
    if asked.swap_bytes.value < -1:
        raise RejectedError("resources.swap_bytes: must be -1 (unlimited), or 0 and more")
    if asked.swap_bytes.value == -1:
        return -1
    return asked.limits.memory_bytes + asked.swap_bytes.value


def _health_check(check: api.HealthConfig) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Test": list(check.test),
        "Retries": check.retries,
        "Interval": _nanoseconds(times.seconds(check.interval)),
        "Timeout": _nanoseconds(times.seconds(check.timeout)),
        "StartPeriod": _nanoseconds(times.seconds(check.start_period)),
    }
    if check.start_interval.ByteSize():
        found["StartInterval"] = _nanoseconds(times.seconds(check.start_interval))
    return found


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)


def _security(privileges: api.Privileges) -> Iterator[str]:
    context = privileges.selinux_context
    if context.disable:
        yield "label=disable"
    for part in ("user", "role", "level", "type"):
        if value := getattr(context, part):
            yield f"label={part}:{value}"
    yield from _seccomp(privileges.seccomp)
    if privileges.apparmor.mode == api.Privileges.AppArmorOpts.DISABLED:
        yield "apparmor=unconfined"
    if privileges.no_new_privileges:
        yield "no-new-privileges=true"
    yield from _credentials(privileges.credential_spec)


def _seccomp(seccomp: api.Privileges.SeccompOpts) -> Iterator[str]:
    if seccomp.mode == api.Privileges.SeccompOpts.UNCONFINED:
        yield "seccomp=unconfined"
    elif seccomp.mode == api.Privileges.SeccompOpts.CUSTOM:
        yield f"seccomp={seccomp.profile.decode()}"


def _credentials(credentials: api.Privileges.CredentialSpec) -> Iterator[str]:
    if credentials.config:
        raise RejectedError("privileges.credential_spec: cannot be read from a config here")
    if credentials.file:
        yield f"credentialspec=file://{credentials.file}"
    if credentials.registry:
        yield f"credentialspec=registry://{credentials.registry}"
