"""A container's output, as log messages."""

import asyncio
import threading

import pytest

from swarmd import api
from tests.docker_engine import DockerEngine, container_task, output
from workers.agent.executors.docker.controller import DockerController

pytestmark = pytest.mark.timeout(60)

BOTH = "echo out; sleep 0.3; echo err >&2"
STDOUT = api.LogStream.LOG_STREAM_STDOUT
STDERR = api.LogStream.LOG_STREAM_STDERR


async def ended(engine: DockerEngine, command: str, **fields: object) -> DockerController:
    controller = await engine.started("sh", "-c", command, **fields)
    await controller.wait()
    return controller


async def test_each_line_has_its_stream_and_its_context(engine: DockerEngine) -> None:
    controller = await ended(engine, BOTH)
    messages = [each async for each in controller.logs(api.LogSubscriptionOptions())]
    assert [(STDOUT, b"out\n"), (STDERR, b"err\n")] == [(m.stream, m.data) for m in messages]
    assert {controller._task.id} == {m.context.task_id for m in messages}
    assert messages[0].timestamp.ToNanoseconds() < messages[1].timestamp.ToNanoseconds()


async def test_one_stream_can_be_had_alone(engine: DockerEngine) -> None:
    controller = await ended(engine, BOTH)
    assert "err\n" == await output(controller, api.LogSubscriptionOptions(streams=[STDERR]))


@pytest.mark.parametrize(("tail", "wanted"), [(-3, "4\n5\n"), (-1, ""), (3, "4\n5\n"), (0, None)])
async def test_a_tail_is_the_last_lines_or_all_but_the_first(engine, tail, wanted) -> None:
    controller = await ended(engine, "seq 1 5")
    said = await output(controller, api.LogSubscriptionOptions(tail=tail))
    assert ("1\n2\n3\n4\n5\n" if wanted is None else wanted) == said


async def test_since_leaves_out_what_is_older(engine: DockerEngine) -> None:
    controller = await ended(engine, "echo old; sleep 1; echo new")
    messages = [each async for each in controller.logs(api.LogSubscriptionOptions())]
    since = api.LogSubscriptionOptions(since=messages[1].timestamp)
    assert "new\n" == await output(controller, since)


async def test_following_goes_on_until_the_end(engine: DockerEngine) -> None:
    controller = await engine.started("sh", "-c", "echo 1; sleep 1; echo 2")
    assert "1\n2\n" == await output(controller, api.LogSubscriptionOptions(follow=True))


async def test_following_waits_for_the_start(engine: DockerEngine) -> None:
    controller = engine.controller(container_task("echo", "hello"))
    following = asyncio.create_task(output(controller, api.LogSubscriptionOptions(follow=True)))
    await controller.prepare()
    await controller.start()
    assert "hello\n" == await following


async def test_a_follower_that_goes_leaves_no_thread(engine: DockerEngine) -> None:
    controller = await engine.started("sh", "-c", "echo 1; sleep 300")
    before = _reader_threads()
    following = controller.logs(api.LogSubscriptionOptions(follow=True))
    assert b"1\n" == (await anext(following)).data
    (reader,) = set(_reader_threads()) - set(before)
    await following.aclose()
    await asyncio.to_thread(reader.join, 5)
    assert not reader.is_alive()


async def test_a_terminals_lines_come_too(engine: DockerEngine) -> None:
    controller = await ended(engine, "echo 1; echo 2", tty=True)
    assert "1\r\n2\r\n" == await output(controller)


async def test_much_output_is_whole(engine: DockerEngine) -> None:
    controller = await ended(engine, "seq 1 100000")
    said = await output(controller)
    assert ["1", "100000", 100000] == [*said.split()[:1], *said.split()[-1:], len(said.split())]


async def test_attributes_come_with_each_line(engine: DockerEngine) -> None:
    driver = {"name": "json-file", "options": {"env": "ROLE"}}
    controller = await ended(engine, "echo 1", env=["ROLE=a b,c"], spec={"log_driver": driver})
    messages = [each async for each in controller.logs(api.LogSubscriptionOptions())]
    assert [("ROLE", "a b,c")] == [(each.key, each.value) for each in messages[0].attrs]
    assert b"1\n" == messages[0].data


def _reader_threads() -> list[threading.Thread]:
    readers = [each for each in threading.enumerate() if each.name == "docker-stream"]
    return [each for each in readers if each.is_alive()]
