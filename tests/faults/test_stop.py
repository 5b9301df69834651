"""`swarmd stop` leaves the tasks, or with --tasks nothing at all."""

import os
import signal
import subprocess

import pytest

from swarmd.api import times
from swarmd.errors import ExitStatus
from tests.cluster import RealNode, wait

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

# Ignores its stop signal, and has a child that left its session.
STUBBORN = "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.1; done"


def test_a_stop_leaves_the_tasks_and_the_next_start_adopts_them(node: RealNode) -> None:
    node.start()
    service = node.create_service("sleep", "1000", replicas=5)
    pids = node.wait_running(service, 5)
    done = node.swarmd("stop")
    assert (0, "swarmd is stopped") == (done.returncode, done.stdout.splitlines()[0])
    assert "5 tasks go on" in done.stdout
    assert {pid: task for task, pid in pids.items()} == node.task_processes()
    assert ExitStatus.STOPPED == node.swarmd("status").returncode
    assert not [line for line in node.processes().values() if "workers." in line]
    node.start()
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")
    assert {pid: task for task, pid in pids.items()} == node.task_processes()
    assert pids.keys() == {task.id for task in node.tasks(service)}


@pytest.mark.parametrize("how", ["start", "run"])
def test_a_stop_with_tasks_leaves_no_process_at_all(node: RealNode, how: str) -> None:
    getattr(node, how)()
    soft = node.create_service("sleep", "1000", replicas=3)
    grace = times.duration(0.5)
    hard = node.create_service("sh", "-c", STUBBORN, stop_grace_period=grace)
    node.wait_running(soft, 3)
    node.wait_running(hard, 1)
    done = node.swarmd("stop", "--tasks")
    assert (0, "swarmd is stopped\n") == (done.returncode, done.stdout)
    wait(lambda: not node.processes(), "the end of everything", seconds=5)
    assert not node.socket.exists()
    assert [] == node.cgroups()
    again = node.swarmd("stop", "--tasks")
    assert (0, "swarmd is not running\n") == (again.returncode, again.stdout)


def test_after_a_stop_with_tasks_the_next_start_has_its_services_again(node: RealNode) -> None:
    node.start()
    service = node.create_service("sleep", "1000", replicas=3)
    before = node.wait_running(service, 3)
    assert 0 == node.swarmd("stop", "--tasks").returncode
    node.start()
    after = node.wait_running(service, 3, besides=before)  # a task runs once
    assert set(after.values()) == node.task_processes().keys()


def test_a_stop_waits_for_the_workers_of_a_killed_parent(node: RealNode) -> None:
    node.run()
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGSTOP)
    os.kill(node.pid, signal.SIGKILL)
    assert "its parent was killed" in node.swarmd("status").stdout
    stopping = subprocess.Popen(
        node.argv("stop"), env=node.environment, stdout=subprocess.PIPE, text=True
    )
    with stopping:
        with pytest.raises(subprocess.TimeoutExpired):
            stopping.wait(2)
        os.kill(agent, signal.SIGCONT)
        assert (0, "swarmd is stopped\n") == (stopping.wait(30), stopping.stdout.read())
