"""What an engine must have for a task, and the refusal where it has not (pure).

An engine passes over fields that it does not know, and drops limits that its kernel does not have:
the task would run without what it asked for. So what is asked is held against what there is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarmd import api
from workers.agent.executors.errors import RejectedError

_Version = tuple[int, ...]
_Asked = Callable[[api.ContainerSpec], Any]
_OOM_SCORES: Final = range(-1000, 1001)

_SINCE: Final[tuple[tuple[_Version, str, _Asked], ...]] = (
    ((1, 40), "mounts.bind_options.nonrecursive", lambda c: _binds(c, "nonrecursive")),
    ((1, 42), "mounts.bind_options.createmountpoint", lambda c: _binds(c, "createmountpoint")),
    ((1, 44), "healthcheck.start_interval", lambda c: c.healthcheck.start_interval.ByteSize()),
    (
        (1, 44),
        "mounts.bind_options.readonlynonrecursive",
        lambda c: _binds(c, "readonlynonrecursive"),
    ),
    (
        (1, 44),
        "mounts.bind_options.readonlyforcerecursive",
        lambda c: _binds(c, "readonlyforcerecursive"),
    ),
    (
        (1, 45),
        "mounts.volume_options.subpath",
        lambda c: any(mount.volume_options.subpath for mount in c.mounts),
    ),
    (
        (1, 46),
        "mounts.tmpfs_options.options",
        lambda c: any(mount.tmpfs_options.options for mount in c.mounts),
    ),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an engine; the defaults are a host that can all."""

    api_version: _Version = (1, 99)
    os: str = "linux"
    is_local: bool = True
    security: frozenset[str] = field(default_factory=lambda: frozenset({"seccomp", "selinux"}))
    missing: frozenset[str] = frozenset()
    """Of memory, swap, swappiness, cpu, pids: the limits that its kernel does not have."""
    root: tuple[int, int] = (0, 0)
    """Whom the containers' root is on the host: another, where user namespaces are remapped."""


def facts(info: Mapping[str, Any], api_version: str, *, is_local: bool) -> Facts:
    """From what the engine's /info says."""
    flags = {"memory": "MemoryLimit", "swap": "SwapLimit", "cpu": "CpuCfsQuota"}
    missing = {limit for limit, flag in flags.items() if not info.get(flag)}
    if info.get("PidsLimit") is False:  # engines before API 1.40 do not say
        missing.add("pids")
    if info.get("CgroupVersion", "1") != "1":
        missing.add("swappiness")  # the second version has none
    security = {text.split(",")[0].removeprefix("name=") for text in info["SecurityOptions"] or ()}
    return Facts(
        api_version=tuple(int(part) for part in api_version.split(".")),
        os=info.get("OSType", "linux"),
        is_local=is_local,
        security=frozenset(security),
        missing=frozenset(missing),
        root=_root(info.get("DockerRootDir", ""), security),
    )


def check(task: api.Task, spec: api.ContainerSpec, facts: Facts) -> None:
    """Raises RejectedError, naming the field, for what this engine cannot give the task."""
    for problem in (*_problems(spec, facts), *_missing_limits(task, spec, facts)):
        raise RejectedError(problem)


def _problems(spec: api.ContainerSpec, facts: Facts) -> Iterator[str]:
    if not spec.image:
        yield "image: none is given"
    for version, name, is_asked in _SINCE:
        if facts.api_version < version and is_asked(spec):
            yield f"{name}: needs an engine with API {_text(version)}, {_here(facts)}"
    if spec.isolation and facts.os != "windows":
        yield "isolation: exists on Windows only"
    if spec.oom_score_adj not in _OOM_SCORES:
        yield "oom_score_adj: must be between -1000 and 1000"
    if (spec.secrets or spec.configs) and not facts.is_local:
        kind = "secrets" if spec.secrets else "configs"
        yield f"{kind}: the engine is on another host, where this node cannot put files"
    if any(mount.type == api.Mount.CLUSTER for mount in spec.mounts) and not facts.is_local:
        yield "mounts: the engine is on another host, where this node mounts no volumes"
    yield from _privileges(spec.privileges, facts)


def _privileges(privileges: api.Privileges, facts: Facts) -> Iterator[str]:
    if privileges.HasField("credential_spec") and facts.os != "windows":
        yield "privileges.credential_spec: exists on Windows only"
    context = privileges.selinux_context
    is_wanted = context.user or context.role or context.type or context.level
    if is_wanted and "selinux" not in facts.security:
        yield "privileges.selinux_context: the engine's host has no SELinux"
    if privileges.seccomp.profile and "seccomp" not in facts.security:
        yield "privileges.seccomp: the engine's host has no seccomp"


def _missing_limits(task: api.Task, spec: api.ContainerSpec, facts: Facts) -> Iterator[str]:
    resources = task.spec.resources
    asked = {
        "memory": ("resources.limits.memory_bytes", resources.limits.memory_bytes > 0),
        "swap": ("resources.swap_bytes", resources.HasField("swap_bytes")),
        "swappiness": (
            "resources.memory_swappiness",
            resources.HasField("memory_swappiness"),
        ),
        "cpu": ("resources.limits.nano_cpus", resources.limits.nano_cpus > 0),
        "pids": ("pidsLimit", spec.pidsLimit > 0),
    }
    for limit, (name, is_asked) in asked.items():
        if is_asked and limit in facts.missing:
            yield f"{name}: the engine's host has no such limit"


def _binds(spec: api.ContainerSpec, name: str) -> bool:
    return any(getattr(mount.bind_options, name) for mount in spec.mounts)


def _root(directory: str, security: set[str]) -> tuple[int, int]:
    """The engine keeps remapped containers in a directory named for their root: `100000.100000`."""
    uid, _, gid = directory.rpartition("/")[2].partition(".")
    if "userns" not in security or not (uid.isdigit() and gid.isdigit()):
        return (0, 0)
    return (int(uid), int(gid))


def _text(version: _Version) -> str:
    return ".".join(map(str, version))


def _here(facts: Facts) -> str:
    return f"this one has {_text(facts.api_version)}"
