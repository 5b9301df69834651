"""VolumeManager.run: each volume is made, attached where tasks need it, detached and deleted."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from swarmd import api
from swarmd.backoff import Backoff
from swarmd.clock import Clock, wait_event
from swarmd.csi.driver import Drivers
from swarmd.errors import SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.store import (
    Created,
    Deleted,
    Event,
    Select,
    Store,
    Updated,
    Watcher,
    WatchOverflowError,
    WriteTx,
    by,
)
from swarmd.store.events import AnyChange
from workers.manager.csi import outcomes, plan
from workers.manager.csi.controller import Controller, made_nothing
from workers.manager.csi.plan import Act, Step

_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 600.0
_ABSENT_SECONDS: Final = 10.0  # a plugin that is not there costs nothing to ask
LINGER_SECONDS: Final = 2.0  # a task that is restarted on its node needs its volume again at once

log = get_logger(__name__)


class VolumeManager:
    """Looks after all volumes, each in a task of its own, for as long as this manager leads."""

    def __init__(
        self,
        store: Store,
        drivers: Drivers,
        clock: Clock,
        random: Random,
        *,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        """A node that needs a volume no more keeps it for as long as `linger_seconds`."""
        self._linger_seconds = linger_seconds
        self._store = store
        self._controller = Controller(drivers, store)
        self._clock = clock
        self._random = random
        self._keepers: dict[str, _Keeper] = {}

    async def run(self) -> None:
        """Look after them until cancelled."""
        selects = (
            Select(api.Volume),
            Select(api.Task, where=lambda event: bool(event.object.volumes)),
            Select(api.Node, where=_concerns_volumes),
        )
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    async with self._store.watch(*selects) as watcher:
                        self._look_at_all(group)
                        await self._follow(watcher, group)
        finally:
            self._keepers.clear()
            await self._controller.close()

    async def _follow(self, watcher: Watcher, group: asyncio.TaskGroup) -> None:
        try:
            while True:
                for event in await watcher.next():
                    self._observe(event, group)
        except WatchOverflowError:
            log.warning("too many changes at once: looking at all volumes again")

    def _look_at_all(self, group: asyncio.TaskGroup) -> None:
        view = self._store.view()
        for node in view.nodes.find():
            self._controller.learn(node)
        for volume in view.volumes.find():
            self._look_at(volume.id, group)
        for keeper in self._keepers.values():
            keeper.changed.set()

    def _observe(self, event: Event, group: asyncio.TaskGroup) -> None:
        match event:
            case Created(api.Volume() as volume):
                self._look_at(volume.id, group)
            case Updated(api.Volume() as volume, old):
                self._look_at(volume.id, group, again=volume.spec != old.spec)
            case Deleted(api.Volume() as volume):
                self._look_at(volume.id, group)
            case Deleted(api.Node()):
                self._try_all_again()
            case Created(api.Node() as node) | Updated(api.Node() as node):
                if self._controller.learn(node):
                    self._try_all_again()
            case (
                Created(api.Task() as task)
                | Updated(api.Task() as task)
                | Deleted(api.Task() as task)
            ):
                for attachment in task.volumes:
                    self._look_at(attachment.id, group)
            case _:
                pass

    def _look_at(self, volume_id: str, group: asyncio.TaskGroup, *, again: bool = False) -> None:
        keeper = self._keepers.get(volume_id)
        if keeper is not None:
            keeper.wake(again=again)
        elif self._store.view().volumes.get(volume_id) is not None:
            made = _Keeper(
                volume_id,
                self._store,
                self._controller,
                self._clock,
                self._random,
                linger_seconds=self._linger_seconds,
            )
            self._keepers[volume_id] = made
            group.create_task(self._keep(made))

    async def _keep(self, keeper: "_Keeper") -> None:
        await keeper.run()
        del self._keepers[keeper.volume_id]

    def _try_all_again(self) -> None:
        for keeper in self._keepers.values():
            keeper.wake(again=True)


class _Retry:
    """When a step that failed is tried again."""

    def __init__(self, random: Random) -> None:
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self.at = 0.0

    def postpone(self, error: SwarmError, now: float) -> float:
        delay = self._backoff.next()
        if isinstance(error, UnavailableError):
            delay = min(delay, _ABSENT_SECONDS)
        self.at = now + delay
        return delay


class _Keeper:
    """One volume: at most one call for it is under way. `run` ends when the volume is gone."""

    def __init__(
        self,
        volume_id: str,
        store: Store,
        controller: Controller,
        clock: Clock,
        random: Random,
        *,
        linger_seconds: float,
    ) -> None:
        self._linger_seconds = linger_seconds
        self.volume_id = volume_id
        self.changed = asyncio.Event()
        self._store = store
        self._controller = controller
        self._clock = clock
        self._random = random
        self._retries: dict[Step, _Retry] = {}
        self._idle_since: dict[str, float] = {}

    def wake(self, *, again: bool = False) -> None:
        """Something changed; `again`: what failed may work now."""
        if again:
            self._retries.clear()
        self.changed.set()

    async def run(self) -> None:
        unwritten = Backoff(_FIRST_RETRY_SECONDS, _ABSENT_SECONDS, self._random)
        while self._store.view().volumes.get(self.volume_id) is not None:
            try:
                await self._advance()
            except SwarmError as error:  # the store's: what was done is done again
                delay = unwritten.next()
                told = fields(volume=self.volume_id, reason=error, retry_seconds=round(delay, 1))
                log.warning("a volume's change is not written yet", extra=told)
                await self._clock.sleep(delay)
            else:
                unwritten.reset()

    async def _advance(self) -> None:
        """Write what is to be, then take the step that is due, or wait for one."""
        self.changed.clear()
        lingers = await self._settle()
        volume = self._store.view().volumes.get(self.volume_id)
        if volume is None:
            return
        steps = plan.steps(volume)
        self._retries = {step: self._retries[step] for step in steps if step in self._retries}
        now = self._clock.monotonic()
        due = [step for step in steps if self._due_at(step) <= now]
        if due:
            await self._take(due[0], volume)
        else:
            ends = [*map(self._due_at, steps), *lingers]
            pause = max(0.0, min(ends) - now) if ends else None
            await wait_event(self.changed, self._clock, pause)

    def _due_at(self, step: Step) -> float:
        return self._retries[step].at if step in self._retries else 0.0

    async def _settle(self) -> list[float]:
        """Write where it is to be; gives the times at which nodes are to let go of it.

        A node that no longer needs it keeps it for a moment, unless another one waits for it.
        """
        view, now = self._store.view(), self._clock.monotonic()
        volume = view.volumes.get(self.volume_id)
        if volume is None:
            return []
        needed = plan.users(view.tasks.find(by.attached_volume(volume.id)))
        idle = () if plan.is_urgent(volume, needed) else plan.idle(volume, needed)
        self._idle_since = {node_id: self._idle_since.get(node_id, now) for node_id in idle}
        ends = {
            node_id: since + self._linger_seconds for node_id, since in self._idle_since.items()
        }
        lingering = {node_id for node_id, end in ends.items() if end > now}
        wanted = plan.publish_statuses(
            volume, needed | lingering, lambda node_id: view.nodes.get(node_id) is not None
        )
        if wanted != list(volume.publish_status):
            await self._write(partial(outcomes.settled, statuses=wanted), since=volume)
        return [ends[node_id] for node_id in lingering]

    async def _take(self, step: Step, volume: api.Volume) -> None:
        about = {"name": volume.spec.annotations.name, "act": step.act.value, "node": step.node_id}
        try:
            edit = await self._call(step, volume)
        except SwarmError as error:
            retry = self._retries.setdefault(step, _Retry(self._random))
            delay = retry.postpone(error, self._clock.monotonic())
            told = fields(**about, reason=error, retry_seconds=round(delay, 1))
            log.warning("a volume's plugin did not do it", extra=told)
            if step.act is Act.CREATE and volume.pending_delete and made_nothing(error):
                edit = None
            else:
                edit = partial(outcomes.failed, step=step, error=str(error))
        else:
            self._retries.pop(step, None)
            log.info("a volume's plugin did it", extra=fields(**about))
        await self._write(edit)

    async def _call(self, step: Step, volume: api.Volume) -> "Edit | None":
        """Make the call; gives what it changes about the volume, or None where it is gone."""
        match step.act:
            case Act.CREATE:
                return partial(outcomes.created, info=await self._controller.create(volume))
            case Act.PUBLISH:
                context = await self._controller.publish(volume, step.node_id)
                return partial(outcomes.published, node_id=step.node_id, context=context)
            case Act.UNPUBLISH:
                await self._controller.unpublish(volume, step.node_id)
                return partial(outcomes.unpublished, node_id=step.node_id)
            case Act.DELETE:
                await self._controller.delete(volume)
                return None

    async def _write(self, edit: "Edit | None", since: api.Volume | None = None) -> None:
        """Edit the volume as it is now, or delete it; not if it changed `since` meanwhile."""

        def change(tx: WriteTx) -> None:
            current = tx.volumes.get(self.volume_id)
            if current is None or (since is not None and current.meta != since.meta):
                return
            if edit is None:
                tx.volumes.delete(self.volume_id)
                return
            own = tx.volumes.copy(self.volume_id)
            edit(own)
            if own != current:
                tx.volumes.update(own)

        await self._store.update(change)


Edit = Callable[[api.Volume], None]


def _concerns_volumes(event: AnyChange) -> bool:
    """A node that is new, or gone, or reports other plugins."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object.description, event.old.description
    return list(new.csi_info) != list(old.csi_info)
