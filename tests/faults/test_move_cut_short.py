"""The store's move into etcd, by real processes that are killed at each of its steps."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from swarmd.clock import SystemClock
from swarmd.config import NodeConfig
from swarmd.quorum_file import EXISTING, QuorumFile, is_shared
from swarmd.state_dir import StateDir
from tests.etcd import why_not
from tests.moving import counted, opened
from tests.reference import ROOT
from workers.manager.quorum.addresses import AddressBook
from workers.manager.quorum.opening import open_quorum

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(300),
]
_KILLED = -9
_STEPS = 11


@pytest.fixture
def state_dir() -> Iterator[StateDir]:
    with tempfile.TemporaryDirectory(prefix="swd") as root:  # a socket's path must be short
        made = StateDir(Path(root) / "s")
        made.make()
        yield made


def move(state_dir: StateDir, last: str) -> tuple[int, str]:
    """The exit status, and what it says at its end."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.moving", str(state_dir.root), last],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.strip() or done.stderr


async def start_again(state_dir: StateDir) -> int:
    """As the manager does after it was killed; how far it was counted in its store."""
    if not is_shared(state_dir.quorum):
        config = NodeConfig(state_dir=state_dir.root, hostname="n1")
        book, said = AddressBook(state_dir), []
        assert await open_quorum(config, book, said.append, SystemClock(), Random(0)) is None
        assert [False] == [one.shared for one in said[-1:]], "the parent ends etcd"
        assert [] == list(state_dir.root.glob("etcd*"))
    async with opened(state_dir) as store:
        return counted(store)


def acknowledged(state_dir: StateDir) -> int:
    return int((state_dir.root / "acknowledged").read_text() or 0)


def test_a_move_killed_at_any_step_leaves_the_file_or_has_all_of_it_in_etcd(state_dir: StateDir):
    for step in range(1, _STEPS + 1):
        assert not is_shared(state_dir.quorum), f"before step {step}"
        status, said = move(state_dir, str(step))
        assert _KILLED == status, f"not before step {step}: {said}"
        found = asyncio.run(start_again(state_dir))
        assert acknowledged(state_dir) <= found, f"lost by a kill before step {step}"
    assert QuorumFile(node_id="n1", members={"n1": "127.0.0.1:1"}, start=EXISTING) == (
        QuorumFile.load(state_dir.quorum)
    )


def test_a_move_whose_etcd_is_killed_is_undone_and_done_the_next_time(state_dir: StateDir):
    status, said = move(state_dir, "e6")
    assert (0, "undone: Unavail") == (status, said[:15]), said
    assert [] == list(state_dir.root.glob("etcd*"))
    assert (0, f"moved in {_STEPS} steps") == move(state_dir, "0")
    assert 0 < acknowledged(state_dir) <= asyncio.run(start_again(state_dir))
