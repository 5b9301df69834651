"""swarmd logs: whose lines, how many, and what follows a rotation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from swarmd.cli.logs import log_path, logs
from swarmd.state_dir import StateDir

LINES = [
    "2026-01-01T00:00:00.000Z info    swarmd  node is ready",
    "2026-01-01T00:00:00.000Z info    manager manager serves",
    "2026-01-01T00:00:00.000Z info    agent   registered process=manager",
    '{"time": "…", "level": "info", "process": "manager", "event": "leads"}',
]


@pytest.fixture
def shown(tmp_path: Path) -> Callable[..., list[str]]:
    path = log_path(StateDir(tmp_path))
    path.parent.mkdir()
    path.write_text("\n".join(LINES) + "\n")

    def show(*options: str) -> list[str]:
        result = CliRunner().invoke(logs, ["--state-dir", str(tmp_path), *options])
        assert 0 == result.exit_code, result.output
        return result.output.splitlines()

    return show


def test_all_lines_are_shown(shown: Callable[..., list[str]]) -> None:
    assert LINES == shown()


def test_the_last_lines_are_shown(shown: Callable[..., list[str]]) -> None:
    assert LINES[-2:] == shown("-n", "2")
    assert [] == shown("-n", "0")


def test_a_workers_lines_are_told_by_their_process_in_both_forms(
    shown: Callable[..., list[str]],
) -> None:
    assert [LINES[1], LINES[3]] == shown("--worker", "manager")
    assert [LINES[2]] == shown("--worker", "agent")
    assert [LINES[3]] == shown("--worker", "manager", "-n", "1")


def test_a_node_in_the_foreground_has_no_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(logs, ["--state-dir", str(tmp_path)])
    assert (1, True) == (result.exit_code, "its own terminal" in result.output)
