"""Host processes when what holds them is killed, stuck, or out of room."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from swarmd.state_dir import StateDir
from tests.host_engine import (
    HostEngine,
    alive,
    host_engine,
    host_task,
    soon,
    state_directory,
    supervisorctl,
)
from workers.agent.executors.errors import ExecutorError, ExitError, GoneError

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

# Forks a process that leaves its session, and goes on itself; with `clean`, without its marks.
FORKS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    clean = {} if sys.argv[2] == "clean" else os.environ
    os.execve("/bin/sh", ["sh", "-c", f"echo $$ > {sys.argv[1]}; exec sleep 300"], clean)
time.sleep(300)
"""


@pytest.fixture
def state_dir() -> Iterator[StateDir]:
    with state_directory() as directory:
        yield directory


@pytest.fixture
async def engine(state_dir: StateDir) -> AsyncIterator[HostEngine]:
    async with host_engine(state_dir) as running:
        yield running


@pytest.mark.parametrize("marks", ["kept", "clean"])
async def test_no_process_outlives_a_killed_supervisord_beside_its_replacement(
    engine: HostEngine, tmp_path: Path, marks: str
) -> None:
    if marks == "clean" and os.getuid() != 0:
        pytest.skip("knowing them without marks needs cgroups")
    file = tmp_path / "pid"
    controller = await engine.started("python3", "-c", FORKS, str(file), marks)
    assert await soon(lambda: file.exists() and file.read_text().strip() != "")
    main, escaped = (await controller.container_status()).pid, int(file.read_text())
    waiting = asyncio.create_task(controller.wait())
    killed = engine.pid
    os.kill(killed, signal.SIGKILL)
    assert await soon(lambda: not alive(main))  # at once, by its parent's death
    with pytest.raises(GoneError):
        await waiting
    assert killed != engine.pid  # another runs, and has swept before it took a call
    assert not alive(escaped)
    await (await engine.started("true")).wait()


async def test_a_task_is_not_started_again_in_a_new_supervisord(engine: HostEngine) -> None:
    task = host_task("sleep", "60")
    controller = engine.controller(task)
    await controller.prepare()
    await controller.start()
    waiting = asyncio.create_task(controller.wait())
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(GoneError):
        await waiting
    with pytest.raises(GoneError):
        await engine.controller(task).prepare()


async def test_a_reloaded_supervisord_serves_on(engine: HostEngine) -> None:
    controller = await engine.started("sleep", "60")
    pid, supervisord = (await controller.container_status()).pid, engine.pid
    waiting = asyncio.create_task(controller.wait())
    supervisorctl(engine.state_dir.supervisor, "reload")
    with pytest.raises((GoneError, ExitError)):  # told in time, or not
        await waiting
    assert not alive(pid)
    for _ in range(3):
        begun = time.monotonic()
        await (await engine.started("sh", "-c", "exec >/dev/null 2>&1; true")).wait()
    assert time.monotonic() - begun < 1
    assert supervisord == engine.pid


async def test_an_agent_that_dies_leaves_its_tasks_running(state_dir: StateDir) -> None:
    async with host_engine(state_dir) as first:
        controller = await first.started("sleep", "60")
        pid = (await controller.container_status()).pid
    assert alive(pid)


async def test_a_stop_goes_on_while_the_agent_is_away(state_dir: StateDir) -> None:
    task = host_task("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    task.spec.container.stop_grace_period.FromMilliseconds(500)
    async with host_engine(state_dir) as first:
        await first.controller(task).prepare()
        await first.controller(task).start()
        async with first.client() as client:
            await client.stop(task.id)
    async with host_engine(state_dir) as second:
        with pytest.raises(ExitError, match="SIG"):
            await second.controller(task).wait()


async def test_a_killed_zygote_is_replaced(engine: HostEngine) -> None:
    first = await engine.started("sleep", "60")
    main = (await first.container_status()).pid
    supervisord = psutil.Process(engine.pid)
    helpers = [child for child in supervisord.children() if child.pid != main]
    assert 1 == len(helpers)
    helpers[0].kill()
    assert await soon(lambda: not alive(helpers[0].pid))
    for _ in range(2):
        await (await engine.started("true")).wait()
    assert alive(main)


async def test_a_stuck_zygote_fails_one_start_and_is_replaced(engine: HostEngine) -> None:
    first = await engine.started("sleep", "60")
    main = (await first.container_status()).pid
    helpers = [p for p in psutil.Process(engine.pid).children() if p.pid != main]
    helpers[0].suspend()
    begun = time.monotonic()
    with pytest.raises(ExecutorError, match="cannot start: unknown error during fork"):
        await engine.started("sleep", "60")
    assert time.monotonic() - begun < 10
    await (await engine.started("true")).wait()
    assert not alive(helpers[0].pid)
    assert {main} < {p.pid for p in psutil.Process(engine.pid).children()}


async def test_a_stuck_supervisord_is_waited_for(engine: HostEngine) -> None:
    controller = await engine.started("sh", "-c", "sleep 0.5; exit 4")
    os.kill(engine.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(controller.wait())
    await asyncio.sleep(1)
    assert not waiting.done()
    os.kill(engine.pid, signal.SIGCONT)
    with pytest.raises(ExitError) as caught:
        await waiting
    assert 4 == caught.value.code


async def test_a_task_goes_on_when_its_output_cannot_be_kept(engine: HostEngine) -> None:
    controller = await engine.prepared("sh", "-c", "echo a; echo b; exit 6")
    log = engine.state_dir.tasks / controller._task.id / "stdout.log"
    log.mkdir()  # root is refused nothing else
    await controller.start()
    with pytest.raises(ExitError, match="6"):
        await controller.wait()


async def test_a_task_that_kills_its_own_group_ends_and_nothing_else_does(
    engine: HostEngine,
) -> None:
    other = await engine.started("sleep", "60")
    controller = await engine.started("sh", "-c", "kill -9 0")
    with pytest.raises(ExitError, match="SIGKILL"):
        await controller.wait()
    assert alive((await other.container_status()).pid)
    assert alive(engine.pid)


async def test_a_fork_bomb_ends_with_its_task(engine: HostEngine) -> None:
    if os.getuid() != 0:
        pytest.skip("needs a pids limit")
    script = "while :; do (sleep 0.01; :) & done"
    controller = await engine.started("bash", "-c", script, pidsLimit=50)
    members = Path((await controller._link.status(controller._task.id)).cgroups[0])
    assert await soon(lambda: len(members.read_text().split()) > 10)
    await controller.terminate()
    assert not members.exists()
