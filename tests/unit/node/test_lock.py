import asyncio
import fcntl
import os

import pytest

from swarmd.errors import CannotBootError
from swarmd.node.lock import (
    ORPHAN_SECONDS,
    OWNER_SECONDS,
    OrphansError,
    StateDirInUseError,
    hold_lock,
)
from tests.fakes.child import until
from tests.fakes.clock import FakeClock

NOBODY = 2**22 + 1  # beyond the largest process id


@pytest.fixture
def path(tmp_path):
    return tmp_path / "swarmd.lock"


@pytest.fixture
def holder(path):
    """Somebody else's hold of the lock: a description of its own."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


async def take(path, clock, unless=None):
    async with hold_lock(path, clock, unless or asyncio.Event()) as descriptor:
        return descriptor


async def pass_seconds(clock, seconds, taking):
    """Let so much time pass, or as much as the taking takes."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end and not taking.done():
        await until(lambda: clock.sleepers or taking.done())
        clock.advance(seconds=0.125)
        await asyncio.sleep(0)


async def test_the_lock_names_its_holder(path):
    async with hold_lock(path, FakeClock(), asyncio.Event()):
        assert f"{os.getpid()}\n" == path.read_text()


async def test_a_lock_that_was_left_is_free(path):
    await take(path, FakeClock())
    assert isinstance(await take(path, FakeClock()), int)


async def test_a_shorter_pid_leaves_nothing_of_a_longer_one(path):
    path.write_text("99999999999\n")
    await take(path, FakeClock())
    assert f"{os.getpid()}\n" == path.read_text()


async def test_a_live_owner_is_named_after_a_moment(path, holder):
    os.write(holder, f"{os.getpid()}\n".encode())
    clock = FakeClock()
    taking = asyncio.create_task(take(path, clock))
    await pass_seconds(clock, OWNER_SECONDS + 1, taking)
    with pytest.raises(StateDirInUseError, match=f"in use by another swarmd, pid {os.getpid()}"):
        await taking


async def test_orphans_have_longer_to_leave(path, holder):
    os.write(holder, f"{NOBODY}\n".encode())
    clock = FakeClock()
    taking = asyncio.create_task(take(path, clock))
    await pass_seconds(clock, OWNER_SECONDS + 1, taking)
    assert not taking.done()
    await pass_seconds(clock, ORPHAN_SECONDS, taking)
    with pytest.raises(OrphansError, match=f"a killed swarmd, pid {NOBODY}, left behind"):
        await taking


async def test_who_waits_gets_the_lock_when_it_is_free(path, holder):
    clock = FakeClock()
    taking = asyncio.create_task(take(path, clock))
    await pass_seconds(clock, 1, taking)
    fcntl.flock(holder, fcntl.LOCK_UN)
    clock.advance(seconds=0.1)
    assert isinstance(await taking, int)


async def test_who_no_longer_wants_it_gets_nothing(path, holder):
    clock, unless = FakeClock(), asyncio.Event()
    taking = asyncio.create_task(take(path, clock, unless))
    await clock.wait_sleepers()
    unless.set()
    clock.advance(seconds=0.1)
    assert None is await taking


async def test_a_lock_file_that_cannot_be_opened_is_named(path):
    path.mkdir()
    with pytest.raises(CannotBootError, match=r"swarmd\.lock"):
        await take(path, FakeClock())


async def test_an_inherited_lock_outlives_the_parents_hold(path):
    """What workers do: the description is shared, and the last one to close it lets go."""
    async with hold_lock(path, FakeClock(), asyncio.Event()) as descriptor:
        inherited = os.dup(descriptor)
    clock = FakeClock()
    taking = asyncio.create_task(take(path, clock))
    await clock.wait_sleepers()
    os.close(inherited)
    clock.advance(seconds=0.1)
    await until(taking.done)
    assert isinstance(taking.result(), int)
