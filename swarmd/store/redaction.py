"""What is kept back where objects are shown to people (pure): keys, secrets, what may hold some."""

from typing import Any, Final

from swarmd import api

REDACTED: Final = "REDACTED"


def redacted(one: Any) -> Any:
    """The object without them; another object, unless there was nothing to keep back."""
    keep_back = _KINDS.get(type(one))
    if keep_back is None:
        return one
    own = type(one)()
    own.CopyFrom(one)
    keep_back(own)
    return own


def _cluster(cluster: api.Cluster) -> None:
    """Everything that may have a key in it."""
    for name in ("root_ca", "network_bootstrap_keys", "unlock_keys"):
        cluster.ClearField(name)
    cluster.spec.ClearField("ca_config")


def _payload(one: api.Secret | api.Config) -> None:
    one.spec.data = REDACTED.encode()


def _service(service: api.Service) -> None:
    _container(service.spec.task)
    if service.HasField("previous_spec"):
        _container(service.previous_spec.task)


def _task(task: api.Task) -> None:
    _container(task.spec)


def _container(spec: api.TaskSpec) -> None:
    container = spec.container
    if spec.WhichOneof("runtime") != "container":
        return
    if container.env:
        container.env[:] = [f"{one.partition('=')[0]}={REDACTED}" for one in container.env]
    if container.pull_options.registry_auth:
        container.pull_options.registry_auth = REDACTED


def _volume(volume: api.Volume) -> None:
    """Its plugin's context may be a password; its secrets are references."""
    for key in volume.volume_info.volume_context:
        volume.volume_info.volume_context[key] = REDACTED


_KINDS: Final[dict[type, Any]] = {
    api.Cluster: _cluster,
    api.Secret: _payload,
    api.Config: _payload,
    api.Service: _service,
    api.Task: _task,
    api.Volume: _volume,
}
