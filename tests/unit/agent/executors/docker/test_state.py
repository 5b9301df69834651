"""How a container stands, and how its end is told."""

from typing import Any

import pytest

from workers.agent.executors.docker import state
from workers.agent.executors.errors import ExecutorError, ExitError


def found(**changes: Any) -> dict[str, Any]:
    of = {"Status": "running", "Pid": 7, "ExitCode": 0, "Error": "", "OOMKilled": False}
    return {"Id": "abc", "State": of | changes, "Config": {"Tty": False}}


def test_a_look_is_read() -> None:
    health = {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "no\n"}]}
    looked = state.read(found(Health=health))
    assert ("abc", 7, "unhealthy", "no", False) == (
        looked.id,
        looked.pid,
        looked.health,
        looked.said,
        looked.has_ended,
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ExitCode": 2}, "task: non-zero exit (2)"),
        (
            {"ExitCode": 137, "OOMKilled": True},
            "task: non-zero exit (137): out of memory: it reached its memory limit",
        ),
        ({"ExitCode": 128, "Error": "no disk"}, "task: non-zero exit (128): no disk"),
    ],
)
def test_a_bad_end_is_told_with_its_cause(changes: dict[str, Any], sentence: str) -> None:
    error = state.exit_error(state.read(found(Status="exited", **changes)))
    assert isinstance(error, ExitError)
    assert (changes["ExitCode"], sentence) == (error.code, str(error))


def test_a_good_end_is_no_error() -> None:
    assert state.exit_error(state.read(found(Status="exited"))) is None


def test_an_unhealthy_one_fails_even_if_it_ends_well() -> None:
    error = state.exit_error(state.read(found(Status="exited")), is_unhealthy=True)
    assert (ExecutorError, "task: unhealthy container") == (type(error), str(error))
