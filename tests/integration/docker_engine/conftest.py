"""One dockerd for all tests here."""

from collections.abc import AsyncIterator, Iterator

import pytest

from swarmd.state_dir import StateDir
from tests.docker_engine import (
    Dockerd,
    DockerEngine,
    docker_daemon,
    docker_engine,
    state_directory,
)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    with docker_daemon() as daemon:
        yield daemon


@pytest.fixture
def state_dir() -> Iterator[StateDir]:
    with state_directory() as directory:
        yield directory


@pytest.fixture
async def engine(dockerd: Dockerd, state_dir: StateDir) -> AsyncIterator[DockerEngine]:
    async with docker_engine(dockerd, state_dir) as running:
        yield running
