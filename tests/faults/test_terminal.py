"""Ctrl+C in the terminal of the real daemon, at each moment of its life."""

import os
import signal
from collections.abc import Iterator

import pexpect
import pytest

from swarmd.errors import ExitStatus
from tests.cluster import ROOT, RealNode, wait
from tests.fakes.running_node import lives

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

WORKERS = ("manager", "agent")


class Terminal:
    """`swarmd run` as the foreground process of a pty."""

    def __init__(self, node: RealNode) -> None:
        self.node = node
        command, *words = node.argv()
        self.screen = pexpect.spawn(
            command, words, env=node.environment, cwd=str(ROOT), encoding="utf-8", timeout=30
        )

    def interrupt(self) -> None:
        self.screen.sendintr()

    def end(self) -> tuple[int, str]:
        """Its exit status, and what it said since."""
        self.screen.expect(pexpect.EOF)
        self.screen.wait()
        assert "Traceback" not in self.screen.before
        return self.screen.exitstatus, self.screen.before

    def workers(self) -> list[int]:
        return [self.node.worker_pid(name) for name in WORKERS]


@pytest.fixture
def terminal(node: RealNode) -> Iterator[Terminal]:
    made = Terminal(node)
    yield made
    made.screen.close(force=True)


def assert_starts_again(node: RealNode) -> None:
    """Whatever was interrupted, nothing is in the way of the next one."""
    process = node.run()
    process.send_signal(signal.SIGINT)
    assert ExitStatus.CLEAN == process.wait(30)


def test_ctrl_c_while_python_imports_ends_it_without_a_word(node: RealNode) -> None:
    node.environment["PYTHONPROFILEIMPORTTIME"] = "1"  # a line for each import that is done
    terminal = Terminal(node)
    terminal.screen.expect("click")
    terminal.interrupt()
    _, said = terminal.end()
    assert signal.SIGINT == terminal.screen.signalstatus
    assert "^C" == said.splitlines()[-1]
    assert not node.processes()


def test_ctrl_c_before_the_workers_run_stops_clean(terminal: Terminal) -> None:
    wait(lambda: terminal.node.report, "the parent's first report")
    terminal.interrupt()
    status, said = terminal.end()
    assert ExitStatus.CLEAN == status
    assert "node is ready" not in said
    assert not terminal.node.processes()
    assert_starts_again(terminal.node)


def test_ctrl_c_while_a_cluster_is_being_made_stops_clean(terminal: Terminal) -> None:
    terminal.screen.expect("made a new cluster")
    terminal.interrupt()
    assert ExitStatus.CLEAN == terminal.end()[0]
    assert_starts_again(terminal.node)


def test_ctrl_c_when_ready_stops_clean_and_leaves_the_tasks(terminal: Terminal) -> None:
    terminal.screen.expect("node is ready")
    node, workers = terminal.node, terminal.workers()
    service = node.create_service("sleep", "1000", replicas=3)
    pids = node.wait_running(service, 3)
    terminal.interrupt()
    status, said = terminal.end()
    assert ExitStatus.CLEAN == status
    assert "node is stopped" in said.splitlines()[-1]
    assert not any(map(lives, workers))
    assert set(pids.values()) == node.task_processes().keys()


def test_a_second_ctrl_c_during_a_stop_kills_and_leaves_the_tasks(terminal: Terminal) -> None:
    terminal.screen.expect("node is ready")
    node, workers = terminal.node, terminal.workers()
    service = node.create_service("sleep", "1000", replicas=3)
    pids = node.wait_running(service, 3)
    os.kill(workers[1], signal.SIGSTOP)  # so that the stop takes its time
    terminal.interrupt()
    terminal.screen.expect("stopping the node")
    terminal.interrupt()
    status, said = terminal.end()
    assert ExitStatus.FAILED == status
    assert "a second signal" in said.splitlines()[-1]
    assert not any(map(lives, workers))
    assert set(pids.values()) == node.task_processes().keys()
    node.run()
    wait(lambda: pids == node.running(service), "the manager's knowledge of its tasks")


def test_two_ctrl_c_at_once_leave_no_worker(terminal: Terminal) -> None:
    terminal.screen.expect("node is ready")
    workers = terminal.workers()
    terminal.interrupt()
    terminal.interrupt()
    assert terminal.end()[0] in {ExitStatus.CLEAN, ExitStatus.FAILED}
    assert not any(map(lives, workers))
    assert_starts_again(terminal.node)
