"""What a node is told: flags, SWARMD_* variables, the TOML file; in that order of precedence."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from swarmd.cli.options import environment, node_config, node_options, with_live_changes
from swarmd.config import NodeConfig
from swarmd.state_dir import StateDir

seen: list[tuple[NodeConfig, click.Context]] = []


@click.command()
@node_options
@click.pass_context
def probe(ctx: click.Context, **values: object) -> None:
    seen.append((node_config(values), ctx))


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(probe, arguments, env=variables)


def told(*arguments: str, **variables: str) -> NodeConfig:
    seen.clear()
    result = run(*arguments, **variables)
    assert 0 == result.exit_code, result.output
    return seen[0][0]


def refused(*arguments: str, **variables: str) -> str:
    result = run(*arguments, **variables)
    assert 2 == result.exit_code
    return result.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "swarmd.toml"
    path.write_text('log-level = "error"\nheartbeat-tick = 2\nengine-addr = ["supervisor://"]\n')
    return path


def test_the_defaults_are_those_of_the_go_program():
    config = told()
    assert Path("/var/lib/swarmd") == config.state_dir
    assert Path("/var/run/swarmd.sock") == config.listen_control_api
    assert "0.0.0.0:4242" == config.listen_remote_api
    assert "info" == config.log_level


def test_managers_elect_another_within_a_second_and_after_six_heartbeats():
    config = told()
    assert (0.1, 0.6) == (config.heartbeat_tick, pytest.approx(config.election_tick))
    assert 12.0 == told("--heartbeat-tick", "2").election_tick


def test_a_flag_beats_a_variable_beats_the_file(file: Path):
    assert "error" == told("--config", str(file)).log_level
    assert "warn" == told("--config", str(file), SWARMD_LOG_LEVEL="warn").log_level
    given = told("--config", str(file), "--log-level", "debug", SWARMD_LOG_LEVEL="warn")
    assert "debug" == given.log_level


def test_every_option_has_a_variable_and_a_key(tmp_path: Path):
    names = {name.replace("_", "-") for name in NodeConfig.__dataclass_fields__}
    options = {o.opts[0].removeprefix("--") for o in probe.params if isinstance(o, click.Option)}
    assert names <= options
    assert all(
        option.envvar == "SWARMD_" + option.opts[0].removeprefix("--").replace("-", "_").upper()
        for option in probe.params
        if isinstance(option, click.Option)
    )


def test_the_file_gives_lists_and_numbers(file: Path):
    config = told("--config", str(file))
    assert ("supervisor://",) == config.engine_addr
    assert 2.0 == config.heartbeat_tick


def test_many_engines_come_from_one_variable():
    config = told(SWARMD_ENGINE_ADDR="supervisor:///a supervisor:///b")
    assert ("supervisor:///a", "supervisor:///b") == config.engine_addr


def test_a_plugin_is_a_name_and_the_path_of_its_socket():
    config = told("--csi-plugin", "ebs=/run/ebs.sock", "--csi-plugin", "nfs.x=unix:///run/n.sock")
    assert ("ebs=/run/ebs.sock", "nfs.x=/run/n.sock") == config.csi_plugin
    assert config == NodeConfig.from_json(config.to_json())


def test_a_node_of_a_cluster_needs_no_token_to_be_told_where_its_managers_are(tmp_path: Path):
    options = ("--state-dir", str(tmp_path), "--join-addr", "10.0.0.1:4242")
    assert "go together" in refused(*options)
    certificate = StateDir(tmp_path).node_certificate
    certificate.parent.mkdir()
    certificate.touch()
    assert ("10.0.0.1:4242", "") == (told(*options).join_addr, told(*options).join_token)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--csi-plugin", "/run/ebs.sock"], "is not NAME=/path/of/its.sock"),
        (["--csi-plugin", "a/b=/run/ebs.sock"], "is not NAME=/path/of/its.sock"),
        (["--csi-plugin", "ebs="], "is not NAME=/path/of/its.sock"),
        (["--csi-plugin", "e=/a", "--csi-plugin", "e=/b"], "plugin e is given twice"),
        (["--listen-remote-api", "4242"], "'4242' is not HOST:PORT"),
        (["--listen-remote-api", "0.0.0.0:70000"], "is not HOST:PORT"),
        (["--log-level", "loud"], "'loud' is not one of"),
        (["--heartbeat-tick", "0"], "0.0 is not in the range"),
        (["--heartbeat-tick", "5", "--election-tick", "5"], "must be more than"),
        (["--state-dir", ""], "cannot be a directory"),
        (["--join-addr", "10.0.0.1:4242"], "--join-addr and a join token go together"),
        (["--join-addr", "10.0.0.1", "--join-token", "t"], "'10.0.0.1' is not HOST:PORT"),
        (["--label", "a b"], "is not key=value"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_a_flag_that_does_not_parse_is_refused_with_a_sentence(arguments: list[str], words: str):
    assert words in refused(*arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("log-level = ", "Invalid value"),
        ('colour = "red"', "no option is named 'colour'"),
        ('log-level = "loud"', "'loud' is not one of"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, words: str):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    assert words in refused("--config", str(path))


def test_a_missing_file_is_named(tmp_path: Path):
    assert "missing.toml" in refused("--config", str(tmp_path / "missing.toml"))


def test_what_was_given_can_be_given_on(file: Path):
    told("--config", str(file), "-l", "warn", SWARMD_ENGINE_ADDR="supervisor:///a")
    expected = {
        "SWARMD_CONFIG": str(file),
        "SWARMD_LOG_LEVEL": "warn",
        "SWARMD_ENGINE_ADDR": "supervisor:///a",
    }
    assert expected == environment(seen[0][1])


def test_a_reload_takes_the_log_level_of_the_file(file: Path):
    config = told("--config", str(file))
    file.write_text('log-level = "debug"\nheartbeat-tick = 9\n')
    again = with_live_changes(config, seen[0][1])
    assert ("debug", 2.0) == (again.log_level, again.heartbeat_tick)


def test_a_reload_does_not_overrule_a_flag(file: Path):
    config = told("--config", str(file), "--log-level", "warn")
    file.write_text('log-level = "debug"\n')
    assert "warn" == with_live_changes(config, seen[0][1]).log_level


def test_a_config_survives_the_pipe_to_a_worker():
    config = told("--engine-addr", "supervisor:///x", "--hostname", "häuschen")
    assert config == NodeConfig.from_json(config.to_json())


def test_an_unlock_key_of_another_form_is_refused_without_repeating_it():
    output = refused("--unlock-key", "hunter2hunter2")
    assert "invalid unlock key" in output
    assert "hunter2" not in output


def test_an_unlock_key_is_given_on_to_nobody():
    """`start` would write it into supervisord.conf."""
    told("--unlock-key", "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
    with pytest.raises(click.UsageError, match="swarmd unlock"):
        environment(seen[0][1])
