"""Real TLS on real sockets: every method for every kind of caller, and clients that misbehave."""

import asyncio
import contextlib
import itertools
import os
import random
import socket
import ssl
import stat
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import CAServicer, CAStub
from swarmd.api.protos.control_pb2_grpc import ControlServicer, ControlStub
from swarmd.api.protos.watch_pb2_grpc import WatchServicer, WatchStub
from swarmd.clock import SystemClock
from swarmd.errors import CannotBootError, NotFoundError, UnavailableError
from swarmd.rpc import router as router_module
from swarmd.rpc.authorize import Authorizer, caller, rule_of
from swarmd.rpc.channel import dial_control, dial_manager
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.handlers import path, services
from swarmd.rpc.server import RECEIVE_LIMIT, Server, make_server
from swarmd.security.identity import MANAGER, WORKER, Caller
from swarmd.security.root_ca import RootCA
from tests.unit.security.builders import CLUSTER, node_of

NOW = time.time()
ROOT = RootCA.create(NOW)
FOREIGN_ROOT = RootCA.create(NOW)
ME = node_of(ROOT, NOW)
CALLERS = {
    "manager": node_of(ROOT, NOW, node_id="m"),
    "worker": node_of(ROOT, NOW, node_id="w", role=WORKER),
    "removed": node_of(ROOT, NOW, node_id="removed"),
    "other cluster": node_of(ROOT, NOW, cluster_id="c2"),
    "foreign": node_of(FOREIGN_ROOT, NOW, trusts=ROOT),
    "expired": node_of(ROOT, NOW - 2161 * 3600),
}
REFUSED_IN_HANDSHAKE = {"foreign", "expired"}


class Probe(CAServicer, ControlServicer, WatchServicer):
    """Answers with what it saw."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.waits = asyncio.Event()

    async def GetRootCACertificate(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.callers.append(caller(context))
        return api.GetRootCACertificateResponse(certificate=b"x" * 100)

    async def GetUnlockKey(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise ValueError("a bug")

    async def GetNode(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotFoundError("node", request.node_id)

    async def GetConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        spec = api.ConfigSpec(data=b"y" * int(request.config_id))
        return api.GetConfigResponse(config=api.Config(spec=spec))

    async def ListNodes(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.waits.set()
        if request.filters.names:
            await asyncio.Event().wait()
        return api.ListNodesResponse()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield api.WatchMessage(version=api.Version(index=1))
        raise NotFoundError("event", "2")


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="swd") as name:  # tmp_path may be too long for sockets
        yield Path(name)


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def make(directory, probe) -> Callable[[], Server]:
    def make() -> Server:
        return make_server(
            [probe],
            Authorizer(ME.identity, is_removed=lambda node_id: node_id == "removed"),
            certificates=ME,
            directory=directory / "run",
            clock=SystemClock(),
            random=random.Random(1),
        )

    return make


@contextlib.asynccontextmanager
async def running(server: Server):
    task = asyncio.create_task(server.run(grace_seconds=0.2))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server(make, control):
    server = make()
    server.listen_control(control)
    server.port = server.listen_remote("127.0.0.1:0")
    async with running(server):
        yield server


@pytest.fixture
def control(directory):
    return directory / "c.sock"


@pytest.fixture
def remote(server):
    return f"127.0.0.1:{server.port}"


def dial_open(address: str) -> aio.Channel:
    """A client without a certificate that asks for swarm-manager by name, as a joining one may."""
    options = [
        ("grpc.ssl_target_name_override", "swarm-manager"),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    credentials = grpc.ssl_channel_credentials(ROOT.certificate_pem)
    return aio.secure_channel(address, credentials, options=options)


async def root_of(channel: aio.Channel) -> bytes:
    answer = await CAStub(channel).GetRootCACertificate(
        api.GetRootCACertificateRequest(), timeout=10
    )
    return answer.certificate


async def code_of(channel: aio.Channel, method: Any) -> grpc.StatusCode:
    """The status of a call of the method with an empty request."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_"
    kind += "stream" if method.server_streaming else "unary"
    make_call = getattr(channel, kind)(
        path(method),
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    request = GetMessageClass(method.input_type)()
    call = make_call(iter([request]) if method.client_streaming else request, timeout=5)
    with contextlib.suppress(aio.AioRpcError):
        if method.server_streaming:
            async for _ in call:
                pass
        else:
            await call
    return await call.code()


def methods():
    return [method for service in services() for method in service.methods]


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


async def test_a_large_reply_arrives_whole(remote):
    size = 50 << 20
    async with dial_manager(remote, CALLERS["manager"]) as channel:
        answer = await ControlStub(channel).GetConfig(api.GetConfigRequest(config_id=str(size)))
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
    inner = directory / "run" / "rpc.sock"
    assert 0o600 == stat.S_IMODE(inner.stat().st_mode)
    assert 0o700 == stat.S_IMODE(inner.parent.stat().st_mode)
    async with aio.insecure_channel(f"unix:{inner}") as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await root_of(channel)
    assert grpc.StatusCode.PERMISSION_DENIED == caught.value.code()


# Clients that misbehave.


def hello(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="swarm-manager")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello(ssl.create_default_context())


@pytest.mark.parametrize(
    "opening",
    [b"", HELLO[: len(HELLO) // 2], HELLO[:1], b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)],
    ids=["silent", "half a hello", "a byte", "http", "noise"],
)
async def test_two_hundred_of_them_do_not_keep_a_sound_client_out(server, remote, opening):
    async with crowd(server.port, 200, opening):
        async with asyncio.timeout(5):
            async with dial_manager(remote, CALLERS["worker"]) as channel:
                assert 100 == len(await root_of(channel))


async def test_more_silent_clients_than_places_make_room(server, remote, monkeypatch):
    monkeypatch.setattr(router_module, "MOST_HANDSHAKES", 20)
    async with crowd(server.port, 30):
        async with asyncio.timeout(8):
            async with dial_manager(remote, CALLERS["worker"]) as channel:
                assert 100 == len(await root_of(channel))


async def test_a_silent_client_is_dropped_in_time(server, monkeypatch):
    monkeypatch.setattr(router_module, "HANDSHAKE_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(5):
        assert b"" == await reader.read()
    writer.close()


async def test_an_endless_hello_is_dropped(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    record = b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + b"\0" * (0x4000 - 4)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            for _ in itertools.repeat(None, 64):
                writer.write(record)
                await writer.drain()
            await reader.read()
    writer.close()


@contextlib.asynccontextmanager
async def crowd(port: int, size: int, opening: bytes = b""):
    """So many clients that say this, and then nothing."""
    loop = asyncio.get_running_loop()
    clients = [socket.socket() for _ in range(size)]
    try:
        for client in clients:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, opening)
        yield
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_modern_tls_is_spoken_with_h2_by_alpn(server, version):
    context = client_context(version)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=context, server_hostname="swarm-manager"
    )
    tls = writer.get_extra_info("ssl_object")
    assert "h2" == tls.selected_alpn_protocol()
    assert b"\x00" == await reader.readexactly(1)  # the server's settings frame comes first
    writer.close()


async def test_older_tls_is_not_spoken(server):
    context = client_context(ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="x")


def client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.certificate_pem.decode())
    if version < ssl.TLSVersion.TLSv1_2:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        context.maximum_version = version
    return context


# The control socket.


@pytest.mark.parametrize("kind", ["missing", "stale", "mute", "plain file"])
async def test_a_control_socket_that_nobody_answers_is_told_in_one_line(control, kind):
    with contextlib.ExitStack() as stack:
        if kind == "plain file":
            control.write_text("")
        elif kind != "missing":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(control))
            listener.listen() if kind == "mute" else listener.close()
            if kind == "mute":
                hang_up = asyncio.get_running_loop().run_in_executor(None, _hang_up, listener)
        with pytest.raises(UnavailableError) as caught:
            await dial_control(control)
        if kind == "mute":
            await hang_up
    assert f"no swarmd answers at {control}: is it running?" in str(caught.value)
    assert "\n" not in str(caught.value)


def _hang_up(listener: socket.socket) -> None:
    listener.accept()[0].close()


async def test_a_second_server_on_a_live_control_socket_cannot_boot(server, control, make):
    other = make_server(
        [],
        Authorizer(ME.identity),
        certificates=ME,
        directory=control.parent / "other",
        clock=SystemClock(),
        random=random.Random(1),
    )
    with pytest.raises(CannotBootError, match="in use"):
        other.listen_control(control)
    await other.close()
    async with await dial_control(control) as channel:
        assert 100 == len(await root_of(channel))


async def test_a_deep_directory_is_not_too_deep_for_the_inner_socket(directory, probe):
    deep = directory / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = make_server(
        [probe],
        Authorizer(ME.identity),
        certificates=ME,
        directory=deep / "run",
        clock=SystemClock(),
        random=random.Random(1),
    )
    server.listen_control(directory / "c.sock")
    async with running(server), await dial_control(directory / "c.sock") as channel:
        assert 100 == len(await root_of(channel))
    assert [] == list((deep / "run").iterdir())
