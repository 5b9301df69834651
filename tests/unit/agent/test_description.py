"""What this node is."""

import os

import pytest

import swarmd
from swarmd import api
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError
from workers.agent.description import Describer


async def no_engines(description: api.NodeDescription) -> None:
    pass


async def test_the_host_is_described_as_it_is() -> None:
    found = await Describer(NodeConfig(hostname="h"), no_engines).describe()
    uname = os.uname()
    assert ("h", "linux", uname.machine) == (
        found.hostname,
        found.platform.os,
        found.platform.architecture,
    )
    assert 0 == found.resources.nano_cpus % 1_000_000_000
    assert found.resources.nano_cpus > 0
    assert found.resources.memory_bytes > 1 << 20
    assert swarmd.__version__ == found.engine.engine_version


async def test_generic_resources_are_those_of_the_flag() -> None:
    config = NodeConfig(hostname="h", generic_node_resources="fpga=2,gpu=A,gpu=B")
    found = await Describer(config, no_engines).describe()
    assert 3 == len(found.resources.generic)


def test_a_flag_that_does_not_parse_is_refused_by_name() -> None:
    config = NodeConfig(hostname="h", generic_node_resources="gpu")
    with pytest.raises(CannotBootError, match="--generic-node-resources gpu"):
        Describer(config, no_engines)


async def test_the_same_node_is_described_the_same() -> None:
    describer = Describer(NodeConfig(hostname="h"), no_engines)
    assert await describer.describe() == await describer.describe()
