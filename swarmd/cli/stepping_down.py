"""A manager that leaves its quorum, so that its vote is not missed: it becomes a worker first."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import grpc

from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.cli.node_report import NodeReport
from swarmd.errors import SwarmError, UnavailableError
from swarmd.rpc.channel import dial_control
from swarmd.state_dir import StateDir

_CALL_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.2


def step_down(place: StateDir, node_id: str, deadline: float) -> None:
    """Have the other managers demote this node, and wait until it is a worker.

    Raises UnavailableError with what stands against it.
    """
    report = NodeReport.read(place)
    if not report.pid:
        raise UnavailableError("swarmd does not run here, so the other managers cannot be told")
    try:
        asyncio.run(_ask(Path(report.facts["control_api"]), node_id))
    except (grpc.RpcError, SwarmError, OSError, TimeoutError) as error:
        reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else error
        raise UnavailableError(f"the other managers do not let it go: {reason}") from error
    while NodeReport.read(place).facts.get("role") != "worker":
        if time.monotonic() > deadline:
            raise UnavailableError("it is a manager still: see `swarmctl node ls`, and its log")
        time.sleep(_LOOK_SECONDS)


async def _ask(path: Path, node_id: str) -> None:
    async with asyncio.timeout(_CALL_SECONDS), await dial_control(path) as channel:
        control: Any = ControlStub(channel)
        node = (await control.GetNode(api.GetNodeRequest(node_id=node_id))).node
        node.spec.desired_role = api.NodeRole.WORKER
        request = api.UpdateNodeRequest(
            node_id=node_id, node_version=node.meta.version, spec=node.spec
        )
        await control.UpdateNode(request)
