"""Ways to run a task: what the agent asks of an engine, and nothing more.

An `Executor` stands for one engine of this host, a `Controller` for one task on it. Every call of a
controller is idempotent: a restarted agent calls them again, in order, for tasks that run.

What a call raises decides what becomes of the task (errors.py); anything else fails it.
choose.py knows the engines of this host, and routes each task to one.

supervisor runs tasks as host processes, docker as containers; choose knows which of them there are.

supervisor/plugin.py runs inside supervisord, and this file with it: so the messages are imported
for the type checker alone, which keeps 8 MiB of protobuf out of a process that forks a lot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from swarmd import api


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """A cluster volume on this host: a directory, or a block device."""

    path: str
    is_block: bool = False


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a task may use besides its spec: the secrets and configs assigned with it, by id.

    And its cluster volumes, in the order of its mounts of that type.
    """

    secrets: dict[str, api.Secret] = field(default_factory=dict)
    configs: dict[str, api.Config] = field(default_factory=dict)
    volumes: Sequence[MountedVolume] = ()


class Controller(Protocol):
    """One task on one engine."""

    async def update(self, task: api.Task) -> None:
        """Take a newer version of the same task (labels, desired state)."""

    async def prepare(self) -> None:
        """Make ready to start: check, create. Raises RejectedError for what can never run here."""

    async def start(self) -> None:
        """Start, and return when it runs (and is healthy, where it has a health check).

        Raises AlreadyStartedError when it was started before: the caller goes on to wait().
        """

    async def wait(self) -> None:
        """Return when the task ended with status 0; raises ExitError when with another."""

    async def shutdown(self) -> None:
        """Ask it to stop, wait for its grace period, then kill; returns when it is gone."""

    async def terminate(self) -> None:
        """Kill at once."""

    async def remove(self) -> None:
        """Forget everything about it on this host, logs included; a missing one is fine."""

    async def close(self) -> None:
        """Let go of the controller, not of the task, which goes on."""

    async def container_status(self) -> api.ContainerStatus:
        """Its pid, and its exit code once it ended; empty before it exists."""

    def logs(self, options: api.LogSubscriptionOptions) -> AsyncIterator[api.LogMessage]:
        """Its output, as the options ask."""


@runtime_checkable
class PublishesPorts(Controller, Protocol):
    """A controller whose engine chooses ports of the host for its task."""

    async def port_status(self) -> api.PortStatus:
        """Where its host-mode ports are now."""


class Executor(Protocol):
    """One engine of this host."""

    address: str
    """As --engine-addr gives it: supervisor:///path, unix:///path …"""

    async def run(self) -> None:
        """Keep the connection to the engine; runs until cancelled. Started before anything else."""

    async def describe(self, description: api.NodeDescription) -> None:
        """Add what this engine knows of the node: its plugins, engine labels, resources."""

    async def configure(self, node: api.Node) -> None:
        """Take this node's own object, which its sessions bring: templates need it."""

    def accepts(self, task: api.Task) -> bool:
        """Whether tasks of this kind are for this engine."""

    def controller(self, task: api.Task, dependencies: Dependencies, directory: Path) -> Controller:
        """A controller for the task.

        `directory` is the task's own: the controller makes it, and removes it in the end.
        """


@runtime_checkable
class SweepsOrphans(Protocol):
    """An executor whose engine outlives this node's memory of its tasks."""

    def adopt(self, task_ids: Iterable[str]) -> None:
        """These are all tasks from before: what else of ours the engine has is removed."""
