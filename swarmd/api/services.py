"""Questions about a service: which kind is it, and where does its update stand?

Each takes None too, for a service that is gone meanwhile: the answer is no.
"""

from typing import Final

from swarmd import api

_State = api.UpdateStatus.UpdateState
_PAUSED: Final = frozenset({_State.PAUSED, _State.ROLLBACK_PAUSED})
_ENDED: Final = frozenset({_State.COMPLETED, _State.ROLLBACK_COMPLETED})
_UNDER_WAY: Final = frozenset({_State.UPDATING, _State.ROLLBACK_STARTED})


def mode(service: api.Service | None) -> str:
    """The name of its mode's field: replicated, global, replicated_job, global_job; else ""."""
    return "" if service is None else service.spec.WhichOneof("mode") or ""


def is_replicated(service: api.Service | None) -> bool:
    return mode(service) == "replicated"


def is_global(service: api.Service | None) -> bool:
    return mode(service) == "global"


def is_replicated_job(service: api.Service | None) -> bool:
    return mode(service) == "replicated_job"


def is_global_job(service: api.Service | None) -> bool:
    return mode(service) == "global_job"


def is_job(service: api.Service | None) -> bool:
    """Its tasks run to completion, once an iteration."""
    return mode(service) in ("replicated_job", "global_job")


def is_per_node(service: api.Service | None) -> bool:
    """Its slots are nodes, and its tasks bear a node's id from the first."""
    return mode(service) in ("global", "global_job")


def job_iteration(service: api.Service) -> int:
    """Which run of the job is wanted now; 0 before the first."""
    return service.job_status.job_iteration.index


def update_paused(service: api.Service) -> bool:
    """Its update or rollback waits for the user."""
    return service.update_status.state in _PAUSED


def update_under_way(service: api.Service) -> bool:
    """Its update or rollback goes on, here or on the leader before us."""
    return service.update_status.state in _UNDER_WAY


def update_ended(service: api.Service) -> bool:
    """Its last update or rollback is complete."""
    return service.update_status.state in _ENDED


def rolling_back(service: api.Service) -> bool:
    return service.update_status.state == _State.ROLLBACK_STARTED


def needs_allocation(service: api.Service) -> bool:
    """Whether its tasks wait in NEW, for ports or networks, before they can be placed."""
    ports = service.spec.endpoint.ports or service.endpoint.ports
    return bool(ports or service.spec.task.networks or service.spec.networks)
