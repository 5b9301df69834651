"""A worker process by itself, with its parent's ends of the pipes in our hands."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swarmd.config import NodeConfig
from swarmd.errors import ExitStatus
from swarmd.ipc import messages
from swarmd.ipc.messages import Alive, Configure, Failed, LogLevel, Managers, Ready, Stopping
from tests.fakes.running_node import ROOT, eventually, lives

WORKER = str(Path(ROOT) / "tests" / "fakes" / "worker.py")


class Worker:
    def __init__(self, state_dir, *behaviour, orphan_seconds="1"):
        self.config = NodeConfig(hostname="host", state_dir=state_dir)
        self._state_dir = state_dir
        self._up, status = os.pipe()
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT)
        ends = {"SWARMD_STATUS_FD": str(status), "SWARMD_LOCK_FD": str(lock)}
        times = {"SWARMD_ALIVE_SECONDS": "0.05", "SWARMD_ORPHAN_SECONDS": orphan_seconds}
        with (state_dir / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, WORKER, "agent", *behaviour],
                stdin=subprocess.PIPE,
                stderr=stderr,
                pass_fds=(status, lock),
                env={**os.environ, "PYTHONPATH": ROOT, **ends, **times},
            )
        os.close(status)
        os.close(lock)
        self._heard = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        os.close(self._up)

    @property
    def stderr(self) -> str:
        return (self._state_dir / "stderr").read_text()

    def tell(self, *said):
        self.process.stdin.write(b"".join(map(messages.encode, said)))
        self.process.stdin.flush()

    def configure(self):
        self.tell(Configure(self.config.to_json()))

    def wait_for(self, kind):
        """Read until it says something of this kind; that."""
        while True:
            while b"\n" not in self._heard:
                chunk = os.read(self._up, 65536)
                assert chunk, "it ended without saying so"
                self._heard += chunk
            line, _, self._heard = self._heard.partition(b"\n")
            message = messages.decode_up(line)
            if isinstance(message, kind):
                return message

    def end(self):
        return self.process.wait(10)


def test_a_worker_is_alive_before_it_knows_its_configuration(tmp_path):
    with Worker(tmp_path) as worker:
        assert Alive() == worker.wait_for(Alive)


def test_a_configured_worker_becomes_ready_and_stops_when_told(tmp_path):
    with Worker(tmp_path) as worker:
        worker.configure()
        worker.wait_for(Ready)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(Stopping)
        assert ExitStatus.CLEAN == worker.end()


def test_a_worker_without_a_configuration_can_be_stopped(tmp_path):
    with Worker(tmp_path) as worker:
        worker.wait_for(Alive)
        worker.process.send_signal(signal.SIGTERM)
        assert ExitStatus.CLEAN == worker.end()


@pytest.mark.parametrize("configured", [False, True])
def test_a_worker_leaves_with_its_parent(tmp_path, configured):
    with Worker(tmp_path) as worker:
        worker.wait_for(Alive)
        if configured:
            worker.configure()
            worker.wait_for(Ready)
        worker.process.stdin.close()
        assert ExitStatus.CLEAN == worker.end()


def test_a_worker_that_hangs_in_its_stop_leaves_with_its_parent_nevertheless(tmp_path):
    with Worker(tmp_path, "ignore-stop", orphan_seconds="0.3") as worker:
        worker.configure()
        worker.wait_for(Ready)
        worker.process.stdin.close()
        assert ExitStatus.FAILED == worker.end()


def test_a_worker_that_cannot_boot_says_why(tmp_path):
    with Worker(tmp_path, "refuse") as worker:
        worker.configure()
        failed = worker.wait_for(Failed)
        assert Failed("the flag --listen-remote-api does not parse", cannot_boot=True) == failed
        assert ExitStatus.CANNOT_BOOT == worker.end()


def test_a_corrupt_state_found_in_a_task_group_is_no_use_to_try_again(tmp_path):
    with Worker(tmp_path, "corrupt") as worker:
        worker.configure()
        assert Failed("tasks.db is corrupt", cannot_boot=True) == worker.wait_for(Failed)
        assert ExitStatus.CANNOT_BOOT == worker.end()


def test_a_worker_that_fails_says_why_and_logs_it(tmp_path):
    with Worker(tmp_path, "fail") as worker:
        worker.configure()
        assert Failed("RuntimeError: no such luck") == worker.wait_for(Failed)
        assert ExitStatus.FAILED == worker.end()
        assert "Traceback" in worker.stderr


def test_a_worker_that_fails_for_a_reason_of_ours_says_no_more_than_that(tmp_path):
    with Worker(tmp_path, "lose-etcd") as worker:
        worker.configure()
        assert Failed("etcd was killed by SIGKILL") == worker.wait_for(Failed)
        assert ExitStatus.FAILED == worker.end()
        (line,) = [one for one in worker.stderr.splitlines() if "failed" in one]
        assert line.endswith('failed reason="etcd was killed by SIGKILL"')
        assert "Traceback" not in worker.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"hostname": "h", "later": 1}', "{}"])
def test_another_versions_configuration_is_refused(tmp_path, text):
    with Worker(tmp_path) as worker:
        worker.tell(Configure(text))
        assert worker.wait_for(Failed).cannot_boot
        assert ExitStatus.CANNOT_BOOT == worker.end()


def test_what_it_does_not_know_is_passed_over(tmp_path):
    with Worker(tmp_path) as worker:
        worker.process.stdin.write(b'{"kind": "Sing"}\n')
        worker.tell(LogLevel("loud"))
        worker.configure()
        worker.wait_for(Ready)
        worker.tell(LogLevel("loud"), Managers(("a:1",)))
        journal = tmp_path / "journal"
        eventually(lambda: "heard Managers(addrs=('a:1',))" in journal.read_text())


def test_what_a_worker_starts_holds_none_of_its_ends(tmp_path):
    with Worker(tmp_path, "start-child") as worker:
        worker.configure()
        worker.wait_for(Ready)
        child = int((tmp_path / "child").read_text())
        try:
            links = {str(each.readlink()) for each in Path(f"/proc/{child}/fd").iterdir()}
            assert str(tmp_path / "lock") not in links
            assert os.devnull == str(Path(f"/proc/{child}/fd/0").readlink())
            assert not any(link.startswith("pipe:") for link in links)
            worker.process.send_signal(signal.SIGTERM)
            assert ExitStatus.CLEAN == worker.end()
            assert lives(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_worker_started_by_hand_says_who_starts_it():
    environment = {**os.environ, "PYTHONPATH": ROOT}
    ran = subprocess.run(
        [sys.executable, WORKER, "agent"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ExitStatus.USAGE == ran.returncode
    assert "started by swarmd" in ran.stderr
