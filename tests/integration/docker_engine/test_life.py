"""Tasks as containers of a real engine: their life, from image to removal."""

import asyncio
import time

import pytest

from swarmd import api
from swarmd.api import times
from tests import builders
from tests.docker_engine import DockerEngine, container_task, output
from workers.agent.executors.docker.controller import DockerController
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExecutorError,
    ExitError,
    GoneError,
    RejectedError,
)

pytestmark = pytest.mark.timeout(90)

TRAPS = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"
IGNORES = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


async def exit_of(controller: DockerController) -> ExitError:
    with pytest.raises(ExitError) as caught:
        await controller.wait()
    return caught.value


async def says(controller: DockerController, text: bytes) -> None:
    """Return as soon as its output has it."""
    async for message in controller.logs(api.LogSubscriptionOptions(follow=True)):
        if text in message.data:
            return


async def test_the_node_says_what_engine_it_has(engine: DockerEngine) -> None:
    description = api.NodeDescription()
    await engine.executor.describe(description)
    plugins = {(plugin.type, plugin.name) for plugin in description.engine.plugins}
    wanted = {("Engine", "docker"), ("Volume", "local"), ("Network", "host"), ("Log", "json-file")}
    assert set() == wanted - plugins
    assert {"rack": "r1"} == dict(description.engine.labels)
    assert description.engine.engine_version


async def test_networks_over_many_hosts_are_not_offered(engine: DockerEngine) -> None:
    description = api.NodeDescription()
    await engine.executor.describe(description)
    assert "overlay" not in {plugin.name for plugin in description.engine.plugins}


async def test_a_task_that_ends_well_completes(engine: DockerEngine) -> None:
    controller = await engine.started("true")
    await controller.wait()
    assert 0 == (await controller.container_status()).exit_code


async def test_an_exit_status_is_told(engine: DockerEngine) -> None:
    error = await exit_of(await engine.started("sh", "-c", "exit 3"))
    assert (3, "task: non-zero exit (3)") == (error.code, str(error))


async def test_out_of_memory_is_named(engine: DockerEngine) -> None:
    limits = {"resources": {"limits": {"memory_bytes": 16 << 20}}}
    error = await exit_of(await engine.started("tail", "/dev/zero", spec=limits))
    wanted = "task: non-zero exit (137): out of memory: it reached its memory limit"
    assert (137, wanted) == (error.code, str(error))


async def test_the_container_has_dockers_own_names_and_labels(engine: DockerEngine) -> None:
    task = container_task("true", labels={"mine": "1"})
    controller = engine.controller(task)
    await controller.prepare()
    found = await engine.inspect(controller)
    assert f"/web.1.{task.id}" == found["Name"]
    labels = found["Config"]["Labels"]
    swarm = {key: value for key, value in labels.items() if key.startswith("com.docker.swarm.")}
    assert {
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": task.id,
        "com.docker.swarm.task.name": f"web.1.{task.id}",
        "com.docker.swarm.node.id": "n1",
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": "web",
    } == swarm
    assert "1" == labels["mine"]


async def test_the_container_status_tells_id_and_pid(engine: DockerEngine) -> None:
    controller = await engine.started("sleep", "60")
    found, status = await engine.inspect(controller), await controller.container_status()
    assert (found["Id"], found["State"]["Pid"]) == (status.container_id, status.pid)


async def test_a_stop_is_a_signal_first(engine: DockerEngine) -> None:
    controller = await engine.started("sh", "-c", TRAPS, stop_grace_period={"seconds": 30})
    await controller.shutdown()
    assert 3 == (await controller.container_status()).exit_code
    assert "bye\n" == await output(controller)


async def test_the_stop_signal_is_the_specs(engine: DockerEngine) -> None:
    usr1 = TRAPS.replace("TERM", "USR1")
    grace = {"seconds": 30}
    controller = await engine.started(
        "sh", "-c", usr1, stop_signal="SIGUSR1", stop_grace_period=grace
    )
    await controller.shutdown()
    assert 3 == (await controller.container_status()).exit_code


async def test_what_minds_no_signal_is_killed_after_its_grace(engine: DockerEngine) -> None:
    controller = await engine.started("sh", "-c", IGNORES, stop_grace_period={"seconds": 1})
    await says(controller, b"ready")
    began = time.monotonic()
    await controller.shutdown()
    assert 1 <= time.monotonic() - began < 6
    assert 137 == (await controller.container_status()).exit_code


async def test_terminate_kills_at_once(engine: DockerEngine) -> None:
    controller = await engine.started("sh", "-c", IGNORES, stop_grace_period={"seconds": 60})
    await controller.terminate()
    assert 137 == (await controller.container_status()).exit_code


async def test_many_stops_take_no_longer_than_one(engine: DockerEngine) -> None:
    grace = {"seconds": 4}
    controllers = await asyncio.gather(
        *(engine.started("sh", "-c", IGNORES, stop_grace_period=grace) for _ in range(8))
    )
    began = time.monotonic()
    await asyncio.gather(*(controller.shutdown() for controller in controllers))
    assert time.monotonic() - began < 24  # one after another: 32


async def test_remove_leaves_nothing(engine: DockerEngine) -> None:
    controller = await engine.started("sleep", "60", mounts=[{"type": 1, "target": "/v"}])
    volume = (await engine.inspect(controller))["Mounts"][0]["Name"]
    await controller.remove()
    assert api.ContainerStatus() == await controller.container_status()
    with engine.daemon.client() as client:
        assert volume not in [each["Name"] for each in client.volumes()["Volumes"] or ()]


async def test_every_call_may_be_made_again(engine: DockerEngine) -> None:
    controller = await engine.prepared("sleep", "60")
    await controller.prepare()
    await controller.start()
    with pytest.raises(AlreadyStartedError):
        await controller.start()
    for _ in range(2):
        await controller.shutdown()
    await controller.terminate()
    for _ in range(2):
        await controller.remove()
    await controller.shutdown()


async def test_a_missing_container_is_told(engine: DockerEngine) -> None:
    controller = engine.controller(container_task("true"))
    with pytest.raises(GoneError):
        await controller.start()
    with pytest.raises(GoneError):
        await controller.wait()


async def test_a_container_removed_by_hand_ends_the_wait(engine: DockerEngine) -> None:
    controller = await engine.started("sleep", "60")
    waiting = asyncio.create_task(controller.wait())
    with engine.daemon.client() as client:
        await asyncio.to_thread(client.remove_container, controller._name, force=True)
    with pytest.raises(GoneError):
        await waiting


async def test_a_command_that_is_not_there_fails_with_the_reason(engine: DockerEngine) -> None:
    controller = await engine.prepared("no-such-thing")
    with pytest.raises(ExecutorError, match=r"starting container failed: .*no-such-thing"):
        await controller.start()
    assert 127 == (await controller.container_status()).exit_code


async def test_an_unknown_image_is_rejected_with_the_reason(engine: DockerEngine) -> None:
    with pytest.raises(RejectedError, match=r"^image: 127\.0\.0\.1:1/none:latest: .*refused"):
        await engine.prepared("true", image="127.0.0.1:1/none")


async def test_a_pull_that_fails_goes_on_with_the_image_that_is_here(
    engine: DockerEngine,
) -> None:
    with engine.daemon.client() as client:
        client.tag("busybox:latest", "127.0.0.1:1/here", "v1")
    assert "hello\n" == await engine.output_of("echo", "hello", image="127.0.0.1:1/here:v1")


async def test_a_name_that_another_container_has_is_rejected(engine: DockerEngine) -> None:
    task = container_task("true")
    controller = engine.controller(task)
    with engine.daemon.client() as client:
        client.create_container("busybox:latest", "true", name=controller._name)
    with pytest.raises(RejectedError, match="is taken by another container"):
        await controller.prepare()


async def test_network_attachments_are_refused(engine: DockerEngine) -> None:
    task = builders.task(spec=api.TaskSpec(attachment=api.NetworkAttachmentSpec(container_id="c")))
    assert engine.executor.accepts(task)
    with pytest.raises(RejectedError, match="network attachments"):
        engine.controller(task)


# Health

HEALTHY_SOON = "sleep 1; touch /tmp/ok; sleep 300"


def health(command: str, **fields: object) -> api.HealthConfig:
    soon = {"interval": times.duration(0.3), "timeout": times.duration(5), "retries": 3}
    return api.HealthConfig(test=["CMD-SHELL", command], **{**soon, **fields})


async def test_a_start_ends_when_it_is_healthy(engine: DockerEngine) -> None:
    check = health("test -e /tmp/ok", retries=100)
    controller = await engine.started("sh", "-c", HEALTHY_SOON, healthcheck=check)
    assert "healthy" == (await engine.inspect(controller))["State"]["Health"]["Status"]


async def test_what_is_not_healthy_is_stopped_and_fails(engine: DockerEngine) -> None:
    check = health("echo broken; exit 1")
    controller = await engine.prepared("sleep", "300", healthcheck=check)
    with pytest.raises(ExitError, match="unhealthy container: broken"):
        await controller.start()
    assert (await engine.inspect(controller))["State"]["Status"] == "exited"


async def test_what_turns_unhealthy_is_stopped_and_fails(engine: DockerEngine) -> None:
    check = health("test ! -e /tmp/sick")
    command = "sleep 3; touch /tmp/sick; sleep 300"
    controller = await engine.started("sh", "-c", command, healthcheck=check)
    error = await exit_of(controller)
    assert "task: non-zero exit (137): unhealthy container" == str(error)


async def test_one_that_ends_before_it_is_healthy_is_told(engine: DockerEngine) -> None:
    controller = await engine.prepared("sh", "-c", "exit 4", healthcheck=health("false"))
    with pytest.raises(ExitError) as caught:
        await controller.start()
    assert 4 == caught.value.code


async def test_a_start_waits_on_where_an_earlier_agent_left_it(engine: DockerEngine) -> None:
    check = health("test -e /tmp/ok", retries=100)
    controller = await engine.prepared("sh", "-c", HEALTHY_SOON, healthcheck=check)
    starting = asyncio.create_task(controller.start())
    await says_started(controller)
    starting.cancel()
    await asyncio.wait([starting])
    await engine.controller(controller._task).start()
    assert "healthy" == (await engine.inspect(controller))["State"]["Health"]["Status"]


async def says_started(controller: DockerController) -> None:
    await controller._wait_started()
