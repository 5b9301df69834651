"""Workers and parents are killed, stopped and hung: the node heals, and nothing is left behind."""

import fcntl
import os
import signal
import time

import pytest

from swarmd.errors import ExitStatus
from tests.fakes.running_node import RunningNode, eventually, lives

pytestmark = pytest.mark.faults
BOTH = ("agent", "manager")


def is_free(state_dir) -> bool:
    descriptor = os.open(state_dir / "swarmd.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@pytest.mark.parametrize("name", BOTH)
def test_a_killed_worker_is_back_and_the_other_does_not_notice(tmp_path, name):
    other = BOTH[1 - BOTH.index(name)]
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        before = {each: node.worker_pid(each) for each in BOTH}
        os.kill(before[name], signal.SIGKILL)
        assert node.wait_restarted(name, before[name]) < 1.5
        assert before[other] == node.worker_pid(other)
        assert (1, "killed by SIGKILL") == (
            node.worker(name)["restarts"],
            node.worker(name)["last_exit"],
        )


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGUSR1], ids=["stopped", "hung"])
@pytest.mark.parametrize("name", BOTH)
def test_a_worker_that_hangs_is_replaced(tmp_path, name, number):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        pid = node.worker_pid(name)
        os.kill(pid, number)
        node.wait_restarted(name, pid)
        assert not lives(pid)


def test_a_parent_that_was_stopped_keeps_its_workers(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        before = [node.worker_pid(name) for name in BOTH]
        node.signal(signal.SIGSTOP)
        time.sleep(2.5)  # longer than the watchdog's patience
        node.signal(signal.SIGCONT)
        time.sleep(0.5)
        assert before == [node.worker_pid(name) for name in BOTH]


def test_workers_of_a_killed_parent_leave_by_themselves(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        pids = [node.worker_pid(name) for name in BOTH]
        node.signal(signal.SIGKILL)
        assert eventually(lambda: not any(map(lives, pids))) < 1
        eventually(lambda: is_free(tmp_path), seconds=0.5)
        assert {"agent stopped", "manager stopped"} <= set(node.journal)


def test_a_hung_worker_of_a_killed_parent_leaves_too(tmp_path):
    with RunningNode(tmp_path, limits={"alive_seconds": 60}) as node:
        node.wait_ready()
        pid = node.worker_pid("agent")
        os.kill(pid, signal.SIGUSR1)
        node.signal(signal.SIGKILL)
        assert eventually(lambda: not lives(pid)) < 3


def test_a_next_parent_waits_for_the_workers_of_a_killed_one(tmp_path):
    with RunningNode(tmp_path, agent=["slow-stop"]) as first:
        first.wait_ready()
        first.signal(signal.SIGKILL)
        with RunningNode(tmp_path) as second:
            second.wait_ready()
            journal = second.journal
            assert journal.index("agent stopped") < journal.index("manager started", 2)
            second.signal(signal.SIGTERM)
            assert ExitStatus.CLEAN == second.wait()[0]


def test_workers_that_do_not_leave_keep_a_next_parent_out(tmp_path):
    with RunningNode(tmp_path) as first:
        first.wait_ready()
        os.kill(first.worker_pid("agent"), signal.SIGSTOP)
        first.signal(signal.SIGKILL)
        with RunningNode(tmp_path) as second:
            status, lines = second.wait(20)
        assert ExitStatus.FAILED == status
        assert f"workers that a killed swarmd, pid {first.pid}, left behind" in lines[-1]


def test_every_worker_killed_again_and_again_ends_the_node(tmp_path):
    limits = {"short_lives": 3, "first_backoff_seconds": 0.1}
    with RunningNode(tmp_path, limits=limits) as node:
        node.wait_ready()
        for life in range(limits["short_lives"]):
            eventually(lambda: node.worker("agent")["state"] == "RUNNING")
            pid = node.worker_pid("agent")
            os.kill(pid, signal.SIGKILL)
            if life < limits["short_lives"] - 1:
                node.wait_restarted("agent", pid)
        status, lines = node.wait()
    assert ExitStatus.FAILED == status
    assert "agent cannot be kept running, at last: killed by SIGKILL" in lines[-1]
