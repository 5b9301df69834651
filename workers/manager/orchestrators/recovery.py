"""What a leader before us left undone (over a view, in turns).

A leader can end between any two commits. What it would have done next is read from the tasks:
those whose service is gone, those that ended and were not replaced, those whose node is lost.
Starts that were delayed are found by restarts.py, updates under way by updater.py.
"""

from collections.abc import Callable

from swarmd import api
from swarmd.api import nodes, tasks
from swarmd.store import ReadTx
from swarmd.turns import in_turns

Owns = Callable[[api.Service | None], bool]


async def abandoned(tx: ReadTx) -> list[api.Task]:
    """Tasks of services that were removed, which nobody has told to go."""
    return [
        task
        async for task in in_turns(tx.tasks.find())
        if tasks.is_of_service(task)
        and task.desired_state < api.TaskState.REMOVE
        and tx.services.get(task.service_id) is None
    ]


async def unfinished(tx: ReadTx, owns: Owns) -> list[api.Task]:
    """Tasks of those services that are wanted still, and ended or lost their node."""
    known = {service.id for service in tx.services.find() if owns(service)}
    return [
        task
        async for task in in_turns(tx.tasks.find() if known else ())
        if task.service_id in known and needs_restart(tx, task)
    ]


def needs_restart(tx: ReadTx, task: api.Task) -> bool:
    """It is wanted, and ended or lost its node: an orchestrator has to see to it."""
    if not tasks.is_wanted(task):
        return False
    if tasks.is_terminal(task):
        return True
    return task.node_id != "" and not nodes.can_keep_tasks(tx.nodes.get(task.node_id))
