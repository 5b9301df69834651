"""Is this task spec sound (pure): resources, restart, placement, references, runtime."""

import json
from collections.abc import Iterable
from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError, UnimplementedError
from workers.manager import constraints
from workers.manager.control import container_checks
from workers.manager.control.durations import nanos

_LEAST_NANO_CPUS: Final = 1_000_000
_LEAST_MEMORY: Final = 4 << 20
_SHORTEST_KIND: Final = 3
_RESERVED_KINDS: Final = frozenset({"container", "attachment"})

_Reference = api.SecretReference | api.ConfigReference


def check_task_spec(spec: api.TaskSpec) -> None:
    """Raises a SwarmError that names the first fault."""
    _check_resources(spec.resources.limits)
    _check_resources(spec.resources.reservations)
    _check_restart(spec.restart)
    constraints.parse(spec.placement.constraints)
    _check_secrets(spec.container)
    _check_configs(spec.container)
    _check_runtime(spec)


def _check_resources(resources: api.Resources) -> None:
    """Zero is no limit; a negative amount is too little."""
    cpus = resources.nano_cpus
    if cpus != 0 and cpus < _LEAST_NANO_CPUS:
        least = _LEAST_NANO_CPUS / 1e9
        raise InvalidArgumentError(f"invalid cpu value {cpus / 1e9:g}: Must be at least {least:g}")
    memory = resources.memory_bytes
    if memory != 0 and memory < _LEAST_MEMORY:
        raise InvalidArgumentError(f"invalid memory value {memory}: Must be at least 4MiB")


def _check_restart(policy: api.RestartPolicy) -> None:
    if nanos(policy.delay) < 0:
        raise InvalidArgumentError("TaskSpec: restart-delay cannot be negative")
    if nanos(policy.window) < 0:
        raise InvalidArgumentError("TaskSpec: restart-window cannot be negative")


def _check_runtime(spec: api.TaskSpec) -> None:
    runtime = spec.WhichOneof("runtime")
    if runtime is None:
        raise InvalidArgumentError("TaskSpec: missing runtime")
    if runtime == "container":
        container_checks.check_container(spec)
    elif runtime == "generic":
        _check_generic(spec.generic)
    else:
        raise UnimplementedError("RuntimeSpec: unimplemented runtime in service spec")


def _check_generic(spec: api.GenericRuntimeSpec) -> None:
    kind = json.dumps(spec.kind, ensure_ascii=False)
    if len(spec.kind.encode()) < _SHORTEST_KIND:
        raise InvalidArgumentError(f"Generic runtime: Invalid name {kind}")
    if spec.kind.lower() in _RESERVED_KINDS:
        raise InvalidArgumentError(f"Generic runtime: {kind} is a reserved name")
    if not spec.HasField("payload"):
        raise InvalidArgumentError("Generic runtime is missing payload")
    if not spec.payload.type_url:
        raise InvalidArgumentError("Generic runtime is missing payload type")
    if not spec.payload.value:
        raise InvalidArgumentError("Generic runtime has an empty payload")


def _check_secrets(container: api.ContainerSpec) -> None:
    _check_references("secret", ((r.secret_id, r.secret_name, r) for r in container.secrets))


def _check_configs(container: api.ContainerSpec) -> None:
    _check_references("config", ((r.config_id, r.config_name, r) for r in container.configs))
    _check_credential_spec(container)


def _check_references(kind: str, references: Iterable[tuple[str, str, _Reference]]) -> None:
    """Each is shown to the task somewhere, and no two in the same file."""
    users: dict[str, str] = {}
    for object_id, name, reference in references:
        if not object_id or not name:
            raise InvalidArgumentError(f"malformed {kind} reference")
        target = reference.WhichOneof("target")
        if target is None:
            raise InvalidArgumentError(f"malformed {kind} reference, no target provided")
        if target == "file":
            _check_file(kind, name, reference.file.name, users)


def _check_file(kind: str, name: str, path: str, users: dict[str, str]) -> None:
    if not path:
        raise InvalidArgumentError(
            f"malformed file {kind} reference, invalid target file name provided"
        )
    if path in users:
        raise InvalidArgumentError(
            f"{kind} references '{users[path]}' and '{name}' have a conflicting target: '{path}'"
        )
    users[path] = name


def _check_credential_spec(container: api.ContainerSpec) -> None:
    """A credential spec kept in a config reaches the engine only by a reference to that."""
    wanted = container.privileges.credential_spec.config
    runtime = {r.config_id for r in container.configs if r.WhichOneof("target") == "runtime"}
    if wanted and wanted not in runtime:
        raise InvalidArgumentError(
            f"CredentialSpec references config '{wanted}', but that config isn't in config "
            "references with RuntimeTarget"
        )
