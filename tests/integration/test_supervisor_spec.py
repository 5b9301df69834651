"""What a host process's spec asks is what it gets: a user, limits, a health check, kept output."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.state_dir import StateDir
from tests import builders
from tests.host_engine import HostEngine, exit_of, host_engine, soon, state_directory
from workers.agent.executors.errors import ExecutorError, RejectedError

pytestmark = pytest.mark.timeout(60)
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture
def state_dir() -> Iterator[StateDir]:
    with state_directory() as directory:
        yield directory


@pytest.fixture
async def engine(state_dir: StateDir) -> AsyncIterator[HostEngine]:
    async with host_engine(state_dir) as running:
        yield running


# Its surroundings


async def test_a_task_s_environment_is_its_own(
    engine: HostEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await engine.output_of("env", env=["A=b=c", "PATH=/bin:/usr/bin", "GONE", "USER"])
    names = {line.partition("=")[0] for line in text.splitlines()}
    assert {"A", "PATH", "HOME", "LOGNAME", "SWARMD_TASK_ID", "SWARMD_SUPERVISOR"} == names
    assert "A=b=c\n" in text


async def test_templates_are_filled_in(engine: HostEngine) -> None:
    node = builders.node(id="n1")
    node.description.hostname = "host-a"
    await engine.executor.configure(node)
    template = "{{.Service.Name}}.{{.Task.Slot}}@{{.Node.Hostname}}"
    assert "web.1@host-a\n" == await engine.output_of("sh", "-c", "echo $X", env=[f"X={template}"])


async def test_a_task_runs_in_its_directory(engine: HostEngine) -> None:
    assert "/usr/bin\n" == await engine.output_of("pwd", dir="/usr/bin")


@as_root
async def test_a_task_runs_as_its_user_and_groups(engine: HostEngine) -> None:
    script = "id -u; id -g; id -G"
    text = await engine.output_of("sh", "-c", script, user="nobody:daemon", groups=["mail"])
    uid, gid, groups = text.splitlines()
    assert ("65534", "1") == (uid, gid)
    assert "8" in groups.split()
    assert "0" not in groups.split()


async def test_a_user_that_does_not_exist_is_rejected(engine: HostEngine) -> None:
    with pytest.raises(RejectedError, match="user: there is no user nosuchuser on this host"):
        await engine.prepared("true", user="nosuchuser")


async def test_ulimits_are_set(engine: HostEngine) -> None:
    limit = api.ContainerSpec.Ulimit(name="nofile", soft=64, hard=128)
    script = "ulimit -Sn; ulimit -Hn"
    assert "64\n128\n" == await engine.output_of("sh", "-c", script, ulimits=[limit])


async def test_a_task_has_a_session_of_its_own_and_no_input(engine: HostEngine) -> None:
    script = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    assert "True ''\n" == await engine.output_of("python3", "-c", script)


async def test_a_task_dies_of_a_broken_pipe_as_elsewhere(engine: HostEngine) -> None:
    assert "141\n" == await engine.output_of("bash", "-c", "yes | true; echo ${PIPESTATUS[0]}")


async def test_a_task_inherits_no_descriptor(engine: HostEngine) -> None:
    text = await engine.output_of("sh", "-c", "ls /proc/self/fd")
    assert ["0", "1", "2", "3"] == text.split()  # 3 is the directory that ls reads


@as_root
async def test_the_oom_score_is_set(engine: HostEngine) -> None:
    text = await engine.output_of("cat", "/proc/self/oom_score_adj", oom_score_adj=500)
    assert "500\n" == text


async def test_no_new_privileges_is_set(engine: HostEngine) -> None:
    privileges = api.Privileges(no_new_privileges=True)
    text = await engine.output_of("grep", "NoNewPrivs", "/proc/self/status", privileges=privileges)
    assert ["NoNewPrivs:", "1"] == text.split()


# Limits

HOG = "x = []\nwhile True: x.append(bytearray(1 << 20))"


def limits(**fields: int) -> dict[str, api.ResourceRequirements]:
    return {"resources": api.ResourceRequirements(limits=api.Resources(**fields))}


@as_root
async def test_a_memory_hog_is_killed_and_told_as_out_of_memory(engine: HostEngine) -> None:
    spec = limits(memory_bytes=32 << 20)
    error = await exit_of(await engine.started("python3", "-c", HOG, spec=spec))
    said = "task: non-zero exit (137): out of memory: it reached its memory limit"
    assert (137, said) == (error.code, str(error))


@as_root
async def test_a_task_cannot_have_more_processes_than_its_limit(engine: HostEngine) -> None:
    script = (
        "import os, time\n"
        "try:\n"
        "    for count in range(100):\n"
        "        os.fork() or time.sleep(60)\n"
        "except OSError: print(count)"
    )
    assert "4\n" == await engine.output_of("python3", "-c", script, pidsLimit=5)


@as_root
async def test_a_task_gets_no_more_cpu_than_its_limit(engine: HostEngine) -> None:
    script = (
        "import os, time; end = time.monotonic() + 1\n"
        "while time.monotonic() < end: pass\n"
        "print(sum(os.times()[:2]))"
    )
    text = await engine.output_of("python3", "-c", script, spec=limits(nano_cpus=200_000_000))
    assert float(text) < 0.5


# Health


def health(test: list[str], **seconds: float) -> api.HealthConfig:
    retries = int(seconds.pop("retries", 2))
    given = {name: times.duration(value) for name, value in seconds.items()}
    return api.HealthConfig(test=test, retries=retries, **given)


async def test_a_start_returns_when_the_task_is_healthy(engine: HostEngine, tmp_path: Path) -> None:
    check = health(["CMD", "test", "-e", str(tmp_path / "up")], interval=0.1, retries=1000)
    controller = await engine.prepared("sleep", "60", healthcheck=check)
    starting = asyncio.create_task(controller.start())
    mark = engine.state_dir.tasks / controller._task.id / "started"
    assert await soon(mark.exists)
    assert not starting.done()
    (tmp_path / "up").touch()
    await starting


async def test_a_task_that_never_gets_healthy_is_stopped_and_fails(engine: HostEngine) -> None:
    check = health(["CMD-SHELL", "echo no answer; exit 1"], interval=0.1)
    controller = await engine.prepared("sleep", "60", healthcheck=check)
    with pytest.raises(ExecutorError, match=r"unhealthy: 2 health checks failed in a row: no ans"):
        await controller.start()
    assert 143 == (await controller.container_status()).exit_code


async def test_a_task_that_gets_unhealthy_is_stopped_and_fails(
    engine: HostEngine, tmp_path: Path
) -> None:
    (tmp_path / "up").touch()
    check = health(["CMD", "test", "-e", str(tmp_path / "up")], interval=0.1)
    controller = await engine.started("sleep", "60", healthcheck=check)
    waiting = asyncio.create_task(controller.wait())
    (tmp_path / "up").unlink()
    with pytest.raises(ExecutorError, match="unhealthy"):
        await waiting


async def test_a_health_check_that_hangs_fails_in_its_timeout(engine: HostEngine) -> None:
    check = health(["CMD", "sleep", "60"], interval=0.1, timeout=0.2)
    controller = await engine.prepared("sleep", "60", healthcheck=check)
    with pytest.raises(ExecutorError, match=r"no answer in 0\.2 s"):
        await controller.start()


# Output


async def test_output_is_kept_by_stream(engine: HostEngine) -> None:
    controller = await engine.started("sh", "-c", "echo out; echo err >&2")
    await controller.wait()
    err = api.LogSubscriptionOptions(streams=[api.LogStream.LOG_STREAM_STDERR])
    messages = [message async for message in controller.logs(err)]
    assert [b"err\n"] == [message.data for message in messages]
    assert [controller._task.id] == [message.context.task_id for message in messages]


async def test_following_ends_with_the_task(engine: HostEngine) -> None:
    controller = await engine.started("sh", "-c", "echo a; sleep 0.5; echo b; printf c")
    options = api.LogSubscriptionOptions(follow=True)
    assert [b"a\n", b"b\n", b"c"] == [m.data async for m in controller.logs(options)]


async def test_output_is_rotated_and_read_over_its_files(engine: HostEngine) -> None:
    driver = api.Driver(name="json-file", options={"max-size": "4k", "max-file": "3"})
    script = "for i in $(seq 3000); do echo $i; done"
    controller = await engine.started("sh", "-c", script, spec={"log_driver": driver})
    await controller.wait()
    files = sorted((engine.state_dir.tasks / controller._task.id).glob("stdout.log*"))
    files = [file for file in files if file.suffix != ".times"]
    assert 1 < len(files) <= 3
    tail = api.LogSubscriptionOptions(tail=-3)
    assert [b"2999\n", b"3000\n"] == [m.data async for m in controller.logs(tail)]


async def test_output_kept_by_nobody_leaves_no_file(engine: HostEngine) -> None:
    controller = await engine.started("echo", "a", spec={"log_driver": api.Driver(name="none")})
    await controller.wait()
    directory = engine.state_dir.tasks / controller._task.id
    assert ["started"] == [file.name for file in directory.iterdir()]


async def test_a_task_that_says_nothing_has_no_output(engine: HostEngine) -> None:
    assert "" == await engine.output_of("true")
