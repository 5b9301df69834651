"""Real TLS on real sockets: every method for every kind of caller, and what a call goes through."""

import asyncio
import stat
import time

import grpc
import pytest
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import CAStub
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.api.protos.watch_pb2_grpc import WatchStub
from swarmd.errors import (
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from swarmd.rpc.authorize import rule_of
from swarmd.rpc.channel import dial_control, dial_manager, fetch_root
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.handlers import path
from swarmd.rpc.limits import ANY_SIZE
from swarmd.rpc.server import RECEIVE_LIMIT
from swarmd.security.identity import MANAGER, WORKER, Caller
from swarmd.security.root_ca import RootCA, digest
from tests.integration.rpc.probe import (
    CALLERS,
    ME,
    NOW,
    REFUSED_IN_HANDSHAKE,
    ROOT,
    code_of,
    dial_open,
    methods,
    root_of,
    running,
)
from tests.unit.security.builders import CLUSTER, node_of


@pytest.mark.parametrize("who", ["nobody", *CALLERS])
async def test_every_method_answers_each_caller_as_its_option_says(remote, who):
    refused = grpc.StatusCode.PERMISSION_DENIED
    roles = {"manager": MANAGER, "worker": WORKER}
    dialled = dial_open(remote) if who == "nobody" else dial_manager(remote, CALLERS[who])
    wrong = []
    async with dialled as channel:
        for method in methods():
            rule, code = rule_of(method), await code_of(channel, method)
            allowed = rule.insecure or roles.get(who) in rule.roles
            if who in REFUSED_IN_HANDSHAKE:
                fits = code == grpc.StatusCode.UNAVAILABLE
            else:
                fits = (code != refused) == allowed and code != grpc.StatusCode.UNAVAILABLE
            if not fits:
                wrong.append((path(method), code))
    assert [] == wrong


async def test_the_control_socket_lets_a_caller_do_everything(server, control, probe):
    async with await dial_control(control) as channel:
        codes = {await code_of(channel, m) for m in methods()}
        await root_of(channel)
    assert grpc.StatusCode.PERMISSION_DENIED not in codes
    assert Caller(ME.identity.node_id, MANAGER, CLUSTER, "", local=True) == probe.callers[-1]


async def test_a_caller_is_known_by_its_certificate_and_its_real_address(remote, probe):
    async with dial_manager(remote, CALLERS["worker"]) as channel:
        await root_of(channel)
    (seen,) = probe.callers
    assert ("w", WORKER, CLUSTER, False) == (
        seen.node_id,
        seen.role,
        seen.cluster_id,
        seen.local,
    )
    assert "127.0.0.1" == seen.remote_addr.partition(":")[0]


async def test_a_method_nobody_wrote_says_its_name(server, control):
    async with await dial_control(control) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await ControlStub(channel).GetTask(api.GetTaskRequest(task_id="x"))
    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()
    assert "docker.swarmkit.v1.Control/GetTask is not implemented" in caught.value.details()


async def test_a_method_outside_the_wire_says_its_name(server, control):
    async with await dial_control(control) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary("/a.B/C")(b"")
    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()
    assert "a.B/C" in caught.value.details()


async def test_an_error_keeps_its_class_and_sentence(server, control):
    async with await dial_control(control) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await ControlStub(channel).GetNode(api.GetNodeRequest(node_id="x"))
    error = from_rpc_error(caught.value)
    assert (NotFoundError, "node x not found") == (type(error), str(error))


async def test_a_bug_is_internal(server, control):
    async with await dial_control(control) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await CAStub(channel).GetUnlockKey(api.GetUnlockKeyRequest())
    assert grpc.StatusCode.INTERNAL == caught.value.code()


async def test_a_stream_gives_its_messages_then_its_error(server, control):
    async with await dial_control(control) as channel:
        call = WatchStub(channel).Watch(api.WatchRequest())
        assert 1 == (await call.read()).version.index
        with pytest.raises(aio.AioRpcError) as caught:
            await call.read()
    assert grpc.StatusCode.NOT_FOUND == caught.value.code()


async def test_a_large_reply_arrives_whole_where_the_client_takes_it(remote):
    size = 50 << 20
    async with dial_manager(remote, CALLERS["manager"]) as channel:
        request = api.GetConfigRequest(config_id=str(size))
        answer = await ControlStub(channel).GetConfig(request, metadata=(ANY_SIZE,))
    assert size == len(answer.config.spec.data)


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (RECEIVE_LIMIT - 100, grpc.StatusCode.UNIMPLEMENTED),
        (RECEIVE_LIMIT + 100, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_a_manager_receives_up_to_four_mebibytes(remote, size, code):
    request = api.CreateConfigRequest(spec=api.ConfigSpec(data=b"z" * size))
    async with dial_manager(remote, CALLERS["manager"]) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await ControlStub(channel).CreateConfig(request)
    assert code == caught.value.code()


async def test_new_certificates_are_shown_without_closing_the_port(server, remote):
    new_root = RootCA.create(NOW)
    async with dial_manager(remote, CALLERS["worker"]) as old:
        await root_of(old)
        server.use(node_of(new_root, NOW))
        await root_of(old)  # a connection under way stays
    async with dial_manager(remote, node_of(new_root, NOW, node_id="n2", role=WORKER)) as new:
        assert 100 == len(await root_of(new))


async def test_a_stop_ends_calls_within_its_grace(make, control, probe):
    server = make()
    server.listen_control(control)
    async with running(server) as task:
        channel = await dial_control(control)
        call = ControlStub(channel).ListNodes(
            api.ListNodesRequest(filters=api.ListNodesRequest.Filters(names=["wait"]))
        )
        await probe.waits.wait()
        started = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert time.monotonic() - started < 2
        with pytest.raises((aio.AioRpcError, asyncio.CancelledError)):
            await call
        await channel.close()
    assert not control.exists()


async def test_a_stopped_server_leaves_its_port_and_socket_free(make, control):
    port = 0
    for _ in range(2):
        server = make()
        server.listen_control(control)
        port = server.listen_remote(f"127.0.0.1:{port}")
        async with running(server), await dial_control(control) as channel:
            await root_of(channel)


async def test_nobody_reaches_the_inner_socket_without_tls(server, directory):
    inner = directory / "run" / "rpc-0.sock"
    assert 0o600 == stat.S_IMODE(inner.stat().st_mode)
    assert 0o700 == stat.S_IMODE(inner.parent.stat().st_mode)
    async with aio.insecure_channel(f"unix:{inner}") as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await root_of(channel)
    assert grpc.StatusCode.PERMISSION_DENIED == caught.value.code()


async def test_a_joining_node_trusts_the_root_that_its_token_names(remote, probe):
    assert b"x" * 100 == await fetch_root(remote, digest(b"x" * 100))


async def test_a_joining_node_refuses_another_root(remote):
    with pytest.raises(UnauthenticatedError, match="another root CA"):
        await fetch_root(remote, ROOT.digest)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "127.0.0.1:x"])
async def test_a_joining_node_is_told_that_nobody_answers(address):
    with pytest.raises(UnavailableError, match=f"no manager answers at {address}"):
        await fetch_root(address, ROOT.digest)
