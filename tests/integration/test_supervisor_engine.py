"""Host processes in a real supervisord: what their spec asks is what they get."""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.errors import CannotBootError
from swarmd.state_dir import StateDir
from tests.host_engine import (
    HostEngine,
    alive,
    exit_of,
    first_line,
    host_engine,
    host_task,
    pid_of,
    soon,
    state_directory,
    supervisorctl,
)
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExecutorError,
    ExitError,
    GoneError,
    RejectedError,
)

pytestmark = pytest.mark.timeout(60)
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")

# A double fork away from its session, and from the marks in its environment.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", f"echo $$ > {sys.argv[1]}; exec sleep 300"], {})
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read().strip():
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def state_dir() -> Iterator[StateDir]:
    with state_directory() as directory:
        yield directory


@pytest.fixture
async def engine(state_dir: StateDir) -> AsyncIterator[HostEngine]:
    async with host_engine(state_dir) as running:
        yield running


# Life and end


async def test_the_node_says_that_it_has_the_engine(engine: HostEngine) -> None:
    description = api.NodeDescription()
    await engine.executor.describe(description)
    named = [(plugin.type, plugin.name) for plugin in description.engine.plugins]
    assert [("Engine", "supervisor")] == named
    assert description.engine.engine_version


async def test_a_task_that_ends_well_completes(engine: HostEngine) -> None:
    controller = await engine.started("true")
    await controller.wait()
    assert 0 == (await controller.container_status()).exit_code


async def test_an_exit_status_is_told(engine: HostEngine) -> None:
    error = await exit_of(await engine.started("sh", "-c", "exit 3"))
    assert (3, "task: non-zero exit (3)") == (error.code, str(error))


async def test_a_signal_is_named(engine: HostEngine) -> None:
    error = await exit_of(await engine.started("sh", "-c", "kill -SEGV $$"))
    assert (139, "task: non-zero exit (139): SIGSEGV") == (error.code, str(error))


async def test_the_container_status_names_the_program(engine: HostEngine) -> None:
    task = host_task("sleep", "60")
    controller = engine.controller(task)
    await controller.prepare()
    await controller.start()
    status = await controller.container_status()
    assert f"web:1.{task.id}" == status.container_id
    assert alive(status.pid)


async def test_args_alone_are_a_command(engine: HostEngine) -> None:
    assert "hello\n" == await engine.output_of(args=["echo", "hello"])


async def test_an_unknown_command_is_rejected_with_the_reason(engine: HostEngine) -> None:
    with pytest.raises(RejectedError, match="command: no-such-thing is not found in /usr/local"):
        await engine.prepared("no-such-thing")


async def test_a_command_that_exec_refuses_fails_the_start(
    engine: HostEngine, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    controller = await engine.prepared(str(script))
    with pytest.raises(ExecutorError, match=r"cannot start: cannot run .*/script: No such file"):
        await controller.start()


async def test_every_call_may_be_made_again(engine: HostEngine) -> None:
    controller = await engine.started("sleep", "60")
    await controller.prepare()
    with pytest.raises(AlreadyStartedError):
        await controller.start()
    for _ in range(2):
        await controller.shutdown()
        await controller.terminate()
    for _ in range(2):
        await controller.remove()
    assert api.ContainerStatus() == await controller.container_status()


async def test_remove_leaves_nothing(engine: HostEngine) -> None:
    controller = await engine.started("sh", "-c", "echo hello; sleep 60")
    pid = await pid_of(controller)
    await controller.remove()
    assert not alive(pid)
    assert [] == list(engine.state_dir.tasks.iterdir())
    assert "" == supervisorctl(engine.state_dir.supervisor, "status")


# Stopping


async def test_the_stop_signal_is_the_spec_s(engine: HostEngine) -> None:
    script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    controller = await engine.started("sh", "-c", script, stop_signal="SIGUSR1")
    await first_line(controller)
    await controller.shutdown()
    assert 7 == (await exit_of(controller)).code


async def test_a_task_that_ignores_its_stop_signal_is_killed_after_its_grace_period(
    engine: HostEngine,
) -> None:
    controller = await engine.started(
        *("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"),
        stop_grace_period=times.duration(0.5),
    )
    await first_line(controller)
    begun = time.monotonic()
    await controller.shutdown()
    assert 0.5 <= time.monotonic() - begun < 3
    assert 137 == (await exit_of(controller)).code


async def test_terminate_does_not_wait_for_the_grace_period(engine: HostEngine) -> None:
    controller = await engine.started("sh", "-c", "trap '' TERM; echo ready; sleep 60")
    await first_line(controller)
    begun = time.monotonic()
    await controller.terminate()
    assert time.monotonic() - begun < 3


async def test_a_stop_right_after_the_start_is_not_lost(engine: HostEngine) -> None:
    for _ in range(10):
        controller = await engine.prepared("sleep", "60")
        async with engine.client() as client:
            task_id = controller._task.id
            await client.start(task_id)
            await client.stop(task_id)
        await controller._ended()
        assert (await controller._link.status(task_id)).exit_code in (0, 143)


@pytest.mark.parametrize("by", ["shutdown", "its own end"])
@as_root
async def test_a_daemon_that_a_task_forked_does_not_survive_it(
    engine: HostEngine, tmp_path: Path, by: str
) -> None:
    file = tmp_path / "pid"
    lives = "60" if by == "shutdown" else "0"
    controller = await engine.started("python3", "-c", DAEMON, str(file), lives)
    assert await soon(lambda: file.exists() and file.read_text().strip() != "")
    if by == "shutdown":
        await controller.shutdown()
    else:
        await controller.wait()
    assert not alive(int(file.read_text()))


async def test_a_task_runs_once(engine: HostEngine) -> None:
    controller = await engine.started("true")
    await controller.wait()
    name = (await controller.container_status()).container_id
    assert "ERROR (spawn error)" in supervisorctl(engine.state_dir.supervisor, "start", name)


# How fast it is known


async def test_an_end_is_known_within_200_milliseconds(engine: HostEngine) -> None:
    taken = []
    for _ in range(5):
        # Its output is closed, so nothing but the signal tells supervisord.
        controller = await engine.started("sh", "-c", "exec >/dev/null 2>&1 sleep 60")
        waiting = asyncio.create_task(controller.wait())
        pid = await pid_of(controller)
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ExitError):
            await waiting
        taken.append(time.monotonic() - begun)
    assert statistics.median(taken) < 0.2


async def test_two_hundred_tasks_run_within_seconds(engine: HostEngine) -> None:
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(engine.started("sleep", "60"))
    assert time.monotonic() - begun < 20  # two, with the processors to itself
    async with engine.client() as client:
        assert await client.call("swarmd.stopAllTasks")
        assert "[]" == await client.call("swarmd.listTasks")


async def test_a_subscriber_that_does_not_read_freezes_nothing(
    engine: HostEngine, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        path = str(engine.state_dir.root / "deaf")
        deaf.bind(path)
        async with engine.client() as client:
            for _ in range(100):
                await client.call("swarmd.subscribe", path)  # its queue holds ten
                await (await engine.prepared("true")).remove()
            await (await engine.started("true")).wait()


# Which supervisord


async def test_a_second_executor_adopts_what_runs_and_what_ended_meanwhile(
    state_dir: StateDir,
) -> None:
    runs, ended = host_task("sleep", "60"), host_task("sh", "-c", "sleep 0.3; exit 5")
    async with host_engine(state_dir) as first:
        for task in (runs, ended):
            await first.controller(task).prepare()
            await first.controller(task).start()
        supervisord, pid = first.pid, await pid_of(first.controller(runs))
    async with host_engine(state_dir) as second:
        with pytest.raises(AlreadyStartedError):
            await second.controller(runs).start()
        assert 5 == (await exit_of(second.controller(ended))).code
        assert (supervisord, pid) == (second.pid, await pid_of(second.controller(runs)))


async def test_the_supervisord_that_runs_swarmd_is_used(
    engine: HostEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_SERVER_URL", engine.url)
    with state_directory() as other:
        async with host_engine(other) as inside:
            task = host_task("sleep", "60")
            await inside.controller(task).prepare()
            assert not (other.supervisor / "supervisord.pid").exists()
    assert task.id in supervisorctl(engine.state_dir.supervisor, "status")


async def test_a_named_supervisord_is_used(engine: HostEngine) -> None:
    with state_directory() as other:
        address = engine.url.replace("unix://", "supervisor://")
        async with host_engine(other, address) as named:
            await named.started("true")
            assert not (other.supervisor / "supervisord.pid").exists()


@pytest.mark.parametrize("address", ["supervisor://host:9001", "supervisor:///" + "x" * 107])
async def test_an_address_that_is_none_is_refused(state_dir: StateDir, address: str) -> None:
    with pytest.raises(CannotBootError, match="engine address"):
        async with host_engine(state_dir, address):
            pass


async def test_a_long_state_directory_gets_a_short_socket(state_dir: StateDir) -> None:
    deep = StateDir(state_dir.root / ("x" * 120))
    deep.make()
    async with host_engine(deep) as engine:
        await (await engine.started("true")).wait()
        async with engine.client() as client:
            await client.call("supervisor.shutdown")
        assert await soon(lambda: not (deep.supervisor / "supervisord.pid").exists())
        Path(engine.url.removeprefix("unix://")).parent.joinpath("agent.sock").unlink()
        Path(engine.url.removeprefix("unix://")).parent.rmdir()


# supervisorctl


async def test_supervisorctl_shows_the_tasks(engine: HostEngine) -> None:
    controller = await engine.started("sleep", "60", service="db")
    line = supervisorctl(engine.state_dir.supervisor, "status").split()
    assert [f"db:1.{controller._task.id}", "RUNNING"] == line[:2]


async def test_supervisorctl_update_leaves_the_tasks_alone(engine: HostEngine) -> None:
    controller = await engine.started("sleep", "60")
    supervisorctl(engine.state_dir.supervisor, "update")
    assert alive(await pid_of(controller))


async def test_a_task_that_supervisorctl_stops_has_ended(engine: HostEngine) -> None:
    controller = await engine.started("sleep", "60")
    waiting = asyncio.create_task(exit_of(controller))
    supervisorctl(engine.state_dir.supervisor, "stop", "web:*")
    assert 143 == (await waiting).code


async def test_a_task_that_supervisorctl_removed_is_gone(engine: HostEngine) -> None:
    controller = await engine.started("true")
    await controller.wait()
    supervisorctl(engine.state_dir.supervisor, "remove", "web")
    async with engine.client() as client:
        with pytest.raises(GoneError):
            await client.task(controller._task.id)


# What it costs


def test_the_plugin_brings_neither_protobuf_nor_grpc_into_supervisord() -> None:
    code = (
        "import sys, workers.agent.executors.supervisor.plugin\n"
        "print([name for name in ('google.protobuf', 'grpc', 'asyncio') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == said.stdout.strip()
