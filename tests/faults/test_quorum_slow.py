"""Three managers, and a host of theirs has a slow disk, or a clock that jumps: nothing is lost."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.state_dir import StateDir
from tests.cluster import RealNode, wait
from tests.quorum import Managers, etcd_pid, formed, node_id, why_not
from tests.shifted_clock import ShiftedClock
from tests.shifted_clock import why_not as why_no_clock

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_SLUGGISH_SECONDS = 0.25  # shorter than the time in which a member is given up
_SLOW_SECONDS = 1.2  # longer, and what etcd itself takes for slow
_HOUR, _DAY = 3_600, 86_400


class Slow(Managers):
    """`clocks` are the nodes' own, where this host can make such."""

    clocks: dict[RealNode, ShiftedClock]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slow]:
    if why_not():
        pytest.skip(why_not())
    clocks: dict[RealNode, ShiftedClock] = {}
    with tempfile.TemporaryDirectory(prefix="swd") as directory:

        def make(_: int) -> RealNode:
            node = RealNode()
            if not why_no_clock():
                clocks[node] = ShiftedClock(Path(directory))
                node.environment |= clocks[node].environment
            return node

        with formed(3, make) as managers:
            cluster = Slow(managers.nodes)
            cluster.clocks = clocks
            cluster.service = managers.nodes[0].create_service("sleep", "10000", replicas=3)
            managers.nodes[0].wait_running(cluster.service, 3)
            yield cluster


@pytest.fixture
def managers(cluster: Slow) -> Iterator[Slow]:
    """All three whole; what runs before the test runs after it, the same processes."""
    cluster.wait_whole()
    before = cluster.nodes[0].wait_running(cluster.service, 3)
    yield cluster
    cluster.wait_whole()
    wait(lambda: cluster.nodes[0].running(cluster.service) == before, "the very same tasks")


@contextlib.contextmanager
def slow_disk(*nodes: RealNode, seconds: float = _SLOW_SECONDS) -> Iterator[None]:
    """Each time one of their etcd has the disk keep something, that takes so much longer."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    delay = f"inject=fdatasync,fsync:delay_enter={round(seconds * 1e6)}"
    watch = ["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", delay, "-o", "/dev/null"]
    pids = [etcd_pid(node) for node in nodes]
    tracers = [subprocess.Popen([*watch, "-p", str(pid)]) for pid in pids]
    try:
        wait(lambda: all(map(_is_traced, pids)), "that they are traced")
        yield
    finally:
        for tracer in tracers:
            tracer.terminate()  # it lets go, and etcd runs on
            tracer.wait(30)


def _is_traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def test_a_follower_with_a_slow_disk_holds_nobody_up(managers: Slow) -> None:
    leader, slow = managers.leader, managers.followers[0]
    with managers.load(at=managers.others(slow)) as load, slow_disk(slow):
        load.wait_written(60)
        assert node_id(leader) == managers.leader_at(managers.others(slow))
    load.check()


def test_a_leader_with_a_slow_disk_loses_nothing_and_says_what_is_wrong(managers: Slow) -> None:
    leader = managers.leader
    with managers.load(patience=60) as load:
        with slow_disk(leader):
            load.wait_written(6, 120)
        load.wait_written(10)
    load.check()


def test_two_sluggish_disks_of_three_slow_down_every_write_and_lose_none(managers: Slow) -> None:
    with managers.load() as load:
        with slow_disk(*managers.nodes[:2], seconds=_SLUGGISH_SECONDS):
            load.wait_written(8)
        load.wait_written(10)
    load.check()


def test_two_disks_of_three_that_are_too_slow_for_a_quorum_lose_nothing(managers: Slow) -> None:
    with managers.load() as load:
        with slow_disk(*managers.nodes[:2]):
            time.sleep(4)  # no raft is led so, or hardly ever
        load.wait_written(10)
    load.check()
    said = [line for node in managers.nodes for line in node.log.splitlines()]
    slow = [line for line in said if "the disk is slow" in line]
    assert 1 <= len(slow) <= 2 * len(managers.nodes), "once a minute for each of them"


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_clock_that_jumps_moves_nothing(managers: Slow, which: str) -> None:
    if why_no_clock():
        pytest.skip(why_no_clock())
    leader = managers.leader
    node = leader if which == "leader" else managers.followers[0]
    certificate = StateDir(node.state_dir).node_certificate.read_bytes()
    with managers.load() as load:
        for seconds in (_HOUR, -_HOUR, _DAY, -_DAY, 0):
            managers.clocks[node].shift(seconds)
            load.wait_written(20)
            if seconds == _HOUR:
                wait(lambda: "this host's clock jumped" in node.log, "that it is said")
            assert node_id(leader) == managers.leader_id
            if node is leader:
                assert seconds == pytest.approx(ahead(leader), abs=60)
    load.check()
    assert certificate == StateDir(node.state_dir).node_certificate.read_bytes()


def ahead(node: RealNode) -> float:
    """How far the clock by which it dates objects is ahead of this one."""
    spec = api.ConfigSpec(annotations=api.Annotations(name=f"at-{time.time_ns()}"), data=b"x")
    made = node.call("CreateConfig", api.CreateConfigRequest(spec=spec)).config
    return times.seconds(made.meta.created_at) - time.time()
