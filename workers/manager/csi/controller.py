"""The calls to a volume's plugin; each can be repeated, and each raises a SwarmError."""

from collections.abc import Mapping
from typing import Final

from swarmd import api
from swarmd.api.protos import csi_pb2 as csi
from swarmd.csi import convert
from swarmd.csi.driver import Drivers
from swarmd.errors import FailedPreconditionError, Status, SwarmError
from swarmd.store import Store

# After these nothing was made: what the request asks for cannot be had.
_NOTHING_MADE: Final = frozenset(
    {
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.ALREADY_EXISTS,
        Status.RESOURCE_EXHAUSTED,
        Status.OUT_OF_RANGE,
        Status.UNIMPLEMENTED,
    }
)


class Controller:
    """The plugins of this host, asked about volumes and nodes of the store."""

    def __init__(self, drivers: Drivers, store: Store) -> None:
        self._drivers = drivers
        self._store = store
        self._node_ids: dict[tuple[str, str], str] = {}

    def learn(self, node: api.Node) -> bool:
        """Remember what the plugins call the node, also for when they no longer say it."""
        told = {(one.plugin_name, node.id): one.node_id for one in node.description.csi_info}
        is_news = not told.items() <= self._node_ids.items()
        self._node_ids |= told
        return is_news

    async def create(self, volume: api.Volume) -> api.VolumeInfo:
        """Make it; one that is there already is the same one."""
        driver = self._drivers.get(volume.spec.driver.name)
        abilities = await driver.abilities()
        if not abilities.creates:
            return api.VolumeInfo(volume_id=volume.spec.annotations.name)
        request = csi.CreateVolumeRequest(
            name=volume.spec.annotations.name,
            parameters=volume.spec.driver.options,
            volume_capabilities=[convert.capability(volume.spec.access_mode)],
            secrets=self._secrets(volume),
            capacity_range=convert.capacity(volume.spec.capacity_range),
        )
        wanted = convert.requirement(volume.spec.AccessibilityRequirements)
        if wanted is not None and not abilities.has_topology:
            raise FailedPreconditionError(
                f"CSI plugin {driver.name} knows no topology, and the volume asks for one"
            )
        if wanted is not None:
            request.accessibility_requirements.CopyFrom(wanted)
        answer = await driver.controller("CreateVolume", request)
        return convert.volume_info(answer.volume)

    async def publish(self, volume: api.Volume, node_id: str) -> Mapping[str, str]:
        """Attach it to the node; gives what the node must know for it."""
        driver = self._drivers.get(volume.spec.driver.name)
        if not (await driver.abilities()).publishes:
            return {}
        name = self._node_ids.get((driver.name, node_id))
        if not name:
            raise FailedPreconditionError(f"node {node_id} does not report plugin {driver.name}")
        request = csi.ControllerPublishVolumeRequest(
            volume_id=volume.volume_info.volume_id,
            node_id=name,
            volume_capability=convert.capability(volume.spec.access_mode),
            secrets=self._secrets(volume),
            volume_context=volume.volume_info.volume_context,
        )
        context: Mapping[str, str] = (
            await driver.controller("ControllerPublishVolume", request)
        ).publish_context
        return context

    async def unpublish(self, volume: api.Volume, node_id: str) -> None:
        """Detach it from the node, which may be long gone."""
        driver = self._drivers.get(volume.spec.driver.name)
        if not (await driver.abilities()).publishes:
            return
        request = csi.ControllerUnpublishVolumeRequest(
            volume_id=volume.volume_info.volume_id,
            node_id=self._name_to_detach(driver.name, volume, node_id),
            secrets=self._secrets(volume),
        )
        await driver.controller("ControllerUnpublishVolume", request)

    async def delete(self, volume: api.Volume) -> None:
        """Delete it, data and all."""
        driver = self._drivers.get(volume.spec.driver.name)
        if not (await driver.abilities()).creates:
            return
        request = csi.DeleteVolumeRequest(
            volume_id=volume.volume_info.volume_id, secrets=self._secrets(volume)
        )
        await driver.controller("DeleteVolume", request)

    async def close(self) -> None:
        await self._drivers.close()

    def _name_to_detach(self, plugin: str, volume: api.Volume, node_id: str) -> str:
        """What the plugin calls the node; nothing, for every node, where it is the only one."""
        name = self._node_ids.get((plugin, node_id), "")
        if not name and len(volume.publish_status) > 1:
            raise FailedPreconditionError(
                f"what plugin {plugin} calls node {node_id} is not known any more: it can be"
                " detached once the volume is on no other node"
            )
        return name

    def _secrets(self, volume: api.Volume) -> dict[str, str]:
        return convert.secrets(volume.spec.secrets, self._store.view().secrets.get)


def made_nothing(error: SwarmError) -> bool:
    """Whether a create that ended so left nothing behind."""
    return error.status in _NOTHING_MADE
