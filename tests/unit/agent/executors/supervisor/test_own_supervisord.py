"""The configuration and the socket of a supervisord of our own."""

from configparser import RawConfigParser
from pathlib import Path

from workers.agent.executors.supervisor.own_supervisord import configuration


def test_the_configuration_has_the_plugin_and_the_paths() -> None:
    parser = RawConfigParser()
    parser.read_string(configuration(Path("/a%b"), Path("/s.sock"), 1000, 4096))
    assert "/a%%b/supervisord.pid" == parser["supervisord"]["pidfile"]
    assert "4096" == parser["supervisord"]["minfds"]
    assert "/s.sock" == parser["unix_http_server"]["file"]
    assert "user" not in parser["supervisord"]
    assert "supervisor.rpcinterface_factory" in parser["rpcinterface:swarmd"]
