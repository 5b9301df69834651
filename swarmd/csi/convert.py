"""Objects of the store and of assignments to the interface's own, and back (pure)."""

from collections.abc import Callable, Iterable
from typing import Final

from swarmd import api
from swarmd.api.protos import csi_pb2 as csi
from swarmd.errors import FailedPreconditionError

_Scope: Final = api.VolumeAccessMode.Scope
_Sharing: Final = api.VolumeAccessMode.Sharing
_Mode: Final = csi.VolumeCapability.AccessMode.Mode
_MODES: Final = {
    (_Scope.SINGLE_NODE, _Sharing.NONE): _Mode.SINGLE_NODE_WRITER,
    (_Scope.SINGLE_NODE, _Sharing.READ_ONLY): _Mode.SINGLE_NODE_READER_ONLY,
    (_Scope.SINGLE_NODE, _Sharing.ONE_WRITER): _Mode.SINGLE_NODE_WRITER,
    (_Scope.SINGLE_NODE, _Sharing.ALL): _Mode.SINGLE_NODE_WRITER,
    # One task at a time, on any node: no mode says less. SwarmKit asks for none, and is refused.
    (_Scope.MULTI_NODE, _Sharing.NONE): _Mode.MULTI_NODE_SINGLE_WRITER,
    (_Scope.MULTI_NODE, _Sharing.READ_ONLY): _Mode.MULTI_NODE_READER_ONLY,
    (_Scope.MULTI_NODE, _Sharing.ONE_WRITER): _Mode.MULTI_NODE_SINGLE_WRITER,
    (_Scope.MULTI_NODE, _Sharing.ALL): _Mode.MULTI_NODE_MULTI_WRITER,
}


def capability(mode: api.VolumeAccessMode) -> csi.VolumeCapability:
    """How the volume is going to be accessed."""
    found = csi.VolumeCapability(
        access_mode=csi.VolumeCapability.AccessMode(
            mode=_MODES.get((mode.scope, mode.sharing), _Mode.UNKNOWN)
        )
    )
    if mode.HasField("block"):
        found.block.SetInParent()
    else:
        found.mount.fs_type = mode.mount.fs_type
        found.mount.mount_flags.extend(mode.mount.mount_flags)
    return found


def capacity(wanted: api.CapacityRange) -> csi.CapacityRange | None:
    """None where no size is asked for: the interface has no word for a range without ends."""
    if not (wanted.required_bytes or wanted.limit_bytes):
        return None
    return csi.CapacityRange(required_bytes=wanted.required_bytes, limit_bytes=wanted.limit_bytes)


def requirement(wanted: api.TopologyRequirement) -> csi.TopologyRequirement | None:
    """None where the volume may be anywhere."""
    if not (wanted.requisite or wanted.preferred):
        return None
    return csi.TopologyRequirement(
        requisite=[csi.Topology(segments=one.segments) for one in wanted.requisite],
        preferred=[csi.Topology(segments=one.segments) for one in wanted.preferred],
    )


def volume_info(made: csi.Volume) -> api.VolumeInfo:
    """What the store keeps of a volume that was made."""
    return api.VolumeInfo(
        capacity_bytes=made.capacity_bytes,
        volume_context=made.volume_context,
        volume_id=made.volume_id,
        accessible_topology=[
            api.Topology(segments=one.segments) for one in made.accessible_topology
        ],
    )


def node_info(plugin: str, told: csi.NodeGetInfoResponse) -> api.NodeCSIInfo:
    """What a node reports of a plugin on it."""
    info = api.NodeCSIInfo(
        plugin_name=plugin,
        node_id=told.node_id,
        max_volumes_per_node=told.max_volumes_per_node,
    )
    if told.HasField("accessible_topology"):
        info.accessible_topology.segments.update(told.accessible_topology.segments)
    return info


def secrets(
    wanted: Iterable[api.VolumeSecret], find: Callable[[str], api.Secret | None]
) -> dict[str, str]:
    """The secrets' data by the plugin's own keys; raises FailedPreconditionError."""
    found = {}
    for each in wanted:
        secret = find(each.secret)
        if secret is None:
            raise FailedPreconditionError(f"secret {each.secret} of the volume is not there")
        try:
            found[each.key] = secret.spec.data.decode()
        except UnicodeDecodeError as error:
            name = secret.spec.annotations.name
            raise FailedPreconditionError(
                f"secret {name} is not UTF-8 text, which CSI plugins take alone"
            ) from error
    return found
