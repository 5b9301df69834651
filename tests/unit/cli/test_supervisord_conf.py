"""The configuration that `swarmd start` makes from the shipped one."""

import configparser
from pathlib import Path

import click
import pytest
from supervisor.options import ServerOptions

from swarmd.cli.supervisord import PROGRAM, render
from swarmd.state_dir import StateDir
from tests.reference import ROOT

SHIPPED = (ROOT / "supervisord.conf").read_text()
GIVEN = {"SWARMD_LOG_LEVEL": "debug", "SWARMD_HOSTNAME": "50% off, really"}


def rendered(place: Path, variables: dict[str, str] | None = None) -> configparser.RawConfigParser:
    conf = configparser.RawConfigParser()
    conf.read_string(render(SHIPPED, StateDir(place), variables or {}))
    return conf


def test_everything_lies_in_the_state_directory():
    conf = rendered(Path("/srv/one"))
    assert "/srv/one/supervisord.sock" == conf["unix_http_server"]["file"]
    assert "unix:///srv/one/supervisord.sock" == conf["supervisorctl"]["serverurl"]
    assert "/srv/one/supervisord.pid" == conf["supervisord"]["pidfile"]
    values = [value for section in conf.sections() for value in conf[section].values()]
    assert not [value for value in values if "/var/lib/swarmd" in value]


def test_the_production_settings_stay():
    program = rendered(Path("/srv/one"))[f"program:{PROGRAM}"]
    assert ("unexpected", "TERM") == (program["autorestart"], program["stopsignal"])
    assert 30 <= int(program["stopwaitsecs"])
    assert (
        "plugin"
        in rendered(Path("/srv/one"))["rpcinterface:swarmd"]["supervisor.rpcinterface_factory"]
    )


def test_supervisord_reads_it_and_gives_the_program_its_options(tmp_path: Path):
    place = tmp_path / "a state"
    (place / "log").mkdir(parents=True)
    path = tmp_path / "supervisord.conf"
    path.write_text(render(SHIPPED, StateDir(place), GIVEN))
    options = ServerOptions()
    options.realize(["-c", str(path), "-n"])
    (group,) = options.process_group_configs
    (program,) = group.process_configs
    expected = {**GIVEN, "SWARMD_STATE_DIR": str(place)}
    assert expected == {name: program.environment[name] for name in expected}
    assert program.command.endswith("-m swarmd run")


def test_a_percent_sign_in_the_path_is_refused():
    with pytest.raises(click.UsageError, match="percent sign"):
        rendered(Path("/srv/100%"))


def test_an_option_that_the_file_cannot_hold_is_refused():
    with pytest.raises(click.UsageError, match="--config"):
        rendered(Path("/srv/one"), {"SWARMD_HOSTNAME": 'a"b'})
