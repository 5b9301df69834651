"""The contract tests run on each backend; here is what they share."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from swarmd.security.encryption import Sealer
from swarmd.store import Backend, MemoryBackend, SqliteBackend, Store
from tests.fakes.clock import FakeClock

Reopen = Callable[[], Backend]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite", "sealed sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Gives a backend over the same data each time, as a restarted process would have it."""
    if request.param == "sealed sqlite":
        sealer = Sealer(bytes(32), tmp_path / "swarm-node.key")
        return lambda: SqliteBackend(tmp_path / "swarm.db", sealer)
    if request.param == "sqlite":
        return lambda: SqliteBackend(tmp_path / "swarm.db")
    memory = MemoryBackend()
    return lambda: memory


@pytest.fixture
async def store(reopen: Reopen, clock: FakeClock) -> AsyncIterator[Store]:
    """An open, empty store, once on each backend."""
    async with Store(reopen(), clock) as store:
        yield store
