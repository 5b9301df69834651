"""A real manager, held to what SwarmKit's manager answered to the same questions."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.running_node import eventually, lives
from tests.reference import ROOT, shared

READY_SECONDS = 30
STOP_SECONDS = 30
PROBES_SECONDS = 240


@dataclass(frozen=True)
class Manager:
    """Where it can be reached."""

    control: Path
    remote: str


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A node with a fresh state directory, ready; it is gone with all it started afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="swd") as directory,  # short enough for a socket's path
        _node(Path(directory)) as manager,
    ):
        yield manager


@contextlib.contextmanager
def _node(directory: Path) -> Iterator[Manager]:
    manager = Manager(directory / "swarmd.sock", f"127.0.0.1:{_free_port()}")
    state_dir, log = directory / "state", directory / "log"
    command = [sys.executable, "-m", "swarmd", "run", "--state-dir", str(state_dir)]
    command += ["--listen-control-api", str(manager.control)]
    command += ["--listen-remote-api", manager.remote]
    with log.open("wb") as output:
        node = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
    try:
        eventually(lambda: b"node is ready" in log.read_bytes(), seconds=READY_SECONDS)
        yield manager
        node.send_signal(signal.SIGTERM)
        assert 0 == node.wait(STOP_SECONDS), log.read_text()
    finally:
        node.kill()
        node.wait()
        _end_tasks(state_dir)


def _end_tasks(state_dir: Path) -> None:
    """The supervisord that the node brought along outlives it, so that tasks do."""
    pid_file = state_dir / "supervisor" / "supervisord.pid"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not lives(pid), seconds=STOP_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _documented() -> list[str]:
    """The probes in the table of docs/differences.md."""
    text = (ROOT / "docs" / "differences.md").read_text()
    return sorted(re.findall(r"^\| `([a-z-]+\.\w+)` \|", text, re.MULTILINE))


def _differing(output: str) -> list[str]:
    """The probes of which the report says that they differ; of wording it speaks too."""
    told = re.findall(r"^([a-z-]+\.\w+): (?!wording of )", output, re.MULTILINE)
    return sorted(set(told))


@pytest.mark.timeout(READY_SECONDS + PROBES_SECONDS + STOP_SECONDS)
def test_a_manager_differs_from_swarmkits_only_where_it_says_so(
    manager: Manager, tmp_path: Path
) -> None:
    conformance = shared("conformance")
    command = [sys.executable, "-B", str(conformance / "probes.py"), "compare"]
    command += ["--control", f"unix:{manager.control}", "--remote", manager.remote]
    command += ["--expect", str(conformance / "go-swarmd.json")]
    command += ["--out", str(tmp_path / "found.json")]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PROBES_SECONDS, check=False
    )
    asked = json.loads((conformance / "go-swarmd.json").read_text())["probes"]
    agreeing = len(asked) - len(_documented())
    summary = f"{agreeing} of {len(asked)} probes agree"
    assert _documented() == _differing(ended.stdout), ended.stdout + ended.stderr
    assert summary == ended.stdout.splitlines()[-1]
