"""One plugin's Node service: a volume staged and published, and back. Each call can be repeated."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from swarmd import api
from swarmd.api.protos import csi_pb2 as csi
from swarmd.csi import convert
from swarmd.csi.driver import Driver

_INFO_SECONDS: Final = 3.0  # registering waits for it
_PRIVATE: Final = 0o700


class NodePlugin:
    """Its volumes are mounted below `directory`. Calls raise SwarmError and OSError."""

    def __init__(self, driver: Driver, directory: Path) -> None:
        self._driver = driver
        self._directory = directory

    @property
    def name(self) -> str:
        return self._driver.name

    def path(self, volume_id: str) -> Path:
        """Where the volume is once it is published: a directory, or a block device."""
        return self._directory / "published" / volume_id

    async def info(self) -> api.NodeCSIInfo:
        """What the plugin calls this node, how many volumes fit, and where the node is."""
        request = csi.NodeGetInfoRequest()
        return convert.node_info(
            self.name, await self._driver.node("NodeGetInfo", request, _INFO_SECONDS)
        )

    async def publish(self, volume: api.VolumeAssignment, secrets: Mapping[str, str]) -> None:
        """Mount it at its path."""
        staged = await self._stage(volume, secrets)
        target = self.path(volume.id)
        await asyncio.to_thread(target.parent.mkdir, _PRIVATE, parents=True, exist_ok=True)
        request = csi.NodePublishVolumeRequest(
            volume_id=volume.volume_id,
            publish_context=volume.publish_context,
            staging_target_path=staged,
            target_path=str(target),
            volume_capability=convert.capability(volume.access_mode),
            readonly=volume.access_mode.sharing == api.VolumeAccessMode.Sharing.READ_ONLY,
            secrets=secrets,
            volume_context=volume.volume_context,
        )
        await self._driver.node("NodePublishVolume", request)

    async def unpublish(self, volume: api.VolumeAssignment) -> None:
        """Unmount it; one that is not mounted is fine."""
        target = self.path(volume.id)
        request = csi.NodeUnpublishVolumeRequest(
            volume_id=volume.volume_id, target_path=str(target)
        )
        await self._driver.node("NodeUnpublishVolume", request)
        await asyncio.to_thread(_remove_empty, target)
        if await self._driver.stages():
            staged = self._staged(volume)
            unstage = csi.NodeUnstageVolumeRequest(
                volume_id=volume.volume_id, staging_target_path=str(staged)
            )
            await self._driver.node("NodeUnstageVolume", unstage)
            await asyncio.to_thread(_remove_empty, staged)

    async def _stage(self, volume: api.VolumeAssignment, secrets: Mapping[str, str]) -> str:
        """Where it is staged; nothing where the plugin has no such step."""
        if not await self._driver.stages():
            return ""
        staged = self._staged(volume)
        await asyncio.to_thread(staged.mkdir, _PRIVATE, parents=True, exist_ok=True)
        request = csi.NodeStageVolumeRequest(
            volume_id=volume.volume_id,
            publish_context=volume.publish_context,
            staging_target_path=str(staged),
            volume_capability=convert.capability(volume.access_mode),
            secrets=secrets,
            volume_context=volume.volume_context,
        )
        await self._driver.node("NodeStageVolume", request)
        return str(staged)

    def _staged(self, volume: api.VolumeAssignment) -> Path:
        return self._directory / "staged" / volume.id


def _remove_empty(path: Path) -> None:
    """What the plugin left of it; never what is in it."""
    with contextlib.suppress(OSError):  # gone already, or not empty: then it is not ours
        path.rmdir()
