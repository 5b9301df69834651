"""What agent and plugin tell each other arrives as it was sent."""

import json

import pytest

from workers.agent.executors.supervisor.messages import (
    Changes,
    Limits,
    ProgramSettings,
    ProgramStatus,
)

SETTINGS = ProgramSettings(
    id="t1",
    group="web",
    name="1.t1",
    file="/bin/echo",
    argv=["echo", "a b", "\u00e9\n\x01"],
    environment={"A": "b=c"},
    directory="/",
    uid=0,
    gid=0,
    groups=[0, 8],
    stdout="/tasks/t1/stdout.log",
    stderr="",
    started_mark="/tasks/t1/started",
    log_bytes=1,
    log_backups=0,
    stop_signal=15,
    grace_seconds=0.5,
    limits=Limits(pids=3),
)


def test_settings_survive_the_way_to_supervisord() -> None:
    assert SETTINGS == ProgramSettings.from_dict(json.loads(json.dumps(SETTINGS.to_dict())))


def test_settings_of_another_version_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        ProgramSettings.from_dict(SETTINGS.to_dict() | {"colour": "red"})


def test_changes_survive_the_way_to_the_agent() -> None:
    status = ProgramStatus(id="t1", namespec="web:1.t1", state="EXITED", ended=True, exit_code=3)
    changes = Changes(boot="b", number=7, whole=True, programs=[status])
    assert changes == Changes.from_json(changes.to_json())
