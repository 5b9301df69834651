"""Agents and engines that go away and come back: tasks go on, and are never started twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.errors import CannotBootError
from swarmd.state_dir import StateDir
from tests import builders
from tests.docker_engine import (
    Dockerd,
    DockerEngine,
    docker_engine,
    forwarded,
    having,
    output,
    secret_file,
    state_directory,
)
from tests.host_engine import soon
from workers.agent.executors.docker.controller import DockerController
from workers.agent.executors.docker.executor import DockerExecutor
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExitError,
    GoneError,
    TemporaryError,
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def next_engine(dockerd: Dockerd, state_dir: StateDir) -> AsyncIterator[DockerEngine]:
    """As the next agent of the same node has it."""
    async with docker_engine(dockerd, state_dir) as running:
        yield running


async def pid_of(controller: DockerController) -> int:
    return (await controller.container_status()).pid


async def gone(engine: DockerEngine, controller: DockerController) -> None:
    """Return as soon as its container is gone."""
    with pytest.raises(GoneError):
        await engine.executor._engine.wait(controller._name, controller._task.id, lambda _: False)


async def test_the_next_agent_adopts_a_running_container(engine, next_engine) -> None:
    controller = await engine.started("sh", "-c", "sleep 3; exit 5")
    adopted = next_engine.controller(controller._task)
    await adopted.prepare()
    with pytest.raises(AlreadyStartedError):
        await adopted.start()
    with pytest.raises(ExitError) as caught:
        await adopted.wait()
    assert 5 == caught.value.code


async def test_the_next_agent_starts_what_was_only_prepared(engine, next_engine) -> None:
    secret = builders.secret("key")
    controller = await engine.prepared(
        "cat",
        "/run/secrets/key",
        dependencies=having([secret]),
        secrets=[secret_file(secret)],
    )
    adopted = next_engine.controller(controller._task)
    await adopted.prepare()
    await adopted.start()
    await adopted.wait()
    assert "hidden" == await output(adopted)


async def test_the_next_agent_hears_of_an_end_that_it_missed(
    dockerd: Dockerd, state_dir: StateDir
) -> None:
    async with docker_engine(dockerd, state_dir) as engine:
        controller = await engine.started("sh", "-c", "exit 6")
        with pytest.raises(ExitError):
            await controller.wait()
    async with docker_engine(dockerd, state_dir) as engine:
        with pytest.raises(ExitError) as caught:
            await engine.controller(controller._task).wait()
    assert 6 == caught.value.code


async def test_an_engine_that_is_killed_and_comes_back_goes_on(
    engine: DockerEngine, dockerd: Dockerd
) -> None:
    controller = await engine.started("sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done")
    pid, waiting = await pid_of(controller), asyncio.create_task(waited(controller))
    await asyncio.to_thread(dockerd.kill)
    with pytest.raises(TemporaryError, match="no answer from the Docker engine unix:"):
        await away(controller)
    await asyncio.to_thread(dockerd.start)
    await back(engine)
    assert pid == await pid_of(controller)
    assert not waiting.done()
    Path(f"/proc/{pid}/root/tmp/end").touch()
    await waiting


async def test_an_end_while_the_engine_was_away_is_heard(
    engine: DockerEngine, dockerd: Dockerd
) -> None:
    controller = await engine.started("sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done")
    pid, waiting = await pid_of(controller), asyncio.create_task(waited(controller))
    await asyncio.to_thread(dockerd.stop)
    Path(f"/proc/{pid}/root/tmp/end").touch()
    await asyncio.to_thread(dockerd.start)
    await asyncio.wait([waiting])
    assert waiting.done()


async def waited(controller: DockerController) -> None:
    """As a task manager waits: what is only for now is tried again."""
    while True:
        try:
            await controller.wait()
        except TemporaryError:
            await asyncio.sleep(0.1)
        else:
            return


async def away(controller: DockerController) -> None:
    """Ask until it is known that the engine is gone."""
    while True:
        await controller.port_status()
        await asyncio.sleep(0.05)


async def back(engine: DockerEngine) -> None:
    found = asyncio.Event()
    engine.executor._engine.on_connect(found.set)
    if engine.executor._engine._client is None:
        await found.wait()


# Orphans


async def test_containers_without_a_task_are_removed(dockerd: Dockerd, state_dir) -> None:
    secret = builders.secret("key")
    async with docker_engine(dockerd, state_dir) as engine:
        orphan = await engine.started(
            "sleep", "60", dependencies=having([secret]), secrets=[secret_file(secret)]
        )
        kept = await engine.started("sleep", "60")
        file = Path((await engine.inspect(orphan))["Mounts"][0]["Source"])
    async with docker_engine(dockerd, state_dir, adopting=[kept._task.id]) as engine:
        await gone(engine, orphan_of(engine, orphan))
        assert await pid_of(engine.controller(kept._task))
        assert await soon(lambda: not file.exists(), seconds=20)


def orphan_of(engine: DockerEngine, orphan: DockerController) -> DockerController:
    """The same container, seen by the next agent, without a task of its own."""
    return DockerController(
        orphan._task, having(), engine.state_dir.tasks / "none", engine.executor._around
    )


async def test_containers_of_others_are_left_alone(dockerd: Dockerd, state_dir) -> None:
    with state_directory() as other_dir:
        async with docker_engine(dockerd, other_dir) as other:
            theirs = await other.started("sleep", "60")
            async with docker_engine(dockerd, state_dir) as engine:
                orphan = await engine.started("sleep", "60")
            async with docker_engine(dockerd, state_dir, adopting=[]) as engine:
                await gone(engine, orphan_of(engine, orphan))
            assert await pid_of(theirs)


# Addresses


async def test_an_engine_that_is_not_there_yet_is_found_later(
    dockerd: Dockerd, state_dir: StateDir
) -> None:
    socket = state_dir.root / "docker.sock"
    executor = DockerExecutor(f"unix://{socket}", state_dir, SystemClock(), random.Random())
    running = asyncio.create_task(executor.run())
    with pytest.raises(TemporaryError, match=r"docker.sock: No such file or directory"):
        await executor.describe(api.NodeDescription())
    found = asyncio.Event()
    executor._engine.on_connect(found.set)
    socket.symlink_to(dockerd.socket)
    await found.wait()
    await executor.describe(api.NodeDescription())
    running.cancel()
    await asyncio.wait([running])


async def test_an_engine_over_tcp_runs_tasks(dockerd: Dockerd, state_dir: StateDir) -> None:
    async with forwarded(dockerd) as port:
        address = f"tcp://127.0.0.1:{port}"
        async with docker_engine(dockerd, state_dir, address=address) as engine:
            assert "hello\n" == await engine.output_of("echo", "hello")


@pytest.mark.parametrize("address", ["unix://", "unix://host/path", "tcp://", "ssh://host"])
def test_an_address_that_is_none_cannot_boot(state_dir: StateDir, address: str) -> None:
    with pytest.raises(CannotBootError, match=r"an engine is unix:///path/to.sock or tcp://"):
        DockerExecutor(address, state_dir, SystemClock(), random.Random())
