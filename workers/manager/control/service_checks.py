"""Is this service spec sound (pure).

The first fault found is the one told, in SwarmKit's order: annotations, task, mode, update,
endpoint. The rollback config is not looked at; SwarmKit does not either, and clients send any.
"""

from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError, Status, SwarmError
from workers.manager.control import names, port_checks, task_checks
from workers.manager.control.durations import InvalidDurationError, nanos

_MOST_COUNT: Final = (1 << 63) - 1  # counts above are negative ones, sent by a careless client


class UnreadableSpecError(SwarmError):
    """To SwarmKit an update delay is a number: one that is none fails while the call is read."""

    status = Status.INTERNAL


def check_service_spec(spec: api.ServiceSpec) -> None:
    """Raises a SwarmError that names the first fault."""
    _check_readable(spec)
    names.check_dns_name(spec.annotations)
    task_checks.check_task_spec(spec.task)
    _check_mode(spec)
    if spec.WhichOneof("mode") in ("replicated_job", "global_job"):
        _check_job(spec)
    else:
        _check_update(spec.update)
    port_checks.check_endpoint(spec.endpoint)


def _check_readable(spec: api.ServiceSpec) -> None:
    for config in (spec.update, spec.rollback):
        try:
            nanos(config.delay)
        except InvalidDurationError as error:
            raise UnreadableSpecError(f"error unmarshalling request: {error}") from error


def _check_mode(spec: api.ServiceSpec) -> None:
    if spec.WhichOneof("mode") is None:
        raise InvalidArgumentError("Unrecognized service mode")
    if spec.replicated.replicas > _MOST_COUNT:
        raise InvalidArgumentError("Number of replicas must be non-negative")
    if spec.replicated_job.max_concurrent > _MOST_COUNT:
        raise InvalidArgumentError("Maximum concurrent jobs must not be negative")
    if spec.replicated_job.total_completions > _MOST_COUNT:
        raise InvalidArgumentError("Total completed jobs must not be negative")


def _check_job(spec: api.ServiceSpec) -> None:
    """A job is not updated: a change makes a new iteration of it."""
    if spec.HasField("update"):
        raise InvalidArgumentError("Jobs may not have an update config")


def _check_update(config: api.UpdateConfig) -> None:
    if nanos(config.delay) < 0:
        raise InvalidArgumentError("TaskSpec: update-delay cannot be negative")
    if nanos(config.monitor) < 0:
        raise InvalidArgumentError("TaskSpec: update-monitor cannot be negative")
    if not 0 <= config.max_failure_ratio <= 1:
        raise InvalidArgumentError(
            "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"
        )
