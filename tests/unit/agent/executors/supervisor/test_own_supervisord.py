"""The configuration and the socket of a supervisord of our own."""

from configparser import RawConfigParser
from pathlib import Path

from workers.agent.executors.supervisor.own_supervisord import (
    LONGEST_SOCKET_PATH,
    configuration,
    socket_path,
)


def test_a_short_directory_holds_its_socket() -> None:
    assert Path("/var/lib/x/supervisord.sock") == socket_path(Path("/var/lib/x"))


def test_a_long_directory_has_a_short_socket_of_its_own() -> None:
    one, other = (socket_path(Path("/" + "x" * 100 + end)) for end in "ab")
    assert one != other
    assert len(str(one)) + len(".4194304") <= LONGEST_SOCKET_PATH


def test_the_configuration_has_the_plugin_and_the_paths() -> None:
    parser = RawConfigParser()
    parser.read_string(configuration(Path("/a%b"), Path("/s.sock"), 1000, 4096))
    assert "/a%%b/supervisord.pid" == parser["supervisord"]["pidfile"]
    assert "4096" == parser["supervisord"]["minfds"]
    assert "/s.sock" == parser["unix_http_server"]["file"]
    assert "user" not in parser["supervisord"]
    assert "supervisor.rpcinterface_factory" in parser["rpcinterface:swarmd"]
