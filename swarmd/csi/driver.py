"""One plugin behind its unix socket: connected when first asked, and again after it was gone."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from swarmd.api.protos import csi_pb2 as csi
from swarmd.api.protos.csi_pb2_grpc import ControllerStub, IdentityStub, NodeStub
from swarmd.errors import Status, SwarmError, UnavailableError
from swarmd.rpc.errors import from_rpc_error

RPC_SECONDS: Final = 15.0
_CONTROLLER: Final = csi.PluginCapability.Service.CONTROLLER_SERVICE
_TOPOLOGY: Final = csi.PluginCapability.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS
_CREATES: Final = csi.ControllerServiceCapability.RPC.CREATE_DELETE_VOLUME
_PUBLISHES: Final = csi.ControllerServiceCapability.RPC.PUBLISH_UNPUBLISH_VOLUME
_STAGES: Final = csi.NodeServiceCapability.RPC.STAGE_UNSTAGE_VOLUME
_OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),  # a channel's end closes its connection
    ("grpc.enable_retries", 0),
]


class DriverError(SwarmError):
    """The plugin refused, or did not answer: the sentence says which one, and to what."""

    def __init__(self, sentence: str, status: Status) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a plugin's Controller does; a call for anything else is not made."""

    creates: bool = False
    publishes: bool = False
    has_topology: bool = False


class Driver:
    """The plugin of that name; every call raises DriverError or UnavailableError."""

    def __init__(self, name: str, socket: Path) -> None:
        self.name = name
        self._socket = socket
        self._channel: aio.Channel | None = None
        self._abilities: Abilities | None = None
        self._stages: bool | None = None

    async def controller(self, method: str, request: Any) -> Any:
        """A call of its Controller service."""
        return await self._call(ControllerStub, method, request, RPC_SECONDS)

    async def node(self, method: str, request: Any, seconds: float = RPC_SECONDS) -> Any:
        """A call of its Node service."""
        return await self._call(NodeStub, method, request, seconds)

    async def abilities(self) -> Abilities:
        """What its Controller does, asked once for each connection."""
        if self._abilities is None:
            await self._probe()
            self._abilities = await self._ask_abilities()
        return self._abilities

    async def stages(self) -> bool:
        """Whether its Node service stages a volume before it publishes it."""
        if self._stages is None:
            await self._probe()
            answer = await self.node("NodeGetCapabilities", csi.NodeGetCapabilitiesRequest())
            self._stages = _STAGES in {one.rpc.type for one in answer.capabilities}
        return self._stages

    async def close(self) -> None:
        """Drop the connection, and what was learnt by it."""
        channel, self._channel = self._channel, None
        self._abilities = self._stages = None
        if channel is not None:
            await channel.close(None)

    async def _probe(self) -> None:
        answer = await self._call(IdentityStub, "Probe", csi.ProbeRequest(), RPC_SECONDS)
        if answer.HasField("ready") and not answer.ready.value:
            raise UnavailableError(f"CSI plugin {self.name} is not ready yet")

    async def _ask_abilities(self) -> Abilities:
        request = csi.GetPluginCapabilitiesRequest()
        answer = await self._call(IdentityStub, "GetPluginCapabilities", request, RPC_SECONDS)
        services = {one.service.type for one in answer.capabilities}
        calls: Iterable[int] = ()
        if _CONTROLLER in services:
            told = await self.controller(
                "ControllerGetCapabilities", csi.ControllerGetCapabilitiesRequest()
            )
            calls = {one.rpc.type for one in told.capabilities}
        return Abilities(_CREATES in calls, _PUBLISHES in calls, _TOPOLOGY in services)

    async def _call(self, stub: Any, method: str, request: Any, seconds: float) -> Any:
        if self._channel is None:
            self._channel = aio.insecure_channel(f"unix:{self._socket}", options=_OPTIONS)
        channel = self._channel
        try:
            return await getattr(stub(channel), method)(request, timeout=seconds)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and channel is self._channel:
                await self.close()  # a new connection is tried at once, and not when gRPC sees fit
            raise self._error(error, method, seconds) from error

    def _error(self, error: aio.AioRpcError, method: str, seconds: float) -> SwarmError:
        plugin = f"CSI plugin {self.name}"
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            sentence = f"{plugin} did not answer {method} within {seconds:g} s"
            return DriverError(sentence, Status.DEADLINE_EXCEEDED)
        told = from_rpc_error(error)
        if told.status is Status.UNAVAILABLE:
            return UnavailableError(f"{plugin} does not answer at {self._socket}: {told}")
        return DriverError(f"{plugin} refused {method}: {told}", told.status)


class Drivers:
    """The plugins of this host, by name, as --csi-plugin gives them: NAME=/path/of/its.sock."""

    def __init__(self, given: Iterable[str]) -> None:
        pairs = (text.partition("=")[::2] for text in given)
        self._drivers = {name: Driver(name, Path(path)) for name, path in pairs}

    def __iter__(self) -> Any:
        return iter(self._drivers.values())

    def get(self, name: str) -> Driver:
        """Raises UnavailableError where this host knows no such plugin."""
        if name not in self._drivers:
            known = ", ".join(self._drivers) or "none"
            raise UnavailableError(
                f"no CSI plugin {name} on this host: start swarmd with --csi-plugin"
                f" {name}=/path/of/its.sock (known: {known})"
            )
        return self._drivers[name]

    async def close(self) -> None:
        for driver in self._drivers.values():
            await driver.close()
