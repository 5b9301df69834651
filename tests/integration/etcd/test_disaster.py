"""A cluster of several managers: backed up by way of any of them, restored as one of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import RealNode
from tests.quorum import formed, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "etcd is here"),
    pytest.mark.timeout(240),
]


def check(node: RealNode) -> "subprocess.CompletedProcess[str]":
    """`swarmd store check`."""
    words = [sys.executable, "-m", "swarmd", "store", "check", f"--state-dir={node.state_dir}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)


def test_what_a_follower_backs_up_has_all_that_was_acknowledged_and_one_manager_goes_on(
    tmp_path: Path,
) -> None:
    file, passphrase = tmp_path / "backup", tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    with formed(2) as managers, RealNode() as other:
        (follower,) = managers.followers
        services = {managers.leader.create_service("sleep", "1", replicas=0) for _ in range(20)}
        done = follower.ctl("backup", "--passphrase-file", str(passphrase), str(file))
        assert 0 == done.returncode, done.stderr
        checked = check(follower)
        assert 0 == checked.returncode, checked.stdout + checked.stderr
        for node in managers.nodes:
            node.kill_all()
        stopped = check(follower)
        assert 78 == stopped.returncode
        assert "keeps the store in etcd with other managers: more than half" in stopped.stderr

        done = other.swarmd("restore", "--passphrase-file", str(passphrase), str(file))
        assert 0 == done.returncode, done.stderr
        other.run()
        shown = other.ctl("service", "ls", "-q").stdout.split()
        assert len(services) == len(shown)
        assert 1 == len(other.ctl("node", "ls", "-q").stdout.split())
