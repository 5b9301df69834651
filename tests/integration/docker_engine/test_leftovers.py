"""The containers of a node that does not run: stopped, or removed with all that is theirs."""

import asyncio
import contextlib
import time
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from swarmd.cli.containers import end_containers
from swarmd.cli.main import main
from swarmd.errors import UnavailableError
from swarmd.state_dir import StateDir
from tests import builders
from tests.docker_engine import DockerEngine, docker_engine, having, secret_file, state_directory
from workers.agent.executors.docker import ownership
from workers.agent.executors.errors import ExitError

pytestmark = pytest.mark.timeout(120)

TIDY = "trap 'exit 7' USR1; echo ready; while true; do sleep 0.1; done"


async def end(state_dir: StateDir, verb: str) -> None:
    await asyncio.to_thread(end_containers, state_dir, verb, time.monotonic() + 60)


def left(engine: DockerEngine) -> list[str]:
    with contextlib.closing(engine.daemon.client()) as client:
        label = f"swarmd.node-state={ownership.known_owner(engine.state_dir)}"
        return [each["Id"] for each in client.containers(all=True, filters={"label": [label]})]


async def test_stop_lets_each_end_by_its_own_signal(engine: DockerEngine) -> None:
    wanted = {"stop_signal": "SIGUSR1", "stop_grace_period": {"seconds": 30}}
    controller = await engine.started("sh", "-c", TIDY, **wanted)
    await end(engine.state_dir, "stop")
    with pytest.raises(ExitError) as caught:
        await controller.wait()
    assert 7 == caught.value.code
    await controller.remove()


async def test_remove_leaves_nothing_of_all_of_them(engine: DockerEngine) -> None:
    secret = builders.secret("key")
    controller = await engine.started(
        "sleep", "1000", secrets=[secret_file(secret)], dependencies=having([secret])
    )
    await engine.prepared("sleep", "1000", service="other")
    (source,) = (each["Source"] for each in (await engine.inspect(controller))["Mounts"])
    await end(engine.state_dir, "remove")
    assert [] == left(engine)
    assert not Path(source).exists()


async def test_those_of_another_node_are_left_alone(engine: DockerEngine) -> None:
    with state_directory() as elsewhere:
        async with docker_engine(engine.daemon, elsewhere) as other:
            controller = await other.started("sleep", "1000")
            await end(engine.state_dir, "remove")
            assert (await controller.container_status()).pid
            await controller.remove()


async def test_an_engine_that_does_not_answer_is_named(engine: DockerEngine) -> None:
    await engine.started("sleep", "1000")
    ownership.remember_engine(engine.state_dir, "unix:///run/no-such-engine.sock")
    with pytest.raises(UnavailableError, match=r"unix:///run/no-such-engine\.sock"):
        await end(engine.state_dir, "remove")
    assert [] == left(engine)


async def test_a_node_without_an_engine_has_none(state_dir: StateDir) -> None:
    await end(state_dir, "remove")


def test_leave_wants_every_engine_to_answer_or_force(state_dir: StateDir) -> None:
    ownership.owner(state_dir, Random())
    ownership.remember_engine(state_dir, "unix:///run/no-such-engine.sock")
    words = ["leave", f"--state-dir={state_dir.root}"]
    refused = CliRunner().invoke(main, words)
    assert 1 == refused.exit_code
    assert "unix:///run/no-such-engine.sock: No such file" in refused.output
    assert state_dir.container_engines.exists()
    left = CliRunner().invoke(main, [*words, "--force"])
    assert 0 == left.exit_code
    assert "Warning: containers are left" in left.output
    assert not state_dir.container_engines.exists()
