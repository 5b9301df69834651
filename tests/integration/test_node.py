"""A real parent with real worker processes of a few lines."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import psutil
import pytest

from swarmd.errors import ExitStatus
from tests.fakes.running_node import RunningNode, eventually, lives

MEBIBYTE = 1 << 20


def test_a_node_becomes_ready_and_stops_clean(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        node.signal(signal.SIGTERM)
        status, lines = node.wait()
    assert ExitStatus.CLEAN == status
    assert any("node is ready" in line for line in lines)
    assert "stopped" == node.report["phase"]


def test_a_clean_stop_with_idle_workers_takes_half_a_second_at_most(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        begun = time.monotonic()
        node.signal(signal.SIGTERM)
        node.wait()
        assert time.monotonic() - begun < 0.5


def test_workers_stop_one_after_the_other_agent_first(tmp_path):
    with RunningNode(tmp_path, agent=["slow-stop"]) as node:
        node.wait_ready()
        node.signal(signal.SIGTERM)
        node.wait()
    assert ["agent stopped", "manager stopped"] == node.journal[-2:]


def test_a_worker_that_ignores_its_stop_is_killed_after_its_grace(tmp_path):
    with RunningNode(tmp_path, agent=["ignore-stop"], grace_seconds=0.3) as node:
        node.wait_ready()
        node.signal(signal.SIGTERM)
        status, lines = node.wait()
    assert ExitStatus.CLEAN == status
    assert any("did not stop within its grace period" in line for line in lines)


@pytest.mark.parametrize(
    ("behaviour", "limits", "status", "reason"),
    [
        ("refuse", {}, ExitStatus.CANNOT_BOOT, "manager cannot boot: the flag --listen-remote-api"),
        ("fail", {"failed_starts": 2}, ExitStatus.FAILED, "manager cannot be kept running"),
    ],
)
def test_a_worker_that_does_not_start_ends_the_node(tmp_path, behaviour, limits, status, reason):
    with RunningNode(tmp_path, manager=[behaviour], limits=limits) as node:
        ended, lines = node.wait()
    assert status == ended
    assert reason in lines[-1]
    assert reason in node.report["reason"]


def test_a_second_signal_kills(tmp_path):
    with RunningNode(tmp_path, agent=["ignore-stop"]) as node:
        node.wait_ready()
        pids = [node.worker_pid(name) for name in ("agent", "manager")]
        node.signal(signal.SIGTERM)
        eventually(lambda: node.worker("agent")["state"] == "STOPPING")
        begun = time.monotonic()
        node.signal(signal.SIGTERM)
        status, lines = node.wait()
        assert time.monotonic() - begun < 0.5
    assert ExitStatus.FAILED == status
    assert "a second signal" in lines[-1]
    assert not any(map(lives, pids))


def test_a_second_node_on_one_state_directory_is_refused(tmp_path):
    with RunningNode(tmp_path) as first:
        first.wait_ready()
        with RunningNode(tmp_path) as second:
            status, lines = second.wait()
        assert ExitStatus.CANNOT_BOOT == status
        assert f"{tmp_path} is in use by another swarmd, pid {first.pid}" in lines[-1]
        assert first.report["ready"]
    assert 1 == first.journal.count("agent started")


def test_a_second_node_that_waits_can_be_stopped(tmp_path):
    with RunningNode(tmp_path) as first:
        first.wait_ready()
        with RunningNode(tmp_path) as second:
            eventually(lambda: any("waits for the state directory" in one for one in second.lines))
            second.signal(signal.SIGINT)
            assert ExitStatus.CLEAN == second.wait()[0]


def test_a_node_takes_over_from_one_that_just_leaves(tmp_path):
    with RunningNode(tmp_path, agent=["slow-stop"]) as first:
        first.wait_ready()
        first.signal(signal.SIGTERM)
        with RunningNode(tmp_path) as second:
            second.wait_ready()
            second.signal(signal.SIGTERM)
            second.wait()
        assert ExitStatus.CLEAN == first.wait()[0]
    assert second.journal.index("manager stopped") < len(second.journal) // 2


@pytest.mark.parametrize("place", ["/proc/swarmd", "{file}/state"])
def test_a_state_directory_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").write_text("")
    path = place.format(file=tmp_path / "file")
    with RunningNode(Path(path)) as node:
        status, lines = node.wait()
    assert ExitStatus.CANNOT_BOOT == status
    assert "cannot use the state directory" in lines[-1]
    assert path.removesuffix("/state") in lines[-1]


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "swarmd.lock").mkdir()
    with RunningNode(tmp_path) as node:
        status, lines = node.wait()
    assert ExitStatus.CANNOT_BOOT == status
    assert "swarmd.lock" in lines[-1]


def test_a_reload_takes_the_new_log_level_and_no_mistake(tmp_path):
    level = tmp_path / "level"
    with RunningNode(tmp_path, log_level_file=str(level)) as node:
        node.wait_ready()
        for words, answer in [
            ("debug", "reloaded log_level=debug"),
            ("loud", "cannot reload: everything stays as it was"),
        ]:
            level.write_text(words)
            node.signal(signal.SIGHUP)
            eventually(lambda answer=answer: any(answer in line for line in node.lines))
        assert node.report["ready"]
        node.signal(signal.SIGTERM)
        assert ExitStatus.CLEAN == node.wait()[0]


def test_systemd_is_told_when_the_node_is_ready_and_when_it_stops(tmp_path):
    place = Path(tempfile.mkdtemp(prefix="swd")) / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(place))
        with RunningNode(tmp_path, environment={"NOTIFY_SOCKET": str(place)}) as node:
            assert "READY=1\nSTATUS=ready" == systemd.recv(1000).decode()
            node.signal(signal.SIGTERM)
            assert "STOPPING=1\nSTATUS=stopping" == systemd.recv(1000).decode()
            node.wait()


def test_a_parent_stays_small(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        assert psutil.Process(node.pid).memory_info().rss < 30 * MEBIBYTE


def test_a_worker_is_out_of_reach_of_the_terminal(tmp_path):
    with RunningNode(tmp_path) as node:
        node.wait_ready()
        for name in ("agent", "manager"):
            pid = node.worker_pid(name)
            session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3]
            assert pid == int(session)


def test_no_option_stands_on_a_workers_command_line(tmp_path):
    with RunningNode(tmp_path, join_addr="10.9.8.7:4242", agent=["role=worker"]) as node:
        node.wait_ready()
        process = psutil.Process(node.worker_pid("agent"))
        assert "10.9.8.7" not in " ".join(process.cmdline())
        assert not [name for name in process.environ() if name == "SWARMD_JOIN_ADDR"]


class Terminal:
    """A node in a terminal of its own, where Ctrl+C goes to its foreground process group."""

    def __init__(self, node: RunningNode):
        self.node = node
        self.screen = pexpect.spawn(
            node.argv[0], node.argv[1:], env=node.environment, encoding="utf-8", timeout=10
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.screen.close(force=True)

    @property
    def workers(self) -> list[dict]:
        path = self.node.state_dir / "run" / "node.json"
        return json.loads(path.read_bytes())["processes"] if path.exists() else []

    def end(self) -> int:
        self.screen.expect(pexpect.EOF)
        self.screen.wait()
        return self.screen.exitstatus


def test_ctrl_c_during_start_stops_clean(tmp_path):
    with Terminal(RunningNode(tmp_path, manager=["late-ready"])) as terminal:
        eventually(lambda: "manager started" in terminal.node.journal)
        terminal.screen.sendintr()
        assert ExitStatus.CLEAN == terminal.end()
    assert "node is ready" not in terminal.screen.before


def test_ctrl_c_before_anything_runs_leaves_nothing_behind(tmp_path):
    with Terminal(RunningNode(tmp_path)) as terminal:
        eventually(lambda: terminal.workers)
        terminal.screen.sendintr()
        assert ExitStatus.CLEAN == terminal.end()
    assert [None] * len(terminal.workers) == [worker["pid"] for worker in terminal.workers]


def test_ctrl_c_when_ready_stops_in_order(tmp_path):
    with Terminal(RunningNode(tmp_path, agent=["slow-stop"])) as terminal:
        terminal.screen.expect("node is ready")
        terminal.screen.sendintr()
        assert ExitStatus.CLEAN == terminal.end()
    assert ["agent stopped", "manager stopped"] == terminal.node.journal[-2:]
    assert "Traceback" not in terminal.screen.before


def test_ctrl_c_during_a_stop_kills(tmp_path):
    with Terminal(RunningNode(tmp_path, agent=["ignore-stop"])) as terminal:
        terminal.screen.expect("node is ready")
        pids = [worker["pid"] for worker in terminal.workers]
        terminal.screen.sendintr()
        terminal.screen.expect("stopping the node")
        terminal.screen.sendintr()
        assert ExitStatus.FAILED == terminal.end()
    assert not any(map(lives, pids))
    assert "a second signal" in terminal.screen.before.splitlines()[-1]


def test_two_ctrl_c_at_once_leave_nothing_behind(tmp_path):
    with Terminal(RunningNode(tmp_path, agent=["slow-stop"])) as terminal:
        terminal.screen.expect("node is ready")
        pids = [worker["pid"] for worker in terminal.workers]
        terminal.screen.sendintr()
        terminal.screen.sendintr()
        assert terminal.end() in {ExitStatus.CLEAN, ExitStatus.FAILED}
    assert not any(map(lives, pids))
    assert "Traceback" not in terminal.screen.before


def test_a_node_whose_supervisord_is_gone_stops(tmp_path):
    """The next supervisord starts a swarmd of its own, which finds the state directory free."""
    node = RunningNode(tmp_path, environment={"SUPERVISOR_ENABLED": "1"})
    starter = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    supervisord = subprocess.Popen(
        [sys.executable, "-c", starter, *node.argv], env=node.environment, stderr=subprocess.DEVNULL
    )
    report = tmp_path / "run" / "node.json"
    try:
        eventually(lambda: report.exists() and json.loads(report.read_bytes())["ready"])
        pid = json.loads(report.read_bytes())["pid"]
    finally:
        supervisord.kill()
        supervisord.wait()
    eventually(lambda: not lives(pid), seconds=2)
    assert "stopped" == json.loads(report.read_bytes())["phase"]
