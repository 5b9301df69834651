"""The state directory's disk is full: one clear error, nothing lost, and it goes on with room."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from swarmd import api
from swarmd.errors import ExitStatus
from tests import builders
from tests.cluster import RealNode, wait

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_SIZE = "size=24m"
_LEFT = 256 << 10  # bytes; a few dozen services


def fill(disk: Path, left: int = 0) -> Path:
    """Take all room, or all but some, with one file."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - left)
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
    ballast.unlink()
    node.run()
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")


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
