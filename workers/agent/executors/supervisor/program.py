"""A task's spec as the settings of a program; pure: what the host knows comes in as arguments."""

import re
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults, images, resources
from workers.agent.executors import MountedVolume
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.account import Account
from workers.agent.executors.supervisor.messages import Limits, ProgramSettings

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # systemd's name for it
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NANO: Final = 1_000_000_000
_LOG_BYTES: Final = 10 << 20
_LOG_FILES: Final = 3
_SIZES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_OURS: Final = ("", "json-file", "local")  # log drivers that keep files on this host, as we do
_RESOURCES: Final = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}
_OOM_SCORES: Final = range(-1000, 1001)


def _host_mounts(container: api.ContainerSpec) -> list[api.Mount]:
    return [mount for mount in container.mounts if mount.type != api.Mount.CLUSTER]


_OWN: Final = "a host process has the host's own"
_Refusal = tuple[str, Callable[[api.ContainerSpec], Any], str]
_REFUSED: Final[tuple[_Refusal, ...]] = (
    ("mounts", _host_mounts, "a host process sees the host's own files"),
    ("hostname", lambda c: c.hostname, _OWN),
    ("hosts", lambda c: c.hosts, _OWN),
    ("dns_config", lambda c: c.dns_config.ByteSize(), _OWN),  # Docker's clients send an empty one
    ("tty", lambda c: c.tty, "a host process gets no terminal"),
    ("read_only", lambda c: c.read_only, "a host process has the host's own root"),
    ("isolation", lambda c: c.isolation, "a host process is not isolated"),
    ("sysctls", lambda c: c.sysctls, _OWN),
    ("capability_add", lambda c: c.capability_add, "a host process has those of its user"),
    ("capability_drop", lambda c: c.capability_drop, "a host process has those of its user"),
)

_PRIVILEGES: Final = ("credential_spec", "selinux_context", "seccomp", "apparmor")


def accepts(task: api.Task) -> bool:
    """Whether a task is a host process."""
    runtime = task.spec.WhichOneof("runtime")
    return runtime == "container" and images.is_host(task.spec.container.image)


def check(task: api.Task, container: api.ContainerSpec) -> None:
    """Raises RejectedError for what no host process can have, naming the field and the reason."""
    for field, is_asked, reason in _REFUSED:
        if is_asked(container):
            raise RejectedError(f"{field}: {reason}")
    for field in _PRIVILEGES:
        if container.privileges.HasField(field):  # type: ignore[arg-type]
            raise RejectedError(f"privileges.{field}: a host process has its user's own")
    if container.oom_score_adj not in _OOM_SCORES:
        raise RejectedError("oom_score_adj: must be between -1000 and 1000")
    _check_texts(container)
    _check_surroundings(task)


def _check_texts(container: api.ContainerSpec) -> None:
    for field, texts in (
        ("command", container.command),
        ("args", container.args),
        ("env", container.env),
    ):
        if any("\0" in text for text in texts):
            raise RejectedError(f"{field}: a zero byte cannot be passed to a process")
    if container.dir and not container.dir.startswith("/"):
        raise RejectedError(f"dir: {container.dir} is not an absolute path")


def _check_surroundings(task: api.Task) -> None:
    if task.networks or task.spec.networks:
        raise RejectedError("networks: a host process uses the host's own network")
    for port in [*task.endpoint.ports, *task.endpoint.spec.ports]:
        if port.publish_mode != api.PortConfig.PublishMode.HOST:
            raise RejectedError(
                f"ports: {port.target_port} is published by the ingress network, which a host "
                "process is not on; use mode host"
            )
    for field in ("swap_bytes", "memory_swappiness"):
        if task.spec.resources.HasField(field):
            raise RejectedError(f"resources.{field}: not supported for host processes")
    if log_driver(task).name not in (*_OURS, "none"):
        raise RejectedError(f"log_driver: {log_driver(task).name} is not for host processes")


def argv(container: api.ContainerSpec) -> list[str]:
    """Command and args; args alone are a command too."""
    return [*container.command, *container.args]


def names(task: api.Task) -> tuple[str, str]:
    """The program's group and its name in it, which supervisorctl shows as group:name."""
    service = task.service_annotations.name or task.service_id or "tasks"
    return re.sub(r"[^\w.-]", "_", service), f"{task.slot or task.node_id or 0}.{task.id}"


def environment(
    task: api.Task, container: api.ContainerSpec, account: Account, credentials: str = ""
) -> dict[str, str]:
    """What the process finds set: little, then the task's generic resources, then its own env."""
    found = {
        "PATH": DEFAULT_PATH,
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
    }
    if credentials:
        found[CREDENTIALS] = credentials
    found |= resources.environment(task.assigned_generic_resources, "DOCKER_RESOURCE")
    for entry in container.env:
        name, equals, value = entry.partition("=")
        if equals and name:
            found[name] = value
        else:
            found.pop(name, None)  # a name alone takes a variable away, as in Docker
    return found


def limits(task: api.Task, container: api.ContainerSpec, unavailable: Mapping[str, str]) -> Limits:
    """What its cgroup holds it to; raises RejectedError where this host cannot."""
    asked = task.spec.resources.limits
    found = Limits(
        cpus=max(0, asked.nano_cpus) / _NANO,
        memory_bytes=max(0, asked.memory_bytes),
        pids=max(0, container.pidsLimit),
    )
    for controller in found.controllers():
        if controller in unavailable:
            raise RejectedError(f"{controller} limit: {unavailable[controller]}")
    return found


def stop_signal(name: str) -> int:
    """By name with or without SIG, or by number; nothing is SIGTERM."""
    wanted = name.upper().removeprefix("SIG") or "TERM"
    number = int(wanted) if wanted.isdigit() else 0
    if real_time := re.fullmatch(r"RT(MIN|MAX)([+-]\d+)?", wanted):
        edge = signal.SIGRTMIN if real_time[1] == "MIN" else signal.SIGRTMAX
        number = edge + int(real_time[2] or 0)
    elif not number:
        number = getattr(signal, f"SIG{wanted}", 0)
    if number not in signal.valid_signals():
        raise RejectedError(f"stop_signal: there is no signal {name}")
    return int(number)


def rlimits(container: api.ContainerSpec) -> list[tuple[int, int, int]]:
    """Each ulimit as resource, soft and hard; -1 is unlimited, and no hard one is the soft one."""
    found = []
    for ulimit in container.ulimits:
        number = _RESOURCES.get(ulimit.name.lower().removeprefix("rlimit_"))
        if number is None:
            raise RejectedError(f"ulimits: there is no ulimit {ulimit.name}")
        hard = ulimit.hard or ulimit.soft
        if hard != -1 and (ulimit.soft == -1 or ulimit.soft > hard):
            raise RejectedError(f"ulimits: {ulimit.name}: the soft limit is above the hard one")
        found.append((number, ulimit.soft, hard))
    return found


def mounts(
    container: api.ContainerSpec, volumes: Sequence[MountedVolume], uid: int
) -> list[tuple[str, str, bool]]:
    """Each cluster volume as source, target, and whether it is read-only.

    `uid` is who is to mount them: the user of the supervisord.
    """
    wanted = [mount for mount in container.mounts if mount.type == api.Mount.CLUSTER]
    if len(wanted) != len(volumes):
        raise RejectedError(f"mounts: {wanted[-1].target}: the task was given no volume for it")
    for mount in wanted:
        if not mount.target.startswith("/") or not mount.target.strip("/"):
            raise RejectedError(f"mounts: {mount.target}: the target is not an absolute path")
        if uid:
            raise RejectedError(
                f"mounts: {mount.target}: root alone can mount it for a process, and this node's"
                f" supervisord runs as user {uid}"
            )
    pairs = zip(wanted, volumes, strict=True)
    return [(volume.path, mount.target, mount.readonly) for mount, volume in pairs]


def log_driver(task: api.Task) -> api.Driver:
    return task.spec.log_driver if task.spec.HasField("log_driver") else task.log_driver


def rotation(driver: api.Driver) -> tuple[int, int]:
    """Bytes a file, and how many old ones to keep, by Docker's max-size and max-file."""
    size, files = driver.options.get("max-size", ""), driver.options.get("max-file", "")
    parsed = re.fullmatch(r"(\d+)([kmg]?)b?", size.lower())
    if size and (not parsed or not int(parsed[1])):
        raise RejectedError(f"log_driver: max-size {size} is not a size")
    if files and not (files.isdigit() and int(files)):
        raise RejectedError(f"log_driver: max-file {files} is not a number of files")
    count = int(files) - 1 if files else _LOG_FILES
    return (int(parsed[1]) * _SIZES[parsed[2]] if parsed else _LOG_BYTES), count


def settings(
    task: api.Task,
    container: api.ContainerSpec,
    account: Account,
    *,
    file: str,
    directory: Path,
    credentials: str,
    unavailable: Mapping[str, str],
) -> ProgramSettings:
    """All of it; `file` is what was found for argv[0], `directory` the task's own.

    `credentials` is where its secrets and configs are, or nothing where it has none.
    """
    group, name = names(task)
    kept = log_driver(task).name != "none"
    log_bytes, log_backups = rotation(log_driver(task))
    return ProgramSettings(
        id=task.id,
        group=group,
        name=name,
        file=file,
        argv=argv(container),
        environment=environment(task, container, account, credentials),
        directory=container.dir or "/",
        uid=account.uid,
        gid=account.gid,
        groups=list(account.groups),
        stdout=str(directory / "stdout.log") if kept else "",
        stderr=str(directory / "stderr.log") if kept else "",
        started_mark=str(directory / "started"),
        log_bytes=log_bytes,
        log_backups=log_backups,
        stop_signal=stop_signal(container.stop_signal),
        grace_seconds=max(0.0, defaults.stop_grace(task.spec)),
        credentials=credentials,
        stdin_open=container.open_stdin,
        no_new_privileges=container.privileges.no_new_privileges,
        oom_score_adj=container.oom_score_adj,
        rlimits=rlimits(container),
        limits=limits(task, container, unavailable),
    )
