"""A backup that cannot be ended leaves nothing, and what was there before it stays."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd import api
from tests import builders
from tests.cluster import RealNode, wait

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_CONFIGS = 60
_CONFIG_BYTES = 200_000


def fill(node: RealNode) -> None:
    """So much that no pipe between the manager and its client holds it all."""
    for _ in range(_CONFIGS):
        spec = builders.config(data=os.urandom(_CONFIG_BYTES)).spec
        node.call("CreateConfig", api.CreateConfigRequest(spec=spec))


def test_a_full_disk_leaves_no_half_file_and_the_one_before(
    node: RealNode, mount: Callable[[str], Path]
) -> None:
    disk = mount("size=2m")
    node.run()
    file = disk / "backup"
    assert 0 == node.ctl("backup", str(file)).returncode
    before = file.read_bytes()
    fill(node)
    done = node.ctl("backup", "--force", str(file))
    assert (1, f"Error: cannot write {file}: No space left on device\n") == (
        done.returncode,
        done.stderr,
    )
    assert [file] == list(disk.iterdir())
    assert before == file.read_bytes()


def test_a_restore_on_a_full_disk_changes_nothing(
    node: RealNode, mount: Callable[[str], Path], tmp_path: Path
) -> None:
    disk = mount("size=4m")
    node.run()
    fill(node)
    done = node.ctl("backup", str(tmp_path / "backup"))
    (tmp_path / "key").write_text(re.findall(r"SWMBKP-1-\S+", done.stderr)[0])
    words = ["--state-dir", str(disk), "--passphrase-file", str(tmp_path / "key")]
    restore = [sys.executable, "-m", "swarmd", "restore", *words, str(tmp_path / "backup")]
    done = subprocess.run(restore, capture_output=True, text=True, timeout=90, check=False)
    assert 1 == done.returncode
    assert done.stderr.startswith(f"Error: nothing in {disk} was changed: ")
    assert "free some space" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert ["swarmd.lock"] == [one.name for one in disk.iterdir()]


def test_a_manager_that_is_killed_meanwhile_leaves_no_half_file(
    node: RealNode, tmp_path: Path
) -> None:
    node.run()
    fill(node)
    words = [sys.executable, "-m", "swarmd.ctl", "backup", str(tmp_path / "backup")]
    with subprocess.Popen(words, env=node.environment, stderr=subprocess.PIPE, text=True) as client:
        wait(lambda: any(one.stat().st_size for one in tmp_path.iterdir()), "the first bytes")
        client.send_signal(signal.SIGSTOP)
        os.kill(node.worker_pid("manager"), signal.SIGKILL)
        client.send_signal(signal.SIGCONT)
        _, said = client.communicate(timeout=60)
    assert 1 == client.returncode
    assert said.startswith("Error: ")
    assert 1 == len(said.splitlines())
    assert [] == list(tmp_path.iterdir())
