"""A lost manager: its cluster goes on elsewhere, out of a backup, and no task notices."""

import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.errors import ExitStatus
from swarmd.security.key_file import is_sealed
from tests.cluster import RealNode, wait

PASSPHRASE = "correct horse battery staple\n"
READY = api.NodeStatus.State.READY
ON_WORKERS = {"placement": api.Placement(constraints=["node.role==worker"])}


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE)
    return path


@pytest.fixture(scope="module")
def served() -> Iterator[RealNode]:
    """A manager that every test here may back up."""
    with RealNode() as node:
        node.run()
        yield node


def worker_token(manager: RealNode) -> str:
    (cluster,) = manager.call("ListClusters", api.ListClustersRequest()).clusters
    return str(cluster.root_ca.join_tokens.worker)


def nodes(manager: RealNode) -> dict[str, api.Node]:
    return {one.id: one for one in manager.call("ListNodes", api.ListNodesRequest()).nodes}


def service_ids(manager: RealNode) -> set[str]:
    return {one.id for one in manager.call("ListServices", api.ListServicesRequest()).services}


def check(node: RealNode) -> "subprocess.CompletedProcess[str]":
    """`swarmd store check`."""
    words = [sys.executable, "-m", "swarmd", "store", "check", f"--state-dir={node.state_dir}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)


class Load(threading.Thread):
    """Creates services without tasks, one after the other; `made` are those that it was told of."""

    def __init__(self, manager: RealNode) -> None:
        super().__init__()
        self.made: list[str] = []
        self._manager = manager
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            self.made.append(self._manager.create_service("sleep", "1", replicas=0))

    def stop(self) -> None:
        self._enough.set()
        self.join()


@pytest.mark.timeout(240)
def test_a_cluster_goes_on_elsewhere_and_its_workers_tasks_do_not_notice(
    tmp_path: Path, passphrase: Path
) -> None:
    file = tmp_path / "backup"
    with RealNode() as manager, RealNode() as worker, RealNode() as other:
        manager.run()
        worker.environment |= {
            "SWARMD_JOIN_ADDR": manager.remote,
            "SWARMD_JOIN_TOKEN": worker_token(manager),
        }
        worker.run()
        spec = api.SecretSpec(annotations=api.Annotations(name="key"), data=b"hidden")
        secret = manager.call("CreateSecret", api.CreateSecretRequest(spec=spec)).secret
        service = manager.create_service("sleep", "1000", replicas=3, task=ON_WORKERS)
        pids = manager.wait_running(service, 3)
        load = Load(manager)
        load.start()
        wait(lambda: len(load.made) > 5, "some load")
        before = set(load.made)
        done = manager.ctl("backup", "--passphrase-file", str(passphrase), str(file))
        load.stop()
        assert 0 == done.returncode, done.stderr
        gone = manager.report["node_id"]
        manager.kill_all()
        shutil.rmtree(manager.state_dir)

        other.remote = manager.remote
        done = other.swarmd("restore", "--passphrase-file", str(passphrase), str(file))
        assert 0 == done.returncode, done.stderr
        assert f"workers look for a manager at {manager.remote}" in done.stdout
        other.run()
        worker_id = worker.report["node_id"]
        wait(lambda: nodes(other)[worker_id].status.state == READY, "the worker is back")
        assert {worker_id, other.report["node_id"]} == nodes(other).keys()
        assert pids == other.wait_running(service, 3)
        assert set(pids.values()) <= worker.task_processes().keys()
        assert before | {service} <= service_ids(other)
        reference = api.SecretReference(
            secret_id=secret.id, secret_name="key", file=api.FileTarget(name="key")
        )
        show = ("sh", "-c", 'cat "$CREDENTIALS_DIRECTORY/key"; sleep 1000')
        shown = other.create_service(*show, task=ON_WORKERS, secrets=[reference])
        (task,) = other.wait_running(shown, 1)
        log = worker.state_dir / "tasks" / task / "stdout.log"
        wait(lambda: log.exists() and log.read_text() == "hidden", "the secret")
        assert gone not in nodes(other)
        checked = check(other)
        assert 0 == checked.returncode, checked.stdout + checked.stderr


@pytest.mark.timeout(180)
def test_a_locked_cluster_is_restored_over_what_is_left_and_locked_again(
    tmp_path: Path, passphrase: Path
) -> None:
    file = tmp_path / "backup"
    with RealNode("--autolock") as node:
        process = node.run()
        key = node.ctl("cluster", "unlock-key").stdout
        service = node.create_service("sleep", "1000")
        node.wait_running(service, 1)
        assert 0 == node.ctl("backup", "--passphrase-file", str(passphrase), str(file)).returncode
        restore = ("restore", "--force", "--passphrase-file", str(passphrase), str(file))
        done = node.swarmd(*restore)
        assert (ExitStatus.FAILED, True) == (done.returncode, "still run" in done.stderr)
        process.terminate()
        process.wait(30)
        assert 0 == node.swarmd("stop", "--tasks").returncode
        done = node.swarmd(*restore)
        assert 0 == done.returncode, done.stderr
        node.run()
        assert key == node.ctl("cluster", "unlock-key").stdout
        wait(lambda: is_sealed(node.state_dir / "certificates/swarm-node.key"), "the seal")
        node.wait_running(service, 1)


def test_without_a_passphrase_a_key_is_shown_once_and_opens_it(
    served: RealNode, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    done = served.ctl("backup", str(file))
    assert (0, "") == (done.returncode, done.stdout)
    (key,) = re.findall(r"SWMBKP-1-\S+", done.stderr)
    assert stat.S_IFREG | 0o600 == file.stat().st_mode
    assert [file] == list(tmp_path.iterdir())
    (tmp_path / "key").write_text(key)
    there = ("restore", "--dry-run", "--passphrase-file", str(tmp_path / "key"), str(file))
    with RealNode() as other:
        done = other.swarmd(*there)
        assert 0 == done.returncode, done.stderr
        assert not other.state_dir.exists()


def test_a_backup_goes_through_a_pipe(served: RealNode, tmp_path: Path, passphrase: Path) -> None:
    words = [sys.executable, "-m", "swarmd.ctl", "backup", "--passphrase", "-"]
    asked = subprocess.run(
        words,
        input=PASSPHRASE.encode(),
        env=served.environment,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert 0 == asked.returncode, asked.stderr
    assert asked.stdout.startswith(b"swarmd backup\n")
    with RealNode() as other:
        words = other.argv("restore", "--dry-run", "--passphrase-file", str(passphrase), "-")
        done = subprocess.run(
            words, input=asked.stdout, capture_output=True, timeout=90, check=False
        )
        assert 0 == done.returncode, done.stderr
        assert b"network 1, node 1" in done.stdout


def test_a_file_that_is_there_is_replaced_only_by_force(served: RealNode, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("precious")
    done = served.ctl("backup", str(file))
    assert (1, f"Error: {file} is there already: give --force to replace it\n") == (
        done.returncode,
        done.stderr,
    )
    assert "precious" == file.read_text()
    assert 0 == served.ctl("backup", "--force", str(file)).returncode
    assert file.read_bytes().startswith(b"swarmd backup\n")


def test_a_store_is_looked_at_while_its_manager_writes(served: RealNode) -> None:
    load = Load(served)
    load.start()
    try:
        for _ in range(3):
            done = check(served)
            assert 0 == done.returncode, done.stdout + done.stderr
    finally:
        load.stop()
    assert load.made
