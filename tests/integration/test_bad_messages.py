"""What is no message, what is too long, and who does not listen: each harms its own call alone."""

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
from swarmd.api.protos.watch_pb2_grpc import WatchStub
from swarmd.clock import SystemClock
from swarmd.errors import FailedPreconditionError
from swarmd.rpc.server import RECEIVE_LIMIT
from swarmd.security.identity import MANAGER
from tests.fakes.open_manager import OpenManager, open_manager
from workers.agent.session import Session

NOT_UTF8 = b"\xff\xfe"
SERVICE = "/docker.swarmkit.v1."


@pytest.fixture
async def manager() -> AsyncIterator[OpenManager]:
    with tempfile.TemporaryDirectory(prefix="swd") as name:
        async with open_manager(Path(name)) as manager:
            yield manager


@pytest.fixture
async def boss(manager: OpenManager) -> AsyncIterator[aio.Channel]:
    """A channel that may call everything, as a node that can be removed."""
    worker = await manager.join()
    async with manager.dial(manager.certify(worker.identity.node_id, MANAGER)) as channel:
        channel.node_id = worker.identity.node_id
        yield channel


def spoilt(message: Any, text: str) -> bytes:
    """The message with bytes in the place of that text that are no UTF-8."""
    assert len(text) == len(NOT_UTF8)
    return message.SerializeToString().replace(text.encode(), NOT_UTF8)


async def is_served(manager: OpenManager, channel: aio.Channel) -> None:
    """The same connection and the control socket go on."""
    request = api.SessionRequest(description=api.NodeDescription(hostname="h"))
    session = DispatcherStub(channel).Session(request)
    assert (await session.read()).session_id
    session.cancel()
    assert 1 == len((await manager.call("ListClusters", api.ListClustersRequest())).clusters)


async def refused(call: Any) -> grpc.StatusCode:
    with pytest.raises(aio.AioRpcError) as caught:
        async with asyncio.timeout(20):
            await call
    return caught.value.code()


UNARY = {
    "Control/GetNode": api.GetNodeRequest(node_id="??"),
    "NodeCA/NodeCertificateStatus": api.NodeCertificateStatusRequest(node_id="??"),
    "NodeCA/IssueNodeCertificate": api.IssueNodeCertificateRequest(token="??"),
    "Dispatcher/Heartbeat": api.HeartbeatRequest(session_id="??"),
    "Dispatcher/UpdateTaskStatus": api.UpdateTaskStatusRequest(session_id="??"),
}


@pytest.mark.parametrize("method", UNARY)
async def test_a_call_whose_string_is_no_utf8_gets_an_error(manager, boss, method):
    call = boss.unary_unary(SERVICE + method)
    assert grpc.StatusCode.INVALID_ARGUMENT == await refused(call(spoilt(UNARY[method], "??")))
    await is_served(manager, boss)


STREAMS = {
    "Dispatcher/Session": api.SessionRequest(session_id="??"),
    "Dispatcher/Assignments": api.AssignmentsRequest(session_id="??"),
    "Logs/SubscribeLogs": api.SubscribeLogsRequest(selector={"node_ids": ["??"]}),
    "Watch/Watch": api.WatchRequest(entries=[{"kind": "??"}]),
}


@pytest.mark.parametrize("method", STREAMS)
async def test_a_stream_that_is_asked_for_so_gets_an_error(manager, boss, method):
    call = boss.unary_stream(SERVICE + method)(spoilt(STREAMS[method], "??"))
    assert grpc.StatusCode.INVALID_ARGUMENT == await refused(call.read())
    await is_served(manager, boss)


async def test_a_message_in_a_stream_that_is_no_utf8_or_no_message_ends_the_stream(manager, boss):
    good = api.PublishLogsMessage(subscription_id="??")
    for bad in (spoilt(good, "??"), b"\xff" * 10):
        call = boss.stream_unary(SERVICE + "LogBroker/PublishLogs")()
        await call.write(bad)
        assert grpc.StatusCode.INVALID_ARGUMENT == await refused(call)
    await is_served(manager, boss)


async def test_a_message_over_the_limit_in_a_stream_ends_the_stream(manager, boss):
    call = boss.stream_unary(SERVICE + "LogBroker/PublishLogs")()
    await call.write(b"\0" * (RECEIVE_LIMIT + 1))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == await refused(call)
    await is_served(manager, boss)


async def flood(manager: OpenManager, mebibytes: int) -> None:
    """Changes that everybody who watches configs is told of."""
    for number in range(mebibytes * 2):
        spec = api.ConfigSpec(annotations=api.Annotations(name=f"c{number}"), data=b"x" * 500_000)
        await manager.call("CreateConfig", api.CreateConfigRequest(spec=spec))


async def test_who_watches_and_does_not_read_holds_nobody_up_and_is_let_go_when_removed(
    manager, boss
):
    kind = api.WatchRequest.WatchEntry(
        kind="config", action=api.WatchActionKind.WATCH_ACTION_CREATE
    )
    call = WatchStub(boss).Watch(api.WatchRequest(entries=[kind]))
    await call.read()
    await flood(manager, 10)
    async with manager.dial(manager.certify("another", MANAGER)) as other:
        assert (await WatchStub(other).Watch(api.WatchRequest(entries=[kind])).read()) is not None
    await manager.call("RemoveNode", api.RemoveNodeRequest(node_id=boss.node_id, force=True))
    async with asyncio.timeout(20):
        read, code = await drained(call)
    assert grpc.StatusCode.PERMISSION_DENIED == code
    assert read < 20  # what was on its way; not all that it missed


async def drained(call: Any) -> tuple[int, grpc.StatusCode]:
    """How many messages there were still, and how it ended."""
    read = 0
    try:
        while await call.read() is not aio.EOF:
            read += 1
    except aio.AioRpcError as error:
        return read, error.code()
    return read, await call.code()


async def test_a_manager_that_sends_no_utf8_ends_its_session_and_not_the_agent():
    bad = spoilt(api.SessionMessage(session_id="??"), "??")

    async def session(request: Any, context: Any) -> None:
        await context.write(bad)

    handler = grpc.unary_stream_rpc_method_handler(session)
    server = aio.server()
    handlers = {"Session": handler}
    service = grpc.method_handlers_generic_handler("docker.swarmkit.v1.Dispatcher", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(FailedPreconditionError, match="no UTF-8"):
                await Session(channel, SystemClock()).register(api.NodeDescription(), "")
    finally:
        await server.stop(None)
