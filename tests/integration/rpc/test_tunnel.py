"""A manager whose TLS does not answer ALPN, as SwarmKit's once they renewed their certificate."""

import asyncio
import contextlib

import pytest
from grpc import aio

from swarmd.errors import NoHttp2Error, SwarmError, UnavailableError
from swarmd.rpc.channel import dial_manager, dial_to_join, fetch_root
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.tunnel import Tunnels
from swarmd.security.root_ca import digest
from swarmd.security.tls import manager_context
from tests.integration.rpc.probe import CALLERS, FOREIGN_ROOT, ME, NOW, root_of
from tests.unit.security.builders import node_of

WORKER = CALLERS["worker"]


@pytest.fixture
def silent(server, remote):
    """That manager's address."""
    server._router.remote.set_alpn_protocols(["another"])
    return remote


@pytest.fixture
def tunnels():
    return Tunnels()


@contextlib.asynccontextmanager
async def opened(tunnels, address, certificates=WORKER):
    """As the agent opens channels."""
    root = certificates.root_pem
    async with tunnels.channel(
        address,
        lambda: dial_manager(address, certificates),
        lambda: manager_context(root, certificates),
    ) as channel:
        yield channel


async def ask(channel):
    try:
        return await root_of(channel)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def ask_in_vain(tunnels, address, certificates=WORKER):
    """The error that the call ends with."""
    with pytest.raises(SwarmError) as caught:
        async with opened(tunnels, address, certificates) as channel:
            await ask(channel)
    return caught.value


async def test_it_is_found_out_once_and_reached_from_then_on(silent, tunnels, probe):
    assert isinstance(await ask_in_vain(tunnels, silent), NoHttp2Error)
    for _ in range(2):
        async with opened(tunnels, silent) as channel:
            assert b"x" * 100 == await ask(channel)
    assert ["w", "w"] == [caller.node_id for caller in probe.callers]


async def test_a_manager_of_another_root_is_not_trusted(server, silent, tunnels, probe):
    await ask_in_vain(tunnels, silent)
    stranger = node_of(FOREIGN_ROOT, NOW, node_id="w")
    error = await ask_in_vain(tunnels, silent, stranger)
    assert isinstance(error, UnavailableError)
    assert "certificate verify failed" in str(error)
    assert [] == probe.callers


async def test_a_server_that_is_no_manager_is_not_trusted(server, silent, tunnels, probe):
    await ask_in_vain(tunnels, silent)
    server.use(WORKER)
    server._router.remote.set_alpn_protocols(["another"])
    assert "certificate verify failed" in str(await ask_in_vain(tunnels, silent))
    assert [] == probe.callers


async def test_who_answers_alpn_again_is_dialled_as_ever(server, silent, tunnels):
    await ask_in_vain(tunnels, silent)
    server.use(ME)
    async with opened(tunnels, silent) as channel:
        await ask(channel)
    assert set() == tunnels._needed


async def test_a_manager_that_is_gone_is_told_as_unavailable(silent, tunnels):
    tunnels._needed.add("127.0.0.1:1")
    error = await ask_in_vain(tunnels, "127.0.0.1:1")
    assert isinstance(error, UnavailableError)
    assert "127.0.0.1:1" in str(error)


async def test_a_node_joins_by_way_of_it(silent, tunnels):
    def dial(address, root):
        return tunnels.channel(
            address, lambda: dial_to_join(address, root), lambda: manager_context(root)
        )

    wanted = b"x" * 100
    with pytest.raises(NoHttp2Error):
        await fetch_root(silent, digest(wanted), dial)
    assert wanted == await fetch_root(silent, digest(wanted), dial)


async def test_the_end_of_a_channel_ends_its_connection(server, silent, tunnels):
    await ask_in_vain(tunnels, silent)
    async with opened(tunnels, silent) as channel:
        await ask(channel)
        (session,) = server._router._sessions
    async with asyncio.timeout(10):
        while session in server._router._sessions:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)
