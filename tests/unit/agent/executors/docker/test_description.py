"""What an engine adds to its node's description."""

from typing import Any

from swarmd import api
from swarmd.api import resources
from workers.agent.executors.docker.description import describe

INFO: dict[str, Any] = {
    "ServerVersion": "20.10",
    "Labels": ["rack=r1", "odd", "a=b=c"],
    "Plugins": {
        "Volume": ["local"],
        "Network": ["bridge", "host", "overlay", "null", "macvlan"],
        "Authorization": None,
        "Log": ["json-file"],
    },
    "GenericResources": [
        {"NamedResourceSpec": {"Kind": "gpu", "Value": "a"}},
        {"DiscreteResourceSpec": {"Kind": "fpga", "Value": 2}},
    ],
}
MANAGED = [
    {
        "Name": "nfs:latest",
        "Enabled": True,
        "Config": {"Interface": {"Types": ["docker.volumedriver/1.0", "other.x/1"]}},
    },
    {
        "Name": "off:latest",
        "Enabled": False,
        "Config": {"Interface": {"Types": ["docker.logdriver/1.0"]}},
    },
    {"Name": "no:latest", "Enabled": True, "Config": {"Interface": {"Types": None}}},
]


def described(*generic: api.GenericResource) -> api.NodeDescription:
    found = api.NodeDescription(resources=api.Resources(generic=generic))
    describe(found, INFO, MANAGED)
    return found


def test_version_and_labels_are_the_engines() -> None:
    engine = described().engine
    assert ("20.10", {"rack": "r1", "a": "b=c"}) == (engine.engine_version, dict(engine.labels))


def test_plugins_are_sorted_and_of_use_here() -> None:
    assert [
        ("Engine", "docker"),
        ("Log", "json-file"),
        ("Network", "bridge"),
        ("Network", "host"),
        ("Network", "null"),
        ("Volume", "local"),
        ("Volume", "nfs:latest"),
    ] == [(plugin.type, plugin.name) for plugin in described().engine.plugins]


def test_generic_resources_are_the_engines_where_the_node_says_none() -> None:
    own = resources.named("gpu", "mine")
    assert [own, resources.discrete("fpga", 2)] == list(described(own).resources.generic)
