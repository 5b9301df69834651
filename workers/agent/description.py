"""What this node is: platform, resources and engines, as its managers see it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final

import psutil

import swarmd
from swarmd import api
from swarmd.api import resources
from swarmd.api.nodes import QUORUM_PLUGIN
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, InvalidArgumentError
from swarmd.etcd_program import shared_etcd

_NANO: Final = 1_000_000_000


class Describer:
    """Describes this node, each time anew: memory can be added, engines come and go."""

    def __init__(
        self, config: NodeConfig, add_engines: Callable[[api.NodeDescription], Awaitable[None]]
    ) -> None:
        """Raises CannotBootError where --generic-node-resources cannot be read."""
        self._hostname = config.hostname
        self._store = config.store
        self._labels = dict(label.partition("=")[::2] for label in config.label)
        self._generic = _generic(config.generic_node_resources)
        self._add_engines = add_engines

    async def describe(self) -> api.NodeDescription:
        """The node as it is now."""
        description = of_host(self._hostname)
        description.resources.generic.extend(self._generic)
        await self._add_engines(description)
        if version := await asyncio.to_thread(_etcd_version, self._store):
            description.engine.plugins.add(type=QUORUM_PLUGIN, name=f"etcd-{version}")
        description.engine.labels.update(self._labels)
        return description


def of_host(hostname: str) -> api.NodeDescription:
    """What the host itself tells, without its engines."""
    uname = os.uname()
    return api.NodeDescription(
        hostname=hostname,
        platform=api.Platform(architecture=uname.machine, os=uname.sysname.lower()),
        resources=api.Resources(
            nano_cpus=(psutil.cpu_count() or 1) * _NANO,
            memory_bytes=psutil.virtual_memory().total,
        ),
        engine=api.EngineDescription(engine_version=swarmd.__version__),
    )


def _etcd_version(store: str) -> str:
    """Of the etcd with which this node could be a manager beside others; empty without one."""
    try:
        return shared_etcd(store).version
    except CannotBootError:
        return ""


def _generic(text: str) -> list[api.GenericResource]:
    try:
        return resources.parse(text) if text else []
    except InvalidArgumentError as error:
        msg = f"--generic-node-resources {text}: {error}"
        raise CannotBootError(msg) from error
