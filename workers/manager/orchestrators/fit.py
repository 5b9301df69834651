"""May a node run tasks of a service that has one on each? (pure)"""

from swarmd import api
from swarmd.api import nodes
from workers.manager import constraints


def satisfies(spec: api.TaskSpec, node: api.Node) -> bool:
    """It meets the constraints; ones that cannot be read, no node meets."""
    if not spec.placement.constraints:
        return True
    try:
        return constraints.matches(constraints.parse(spec.placement.constraints), node)
    except constraints.InvalidConstraintError:
        return False


def takes_updates(spec: api.TaskSpec, node: api.Node | None) -> bool:
    """Its task there may be replaced, or a missing one made: a paused node keeps what it has."""
    return (
        node is not None
        and nodes.can_keep_tasks(node)
        and not nodes.is_paused(node)
        and satisfies(spec, node)
    )
