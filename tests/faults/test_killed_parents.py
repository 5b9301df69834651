"""The parent or its supervisord is killed: tasks are adopted, and no orphan runs beside another."""

import concurrent.futures
import os
import signal
import time

import pytest

from swarmd.errors import ExitStatus
from tests.cluster import RealNode, wait
from tests.fakes.running_node import lives

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

WORKERS = ("manager", "agent")


def test_a_parent_killed_under_supervisord_is_back_and_adopts_its_tasks(node: RealNode) -> None:
    node.start()
    service = node.create_service("sleep", "1000", replicas=5)
    pids = node.wait_running(service, 5)
    parent, workers = node.pid, [node.worker_pid(name) for name in WORKERS]
    os.kill(parent, signal.SIGKILL)
    wait(lambda: not any(map(lives, workers)), "the workers' leaving")
    node.wait_ready(without=parent)
    assert_adopted(node, service, pids)
    assert 0 == node.swarmd("status").returncode


def test_a_parent_killed_in_the_foreground_is_replaced_by_hand_and_adopts_its_tasks(
    node: RealNode,
) -> None:
    node.run()
    service = node.create_service("sleep", "1000", replicas=5)
    pids = node.wait_running(service, 5)
    os.kill(node.pid, signal.SIGKILL)
    second = node.run()  # at once: it waits for the workers that still leave
    assert_adopted(node, service, pids)
    second.send_signal(signal.SIGTERM)
    assert ExitStatus.CLEAN == second.wait(30)
    assert set(pids.values()) == node.task_processes().keys()


def assert_adopted(node: RealNode, service: str, pids: dict[str, int]) -> None:
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")
    assert {pid: task for task, pid in pids.items()} == node.task_processes()
    assert pids.keys() == {task.id for task in node.tasks(service)}


@pytest.mark.parametrize("early", [True, False], ids=["while-swarmd-leaves", "after-it-left"])
def test_after_supervisord_was_killed_the_next_start_converges_without_orphans(
    node: RealNode, early: bool
) -> None:
    node.start()
    service = node.create_service("sleep", "1000", replicas=5)
    before = node.wait_running(service, 5)
    parent, workers = node.pid, [node.worker_pid(name) for name in WORKERS]
    agent = node.worker_pid("agent")
    if early:
        os.kill(agent, signal.SIGSTOP)
    os.kill(node.supervisord_pid(), signal.SIGKILL)
    wait(lambda: not any(map(lives, before.values())), "the tasks' end")
    wait(lambda: early or not node.is_locked(), "swarmd's leaving")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(node.start)
        if early:
            wait(lambda: "stopping" == node.report["phase"], "the stop path")
            time.sleep(1)  # `swarmd start` looks meanwhile
            os.kill(agent, signal.SIGCONT)
        starting.result()
    assert not lives(parent)
    assert not any(map(lives, workers))
    after = node.wait_running(service, 5, besides=before)  # a task runs once
    assert {pid: task for task, pid in after.items()} == node.task_processes()
    assert 2 == sum("supervisord -c" in line for line in node.processes().values())
