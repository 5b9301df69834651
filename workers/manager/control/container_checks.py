"""Is this container spec sound (pure): templates, image, mounts, health check.

Templates are filled in by the agent; here they are tried with stand-in values, so that one that
can never work is told to its author and not to every task.
"""

import json
from typing import Final

from google.protobuf.duration_pb2 import Duration

from swarmd import api
from swarmd.api.templates import TemplateError, context, expand_container
from swarmd.errors import InvalidArgumentError
from workers.manager.control.durations import nanos
from workers.manager.control.image_names import is_image_name

_SHORTEST_NANOS: Final = 1_000_000  # a health check more often than that is a mistake

# Labels of a service are not known here: a template that names one fails, as SwarmKit's.
_STAND_IN: Final = context(
    api.Task(
        annotations=api.Annotations(name="taskname"),
        service_id="serviceid",
        service_annotations=api.Annotations(name="servicename"),
        slot=1,
        node_id="nodeid",
    ),
    api.Node(
        description=api.NodeDescription(
            hostname="nodeHostname",
            platform=api.Platform(os="os", architecture="architecture"),
        )
    ),
)


def check_container(spec: api.TaskSpec) -> None:
    """Raises a SwarmError that names the first fault."""
    try:
        container = expand_container(spec.container, _STAND_IN)
    except TemplateError as error:
        raise InvalidArgumentError(str(error)) from error
    _check_image(container.image)
    _check_mounts(container)
    _check_health(container.healthcheck)


def _check_image(image: str) -> None:
    if not image:
        raise InvalidArgumentError("ContainerSpec: image reference must be provided")
    if not is_image_name(image):
        shown = json.dumps(image, ensure_ascii=False)
        raise InvalidArgumentError(f"ContainerSpec: {shown} is not a valid repository/tag")


def _check_mounts(container: api.ContainerSpec) -> None:
    seen: set[str] = set()
    for mount in container.mounts:
        if mount.target in seen:
            raise InvalidArgumentError(f"ContainerSpec: duplicate mount point: {mount.target}")
        seen.add(mount.target)


def _check_health(health: api.HealthConfig) -> None:
    _check_period("Interval", health.interval)
    _check_period("Timeout", health.timeout)
    _check_period("StartPeriod", health.start_period)
    _check_period("StartInterval", health.start_interval)
    if health.retries < 0:
        raise InvalidArgumentError("ContainerSpec: Retries in HealthConfig cannot be negative")


def _check_period(name: str, period: Duration) -> None:
    """Zero means the engine's default."""
    length = nanos(period)
    if length != 0 and length < _SHORTEST_NANOS:
        raise InvalidArgumentError(f"ContainerSpec: {name} in HealthConfig cannot be less than 1ms")
