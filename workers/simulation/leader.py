"""The manager: the real components over a store that says who changed what."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from random import Random
from typing import Any, Final, Protocol, TypeVar

from swarmd import api
from swarmd.errors import SwarmError
from swarmd.store import Store, WriteTx
from workers.manager.components import Component, leader_components
from workers.manager.control.server import ControlServicer
from workers.manager.dispatcher.server import Dispatcher
from workers.manager.leadership import Leadership
from workers.manager.orchestrators.dirty import is_dirty
from workers.simulation.clock import SimulatedClock
from workers.simulation.disk import Disk, SimulatedBackend
from workers.simulation.network import Network, Server

T = TypeVar("T")
ACTOR: Final[ContextVar[str]] = ContextVar("actor", default="user")
ManyComponents = Callable[..., Sequence[Component]]


class Observer(Protocol):
    """Who watches every commit."""

    def loaded(self, store: Store) -> None:
        """A manager begins, with what was durable."""

    def changed(self, actor: str, events: Sequence[Any]) -> None:
        """One change of one actor, on its way to the disk."""

    async def follow(self, store: Store) -> None:
        """Look at each commit, until cancelled."""


class NamedStore(Store):
    """A store that tells an observer which actor made which change."""

    observer: Observer

    async def update(self, change: Callable[[WriteTx], T]) -> T:
        return await super().update(partial(self._note, change, ACTOR.get()))

    async def batch(self, changes: Sequence[Callable[[WriteTx], T]]) -> list[T | SwarmError]:
        actor = ACTOR.get()
        return await super().batch([partial(self._note, change, actor) for change in changes])

    def _note(self, change: Callable[[WriteTx], T], actor: str, tx: WriteTx) -> T:
        before = len(tx.events)
        result = change(tx)
        self.observer.changed(actor, tx.events[before:])
        return result


class Named:
    """A component whose changes bear its name."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self._name = type(component).__name__

    async def run(self) -> None:
        ACTOR.set(self._name)
        await self._component.run()


class NoMembers:
    """The managers as a group: of one, which is no node here."""

    def status(self, node_id: str) -> api.ManagerStatus | None:  # noqa: ARG002
        return None

    def refusal(self) -> str:
        return "there is one manager here"


def _first(error: BaseException | None) -> BaseException | None:
    """What is inside groups of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class SimulatedManager:
    """One manager after another over the same disk: each `start` makes a new leader."""

    def __init__(
        self,
        *,
        disk: Disk,
        network: Network,
        observer: Observer,
        random: Random,
        died: Callable[[BaseException | None], None],
    ) -> None:
        """`died` is told of each death, and the error where it was not killed."""
        self.disk = disk
        self.clock = SimulatedClock()
        self.control: ControlServicer | None = None
        self.lives = 0
        self.components: ManyComponents = leader_components
        self._network = network
        self._observer = observer
        self._random = random
        self._died = died
        self._backend: SimulatedBackend | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._running is not None

    def start(self) -> None:
        """Start one, which leads; nothing where it runs."""
        if self._running is None:
            self.lives += 1
            work = self._run(SimulatedBackend(self.disk, self.crash))
            self._running = asyncio.get_running_loop().create_task(work, name="manager")
            self._running.add_done_callback(self._ended)

    def crash(self) -> None:
        """It is gone in the middle of whatever it did."""
        running, self._running = self._running, None
        if running is None:
            return
        self._shut()
        running.cancel()
        self._died(None)

    def _shut(self) -> None:
        self.control = None
        if self._backend is not None:
            self._backend.shut = True
        if self._network.server is not None:
            self._network.server.end()
            self._network.server = None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None and self._running is task:
            self._died(_first(task.exception()))

    async def _run(self, backend: SimulatedBackend) -> None:
        self._backend = backend
        store = NamedStore(backend, self.clock)
        store.observer = self._observer
        async with store:
            self._observer.loaded(store)
            dispatcher = Dispatcher(store, self.clock, self._random)
            self._network.server = Server(dispatcher)
            self.control = ControlServicer(store, self.clock, self._random, NoMembers(), is_dirty)
            leadership = Leadership(store, partial(self._components, store, dispatcher))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._observer.follow(store))
                group.create_task(leadership.run())

    def _components(self, store: Store, dispatcher: Dispatcher) -> Sequence[Component]:
        parts = self.components(store, self.clock, self._random, dispatcher)
        return [Named(part) for part in parts]
