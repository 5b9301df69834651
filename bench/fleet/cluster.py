"""The manager under a fleet: asked over its control socket, measured from outside."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import psutil

from bench.daemon import Daemon
from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.rpc.channel import dial_control

MEBIBYTE = 1 << 20
_LOOK_SECONDS = 0.1  # each look counts the service's tasks: oftener would measure the looks
_QUIET_SECONDS = 0.5
_QUIET_SHARE = 0.1
_BEATING_SHARE = 0.0005  # of a core, for each node's heartbeats


class Cluster:
    """Calls that a benchmark makes of a cluster, by the manager that leads it."""

    def __init__(self, control: Any, address: str, token: str, pid: int) -> None:
        self.control = control
        self.address = address
        self.token = token
        self.manager = psutil.Process(pid)
        self.others: dict[str, psutil.Process] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, one: Daemon) -> AsyncIterator[Self]:
        """That of a daemon which is ready."""
        async with await dial_control(one.socket) as channel:
            control: Any = ControlStub(channel)
            (cluster,) = (await control.ListClusters(api.ListClustersRequest())).clusters
            token = cluster.root_ca.join_tokens.worker
            yield cls(control, one.report()["remote_addr"], token, one.worker("manager")["pid"])

    async def nodes(self) -> list[api.Node]:
        return list((await self.control.ListNodes(api.ListNodesRequest())).nodes)

    async def drain_all(self) -> None:
        """Nodes that are there already get no tasks: the fleet's alone will."""
        for node in await self.nodes():
            node.spec.availability = api.NodeSpec.Availability.DRAIN
            await self.control.UpdateNode(
                api.UpdateNodeRequest(
                    node_id=node.id, node_version=node.meta.version, spec=node.spec
                )
            )

    async def create(self, name: str, replicas: int) -> str:
        """A service of containers, which simulated nodes pretend to run; its id."""
        spec = api.ServiceSpec(annotations=api.Annotations(name=name))
        spec.replicated.replicas = replicas
        spec.task.container.image = "nginx:alpine"
        reply = await self.control.CreateService(api.CreateServiceRequest(spec=spec))
        return str(reply.service.id)

    async def service(self, service_id: str) -> api.Service:
        request = api.GetServiceRequest(service_id=service_id)
        found: api.Service = (await self.control.GetService(request)).service
        return found

    async def update(self, service_id: str, edit: Callable[[api.ServiceSpec], None]) -> None:
        service = await self.service(service_id)
        edit(service.spec)
        await self.control.UpdateService(
            api.UpdateServiceRequest(
                service_id=service_id, service_version=service.meta.version, spec=service.spec
            )
        )

    async def remove(self, service_id: str) -> None:
        await self.control.RemoveService(api.RemoveServiceRequest(service_id=service_id))

    async def wait_running(self, service_id: str, count: int, seconds: float = 300.0) -> None:
        """So many of its tasks run, by what the store says; raises TimeoutError."""
        request = api.ListServiceStatusesRequest(services=[service_id])
        async with asyncio.timeout(seconds):
            while True:
                if (await self._status(request)).running_tasks == count:
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def wait_quiet(self, nodes: int = 0) -> float:
        """When the manager had stopped working, by time.monotonic().

        That is a tenth of a core or less, beside the heartbeats of so many nodes.
        """
        share = _QUIET_SHARE + nodes * _BEATING_SHARE
        while True:
            begin, spent = time.monotonic(), self.cpu_seconds
            await asyncio.sleep(_QUIET_SECONDS)
            if self.cpu_seconds - spent < share * _QUIET_SECONDS:
                return begin

    @property
    def cpu_seconds(self) -> float:
        """What the manager has spent so far."""
        return _cpu_seconds(self.manager)

    @property
    def others_cpu_seconds(self) -> dict[str, float]:
        """The same of the quorum's other processes, by what they are."""
        return {name: _cpu_seconds(one) for name, one in self.others.items()}

    @property
    def memory_mebibytes(self) -> float:
        return float(self.manager.memory_info().rss) / MEBIBYTE

    async def _status(self, request: api.ListServiceStatusesRequest) -> Any:
        (status,) = (await self.control.ListServiceStatuses(request)).statuses
        return status


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
