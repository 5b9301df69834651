"""A real node that locks: what it says, what opens it, and what a crash does not forget."""

import os
import re
import signal
import subprocess
import sys

import pytest

from swarmd.security import key_file, unlock_key
from swarmd.state_dir import StateDir
from tests.cluster import RealNode, wait

WRONG = unlock_key.show(b"x" * 32)


@pytest.fixture
def node():
    with RealNode("--autolock") as node:
        yield node


def key_of(node: RealNode) -> str:
    """The unlock key, once the files are under it."""
    done = node.ctl("cluster", "unlock-key")
    assert 0 == done.returncode, done.stderr
    found = re.search(r"SWMKEY-1-\S+", done.stdout)
    assert found, done.stdout
    wait_sealed(node, found[0])
    return found[0]


def wait_sealed(node: RealNode, key: str) -> None:
    path = StateDir(node.state_dir).node_key

    def opens() -> bool:
        if not key_file.is_sealed(path) or b"raft-dek-pending" in path.read_bytes():
            return False
        try:
            key_file.unlock(path, unlock_key.parse(key))
        except key_file.LockedError:
            return False
        return True

    wait(opens, "sealed under that key")


def unlock(node: RealNode, key: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "swarmd", "unlock", f"--state-dir={node.state_dir}"],
        input=key + "\n",
        env=node.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stop(node: RealNode, process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    assert 0 == process.wait(30), node.log


def locked(node: RealNode) -> "subprocess.Popen[bytes]":
    """The node, stopped and started again, waiting for its key."""
    process = node.spawn()
    wait(lambda: node.report.get("phase") == "locked" or process.poll() is not None, "locked")
    assert process.poll() is None, node.log
    wait(node.socket.exists, "its control socket")
    return process


def test_a_locked_node_waits_for_its_key_and_says_so(node):
    process = node.run()
    service = node.create_service("sleep", "1000")
    pids = node.wait_running(service, 1)
    key = key_of(node)
    stop(node, process)

    process = locked(node)
    status = node.swarmd("status")
    assert 4 == status.returncode
    assert "LOCKED" in status.stdout
    refused = node.ctl("node", "ls")
    assert "locked: unlock it with `swarmd unlock`" in refused.stderr

    wrong = unlock(node, WRONG)
    assert (1, "Error: wrong unlock key\n") == (wrong.returncode, wrong.stderr)
    assert 1 == unlock(node, "no key at all").returncode
    assert "locked" == node.report["phase"]

    done = unlock(node, key)
    assert (0, "unlocked\n") == (done.returncode, done.stdout), done.stderr
    node.wait_ready()
    assert pids == node.wait_running(service, 1)
    assert "not locked" in unlock(node, key).stderr
    assert key not in node.log


def test_a_crash_of_an_unlocked_nodes_worker_asks_nobody(node):
    process = node.run()
    key = key_of(node)
    stop(node, process)
    locked(node)
    unlock(node, key)
    node.wait_ready()
    for worker in ("manager", "agent"):
        pid = node.worker_pid(worker)
        os.kill(pid, signal.SIGKILL)
        node.wait_ready(without=pid)
    assert "locked" != node.report["phase"]


def test_a_key_given_at_the_start_opens(node):
    process = node.run()
    key = key_of(node)
    stop(node, process)
    node.options = (*node.options, f"--unlock-key={key}")
    node.run()


def test_a_wrong_key_given_at_the_start_waits_for_another(node):
    process = node.run()
    key = key_of(node)
    stop(node, process)
    options, node.options = node.options, (*node.options, f"--unlock-key={WRONG}")
    locked(node)
    assert "wrong unlock key" in node.report["reason"]
    assert 0 == unlock(node, key).returncode
    node.wait_ready()
    node.options = options


def test_the_lock_comes_and_goes_while_the_node_runs():
    with RealNode() as node:
        process = node.run()
        assert "not auto-locked" in node.ctl("cluster", "unlock-key").stdout
        shown = node.ctl("cluster", "update", "--autolock")
        assert 0 == shown.returncode, shown.stderr
        assert key_of(node) in shown.stdout
        assert 0 == node.ctl("cluster", "update", "--no-autolock").returncode
        wait(lambda: not key_file.is_sealed(StateDir(node.state_dir).node_key), "open again")
        stop(node, process)
        node.run()


def test_an_unlock_key_that_was_replaced_opens_nothing(node):
    process = node.run()
    first = key_of(node)
    assert 0 == node.ctl("cluster", "update", "--rotate-unlock-key").returncode
    second = key_of(node)
    assert first != second
    pid = node.worker_pid("manager")
    os.kill(pid, signal.SIGKILL)
    node.wait_ready(without=pid)
    stop(node, process)

    process = locked(node)
    assert "wrong unlock key" in unlock(node, first).stderr
    assert 0 == unlock(node, second).returncode
    node.wait_ready()


def test_nothing_on_the_disk_of_a_locked_node_opens_it(node):
    """The data key in the clear of the first moments is worth nothing any more."""
    process = node.run()
    key = key_of(node)
    stop(node, process)
    raw = unlock_key.parse(key)
    for path in node.state_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert key.encode() not in content
            assert raw not in content
