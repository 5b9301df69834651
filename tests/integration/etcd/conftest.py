"""A quorum of three real members for each test, and stores on it."""

import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from swarmd.clock import SystemClock
from swarmd.security.encryption import Sealer
from swarmd.store import Store
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from tests.etcd import Member, Quorum, why_not

OpenStore = Callable[[Member], Store]


@pytest.fixture
def etcd_root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="swd") as root:  # a socket's path must be short
        yield Path(root)


@pytest.fixture
async def quorum(etcd_root: Path) -> AsyncIterator[Quorum]:
    if why_not():
        pytest.skip(why_not())
    quorum = Quorum(etcd_root, 3)
    try:
        await quorum.ready()
        yield quorum
    finally:
        quorum.kill()


@pytest.fixture
def alone(etcd_root: Path) -> Iterator[Member]:
    """The only member of one."""
    if why_not():
        pytest.skip(why_not())
    quorum = Quorum(etcd_root, 1)
    yield quorum.members[0]
    quorum.kill()


def store_on(member: Member, seconds: int = 2) -> Store:
    """A manager's store over that member, as a manager of that name."""
    clock, chance = SystemClock(), random.Random(0)
    client = EtcdClient(member.socket)
    lease = EtcdLease(client, member.name, seconds, clock, chance)
    sealer = Sealer(b"k" * 32, Path("the key's file"))
    return Store(EtcdBackend(client, lease, sealer, clock, chance), clock)
