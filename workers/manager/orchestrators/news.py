"""Which changes are worth a look (pure): asked for each change in the store, so cheap."""

from typing import Any, Final

from swarmd import api
from swarmd.api import tasks
from swarmd.store import Updated

_ASSIGNED: Final = api.TaskState.ASSIGNED
_RUNNING: Final = api.TaskState.RUNNING


def is_service_news(event: Any) -> bool:
    """A service came, went, or is asked for something else than before."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object, event.old
    return bool(
        new.spec_version != old.spec_version
        or new.update_status != old.update_status
        or new.job_status != old.job_status
        or new.spec != old.spec
    )


def may_need_restart(event: Any) -> bool:
    """A cheap first look at a task's change: most of them are of no interest here."""
    task: api.Task = event.object
    if not tasks.is_wanted(task):
        return False
    state = task.status.state
    # A node may go down while the scheduler has a task on the way to it.
    return state > _RUNNING or state == _ASSIGNED or _just_started(event)


def _just_started(event: Any) -> bool:
    return isinstance(event, Updated) and event.old.desired_state != event.object.desired_state


def is_node_news(event: Any) -> bool:
    """A node came, went, or may have other tasks than before; a heartbeat's detail is none."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object, event.old
    return bool(
        new.status.state != old.status.state
        or new.spec != old.spec
        or new.role != old.role
        or new.description != old.description
        or new.status.addr != old.status.addr
    )
