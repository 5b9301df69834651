# ruff: noqa: N802  its methods carry the names that the interface gives them
"""A real CSI plugin, of directories: volumes are some of its root, mounts are symbolic links.

    async with CsiDriver(root, socket) as driver: ...        within a test's own loop
    python tests/fakes/csi_driver.py ROOT SOCKET NODE_ID      as a process, for real nodes

It keeps all that it knows below its root, so that a driver that was killed goes on where it ended,
and a driver of another node shares the volumes. It is as strict as plugins are: it refuses to
delete what is attached, to attach what is attached elsewhere, and to publish what is not staged.

Its knobs are read anew at each call: `knobs.json` in its root maps a method's name to
{"fails": "CODE", "hangs": seconds}, and "*" to what goes for all.
"""

import asyncio
import ctypes
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Self

import grpc
from grpc import aio

from swarmd.api.protos import csi_pb2 as csi
from swarmd.api.protos import csi_pb2_grpc

_Mode = csi.VolumeCapability.AccessMode.Mode
_PR_SET_PDEATHSIG = 1
_SINGLE = frozenset({_Mode.SINGLE_NODE_WRITER, _Mode.SINGLE_NODE_READER_ONLY})


class CsiDriver(
    csi_pb2_grpc.IdentityServicer, csi_pb2_grpc.ControllerServicer, csi_pb2_grpc.NodeServicer
):
    """Controller and Node in one. `zone` is this node's topology, if it has one."""

    def __init__(
        self,
        root: Path,
        socket: Path,
        node_id: str = "here",
        *,
        zone: str = "",
        stages: bool = True,
        most_volumes: int = 0,
    ) -> None:
        self.root = root
        self.socket = socket
        self._node_id = node_id
        self._zone = zone
        self._stages = stages
        self._most_volumes = most_volumes
        self._server: aio.Server | None = None

    async def __aenter__(self) -> Self:
        (self.root / "volumes").mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        self._server = aio.server()
        for add in (
            csi_pb2_grpc.add_IdentityServicer_to_server,
            csi_pb2_grpc.add_ControllerServicer_to_server,
            csi_pb2_grpc.add_NodeServicer_to_server,
        ):
            add(self, self._server)
        self._server.add_insecure_port(f"unix:{self.socket}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.stop(0)

    # What tests say and ask.

    def turn(self, **knobs: dict[str, Any]) -> None:
        """From the next call on: turn(CreateVolume={"fails": "INTERNAL"}); none, none."""
        turn(self.root, knobs)

    @property
    def calls(self) -> list[str]:
        """Every call that reached it, in order, by method."""
        return calls(self.root)

    @property
    def volumes(self) -> dict[str, dict[str, Any]]:
        """What there is, by volume id."""
        return volumes(self.root)

    # Identity

    async def GetPluginInfo(self, request: Any, context: Any) -> csi.GetPluginInfoResponse:
        return csi.GetPluginInfoResponse(name="dirs.test", vendor_version="1")

    async def Probe(self, request: Any, context: Any) -> csi.ProbeResponse:
        await self._begin("Probe", context)
        return csi.ProbeResponse()

    async def GetPluginCapabilities(
        self, request: Any, context: Any
    ) -> csi.GetPluginCapabilitiesResponse:
        service = csi.PluginCapability.Service
        kinds = [service.CONTROLLER_SERVICE, service.VOLUME_ACCESSIBILITY_CONSTRAINTS]
        found = [csi.PluginCapability(service=service(type=kind)) for kind in kinds]
        return csi.GetPluginCapabilitiesResponse(capabilities=found)

    # Controller

    async def ControllerGetCapabilities(
        self, request: Any, context: Any
    ) -> csi.ControllerGetCapabilitiesResponse:
        rpc = csi.ControllerServiceCapability.RPC
        kinds = [rpc.CREATE_DELETE_VOLUME, rpc.PUBLISH_UNPUBLISH_VOLUME]
        found = [csi.ControllerServiceCapability(rpc=rpc(type=kind)) for kind in kinds]
        return csi.ControllerGetCapabilitiesResponse(capabilities=found)

    async def CreateVolume(self, request: Any, context: Any) -> csi.CreateVolumeResponse:
        await self._begin("CreateVolume", context)
        volume_id = f"vol-{request.name}"
        wanted = request.capacity_range.required_bytes
        made = {
            "name": request.name,
            "bytes": wanted,
            "parameters": dict(request.parameters),
            "secrets": dict(request.secrets),
            "single": request.volume_capabilities[0].access_mode.mode in _SINGLE,
            "zones": [one.segments["zone"] for one in request.accessibility_requirements.requisite],
            "nodes": [],
        }
        known = self.volumes.get(volume_id)
        if known is not None and known["bytes"] != wanted:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "it has another size")
        if known is None:
            (self.root / "volumes" / volume_id).mkdir()
            self._save(volume_id, made)
        return csi.CreateVolumeResponse(
            volume=csi.Volume(
                volume_id=volume_id,
                capacity_bytes=wanted,
                volume_context={"made": "yes"},
                accessible_topology=[csi.Topology(segments={"zone": z}) for z in made["zones"]],
            )
        )

    async def DeleteVolume(self, request: Any, context: Any) -> csi.DeleteVolumeResponse:
        await self._begin("DeleteVolume", context)
        known = self.volumes.get(request.volume_id)
        if known is not None and known["nodes"]:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is attached")
        self._path(request.volume_id).unlink(missing_ok=True)
        shutil.rmtree(self.root / "volumes" / request.volume_id, ignore_errors=True)
        return csi.DeleteVolumeResponse()

    async def ControllerPublishVolume(
        self, request: Any, context: Any
    ) -> csi.ControllerPublishVolumeResponse:
        await self._begin("ControllerPublishVolume", context)
        known = await self._known(request.volume_id, context)
        if known["single"] and set(known["nodes"]) - {request.node_id}:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f"it is attached to {known['nodes'][0]}"
            )
        known["nodes"] = sorted({*known["nodes"], request.node_id})
        self._save(request.volume_id, known)
        return csi.ControllerPublishVolumeResponse(publish_context={"on": request.node_id})

    async def ControllerUnpublishVolume(
        self, request: Any, context: Any
    ) -> csi.ControllerUnpublishVolumeResponse:
        await self._begin("ControllerUnpublishVolume", context)
        known = self.volumes.get(request.volume_id)
        if known is not None:
            gone = request.node_id or known["nodes"]
            known["nodes"] = [one for one in known["nodes"] if one not in gone]
            self._save(request.volume_id, known)
        return csi.ControllerUnpublishVolumeResponse()

    # Node

    async def NodeGetCapabilities(
        self, request: Any, context: Any
    ) -> csi.NodeGetCapabilitiesResponse:
        rpc = csi.NodeServiceCapability.RPC
        kinds = [rpc.STAGE_UNSTAGE_VOLUME] if self._stages else []
        found = [csi.NodeServiceCapability(rpc=rpc(type=kind)) for kind in kinds]
        return csi.NodeGetCapabilitiesResponse(capabilities=found)

    async def NodeGetInfo(self, request: Any, context: Any) -> csi.NodeGetInfoResponse:
        await self._begin("NodeGetInfo", context)
        info = csi.NodeGetInfoResponse(
            node_id=self._node_id, max_volumes_per_node=self._most_volumes
        )
        if self._zone:
            info.accessible_topology.segments["zone"] = self._zone
        return info

    async def NodeStageVolume(self, request: Any, context: Any) -> csi.NodeStageVolumeResponse:
        await self._begin("NodeStageVolume", context)
        known = await self._known(request.volume_id, context)
        if request.publish_context["on"] != self._node_id or self._node_id not in known["nodes"]:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is not attached here")
        (Path(request.staging_target_path) / "staged").touch()
        return csi.NodeStageVolumeResponse()

    async def NodeUnstageVolume(self, request: Any, context: Any) -> csi.NodeUnstageVolumeResponse:
        await self._begin("NodeUnstageVolume", context)
        (Path(request.staging_target_path) / "staged").unlink(missing_ok=True)
        return csi.NodeUnstageVolumeResponse()

    async def NodePublishVolume(self, request: Any, context: Any) -> csi.NodePublishVolumeResponse:
        await self._begin("NodePublishVolume", context)
        if self._stages and not (Path(request.staging_target_path) / "staged").exists():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is not staged")
        target = Path(request.target_path)
        if not target.is_symlink():
            target.symlink_to(self.root / "volumes" / request.volume_id)
        return csi.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: Any, context: Any
    ) -> csi.NodeUnpublishVolumeResponse:
        await self._begin("NodeUnpublishVolume", context)
        Path(request.target_path).unlink(missing_ok=True)
        return csi.NodeUnpublishVolumeResponse()

    # What it keeps.

    async def _begin(self, method: str, context: Any) -> None:
        with (self.root / "calls").open("a") as file:
            file.write(f"{method}\n")
        path = self.root / "knobs.json"
        knobs = json.loads(path.read_text()) if path.exists() else {}
        knob = knobs.get(method, knobs.get("*", {}))
        await asyncio.sleep(knob.get("hangs", 0))
        if knob.get("fails"):
            await context.abort(grpc.StatusCode[knob["fails"]], "told to fail")

    async def _known(self, volume_id: str, context: Any) -> dict[str, Any]:
        known = self.volumes.get(volume_id)
        if known is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such volume")
        assert known is not None
        return known

    def _path(self, volume_id: str) -> Path:
        return self.root / f"{volume_id}.json"

    def _save(self, volume_id: str, facts: dict[str, Any]) -> None:
        new = self._path(volume_id).with_suffix(".new")
        new.write_text(json.dumps(facts))
        new.replace(self._path(volume_id))


def turn(root: Path, knobs: dict[str, Any]) -> None:
    """Turn the knobs of the driver of that root."""
    new = root / "knobs.new"
    new.write_text(json.dumps(knobs))
    new.replace(root / "knobs.json")


def calls(root: Path) -> list[str]:
    path = root / "calls"
    return path.read_text().split() if path.exists() else []


def volumes(root: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in root.glob("vol-*.json")}


async def _main(root: str, socket: str, node_id: str) -> None:
    ended = asyncio.Event()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # it does not outlive its test
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with CsiDriver(Path(root), Path(socket), node_id):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:4]))
