"""The phases of a node; what is absent is impossible.

    NEW ─▶ STARTING ─▶ READY
               │         │
               ▼         ▼
               STOPPING ──▶ CLOSED

A worker that dies later does not take a node out of READY: its supervisor is at it.
"""

import enum
from collections.abc import Mapping
from typing import Final

from swarmd.supervision.phases import InvalidMoveError


class NodePhase(enum.StrEnum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    CLOSED = "stopped"


class NodeEvent(enum.Enum):
    START = enum.auto()
    READY = enum.auto()  # every worker that should run does
    STOP = enum.auto()  # somebody asked for it
    FAIL = enum.auto()  # a worker cannot be kept running
    END = enum.auto()  # nothing is left


MOVES: Final[Mapping[NodePhase, Mapping[NodeEvent, NodePhase]]] = {
    NodePhase.NEW: {NodeEvent.START: NodePhase.STARTING},
    NodePhase.STARTING: {
        NodeEvent.READY: NodePhase.READY,
        NodeEvent.STOP: NodePhase.STOPPING,
        NodeEvent.FAIL: NodePhase.STOPPING,
    },
    NodePhase.READY: {
        NodeEvent.STOP: NodePhase.STOPPING,
        NodeEvent.FAIL: NodePhase.STOPPING,
    },
    NodePhase.STOPPING: {
        NodeEvent.STOP: NodePhase.STOPPING,  # any number of callers may stop
        NodeEvent.FAIL: NodePhase.STOPPING,
        NodeEvent.END: NodePhase.CLOSED,
    },
    NodePhase.CLOSED: {},
}


def after(phase: NodePhase, event: NodeEvent) -> NodePhase:
    """The phase that the event leads to; raises InvalidMoveError where it cannot come."""
    if event not in MOVES[phase]:
        raise InvalidMoveError(phase, event)
    return MOVES[phase][event]
