"""The volumes that this node is to have: mounted, unmounted, and reported as let go."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Self

from swarmd import api
from swarmd.backoff import Backoff
from swarmd.clock import Clock, wait_event
from swarmd.csi import convert
from swarmd.csi.driver import Drivers
from swarmd.errors import SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from workers.agent.assignments import VolumeChanges
from workers.agent.csi import records
from workers.agent.csi.node_plugin import NodePlugin
from workers.agent.csi.reports import VolumeReports
from workers.agent.executors import MountedVolume
from workers.agent.executors.errors import TemporaryError

log = get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 600.0
_ABSENT_SECONDS: Final = 10.0  # a plugin that is not there costs nothing to ask
_LOOK_SECONDS: Final = 1.0  # whether the last task that uses a volume has ended


@dataclass(slots=True, eq=False)
class _Volume:
    assignment: api.VolumeAssignment
    wanted: bool | None  # None: an earlier agent had it, and no session has said more
    may_be_mounted: bool = False  # it has a record
    is_published: bool = False
    error: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class VolumeSet:
    """Each volume is looked after by a task of its own, in the group given to `start`.

    `directory` is where they are mounted. `secret` finds a secret that was assigned with them.
    """

    def __init__(
        self,
        drivers: Drivers,
        directory: Path,
        clock: Clock,
        random: Random,
    ) -> None:
        self.reports = VolumeReports(clock, random)
        self._plugins = {
            driver.name: NodePlugin(driver, directory / driver.name) for driver in drivers
        }
        self._drivers = drivers
        self._records = directory / "volumes"
        self._clock = clock
        self._random = random
        self._volumes: dict[str, _Volume] = {}
        self._silent: set[str] = set()  # plugins of which the log says that they do not answer
        self._group: asyncio.TaskGroup | None = None
        self._in_use: Callable[[str], bool] = lambda _: False
        self._changed: Callable[[str], None] = lambda _: None
        self._secret: Callable[[str], api.Secret | None] = lambda _: None

    async def __aenter__(self) -> Self:
        """Remember what earlier agents have mounted; what becomes of it, a session says."""
        for volume in await asyncio.to_thread(records.load, self._records):
            self._volumes[volume.id] = _Volume(volume, wanted=None, may_be_mounted=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drivers.close()

    def start(
        self,
        group: asyncio.TaskGroup,
        *,
        in_use: Callable[[str], bool],
        changed: Callable[[str], None],
        secret: Callable[[str], api.Secret | None],
    ) -> None:
        """Begin, in this group.

        `in_use` tells whether a task of this node still uses a volume, `changed` hears of each that
        was mounted, or could not be.
        """
        self._group, self._in_use, self._changed, self._secret = group, in_use, changed, secret
        for volume in self._volumes.values():
            group.create_task(self._keep(volume))

    def take(self, found: VolumeChanges) -> None:
        """Do what a dispatcher's message says; after a complete one, nothing else is wanted."""
        for volume in found.changed.values():
            self._want(volume, wanted=True)
        for volume in found.removed.values():
            self._want(volume, wanted=False)
        named = found.changed.keys() | found.removed.keys()
        for volume_id in self._volumes.keys() - named if found.complete else ():
            self._want(self._volumes[volume_id].assignment, wanted=False)

    def of(self, task: api.Task) -> list[MountedVolume]:
        """Those of the task, in the order of its mounts; raises TemporaryError until all are."""
        return [self._mounted(each) for each in task.volumes]

    async def describe(self, description: api.NodeDescription) -> None:
        """Add the plugins that answer."""
        found = await asyncio.gather(*(self._info(one) for one in self._plugins.values()))
        description.csi_info.extend(one for one in found if one is not None)

    def _want(self, assignment: api.VolumeAssignment, *, wanted: bool) -> None:
        volume = self._volumes.get(assignment.id)
        if volume is not None:
            volume.assignment, volume.wanted = assignment, wanted
            volume.changed.set()
        elif wanted:
            assert self._group is not None, "start first"
            self._volumes[assignment.id] = volume = _Volume(assignment, wanted=True)
            self._group.create_task(self._keep(volume))
        else:
            self.reports.add(assignment.id)  # there is no record of it: it was never mounted here

    async def _keep(self, volume: _Volume) -> None:
        """Until this node has let go of it."""
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        volume_id = volume.assignment.id
        while volume_id in self._volumes:
            volume.changed.clear()
            try:
                await self._advance(volume)
            except (SwarmError, OSError) as error:
                pause = backoff.next()
                if isinstance(error, UnavailableError):
                    pause = min(pause, _ABSENT_SECONDS)
                volume.error = str(error)
                told = fields(volume=volume_id, reason=error, retry_seconds=round(pause, 1))
                log.warning("cannot mount a volume, or unmount it", extra=told)
                self._changed(volume_id)
                await wait_event(volume.changed, self._clock, pause)
            else:
                backoff.reset()
                if volume_id in self._volumes:
                    is_held = volume.wanted is False
                    await wait_event(
                        volume.changed, self._clock, _LOOK_SECONDS if is_held else None
                    )

    async def _advance(self, volume: _Volume) -> None:
        if volume.wanted and not volume.is_published:
            await self._publish(volume)
        elif volume.wanted is False and not self._in_use(volume.assignment.id):
            await self._unpublish(volume)

    async def _publish(self, volume: _Volume) -> None:
        assignment = volume.assignment
        plugin = self._plugin(assignment)
        secrets = convert.secrets(assignment.secrets, self._secret)
        self.reports.drop(assignment.id)
        await asyncio.to_thread(records.save, self._records, assignment)
        volume.may_be_mounted = True
        await plugin.publish(assignment, secrets)
        volume.is_published, volume.error = True, ""
        log.info("volume mounted", extra=fields(volume=assignment.id, plugin=plugin.name))
        self._changed(assignment.id)

    async def _unpublish(self, volume: _Volume) -> None:
        assignment = volume.assignment
        volume.is_published = False
        if volume.may_be_mounted:
            await self._plugin(assignment).unpublish(assignment)
            log.info("volume unmounted", extra=fields(volume=assignment.id))
        if volume.wanted:
            return  # it is wanted again
        await asyncio.to_thread(records.forget, self._records, assignment.id)
        if not volume.wanted:
            del self._volumes[assignment.id]
            self.reports.add(assignment.id)

    def _plugin(self, assignment: api.VolumeAssignment) -> NodePlugin:
        name = self._drivers.get(assignment.driver.name).name
        return self._plugins[name]

    def _mounted(self, attachment: api.VolumeAttachment) -> MountedVolume:
        volume = self._volumes.get(attachment.id)
        if volume is None or not volume.wanted:
            raise _not_yet(attachment, "is not published to this node yet")
        if not volume.is_published:
            raise _not_yet(attachment, volume.error or "is being mounted")
        path = self._plugin(volume.assignment).path(attachment.id)
        return MountedVolume(str(path), is_block=volume.assignment.access_mode.HasField("block"))

    async def _info(self, plugin: NodePlugin) -> api.NodeCSIInfo | None:
        try:
            info = await plugin.info()
        except SwarmError as error:
            if plugin.name not in self._silent:
                log.warning("no volumes of a plugin here", extra=fields(reason=error))
            self._silent.add(plugin.name)
            return None
        self._silent.discard(plugin.name)
        return info


def uses(tasks: Iterable[api.Task], volume_id: str) -> list[api.Task]:
    """Those of the tasks that were given the volume."""
    return [task for task in tasks if any(each.id == volume_id for each in task.volumes)]


def _not_yet(attachment: api.VolumeAttachment, why: str) -> TemporaryError:
    return TemporaryError(f"volume {attachment.source}: {why}")
