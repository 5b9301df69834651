"""The one list of the leader's components, in start order. There is no second list to forget."""

from collections.abc import Sequence
from random import Random
from typing import Protocol

from swarmd.clock import Clock
from swarmd.csi.driver import Drivers
from swarmd.store import Store
from workers.manager.allocator.allocator import Allocator
from workers.manager.ca.rotation import RootRotation
from workers.manager.constraint_enforcer import ConstraintEnforcer
from workers.manager.csi.volume_manager import VolumeManager
from workers.manager.journal.journal import Journal
from workers.manager.key_manager import KeyManager
from workers.manager.orchestrators.orchestrator import Orchestrator
from workers.manager.reaper import Reaper
from workers.manager.scheduler.scheduler import Scheduler
from workers.manager.volume_enforcer import VolumeEnforcer


class Component(Protocol):
    """A part of the leader: it watches the store and changes the store."""

    async def run(self) -> None:
        """Do its work until cancelled; it can be killed between any two commits."""


def leader_components(
    store: Store,
    clock: Clock,
    random: Random,
    *served: Component,
    csi_plugins: Sequence[str] = (),
) -> Sequence[Component]:
    """Every loop that the leader runs; `served` are those that answer calls too.

    `csi_plugins` are this manager's own, as --csi-plugin gives them.
    """
    return (
        *served,
        Journal(store, clock, random),
        KeyManager(store, clock, random),
        RootRotation(store, clock, random),
        Allocator(store, clock),
        Scheduler(store, clock, random),
        Reaper(store, clock, random),
        ConstraintEnforcer(store, clock, random),
        VolumeEnforcer(store, clock, random),
        VolumeManager(store, Drivers(csi_plugins), clock, random),
        Orchestrator(store, clock, random),
    )
