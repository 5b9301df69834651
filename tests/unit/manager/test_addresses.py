"""What a manager tells others of where it is."""

import pytest

from swarmd.config import NodeConfig
from workers.manager import addresses
from workers.manager.addresses import listens_everywhere, reachable_address


def config(listen: str, advertise: str = "") -> NodeConfig:
    return NodeConfig(hostname="h", listen_remote_api=listen, advertise_remote_api=advertise)


@pytest.mark.parametrize(
    ("listen", "advertise", "told"),
    [
        ("10.0.0.5:4242", "", "10.0.0.5:4242"),
        ("[fd00::5]:4242", "", "[fd00::5]:4242"),
        ("0.0.0.0:4242", "192.0.2.9", "192.0.2.9:4242"),
        ("0.0.0.0:4242", "192.0.2.9:7000", "192.0.2.9:7000"),
        ("0.0.0.0:4242", "[fd00::9]", "[fd00::9]:4242"),
        ("0.0.0.0:4242", "m1.example.org", "m1.example.org:4242"),
    ],
)
def test_an_address_that_was_given_is_told(listen, advertise, told):
    assert told == reachable_address(config(listen, advertise), 4242)
    assert not listens_everywhere(config(listen, advertise))


@pytest.mark.parametrize("listen", ["0.0.0.0:4242", ":4242", "[::]:4242"])
def test_a_port_on_every_address_is_told_as_the_default_routes(listen, monkeypatch):
    assert listens_everywhere(config(listen))
    for host, told in (("10.1.2.3", "10.1.2.3:4242"), ("", "127.0.0.1:4242")):
        monkeypatch.setattr(addresses, "default_route_host", lambda host=host: host)
        assert told == reachable_address(config(listen), 4242)
