"""One server on loopback and on a control socket, for each test."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd.rpc.server import Server
from tests.integration.rpc.probe import Probe, make_server_of, running


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="swd") as name:  # tmp_path may be too long for sockets
        yield Path(name)


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def make(directory, probe) -> Callable[[], Server]:
    return lambda: make_server_of(probe, directory / "run")


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
