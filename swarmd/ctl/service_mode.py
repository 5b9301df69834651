"""A service's mode, and how many tasks it asks for (pure)."""

from collections.abc import Mapping
from typing import Any

import click

from swarmd import api


def set_mode(spec: api.ServiceSpec, mode: str) -> None:
    """One replica, one run of a job, or a task on each node."""
    field = mode.replace("-", "_")
    getattr(spec, field).SetInParent()
    if field == "replicated":
        spec.replicated.replicas = 1
    elif field == "replicated_job":
        spec.replicated_job.max_concurrent = spec.replicated_job.total_completions = 1


def merge_mode(spec: api.ServiceSpec, given: Mapping[str, Any]) -> None:
    """Change the counts by what was given; raises UsageError where the mode has no such count."""
    mode = (spec.WhichOneof("mode") or "replicated").replace("_", "-")
    if mode.endswith("job") and any(name.startswith(("update_", "rollback_")) for name in given):
        raise click.UsageError("update and rollback configuration is not supported for jobs")
    _refuse(given, "replicas", mode, ("replicated", "replicated-job"))
    _refuse(given, "replicas_max_per_node", mode, ("replicated", "replicated-job"))
    _refuse(given, "max_concurrent", mode, ("replicated-job",))
    if "replicas" in given:
        scale(spec, given["replicas"])
    if "max_concurrent" in given:
        spec.replicated_job.max_concurrent = given["max_concurrent"]
    if "replicas_max_per_node" in given:
        spec.task.placement.max_replicas = given["replicas_max_per_node"]


def _refuse(given: Mapping[str, Any], name: str, mode: str, modes: tuple[str, ...]) -> None:
    if name in given and mode not in modes:
        flag = "--" + name.replace("_", "-")
        raise click.UsageError(
            f"{flag} can only be given for a {' or '.join(modes)} service, and this is {mode}"
        )


def scale(spec: api.ServiceSpec, count: int) -> None:
    """So many replicas; of a job so many tasks in all, and as many at once if it had no bound."""
    if spec.HasField("replicated_job"):
        job = spec.replicated_job
        if job.max_concurrent == job.total_completions:
            job.max_concurrent = count
        job.total_completions = count
    else:
        spec.replicated.replicas = count
