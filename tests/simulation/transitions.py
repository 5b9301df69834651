"""Who may move a task from which state to which: SwarmKit's published model, and where we go on.

MODEL holds the facts of the table in design/tla/Tasks.tla of moby/swarmkit. An agent reports only
the newest state, so that a manager may see several of its steps as one: any chain of them counts.
BEYOND holds the moves that the model leaves out, each with the reason why it happens.
"""

from typing import Final

from swarmd import api

NONE: Final = "none"  # there is no such task
Move = tuple[str, str, str]

_ON_ITS_NODE: Final = ("assigned", "accepted", "preparing", "ready", "starting")

AGENT: Final = frozenset(
    {
        ("assigned", "accepted"),
        ("accepted", "preparing"),
        ("preparing", "ready"),
        ("ready", "starting"),
        ("starting", "running"),
        ("running", "complete"),
        ("running", "failed"),
        ("running", "shutdown"),
        *((state, "rejected") for state in _ON_ITS_NODE),
        *((state, "orphaned") for state in (*_ON_ITS_NODE, "running")),
    }
)
MODEL: Final[frozenset[Move]] = frozenset(
    {
        ("orchestrator", NONE, "new"),
        ("allocator", "new", "pending"),
        ("scheduler", "pending", "assigned"),
        *(("agent", before, after) for before, after in AGENT),
        *(
            ("reaper", state, NONE)
            for state in ("new", "pending", "rejected", "complete", "failed", "shutdown")
        ),
        ("reaper", "orphaned", NONE),
    }
)

_STOPPED: Final = "the model stops running tasks only; an agent stops one before it runs too"
_ENDED: Final = "a start that fails is a failure, as in SwarmKit's agent; the model rejects it"
_UNFIT: Final = "the constraint enforcer, which the model leaves out, rejects what no longer fits"
_REMOVED: Final = "removing a node orphans its tasks at once; in the model a node only goes down"
_NOTHING_TO_GIVE: Final = "a task without ports and networks needs no visit of the allocator"
_FORGOTTEN: Final = "orchestrators forget the ended tasks of slots and nodes that are no more"

BEYOND: Final[dict[Move, str]] = {
    ("orchestrator", "new", "pending"): _NOTHING_TO_GIVE,
    **{("agent", state, "shutdown"): _STOPPED for state in _ON_ITS_NODE},
    ("agent", "starting", "failed"): _ENDED,
    ("scheduler", "pending", "shutdown"): "one that nobody wants any more never gets a node",
    **{
        ("enforcer", state, "rejected"): _UNFIT
        for state in ("new", "pending", *_ON_ITS_NODE, "running")
    },
    **{
        ("user", state, "orphaned"): _REMOVED
        for state in ("new", "pending", *_ON_ITS_NODE, "running")
    },
    **{
        ("orchestrator", state, NONE): _FORGOTTEN
        for state in ("new", "pending", "complete", "failed", "rejected", "shutdown", "orphaned")
    },
    ("orchestrator", "running", NONE): "a node that was removed takes its tasks with it",
}

NEVER_HERE: Final[dict[Move, str]] = {
    **{
        ("agent", state, "orphaned"): "a node is down for a day before its tasks are orphans"
        for state in (*_ON_ITS_NODE, "running")
    },
    ("agent", "starting", "rejected"): _ENDED,
    **{
        ("agent", state, "rejected"): "our agent finds out while it prepares"
        for state in ("assigned", "accepted", "ready")
    },
}
"""Moves of the model that no scenario can show, and why."""

_ACTORS: Final = {
    "Orchestrator": "orchestrator",
    "Allocator": "allocator",
    "Scheduler": "scheduler",
    "Dispatcher": "agent",
    "Reaper": "reaper",
    "ConstraintEnforcer": "enforcer",
    "user": "user",
}


def move(actor: str, before: int, after: int) -> Move:
    """As the simulation counts it, in the words of the tables."""
    return _ACTORS.get(actor, actor), _name(before), _name(after)


def chains(moves: frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those, and whatever several of them come to."""
    found = set(moves)
    while True:
        longer = {(a, d) for a, b in found for c, d in found if b == c} - found
        if not longer:
            return found
        found |= longer


def _name(state: int) -> str:
    return NONE if state < 0 else api.TaskState.Name(api.TaskState.ValueType(state)).lower()
