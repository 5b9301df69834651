"""A node that is removed while its calls are open: each ends at once, and says why."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from swarmd import api
from swarmd.api.protos.dispatcher_pb2_grpc import DispatcherStub
from swarmd.api.protos.logbroker_pb2_grpc import LogBrokerStub, LogsStub
from swarmd.api.protos.watch_pb2_grpc import WatchStub
from swarmd.security.identity import MANAGER
from tests.fakes.open_manager import OpenManager, open_manager


@pytest.fixture
async def manager() -> AsyncIterator[OpenManager]:
    with tempfile.TemporaryDirectory(prefix="swd") as name:
        async with open_manager(Path(name)) as manager:
            yield manager


class Removable:
    """A node with a worker's certificate, and one of a manager's, as if it were promoted."""

    def __init__(self, manager: OpenManager, worker: aio.Channel, boss: aio.Channel, node_id: str):
        self.manager, self.worker, self.boss, self.node_id = manager, worker, boss, node_id

    async def register(self) -> tuple[Any, str]:
        description = api.NodeDescription(hostname="w")
        session = DispatcherStub(self.worker).Session(api.SessionRequest(description=description))
        return session, (await session.read()).session_id

    async def remove(self) -> None:
        await self.manager.call(
            "RemoveNode", api.RemoveNodeRequest(node_id=self.node_id, force=True)
        )


@pytest.fixture
async def node(manager) -> AsyncIterator[Removable]:
    worker = await manager.join()
    node_id = worker.identity.node_id
    boss = manager.certify(node_id, MANAGER)
    async with manager.dial(worker) as one, manager.dial(boss) as other:
        yield Removable(manager, one, other, node_id)


async def session(node: Removable) -> Any:
    return (await node.register())[0]


async def assignments(node: Removable) -> Any:
    _, session_id = await node.register()
    call = DispatcherStub(node.worker).Assignments(api.AssignmentsRequest(session_id=session_id))
    await call.read()
    return call


async def tasks(node: Removable) -> Any:
    _, session_id = await node.register()
    call = DispatcherStub(node.worker).Tasks(api.TasksRequest(session_id=session_id))
    await call.read()
    return call


async def logs(node: Removable) -> tuple[Any, Any, str]:
    """A subscriber, a listener that heard of it, and the subscription's id."""
    request = api.SubscribeLogsRequest(selector=api.LogSelector(node_ids=[node.node_id]))
    request.options.follow = True
    listening = LogBrokerStub(node.worker).ListenSubscriptions(api.ListenSubscriptionsRequest())
    subscribing = LogsStub(node.boss).SubscribeLogs(request)
    return subscribing, listening, (await listening.read()).id


async def listening_for_subscriptions(node: Removable) -> Any:
    return (await logs(node))[1]


async def subscribing_to_logs(node: Removable) -> Any:
    return (await logs(node))[0]


async def publishing_logs(node: Removable) -> Any:
    subscribing, _, subscription_id = await logs(node)
    call = LogBrokerStub(node.worker).PublishLogs()
    context = api.LogContext(node_id=node.node_id)
    line = api.LogMessage(context=context, data=b"line")
    await call.write(api.PublishLogsMessage(subscription_id=subscription_id, messages=[line]))
    await subscribing.read()
    return call


async def watching(node: Removable) -> Any:
    entry = api.WatchRequest.WatchEntry(
        kind="network", action=api.WatchActionKind.WATCH_ACTION_CREATE
    )
    call = WatchStub(node.boss).Watch(api.WatchRequest(entries=[entry]))
    await call.read()
    return call


@pytest.mark.parametrize(
    "open_call",
    [
        session,
        assignments,
        tasks,
        listening_for_subscriptions,
        publishing_logs,
        subscribing_to_logs,
        watching,
    ],
    ids=lambda function: function.__name__,
)
async def test_what_a_removed_node_has_open_ends_at_once_with_the_reason(node, open_call):
    call = await open_call(node)
    assert not call.done()
    await node.remove()
    async with asyncio.timeout(20):
        code, details = await call.code(), await call.details()
    assert grpc.StatusCode.PERMISSION_DENIED == code
    assert f"node {node.node_id} was removed from the cluster" in details
