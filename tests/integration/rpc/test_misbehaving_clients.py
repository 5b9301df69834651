"""Silent, broken and outdated clients: none keeps a sound one out."""

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import warnings

import pytest

from swarmd.rpc import router as router_module
from swarmd.rpc.channel import dial_manager
from tests.integration.rpc.probe import (
    CALLERS,
    ROOT,
    root_of,
)


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
