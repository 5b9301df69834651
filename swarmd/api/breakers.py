"""Questions about a breaker: does it hold its service, and how is that said?"""

from swarmd import api
from swarmd.api import services, times
from swarmd.api.protos.governor_pb2 import Breaker

State = Breaker.State


def is_open(breaker: Breaker | None) -> bool:
    """Whether it holds a service, a probe or not."""
    return breaker is not None and breaker.state != State.CLOSED


def holds(breaker: Breaker | None, service: api.Service) -> bool:
    """Whether no task of the service, as it is now, is to start.

    It never holds what an update or a rollback makes: that has its own failure action.
    """
    return (
        breaker is not None
        and breaker.state != State.CLOSED
        and breaker.spec_version == service.spec_version.index
        and not services.update_under_way(service)
    )


def cause(breaker: Breaker) -> str:
    """Why it was opened."""
    places = f"{_count(breaker.slots, 'slot')} on {_count(breaker.nodes, 'node')}"
    return f"{_count(breaker.failures, 'task')} in {places} ended alike ({breaker.reason})"


def sentence(breaker: Breaker | None, now: float) -> str:
    """What to tell of it beside its service; nothing where it holds none."""
    if breaker is None or breaker.state == State.CLOSED:
        return ""
    if breaker.state == State.PROBING:
        return f"held: {cause(breaker)}; trying one task, {breaker.probe_task_id}"
    seconds = max(0.0, times.seconds(breaker.next_at) - now)
    return f"held: {cause(breaker)}; next try in {seconds:.0f} s"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
