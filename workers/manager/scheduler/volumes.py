"""Which cluster volumes a task gets on a node; which tasks use which volume.

A mount names a volume, or a group of which any will do: `group:NAME`. Whether a volume can be had
depends on the volume (made, active, not to be deleted), on the node (its plugin is there, and the
volume can be reached from it) and on the tasks that use it: its scope says whether they may be on
several nodes, its sharing whether there may be several of them, and which of them may write.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from swarmd import api
from workers.manager.scheduler.node_info import NodeInfo

_GROUP: Final = "group:"
_CLUSTER: Final = api.Mount.Type.CLUSTER
_ACTIVE: Final = api.VolumeSpec.VolumeAvailability.ACTIVE
_SINGLE_NODE: Final = api.VolumeAccessMode.Scope.SINGLE_NODE
_Sharing: Final = api.VolumeAccessMode.Sharing


class Use(NamedTuple):
    """One mount of a volume."""

    task_id: str
    node_id: str
    readonly: bool


class VolumeSet:
    """Every volume of the store, and who uses it."""

    def __init__(self) -> None:
        self._volumes: dict[str, api.Volume] = {}
        self._by_name: dict[str, str] = {}
        self._by_group: dict[str, dict[str, None]] = {}
        self._uses: dict[str, list[Use]] = {}
        self._of_task: dict[str, tuple[str, ...]] = {}

    def put(self, volume: api.Volume) -> None:
        """The volume as it is now; its name and group never change."""
        self._volumes[volume.id] = volume
        self._by_name[volume.spec.annotations.name] = volume.id
        self._by_group.setdefault(volume.spec.group, {})[volume.id] = None

    def drop(self, volume: api.Volume) -> None:
        if self._volumes.pop(volume.id, None) is None:
            return
        self._by_group[volume.spec.group].pop(volume.id)
        if self._by_name.get(volume.spec.annotations.name) == volume.id:
            del self._by_name[volume.spec.annotations.name]

    def hold(self, task: api.Task) -> None:
        """The task uses what it was given; asking again changes nothing."""
        if task.volumes and task.id not in self._of_task:
            self.use(task, task.node_id, task.volumes)

    def use(self, task: api.Task, node_id: str, given: Sequence[api.VolumeAttachment]) -> None:
        """The task is going to use these on that node."""
        self._of_task[task.id] = tuple(one.id for one in given)
        for mount, one in zip(mounts(task), given, strict=False):
            self._uses.setdefault(one.id, []).append(Use(task.id, node_id, mount.readonly))

    def let_go(self, task_id: str) -> bool:
        """The task uses them no more; False where it used none."""
        volume_ids = self._of_task.pop(task_id, ())
        for volume_id in volume_ids:
            uses = [use for use in self._uses.get(volume_id, ()) if use.task_id != task_id]
            self._uses[volume_id] = uses
            if not uses:
                del self._uses[volume_id]
        return bool(volume_ids)

    def choose(self, task: api.Task, node: NodeInfo) -> list[api.VolumeAttachment] | None:
        """One for each of the task's mounts, in their order; None where one cannot be had."""
        more: dict[str, list[Use]] = {}  # what its own mounts before this one take
        found = []
        for mount in mounts(task):
            chosen = self._choose(mount, node, more)
            if chosen is None:
                return None
            use = Use(task.id, node.id, mount.readonly)
            more.setdefault(chosen.id, []).append(use)
            found.append(
                api.VolumeAttachment(id=chosen.id, source=mount.source, target=mount.target)
            )
        return found

    def why(self, task: api.Task) -> str:
        """What is wrong with the volumes themselves, wherever the task would run; may be empty."""
        reasons = (self._why(mount) for mount in mounts(task))
        return next(filter(None, reasons), "")

    def _choose(
        self, mount: api.Mount, node: NodeInfo, more: dict[str, list[Use]]
    ) -> api.Volume | None:
        fitting = [
            volume
            for volume in self._named(mount.source)
            if self._can_have(volume, mount, node, more.get(volume.id, []))
        ]
        # The least used, and of those one that is on the node already.
        return min(
            fitting,
            key=lambda volume: (
                len(self._uses.get(volume.id, ())),
                all(status.node_id != node.id for status in volume.publish_status),
                volume.id,
            ),
            default=None,
        )

    def _named(self, source: str) -> list[api.Volume]:
        if source.startswith(_GROUP):
            ids: Iterable[str] = self._by_group.get(source.removeprefix(_GROUP), ())
        else:
            ids = [self._by_name[source]] if source in self._by_name else ()
        return [self._volumes[each] for each in ids]

    def _can_have(
        self, volume: api.Volume, mount: api.Mount, node: NodeInfo, more: list[Use]
    ) -> bool:
        uses = [*self._uses.get(volume.id, ()), *more]
        return (
            not why_not(volume, mount, uses)
            and (
                volume.spec.access_mode.scope != _SINGLE_NODE
                or all(use.node_id == node.id for use in uses)
            )
            and self._is_reached(volume, node)
        )

    def _is_reached(self, volume: api.Volume, node: NodeInfo) -> bool:
        infos = {one.plugin_name: one for one in node.node.description.csi_info}
        info = infos.get(volume.spec.driver.name)
        if info is None or not is_in_topology(info, volume.volume_info.accessible_topology):
            return False
        return not info.max_volumes_per_node or self._is_room(volume, node, info)

    def _is_room(self, volume: api.Volume, node: NodeInfo, info: api.NodeCSIInfo) -> bool:
        there = {
            volume_id
            for volume_id, uses in self._uses.items()
            if volume_id in self._volumes
            and self._volumes[volume_id].spec.driver.name == info.plugin_name
            and any(use.node_id == node.id for use in uses)
        }
        return len(there | {volume.id}) <= info.max_volumes_per_node

    def _why(self, mount: api.Mount) -> str:
        volumes = self._named(mount.source)
        if not volumes:
            return f"there is no volume {mount.source}"
        reasons = [why_not(each, mount, self._uses.get(each.id, ())) for each in volumes]
        if not all(reasons):
            return ""
        if len(volumes) == 1:
            return f"volume {volumes[0].spec.annotations.name} {reasons[0]}"
        return f"none of the {len(volumes)} volumes of {mount.source}: one {reasons[0]}"


def mounts(task: api.Task) -> list[api.Mount]:
    """Those of its mounts that are cluster volumes."""
    return [mount for mount in task.spec.container.mounts if mount.type == _CLUSTER]


def why_not(volume: api.Volume, mount: api.Mount, uses: Sequence[Use]) -> str:
    """What keeps the volume from this mount on any node, or from a further node; may be empty."""
    if volume.pending_delete:
        return "is being removed"
    if not volume.volume_info.volume_id:
        return "is not made yet"
    if volume.spec.availability != _ACTIVE:
        availability = api.VolumeSpec.VolumeAvailability.Name(volume.spec.availability)
        return f"has availability {availability.lower()}"
    return _why_not_shared(volume.spec.access_mode.sharing, mount, uses)


def _why_not_shared(
    sharing: api.VolumeAccessMode.Sharing.ValueType, mount: api.Mount, uses: Sequence[Use]
) -> str:
    if sharing == _Sharing.NONE and uses:
        return "is in use by another task, and is not shared"
    if sharing == _Sharing.READ_ONLY and not mount.readonly:
        return "can be mounted read-only alone"
    writes = not mount.readonly and any(not use.readonly for use in uses)
    return "has a writer already" if sharing == _Sharing.ONE_WRITER and writes else ""


def is_in_topology(info: api.NodeCSIInfo, accessible: Sequence[api.Topology]) -> bool:
    """Whether a node there can reach what is accessible from these; from none said, it can."""
    if not accessible or not info.HasField("accessible_topology"):
        return True
    segments = info.accessible_topology.segments
    return any(
        all(segments.get(domain) == value for domain, value in one.segments.items())
        for one in accessible
    )
