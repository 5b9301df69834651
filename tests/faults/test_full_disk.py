"""The state directory's disk is full: one clear error, nothing lost, and it goes on with room."""

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from swarmd import api
from swarmd.errors import CannotBootError, ExitStatus
from swarmd.store import SqliteBackend
from swarmd.store.sqlite_file import make_file
from tests import builders
from tests.cluster import RealNode, wait

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_SIZE = "size=24m"
_LEFT = 256 << 10  # bytes; a few dozen services


def fill(disk: Path, left: int = 0) -> Path:
    """Take all room, or all but some, with one file; others may take some meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - left) > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, free)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                break
    return ballast


def test_a_start_on_a_full_disk_is_refused_and_works_with_room(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount(_SIZE)
    node.state_dir = disk / "state"
    ballast = fill(disk)
    status, line = node.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert str(node.state_dir) in line
    assert "No space left on device" in line
    ballast.unlink()
    node.run()


def test_a_restart_on_a_full_disk_is_refused_and_loses_nothing(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount(_SIZE)
    node.state_dir = disk / "state"
    process = node.run()
    service = node.create_service("sleep", "1000")
    pids = node.wait_running(service, 1)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    ballast = fill(disk)
    status, line = node.refused()
    assert (ExitStatus.CANNOT_BOOT, True) == (status, str(node.state_dir) in line), line
    assert "full" in line
    started = node.swarmd("start")
    assert (1, 1) == (started.returncode, len(started.stderr.splitlines())), started.stderr
    ballast.unlink()
    node.run()
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")


@pytest.mark.parametrize("left", [4, 64, 96])
def test_a_first_start_with_little_room_is_refused_in_one_line(
    node: RealNode, mount: Callable[[str], Path], left: int
) -> None:
    disk = mount("size=4m")
    node.state_dir = disk / "state"
    fill(disk, left << 10)
    status, line = node.refused()
    assert (ExitStatus.CANNOT_BOOT, True) == (status, str(node.state_dir) in line), line
    assert any(words in line for words in ("full", "No space left")), line
    assert "Traceback" not in node.log


def test_workers_killed_on_a_full_disk_are_back_when_there_is_room(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount(_SIZE)
    node.state_dir = disk / "state"
    process = node.run()
    service = node.create_service("sleep", "1000")
    pids = node.wait_running(service, 1)
    ballast = fill(disk)
    workers = [node.worker_pid(name) for name in ("manager", "agent")]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait(
        lambda: node.log.count("no room") + node.log.count("disk is full") >= 1, "that they hit it"
    )
    assert process.poll() is None
    ballast.unlink()
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")


async def test_a_store_made_on_a_nearly_full_disk_is_whole_or_not_there(
    mount: Callable[[str], Path],
) -> None:
    disk = mount("size=2m")
    refused = 0
    for left in range(0, 200 << 10, 4096):
        ballast = fill(disk, left)
        refused += not await loads(disk / "swarm.db")
        ballast.unlink()
        assert await loads(disk / "swarm.db"), left
        for file in disk.iterdir():
            file.unlink()
    assert refused > 10


async def loads(path: Path) -> bool:
    backend = SqliteBackend(path)
    try:
        return 0 == (await backend.load()).version
    except CannotBootError:
        return False
    finally:
        await backend.close()


def test_a_store_sealed_anew_on_a_nearly_full_disk_is_whole(mount: Callable[[str], Path]) -> None:
    disk = mount("size=2m")
    path = disk / "swarm.db"
    rows = [("task", str(number), 1, 0, bytes(4000)) for number in range(50)]
    make_file(path, 1, 1, rows)
    taken = path.stat().st_size
    for left in range(0, taken + (200 << 10), 8192):
        ballast = fill(disk, left)
        with contextlib.suppress(sqlite3.Error, OSError):
            make_file(path, 1, 2, rows)
        ballast.unlink()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()
            assert (50,) == connection.execute("SELECT count(*) FROM objects").fetchone()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert (2,) == connection.execute("SELECT version FROM meta").fetchone()
        assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()


def test_a_disk_that_fills_up_under_a_node_stops_changes_and_nothing_else(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount(_SIZE)
    node.state_dir = disk / "state"
    node.run()
    service = node.create_service("sleep", "1000", replicas=3)
    pids = node.wait_running(service, 3)
    workers = [node.worker_pid(name) for name in ("manager", "agent")]
    ballast = fill(disk, _LEFT)
    acknowledged, refusal = create_until_refused(node)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == refusal.code()
    assert f"{node.state_dir / 'store' / 'swarm.db'}" in refusal.details()
    assert "the disk is full" in refusal.details()
    line = node.ctl("service", "create", "--name", "late", "--image", "host", "--command", "true")
    assert (1, 1) == (line.returncode, len(line.stderr.splitlines())), line.stderr
    assert acknowledged <= services(node)  # it still answers
    assert workers == [node.worker_pid(name) for name in ("manager", "agent")]
    ballast.unlink()
    more = node.create_service("sleep", "1000", replicas=2)
    node.wait_running(more, 2)
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")
    os.kill(workers[0], signal.SIGKILL)  # the next one has what is on disk
    node.wait_ready(without=workers[0])
    assert acknowledged | {service, more} == services(node)


def create_until_refused(node: RealNode) -> tuple[set[str], grpc.RpcError]:
    acknowledged: set[str] = set()
    with node.control() as control:
        while True:
            spec = builders.service(name=f"s{len(acknowledged)}", replicas=0).spec
            spec.annotations.labels["ballast"] = "x" * 4000
            try:
                reply = control.CreateService(api.CreateServiceRequest(spec=spec), timeout=20)
            except grpc.RpcError as refusal:
                return acknowledged, refusal
            acknowledged.add(reply.service.id)


def services(node: RealNode) -> set[str]:
    reply = node.call("ListServices", api.ListServicesRequest())
    return {service.id for service in reply.services}


def test_a_task_that_ends_on_a_full_disk_is_replaced_when_there_is_room(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount(_SIZE)
    node.state_dir = disk / "state"
    node.run()
    service = node.create_service("sleep", "1000", replicas=2)
    before = node.wait_running(service, 2)
    ballast = fill(disk)
    ended, pid = next(iter(before.items()))
    os.kill(pid, signal.SIGKILL)
    subprocess.run(["sync"], check=True)
    wait(lambda: pid not in node.task_processes(), "its end")
    ballast.unlink()
    wait(lambda: len(node.running(service).keys() - {ended}) == 2, "its replacement")
    assert set(node.running(service).values()) == node.task_processes().keys()
