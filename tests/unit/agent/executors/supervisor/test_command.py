"""Where a command is found, and why it is not."""

from pathlib import Path

import pytest

from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.command import find


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for name, mode in (("run", 0o755), ("data", 0o644)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    return tmp_path


def test_a_name_is_looked_for_on_the_task_s_path(tools: Path) -> None:
    assert f"{tools}/run" == find(["run", "x"], f"/nowhere:relative:{tools}", "/")


def test_a_relative_path_starts_at_the_task_s_directory(tools: Path) -> None:
    assert f"{tools}/run" == find(["./run"], "", str(tools))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("data", "command: data is not found in "),
        ("./data", "command: ./data is not executable"),
        ("./nothing", "command: ./nothing cannot be run: No such file or directory"),
        ("../", "command: ../ is not a file"),
        ("run me", "command: run me is not found in "),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(tools: Path, name: str, reason: str) -> None:
    with pytest.raises(RejectedError, match=f"^{reason}"):
        find([name], str(tools), str(tools))


def test_neither_command_nor_args_is_refused() -> None:
    with pytest.raises(RejectedError, match="needs a command or args"):
        find([], "/bin", "/")


def test_a_directory_that_is_none_is_refused(tools: Path) -> None:
    with pytest.raises(RejectedError, match=r"^dir: .*/run is not a directory"):
        find(["run"], str(tools), str(tools / "run"))
